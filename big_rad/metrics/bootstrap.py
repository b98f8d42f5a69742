"""Confidence intervals of means by the bootstrap: by sample, by cluster of samples, and paired.

Pure functions of numbers; knows neither models nor files. Percentile intervals: Efron & Tibshirani
1993, "An Introduction to the Bootstrap", chapter 13; clusters are resampled whole, so that samples
of one image or patient, which are alike, do not count as so many independent ones. Few clusters say
little and resampling them hides it, so there the p of a difference is counted exactly.
"""

import dataclasses
import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

FEWEST = 6  # clusters; with fewer no difference can have a p below 0.05: 2 / 2**5 is 0.0625
EXACT = 12  # up to so many clusters all changes of signs are tried
_CHUNK = 1000  # resamples held at once


@dataclasses.dataclass(frozen=True)
class Interval:
    """A mean and its interval.

    Attributes:
        mean: of the samples that count; NaN if there is none.
        low: lower end.
        high: upper end.
        n: samples that count.
        clusters: independent units among them.
    """

    mean: float
    low: float
    high: float
    n: int
    clusters: int


@dataclasses.dataclass(frozen=True)
class Difference(Interval):
    """A mean difference of pairs, its interval, and how likely one like it is by chance.

    Attributes:
        p: two-sided. Up to `EXACT` clusters that of the sign-flip permutation test, which is at
            best 2 / 2**clusters; with more, twice the share of resamples on the other side of zero,
            at most 1.
    """

    p: float


def interval(
    values: ArrayLike,
    *,
    clusters: Sequence[Hashable] | None = None,
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Interval | list[Interval]:
    """Returns the mean of each metric with its interval.

    Args:
        values: float [N], one of each sample, or [N, M] of M metrics; NaN (or None) where a sample
            does not count.
        clusters: [N], what each sample belongs to, such as its patient; None takes each alone.
        level: of the interval.
        resamples: how many.
        seed: of the resampling, which is the same for all metrics.

    Returns:
        An `Interval`, or for [N, M] a list of M.

    Raises:
        ValueError: shapes that do not fit, a level outside (0, 1), or no resamples.
    """
    table = np.asarray(values, np.float64)
    found = [one for one, *_ in _intervals(table, clusters, level, resamples, seed)]
    return found[0] if table.ndim == 1 else found


def difference(
    before: ArrayLike, after: ArrayLike, **options: Any
) -> Difference | list[Difference]:
    """Returns the mean of `after - before`, sample by sample, with its interval and p.

    Args:
        before: float [N] or [N, M], see `interval`.
        after: the same samples.
        options: of `interval`.

    Returns:
        A `Difference`, or for [N, M] a list of M; of samples that count on both sides. Fewer
        clusters than `FEWEST` allow no verdict, whatever the interval.

    Raises:
        ValueError: other shapes, or see `interval`.
    """
    first, second = np.asarray(before, np.float64), np.asarray(after, np.float64)
    if first.shape != second.shape:
        raise ValueError(f"paired values have shapes {first.shape} and {second.shape}")
    found = []
    for one, drawn, sums in _intervals(second - first, **options):
        if not one.n:
            p = np.nan
        elif one.clusters <= EXACT:
            p = sign_flips(sums)
        else:
            # Counted with itself (Davison & Hinkley 1997, section 4.2), so that no p is 0.
            sides = ((drawn <= 0).sum() + 1, (drawn >= 0).sum() + 1)
            p = min(1.0, 2 * min(sides) / (len(drawn) + 1))
        found.append(Difference(**vars(one), p=float(p)))
    return found[0] if first.ndim == 1 else found


def sign_flips(sums: Float[np.ndarray, " clusters"]) -> float:
    """Returns the exact two-sided p of the sign-flip permutation test (Fisher 1935).

    Without a difference, each cluster would as likely favour the other side. So p is the share of
    the 2**k ways to choose the signs of k clusters whose total is at least as far from zero.

    Args:
        sums: the summed differences of each cluster; at most about 20 clusters.
    """
    k = len(sums)
    signs = 1 - 2 * ((np.arange(2**k)[:, None] >> np.arange(k)) & 1)
    totals = np.abs(signs @ np.asarray(sums, np.float64))
    rounding = 1e-12 * np.abs(sums).sum()
    return float((totals >= totals[0] - rounding).mean())


def holm(ps: Sequence[float]) -> list[float]:
    """Returns p of several tests, corrected so that one of all is below 0.05 by chance in one of
    twenty such families at most (Holm 1979); NaN stays, and does not count as a test."""
    order = sorted((i for i, p in enumerate(ps) if not np.isnan(p)), key=lambda i: ps[i])
    found, worst = [float(p) for p in ps], 0.0
    for rank, i in enumerate(order):
        worst = max(worst, min(1.0, (len(order) - rank) * ps[i]))
        found[i] = worst
    return found


def _intervals(
    table: np.ndarray,
    clusters: Sequence[Hashable] | None = None,
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> list[tuple[Interval, np.ndarray, np.ndarray]]:
    # Of each metric the interval, the means of the resamples, and the sums of clusters that count.
    if table.ndim not in (1, 2):
        raise ValueError(f"values have shape {table.shape}: give [N], or [N, M] for M metrics")
    if not 0 < level < 1 or resamples < 1:
        raise ValueError(f"level {level} is to be within (0, 1), and resamples {resamples} above 0")
    columns = table[:, None] if table.ndim == 1 else table
    unit = _units(clusters, len(columns))
    groups = int(unit.max()) + 1 if len(unit) else 0
    counted = ~np.isnan(columns)
    sums = _by_group(np.where(counted, columns, 0.0), unit, groups)
    sizes = _by_group(counted.astype(np.float64), unit, groups)
    means = _resampled(sums, sizes, resamples, seed)
    tail = 100 * (1 - level) / 2
    found = []
    for m in range(columns.shape[1]):
        n, drawn = int(counted[:, m].sum()), means[:, m][~np.isnan(means[:, m])]
        if not n:
            found.append((Interval(np.nan, np.nan, np.nan, 0, 0), drawn, np.zeros(0)))
            continue
        low, high = np.percentile(drawn, (tail, 100 - tail))
        mean = float(sums[:, m].sum() / n)
        counts = sizes[:, m] > 0
        one = Interval(mean, float(low), float(high), n, int(counts.sum()))
        found.append((one, drawn, sums[counts, m]))
    return found


def _units(clusters: Sequence[Hashable] | None, n: int) -> np.ndarray:
    if clusters is None:
        return np.arange(n)
    if len(clusters) != n:
        raise ValueError(f"{len(clusters)} clusters for {n} samples")
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(c, len(numbers)) for c in clusters], np.int64)


