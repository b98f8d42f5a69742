"""Reads the state of a run from its directory: its progress, results, hardware and problems.

It may be read at any time, also while the trainer is running or after it was killed: only files
that are written as a whole or line by line are used.
"""

import dataclasses
import datetime
import pathlib
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from big_rad.config import defaults
from big_rad.config import recipes as config_lib
from big_rad.config.defaults import Config
from big_rad.models import counts
from big_rad.workdir import info as run_info
from big_rad.workdir import run_dir

Row = Mapping[str, Any]
_REMEDY = "; remove it, or start the run again"
_LATELY = 20  # The number of last lines whose rates `lately` takes the median of.
_FILES = ("run.json", "config.json", "metrics.jsonl")


@dataclasses.dataclass(frozen=True)
class RunState:
    """The contents of a run directory.

    Attributes:
        workdir: the run directory.
        config: the whole config; None before it is written.
        starts: the entries of run.json, see `info.write`; empty if the file does not exist.
        rows: the lines of metrics.jsonl.
        summary: the contents of summary.json; empty until the run is finished for the first time.
            If it goes on with more steps, it keeps the old summary until it is finished again.
        rejects, skipped: the lines of rejects.jsonl of all processes, and of skipped.jsonl.
        changes: the rows of before_after.json, see `evaluators.before_after`.
        parameters: the text of parameters.txt; "" if the file does not exist.
        written: the time when metrics.jsonl was last written; None if the file does not exist.
    """

    workdir: pathlib.Path
    config: Config | None
    starts: Sequence[Row]
    rows: Sequence[Row]
    summary: Row
    rejects: Sequence[Row]
    skipped: Sequence[Row]
    changes: Sequence[Row]
    parameters: str
    written: datetime.datetime | None

    @property
    def training(self) -> list[Row]:
        """The lines of training steps."""
        return [r for r in self.rows if "training_loss" in r]

    @property
    def step(self) -> int:
        """The last step that the directory knows of; 0 before the first step."""
        return max([r["step"] for r in self.rows] + [s["step"] for s in self.starts], default=0)

    @property
    def total_steps(self) -> int | None:
        """The number of steps of the whole run; None if it is not known."""
        if total := self._latest("total_steps"):
            return total
        return self.config.get("total_steps") if self.config else None

    @property
    def finished(self) -> bool:
        """Whether all steps are trained and the last evaluation is done."""
        return bool(self.summary) and self.summary.get("steps") == self.total_steps

    @property
    def seconds(self) -> float | None:
        """The seconds that the run has taken, evaluations included; None if they are not known.

        They are summed over its starts. Steps that were lost and trained again count once."""
        if self.finished and "seconds" in self.summary:
            return self.summary["seconds"]
        return last(self.training, "seconds")

    @property
    def step_seconds(self) -> float | None:
        """The part of `seconds` that was spent in training steps, estimated from the logged rates.

        None if a line has no rate."""
        if not self.config or not self.training:
            return None
        batch, total, before = self.config.input.batch_size, 0.0, 0
        for row in self.training:
            rate = row.get("examples_per_second")
            if not rate:
                return None
            total += (row["step"] - before) * batch / rate
            before = row["step"]
        return total

    @property
    def hardware(self) -> Row:
        """The hardware of the last start; empty if it is not known."""
        return self._latest("hardware") or {}

    @property
    def parameters_of(self) -> Row:
        """A dict from each subtree of the model to (number of parameters, number of trained ones).

        Empty if it is not known."""
        return self._latest("parameters") or {}

    @property
    def ended(self) -> Row:
        """How the last start ended: `how`, `why`, `step` and `time`; empty if it is not known."""
        return (self.starts[-1].get("ended") or {}) if self.starts else {}

    def _latest(self, field: str) -> Any:
        # The value of a field in the last start that has one.
        return next((s[field] for s in reversed(self.starts) if s.get(field)), None)

    def results(self) -> tuple[dict[str, dict[str, Any]], dict[str, int]]:
        """Returns (evaluator -> {metric: value}, evaluator -> step) of the last evaluations."""
        found: dict[str, dict[str, Any]] = {}
        steps: dict[str, int] = {}
        for row in self.rows:
            here: dict[str, dict[str, Any]] = {}
            for key, value in row.items():
                name, slash, metric = key.partition("/")
                if slash:
                    here.setdefault(name, {})[metric] = value
            found |= here
            steps |= dict.fromkeys(here, row["step"])
        return found, steps


