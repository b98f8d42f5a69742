"""Measures how well raters agree: Krippendorff's alpha, Pearson's and Spearman's correlation.

Krippendorff's alpha is described in Krippendorff 2018, "Content Analysis", chapter 12.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from big_rad import extras

with extras.needed("train"):
    import krippendorff as library

LEVELS = ("nominal", "ordinal", "interval")


def krippendorff(ratings: ArrayLike, level: str = "ordinal") -> float:
    """Returns Krippendorff's alpha: 1 is perfect agreement, 0 is agreement by chance.

    Args:
        ratings: the ratings, float [raters, items]; NaN (or None) marks a missing rating.
        level: the level of measurement: "nominal", "ordinal" or "interval".

    Returns:
        Alpha. It is NaN if no item has two ratings, or if all ratings that can be compared are the
        same.

    Raises:
        ValueError: the level is unknown, or the ratings have another shape.
    """
    table = np.asarray(ratings, np.float64)
    if level not in LEVELS:
        raise ValueError(f"no level {level!r}; there are {', '.join(LEVELS)}")
    if table.ndim != 2 or len(table) < 2:
        raise ValueError(f"ratings have shape {table.shape}: give [raters, items], two raters")
    paired = table[:, (~np.isnan(table)).sum(axis=0) >= 2]
    if len(np.unique(paired[~np.isnan(paired)])) < 2:
        return float("nan")
    return float(library.alpha(table, level_of_measurement=level))


def pearson(a: ArrayLike, b: ArrayLike) -> float:
    """Returns Pearson's r of paired ratings [items]; pairs with a NaN are left out."""
    return _correlation(stats.pearsonr, a, b)


def spearman(a: ArrayLike, b: ArrayLike) -> float:
    """Returns Spearman's rank correlation of paired ratings [items], without pairs with a NaN."""
    return _correlation(stats.spearmanr, a, b)


def _correlation(of: Callable, a: ArrayLike, b: ArrayLike) -> float:
    first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(f"paired ratings have shapes {first.shape} and {second.shape}")
    both = ~np.isnan(first) & ~np.isnan(second)
    first, second = first[both], second[both]
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")  # The correlation of constant ratings is not defined.
    return float(of(first, second).statistic)
