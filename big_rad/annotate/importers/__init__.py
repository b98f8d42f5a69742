"""Importers: each reads a public dataset as it was published, and returns rows of a manifest."""
