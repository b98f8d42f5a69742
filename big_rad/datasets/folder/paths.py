"""What a path of data.jsonl means: a file or folder beside it, never one elsewhere.

No message holds more of a path than its last part.
"""

from pathlib import Path

from big_rad.datasets import files
from big_rad.datasets.folder.fields import Bad
from big_rad.files import find


def resolve(root: Path, name: str) -> Path:
    """Returns the file a path of data.jsonl means.

    A name in another Unicode normal form than the file's (NFC, NFD) is the same name.

    Args:
        root: folder of data.jsonl.
        name: path relative to it, with "/" between the parts.

    Raises:
        Bad: the path is absolute or leaves the folder, also by a link, or there is no such file.
    """
    path, last = _inside(root, name), name.split("/")[-1]
    if not files.is_file(path):
        raise Bad(f"{last}: there is no such file; paths start at the folder of the JSONL")
    return path


def folder(root: Path, name: str) -> Path | None:
    """Returns the folder a path of data.jsonl means, None if it is no folder.

    Raises:
        Bad: the path is absolute or leaves the folder of data.jsonl.
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
