"""Config files, the command line that changes them, and where recipes are found."""
