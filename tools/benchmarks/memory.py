"""Peak memory of the training step, with and without the techniques.

The compiler's own figure, of the step compiled ahead of time from shapes: state, batch and what the
step needs meanwhile. On a device that counts what it holds, the peak of running the step beside it.
"""

import argparse
from typing import Any

import jax

from tools.benchmarks import techniques, training, workload

_GIB = 2**30


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own arguments."""
    training.add_arguments(parser)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measures, prints a table, and returns it: name of a way -> GiB of its largest batch."""
    device = jax.devices()[0]
    print(
        f"{device.device_kind}; size {args.size}, {args.task}, {args.dtype}, {args.batch} rows; "
        "ahead of time, GiB"
    )
    print(f"{'':10s} {'text':>6s} {'state':>8s} {'meanwhile':>10s} {'peak':>8s}")
    result: dict[str, Any] = {}
    ways = {"plain": techniques.plain(), "big_rad": techniques.best()}
    for name, options in ways.items():
        config = training.recipe(args, options)
        batch = training.make_batches(args, options, config, training.examples_of(args))[-1]
        text = batch["text"].shape[1] - 1
        row = held(compile_step(config, options, batch))
        result[name] = row | {"text": text}
        print(
            f"{name:10s} {text:6d} {row['state']:8.3f} {row['meanwhile']:10.3f} {row['peak']:8.3f}"
        )
    if device.memory_stats() is None:
        print("this device does not tell what it holds: there is no measured peak")
        return result
    shared = training.Shared(training.examples_of(args), training.init_state(config))
    training.Way(args, options, shared)()
    result["measured"] = device.memory_stats()["peak_bytes_in_use"] / _GIB
    print(f"{name}, measured on the device over a round: {result['measured']:.3f}")
    return result


def held(compiled: Any) -> dict[str, float]:
    """Returns the memory of a compiled step in GiB: `state` (and batch), `meanwhile`, `peak`."""
    found = compiled.memory_analysis()
    state = found.argument_size_in_bytes
    # Outputs that take the place of donated arguments need no room of their own.
    meanwhile = found.temp_size_in_bytes + found.output_size_in_bytes - found.alias_size_in_bytes
    parts = {"state": state, "meanwhile": meanwhile, "peak": state + meanwhile}
    return {name: size / _GIB for name, size in parts.items()}


def compile_step(config: Any, options: dict[str, Any], batch: workload.Batch) -> Any:
    """Returns the step for a batch, compiled from shapes for the present device."""
    step = training.make_step(config, options, batch["text"].shape[1] - 1)
    key = jax.eval_shape(lambda: jax.random.key(1))
    shapes = {k: jax.ShapeDtypeStruct(x.shape, x.dtype) for k, x in batch.items()}
    return step.lower(training.state_shapes(config), shapes, key).compile()
