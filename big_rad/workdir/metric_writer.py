"""Writes the metrics of a run, and the lists of examples and steps that were left out.

Each logged step is a JSON line in `metrics.jsonl` and a set of TensorBoard events. When a run is
resumed, lines after the restored step are removed, so that no step has two lines. With several
processes only the first writes metrics. Both files are flushed after each line, so that the curves
of a run that is killed are complete.
"""

import contextlib
import json
import math
import pathlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from big_rad import extras, files
from big_rad.workdir import run_dir

with extras.needed("train"):
    from tensorboardX import summary
    from tensorboardX.event_file_writer import EventsWriter
    from tensorboardX.proto import event_pb2

# The start of a metric's name -> its group in TensorBoard, the part of a tag before the slash. The
# group of all other metrics is "training".
_GROUPS = {
    "l2_": "norms",
    "examples_per_": "speed",
    "tokens_per_": "speed",
    "targets_per_": "speed",
    "seconds": "speed",
    "rejected_": "left_out",
    "skipped_": "left_out",
    "weight": "batch",
    "masks": "batch",
}


def training_tag(name: str) -> str:
    """Returns the TensorBoard tag "group/name" of a training metric.

    Args:
        name: the name of the metric; a name that has a slash already is returned unchanged.
    """
    if "/" in name:
        return name
    return (
        f"{next((g for start, g in _GROUPS.items() if name.startswith(start)), 'training')}/{name}"
    )


class MetricWriter:
    """Writes `metrics.jsonl` and TensorBoard events in a run directory.

    Args:
        workdir: the run directory.
        resume_step: the last step whose metrics are kept; None removes all earlier lines.
        tag: a function from the name of an evaluation metric (which has a slash) to its tag in
            TensorBoard, or to "" for a metric that is only written to `metrics.jsonl`.
    """

    def __init__(
        self,
        workdir: str | pathlib.Path,
        resume_step: int | None = None,
        tag: Callable[[str], str] = lambda name: name,
    ):
        folder = pathlib.Path(workdir)
        folder.mkdir(parents=True, exist_ok=True)
        self._path, self._tag = folder / "metrics.jsonl", tag
        self._file = self._board = None
        if jax.process_index():
            return
        _truncate(self._path, -1 if resume_step is None else resume_step)
        self._file = open(self._path, "a", encoding="utf-8")
        self._board = _Board(folder / "tensorboard", resume_step)

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Writes the line of a step; infinite values and NaN become null."""
        if self._file is None:
            return
        line = _finite(metrics)
        self._file.write(json.dumps({"step": int(step), **line}) + "\n")
        self._file.flush()
        self._board.scalars(
            step,
            {
                (self._tag(name) if "/" in name else training_tag(name)): value
                for name, value in line.items()
                if value is not None
            },
        )

    def pictures(self, step: int, pictures: Iterable[tuple[str, Image.Image]]) -> None:
        """Writes pictures of a step to TensorBoard.

        Args:
            step: the step.
            pictures: pairs (tag, picture). Only the first process iterates over them.
        """
        if self._board is None:
            return
        for tag, picture in pictures:
            self._board.image(step, tag, np.asarray(picture.convert("RGB")))

    def rows(self) -> list[dict[str, Any]]:
        """Returns the lines so far; empty in all processes but the first."""
        return [] if self._file is None else run_dir.read_lines(self._path)

    def has(self, step: int, metrics: Mapping[str, float]) -> bool:
        """Returns whether a line of this step already holds all these values.

        In all processes but the first it returns True.
        """
        line = _finite(metrics)
        return self._file is None or any(
            r["step"] == step and line.items() <= r.items() for r in run_dir.read_lines(self._path)
        )

    def close(self) -> None:
        """Flushes and closes both files."""
        if self._file is not None:
            self._file.close()
            self._board.close()


class _Board:
    """Writes TensorBoard events, and flushes them to disk at once.

    Errors of the disk are ignored here. Writing `metrics.jsonl` meets the same errors, and there
    they are raised.
    """

    def __init__(self, folder: pathlib.Path, resume_step: int | None):
        folder.mkdir(exist_ok=True)
        self._events = EventsWriter(str(folder / "events"))
        if resume_step:  # TensorBoard then drops events of later steps that a killed run wrote.
            begins = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
            self._write(event_pb2.Event(step=resume_step + 1, session_log=begins))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Writes the values of a step; a value whose tag is "" is left out."""
        shown = [summary.scalar(tag, value) for tag, value in values.items() if tag]
        self._write(*(event_pb2.Event(step=step, summary=x) for x in shown))

    def image(self, step: int, tag: str, pixels: UInt8[np.ndarray, "height width 3"]) -> None:
        """Writes a picture."""
        shown = summary.image(tag, pixels, dataformats="HWC")
        self._write(event_pb2.Event(step=step, summary=shown))

    def close(self) -> None:
        """Closes the file."""
        with contextlib.suppress(OSError):
            self._events.close()

    def _write(self, *events: event_pb2.Event) -> None:
        with contextlib.suppress(OSError):
            for event in events:
                event.wall_time = time.time()
                self._events.write_event(event)
            self._events.flush()


class ListWriter:
    """Writes a list of the examples or steps that a run left out, one JSON line each.

    Each process has a file of its own.

    Args:
        workdir: the run directory.
        name: the name of the list. The first process writes `<name>.jsonl`, all others
            `<name>.<process>.jsonl`.
        resume_step: the last step whose lines are kept; None removes all earlier lines.

    Attributes:
        path: the path of the file, which is created with its first line.
        count: the number of lines so far.
    """

    def __init__(self, workdir: str | pathlib.Path, name: str, resume_step: int | None = None):
        process = jax.process_index()
        self.path = pathlib.Path(workdir) / f"{name}{f'.{process}' if process else ''}.jsonl"
        _truncate(self.path, -1 if resume_step is None else resume_step)
        self.count = len(run_dir.read_lines(self.path)) if self.path.exists() else 0

    def write(self, step: int, rows: Sequence[Mapping[str, Any]]) -> None:
        """Adds a line for each example or step that was left out.

        Args:
            step: the step.
            rows: the fields of each line, besides `step`.
        """
        if not rows:
            return
        lines = (json.dumps({"step": step, **r}, ensure_ascii=False) + "\n" for r in rows)
        with self.path.open("a", encoding="utf-8") as file:
            file.write("".join(lines))
        self.count += len(rows)


def _finite(metrics: Mapping[str, float]) -> dict[str, float | None]:
    values = {k: float(v) for k, v in metrics.items()}
    return {k: v if math.isfinite(v) else None for k, v in values.items()}


def _truncate(path: pathlib.Path, step: int) -> None:
    if path.exists():
        rows = (row for row in run_dir.read_lines(path) if row["step"] <= step)
        kept = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
        files.write_whole(path, "".join(kept))
