"""Parts of `tools.convert`."""
