"""The arrays and files of a new checkpoint: dtypes, and the sums by which they are checked."""

import hashlib
import pathlib
import shutil
from collections.abc import Mapping
from typing import Any

import numpy as np

from big_rad import weights
from big_rad.models import common
from big_rad.weights import sidecar, tensors


def cast(flat: Mapping[str, Any], dtype: str) -> dict[str, Any]:
    """Returns lazy arrays in another dtype; "keep" does not change it."""
    if dtype == "keep":
        return dict(flat)
    to = tensors.dtype_of(dtype)
    return {
        name: tensors.Lazy(x.shape, to, lambda n=name, x=x: common.cast(np.asarray(x), to, n))
        for name, x in flat.items()
    }


def hashing(flat: Mapping[str, Any], sums: dict[str, str]) -> dict[str, Any]:
    """Returns lazy arrays whose sha256 is stored in `sums` by name when they are read."""

    def read(name: str) -> np.ndarray:
        value = np.asarray(flat[name])
        sums[name] = tensors.sha256(name, value)
        return value

    return {n: tensors.Lazy(x.shape, x.dtype, lambda n=n: read(n)) for n, x in flat.items()}


def verify(written: pathlib.Path, sums: Mapping[str, str]) -> None:
    """Compares a new checkpoint with the sums of its tensors.

    Args:
        written: The new file or folder.
        sums: The sha256 of each tensor by name.

    Raises:
        ValueError: Names or sums differ.
    """
    again = weights.read(written, log=lambda _: None)
    wrong = sorted(sums.keys() ^ again.keys())
    wrong += [n for n in sums.keys() & again.keys() if tensors.sha256(n, again[n]) != sums[n]]
    if wrong:
        raise ValueError(
            f"{written} does not read back as it was written: {', '.join(wrong[:5])}; is the disk "
            "full or faulty?"
        )


def write_sums(dst: pathlib.Path) -> None:
    """Writes SHA256SUMS, inside a folder or beside a file."""
    # The sums of a folder's files are written inside the folder. Those of an npz and its sidecar
    # are written beside them, where the lines of other files are kept.
    if dst.is_dir():
        root, files = dst, sorted(p for p in dst.rglob("*") if p.is_file())
    else:
        root, files = dst.parent, [p for p in (dst, sidecar.path(dst)) if p.is_file()]
    path, lines = root / "SHA256SUMS", {}
    if path.is_file():
        lines = {line.split("  ", 1)[1]: line for line in path.read_text().splitlines() if line}
    for file in files:
        with open(file, "rb") as f:
            name = file.relative_to(root).as_posix()
            lines[name] = f"{hashlib.file_digest(f, 'sha256').hexdigest()}  {name}"
    path.write_text("\n".join(lines.values()) + "\n", encoding="utf-8")


def remove(path: pathlib.Path) -> None:
    """Removes a file or a folder, if there is one."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
