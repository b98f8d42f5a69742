"""The two faults of a stage of the data engine.

Both carry one sentence for people, without anything that could name a patient: no path, no name of
a file, no words of a report and no message of another library.
"""

import traceback
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
