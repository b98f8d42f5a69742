"""Measures the speed of training, as ratios against a peer in the same run.

The peer "plain" is our own code with every technique off. The peer "hf" is transformers on PyTorch,
in the original's way and at equal shapes (see `peer_hf`). All ways start from the same weights, and
their losses of the first batch are compared before anything is timed.
"""

import argparse
import functools
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import ml_collections

from big_rad.models import counts
from tools.benchmarks import devices, rounds, techniques, training

if TYPE_CHECKING:  # It needs torch.
    from tools.benchmarks import peer_hf

OURS, PLAIN = "big_rad", "plain"
HF, HF_EQUAL = "hf, original's way", "hf, equal shapes"
_TOLERANCE = {"float32": 1e-4, "bfloat16": 3e-2}  # Relative, for the loss of the first batch.


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of this command."""
    training.add_arguments(parser)
    devices.add_arguments(parser)
    parser.add_argument("--peer", choices=("plain", "hf"), default="plain")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measures all ways, prints a table, and returns it.

    Returns:
        The `rounds.summary` of each way, by name. Beside them, `ratio` is our speed over that of
        the peer in the original's way (or "plain"), and `ratio_equal_shapes` our speed over that of
        the peer at equal shapes.
    """
    examples = training.examples_of(args)
    best = techniques.best()
    config = training.make_config(args, best)
    shared = training.Shared(examples, training.init_state(config))
    own = {OURS: best}
    if args.peer == "plain":
        own[PLAIN] = techniques.plain()
        if args.task == "seg":
            own["big_rad, no masks"] = best | {"loss.lambda_seg": 0.0}
    ways: dict[str, Any] = training.make_ways(args, own, shared)
    if args.peer == "hf":
        peer = _hf(args, config, shared)
        ways |= {
            HF: peer.way(training.make_batches(args, techniques.plain(), config, examples), True),
            HF_EQUAL: peer.way(training.make_batches(args, best, config, examples), False),
        }
    base = HF if args.peer == "hf" else PLAIN
    losses = check_losses({n: w for n, w in ways.items() if "no masks" not in n}, args.dtype)
    seconds = rounds.measure(ways, args.rounds)
    result = table(args, ways, seconds, base)
    result |= {"first_losses": losses, "ratio": result[OURS]["ratio"]}
    if args.peer == "hf":
        equal = rounds.summary(seconds[OURS], seconds[HF_EQUAL], len(examples.stored))
        result |= {"ratio_equal_shapes": equal["ratio"], "spread_equal_shapes": equal["spread"]}
        result["attention_of_the_peer_at_equal_shapes"] = peer.attention
        low, high = equal["spread"]
        print(
            f"at equal shapes ({peer.attention} attention there): ratio {equal['ratio']:.2f}  "
            f"({low:.2f} to {high:.2f})"
        )
    return result


def check_losses(ways: Mapping[str, Any], dtype: str) -> dict[str, float]:
    """Returns the loss of each way's first batch, from the same weights.

    Args:
        ways: the ways by name; each has `first_loss`.
        dtype: the dtype of matrix products, which decides on the tolerance.

    Raises:
        SystemExit: the losses differ, so the ways do not do the same work.
    """
    found = {name: way.first_loss() for name, way in ways.items()}
    first = next(iter(found.values()))
    if any(abs(x - first) > _TOLERANCE[dtype] * max(abs(first), 1) for x in found.values()):
        text = ", ".join(f"{name}: {x:.6f}" for name, x in found.items())
        sys.exit(f"python -m tools.bench: the ways do not compute the same loss ({text})")
    return found


def table(
    args: argparse.Namespace,
    ways: Mapping[str, Any],
    seconds: Mapping[str, Sequence[float]],
    base: str,
) -> dict[str, Any]:
    """Prints the table of timed ways, with utilisation, and returns it.

    Args:
        args: the arguments of the command line.
        ways: the ways by name. Only ways with `hardware_flops` get an HFU.
        seconds: the seconds of each round, by the name of the way.
        base: the name of the way that the others are compared with.
    """
    examples = training.examples_of(args)
    result = {
        name: rounds.summary(times, seconds[base], len(examples.stored))
        for name, times in seconds.items()
    }
    config = training.make_config(args, techniques.plain())
    useful = counts.useful_train_flops(counts.dims_of(config), examples.prefix, examples.suffix)
    peak = devices.peak_flops(args.peak_tflops)
    unit = peak or 1.0
    for name, row in result.items():
        row["useful"] = useful / (row["ms"] / 1e3) / unit
        flops = getattr(ways[name], "hardware_flops", None)
        row["hardware"] = flops and flops / (row["ms"] / 1e3) / unit
    print(
        f"{jax.devices()[0].device_kind}; size {args.size}, {args.task}, {args.dtype}, "
        f"{len(examples.stored)} texts a round: {args.batches} steps of {args.batch} rows; "
        f"{examples.stored.mean() - 1:.1f} tokens and {examples.suffix.mean():.1f} targets a text"
    )
    rounds.show(result, "round", "texts", columns=functools.partial(_utilisation, peak=peak))
    return result | {"unit": "share of peak" if peak else "FLOP/s"}


def _utilisation(row: Mapping[str, Any] | None, peak: float | None) -> str:
    # The last columns of a row, or their heading if `row` is None.
    if row is None:
        return "    MFU    HFU" if peak else "  useful GF/s  hardware GF/s"
    useful, hardware = row["useful"], row["hardware"]
    if peak:
        return f" {useful:6.1%}" + (f" {hardware:6.1%}" if hardware else "      -")
    return f" {useful / 1e9:12.1f}" + (
        f" {hardware / 1e9:14.1f}" if hardware else "              -"
    )


def _hf(
    args: argparse.Namespace, config: ml_collections.ConfigDict, shared: training.Shared
) -> "peer_hf.Peer":
    if args.task != "det":
        sys.exit("python -m tools.bench train: transformers has no mask decoder; use --task=det")
    try:
        from tools.benchmarks import peer_hf
    except ImportError as e:
        sys.exit(
            f"python -m tools.bench: the peer needs torch and transformers ({e}); pip install -r "
            "requirements-dev.txt -c constraints.txt"
        )
    return peer_hf.Peer(config, shared.state["params"])
