"""Jobs on a Ray cluster: sent through its job API, followed, found again and listed."""
