"""Files of sources and of built datasets: digested, put into place whole.

Knows nothing of what is in them.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO

_OLD, _LOCK = "old", "lock"


def is_file(path: Path) -> bool:
    """Returns whether there is such a file; none has a name that the system refuses.

    `Path.is_file` raises for these (too long a name, a folder that may not be entered).
    """
    try:
        return path.is_file()
    except OSError:
        return False


def sha256(path: str | Path) -> str:
    """Returns the digest of a file's content."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as f:
        while chunk := f.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


@contextlib.contextmanager
def workplace(root: Path, name: str, made: Path | None = None) -> Iterator[Path]:
    """Gives an empty folder `root`/.building-`name` to one process at a time, and removes it.

    What a killed process left there is removed first.

    Args:
        root: a folder, made if missing.
        name: of what is being made.
        made: where `put` is going to put it: what was there before a process was killed within
            `put` is put back.

    Raises:
        ValueError: another process has it.
    """
    folder = root / f".building-{name}"
    with _locked(folder):
        old = folder / _OLD
        if made is not None and old.exists() and not made.exists():
            old.rename(made)
        for path in folder.iterdir():
            if path.name != _LOCK:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def put(new: Path, made: Path, scratch: Path) -> None:
    """Puts a folder where another may be, of which nothing is touched before.

    Args:
        new: the folder, in `scratch`.
        made: its place.
        scratch: of `workplace`.
    """
    made.parent.mkdir(parents=True, exist_ok=True)
    if made.exists():
        made.rename(scratch / _OLD)
    try:
        new.rename(made)
    except OSError:
        if (scratch / _OLD).exists():
            (scratch / _OLD).rename(made)
        raise


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Holds a folder's lock, which goes with the process; makes the folder."""
    file = _lock(folder)
    while file is None:  # The process that had it before has just removed the folder.
        file = _lock(folder)
    with file:
        yield


def _lock(folder: Path) -> IO[bytes] | None:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / _LOCK
    try:
        file = path.open("ab")
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
            return file
    except BlockingIOError:
        file.close()
        what = folder.name.removeprefix(".building-")
        raise ValueError(
            f"{what} is being built by another process; wait for it, or pass another --data_dir"
        ) from None
    except FileNotFoundError:
        pass
    except OSError:  # A file system without locks.
        return file
    file.close()
    return None
