"""Items and records of a made model whose confidences have a known link to what is right."""

import numpy as np

from big_rad.inference.calibration_fits import Item


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def features(n, seed=0):
    """Returns n values of two features, f64 [n, 2], that are too sure of themselves."""
    return sigmoid(np.random.default_rng(seed).normal(1.5, 2, (n, 2)))


def truth(x):
    """Returns the probability of a right answer for the features that `features` returns."""
    z = np.log(x / (1 - x))
    return sigmoid(0.4 * z[:, 0] + 0.2 * z[:, 1] - 0.5)


def items(n, kind="yes_no", lang="en", seed=0, each=2, link=truth, fractions=False):
    """Returns n items, with `each` items for a patient."""
    x, rng = features(n, seed), np.random.default_rng(seed + 1)
    p = link(x)
    outcomes = rng.beta(4 * p, 4 * (1 - p)) if fractions else rng.random(n) < p
    return [
        Item(kind, lang, {"option": a, "mean_token": b}, a, float(y), f"{lang}{i // each}")
        for i, ((a, b), y) in enumerate(zip(x, outcomes, strict=True))
    ]
