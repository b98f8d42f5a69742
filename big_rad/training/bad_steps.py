"""Stops a run, or leaves out single steps, when losses or examples are bad.

A step computes on the device whether it was bad (`step.Guard`). The host reads these results only
when it logs, so that no step has to wait for the host.
"""

import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Array, Float

from big_rad.config.defaults import Config
from big_rad.workdir import metric_writer, run_dir
from big_rad.workdir.info import TrainingError

# The share of unusable examples is computed over at least this many examples, so that one bad file
# does not end a run at its start.
_LEAST = 1000


class BadStepMonitor:
    """Checks on the host which steps were bad and which examples were left out.

    Args:
        config: the config, of which `bad_steps`, `input.batch_size` and `input.max_reject_share`
            are read.
        workdir: the run directory, where `skipped.jsonl` and `rejects.jsonl` are written.
        first_step: the step that the run goes on from.
    """

    def __init__(self, config: Config, workdir: str | pathlib.Path, first_step: int):
        self._skip = config.bad_steps.action == "skip"
        self._most = config.bad_steps.most
        self._batch_size = config.input.batch_size
        self._share = config.input.max_reject_share
        self._skipped = metric_writer.ListWriter(workdir, "skipped", first_step)
        self._rejected = metric_writer.ListWriter(workdir, "rejects", first_step)
        self._pending: list[tuple[int, Sequence[str], Mapping[str, Float[Array, ""]]]] = []

    def add_rejects(self, step: int, rows: Sequence[Mapping[str, str]]) -> None:
        """Lists the examples that could not be used for a batch.

        Args:
            step: the step of the batch.
            rows: one entry per example, with `dataset`, `id`, `error` and `reason`.

        Raises:
            TrainingError: The share of such examples exceeds `config.input.max_reject_share`.
        """
        self._rejected.write(step, rows)
        count, examples = self._rejected.count, step * self._batch_size
        if count > self._share * max(examples, _LEAST):
            last = run_dir.read_lines(self._rejected.path)[-1]
            raise TrainingError(
                f"{count} of {examples} examples could not be used, more than "
                f"config.input.max_reject_share={self._share:g} of "
                f"{max(examples, _LEAST)}; {self._rejected.path} lists them. "
                f"The last, {last['id']!r} of {last['dataset']}: {last['error']}: {last['reason']}"
            )

    def add_step(
        self, step: int, ids: Sequence[str], metrics: Mapping[str, Float[Array, ""]]
    ) -> None:
        """Notes a step, whose metrics may not be computed yet.

        Args:
            step: the number of the step.
            ids: the ids of its examples, for messages.
            metrics: the metrics of the step, scalars on the device.
        """
        self._pending.append((step, ids, metrics))

    def check(self) -> dict[str, float]:
        """Checks all steps since the last call, and returns the metrics of the newest.

        Returns:
            The metrics of the newest step, with the counts `rejected_examples` and, if bad steps
            are skipped, `skipped_steps`.

        Raises:
            TrainingError: A step was bad and `config.bad_steps.action` is "stop", or more than
                `config.bad_steps.most` steps were skipped.
        """
        values: dict[str, float] = {}
        for step, ids, metrics in self._pending:
            values = {k: float(v) for k, v in metrics.items()}
            bad = values.pop("bad_step", 0.0)
            finite = np.isfinite([values["training_loss"], values["l2_grads"]]).all()
            if not finite or bad:
                self._handle_bad(step, ids, values["training_loss"], finite)
        self._pending = []
        return values | {
            "rejected_examples": self._rejected.count,
            **({"skipped_steps": self._skipped.count} if self._skip else {}),
        }

    def _handle_bad(self, step: int, ids: Sequence[str], loss: float, finite: bool) -> None:
        what = f"the loss is a spike ({loss:.4g})"
        if not finite:
            what = "the loss or its gradient is not finite"
        where = f"step {step}, batch ids {', '.join(map(str, ids)) or 'unknown'}"
        remedy = "look at these examples, or lower config.lr or raise the warm-up"
        if not self._skip:
            raise TrainingError(
                f"{what} at {where}. The last checkpoint is from before; {remedy}. "
                "--config.bad_steps.action=skip would leave such steps out."
            )
        self._skipped.write(step, [{"ids": list(map(str, ids)), "reason": what}])
        if self._skipped.count > self._most:
            raise TrainingError(
                f"{self._skipped.count} steps were left out, more than config.bad_steps.most="
                f"{self._most}; {self._skipped.path} lists them. The last: {what} at {where}; "
                f"{remedy}."
            )
