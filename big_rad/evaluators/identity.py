"""Identifies a checkpoint, so that results of another checkpoint are never taken for its own."""

import dataclasses
import hashlib
import pathlib

from big_rad import weights
from big_rad.inference import calibration
from big_rad.weights import sidecar
from big_rad.workdir import run_dir


@dataclasses.dataclass(frozen=True)
class Identity:
    """The identity of a checkpoint.

    Attributes:
        fingerprint: a hash of the names, sizes and modification times of the checkpoint's files.
            It differs between checkpoints, and changes when a file of the checkpoint changes. The
            files of a calibration do not count, because no answer depends on them.
        step: the training step, for the checkpoint of a run; None for other formats.
    """

    fingerprint: str
    step: int | None


def identify(checkpoint: str | pathlib.Path) -> Identity:
    """Returns the identity of a checkpoint of any format.

    Args:
        checkpoint: a run directory or one of its steps, a Hugging Face folder or an npz.

    Raises:
        FileNotFoundError: there is no checkpoint at this path.
    """
    path = pathlib.Path(checkpoint).resolve()
    weights.check(path)
    place = run_dir.locate(path) if run_dir.is_run(path) else None
    folder = path if place is None else place.files
    whole = hashlib.sha256()
    beside = [folder, sidecar.path(folder)]  # The files of an npz checkpoint.
    for file in sorted(folder.rglob("*")) if folder.is_dir() else beside:
        if file.is_file() and not _is_calibration(file, folder):
            stat = file.stat()
            whole.update(f"{file}\n{stat.st_size}\n{stat.st_mtime_ns}\n".encode())
    return Identity(whole.hexdigest(), None if place is None else place.step)


def _is_calibration(file: pathlib.Path, folder: pathlib.Path) -> bool:
    return folder.is_dir() and file.relative_to(folder).parts[0] in (
        calibration.FOLDER,
        calibration.FILE,
    )
