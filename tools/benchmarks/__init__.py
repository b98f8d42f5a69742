"""What `tools.bench` measures, one file a part of the work."""
