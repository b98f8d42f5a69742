"""Finds the checkpoint that a path means.

    RUN                     the best checkpoint by config.ckpt_best, or the last one without it
    RUN/checkpoints         the same
    RUN/checkpoints/N       step N

Every command that takes a checkpoint uses `locate`, so that a path means the same everywhere. Only
names and small text files are read, no arrays.
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
    """The best step of a run by its own evaluations.

    Attributes:
        step: the step.
        score: the score as EVALUATOR/METRIC, from `config.ckpt_best`; "" if it is not known,
            because only summary.json names the step.
        value: the value of the score; NaN if it is not known.
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
        workdir: the absolute path of the run directory.
        folder: the folder of the checkpoint.
        step: the step of the checkpoint.
        last: the last step of the run that has a checkpoint.
        best: the score by which this step was chosen as the best; None if it was named, or chosen
            as the last one.
        named: whether the path or the caller named the step.
        note: a remark on the choice that the user should read; "" if there is no remark.
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
        """The folder that holds every checkpoint which the path may mean.

        It is the folder of this step if the step was named or is the best one. Otherwise it is the
        folder of all steps, because a running training may add a later last step."""
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
    """Returns whether a path looks like a run directory, its `checkpoints` or one step's folder."""
    path = pathlib.Path(path)
    names = path.name == CHECKPOINTS or _is_step(path)
    return names or (path / CHECKPOINTS).is_dir() or (path / "state").is_dir()


def workdir_of(path: str | pathlib.Path) -> pathlib.Path:
    """Returns the absolute path of the run directory of a path that `locate` accepts."""
    folder = _steps_folder(path)
    return folder.parent if folder.name == CHECKPOINTS else folder


def locate(path: str | pathlib.Path, step: int | None = None) -> Place:
    """Returns the checkpoint that a path means.

    Args:
        path: a run directory, its `checkpoints` folder, or the folder of one step.
        step: the step; None takes the step that the path names, or else the best, or else the last.

    Raises:
        FileNotFoundError: The path is no run, or has no whole checkpoint, or has no checkpoint of
            this step.
    """
    if step is None and _is_step(pathlib.Path(path).absolute()):
        step = int(pathlib.Path(path).absolute().name)
    folder, workdir = _steps_folder(path), workdir_of(path)
    if not folder.is_dir():
        there = "" if pathlib.Path(path).exists() else "does not exist: "
        raise FileNotFoundError(
            f"{path}: {there}no checkpoint here; give the --workdir of a run, or make one of "
            "another checkpoint: python -m tools.convert CHECKPOINT RUN --to orbax"
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
        # The run was killed before it saved this step, or the checkpoint was moved to damaged/. The
        # best step among the existing checkpoints is taken.
        best, _ = _best(workdir, steps)
        note = f"the checkpoint of step {wanted.step}, {wanted}, is not there"
    step = best.step if best else steps[-1]
    return Place(workdir, folder / str(step), step, steps[-1], best, note=note)


def has_checkpoints(workdir: str | pathlib.Path) -> bool:
    """Returns whether a run directory has a folder of checkpoints, which may be empty."""
    return (pathlib.Path(workdir) / CHECKPOINTS).is_dir()


def whole_steps(workdir: str | pathlib.Path) -> list[int]:
    """Returns the steps of a run's whole checkpoints in rising order; empty if it has none."""
    return _whole_steps(pathlib.Path(workdir) / CHECKPOINTS)


def best_of(
    rows: Sequence[Mapping[str, Any]],
    score: str,
    lowest: bool = False,
    steps: Sequence[int] | None = None,
) -> Best | None:
    """Returns the step with the best value of a score, or None; for the arguments see `ranked`."""
    return next(iter(ranked(rows, score, lowest, steps)), None)


def ranked(
    rows: Sequence[Mapping[str, Any]],
    score: str,
    lowest: bool = False,
    steps: Sequence[int] | None = None,
) -> list[Best]:
    """Returns the steps sorted by the value of a score, the best first.

    Among steps with equal values the earliest comes first.

    Args:
        rows: the lines of metrics.jsonl. Step 0 has no checkpoint, so its line is ignored.
        score: the score as EVALUATOR/METRIC.
        lowest: whether the lowest value is the best.
        steps: the steps that may be chosen; None allows all.
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
    """Returns the lines of a JSON Lines file, up to the first that is not valid JSON.

    Such a line is the last one of a process that was killed while it wrote.
    """
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
    """Returns the contents of a JSON file of a run directory, or None if it does not exist.

    Args:
        path: the file.
        parse: a function from the text of the file to its contents.
        remedy: the end of the error message, which says what the user can do.

    Raises:
        ValueError: The file is broken.
    """
    if not path.exists():
        return None
    try:
        return parse(path.read_text(encoding="utf-8"))
    except ValueError as e:
        raise ValueError(f"{path} is broken ({e}){remedy}") from e


def _is_step(path: pathlib.Path) -> bool:
    # A step folder that does not exist still names its step, so that the error can say so.
    known = path.parent.name == CHECKPOINTS and path.parent.is_dir()
    return path.name.isdigit() and (known or (path / "state").is_dir())


def _steps_folder(path: str | pathlib.Path) -> pathlib.Path:
    # Returns the folder of all steps. It is called `checkpoints`, unless it is a renamed copy.
    folder = pathlib.Path(path).absolute()
    if _is_step(folder):
        return folder.parent
    return folder / CHECKPOINTS if (folder / CHECKPOINTS).is_dir() else folder


def _whole_steps(folder: pathlib.Path) -> list[int]:
    # A checkpoint that is still being written has a temporary name that is no number.
    names = [p.name for p in folder.iterdir()] if folder.is_dir() else []
    return sorted(int(n) for n in names if n.isdigit())


def _best(workdir: pathlib.Path, steps: Sequence[int] | None = None) -> tuple[Best | None, str]:
    # Returns the best step and a note, which says why the best step is not known. The best step
    # follows from config.json and metrics.jsonl. summary.json is read only if these are missing,
    # because it may be out of date: a finished run that goes on with another `ckpt_best`, or
    # without one, keeps its old summary until it is finished again.
    try:
        config = read_json(workdir / "config.json") or {}
        score, path = config.get("ckpt_best"), workdir / "metrics.jsonl"
        if score == "":  # The run chooses no best step. A missing field does not mean this.
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
