"""The parts of `tools.bench gpu` that train: whole optimizer steps of the recipes, and the peer's.

See `gpu_parts` for what a part is.
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

_FEW_BUCKETS = (48, 64, 96)  # where a program for each bucket of the recipe would take too long


def recipe(s: Settings, emit: Emit) -> None:
    """The published recipe's whole optimizer step, as configs/radgrounder_det.py runs it."""
    config = sizes.published(s.size, "det", s.dtype, {"grad_accum": s.grad_accum})
    emit(_step(s, config, f"step of {s.batch} texts"))


def masks(s: Settings, emit: Emit) -> None:
    """The step of the segmentation recipe, with a mask decoder and its losses."""
    fields = {"grad_accum": s.grad_accum, "input.buckets": _FEW_BUCKETS}
    config = sizes.published(s.size, "seg", s.dtype, fields | s.mask_fields)
    emit(_step(s, config, f"step of {s.batch} texts with masks"))


def texts(s: Settings, emit: Emit) -> None:
    """The same step with several texts of an image in a row (mask mode "image_isolated")."""
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
    """A step of transformers on PyTorch on the same texts, the original's way and at our shapes.

    Of each shape one microbatch is timed, and the update once; a step is made up from these.
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
            while True:  # With fewer rows as long as the device has no room for more.
                batch = _batch(config, examples, starts, text, rows)
                try:
                    once, updated = _peer_seconds(s, peer, batch, original)
                    break
                except peer_hf.OutOfMemoryError:
                    peer.free()
                    rows //= 2
                    if not rows:
                        raise
            update = update or updated  # The same whatever the shape.
            seconds += len(starts) * (once * s.batch / rows + update)
        way = "the original's way" if original else f"our shapes, {peer.attention} attention"
        row = _training_row(s, config, examples, seconds, f"transformers, {way}", peer.device_name)
        row["note"] = f"microbatches of {rows} rows or more; an update {update * 1e3:.0f} ms"
        gib = peer.peak_gib()
        emit(row | ({"gib": gib} if gib else {}))


def _step(s: Settings, config: ml_collections.ConfigDict, what: str, each: int = 1) -> Row:
    # Times one step of every bucket, and weighs them by how often a step has it.
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
    # Of all examples, which took `seconds`; ms of a step.
    useful = counts.useful_train_flops(counts.dims_of(config), examples.prefix, examples.suffix)
    row = {"what": what, "ms": seconds / s.window * 1e3, "useful": useful / seconds}
    row |= {"rate": len(examples.stored) / seconds, "unit": "texts/s"}
    peak = devices.peak_flops(s.peak_tflops, kind)
    return row | ({"mfu": row["useful"] / peak} if peak else {})


def _deal(
    s: Settings, buckets: Sequence[int], examples: workload.Examples, each: int = 1
) -> dict[int, list[int]]:
    # Text positions of a bucket -> the first examples of the steps that are cut to it. Of more
    # buckets than there may be, the rarest fall to the next longer one.
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
    # Rows of the middle one of the steps that are cut to a bucket.
    start = starts[len(starts) // 2]
    part = examples.part(start, start + rows * each)
    buckets = () if text == workload.LONGEST else (text,)
    return workload.batches(part, config, rows=rows, buckets=buckets, texts=each)[0]


def _peer_seconds(
    s: Settings, peer: "peer_hf.Peer", batch: workload.Batch, original: bool
) -> tuple[float, float]:
    # Of the gradients of a microbatch, and of an update.
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
