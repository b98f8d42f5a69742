"""Reads each file named on the command line, and prints a JSON line with the outcome, for tests.

It must import only the reader, so that its memory is that of the reader.
"""

import json
import os
import pathlib
import sys
import time

from big_rad.dicom import read as reader


def peak():
    """The peak memory of this process in bytes. Unlike that of getrusage, it does not include the
    memory of the parent process."""
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) << 10


def judge(paths):
    """Reads each file, and prints a JSON line with the outcome."""
    for path in paths:
        start = time.perf_counter()
        try:
            found = reader.read(path)
            outcome, says = type(found).__name__, str(found.pixels.shape)
        except Exception as e:
            outcome = type(e).__name__ if isinstance(e, reader.ReadError) else f"untyped {e!r}"
            says = str(e)
        seconds = time.perf_counter() - start
        line = {"file": os.path.basename(path), "outcome": outcome, "says": says}
        print(json.dumps(line | {"seconds": seconds, "peak": peak()}), flush=True)


if __name__ == "__main__":
    judge(sys.argv[1:])
