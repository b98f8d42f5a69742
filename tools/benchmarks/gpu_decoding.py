"""The parts of `tools.bench gpu` that decode: a single request, and many through the queue.

The module `gpu_parts` defines parts and their rows of figures.
"""

import concurrent.futures
import functools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from big_rad import runtime
from big_rad.inference import queue as queue_lib
from tools.benchmarks import decode as decode_bench
from tools.benchmarks import devices, gpu_parts, hlo, sizes
from tools.benchmarks.gpu_parts import Emit, Row, Settings

# Records everything that can be recorded, loops included, as command buffers (CUDA graphs).
_GRAPHS = {
    "xla_gpu_enable_command_buffer": (
        "FUSION,CUBLAS,CUBLASLT,CUDNN,CUSTOM_CALL,DYNAMIC_SLICE_FUSION,CONDITIONAL,WHILE"
    ),
    "xla_gpu_graph_min_graph_size": 1,
}
# Ways to decode one request: the number of rows in the batch, and options of the compiler.
_ONE_ROW: dict[str, tuple[int, Mapping[str, Any]]] = {
    "one row": (1, {}),
    "padded to 8 rows": (8, {}),
    "padded to 16 rows": (16, {}),
    "one row, the loop in CUDA graphs": (1, _GRAPHS),
}


def decode_one(s: Settings, emit: Emit) -> None:
    """Decodes a single request greedily, as it is and in ways that may use the bandwidth better."""
    config = sizes.make_config(s.size, "det", s.dtype)
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
        except jax.errors.JaxRuntimeError as e:  # This version of XLA lacks the option.
            emit({"what": what, "note": str(e).partition("\n")[0]})
            continue

        def run(limit: int, rows: int = rows, program: jax.stages.Compiled = program) -> np.ndarray:
            return np.asarray(program(params, *inputs[rows], limit=jnp.int32(limit))["tokens"])

        tokens = run(s.tokens)[0]
        first = tokens if first is None else first
        one, whole = (
            gpu_parts.seconds_of(functools.partial(run, n), s.rounds) for n in (1, s.tokens)
        )
        step = (whole - one) / (s.tokens - 1)
        row = {"what": what, "ms": step * 1e3, "rate": 1 / step, "unit": "tokens/s"}
        row["note"] = f"prefill {one * 1e3:.1f} ms; {(tokens == first).mean():.0%} of its tokens"
        row |= _bandwidth(s, config, step) | gpu_parts.peak_memory()
        emit(row | ({"compile": compiling} if i == 0 else {}))


def queue(s: Settings, emit: Emit) -> None:
    """Answers many requests with the queue: several questions about each image, and one report.

    All answers have the same length, since no token ends an answer here.
    """
    questions = sizes.make_config(s.size, "det", s.dtype, {"model.mask_mode": "image_isolated"})
    reports = sizes.make_config(s.size, "det", s.dtype)
    params = decode_bench.inference_params(reports, s.dtype)
    work = {
        "questions": (questions, s.answer, _requests(reports, s.images, s.questions)),
        "reports": (reports, s.report, _requests(reports, s.reports, 1)),
    }
    runs = {
        name: _queue_run(s, config, params, new, requests)
        for name, (config, new, requests) in work.items()
    }
    with concurrent.futures.ThreadPoolExecutor() as pool:  # The first runs compile, side by side.
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
        rate = len(requests) / gpu_parts.seconds_of(run, s.rounds)
        row = {"what": what, "ms": 1e3 * len(requests) / rate, "rate": rate, "unit": unit}
        row |= gpu_parts.of_target(rate, target, f"{target} {unit}") | gpu_parts.peak_memory()
        row["note"] = f"{len(requests)} requests of {new} new tokens, {s.rows} rows"
        emit(row | ({"compile": compiling} if i == 0 else {}))


def _requests(
    config: ml_collections.ConfigDict, images: int, questions: int
) -> list[queue_lib.Request]:
    image, text = decode_bench.prompts(config, images * questions)
    return [queue_lib.Request(image[i // questions], row) for i, row in enumerate(text)]


def _queue_run(
    s: Settings,
    config: ml_collections.ConfigDict,
    params: Mapping[str, Any],
    new: int,
    requests: Sequence[queue_lib.Request],
) -> Callable[[], object]:
    made = queue_lib.Queue(
        sizes.model(config),
        max_new_tokens=new,
        vocab_size=config.model.llm.vocab_size,
        never=(),
        eos_id=-1,
        rows=min(s.rows, len(requests)),
    )
    return lambda: made.run(params, requests)


def _bandwidth(s: Settings, config: ml_collections.ConfigDict, step: float) -> Row:
    # The share of the bandwidth that one row needs. Rows that only pad the batch do not count.
    bandwidth = devices.bandwidth(s.bandwidth_gbs)
    if not bandwidth:
        return {}
    share = hlo.decode_ceiling(config, 1, 1.0, 1.0)["bytes"] / step / bandwidth
    return {"bandwidth": share} | gpu_parts.of_target(share, 0.60, "60 % of bandwidth")
