"""Which checkpoint of a run is the best by the score that its config names."""

import pathlib
from collections.abc import Mapping
from typing import Any

from big_rad.config.defaults import Config
from big_rad.workdir import run_dir


class BestCheckpoint:
    """The step with the best value of `config.ckpt_best` so far.

    Args:
        config: reads `ckpt_best` and `ckpt_best_mode`; see `config_check.check_best`.
        workdir: the run directory, whose metrics hold those of the steps before.
        first_step: the last of these.
    """

    def __init__(self, config: Config, workdir: str | pathlib.Path, first_step: int):
        self._name, self._rows = config.ckpt_best, []
        self._lowest = config.ckpt_best_mode == "min"
        if not self._name:
            return
        path = pathlib.Path(workdir) / "metrics.jsonl"
        for row in run_dir.read_lines(path) if path.exists() else []:
            if row["step"] <= first_step:
                self.add(row["step"], row)

    def add(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Takes a value, if `metrics` have it."""
        if self._name in metrics:
            self._rows.append({"step": step, self._name: metrics[self._name]})

    @property
    def step(self) -> int | None:
        """That step, or None."""
        return None if self.found is None else self.found.step

    @property
    def steps(self) -> list[int]:
        """The steps that have a value, the best first; `run_dir.locate` goes through the same."""
        return [b.step for b in run_dir.ranked(self._rows, self._name, self._lowest)]

    @property
    def found(self) -> run_dir.Best | None:
        """That step with its value, or None; `run_dir.locate` finds the same one."""
        return run_dir.best_of(self._rows, self._name, self._lowest)
