"""Finds the best step of a run by the score that `config.ckpt_best` names."""

import pathlib
from collections.abc import Mapping
from typing import Any

from big_rad.config.defaults import Config
from big_rad.workdir import run_dir


class BestStep:
    """The step with the best value of `config.ckpt_best` so far.

    Args:
        config: the config, of which `ckpt_best` and `ckpt_best_mode` are read; see
            `config_check.check_best`.
        workdir: the run directory, whose metrics.jsonl holds the scores of earlier steps.
        first_step: the step that the run goes on from; later lines of metrics.jsonl do not count.
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
        """Notes the score of a step, if `metrics` contain it."""
        if self._name in metrics:
            self._rows.append({"step": step, self._name: metrics[self._name]})

    @property
    def step(self) -> int | None:
        """The best step, or None if no step has a value yet."""
        best = self._best()
        return None if best is None else best.step

    @property
    def ranked_steps(self) -> list[int]:
        """The steps that have a value, the best first.

        `run_dir.locate` chooses in the same order.
        """
        return [b.step for b in run_dir.ranked(self._rows, self._name, self._lowest)]

    @property
    def description(self) -> str:
        """The score of the best step in words, or "" if no step has a value yet."""
        best = self._best()
        return "" if best is None else str(best)

    def _best(self) -> run_dir.Best | None:
        return run_dir.best_of(self._rows, self._name, self._lowest)
