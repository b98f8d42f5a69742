"""Which checkpoint a path names: a run directory, its `checkpoints` folder, or one step's folder.

This is decided here alone. A run directory means its best checkpoint where the run chose one by
`config.ckpt_best`, and its last one otherwise; `RUN/checkpoints/N` names step N. Reads names and
small text files, no arrays.
"""

import dataclasses
import json
import math
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

CHECKPOINTS = "checkpoints"


@dataclasses.dataclass(frozen=True)
class Best:
    """The step that a run's own evaluations prefer.

    Attributes:
        step: that step.
        score: EVALUATOR/METRIC, of `config.ckpt_best`; "" if only summary.json names the step.
        value: of this score; NaN if it is not known.
    """

    step: int
    score: str = ""
    value: float = math.nan

    def __str__(self):
        value = "" if math.isnan(self.value) else f" ({self.value:.3f})"
        return f"the best by {self.score}{value}" if self.score else "the best of the run"


@dataclasses.dataclass(frozen=True)
class Place:
    """One checkpoint of a run.

    Attributes:
        workdir: the run directory, absolute.
        folder: that of the step.
        step: of the checkpoint.
        last: the run's last step that has a checkpoint.
        best: why this step was chosen; None if it is the last one, or was named.
        named: whether the path or the caller named the step.
        note: what else has to be said about the choice, "" for nothing.
    """

    workdir: pathlib.Path
    folder: pathlib.Path
    step: int
    last: int
    best: Best | None = None
    named: bool = False
    note: str = ""

    @property
    def files(self) -> pathlib.Path:
        """The folder whose files are what `locate` may choose: one step's, or that of all steps
        where the last one counts, which may become another."""
        return self.folder if self.named or self.best is not None else self.folder.parent

    def __str__(self):
        if self.named:
            return f"step {self.step}, as named"
        if self.best is None:
            text = f"step {self.step}, the last"
        elif self.step == self.last:
            text = f"step {self.step}, {self.best} and the last"
        else:
            text = f"step {self.step}, {self.best}; the last is step {self.last}"
        return f"{text}; {self.note}" if self.note else text


def is_run(path: str | pathlib.Path) -> bool:
    """Returns whether a path looks like a run directory, its checkpoints or one of them."""
    path = pathlib.Path(path)
    names = path.name == CHECKPOINTS or _is_step(path)
    return names or (path / CHECKPOINTS).is_dir() or (path / "state").is_dir()


def workdir_of(path: str | pathlib.Path) -> pathlib.Path:
    """Returns the run directory of a path that `locate` takes, absolute."""
    folder = _steps_folder(path)
    return folder.parent if folder.name == CHECKPOINTS else folder


def locate(path: str | pathlib.Path, step: int | None = None) -> Place:
    """Returns the checkpoint that a path names.

    Args:
        path: a run directory, its `checkpoints` folder, or one step's folder.
        step: which step; None takes the one that the path names, else the best, else the last.

    Raises:
        FileNotFoundError: no run, no whole checkpoint, or none of this step.
    """
    if step is None and _is_step(pathlib.Path(path).absolute()):
        step = int(pathlib.Path(path).absolute().name)
    folder, workdir = _steps_folder(path), workdir_of(path)
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{path}: no checkpoint here; give the --workdir of a run, or make one of another "
            "checkpoint: python -m tools.convert CHECKPOINT RUN --to orbax"
        )
    steps = _whole_steps(folder)
    if not steps or (step is not None and step not in steps):
        raise FileNotFoundError(
            f"{path}: no whole checkpoint{'' if step is None else f' of step {step}'}; "
            f"steps here: {steps or 'none'}"
        )
    if step is not None:
        return Place(workdir, folder / str(step), step, steps[-1], named=True)
    wanted, note = _best(workdir)
    best = wanted
    if wanted is not None and wanted.step not in steps:
        # Killed before it was saved, or moved to damaged/: the next best of those that are there.
        best, _ = _best(workdir, steps)
        note = f"the checkpoint of step {wanted.step}, {wanted}, is not there"
    step = best.step if best else steps[-1]
    return Place(workdir, folder / str(step), step, steps[-1], best, note=note)


