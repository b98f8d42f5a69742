"""Metrics: pure functions of predictions and references; no model, no files, no network."""
