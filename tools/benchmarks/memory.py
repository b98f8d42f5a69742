"""Peak memory of the training step, with and without the techniques.

The compiler's own figure, of the step compiled ahead of time from shapes: state, batch and what the
step needs meanwhile; beside it what `big_rad.training.memory` predicts without compiling, and the
measured peak of running the step: the device's own count, or on a CPU how much the process grows.
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
    """Adds the command's own arguments."""
    training.add_arguments(parser)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measures, prints a table, and returns it: name of a way -> GiB of its largest batch."""
    print(
        f"{jax.devices()[0].device_kind}; size {args.size}, {args.task}, {args.dtype}, "
        f"{args.batch} rows; ahead of time, GiB"
    )
    print(f"{'':10s} {'text':>6s} {'state':>8s} {'meanwhile':>10s} {'peak':>8s} {'predicted':>10s}")
    result: dict[str, Any] = {}
    ways = {"plain": techniques.plain(), "big_rad": techniques.best()}
    for name, options in ways.items():
        config = training.recipe(args, options)
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
    # What `big_rad.training.memory` says of a batch of this shape.
    shapes = {k: jax.ShapeDtypeStruct(x.shape, x.dtype) for k, x in batch.items()}
    return memory.predict(config, config.model.llm.vocab_size, shapes).peak


def _measured(
    config: ml_collections.ConfigDict, compiled: jax.stages.Compiled, batch: workload.Batch
) -> float | None:
    # The device's own count if it has one; else how much the process grows, which Linux tells.
    device = jax.devices()[0]
    if device.memory_stats() is None and not _STATUS.exists():
        return None
    state = jax.block_until_ready(training.init_state(config))
    batch = jax.block_until_ready(jax.device_put(batch))
    held = sum(x.nbytes for x in jax.tree.leaves((state, batch)) if hasattr(x, "nbytes"))
    if device.memory_stats() is None:
        before = _resident("VmRSS")
        _CLEAR.write_text("5")  # The highest mark starts anew.
    for _ in range(2):
        state, _ = compiled(state, batch, jax.random.key(1))
        jax.block_until_ready(state)
    if device.memory_stats() is not None:
        return device.memory_stats()["peak_bytes_in_use"] / memory.GIB
    return (_resident("VmHWM") - before + held) / memory.GIB


def _resident(what: str) -> int:
    # Bytes; of a process that has just given back what it does not need.
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    return 1024 * int(re.search(rf"{what}:\s+(\d+)", _STATUS.read_text()).group(1))


def held(compiled: jax.stages.Compiled) -> dict[str, float]:
    """Returns the memory of a compiled step in GiB: `state` (and batch), `meanwhile`, `peak`."""
    found = compiled.memory_analysis()
    state = found.argument_size_in_bytes
    # Outputs that take the place of donated arguments need no room of their own.
    meanwhile = found.temp_size_in_bytes + found.output_size_in_bytes - found.alias_size_in_bytes
    parts = {"state": state, "meanwhile": meanwhile, "peak": state + meanwhile}
    return {name: size / memory.GIB for name, size in parts.items()}


def compile_step(
    config: ml_collections.ConfigDict, options: dict[str, Any], batch: workload.Batch
) -> jax.stages.Compiled:
    """Returns the step for a batch, compiled from shapes for the present device."""
    step = training.make_step(config, options, batch["text"].shape[1] - 1)
    key = jax.eval_shape(lambda: jax.random.key(1))
    shapes = {k: jax.ShapeDtypeStruct(x.shape, x.dtype) for k, x in batch.items()}
    return step.lower(training.state_shapes(config), shapes, key).compile()
