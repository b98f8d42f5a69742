"""The parts of `tools.bench gpu`: what a short time on one GPU should measure first.

A part is a function (settings, emit); it calls `emit` with a row of figures as soon as it has one,
so that a part that is stopped keeps the rows before. Keys of a row, all but `what` optional:
`what`, what was measured; `ms`; `rate` and `unit`; `useful` and `hardware`, FLOP/s and, where the
device's peak is known, `mfu` and `hfu`, shares of it; `bandwidth`, a share of the memory bandwidth;
`gib`, the device's peak memory so far in this process; `compile`, seconds; `target`, the figure to
reach, as text, and `of_target`, what was reached of it; `note`. Weights are random and made on the
device. Knows nothing of budgets, files and processes.
"""

import concurrent.futures
import dataclasses
import functools
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from big_rad import runtime
from big_rad.inference import queue as queue_lib
from big_rad.models import counts
from tools.benchmarks import decode as decode_bench
from tools.benchmarks import devices, hlo, memory, sizes, training, workload

Emit = Callable[[dict[str, Any]], None]
_FEW_BUCKETS = (48, 64, 96)  # where a program for each bucket of the recipe would take too long
# Command buffers (CUDA graphs) of everything that can be recorded, loops included.
_GRAPHS = {
    "xla_gpu_enable_command_buffer": (
        "FUSION,CUBLAS,CUBLASLT,CUDNN,CUSTOM_CALL,DYNAMIC_SLICE_FUSION,CONDITIONAL,WHILE"
    ),
    "xla_gpu_graph_min_graph_size": 1,
}
# Ways to decode one request: rows of the batch, and options of the compiler.
_ONE_ROW: dict[str, tuple[int, Mapping[str, Any]]] = {
    "one row": (1, {}),
    "one row, products stay products": (1, {"xla_gpu_enable_dot_strength_reduction": False}),
    "padded to 8 rows": (8, {}),
    "padded to 16 rows": (16, {}),
    "one row, the loop in CUDA graphs": (1, _GRAPHS),
}


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
            row |= _target(row["rate"], 8 * hlo.R0, f"{8 * hlo.R0:.0f} texts/s")
        emit(row)


def train_hf(s: Settings, emit: Emit) -> None:
    """A step of transformers on PyTorch on the same texts, the original's way and at our shapes.

    Of each shape one microbatch is timed, and the update once; a step is made up from these.
    """
    try:
        from tools.benchmarks import peer_hf
    except ImportError as e:
        raise SkippedError(f"transformers on torch is not here ({e})") from e
    if peer_hf.device() == "cpu" and s.size != "tiny":
        raise SkippedError("torch finds no GPU")
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


def decode_one(s: Settings, emit: Emit) -> None:
    """Greedy decoding of a single request: as it is, and ways that may use the memory better."""
    config = sizes.recipe(s.size, "det", s.dtype)
    params = decode_bench.inference_params(config, s.dtype)
    image, text = decode_bench.prompts(config, 1)
    generate = decode_bench.generator(config, s.tokens)
    start = time.perf_counter()
    inputs, lowered = {}, {}
    for rows in dict.fromkeys(rows for rows, _ in _ONE_ROW.values()):
        padded = (np.pad(x, ((0, rows - 1),) + ((0, 0),) * (x.ndim - 1)) for x in (image, text))
        image_and_text = jax.device_put(list(padded))
        inputs[rows] = [*image_and_text, jnp.zeros_like(image_and_text[1])]
        lowered[rows] = generate.lower(params, *inputs[rows], limit=jnp.int32(1))
    with concurrent.futures.ThreadPoolExecutor(runtime.cores()) as pool:
        made = {
            what: pool.submit(lowered[rows].compile, dict(options))
            for what, (rows, options) in _ONE_ROW.items()
        }
    compiling = time.perf_counter() - start
    first = None
    for i, (what, (rows, _)) in enumerate(_ONE_ROW.items()):
        try:
            program = made[what].result()
        except jax.errors.JaxRuntimeError as e:  # An option that this version does not have.
            emit({"what": what, "note": str(e).partition("\n")[0]})
            continue

        def run(limit: int, rows: int = rows, program: Any = program) -> np.ndarray:
            return np.asarray(program(params, *inputs[rows], limit=jnp.int32(limit))["tokens"])

        tokens = run(s.tokens)[0]
        first = tokens if first is None else first
        one, whole = (_time(functools.partial(run, n), s.rounds) for n in (1, s.tokens))
        step = (whole - one) / (s.tokens - 1)
        row = {"what": what, "ms": step * 1e3, "rate": 1 / step, "unit": "tokens/s"}
        row["note"] = f"prefill {one * 1e3:.1f} ms; {(tokens == first).mean():.0%} of its tokens"
        row |= _bandwidth(s, config, step) | _peak_memory()
        emit(row | ({"compile": compiling} if i == 0 else {}))


