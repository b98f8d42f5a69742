"""Predicts the highest possible speed of training and decoding on a device, without running them.

A step takes at least max(F / P, B / W) seconds, where F is its number of FLOPs, P the peak of the
device in FLOP/s, B the number of bytes that it moves, and W the memory bandwidth in bytes/s (the
roofline model). F and B are counted from the model's dimensions, see `big_rad.models.counts`. The
analysis of the compiler counts the body of a loop only once, however often the loop runs. So its
FLOPs, bytes and memory are only printed beside ours, for the most frequent shape.
"""

import argparse
import collections
import time
from collections.abc import Mapping, Sequence
from typing import Any

import ml_collections

from big_rad.models import counts
from tools.benchmarks import devices, memory, techniques, training, workload

R0 = 28.4  # The most examples per second that the original can train on one H100.
DECODE_ROWS = (1, 8, 32, 128)
_SLOTS = 24 + 25 // 2  # The slots of a row beyond the image: a prompt, and half of a report.
TARGETS = {"ship": 0.40, "ahead of every peer": 0.51, "stretch": 0.56}  # Shares of useful MFU.


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of this command."""
    training.add_arguments(parser)
    devices.add_arguments(parser)
    parser.set_defaults(size="3b", dtype="bfloat16", batch=48, batches=8)
    parser.add_argument("--device", choices=counts.DEVICES, default="h100")
    parser.add_argument("--bandwidth_gbs", type=float, help="of the device, if not in the table")
    parser.add_argument("--no-compile", action="store_true", help="count from dimensions alone")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Counts the figures, prints them, and returns them."""
    options = techniques.best()
    config = training.make_config(args, options)
    examples = training.examples_of(args)
    batches = training.make_batches(args, options, config, examples)
    table = counts.DEVICES[args.device]
    peak = (args.peak_tflops or table.tflops) * 1e12
    bandwidth = (args.bandwidth_gbs or table.gbs) * 1e9
    result = ceiling(config, options, examples, batches, peak, bandwidth)
    print(
        f"{args.device}: {peak / 1e12:.0f} TFLOP/s, {bandwidth / 1e12:.2f} TB/s; size "
        f"{args.size}, {args.task}, {args.dtype}, {args.batch} rows a step"
    )
    _show(result)
    result["decode"] = {rows: decode_ceiling(config, rows, peak, bandwidth) for rows in DECODE_ROWS}
    print(f"{'decode, rows':>20s} {'ms a step':>10s} {'tokens/s':>11s} {'GB a step':>10s}")
    for rows, row in result["decode"].items():
        print(
            f"{rows:20d} {row['seconds'] * 1e3:10.3f} {row['per_second']:11.0f} "
            f"{row['bytes'] / 1e9:10.2f}  ({row['bound']})"
        )
    if not args.no_compile:
        result["compiled"] = _compiled(config, options, batches)
    return result


def ceiling(
    config: ml_collections.ConfigDict,
    options: Mapping[str, Any],
    examples: workload.Examples,
    batches: Sequence[workload.Batch],
    peak: float,
    bandwidth: float,
) -> dict[str, Any]:
    """Returns the roofline of one pass over batches.

    Args:
        config: the config of the model and its training.
        options: see `techniques`.
        examples: the examples in the batches.
        batches: see `workload.batches`.
        peak: the peak of the device in FLOP/s.
        bandwidth: the memory bandwidth in bytes/s.
    """
    d, count = counts.dims_of(config), len(examples.stored)
    useful = counts.useful_train_flops(d, examples.prefix, examples.suffix) / count
    hardware = moved = least = 0.0
    size = 2 if config.model.llm.dtype_mm == "bfloat16" else 4
    for batch in batches:
        flops = training.hardware_flops(config, options, batch)
        bytes_ = counts.train_bytes(
            d,
            rows=batch["text"].shape[0],
            text=batch["text"].shape[1] - 1,
            head=training.head_positions(config, batch),
            compute=size,
            remat=config.model.llm.remat_policy,
        )
        hardware, moved = hardware + flops, moved + bytes_
        least += max(flops / peak, bytes_ / bandwidth)
    fastest = count / least
    targets = {
        name: {"mfu": share, "per_second": share * peak / useful} for name, share in TARGETS.items()
    }
    targets["roofline"] = {"mfu": useful * fastest / peak, "per_second": fastest}
    for row in targets.values():
        row["of_r0"] = row["per_second"] / R0
    return {
        "useful_flops": useful,
        "hardware_flops": hardware / count,
        "bytes": moved / count,
        "seconds_per_step": least / len(batches),
        "bound": "arithmetic" if hardware / peak > moved / bandwidth else "memory",
        "targets": targets,
    }


def decode_ceiling(
    config: ml_collections.ConfigDict, rows: int, peak: float, bandwidth: float
) -> dict[str, Any]:
    """Returns the roofline of one decode step: `seconds`, `per_second`, `bytes`, `flops`, `bound`.

    Args:
        config: the config of the model.
        rows: how many rows decode together. Each has an image, a prompt of 24 tokens, and half of
            the 25 tokens of a report.
        peak: the peak of the device in FLOP/s.
        bandwidth: the memory bandwidth in bytes/s.
    """
    d, size = counts.dims_of(config), 2 if config.model.llm.dtype_mm == "bfloat16" else 4
    bytes_ = counts.decode_bytes(d, size)
    bytes_ += rows * (d.image_tokens + _SLOTS) * counts.kv_bytes(d, size)
    flops = 2 * rows * (counts.body_params(d) + counts.embedding_params(d))
    seconds = max(flops / peak, bytes_ / bandwidth)
    return {
        "seconds": seconds,
        "per_second": rows / seconds,
        "bytes": bytes_,
        "flops": flops,
        "bound": "arithmetic" if flops / peak > bytes_ / bandwidth else "memory",
    }


def _show(result: Mapping[str, Any]) -> None:
    print(
        f"an example: {result['useful_flops'] / 1e12:.3f} TFLOP useful, "
        f"{result['hardware_flops'] / 1e12:.3f} done, {result['bytes'] / 1e9:.2f} GB moved; "
        f"a step takes at least {result['seconds_per_step'] * 1e3:.1f} ms ({result['bound']})"
    )
    print(f"{'':20s} {'MFU':>6s} {'examples/s':>11s} {'x R0':>6s}")
    for name, row in result["targets"].items():
        print(f"{name:20s} {row['mfu']:6.1%} {row['per_second']:11.1f} {row['of_r0']:6.2f}")


def _compiled(
    config: ml_collections.ConfigDict, options: Mapping[str, Any], batches: Sequence[workload.Batch]
) -> dict[str, Any]:
    # The compiler's own figures for the most frequent shape.
    lengths = collections.Counter(b["text"].shape[1] for b in batches)
    stored, _ = lengths.most_common(1)[0]
    batch = next(b for b in batches if b["text"].shape[1] == stored)
    start = time.perf_counter()
    compiled = memory.compile_step(config, options, batch)
    seconds = time.perf_counter() - start
    cost, held = compiled.cost_analysis(), memory.held(compiled)
    print(
        f"compiled here for rows of {stored - 1} in {seconds:.0f} s; the compiler counts, loop "
        f"bodies once: {cost['flops'] / 1e12:.3f} TFLOP, {cost['bytes accessed'] / 1e9:.1f} GB; "
        f"peak memory {held['peak']:.2f} GiB"
    )
    return {"text": stored - 1, "flops": cost["flops"], "bytes": cost["bytes accessed"], **held}
