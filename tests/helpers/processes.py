"""Whether processes have ended."""

import pathlib
import time


def all_gone(numbers, seconds=5.0):
    """Whether all processes have ended, or end soon; a zombie has ended."""
    until = time.monotonic() + seconds
    while any(_runs(n) for n in numbers):
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def _runs(number):
    try:
        stat = pathlib.Path(f"/proc/{number}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"
