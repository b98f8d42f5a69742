"""Fits calibrations to answers that are known to be right or wrong.

The outcome of an answer is 1 if it is right and 0 if it is wrong. The outcome of a box or a mask is
its IoU with the reference of the same class, and 0 without one. For each kind of confidence and
each language, and for each kind over all languages, `fit_all` makes a logistic regression of the
outcomes on the logits of the features (Platt 1999). With `ISOTONIC` items or more it also makes an
isotonic regression of the result (Zadrozny & Elkan 2002), and takes the better one of the two.

How good a fit is, is measured by cross-validation. The items of a patient are always in the same
fold, because they resemble each other.
"""

import collections
import dataclasses
import math
from collections.abc import Callable, Hashable, Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int
from scipy import optimize

from big_rad.inference.calibration import ALL, Figures, Fit, logits
from big_rad.metrics import calibration as measures

ITEMS, PATIENTS = 100, 20  # The smallest numbers of items and of patients for a fit.
ISOTONIC = 1000  # The smallest number of items for an isotonic regression.
FOLDS = 5
_COMMON = 0.9  # A feature is used if at least this share of the items has it.
_SLACK = 1e-3  # Probabilities may be outside of 0..1 by this much, because of rounding.
Log = Callable[[str], None]


class TooFew(ValueError):
    """There are too few items for a fit, or they are all alike; the message says which."""


@dataclasses.dataclass(frozen=True)
class Item:
    """An answer or a place whose outcome is known.

    Attributes:
        kind: one of `inference.confidence.KINDS`.
        lang: its language; "" if it is not known.
        features: name -> probability, in 0..1; None where the model has no value.
        score: the score without calibration, in 0..1.
        outcome: 1 if it is right, 0 if it is wrong, or the IoU with the reference.
        patient: a key that is equal for items of one patient.
    """

    kind: str
    lang: str
    features: Mapping[str, float | None]
    score: float
    outcome: float
    patient: Hashable


def fit_all(
    items: Sequence[Item], log: Log = print
) -> tuple[dict[str, dict[str, Fit]], dict[str, dict[str, str]]]:
    """Makes the fits of all kinds and languages of some items.

    Args:
        items: the items.
        log: receives a line for each kind and language that has too few items.

    Returns:
        kind -> language -> fit, with the language "" for all languages together; and
        kind -> language -> the reason why there is no fit.

    Raises:
        ValueError: a feature, a score or an outcome is not in 0..1.
    """
    fits: dict[str, dict[str, Fit]] = collections.defaultdict(dict)
    left_out: dict[str, dict[str, str]] = collections.defaultdict(dict)
    for kind in dict.fromkeys(x.kind for x in items):
        same = [x for x in items if x.kind == kind]
        langs = sorted({x.lang for x in same} - {ALL})
        for lang in [ALL, *langs]:
            some = [x for x in same if lang in (ALL, x.lang)]
            if len(some) == len(same) and lang != ALL:  # It is the only language.
                for found in (fits, left_out):
                    found[kind] |= {lang: found[kind][ALL]} if ALL in found[kind] else {}
                continue
            try:
                fits[kind][lang] = fit(some)
            except TooFew as e:
                left_out[kind][lang] = str(e)
                log(f"{kind}, {lang or 'all languages'}: not calibrated, {e}")
    return ({k: v for k, v in x.items() if v} for x in (fits, left_out))


def fit(items: Sequence[Item]) -> Fit:
    """Fits the outcomes of items of one kind.

    Args:
        items: the items. Those without one of the features that nine of ten items have are left
            out.

    Returns:
        The fit, with the figures of a cross-validation by patient.

    Raises:
        TooFew: there are fewer than `ITEMS` items or `PATIENTS` patients, all outcomes are the
            same, or the items have no feature in common.
        ValueError: a feature, a score or an outcome is not in 0..1.
    """
    names = _common(items)
    whole = [x for x in items if all(_known(x.features.get(n)) for n in names)]
    patients = [x.patient for x in whole]
    outcomes = np.array([x.outcome for x in whole], float)
    _check_enough(whole, items, names, outcomes)
    features = np.array([[x.features[n] for n in names] for x in whole], float)
    scores = np.array([x.score for x in whole], float)
    for what, values in (("feature", features), ("score", scores), ("outcome", outcomes)):
        if not (np.abs(values - 0.5) <= 0.5 + _SLACK).all():
            wrong = values[~(np.abs(values - 0.5) <= 0.5 + _SLACK)][0]
            raise ValueError(f"a {what} of kind {whole[0].kind!r} is {wrong}, not in 0..1")
    outcomes = np.clip(outcomes, 0, 1)
    parts = folds(patients)
    methods = [False, True] if len(whole) >= ISOTONIC else [False]
    held_out = [_held_out(names, features, outcomes, parts, curved) for curved in methods]
    briers = [measures.brier(x, outcomes) for x in held_out]
    best = int(np.argmin(briers))
    figures = Figures(
        n=len(whole),
        patients=len(set(patients)),
        incomplete=len(items) - len(whole),
        ece=measures.debiased_ece(held_out[best], outcomes),
        brier=briers[best],
        raw_ece=measures.debiased_ece(scores, outcomes),
        raw_brier=measures.brier(scores, outcomes),
        base_brier=float(outcomes.var()),
    )
    made = _fit(names, features, outcomes, methods[best])
    return dataclasses.replace(made, figures=figures)


