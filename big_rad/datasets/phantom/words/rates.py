"""Measures how often each yes/no proposition is true, for balancing (`questions.TRUE_RATES`).

Run `python -m big_rad.datasets.phantom.words.rates` after a change of anatomy, planes or
thresholds; it rewrites `rates.json` beside this file.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from multiprocessing import get_context
from pathlib import Path

from big_rad.datasets.phantom.body.anatomy import DEMO_CLASSES
from big_rad.datasets.phantom.body.slices import make_slices
from big_rad.datasets.phantom.words.lexicon import SPOKEN
from big_rad.datasets.phantom.words.questions import propositions

_FULL = tuple(c for c in SPOKEN if c not in (118, 119, 121))


def measure(numbers: Sequence[int], demo: bool = True, size: int = 112) -> dict[str, list[int]]:
    """Counts how often each proposition is true, over two slices of each patient of seed 10**6.

    Args:
        numbers: the numbers of the patients.
        demo: whether slices have the classes of the configuration "demo" or of "full".
        size: the height and width of a slice in pixels.

    Returns:
        {"kind/subject": [times false, times true]}.
    """
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    classes = DEMO_CLASSES if demo else _FULL
    for number in numbers:
        for piece in make_slices(10**6, number, 2, size, classes, demo):
            for kind, subject, truth in propositions(piece.facts):
                counts[f"{kind}/{subject}"][int(truth)] += 1
    return dict(counts)


def _both(numbers: Sequence[int]) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
    return measure(numbers, True), measure(numbers, False)


def main() -> None:
    """Rewrites rates.json."""
    chunks = [range(i, 2000, 40) for i in range(40)]
    total: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    with get_context("spawn").Pool(2) as pool:
        for demo, full in pool.imap(_both, chunks):
            for key, (no, yes) in [*demo.items(), *full.items()]:
                total[key][0] += no
                total[key][1] += yes
    # The rates of these two kinds are one half by construction. They are left out because they are
    # so rare that a measured rate would be less exact.
    total = {k: v for k, v in total.items() if k.split("/")[0] not in ("lesion", "bright")}
    rates = {k: round(min(max(y / (y + n), 0.01), 0.99), 4) for k, (n, y) in sorted(total.items())}
    Path(__file__).with_name("rates.json").write_text(json.dumps(rates, indent=1) + "\n")
    print(f"{len(rates)} rates")


if __name__ == "__main__":
    main()
