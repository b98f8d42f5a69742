"""Self-contained HTML pages of training runs and of evaluations."""
