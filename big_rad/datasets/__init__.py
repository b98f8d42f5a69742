"""Datasets: sources of images, label maps and texts that are read by index."""
