"""Metrics of a run: one JSON line a logged step, TensorBoard beside it, and the examples left out.

On resume, lines past the restored step are cut off, so that no line is missing or doubled.
"""

import json
import math
import pathlib
from collections.abc import Mapping, Sequence

import tensorboardX


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
        _truncate(self._path, -1 if resume_step is None else resume_step)
        self._file = open(self._path, "a", encoding="utf-8")
        self._board = tensorboardX.SummaryWriter(str(folder / "tensorboard"))

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Writes one line; a value that is no finite number becomes null."""
        values = {k: float(v) for k, v in metrics.items()}
        line = {k: v if math.isfinite(v) else None for k, v in values.items()}
        self._file.write(json.dumps({"step": int(step), **line}) + "\n")
        self._file.flush()
        for name, value in line.items():
            if value is not None:
                self._board.add_scalar(name, value, step)

    def has(self, step: int, metrics: Mapping[str, float]) -> bool:
        """Returns whether a line of this step holds all these metrics already."""
        return any(r["step"] == step and r.keys() >= metrics.keys() for r in read(self._path))

    def close(self) -> None:
        """Flushes and closes both files."""
        self._file.close()
        self._board.close()


class RejectWriter:
    """Lists the examples that training left out, one JSON line each, in `rejects.jsonl`.

    Args:
        workdir: the run directory.
        resume_step: the last step whose lines stay; None starts over.

    Attributes:
        count: lines so far.
    """

    def __init__(self, workdir: str | pathlib.Path, resume_step: int | None = None):
        self.path = pathlib.Path(workdir) / "rejects.jsonl"
        _truncate(self.path, -1 if resume_step is None else resume_step)
        self.count = len(read(self.path)) if self.path.exists() else 0

    def write(self, step: int, rejects: Sequence[Mapping[str, str]]) -> None:
        """Adds the examples left out of a step: `dataset`, `id`, `error`, `reason`."""
        if not rejects:
            return
        lines = (json.dumps({"step": step, **r}, ensure_ascii=False) + "\n" for r in rejects)
        with self.path.open("a", encoding="utf-8") as file:
            file.write("".join(lines))
        self.count += len(rejects)


def read(path: str | pathlib.Path) -> list[dict]:
    """Returns the lines of a `metrics.jsonl`; a last line that was cut short is left out."""
    rows = []
    for line in pathlib.Path(path).read_text(encoding="utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows


def _truncate(path: pathlib.Path, step: int) -> None:
    if path.exists():
        kept = [
            json.dumps(row, ensure_ascii=False) + "\n" for row in read(path) if row["step"] <= step
        ]
        path.write_text("".join(kept), encoding="utf-8")
