"""Timing of several ways to do the same work, in turn, and the table of it.

A machine's speed drifts, so ways are compared within a round and only ratios of a round count.
"""

import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def measure(
    ways: Mapping[str, Callable[[], Any]], rounds: int, repeat: int = 1
) -> dict[str, list[float]]:
    """Runs the ways in turn, after one run of each that does not count.

    Args:
        ways: name -> function that does the work and waits for it.
        rounds: how often each is timed.
        repeat: runs of a way a round.

    Returns:
        Name -> seconds a run, of each round.
    """
    for run in ways.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, run in ways.items():
            start = time.perf_counter()
            for _ in range(repeat):
                run()
            seconds[name].append((time.perf_counter() - start) / repeat)
    return seconds


def summary(seconds: Sequence[float], peer: Sequence[float], items: float) -> dict[str, Any]:
    """Returns ms (median), per_second (items), ratio to the peer (median) and its spread.

    Args:
        seconds: of each round.
        peer: seconds of the way compared with, of the same rounds.
        items: done in a run.
    """
    ratios = [p / t for p, t in zip(peer, seconds, strict=True)]
    median = statistics.median(seconds)
    return {
        "ms": median * 1e3,
        "per_second": items / median,
        "ratio": statistics.median(ratios),
        "spread": [min(ratios), max(ratios)],
    }


def show(
    result: Mapping[str, Mapping[str, Any]],
    of: str,
    items: str,
    columns: Callable[[Mapping[str, Any] | None], str] = lambda row: "",
) -> None:
    """Prints a table of `summary`s.

    Args:
        result: name -> summary.
        of: what a run is.
        items: what is counted.
        columns: further columns of a row, or their heading if it is given None.
    """
    width = max(map(len, result))
    print(
        f"{'':{width}s} {'ms/' + of:>10s} {items + '/s':>10s} {'ratio':>6s}  "
        f"{'its spread':14s}{columns(None)}"
    )
    for name, r in result.items():
        low, high = r["spread"]
        spread = f"{low:.2f} to {high:.2f}"
        digits = 0 if r["per_second"] >= 100 else 2
        print(
            f"{name:{width}s} {r['ms']:10.1f} {r['per_second']:10.{digits}f} {r['ratio']:6.2f}  "
            f"{spread:14s}{columns(r)}"
        )


def write(result: Mapping[str, Any], path: str | None) -> None:
    """Writes figures as JSON, if there is a path."""
    if path:
        with open(path, "w", encoding="utf-8") as file:
            json.dump(result, file, indent=1)
