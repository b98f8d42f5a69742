"""The recipes. Each is a file with a function `get_config(arg)` that returns a config."""
