"""The parts of `tools.bench gpu`: what a short time on one GPU should measure first.

A part is a function (settings, emit) of `gpu_training` or `gpu_decoding`. It calls `emit` with a
row of figures as soon as it has one, so that a part that is stopped keeps the rows before. Keys of
a row, all but `what` optional: `what`, what was measured; `ms`; `rate` and `unit`; `useful` and
`hardware`, FLOP/s and, where the device's peak is known, `mfu` and `hfu`, shares of it;
`bandwidth`, a share of the memory bandwidth; `gib`, the device's peak memory so far in this
process; `compile`, seconds; `target`, the figure to reach, as text, and `of_target`, what was
reached of it; `note`. Weights are random and made on the device. Knows nothing of budgets, files
and processes.
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
    """How large everything is.

    Attributes:
        size: a name in `sizes.SIZES`.
        dtype: of matrix products.
        batch: texts of an optimizer step.
        grad_accum: microbatches of a step with one text a row.
        packed_accum: microbatches of a step with several texts a row.
        original_rows: of the peer's microbatches in the original's way, of which twelve are a step.
        equal_rows: of those at our shapes, where it keeps more for the backward pass than we do.
        texts: of an image, in turn.
        window: steps among whose texts those of like length meet.
        buckets: most length buckets of a part; a row of the longest texts is always one of them.
        rounds: how often each program is timed.
        tokens: new tokens of a single row.
        images: of the queue's questions; each has `questions`, answered with `answer` tokens.
        questions: see `images`.
        answer: see `images`.
        reports: images with one report each, of `report` tokens.
        report: see `reports`.
        rows: that the queue decodes together.
        mask_fields: fields of the recipe with masks that differ, by name.
        peak_tflops: of the device, if it is not in the table.
        bandwidth_gbs: of the device's memory, if it is not in the table.
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
# Everything once on a CPU, to see that it runs.
DRY = Settings(
    size="tiny", dtype="float32", batch=6, grad_accum=2, packed_accum=1, original_rows=2,
    equal_rows=2, texts=(6,), window=1, buckets=1, rounds=1, tokens=8, images=2, questions=2,
    answer=2, reports=4, report=3, rows=4,
    mask_fields={
        "grad_accum": 1, "model.mask_decoder.depth": 1, "model.mask_decoder.min_side": 4
    },
)  # fmt: skip


def seconds_of(run: Callable[[], object], rounds: int) -> float:
    """Returns the median seconds of a run, after one that does not count."""
    run()
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def of_target(reached: float, target: float, text: str) -> Row:
    """Returns the fields of a row that say what was reached of a target, which `text` names."""
    return {"target": text, "of_target": reached / target}


def peak_memory() -> Row:
    """Returns the field of a row that says the peak memory so far; {} where it is not known."""
    found = jax.devices()[0].memory_stats()
    return {"gib": found["peak_bytes_in_use"] / 2**30} if found else {}
