"""A scrubber that finds nothing and takes its time, so that a run can be interrupted at work."""

import time


def find(text, lang):
    """Returns no identifiers, after a while."""
    time.sleep(0.1)
    return []