def has_checkpoints(workdir: str | pathlib.Path) -> bool:
    """Returns whether a run directory has a folder of checkpoints, which may be empty."""
    return (pathlib.Path(workdir) / CHECKPOINTS).is_dir()


def whole_steps(workdir: str | pathlib.Path) -> list[int]:
    """Returns the steps of a run's whole checkpoints, in order; empty without any."""
    return _whole_steps(pathlib.Path(workdir) / CHECKPOINTS)


def best_of(
    rows: Sequence[Mapping[str, Any]],
    score: str,
    lowest: bool = False,
    steps: Sequence[int] | None = None,
) -> Best | None:
    """Returns the step with the best value of a score, see `ranked`."""
    return next(iter(ranked(rows, score, lowest, steps)), None)


def ranked(
    rows: Sequence[Mapping[str, Any]],
    score: str,
    lowest: bool = False,
    steps: Sequence[int] | None = None,
) -> list[Best]:
    """Returns the steps by the value of a score, the best first; of equal ones the earlier first.

    Args:
        rows: lines of metrics.jsonl. There is no checkpoint of step 0, so its line does not count.
        score: EVALUATOR/METRIC.
        lowest: the lowest value is the best.
        steps: those that may be chosen; None allows all.
    """
    found = []
    for row in rows:
        step, value = row.get("step", 0), row.get(score)
        if not step or (steps is not None and step not in steps):
            continue
        if value is not None and math.isfinite(value):
            found.append(Best(step, score, value))
    return sorted(found, key=lambda b: b.value if lowest else -b.value)


def read_lines(path: str | pathlib.Path) -> list[dict[str, Any]]:
    """Returns the lines of a file of JSON lines; a last line that was cut short is left out."""
    rows = []
    for line in pathlib.Path(path).read_text(encoding="utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows


def read_json(
    path: pathlib.Path, parse: Callable[[str], Any] = json.loads, remedy: str = ""
) -> Any:
    """Returns what a JSON file of a run directory holds, or None if it is not there.

    Args:
        path: the file.
        parse: makes it of the text.
        remedy: what the message of an error ends with.

    Raises:
        ValueError: the file is broken.
    """
    if not path.exists():
        return None
    try:
        return parse(path.read_text(encoding="utf-8"))
    except ValueError as e:
        raise ValueError(f"{path} is broken ({e}){remedy}") from e


def _is_step(path: pathlib.Path) -> bool:
    # One that is not there, or no longer, is named as well.
    known = path.parent.name == CHECKPOINTS and path.parent.is_dir()
    return path.name.isdigit() and (known or (path / "state").is_dir())


def _steps_folder(path: str | pathlib.Path) -> pathlib.Path:
    # Where the steps lie. It is called `checkpoints`, or else as a copy of it was named.
    folder = pathlib.Path(path).absolute()
    if _is_step(folder):
        return folder.parent
    return folder / CHECKPOINTS if (folder / CHECKPOINTS).is_dir() else folder


def _whole_steps(folder: pathlib.Path) -> list[int]:
    # A checkpoint is written under another name, and gets its own when it is whole.
    names = [p.name for p in folder.iterdir()] if folder.is_dir() else []
    return sorted(int(n) for n in names if n.isdigit())


def _best(workdir: pathlib.Path, steps: Sequence[int] | None = None) -> tuple[Best | None, str]:
    # The best step as metrics.jsonl and the config tell, and what keeps it from being known. What
    # summary.json has counts only where these are gone: a finished run that goes on with another
    # `ckpt_best`, or without one, keeps its old summary until it is finished again.
    try:
        config = read_json(workdir / "config.json") or {}
        score, path = config.get("ckpt_best"), workdir / "metrics.jsonl"
        if score == "":  # The run chooses none. A config that lacks the field says nothing.
            return None, ""
        rows = read_lines(path) if score and path.exists() else []
        if rows:
            found = best_of(rows, score, config.get("ckpt_best_mode") == "min", steps)
            return found, "" if found else f"no checkpoint has a value of {score}"
        step = (read_json(workdir / "summary.json") or {}).get("best_step")
    except (OSError, ValueError, AttributeError) as e:
        return None, f"which step is the best is not known ({e})"
    known = isinstance(step, int) and (steps is None or step in steps)
    return (Best(step, score or "") if known else None), ""
