"""The parts of `tools.bench gpu` that train: whole optimizer steps of the recipes and of the peer.

The module `gpu_parts` defines parts and their rows of figures.
"""

import concurrent.futures
import statistics
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import jax
import ml_collections

from big_rad import runtime
from big_rad.models import counts
from tools.benchmarks import devices, gpu_parts, hlo, memory, sizes, training, workload
from tools.benchmarks.gpu_parts import Emit, Row, Settings

if TYPE_CHECKING:  # It needs torch.
    from tools.benchmarks import peer_hf

_FEW_BUCKETS = (48, 64, 96)  # Used where all buckets of the recipe would compile for too long.


def recipe(s: Settings, emit: Emit) -> None:
    """Measures the optimizer step of the published recipe, configs/radgrounder_det.py."""
    config = sizes.published(s.size, "det", s.dtype, {"grad_accum": s.grad_accum})
    emit(_step(s, config, f"step of {s.batch} texts"))


def masks(s: Settings, emit: Emit) -> None:
    """Measures the step of the segmentation recipe, with a mask decoder and its losses."""
    fields = {"grad_accum": s.grad_accum, "input.buckets": _FEW_BUCKETS}
    config = sizes.published(s.size, "seg", s.dtype, fields | s.mask_fields)
    emit(_step(s, config, f"step of {s.batch} texts with masks"))


def texts(s: Settings, emit: Emit) -> None:
    """Measures the step with several texts of an image in a row (mask mode "image_isolated")."""
    fields = {
        "grad_accum": s.packed_accum,
        "input.buckets": _FEW_BUCKETS,
        "model.mask_mode": "image_isolated",
    }
    for n in s.texts:
        config = sizes.published(s.size, "det", s.dtype, fields)
        row = _step(s, config, f"step of {s.batch} texts, {n} an image", each=n)
        if n == 6:
            row |= gpu_parts.of_target(row["rate"], 8 * hlo.R0, f"{8 * hlo.R0:.0f} texts/s")
        emit(row)


def train_hf(s: Settings, emit: Emit) -> None:
    """Measures a step of transformers on PyTorch, in the original's way and at our shapes.

    The texts are the same as ours. One microbatch of each shape is timed, and one update. The time
    of a step is the time of its microbatches plus one update.
    """
    try:
        from tools.benchmarks import peer_hf
    except ImportError as e:
        raise gpu_parts.SkippedError(f"transformers on torch is not here ({e})") from e
    if peer_hf.device() == "cpu" and s.size != "tiny":
        raise gpu_parts.SkippedError("torch finds no GPU")
    config = sizes.published(s.size, "det", s.dtype)
    peer = peer_hf.Peer(config, None)
    examples = workload.draw(s.batch * s.window)
    for original in (True, False):
        rows, update = s.original_rows if original else s.equal_rows, 0.0
        dealt = _deal(s, () if original else config.input.buckets, examples)
        seconds = 0.0
        for text, starts in dealt.items():
            while True:  # Halve the rows until the device has enough memory.
                batch = _batch(config, examples, starts, text, rows)
                try:
                    once, updated = _peer_seconds(s, peer, batch, original)
                    break
                except peer_hf.OutOfMemoryError:
                    peer.free()
                    rows //= 2
                    if not rows:
                        raise
            update = update or updated  # The time of an update does not depend on the shape.
            seconds += len(starts) * (once * s.batch / rows + update)
        way = "the original's way" if original else f"our shapes, {peer.attention} attention"
        row = _training_row(s, config, examples, seconds, f"transformers, {way}", peer.device_name)
        row["note"] = f"microbatches of {rows} rows or more; an update {update * 1e3:.0f} ms"
        gib = peer.peak_gib()
        emit(row | ({"gib": gib} if gib else {}))


