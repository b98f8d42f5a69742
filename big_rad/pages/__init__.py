"""What people look at: pages of runs and of evaluations, as HTML."""