def logistic(
    inputs: Float[np.ndarray, "items features"], outcomes: Float[np.ndarray, " items"]
) -> tuple[Float[np.ndarray, " features"], float]:
    """Returns the weights and the intercept of a logistic regression.

    The weights of inputs that are brought to a standard deviation of 1 have a standard normal
    prior. It keeps them finite if the inputs separate the outcomes, and hardly matters otherwise.

    Args:
        inputs: the inputs, such as logits.
        outcomes: the outcomes, in 0..1. A fraction counts as that share of a 1.
    """
    mean, spread = inputs.mean(axis=0), inputs.std(axis=0)
    spread = np.where(spread > 1e-9, spread, 1.0)
    scaled = np.column_stack([np.ones(len(inputs)), (inputs - mean) / spread])

    def loss(theta: Float[np.ndarray, " coefficients"]) -> tuple[float, np.ndarray]:
        z, prior = scaled @ theta, np.concatenate([[0.0], theta[1:]])
        value = (np.logaddexp(0, z) - outcomes * z).sum() + prior @ prior / 2
        return float(value), scaled.T @ (np.exp(-np.logaddexp(0, -z)) - outcomes) + prior

    start = np.zeros(scaled.shape[1])
    found = optimize.minimize(loss, start, jac=True, method="L-BFGS-B").x
    weights = found[1:] / spread
    return weights, float(found[0] - weights @ mean)


def isotonic(
    inputs: Float[np.ndarray, " items"], outcomes: Float[np.ndarray, " items"]
) -> tuple[tuple[float, float], ...]:
    """Returns the knots of the best rising function from inputs to outcomes.

    Args:
        inputs: the inputs. Items with equal inputs count together.
        outcomes: the outcomes.

    Returns:
        Pairs (input, value): the first and the last input of each constant part.
    """
    places, group, sizes = np.unique(inputs, return_inverse=True, return_counts=True)
    means = np.bincount(group, outcomes) / sizes
    found = optimize.isotonic_regression(means, weights=sizes)
    knots = []
    for start, end in zip(found.blocks[:-1], found.blocks[1:] - 1, strict=True):
        value = float(found.x[start])
        knots += [(float(places[i]), value) for i in dict.fromkeys((start, end))]
    return tuple(knots)


def folds(
    patients: Sequence[Hashable], count: int = FOLDS, seed: int = 0
) -> Int[np.ndarray, " items"]:
    """Returns the fold of each item, with all items of a patient in the same one.

    Args:
        patients: the patient of each item.
        count: the number of folds, each with about the same number of patients.
        seed: the seed with which patients are shuffled.
    """
    names = {name: i for i, name in enumerate(dict.fromkeys(patients))}
    place = np.random.default_rng(seed).permutation(len(names)) % count
    return np.array([place[names[p]] for p in patients], np.int64)


def _fit(
    names: Sequence[str],
    features: Float[np.ndarray, "items features"],
    outcomes: Float[np.ndarray, " items"],
    curved: bool,
) -> Fit:
    inputs = logits(features)
    weights, intercept = logistic(inputs, outcomes)
    knots = isotonic(intercept + inputs @ weights, outcomes) if curved else ()
    named = dict(zip(names, map(float, weights), strict=True))
    return Fit(named, intercept, 1 / (len(outcomes) + 2), knots)


def _held_out(
    names: Sequence[str],
    features: Float[np.ndarray, "items features"],
    outcomes: Float[np.ndarray, " items"],
    parts: Int[np.ndarray, " items"],
    curved: bool,
) -> Float[np.ndarray, " items"]:
    # The value of each item by the fit to the other folds.
    found = np.empty(len(outcomes))
    for part in np.unique(parts):
        here = parts == part
        found[here] = _fit(names, features[~here], outcomes[~here], curved).values(features[here])
    return found


def _common(items: Sequence[Item]) -> list[str]:
    # The features that nearly all items have.
    counts = collections.Counter(n for x in items for n, v in x.features.items() if _known(v))
    return sorted(n for n, count in counts.items() if count >= _COMMON * len(items))


def _known(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _check_enough(
    whole: Sequence[Item],
    items: Sequence[Item],
    names: Sequence[str],
    outcomes: Float[np.ndarray, " items"],
) -> None:
    patients = len({x.patient for x in whole})
    lacking = len(items) - len(whole)
    more = f" ({lacking} more lack a feature)" if lacking else ""
    if items and not names:
        raise TooFew("no feature is in nine of ten items")
    if len(whole) < ITEMS:
        raise TooFew(f"{len(whole)} items{more}, and a fit needs {ITEMS}")
    if patients < PATIENTS:
        raise TooFew(f"{len(whole)} items of {patients} patients, and a fit needs {PATIENTS}")
    if np.ptp(outcomes) < 1e-6:
        raise TooFew(f"all {len(whole)} items{more} have the outcome {outcomes[0]:g}")
