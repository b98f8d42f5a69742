"""Measures the peak memory of the training step, with and without the techniques.

Three figures stand side by side: the compiler's figure for the step compiled ahead of time from
shapes (state and batch, and what the step needs while it runs), the figure that
`big_rad.training.memory` predicts without compiling, and the measured peak of running the step. The
last one is the count of the device or, on a CPU, how much the process grows.
"""

import argparse
import contextlib
import ctypes
import gc
import pathlib
import re
from typing import Any

import jax
import ml_collections

from big_rad.training import memory
from tools.benchmarks import techniques, training, workload

_STATUS = pathlib.Path("/proc/self/status")
_CLEAR = pathlib.Path("/proc/self/clear_refs")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of this command."""
    training.add_arguments(parser)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measures both ways, prints a table, and returns it: GiB for the largest batch of each way."""
    print(
        f"{jax.devices()[0].device_kind}; size {args.size}, {args.task}, {args.dtype}, "
        f"{args.batch} rows; ahead of time, GiB"
    )
    print(f"{'':10s} {'text':>6s} {'state':>8s} {'meanwhile':>10s} {'peak':>8s} {'predicted':>10s}")
    result: dict[str, Any] = {}
    ways = {"plain": techniques.plain(), "big_rad": techniques.best()}
    for name, options in ways.items():
        config = training.make_config(args, options)
        batch = training.make_batches(args, options, config, training.examples_of(args))[-1]
        text = batch["text"].shape[1] - 1
        compiled = compile_step(config, options, batch)
        row = held(compiled) | {"predicted": _predicted(config, batch)}
        result[name] = row | {"text": text}
        print(
            f"{name:10s} {text:6d} {row['state']:8.3f} {row['meanwhile']:10.3f} "
            f"{row['peak']:8.3f} {row['predicted']:10.3f}"
        )
    measured = _measured(config, compiled, batch)
    if measured is None:
        print("this machine does not tell what a step holds: there is no measured peak")
        return result
    result["measured"] = measured
    print(
        f"{name}, measured: {measured:.3f}; predicted over measured "
        f"{row['predicted'] / measured:.3f}"
    )
    return result


def _predicted(config: ml_collections.ConfigDict, batch: workload.Batch) -> float:
    # The prediction of `big_rad.training.memory` for a batch of this shape.
    shapes = {k: jax.ShapeDtypeStruct(x.shape, x.dtype) for k, x in batch.items()}
    return memory.predict(config, config.model.llm.vocab_size, shapes).peak


def _measured(
    config: ml_collections.ConfigDict, compiled: jax.stages.Compiled, batch: workload.Batch
) -> float | None:
    # The count of the device if it has one, else how much the process grows, which Linux counts.
    # None if neither is known.
    device = jax.devices()[0]
    if device.memory_stats() is None and not _STATUS.exists():
        return None
    state = jax.block_until_ready(training.init_state(config))
    batch = jax.block_until_ready(jax.device_put(batch))
    held = sum(x.nbytes for x in jax.tree.leaves((state, batch)) if hasattr(x, "nbytes"))
    if device.memory_stats() is None:
        before = _resident("VmRSS")
        _CLEAR.write_text("5")  # Resets VmHWM, the peak of the resident memory.
    for _ in range(2):
        state, _ = compiled(state, batch, jax.random.key(1))
        jax.block_until_ready(state)
    if device.memory_stats() is not None:
        return device.memory_stats()["peak_bytes_in_use"] / memory.GIB
    return (_resident("VmHWM") - before + held) / memory.GIB


def _resident(what: str) -> int:
    # Returns bytes of this process, after it has given back the memory that it does not need.
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    return 1024 * int(re.search(rf"{what}:\s+(\d+)", _STATUS.read_text()).group(1))


def held(compiled: jax.stages.Compiled) -> dict[str, float]:
    """Returns the memory of a compiled step in GiB.

    Args:
        compiled: the step.

    Returns:
        `state` (the training state and the batch), `meanwhile` (what the step needs besides while
        it runs), and their sum `peak`.
    """
    found = compiled.memory_analysis()
    state = found.argument_size_in_bytes
    # Outputs that take the place of donated arguments need no room of their own.
    meanwhile = found.temp_size_in_bytes + found.output_size_in_bytes - found.alias_size_in_bytes
    parts = {"state": state, "meanwhile": meanwhile, "peak": state + meanwhile}
    return {name: size / memory.GIB for name, size in parts.items()}


def compile_step(
    config: ml_collections.ConfigDict, options: dict[str, Any], batch: workload.Batch
) -> jax.stages.Compiled:
    """Returns the training step, compiled from shapes for this device.

    Args:
        config: the config of the model and its training.
        options: see `techniques`.
        batch: a batch of the right shapes.
    """
    step = training.make_step(config, options, batch["text"].shape[1] - 1)
    key = jax.eval_shape(lambda: jax.random.key(1))
    shapes = {k: jax.ShapeDtypeStruct(x.shape, x.dtype) for k, x in batch.items()}
    return step.lower(training.state_shapes(config), shapes, key).compile()
