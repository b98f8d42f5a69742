"""Inference: turns an image and a prompt into text, boxes and masks with a trained checkpoint."""
