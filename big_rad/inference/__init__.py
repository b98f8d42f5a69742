"""A checkpoint and an image become text, boxes and masks."""
