"""The parts of `tools.retrieve`: embedding, the images of a dataset, the index, and the page."""
