"""The results of stages on disk, each under a key that is made of everything that decides it.

    OUT/stage/<stage>/<key[:2]>/<key>/

A result appears whole or not at all: it is written into a folder of `OUT/stage/tmp`, brought to the
disk, and renamed. Two workers that make the same result do not disturb each other.
"""

import contextlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from big_rad import files

_TMP = "tmp"


class Store:
    """The folder of the stages.

    Args:
        root: the folder, which is made if it is missing.
    """

    def __init__(self, root: Path):
        self._root = root
        (root / _TMP).mkdir(parents=True, exist_ok=True)

    def folder(self, stage: str, key: str) -> Path:
        """Returns the folder of a result, which may not exist."""
        return self._root / stage / key[:2] / key

    def has(self, stage: str, key: str) -> bool:
        """Returns whether a result is there."""
        return self.folder(stage, key).is_dir()

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """Yields an empty folder, which is removed afterwards."""
        folder = self._root / _TMP / uuid.uuid4().hex
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextlib.contextmanager
    def writing(self, stage: str, key: str) -> Iterator[Path]:
        """Yields an empty folder that becomes the result if nothing is raised."""
        with self.scratch() as folder:
            yield folder
            for path in folder.rglob("*"):
                if path.is_file():
                    _flush(path)
            _flush(folder)
            place = self.folder(stage, key)
            place.parent.mkdir(parents=True, exist_ok=True)
            try:
                folder.rename(place)
            except OSError:
                if not place.is_dir():  # Otherwise another worker was faster with the same result.
                    raise
            _flush(place.parent)

    def clean(self) -> None:
        """Removes what killed processes left. No other process may be at work."""
        shutil.rmtree(self._root / _TMP, ignore_errors=True)
        (self._root / _TMP).mkdir(parents=True, exist_ok=True)

    def note(self, stage: str, key: str) -> Any | None:
        """Returns the JSON value of a small result, or None."""
        path = self._root / stage / key[:2] / f"{key}.json"
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, json.JSONDecodeError):
            return None

    def write_note(self, stage: str, key: str, value: Any) -> None:
        """Writes a small result, as JSON."""
        path = self._root / stage / key[:2] / f"{key}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.stem}.{uuid.uuid4().hex}")
        try:
            files.write_whole(part, json.dumps(value, sort_keys=True))
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    """Brings a file or a folder to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
