"""Recall at k of a search, with several right answers to a query, and its level by chance.

    hit_at(similarity, right, 10).mean()   # R@10
    chance(right, 10).mean()               # R@10 of a search that ranks at random

Equal similarities are ranked at random, and the expectation over these rankings is taken: a model
that gives every image the same embedding has the level of chance, and neither 0 nor 1.
"""

import numpy as np
from jaxtyping import Bool, Float


def hit_at(
    similarity: Float[np.ndarray, "queries gallery"],
    right: Bool[np.ndarray, "queries gallery"],
    k: int,
) -> Float[np.ndarray, " queries"]:
    """Returns for each query the probability that a right answer is among the first k.

    It is 1 or 0 unless the best right answer is as similar as wrong ones. Let g answers be more
    similar than it, and let h right and w wrong ones be as similar. Then k - g of these h + w are
    among the first k, and the probability that all of them are wrong is

        (w / (h + w)) ((w - 1) / (h + w - 1)) ...   with k - g factors.

    Args:
        similarity: how similar each query is to each entry of the gallery.
        right: which entries are right answers; each query has at least one.
        k: how many entries are looked at.

    Raises:
        ValueError: a query has no right answer, or k is below 1.
    """
    if k < 1 or not right.any(axis=1).all():
        raise ValueError("recall needs k of at least 1, and a right answer to every query")
    best = np.where(right, similarity, -np.inf).max(axis=1, keepdims=True)
    above = (similarity > best).sum(axis=1)
    equal = similarity == best
    hits, misses = (equal & right).sum(axis=1), (equal & ~right).sum(axis=1)
    return np.where(above >= k, 0.0, 1 - _all_wrong(hits, misses, k - above))


def chance(right: Bool[np.ndarray, "queries gallery"], k: int) -> Float[np.ndarray, " queries"]:
    """Returns for each query the probability that a search at random finds a right answer in k."""
    return hit_at(np.zeros(right.shape), right, k)


def _all_wrong(hits: np.ndarray, misses: np.ndarray, slots: np.ndarray) -> np.ndarray:
    # The probability that draws without replacement, `slots` many, are all misses.
    result = np.ones(len(hits))
    for i in range(int(max(slots.max(initial=0), 0))):
        left = np.maximum(misses - i, 0) / np.maximum(hits + misses - i, 1)
        result = np.where(i < slots, result * left, result)
    return result
