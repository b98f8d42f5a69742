"""Times several ways to do the same work, one after another, and prints a table of the times.

The speed of a machine drifts. So every round runs all ways once, and ways are compared by the ratio
of their times within a round: ratio = seconds of the peer / seconds of the way. Above 1, the way is
faster than the peer.
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
        ways: functions that do the work and wait for its end, by the name of the way.
        rounds: how often each way is timed.
        repeat: how often a way is run in one round.

    Returns:
        The seconds of one run in each round, by the name of the way.
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
    """Summarises the times of a way.

    Args:
        seconds: the seconds of the way in each round.
        peer: the seconds of the peer in the same rounds.
        items: how many items one run handles.

    Returns:
        `ms`, the median milliseconds of a run; `per_second`, the items per second at this median;
        `ratio`, the median over the rounds of the peer's seconds over the way's; and `spread`, the
        smallest and the largest of these ratios.
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
        result: the summaries, by name.
        of: a word for one run, such as "batch".
        items: a word for the items, such as "images".
        columns: a function of a summary that returns further columns, and their heading for None.
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
    """Writes figures as JSON.

    Args:
        result: the figures.
        path: the file; None or "" writes nothing.
    """
    if path:
        with open(path, "w", encoding="utf-8") as file:
            json.dump(result, file, indent=1)
