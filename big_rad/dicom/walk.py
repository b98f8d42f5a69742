"""Lists the files in folders, in the order of their names."""

import os
import pathlib
import re
from collections.abc import Iterable

from big_rad import files as files_lib
from big_rad.grounding.unicode import nfc

MAX_FILES = 100_000  # The most files of one call.


def files(
    paths: Iterable[str | pathlib.Path],
) -> tuple[list[pathlib.Path], list[tuple[pathlib.Path, str, str]]]:
    """Returns the files of paths, and the folders that were not searched.

    Args:
        paths: files, and folders, which are searched with all folders in them. A file that does not
            exist is listed like any other. Links to folders are not followed, so that there is no
            loop.

    Returns:
        The files, each once, in the order of their names, in which numbers count as numbers. Then,
        for each folder that was not searched, its path, the reason and the kind of the reason:
        "unreadable", "no image" for a link, or "output" for what an earlier prediction wrote.

    Raises:
        ValueError: there are more than `MAX_FILES` files.
    """
    found: dict[str, pathlib.Path] = {}
    refused: list[tuple[pathlib.Path, str, str]] = []

    def add(path: pathlib.Path) -> None:
        real = os.path.realpath(path)
        # Of several ways to a file, the one whose name comes first is used.
        if real not in found or natural(path) < natural(found[real]):
            found[real] = path
        if len(found) > MAX_FILES:
            raise ValueError(f"there are more than {MAX_FILES} files; give smaller folders")

    def failed(error: OSError) -> None:
        reason = f"a folder that cannot be opened ({type(error).__name__}); check its permissions"
        refused.append((pathlib.Path(error.filename), reason, "unreadable"))

    for given in paths:
        path = _existing(pathlib.Path(given))
        if not os.path.isdir(path):
            add(path)
            continue
        for folder, folders, names in os.walk(path, onerror=failed):
            if "asked.json" in names and "slices" in folders:
                reason = "the outputs of an earlier prediction"
                refused.append((pathlib.Path(folder), reason, "output"))
                folders.clear()
                continue
            for link in (pathlib.Path(folder, name) for name in folders):
                if link.is_symlink():
                    reason = "a link to a folder, which is not followed; give its target too"
                    refused.append((link, reason, "no image"))
            for name in names:
                add(pathlib.Path(folder, name))
    return sorted(found.values(), key=natural), refused


def natural(path: pathlib.Path) -> tuple:
    """Returns a key that sorts paths by name, with numbers by their size: IM2 before IM10."""
    parts = (re.split(r"([0-9]+)", nfc(name)) for name in path.parts)
    key = (tuple((int(p), "") if p.isdecimal() else (-1, p) for p in part) for part in parts)
    return tuple(key), str(path)


def _existing(path: pathlib.Path) -> pathlib.Path:
    try:
        return files_lib.find(pathlib.Path(path.anchor), path.relative_to(path.anchor).as_posix())
    except OSError:
        return path  # Reading it says why it cannot be followed.
