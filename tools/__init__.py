"""Command-line programs, each run as `python -m tools.NAME`."""
