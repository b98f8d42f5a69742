"""Bootstrap confidence intervals of means, and of mean differences of paired values.

The intervals are percentile intervals (Efron & Tibshirani 1993, "An Introduction to the Bootstrap",
chapter 13). Clusters, such as all samples of a patient, are resampled whole, because samples of the
same patient are alike and do not count as independent samples. Resampling underestimates the
uncertainty if there are few clusters, so the p of a difference is then computed exactly.

    >>> found = interval([1.0, 0.0, 1.0, 1.0], clusters=["a", "a", "b", "c"])
    >>> found.mean, found.n, found.clusters
    (0.75, 4, 3)
"""

import dataclasses
import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

# The fewest clusters that allow a verdict. With fewer, no p can be below 0.05: 2 / 2**5 is 0.0625.
FEWEST = 6
EXACT = 12  # The most clusters for which all changes of signs are tried.
_CHUNK = 1000  # The number of resamples that are in memory at once.


@dataclasses.dataclass(frozen=True)
class Interval:
    """A mean and its confidence interval.

    Attributes:
        mean: the mean of the samples that count; NaN if no sample counts.
        low: the lower end of the interval.
        high: the upper end of the interval.
        n: the number of samples that count.
        clusters: the number of clusters that these samples belong to.
    """

    mean: float
    low: float
    high: float
    n: int
    clusters: int


@dataclasses.dataclass(frozen=True)
class Difference(Interval):
    """A mean difference of pairs, its confidence interval and its p value.

    Attributes:
        p: the two-sided p value. Up to `EXACT` clusters it is the p of the sign-flip permutation
            test, which is at least 2 / 2**clusters. With more clusters it is twice the share of
            resamples on the other side of zero, at most 1.
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
        values: the values of a metric, float [N], one per sample, or those of M metrics, [N, M].
            NaN (or None) marks a sample that does not count.
        clusters: the cluster of each sample [N], such as its patient. None makes each sample its
            own cluster.
        level: the confidence level of the interval.
        resamples: the number of resamples.
        seed: the seed of the resampling. All metrics use the same resamples.

    Returns:
        An `Interval`, or a list of M of them if the values are [N, M].

    Raises:
        ValueError: the shapes do not fit, `level` is outside (0, 1), or `resamples` is below 1.
    """
    table = np.asarray(values, np.float64)
    found = [one for one, *_ in _intervals(table, clusters, level, resamples, seed)]
    return found[0] if table.ndim == 1 else found


def difference(
    before: ArrayLike, after: ArrayLike, **options: Any
) -> Difference | list[Difference]:
    """Returns the mean of `after - before`, sample by sample, with its interval and p.

    Args:
        before: the values of the first side, float [N] or [N, M], as in `interval`.
        after: the values of the second side, for the same samples.
        options: the keyword arguments of `interval`.

    Returns:
        A `Difference`, or a list of M of them if the values are [N, M]. Only samples that count on
        both sides are used. With fewer clusters than `FEWEST` there is no verdict, whatever the
        interval says.

    Raises:
        ValueError: the shapes differ, or an argument is one that `interval` rejects.
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
            # The observed difference counts as one more resample, so that no p is 0 (Davison &
            # Hinkley 1997, section 4.2).
            sides = ((drawn <= 0).sum() + 1, (drawn >= 0).sum() + 1)
            p = min(1.0, 2 * min(sides) / (len(drawn) + 1))
        found.append(Difference(**vars(one), p=float(p)))
    return found[0] if first.ndim == 1 else found


def sign_flips(sums: Float[np.ndarray, " clusters"]) -> float:
    """Returns the exact two-sided p of the sign-flip permutation test (Fisher 1935).

    If there were no difference, each cluster would favour either side with the same probability.
    There are 2**k ways to choose the signs of k clusters, and p is the share of these whose total
    is at least as far from zero as the observed total.

    Args:
        sums: the sum of the differences of each cluster. The time grows with 2**k, so give at most
            about 20 clusters.
    """
    k = len(sums)
    signs = 1 - 2 * ((np.arange(2**k)[:, None] >> np.arange(k)) & 1)
    totals = np.abs(signs @ np.asarray(sums, np.float64))
    rounding = 1e-12 * np.abs(sums).sum()
    return float((totals >= totals[0] - rounding).mean())


def holm(ps: Sequence[float]) -> list[float]:
    """Returns the p values of several tests, corrected for their number (Holm 1979).

    After the correction, the probability that any of the tests has a p below 0.05 by chance is at
    most 0.05. A NaN stays NaN, and does not count as a test.
    """
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
    # Returns for each metric its interval, the means of the resamples, and the sums of the clusters
    # that have samples that count.
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
    # Returns the means [resamples, M]; NaN where a resample has no sample that counts.
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
    """Returns a text such as "0.750 (0.500 to 1.000)" for an interval.

    The text is "–" if no sample counts. It has no bounds if there is only one cluster, because the
    resamples are then all the same.

    Args:
        x: the fields of an `Interval`, or None.
    """
    if not x or not x["n"] or not math.isfinite(x["mean"]):
        return "–"
    if x.get("clusters", 2) < 2:
        return f"{x['mean']:.3f} (of one alone)"
    return f"{x['mean']:.3f} ({x['low']:.3f} to {x['high']:.3f})"


def difference_text(x: Mapping[str, Any] | None, clusters: str = "patients") -> str:
    """Returns a text for a paired difference, in the form of `interval_text`.

    With fewer clusters than `FEWEST`, the text gives the mean and says why there is no verdict,
    because an interval would look like one.

    Args:
        x: the fields of a `Difference`, or None.
        clusters: the plural noun for the clusters in the text.
    """
    if not x or not x["n"] or not math.isfinite(x["mean"]):
        return "–"
    if x["clusters"] < FEWEST:
        return f"{x['mean']:+.3f}, no verdict: {few(x['clusters'], clusters)}"
    return f"{x['mean']:+.3f} ({x['low']:+.3f} to {x['high']:+.3f})"


def few(count: int, what: str = "patients") -> str:
    """Returns a text that says why there are too few clusters for a verdict.

    Args:
        count: the number of clusters.
        what: the plural noun for the clusters in the text.
    """
    unit = what if count != 1 else what.removesuffix("s")
    return f"{count} {unit}, and at least {FEWEST} are needed"