def read(workdir: str | pathlib.Path) -> RunState:
    """Reads a run directory.

    Raises:
        ValueError: It is no run directory, or one of its files is broken.
    """
    workdir = pathlib.Path(workdir)
    if not any((workdir / name).exists() for name in _FILES):
        what = "has none of " + ", ".join(_FILES) if workdir.is_dir() else "does not exist"
        raise ValueError(
            f"{workdir} is no run directory: it {what}. Give the --workdir of big_rad.train, such "
            "as runs/demo"
        )
    metrics = workdir / "metrics.jsonl"
    written = None
    if metrics.exists():
        written = datetime.datetime.fromtimestamp(metrics.stat().st_mtime, datetime.UTC)
    table = workdir / "parameters.txt"
    return RunState(
        workdir=workdir,
        config=run_dir.read_json(workdir / "config.json", _config, _REMEDY),
        starts=run_info.read(workdir),
        rows=_lines(metrics),
        summary=run_dir.read_json(workdir / "summary.json", remedy=_REMEDY) or {},
        rejects=[r for path in sorted(workdir.glob("rejects*.jsonl")) for r in _lines(path)],
        skipped=_lines(workdir / "skipped.jsonl"),
        changes=run_dir.read_json(workdir / "before_after.json", remedy=_REMEDY) or [],
        parameters=table.read_text(encoding="utf-8") if table.exists() else "",
        written=written,
    )


def last(rows: Sequence[Row], name: str) -> Any:
    """Returns the last value of a metric that is not null, or None."""
    return next((r[name] for r in reversed(rows) if r.get(name) is not None), None)


def lately(rows: Sequence[Row], name: str) -> float | None:
    """Returns the median of the last values of a rate, or None if there are no values.

    A median is hardly changed by single slow lines, such as those after a pause.
    """
    values = [r[name] for r in rows if r.get(name) is not None]
    return statistics.median(values[-_LATELY:]) if values else None


def utilisation(run: RunState) -> tuple[float | None, str]:
    """Returns the model FLOPs utilisation (MFU) of a run.

    MFU is the number of useful FLOPs per second divided by the peak rate of the devices, see
    `counts`. It is computed from the latest rates, as if all texts had the mean length. A row with
    several texts of a decoder is counted as one image with one text.

    Returns:
        (MFU, words): the words name the devices and their peak rate, or say why the MFU is None.
    """
    kind = run.hardware.get("device_kind")
    if kind is None:
        return None, "the run directory does not say on what it ran"
    device = counts.find_device(kind)
    if device is None:
        return None, f"no peak rate is known of {kind!r}"
    names = ("examples_per_second", "tokens_per_second", "targets_per_second")
    examples, tokens, targets = (lately(run.training, n) for n in names)
    if not examples or not tokens or not targets:
        return None, "no rates are logged"
    parameters = run.parameters_of
    words = f"{run.hardware['devices']} x {kind} at {device.tflops:g} TFLOP/s (dense bfloat16)"
    peak = device.tflops * 1e12 * run.hardware["devices"]
    if "txt" in parameters:
        return _of_pairs(run, examples, targets, peak, words)
    tower = _trained(parameters)
    if tower is None:
        return None, "it is not counted for models of which only parts are trained"
    try:
        llm = run.config.model.llm.to_dict()
        llm["vocab_size"] = parameters["llm/embedder"][0] // llm["width"]
        dims = counts.Dims(run.config.model.img.to_dict(), llm, run.config.image.size)
        prefix, suffix = (tokens - targets) / examples, targets / examples
        flops = examples * counts.useful_example_flops(dims, prefix, suffix, tower)
    except (AttributeError, KeyError, TypeError):
        return None, "it is not counted for this kind of model"
    return flops / peak, words


def _of_pairs(
    run: RunState, examples: float, targets: float, peak: float, words: str
) -> tuple[float | None, str]:
    # The utilisation of a run of two towers. A forward and a backward pass cost three forward ones.
    # All tokens of a text are targets, with its padding.
    if any(run.parameters_of[n][0] != run.parameters_of[n][1] for n in ("img", "txt")):
        return None, "it is not counted for models of which only parts are trained"
    img, txt = (run.config.model[n].to_dict() for n in ("img", "txt"))
    try:
        texts = targets / examples / txt["length"]
        pair = counts.pair_of_towers_flops(img, txt, run.config.image.size, txt["length"], texts)
    except (KeyError, TypeError):
        return None, "it is not counted for this kind of model"
    return 3 * examples * pair / peak, words


def _trained(parameters: Mapping[str, Sequence[int]]) -> bool | None:
    # Returns whether the image tower is trained; None if only a part of the tower or the decoder is
    # trained, as with LoRA.
    tower, projector, decoder = (parameters.get(n) for n in ("img", "img/head", "llm"))
    if tower is None or projector is None or decoder is None or decoder[0] != decoder[1]:
        return None
    size, trained = (tower[i] - projector[i] for i in (0, 1))
    return trained == size if trained in (0, size) else None


def _config(text: str) -> config_lib.Config:
    return defaults.filled(config_lib.from_json(text))


def _lines(path: pathlib.Path) -> list[dict[str, Any]]:
    return run_dir.read_lines(path) if path.exists() else []
