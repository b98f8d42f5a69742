"""The measures of `metrics.calibration` for many bootstrap resamples at once.

A resample is a row of counts: how often each sample occurs in it. Each function takes the scores
and the outcomes of the n samples and the counts of R resamples, [R, n], and returns what the
function of the same name in `calibration` returns for each resample, [R]; NaN where it has no
value. Samples are sorted once for all resamples.
"""

import dataclasses
from collections.abc import Hashable, Iterator, Sequence

import numpy as np
from jaxtyping import Float, Int
from scipy import special

from big_rad.metrics import calibration

Values = Float[np.ndarray, " samples"]
Counts = Float[np.ndarray, "resamples samples"]
Found = Float[np.ndarray, " resamples"]
_STEPS = 8  # Newton steps of a fit, which begins at the fit of all samples.
_CELLS = 400_000  # The number of counts that are in memory at once.


@dataclasses.dataclass(frozen=True)
class Recalibrations:
    """The slopes and intercepts of `calibration.recalibration`, one for each resample."""

    slope: Found
    intercept: Found


def draws(
    clusters: Sequence[Hashable], resamples: int, seed: int
) -> Iterator[Float[np.ndarray, "some samples"]]:
    """Yields the counts of resamples of whole clusters, some resamples at a time.

    Args:
        clusters: the cluster of each sample, such as its patient.
        resamples: the number of resamples in all.
        seed: the seed of the resampling.
    """
    numbers: dict[Hashable, int] = {}
    unit = np.array([numbers.setdefault(c, len(numbers)) for c in clusters])
    rng, groups = np.random.default_rng(seed), len(numbers)
    rows = max(1, _CELLS // max(1, len(unit)))
    for start in range(0, resamples, rows):
        size = min(rows, resamples - start)
        drawn = rng.integers(groups, size=(size, groups)) + groups * np.arange(size)[:, None]
        times = np.bincount(drawn.ravel(), minlength=size * groups).reshape(size, groups)
        yield times[:, unit].astype(float)


def mean(values: Values, counts: Counts) -> Found:
    """Returns the mean of values in each resample."""
    return counts @ values / counts.sum(axis=1)


def ece(scores: Values, outcomes: Values, counts: Counts, bins: int = calibration.BINS) -> Found:
    """Returns `calibration.ece` of each resample."""
    order, starts = _ranked(scores)
    drawn = counts[:, order]
    ends = np.cumsum(_sums(drawn, starts), axis=1)
    gaps = _sums(drawn * (outcomes - scores)[order], starts)
    gaps = np.concatenate([np.zeros((len(gaps), 1)), np.cumsum(gaps, axis=1)], axis=1)
    found = np.empty(len(counts))
    for i, (end, gap) in enumerate(zip(ends, gaps, strict=True)):
        # A bin begins with the group of equal scores that its first sample belongs to.
        firsts = np.searchsorted(end, np.arange(bins) * end[-1] // bins, side="right")
        edges = np.unique(np.append(firsts, len(end)))
        found[i] = np.abs(np.diff(gap[edges])).sum() / end[-1]
    return found


def auroc(scores: Values, outcomes: Values, counts: Counts) -> Found:
    """Returns `calibration.auroc` of each resample."""
    order, starts = _ranked(scores)
    right = (outcomes > 0.5)[order]
    drawn = counts[:, order]
    above = _sums(drawn * right, starts)
    below = _sums(drawn * ~right, starts)
    pairs = (above * (np.cumsum(below, axis=1) - below / 2)).sum(axis=1)
    with np.errstate(invalid="ignore"):
        return pairs / (above.sum(axis=1) * below.sum(axis=1))


def aurc(scores: Values, outcomes: Values, counts: Counts) -> Found:
    """Returns `calibration.aurc` of each resample.

    In a group of g equal scores after K samples with E errors, the j-th sample has the risk
    (E + e j / g) / (K + j), where e is the number of errors in the group. The sum over j follows
    from the harmonic numbers H(K + g) - H(K).
    """
    size, wrong, before, errors = _cumulated(scores, outcomes, counts)
    total = size.sum(axis=1)
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, total.max() + 1))])
    reciprocal = harmonic[(before + size).astype(int)] - harmonic[before.astype(int)]
    share = wrong / np.maximum(size, 1)
    return (errors * reciprocal + share * (size - before * reciprocal)).sum(axis=1) / total


def augrc(scores: Values, outcomes: Values, counts: Counts) -> Found:
    """Returns `calibration.augrc` of each resample."""
    size, wrong, _, errors = _cumulated(scores, outcomes, counts)
    return (size * errors + wrong * (size + 1) / 2).sum(axis=1) / size.sum(axis=1) ** 2


def recalibration(
    scores: Values, outcomes: Values, counts: Counts, start: calibration.Recalibration
) -> Recalibrations:
    """Returns `calibration.recalibration` of each resample, fitted by Newton's method.

    Args:
        scores, outcomes, counts: see the head of this module.
        start: the fit of all samples.

    Returns:
        The fits; NaN where the fit does not converge, as for resamples that scores separate.
    """
    logits = special.logit(np.clip(scores, calibration.EPSILON, 1 - calibration.EPSILON))
    powers = np.stack([np.ones_like(logits), logits, logits**2], axis=1)
    reached = counts @ (outcomes[:, None] * powers[:, :2])
    weights = np.tile([start.intercept, start.slope], (len(counts), 1)).astype(float)
    with np.errstate(all="ignore"):
        for _ in range(_STEPS):
            z = weights[:, 1:] * logits
            z += weights[:, :1]
            p = special.expit(z, out=z)
            expected = counts * p
            g, h = (reached - expected @ powers[:, :2]).T
            expected *= 1 - p
            a, b, c = (expected @ powers).T
            step = np.stack([c * g - b * h, a * h - b * g], axis=1) / (a * c - b * b)[:, None]
            weights = weights + step
            small = (np.abs(step) < 1e-4 * (1 + np.abs(weights))).all(axis=1)
            if small.all():
                break
        weights[~small] = np.nan
    return Recalibrations(slope=weights[:, 1], intercept=weights[:, 0])


def _ranked(scores: Values) -> tuple[Int[np.ndarray, " samples"], Int[np.ndarray, " groups"]]:
    # The order of ascending scores, and where each group of equal scores begins in it.
    order = np.argsort(scores, kind="stable")
    return order, np.flatnonzero(np.append(True, np.diff(scores[order]) > 0))


def _sums(
    table: Counts, starts: Int[np.ndarray, " groups"]
) -> Float[np.ndarray, "resamples groups"]:
    # The sum over each group of equal scores.
    return table if len(starts) == table.shape[1] else np.add.reduceat(table, starts, axis=1)


def _cumulated(
    scores: Values, outcomes: Values, counts: Counts
) -> tuple[Counts, Counts, Counts, Counts]:
    # For the groups of equal scores, the surest first: the number of samples and the sum of their
    # errors, and both for all groups before.
    order, starts = _ranked(-scores)
    drawn = counts[:, order]
    size = _sums(drawn, starts)
    wrong = _sums(drawn * (1 - outcomes)[order], starts)
    return size, wrong, np.cumsum(size, axis=1) - size, np.cumsum(wrong, axis=1) - wrong
