"""Tests that answers read from disk equal those that the queue gave."""

import numpy as np
import pytest

from big_rad.evaluators import answer_cache


@pytest.mark.parametrize("masks", [False, True])
def test_cached_answers_are_those_of_the_queue(tmp_path, masks):
    rng = np.random.default_rng(0)
    made = [
        {
            "tokens": rng.integers(0, 9, 5).astype(np.int32),
            "logprob": np.float32(rng.random()),
            "length": np.int32(3),
            **({"masks": rng.random((i % 3, 3, 5)) > 0.5} if masks else {}),
        }
        for i in range(7)
    ]
    calls = []

    def queue(params, requests, **options):
        calls.append(list(requests))
        return [made[i] for i in requests]

    first = answer_cache.CachedQueue(queue, tmp_path / "a", part_size=3)({}, range(7), rows=2)
    (tmp_path / "a/00001.npz").write_bytes(b"broken")
    second = answer_cache.CachedQueue(queue, tmp_path / "a", part_size=3)({}, range(7), rows=2)
    assert calls == [[0, 1, 2], [3, 4, 5], [6], [3, 4, 5]]
    for found in (first, second):
        for got, want in zip(found, made, strict=True):
            assert got.keys() == want.keys()
            for name in want:
                np.testing.assert_array_equal(got[name], want[name])
                assert got[name].dtype == want[name].dtype
