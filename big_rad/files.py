"""Writes files whole or not at all, and finds files whose names are in another Unicode form."""

import os
import pathlib
import threading
import unicodedata
from collections.abc import Iterable

# numpy reads the header of a .npy file as Python source, which in Python 3.11 can fail while
# another thread does the same. Whoever reads such files in threads holds this lock meanwhile.
NPY_HEADER_LOCK = threading.Lock()


def write_whole(path: str | pathlib.Path, content: str | bytes | Iterable[bytes]) -> None:
    """Writes a file that appears whole or not at all, even if the process is killed meanwhile.

    The content goes to `<path>.partial` first, which then replaces the file.

    Args:
        path: the file.
        content: its new content, which may come in parts. Text is encoded as UTF-8.

    Raises:
        OSError: the file cannot be written. Its old content stays.
    """
    path = pathlib.Path(path)
    partial = path.with_name(path.name + ".partial")
    data = content.encode() if isinstance(content, str) else content
    parts = [data] if isinstance(data, bytes) else data
    try:
        with partial.open("wb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as e:  # The error of a write does not name the file.
        raise OSError(
            e.errno, f"{e.strerror}; free some space or look after the disk", str(path)
        ) from e


def find(root: pathlib.Path, name: str) -> pathlib.Path:
    """Returns the path of a file whose name may be written in another Unicode normal form.

    Some file systems and archives write "ü" as the letter "u" and a combining diaeresis (NFD),
    others as one character (NFC). A file with exactly the given name is preferred.

    Args:
        root: a folder.
        name: a path below the folder, with "/" between its parts.

    Returns:
        The path that exists, or root / name if there is no such file.

    Raises:
        OSError: the path cannot be followed, for example because of a loop of links.
    """
    path = root / name
    if path.exists() or name.isascii():
        return path
    found = root
    for part in name.split("/"):
        here = found / part
        if part and not here.exists() and not part.isascii() and found.is_dir():
            same = _composed(part)
            twins = [p for p in found.iterdir() if _composed(p.name) == same]
            here = twins[0] if twins else here
        found = here
    return found if found.exists() else path


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)
