import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from big_rad.metrics import retrieval


def by_all_rankings(similarity, right, k):
    """The share of rankings of equal answers in which one of the first k is right."""
    found = []
    for scores, good in zip(similarity, right):
        hits = [
            any(good[i] for i in order[:k])
            for order in itertools.permutations(range(len(scores)))
            if all(scores[a] >= scores[b] for a, b in itertools.pairwise(order))
        ]
        found.append(np.mean(hits))
    return np.array(found)


@given(st.integers(0, 10**6), st.integers(1, 5))
def test_recall_is_the_mean_over_all_rankings_of_equal_answers(seed, k):
    rng = np.random.default_rng(seed)
    similarity = rng.integers(0, 3, (3, 5)).astype(float)
    right = rng.random((3, 5)) < 0.4
    right[np.arange(3), rng.integers(0, 5, 3)] = True
    want = by_all_rankings(similarity, right, k)
    np.testing.assert_allclose(retrieval.hit_at(similarity, right, k), want, atol=1e-12)


def test_one_right_answer_among_n_is_found_by_chance_in_k_of_n():
    np.testing.assert_allclose(retrieval.chance(np.eye(300, dtype=bool), 10), 10 / 300)


def test_a_query_without_a_right_answer_is_refused():
    with pytest.raises(ValueError, match="a right answer to every query"):
        retrieval.hit_at(np.zeros((2, 2)), np.array([[True, False], [False, False]]), 1)
