"""Command-line programs around the package; each module here is one program."""
