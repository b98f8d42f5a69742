"""Digests files, and puts a new dataset into its place only when it is complete."""

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
    """Returns whether a path is a file; False if the system refuses to look.

    `Path.is_file` would raise OSError, for example if the name is too long or a folder may not be
    entered.
    """
    try:
        return path.is_file()
    except OSError:
        return False


def sha256(path: str | Path) -> str:
    """Returns the SHA-256 digest (hex) of a file's content."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as f:
        while chunk := f.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


@contextlib.contextmanager
def workplace(
    root: Path, name: str, made: Path | None = None, other: str = "pass another --data_dir"
) -> Iterator[Path]:
    """Yields an empty folder `root`/.building-`name` to one process at a time, then removes it.

    Files that a killed process left in the folder are removed first.

    Args:
        root: the folder in which it lies; it is created if necessary.
        name: the name of the thing that is being built.
        made: the place to which `put` will move the result. If a process was killed within `put`,
            the dataset that had been in this place is moved back.
        other: what the user can do instead of waiting, if another process is using the folder.

    Raises:
        ValueError: Another process is using the folder.
    """
    folder = root / f".building-{name}"
    with _locked(folder, other):
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
    """Moves a new folder to its place; a folder that is already there is replaced as a whole.

    Args:
        new: the new folder, inside `scratch`.
        made: the place to which it is moved.
        scratch: the folder that `workplace` yielded; the old folder is moved into it.
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
def _locked(folder: Path, other: str) -> Iterator[None]:
    """Makes a folder and holds its lock, which the system releases when the process ends."""
    file = _lock(folder, other)
    while file is None:  # The process that held the lock has just removed the folder.
        file = _lock(folder, other)
    with file:
        yield


def _lock(folder: Path, other: str) -> IO[bytes] | None:
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
            f"{what} is being built by another process; wait for it, or {other}"
        ) from None
    except FileNotFoundError:
        pass
    except OSError:  # The file system does not support locks.
        return file
    file.close()
    return None
