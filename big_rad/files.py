"""Files that appear whole or not at all."""

import os
import pathlib


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
