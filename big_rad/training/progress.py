"""What a running training says of itself: lines of progress with rates, and traces of steps."""

import pathlib
import time
from collections.abc import Callable, Mapping

import jax
import numpy as np
from jaxtyping import PyTree, Shaped

_FEW_STEPS = 3  # that are timed before there is an ETA


class Progress:
    """Prints a line of progress and measures examples, tokens and targets a second.

    The time that is left (ETA) is estimated from the steps that had nothing to compile (the shapes
    of their batch came before), as soon as there are a few of them.

    Args:
        first_step: the step before the first that is timed.
        total_steps: of the run.
        batch_size: examples of a step.
        log: receives the lines.
    """

    def __init__(
        self, first_step: int, total_steps: int, batch_size: int, log: Callable[[str], None]
    ):
        self._total, self._batch, self._log = total_steps, batch_size, log
        self._shapes: set[tuple[tuple[str, tuple[int, ...]], ...]] = set()
        self._timed: list[float] = [0, 0.0]  # Steps, and their seconds, since the start.
        self._lately: list[float] = [0, 0.0]  # Since the last line.
        self.restart(first_step)

    def restart(self, step: int) -> None:
        """Leaves the time up to now out, such as that of an evaluation."""
        self._step, self._time = step, time.monotonic()
        self._tokens = self._targets = 0
        self._mark, self._open, self._lately = self._time, False, [0, 0.0]

    def saw(self, batch: Mapping[str, Shaped[np.ndarray, "rows ..."]]) -> None:
        """Notes a batch whose step begins, and counts the text of this process's part of it:
        `text` and `mask_loss` [B, T+1]."""
        self._step_ends()
        shapes = tuple(sorted((k, np.shape(x)) for k, x in batch.items()))
        self._open, self._compiles = True, shapes not in self._shapes
        self._shapes.add(shapes)
        self._tokens += np.count_nonzero(batch["text"]) if "text" in batch else 0
        self._targets += np.count_nonzero(batch["mask_loss"]) if "mask_loss" in batch else 0

    def line(self, step: int, values: Mapping[str, float]) -> dict[str, float]:
        """Prints the line of a step.

        Returns:
            Since the last line, and of all processes if they do alike: `examples_per_second`, and
            `tokens_per_second` and `targets_per_second` of text, padding left out.
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
            f"acc {values.get('token_accuracy', 0):.3f}  l2_grads {values['l2_grads']:.3f}  "
            f"{rate * self._batch:.1f} ex/s  ETA {left}"
        )
        return rates

    def _step_ends(self) -> None:
        # Counts the step that is open, with the wait for its batch, unless it had to compile.
        now = time.monotonic()
        if self._open:
            if not self._compiles:
                for tally in (self._timed, self._lately):
                    tally[0] += 1
                    tally[1] += now - self._mark
            self._mark, self._open = now, False


class Clock:
    """Seconds that a run has taken so far, those of earlier starts included."""

    def __init__(self):
        self._earlier, self._start = 0.0, time.monotonic()

    def add(self, seconds: float) -> None:
        """Counts the seconds of earlier starts."""
        self._earlier += seconds

    def seconds(self) -> float:
        """Returns the seconds up to now."""
        return self._earlier + time.monotonic() - self._start


class Profiler:
    """Writes a trace of some steps, for https://ui.perfetto.dev or TensorBoard.

    Args:
        window: "START:STOP", the first step that is traced and the first that is not; "" traces
            none.
        folder: where the trace is put.

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
        """Returns a context for a step; the trace starts or ends before it, `state` computed."""
        if number in self._steps and not self._running:
            jax.block_until_ready(state)
            jax.profiler.start_trace(self._folder, create_perfetto_trace=True)
            self._running = True
        elif self._running and number >= self._steps.stop:
            self.close(state)
        return jax.profiler.StepTraceAnnotation("train", step_num=number)

    def close(self, state: PyTree = None) -> None:
        """Ends the trace, if one runs, when `state`, arrays of the last step, is computed."""
        if self._running:
            jax.block_until_ready(state)
            jax.profiler.stop_trace()
            self._running = False
