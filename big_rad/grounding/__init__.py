"""What grounding is: anatomy classes, boxes, box codecs and the markup that carries them."""
