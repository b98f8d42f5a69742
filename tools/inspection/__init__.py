"""What `tools.inspect_data` reads, counts and shows of a dataset and its preprocessing."""
