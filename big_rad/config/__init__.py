"""Loads config files, completes them, and sets their fields from the command line."""
