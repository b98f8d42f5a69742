"""The parts of a training step, and the checks on its loss, data and memory."""
