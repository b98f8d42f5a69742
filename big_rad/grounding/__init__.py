"""Grounding: anatomy classes, boxes and masks, box codecs, and the markup that carries them."""
