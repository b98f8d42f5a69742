"""Measures how much each technique makes training faster, by switching them on one after another.

A rung of the ladder is a technique on top of those before it, see `techniques`. Every rung does the
same useful work. All rungs are timed in turn in one run.
"""

import argparse
import sys
from typing import Any

from tools.benchmarks import devices, rounds, techniques, train, training


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of this command."""
    training.add_arguments(parser)
    devices.add_arguments(parser)
    # A rung with n texts per image needs a number of examples that n divides.
    parser.set_defaults(batch=12)
    parser.add_argument("--texts", default="2,6,16", help="of an image, of the last rungs")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measures the rungs, prints a table, and returns it.

    Returns:
        The `rounds.summary` of each rung against the first one, by name. `step` is the ratio to the
        rung before, and `exact` says whether the loss stays the same number. `first_losses` holds
        the losses of the exact rungs.
    """
    texts = {int(n) for n in args.texts.split(",")}
    ladder = [(r, o) for r, o in techniques.ladder() if o["texts"] == 1 or o["texts"] in texts]
    state = training.init_state(training.make_config(args, techniques.plain()))
    shared = training.Shared(training.examples_of(args), state)
    try:
        ways = training.make_ways(args, {r.name: o for r, o in ladder}, shared)
    except ValueError as e:  # The examples do not divide among the rows of a rung.
        sys.exit(f"python -m tools.bench ladder: {e}; change --batch or --batches")
    exact = {rung.name: rung.exact for rung, _ in ladder}
    losses = train.check_losses({n: w for n, w in ways.items() if exact[n]}, args.dtype)
    seconds = rounds.measure(ways, args.rounds)
    first = ladder[0][0].name
    result = train.table(args, ways, seconds, first)
    before = first
    print("\nover the rung before:")
    for rung, _ in ladder[1:]:
        step = rounds.summary(seconds[rung.name], seconds[before], 1)
        result[rung.name] |= {"step": step["ratio"], "exact": rung.exact}
        low, high = step["spread"]
        remark = "" if rung.exact else "  (another mask mode: not the same function)"
        print(f"{rung.name:22s} {step['ratio']:5.2f}  {low:.2f} to {high:.2f}{remark}")
        before = rung.name
    return result | {"first_losses": losses}
