"""What the parts of `tools.bench gpu` have in common: settings, rows of figures, and timing.

A part is a function (settings, emit) of `gpu_training` or `gpu_decoding`. It calls `emit` with a
row of figures as soon as it has one, so that a part that is stopped keeps its first rows. Weights
are random and made on the device. A row is a dict with these keys, all optional except `what`:

- `what`: the name of the thing that was measured.
- `ms`: the milliseconds of one run.
- `rate`, `unit`: the rate, such as 31.5, and its unit, such as "texts/s".
- `useful`, `hardware`: useful and done FLOP/s, see `big_rad.models.counts`.
- `mfu`, `hfu`: `useful` and `hardware` as shares of the device's peak, if the peak is known.
- `bandwidth`: the used share of the memory bandwidth.
- `gib`: the peak memory of the device so far in this process.
- `compile`: the seconds of compilation.
- `target`, `of_target`: the figure to reach, as text, and the share of it that was reached.
- `note`: a remark.
"""

import dataclasses
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax

Row = dict[str, Any]
Emit = Callable[[Row], None]


class SkippedError(Exception):
    """A part cannot run here; the message says why."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """The sizes and numbers of everything that is measured.

    Attributes:
        size: a name in `sizes.SIZES`.
        dtype: the dtype of matrix products.
        batch: the number of texts in an optimizer step.
        grad_accum: the number of microbatches in a step with one text per row.
        packed_accum: the number of microbatches in a step with several texts per row.
        original_rows: the number of rows in a microbatch of the peer in the original's way. At
            `batch` texts, twelve microbatches are a step.
        equal_rows: the number of rows in a microbatch of the peer at our shapes. There the peer
            keeps more memory for the backward pass than we do.
        texts: the numbers of texts per image that are measured, one after another.
        window: the number of steps whose texts are sorted by length together.
        buckets: the largest number of length buckets in a part. The rarest buckets are left out,
            but never the bucket of the longest texts.
        rounds: how often each program is timed.
        tokens: the number of new tokens of a single row.
        images: the number of images about which the queue is asked questions.
        questions: the number of questions about each of these images.
        answer: the number of tokens in the answer to a question.
        reports: the number of images that get a report from the queue.
        report: the number of tokens in a report.
        rows: how many rows the queue decodes together.
        mask_fields: the fields of the config with masks that are changed, by name.
        peak_tflops: the peak of the device in TFLOP/s; None takes the table.
        bandwidth_gbs: the memory bandwidth of the device in GB/s; None takes the table.
    """

    size: str = "3b"
    dtype: str = "bfloat16"
    batch: int = 288
    grad_accum: int = 8
    packed_accum: int = 4
    original_rows: int = 24
    equal_rows: int = 12
    texts: tuple[int, ...] = (4, 6, 9)
    window: int = 16
    buckets: int = 7
    rounds: int = 2
    tokens: int = 64
    images: int = 128
    questions: int = 8
    answer: int = 8
    reports: int = 512
    report: int = 25
    rows: int = 128
    mask_fields: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    peak_tflops: float | None = None
    bandwidth_gbs: float | None = None


FULL = Settings()
# Runs everything once on a CPU, as a check that it runs.
DRY = Settings(
    size="tiny", dtype="float32", batch=6, grad_accum=2, packed_accum=1, original_rows=2,
    equal_rows=2, texts=(6,), window=1, buckets=1, rounds=1, tokens=8, images=2, questions=2,
    answer=2, reports=4, report=3, rows=4,
    mask_fields={
        "grad_accum": 1, "model.mask_decoder.depth": 1, "model.mask_decoder.min_side": 4
    },
)  # fmt: skip


def seconds_of(run: Callable[[], object], rounds: int) -> float:
    """Returns the median seconds of a run, after a first run that does not count.

    Args:
        run: the function to time.
        rounds: how often it is timed.
    """
    run()
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def of_target(reached: float, target: float, text: str) -> Row:
    """Returns the fields of a row that say which share of a target was reached.

    Args:
        reached: the measured figure.
        target: the figure to reach.
        text: the target in words.
    """
    return {"target": text, "of_target": reached / target}


def peak_memory() -> Row:
    """Returns the field of a row with the peak memory so far, or {} if it is not known."""
    found = jax.devices()[0].memory_stats()
    return {"gib": found["peak_bytes_in_use"] / 2**30} if found else {}