def _by_group(columns: np.ndarray, unit: np.ndarray, groups: int) -> np.ndarray:
    result = np.zeros((groups, columns.shape[1]))
    np.add.at(result, unit, columns)
    return result


def _resampled(sums: np.ndarray, sizes: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    # Means [resamples, M]; NaN where no sample that counts was drawn.
    rng, groups = np.random.default_rng(seed), len(sums)
    means = np.full((resamples, sums.shape[1]), np.nan)
    both = np.concatenate([sums, sizes], axis=1)
    for start in range(0, resamples if groups else 0, _CHUNK):
        rows = min(_CHUNK, resamples - start)
        drawn = rng.integers(groups, size=(rows, groups))
        drawn += groups * np.arange(rows)[:, None]
        times = np.bincount(drawn.ravel(), minlength=rows * groups).reshape(rows, groups)
        total, count = np.split(times @ both, 2, axis=1)
        with np.errstate(invalid="ignore"):
            means[start : start + rows] = total / count
    return means


def interval_text(x: Mapping[str, Any] | None) -> str:
    """Returns `mean`, `low` and `high` to read, "–" where no sample counts (`n`), and no bounds of
    one image or patient, which would be its own."""
    if not x or not x["n"] or not math.isfinite(x["mean"]):
        return "–"
    if x.get("clusters", 2) < 2:
        return f"{x['mean']:.3f} (of one alone)"
    return f"{x['mean']:.3f} ({x['low']:.3f} to {x['high']:.3f})"


def difference_text(x: Mapping[str, Any] | None, clusters: str = "patients") -> str:
    """Returns a paired difference to read, as `interval_text` does an interval; of too few
    clusters, whose interval would look like a verdict, the mean and the reason.

    Args:
        x: of `difference`.
        clusters: what they are, for the reason.
    """
    if not x or not x["n"] or not math.isfinite(x["mean"]):
        return "–"
    if x["clusters"] < FEWEST:
        return f"{x['mean']:+.3f}, no verdict: {few(x['clusters'], clusters)}"
    return f"{x['mean']:+.3f} ({x['low']:+.3f} to {x['high']:+.3f})"


def few(count: int, what: str = "patients") -> str:
    """Returns why so few of them allow no verdict."""
    unit = what if count != 1 else what.removesuffix("s")
    return f"{count} {unit}, and at least {FEWEST} are needed"
