"""A scrubber for tests of the data engine that kills its process, or fails, at certain words."""

import os
import signal


def find(text, lang):
    """Finds nothing."""
    if "Magen" in text and "tödlich" in text:
        os.kill(os.getpid(), signal.SIGKILL)
    if "Magen" in text and "kaputt" in text:
        raise RuntimeError(f"cannot read {text}")
    return []
