"""Command-line programs around the package."""
