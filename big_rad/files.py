"""Files that appear whole or not at all, and files whose names may be written in two ways."""

import os
import pathlib
import unicodedata


def write_whole(path: str | pathlib.Path, content: str | bytes) -> None:
    """Writes a file that appears whole or not at all, whatever happens meanwhile.

    Raises:
        OSError: it cannot be written; what was there before stays.
    """
    path = pathlib.Path(path)
    partial = path.with_name(path.name + ".partial")
    data = content.encode() if isinstance(content, str) else content
    try:
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as e:  # That of a write does not say which file.
        raise OSError(
            e.errno, f"{e.strerror}; free some space or look after the disk", str(path)
        ) from e


def find(root: pathlib.Path, name: str) -> pathlib.Path:
    """Returns the path of a file whose name may be written in another Unicode normal form.

    File systems and archives of some machines take "ü" apart into "u" and a diaeresis (NFD), others
    keep it whole (NFC). The name as it is written comes first.

    Args:
        root: a folder.
        name: a path below it, with "/" between the parts.

    Returns:
        The path that there is, else root / name.

    Raises:
        OSError: the path cannot be followed, as by a loop of links.
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
