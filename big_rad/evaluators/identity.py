"""Which checkpoint was evaluated: results of another one must never be taken for its own."""

import dataclasses
import hashlib
import pathlib

from big_rad import weights
from big_rad.weights import sidecar
from big_rad.workdir import run_dir


@dataclasses.dataclass(frozen=True)
class Identity:
    """What tells a checkpoint from others.

    Attributes:
        fingerprint: a text that is another for another checkpoint, from names, sizes and times of
            its files.
        step: of the checkpoint of a run; None for other formats.
    """

    fingerprint: str
    step: int | None


def identify(checkpoint: str | pathlib.Path) -> Identity:
    """Returns the identity of a checkpoint of any format.

    Args:
        checkpoint: a run directory or one of its steps, a Hugging Face folder or an npz.

    Raises:
        FileNotFoundError: nothing is there.
    """
    path = pathlib.Path(checkpoint).resolve()
    weights.check(path)
    place = run_dir.locate(path) if run_dir.is_run(path) else None
    folder = path if place is None else place.files
    whole = hashlib.sha256()
    beside = [folder, sidecar.path(folder)]  # Of an npz.
    for file in sorted(folder.rglob("*")) if folder.is_dir() else beside:
        if file.is_file():
            stat = file.stat()
            whole.update(f"{file}\n{stat.st_size}\n{stat.st_mtime_ns}\n".encode())
    return Identity(whole.hexdigest(), None if place is None else place.step)