def queue(s: Settings, emit: Emit) -> None:
    """Many requests through the queue: questions that share an image, and a report an image.

    All answers have the same length, since random weights never end one.
    """
    questions = sizes.recipe(s.size, "det", s.dtype, {"model.mask_mode": "image_isolated"})
    reports = sizes.recipe(s.size, "det", s.dtype)
    params = decode_bench.inference_params(reports, s.dtype)
    work = {
        "questions": (questions, s.answer, _requests(reports, s.images, s.questions)),
        "reports": (reports, s.report, _requests(reports, s.reports, 1)),
    }
    runs = {
        name: _queue_run(s, config, params, new, requests)
        for name, (config, new, requests) in work.items()
    }
    with concurrent.futures.ThreadPoolExecutor() as pool:  # The first run of each compiles.
        start = time.perf_counter()
        list(pool.map(lambda run: run(), runs.values()))
        compiling = time.perf_counter() - start
    names = {
        "questions": (f"{s.questions} questions an image", "QA/s", 600),
        "reports": (f"reports of {s.report} tokens", "images/s", 150),
    }
    for i, (name, run) in enumerate(runs.items()):
        _, new, requests = work[name]
        what, unit, target = names[name]
        rate = len(requests) / _time(run, s.rounds)
        row = {"what": what, "ms": 1e3 * len(requests) / rate, "rate": rate, "unit": unit}
        row |= _target(rate, target, f"{target} {unit}") | _peak_memory()
        row["note"] = f"{len(requests)} requests of {new} new tokens, {s.rows} rows"
        emit(row | ({"compile": compiling} if i == 0 else {}))


def _step(s: Settings, config: Any, what: str, each: int = 1) -> dict[str, Any]:
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

        def run(step: Any = steps[text], batch: Any = batch) -> None:
            nonlocal state
            state, _ = step(state, batch, key)
            jax.block_until_ready(state)

        by_length[text] = _time(run, s.rounds)
        seconds += len(starts) * by_length[text]
        hardware += len(starts) * training.hardware_flops(config, options, batches[text])
    row = _training_row(s, config, examples, seconds, what)
    row["hardware"] = hardware / seconds
    peak = devices.peak_flops(s.peak_tflops)
    if peak:
        row["hfu"] = row["hardware"] / peak
        if each == 1:
            row |= _target(row["mfu"], hlo.TARGETS["ship"], f"{hlo.TARGETS['ship']:.0%} MFU")
    shares = ", ".join(f"{len(dealt[t])} of {t}: {x * 1e3:.0f}" for t, x in by_length.items())
    note = f"{config.grad_accum} microbatches; steps by length, ms: {shares}"
    return row | _peak_memory() | {"compile": compiling, "note": note}


def _training_row(
    s: Settings,
    config: Any,
    examples: workload.Examples,
    seconds: float,
    what: str,
    kind: str | None = None,
) -> dict[str, Any]:
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
    config: Any,
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
    s: Settings, peer: Any, batch: workload.Batch, original: bool
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


def _requests(config: Any, images: int, questions: int) -> list[queue_lib.Request]:
    image, text = decode_bench.prompts(config, images * questions)
    return [queue_lib.Request(image[i // questions], row) for i, row in enumerate(text)]


def _queue_run(
    s: Settings, config: Any, params: Any, new: int, requests: Sequence[queue_lib.Request]
) -> Callable[[], Any]:
    made = queue_lib.Queue(
        sizes.model(config),
        max_new_tokens=new,
        vocab_size=config.model.llm.vocab_size,
        never=(),
        eos_id=-1,
        rows=min(s.rows, len(requests)),
    )
    return lambda: made.run(params, requests)


def _time(run: Callable[[], Any], rounds: int) -> float:
    # Median seconds of a run, after one that does not count.
    run()
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def _target(reached: float, target: float, text: str) -> dict[str, Any]:
    return {"target": text, "of_target": reached / target}


def _bandwidth(s: Settings, config: Any, step: float) -> dict[str, Any]:
    # Of what one row has to read, whatever rows it is padded to.
    bandwidth = devices.bandwidth(s.bandwidth_gbs)
    if not bandwidth:
        return {}
    share = hlo.decode_ceiling(config, 1, 1.0, 1.0)["bytes"] / step / bandwidth
    return {"bandwidth": share} | _target(share, 0.60, "60 % of bandwidth")


def _peak_memory() -> dict[str, float]:
    found = jax.devices()[0].memory_stats()
    return {"gib": found["peak_bytes_in_use"] / 2**30} if found else {}
