"""The parts of `tools.inspect_data`: reading rows back, counting them, and the page."""
