"""Resolves the paths of data.jsonl, which must lie in the folder of data.jsonl.

Messages show only the last part of a path, because the names of folders may identify a patient.
"""

from pathlib import Path

from big_rad.datasets import files
from big_rad.datasets.folder.fields import Bad
from big_rad.files import find


def resolve(root: Path, name: str) -> Path:
    """Returns the file that a path of data.jsonl stands for.

    A name also matches a file whose name has another Unicode normal form (NFC or NFD).

    Args:
        root: the folder of data.jsonl.
        name: the path relative to it, with "/" between the parts.

    Raises:
        Bad: The path is absolute, leaves the folder (even through a link), or is not a file.
    """
    path, last = _inside(root, name), name.split("/")[-1]
    if not files.is_file(path):
        raise Bad(f"{last}: there is no such file; paths start at the folder of the JSONL")
    return path


def folder(root: Path, name: str) -> Path | None:
    """Returns the folder that a path of data.jsonl stands for, or None if it is not a folder.

    Raises:
        Bad: The path is absolute or leaves the folder of data.jsonl.
    """
    path = _inside(root, name)
    return path if path.is_dir() else None


def _inside(root: Path, name: str) -> Path:
    if "\\" in name or ":" in name.split("/")[0]:
        raise Bad('the path must be relative, with "/" between its parts')
    parts = name.split("/")
    if name.startswith(("/", "~")) or ".." in parts:
        raise Bad("the path must lie inside the folder of the JSONL: relative, without '..'")
    last = parts[-1]
    try:
        path = find(root, name)
        if not path.resolve().is_relative_to(root.resolve()):
            raise Bad(f"{last}: a link leads out of the folder of the JSONL; copy the file into it")
    except (OSError, RuntimeError, ValueError) as e:
        if isinstance(e, Bad):
            raise
        raise Bad(f"the path cannot be followed ({type(e).__name__})") from None
    return path
