"""The two faults of a stage of the data engine.

Both carry one sentence for people, without anything that could name a patient: no path, no name of
a file, no words of a report and no message of another library.
"""

import errno
import os
import traceback
from collections.abc import Iterable
from pathlib import Path


class Rejected(ValueError):
    """The input cannot be used. The same input has the same fault again, so it is remembered."""


class Failed(RuntimeError):
    """A stage did not finish for a reason that may pass, such as a time-out or a full disk.

    Nothing is remembered, and the next run tries again.
    """


def cannot_open(what: str, error: Exception) -> str:
    """Returns why a file cannot be opened and what to do, without its path.

    Args:
        what: what it is for the user, such as "the mask".
        error: what opening it raised.
    """
    if isinstance(error, PermissionError):
        return f"{what} may not be read; give yourself the permission, also of its folders"
    if isinstance(error, IsADirectoryError):
        return f"{what} is a folder; give a file"
    return f"{what} cannot be read ({type(error).__name__}); check its path"


def unexpected(error: Exception) -> str:
    """Returns what may be said of an error that nobody foresaw: its kind, and where it was raised.

    Its message may quote the input; the place in the code of big_rad does not.
    """
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "big_rad" in f.filename]
    where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "?"
    return f"an unexpected {type(error).__name__} at {where}"


def refused(error: OSError, places: Iterable[tuple[str, Path]], doing: str, written: str) -> str:
    """Returns what may be said of an error of the system: what it concerns, and why.

    Args:
        error: the error. The path that it names is not said, because it may hold a name.
        places: the files and folders that were worked with, each after what it is called.
        doing: what was worked with last, for an error that names no file.
        written: what was written to; only this can be full.
    """
    where = os.path.abspath(error.filename) if isinstance(error.filename, str | Path) else ""
    known = [(os.path.abspath(path), what) for what, path in places]
    # The innermost place counts, because the images may lie in the folder of the results.
    inside = [(len(p), what) for p, what in known if where == p or where.startswith(p + os.sep)]
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    what = max(inside)[1] if inside else written if full else doing
    if isinstance(error, PermissionError) and what != written:
        return cannot_open(what, error)
    why = os.strerror(error.errno) if error.errno else type(error).__name__
    remedy = "check the permissions" if isinstance(error, PermissionError) else "look at the disk"
    return f"the disk refused {what} ({why}); {'free some space' if full else remedy}"
