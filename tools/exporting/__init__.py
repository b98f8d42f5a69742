"""The parts of `tools.export`: programs, goldens, the model card, and int8."""
