"""What a training step is made of, and what watches over it."""
