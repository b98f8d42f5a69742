"""What a run directory holds, and which checkpoint a path means."""
