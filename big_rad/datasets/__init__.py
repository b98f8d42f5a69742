"""Datasets: random-access sources of images, label maps and texts."""
