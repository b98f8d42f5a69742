"""What `python -m big_rad.annotate check` looks at."""
