"""Runs the evaluations of a training run, and writes their results into the run directory.

The trainer asks `Evaluations` which evaluators are due after a step, and passes the parameters:

    metrics = evaluations.run(evaluations.due(step, total_steps), state["params"])
    evaluations.record(step, metrics)
"""

import json
import math
import pathlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from big_rad import evaluators as evaluator_lib
from big_rad import files
from big_rad.evaluators import before_after, headlines
from big_rad.evaluators import samples as sample_files
from big_rad.pp import tokenizer as tokenizers
from big_rad.training.best_checkpoint import BestStep
from big_rad.workdir import metric_writer


def build_all(
    specs: Mapping[str, Any],
    data: Mapping[str, Any],
    functions: Mapping[str, Any],
    tokenizer: tokenizers.Tokenizer,
    data_dir: str,
    samples_dir: pathlib.Path,
) -> dict[str, Any]:
    """Returns the evaluators of a run by name.

    Args:
        specs: name -> entry of `config.evals`.
        data: name -> the data of the evaluator, see `possible.open_all`.
        functions: the functions that ask the model, see `functions.Functions`.
        tokenizer: the tokenizer of the model.
        data_dir: the folder of the built datasets.
        samples_dir: the folder for the samples.
    """
    return {
        name: evaluator_lib.build(
            name,
            spec,
            predict_fns=functions,
            tokenizer=tokenizer,
            data_dir=data_dir,
            samples_dir=samples_dir,
            data=data[name],
        )
        for name, spec in specs.items()
    }


class Evaluations:
    """Runs the evaluators of a training run, and records their metrics.

    Args:
        config: the config, of which `ckpt_best`, `ckpt_best_mode` and `summary` are used.
        specs: name -> entry of `config.evals`, for the evaluators that can run.
        evaluators: name -> evaluator.
        writer: receives the metrics and pictures.
        best: receives the metrics, to choose the best step.
        log: receives the headlines.
    """

    def __init__(
        self,
        config: Any,
        specs: Mapping[str, Any],
        evaluators: Mapping[str, Any],
        writer: metric_writer.MetricWriter,
        best: BestStep,
        log: Callable[[str], None],
    ):
        self.specs, self.evaluators = specs, evaluators
        self._chosen, self._lowest = config.ckpt_best, config.ckpt_best_mode == "min"
        self._named = config.summary
        self._writer, self._best, self._log = writer, best, log

    def while_training(self) -> list[str]:
        """Returns the names of the evaluators that also run during training."""
        return [name for name, spec in self.specs.items() if spec.get("every")]

    def due(self, step: int, total_steps: int) -> list[str]:
        """Returns the names of the evaluators that run after a step.

        The list is empty for the last step, after which all evaluators run.
        """
        if step >= total_steps:
            return []
        return [n for n in self.while_training() if step % self.specs[n]["every"] == 0]

    def run(self, names: Iterable[str], params: Mapping[str, Any]) -> dict[str, float]:
        """Runs the named evaluators, and returns `evaluator/metric` -> value."""
        return {
            f"{n}/{metric}": float(value)
            for n in names
            for metric, value in self.evaluators[n].run(params)
        }

    def record(self, step: int, metrics: Mapping[str, float]) -> None:
        """Logs the headlines of a step's metrics, writes them, and lets them choose the best."""
        for line in headlines.lines(
            step,
            metrics,
            self.specs,
            self._writer.rows(),
            chosen=self._chosen,
            lowest=self._lowest,
        ):
            self._log(line)
        if metrics and not self._writer.has(step, metrics):  # A finished run may be run again.
            self._writer.write(step, metrics)
            ran = {
                n: e
                for n, e in self.evaluators.items()
                if any(k.startswith(f"{n}/") for k in metrics)
            }
            self._writer.pictures(step, sample_files.overlays(ran))
        if step:  # There is no checkpoint of step 0.
            self._best.add(step, metrics)

    def summary(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """Returns the metrics that `config.summary` names, or the main scores if it is empty."""
        named = {alias: metrics.get(name, math.nan) for alias, name in self._named.items()}
        return named or headlines.default_summary(self.specs, metrics)

    def write_summary(
        self, workdir: pathlib.Path, summary: Mapping[str, float], reported: int
    ) -> None:
        """Writes `summary.json`, and the comparison of before and after if the run has one.

        Args:
            workdir: the run directory.
            summary: the content of `summary.json`.
            reported: the step whose scores the summary has.
        """
        whole = json.dumps(sample_files.without_nan(summary), indent=1)
        files.write_whole(workdir / "summary.json", whole)
        changes = before_after.compare(self.evaluators, workdir / "samples")
        if changes:
            before_after.write(workdir, changes)
            self._log(before_after.text(changes, self.specs, reported))
