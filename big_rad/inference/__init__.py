"""From a checkpoint and an image to text, boxes and masks."""
