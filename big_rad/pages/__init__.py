"""Self-contained HTML pages of training runs, of evaluations and of predicted series."""
