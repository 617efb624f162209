"""From records to Parquet shards and back."""
