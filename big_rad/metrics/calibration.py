"""How well scores between 0 and 1 tell right answers from wrong ones, and how honest they are.

A score s is the probability that the model gives to its own answer, and an outcome y is 1 if the
answer is right and 0 if it is wrong (or, for boxes and masks, the IoU with the reference).

- Calibration: among answers with the score 0.8, eight of ten should be right. `ece`, `brier` and
  `recalibration` measure this.
- Ranking: right answers should have higher scores than wrong ones. `auroc`, `aurc` and `augrc`
  measure this, whatever the values of the scores are.

Intervals are made by `metrics.bootstrap` or by `bootstrap` below, which resamples patients.
"""

import dataclasses
from collections.abc import Callable, Hashable, Sequence

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike
from scipy import optimize, special

BINS = 15
EPSILON = 1e-6  # Scores of 0 and 1 have no logit.
Values = Float[np.ndarray, " samples"]


@dataclasses.dataclass(frozen=True)
class Bin:
    """Samples of similar scores.

    Attributes:
        count: how many samples there are.
        score: their mean score.
        outcome: their mean outcome.
    """

    count: int
    score: float
    outcome: float


@dataclasses.dataclass(frozen=True)
class Recalibration:
    """A logistic regression of outcomes on the logits of scores.

    The fit is P(y = 1) = sigmoid(intercept + slope * logit(s)) (Cox 1958). A calibrated score has
    the slope 1 and the intercept 0. With a slope below 1 the scores are too extreme.
    """

    slope: float
    intercept: float


def bins(scores: ArrayLike, outcomes: ArrayLike, count: int = BINS) -> list[Bin]:
    """Sorts samples by score into bins of about equal size, as for a reliability diagram.

    Args:
        scores: the score of each sample.
        outcomes: the outcome of each sample.
        count: the most bins. Samples of equal score are always in one bin, so there may be fewer.

    Raises:
        ValueError: there are no samples, or not one outcome for each score.
    """
    scores, outcomes = _checked(scores, outcomes)
    order = np.argsort(scores, kind="stable")
    scores, outcomes = scores[order], outcomes[order]
    starts = np.unique(np.searchsorted(scores, scores[_equal_starts(len(scores), count)]))
    sizes = np.diff(np.append(starts, len(scores)))
    means = [np.add.reduceat(x, starts) / sizes for x in (scores, outcomes)]
    return [Bin(*x) for x in zip(sizes.tolist(), *(m.tolist() for m in means), strict=True)]


def ece(scores: ArrayLike, outcomes: ArrayLike, count: int = BINS) -> float:
    """Returns the expected calibration error over bins of equal size.

    ECE = sum over bins b of (n_b / n) |mean outcome of b - mean score of b| (Naeini et al. 2015,
    with bins of equal mass). It is above 0 even for calibrated scores, the more the fewer samples
    there are: see `debiased_ece`.
    """
    found = bins(scores, outcomes, count)
    total = sum(b.count for b in found)
    return sum(b.count / total * abs(b.outcome - b.score) for b in found)


def debiased_ece(
    scores: ArrayLike, outcomes: ArrayLike, count: int = BINS, draws: int = 200, seed: int = 0
) -> float:
    """Returns `ece` less the mean `ece` of calibrated scores with the same number of samples.

    Args:
        scores: the score of each sample.
        outcomes: the outcome of each sample. If all are 0 or 1, a calibrated model is simulated by
            outcomes that are 1 with the probability of their score. Otherwise the differences
            between outcome and bin mean are drawn again and added to the scores.
        count: see `bins`.
        draws: how many calibrated models are simulated.
        seed: the seed of the simulation.

    Returns:
        The difference. It may be a little below 0.
    """
    scores, outcomes = _checked(scores, outcomes)
    rng = np.random.default_rng(seed)
    binary = np.isin(outcomes, (0.0, 1.0)).all()
    if not binary:
        order = np.argsort(scores, kind="stable")
        noise = np.empty_like(outcomes)
        for part in np.array_split(order, min(count, len(order))):
            noise[part] = outcomes[part] - outcomes[part].mean()
    simulated = []
    for _ in range(draws):
        if binary:
            made = (rng.random(len(scores)) < scores).astype(float)
        else:
            made = scores + rng.choice(noise, len(noise))
        simulated.append(ece(scores, made, count))
    return ece(scores, outcomes, count) - float(np.mean(simulated))


def brier(scores: ArrayLike, outcomes: ArrayLike) -> float:
    """Returns the mean of (score - outcome) squared (Brier 1950)."""
    scores, outcomes = _checked(scores, outcomes)
    return float(((scores - outcomes) ** 2).mean())


