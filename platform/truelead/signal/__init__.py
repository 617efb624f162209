"""From a record on disk to clean millivolts."""
