"""The benchmarks of `tools.bench`, with one module for each command and their shared parts."""