def recalibration(scores: ArrayLike, outcomes: ArrayLike) -> Recalibration:
    """Fits the logistic recalibration of scores; outcomes between 0 and 1 are taken as shares."""
    scores, outcomes = _checked(scores, outcomes)
    logits = special.logit(np.clip(scores, EPSILON, 1 - EPSILON))

    def loss(weights: Float[np.ndarray, " 2"]) -> float:
        z = weights[0] + weights[1] * logits
        return float((np.logaddexp(0, z) - outcomes * z).mean())

    found = optimize.minimize(loss, np.array([0.0, 1.0]), method="BFGS")
    return Recalibration(slope=float(found.x[1]), intercept=float(found.x[0]))


def auroc(scores: ArrayLike, outcomes: ArrayLike) -> float:
    """Returns the probability that a right answer has a higher score than a wrong one.

    Equal scores count half (Hanley & McNeil 1982). Outcomes are 0 or 1; NaN if all are the same.
    """
    scores, outcomes = _checked(scores, outcomes)
    right = outcomes > 0.5
    n, m = int(right.sum()), int((~right).sum())
    if not n or not m:
        return float("nan")
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]  # Equal scores have their mean rank.
    return float((ranks[right].sum() - n * (n + 1) / 2) / (n * m))


def risk_coverage(scores: ArrayLike, outcomes: ArrayLike) -> Float[np.ndarray, "samples 2"]:
    """Returns (coverage, risk) if only the k samples of the highest scores are answered.

    The coverage is k / n for k = 1, ..., n, and the risk is the mean of 1 - outcome over these k.
    Samples of equal score count with the mean risk of all of them, so their order has no effect.
    """
    scores, outcomes = _checked(scores, outcomes)
    wrong = _cumulated(scores, 1 - outcomes)
    k = np.arange(1, len(scores) + 1)
    return np.stack([k / len(scores), wrong / k], axis=1)


def aurc(scores: ArrayLike, outcomes: ArrayLike) -> float:
    """Returns the area under the risk-coverage curve (Geifman & El-Yaniv 2017); 0 is perfect."""
    return float(risk_coverage(scores, outcomes)[:, 1].mean())


def augrc(scores: ArrayLike, outcomes: ArrayLike) -> float:
    """Returns the area under the generalized risk-coverage curve (Traub et al. 2024).

    The generalized risk of the k highest scores is their number of errors over n, not over k. So it
    is the probability that an answer is wrong and accepted, and a few errors at the highest scores
    do not dominate the mean.
    """
    curve = risk_coverage(scores, outcomes)
    return float((curve[:, 0] * curve[:, 1]).mean())


def bootstrap(
    measure: Callable[[Values, Values], float],
    scores: ArrayLike,
    outcomes: ArrayLike,
    clusters: Sequence[Hashable] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Returns the 95 % percentile interval of a measure, with whole clusters resampled.

    Args:
        measure: A function of scores and outcomes, such as `auroc`.
        scores: The score of each sample.
        outcomes: The outcome of each sample.
        clusters: The cluster of each sample, such as its patient; None resamples samples.
        resamples: The number of resamples. Those without a value are left out.
        seed: The seed of the resampling.
    """
    scores, outcomes = _checked(scores, outcomes)
    names = range(len(scores)) if clusters is None else clusters
    members: dict[Hashable, list[int]] = {}
    for i, name in enumerate(names):
        members.setdefault(name, []).append(i)
    groups = [np.array(m) for m in members.values()]
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(resamples):
        picked = np.concatenate([groups[i] for i in rng.integers(0, len(groups), len(groups))])
        found.append(measure(scores[picked], outcomes[picked]))
    low, high = np.nanpercentile(found, (2.5, 97.5))
    return float(low), float(high)


def _checked(scores: ArrayLike, outcomes: ArrayLike) -> tuple[Values, Values]:
    scores, outcomes = np.asarray(scores, float), np.asarray(outcomes, float)
    if scores.ndim != 1 or scores.shape != outcomes.shape or not len(scores):
        raise ValueError(
            f"need one outcome for each score, and at least one: scores have the shape "
            f"{scores.shape}, outcomes {outcomes.shape}"
        )
    return scores, outcomes


def _equal_starts(n: int, count: int) -> Int[np.ndarray, " bins"]:
    # Where each of `count` bins of n sorted samples begins.
    return np.unique(np.arange(count) * n // count)


def _cumulated(scores: Values, losses: Values) -> Values:
    # The sum of the losses of the k highest scores, for each k, with equal scores averaged.
    order = np.argsort(-scores, kind="stable")
    scores, losses = scores[order], losses[order]
    _, group, sizes = np.unique(-scores, return_inverse=True, return_counts=True)
    return np.cumsum((np.bincount(group, losses) / sizes)[group])
