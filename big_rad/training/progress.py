"""Reports the progress of a training run: lines with loss and rates, and profiler traces."""

import math
import pathlib
import time
from collections.abc import Callable, Mapping

import jax
import numpy as np
from jaxtyping import PyTree, Shaped

_FEW_STEPS = 3  # The number of timed steps that an estimate of the remaining time needs.


class Progress:
    """Prints lines of progress and measures examples, tokens and targets per second.

    The remaining time (ETA) is estimated as soon as a few steps were timed. A step that has to
    compile, because its batch has new shapes, is not timed.

    Args:
        first_step: the step that the run goes on from; the next one is the first that is timed.
        total_steps: the number of steps of the run.
        batch_size: the number of examples of a step.
        log: receives the lines.
    """

    def __init__(
        self, first_step: int, total_steps: int, batch_size: int, log: Callable[[str], None]
    ):
        self._total, self._batch, self._log = total_steps, batch_size, log
        self._shapes: set[tuple[tuple[str, tuple[int, ...]], ...]] = set()
        self._timed: list[float] = [0, 0.0]  # The timed steps since the start, and their seconds.
        self._lately: list[float] = [0, 0.0]  # The same since the last line.
        self.restart(first_step)

    def restart(self, step: int) -> None:
        """Starts measuring again, so that the time up to now, such as an evaluation, is ignored.

        Args:
            step: the last step that is done.
        """
        self._step, self._time = step, time.monotonic()
        self._tokens = self._targets = 0
        self._mark, self._open, self._lately = self._time, False, [0, 0.0]

    def saw(self, batch: Mapping[str, Shaped[np.ndarray, "rows ..."]]) -> None:
        """Notes the batch of a step that is about to begin, and counts its tokens and targets.

        Args:
            batch: this process's part of the batch. The tokens are the nonzero entries of `text`,
                the targets those of `mask_loss`, each [B, T + 1].
        """
        self._step_ends()
        shapes = tuple(sorted((k, np.shape(x)) for k, x in batch.items()))
        self._open, self._compiles = True, shapes not in self._shapes
        self._shapes.add(shapes)
        self._tokens += np.count_nonzero(batch["text"]) if "text" in batch else 0
        self._targets += np.count_nonzero(batch["mask_loss"]) if "mask_loss" in batch else 0

    def line(self, step: int, values: Mapping[str, float]) -> dict[str, float]:
        """Prints the line of a step.

        Args:
            step: the step that was just computed.
            values: its metrics, among them `training_loss` and `l2_grads`.

        Returns:
            The rates since the last line: `examples_per_second`, and `tokens_per_second` and
            `targets_per_second` of text without padding. The last two are those of this process
            times the number of processes.
        """
        self._step_ends()
        steps, timed = self._lately if self._lately[0] >= _FEW_STEPS else self._timed
        left = "in a few steps"
        if steps >= _FEW_STEPS:
            left = f"{(self._total - step) * timed / steps / 60:.1f} min"
        seconds = max(time.monotonic() - self._time, 1e-9)
        rate = (step - self._step) / seconds
        rates = {"examples_per_second": rate * self._batch}
        for name, count in (("tokens", self._tokens), ("targets", self._targets)):
            rates[f"{name}_per_second"] = jax.process_count() * float(count) / seconds
        self.restart(step)
        self._log(
            f"step {step}/{self._total}  loss {values['training_loss']:.4f}  "
            f"acc {_accuracy(values):.3f}  l2_grads {values['l2_grads']:.3f}  "
            f"{rate * self._batch:.1f} ex/s  ETA {left}"
        )
        return rates

    def _step_ends(self) -> None:
        # Counts the step that was noted last, with the wait for the next batch, unless it had to
        # compile.
        now = time.monotonic()
        if self._open:
            if not self._compiles:
                for tally in (self._timed, self._lately):
                    tally[0] += 1
                    tally[1] += now - self._mark
            self._mark, self._open = now, False


class Clock:
    """Measures the seconds that a run has taken so far, earlier starts included."""

    def __init__(self):
        self._earlier, self._start = 0.0, time.monotonic()

    def add(self, seconds: float) -> None:
        """Adds the seconds of earlier starts."""
        self._earlier += seconds

    def seconds(self) -> float:
        """Returns the seconds so far."""
        return self._earlier + time.monotonic() - self._start


class Profiler:
    """Writes a trace of some steps, for https://ui.perfetto.dev or TensorBoard.

    Args:
        window: the steps to trace as "START:STOP": START is the first step that is traced, STOP the
            first that is not. "" traces no steps.
        folder: the folder that the trace is written to.

    Raises:
        ValueError: `window` is neither empty nor two numbers, the first below the second.
    """

    def __init__(self, window: str, folder: str | pathlib.Path):
        start, _, stop = window.partition(":")
        if window and not (start.isdigit() and stop.isdigit() and int(start) < int(stop)):
            raise ValueError(f"--profile={window}: write it as START:STOP, such as 20:23")
        self._steps = range(int(start), int(stop)) if window else range(0)
        self._folder, self._running = pathlib.Path(folder), False

    def step(self, number: int, state: PyTree = None) -> jax.profiler.StepTraceAnnotation:
        """Returns a context for computing a step, and starts or ends the trace if it is due.

        Args:
            number: the step.
            state: the arrays of the step before. The trace starts or ends when they are computed,
                so that it holds whole steps.
        """
        if number in self._steps and not self._running:
            jax.block_until_ready(state)
            jax.profiler.start_trace(self._folder, create_perfetto_trace=True)
            self._running = True
        elif self._running and number >= self._steps.stop:
            self.close(state)
        return jax.profiler.StepTraceAnnotation("train", step_num=number)

    def close(self, state: PyTree = None) -> None:
        """Ends the trace, if one is running.

        Args:
            state: the arrays of the last step; the trace ends when they are computed.
        """
        if self._running:
            jax.block_until_ready(state)
            jax.profiler.stop_trace()
            self._running = False


def _accuracy(values: Mapping[str, float]) -> float:
    # Of tokens, or of pairs: the share of images whose most similar text in the batch is theirs.
    return values.get("token_accuracy", values.get("text_accuracy", math.nan))