def _step(s: Settings, config: ml_collections.ConfigDict, what: str, each: int = 1) -> Row:
    # Times one step of each bucket. The row adds these times up over all steps of the window.
    options = {"texts": each, "donate": True, "model.last_block": config.model.last_block}
    examples = workload.draw(s.batch * s.window)
    dealt = _deal(s, config.input.buckets, examples, each)
    batches = {
        text: _batch(config, examples, starts, text, s.batch // each, each)
        for text, starts in dealt.items()
    }
    start = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(runtime.cores()) as pool:
        compiled = pool.map(lambda b: memory.compile_step(config, options, b), batches.values())
        steps = dict(zip(batches, compiled, strict=True))
    compiling = time.perf_counter() - start
    state, key = training.init_state(config), jax.random.key(1)
    seconds, hardware, by_length = 0.0, 0.0, {}
    for text, starts in dealt.items():
        batch = jax.device_put(batches[text])

        def run(step: jax.stages.Compiled = steps[text], batch: workload.Batch = batch) -> None:
            nonlocal state
            state, _ = step(state, batch, key)
            jax.block_until_ready(state)

        by_length[text] = gpu_parts.seconds_of(run, s.rounds)
        seconds += len(starts) * by_length[text]
        hardware += len(starts) * training.hardware_flops(config, options, batches[text])
    row = _training_row(s, config, examples, seconds, what)
    row["hardware"] = hardware / seconds
    peak = devices.peak_flops(s.peak_tflops)
    if peak:
        row["hfu"] = row["hardware"] / peak
        if each == 1:
            row |= gpu_parts.of_target(
                row["mfu"], hlo.TARGETS["ship"], f"{hlo.TARGETS['ship']:.0%} MFU"
            )
    shares = ", ".join(f"{len(dealt[t])} of {t}: {x * 1e3:.0f}" for t, x in by_length.items())
    note = f"{config.grad_accum} microbatches; steps by length, ms: {shares}"
    return row | gpu_parts.peak_memory() | {"compile": compiling, "note": note}


def _training_row(
    s: Settings,
    config: ml_collections.ConfigDict,
    examples: workload.Examples,
    seconds: float,
    what: str,
    kind: str | None = None,
) -> Row:
    # The row of a run over all examples, which took `seconds`. Its `ms` is the time of one step.
    useful = counts.useful_train_flops(counts.dims_of(config), examples.prefix, examples.suffix)
    row = {"what": what, "ms": seconds / s.window * 1e3, "useful": useful / seconds}
    row |= {"rate": len(examples.stored) / seconds, "unit": "texts/s"}
    peak = devices.peak_flops(s.peak_tflops, kind)
    return row | ({"mfu": row["useful"] / peak} if peak else {})


def _deal(
    s: Settings, buckets: Sequence[int], examples: workload.Examples, each: int = 1
) -> dict[int, list[int]]:
    # Returns, for the text positions of each bucket, the number of the first example of every step
    # that is cut to this bucket. If there are too many buckets, the rarest is dropped, and its
    # steps go to the next longer one.
    while True:
        found: dict[int, list[int]] = {}
        for start in range(0, len(examples.stored), s.batch):
            stored = examples.part(start, start + s.batch).stored
            found.setdefault(workload.block_of(stored, buckets, each), []).append(start)
        if len(found) <= s.buckets:
            return found
        rarest = min((t for t in found if t != workload.LONGEST), key=lambda t: len(found[t]))
        buckets = tuple(b for b in buckets if b != rarest)


def _batch(
    config: ml_collections.ConfigDict,
    examples: workload.Examples,
    starts: Sequence[int],
    text: int,
    rows: int,
    each: int = 1,
) -> workload.Batch:
    # Returns rows of one step: the middle one of the steps that are cut to this bucket.
    start = starts[len(starts) // 2]
    part = examples.part(start, start + rows * each)
    buckets = () if text == workload.LONGEST else (text,)
    return workload.batches(part, config, rows=rows, buckets=buckets, texts=each)[0]


def _peer_seconds(
    s: Settings, peer: "peer_hf.Peer", batch: workload.Batch, original: bool
) -> tuple[float, float]:
    # Returns the seconds of the gradients of a microbatch, and of an update.
    inputs, gradients, updates = peer.inputs(batch), [], []
    with peer.mode(original):
        for _ in range(s.rounds + 1):
            start = time.perf_counter()
            peer.gradients(inputs, original)
            peer.wait()
            middle = time.perf_counter()
            peer.update()
            peer.wait()
            gradients.append(middle - start)
            updates.append(time.perf_counter() - middle)
    return statistics.median(gradients[1:]), statistics.median(updates[1:])
