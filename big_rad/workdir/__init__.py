"""The files of a run directory, and the choice of the checkpoint that a path means."""
