"""Metrics of a run: a JSON line a logged step, pictures in TensorBoard, and what was left out.

On resume, lines past the restored step are cut off, so that no line is missing or doubled. Of
several processes only the first writes metrics.
"""

import contextlib
import json
import math
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
import tensorboardX
from PIL import Image

from big_rad import runtime


class MetricWriter:
    """Writes `metrics.jsonl` and TensorBoard events in a run directory.

    Args:
        workdir: the run directory.
        resume_step: the last step whose metrics stay; None starts over.
    """

    def __init__(self, workdir: str | pathlib.Path, resume_step: int | None = None):
        folder = pathlib.Path(workdir)
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "metrics.jsonl"
        self._file = self._board = None
        if jax.process_index():
            return
        _truncate(self._path, -1 if resume_step is None else resume_step)
        self._file = open(self._path, "a", encoding="utf-8")
        self._board = tensorboardX.SummaryWriter(str(folder / "tensorboard"))

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Writes one line; a value that is no finite number becomes null."""
        if self._file is None:
            return
        line = _finite(metrics)
        self._file.write(json.dumps({"step": int(step), **line}) + "\n")
        self._file.flush()
        for name, value in line.items():
            if value is not None:
                self._board.add_scalar(name, value, step)

    def pictures(self, step: int, pictures: Iterable[tuple[str, Image.Image]]) -> None:
        """Shows (tag, picture) of a step in TensorBoard; other processes do not ask for them."""
        if self._board is None:
            return
        for tag, picture in pictures:
            pixels = np.asarray(picture.convert("RGB"))
            self._board.add_image(tag, pixels, step, dataformats="HWC")

    def has(self, step: int, metrics: Mapping[str, float]) -> bool:
        """Returns whether a line of this step holds all these values already."""
        line = _finite(metrics)
        return self._file is None or any(
            r["step"] == step and line.items() <= r.items() for r in read(self._path)
        )

    def close(self) -> None:
        """Flushes and closes both files."""
        if self._file is not None:
            self._file.close()
            # On a disk that fails; what counts is in the lines, and this is not to hide its error.
            with contextlib.suppress(OSError):
                self._board.close()


class ListWriter:
    """A list of what a run left out, one JSON line each; each process has its own.

    Args:
        workdir: the run directory.
        name: of the list; the file is `<name>.jsonl`, of a process but the first
            `<name>.<process>.jsonl`.
        resume_step: the last step whose lines stay; None starts over.

    Attributes:
        path: of the file, which is there once there is a line.
        count: lines so far.
    """

    def __init__(self, workdir: str | pathlib.Path, name: str, resume_step: int | None = None):
        process = jax.process_index()
        self.path = pathlib.Path(workdir) / f"{name}{f'.{process}' if process else ''}.jsonl"
        _truncate(self.path, -1 if resume_step is None else resume_step)
        self.count = len(read(self.path)) if self.path.exists() else 0

    def write(self, step: int, rows: Sequence[Mapping[str, Any]]) -> None:
        """Adds what a step left out."""
        if not rows:
            return
        lines = (json.dumps({"step": step, **r}, ensure_ascii=False) + "\n" for r in rows)
        with self.path.open("a", encoding="utf-8") as file:
            file.write("".join(lines))
        self.count += len(rows)


def read(path: str | pathlib.Path) -> list[dict]:
    """Returns the lines of a `metrics.jsonl`; a last line that was cut short is left out."""
    rows = []
    for line in pathlib.Path(path).read_text(encoding="utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows


def _finite(metrics: Mapping[str, float]) -> dict[str, float | None]:
    values = {k: float(v) for k, v in metrics.items()}
    return {k: v if math.isfinite(v) else None for k, v in values.items()}


def _truncate(path: pathlib.Path, step: int) -> None:
    if path.exists():
        kept = [
            json.dumps(row, ensure_ascii=False) + "\n" for row in read(path) if row["step"] <= step
        ]
        runtime.write_whole(path, "".join(kept))
