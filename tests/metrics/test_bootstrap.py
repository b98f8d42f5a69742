"""Tests of confidence intervals: exact means, coverage, clusters and pairs."""

import itertools

import numpy as np
import pytest

from big_rad.metrics import bootstrap


def test_the_mean_is_exact_and_the_interval_of_many_samples_is_the_normal_one():
    x = np.random.default_rng(0).normal(3.0, 2.0, 4000)
    found = bootstrap.interval(x)
    assert found.mean == pytest.approx(x.mean(), abs=1e-12) and found.n == found.clusters == 4000
    half = 1.96 * x.std() / np.sqrt(len(x))
    assert found.high - found.mean == pytest.approx(half, rel=0.05)
    assert found.mean - found.low == pytest.approx(half, rel=0.05)


def test_the_same_seed_gives_the_same_interval_and_another_nearly_so():
    x = np.random.default_rng(1).random(300)
    assert bootstrap.interval(x, seed=3) == bootstrap.interval(x, seed=3)
    first, second = bootstrap.interval(x, seed=3), bootstrap.interval(x, seed=4)
    assert first != second and first.low == pytest.approx(second.low, abs=0.005)


def test_several_metrics_are_the_same_as_one_by_one():
    table = np.random.default_rng(2).random((200, 3))
    table[::7, 1] = np.nan
    together = bootstrap.interval(table, resamples=500)
    alone = [bootstrap.interval(table[:, m], resamples=500) for m in range(3)]
    for one, other in zip(together, alone, strict=True):
        for field in ("mean", "low", "high", "n", "clusters"):
            assert getattr(one, field) == pytest.approx(getattr(other, field), abs=1e-12)
    assert together[1].n == 200 - len(range(0, 200, 7))


def test_samples_that_do_not_count_change_nothing_but_the_resampling():
    x = np.random.default_rng(3).random(500)
    padded = np.concatenate([x, np.full(500, np.nan)])
    assert bootstrap.interval(padded).mean == bootstrap.interval(x).mean
    assert bootstrap.interval(padded).low == pytest.approx(bootstrap.interval(x).low, abs=0.01)


def test_copies_of_a_cluster_do_not_narrow_the_interval():
    x = np.random.default_rng(4).random(50)
    once = bootstrap.interval(x)
    copies = bootstrap.interval(np.repeat(x, 20), clusters=np.repeat(np.arange(50), 20))
    assert (copies.low, copies.high) == pytest.approx((once.low, once.high))
    assert copies.n == 1000 and copies.clusters == 50
    apart = bootstrap.interval(np.repeat(x, 20))
    assert apart.high - apart.low < 0.4 * (once.high - once.low)


def test_a_paired_difference_is_narrower_than_two_intervals():
    rng = np.random.default_rng(5)
    hard = rng.random(400)
    before, after = hard + rng.normal(0, 0.05, 400), hard + 0.1 + rng.normal(0, 0.05, 400)
    found = bootstrap.difference(before, after)
    assert 0.08 < found.low < 0.1 < found.high < 0.12
    alone = bootstrap.interval(before)
    assert found.high - found.low < 0.5 * (alone.high - alone.low)


def test_p_is_small_where_there_is_a_difference_and_uniform_where_there_is_none():
    rng = np.random.default_rng(7)
    clear = bootstrap.difference(np.zeros(100), rng.normal(0.5, 1, 100))
    assert clear.p < 1e-3 and clear.low > 0
    assert bootstrap.difference(np.ones(9), np.ones(9)).p == 1
    assert np.isnan(bootstrap.difference(np.full(2, np.nan), np.ones(2)).p)
    # Of 1,000 studies without a difference, 5 % have p below 0.05, with a standard error of 0.7 %.
    studies = rng.normal(0, 1, (80, 1000))
    found = bootstrap.difference(np.zeros_like(studies), studies, resamples=1000)
    assert 0.03 < np.mean([x.p < 0.05 for x in found]) < 0.08
    # p is below 0.05 when the 95 % interval does not contain zero.
    apart = [x.low > 0 or x.high < 0 for x in found]
    assert np.mean([a == (x.p < 0.05) for a, x in zip(apart, found)]) > 0.99


@pytest.mark.parametrize("clusters", [1, 2, 5, 6, 12])
def test_up_to_twelve_clusters_p_is_that_of_all_changes_of_signs(clusters):
    rng = np.random.default_rng(clusters)
    values, of = rng.normal(0.5, 1, 5 * clusters), np.repeat(np.arange(clusters), 5)
    sums = np.array([values[of == k].sum() for k in range(clusters)])
    totals = [
        abs(sum(s * x for s, x in zip(signs, sums)))
        for signs in itertools.product((1, -1), repeat=clusters)
    ]
    want = np.mean([t >= abs(sums.sum()) - 1e-9 for t in totals])
    found = bootstrap.difference(0 * values, values, clusters=of)
    assert found.p == pytest.approx(want) and found.clusters == clusters
    # If all clusters agree, p is the smallest that this number of clusters allows.
    alike = bootstrap.difference(np.zeros(clusters), np.ones(clusters))
    assert alike.p == pytest.approx(2 / 2**clusters)
    assert (alike.p < 0.05) == (clusters >= bootstrap.FEWEST)


def test_clusters_that_do_not_count_for_a_score_do_not_count_for_its_p():
    table = np.full((40, 2), 1.0)
    table[6:, 1] = np.nan
    many, few = bootstrap.difference(np.zeros((40, 2)), table)
    assert few.clusters == 6 and few.p == pytest.approx(2 / 2**6) and many.p < 0.001


def test_p_of_few_clusters_is_small_by_chance_no_more_often_than_it_says():
    studies = np.random.default_rng(8).normal(0, 1, (8, 500))
    found = [x.p for x in bootstrap.difference(0 * studies, studies, resamples=10)]
    assert 0.02 < np.mean(np.array(found) < 0.05) < 0.07


def test_holm_corrects_for_the_number_of_tests():
    # By hand, in ascending order: 0.01 x 4; 0.02 x 3; 0.03 x 2, which may not be below the previous
    # p; 0.5 x 1.
    assert bootstrap.holm([0.02, 0.01, 0.5, 0.03]) == pytest.approx([0.06, 0.04, 0.5, 0.06])
    assert bootstrap.holm([0.4, 0.6]) == pytest.approx([0.8, 0.8])
    found = bootstrap.holm([float("nan"), 0.04])
    assert np.isnan(found[0]) and found[1] == 0.04
    assert bootstrap.holm([]) == []


def test_without_a_sample_that_counts_there_is_no_number():
    found = bootstrap.interval(np.array([np.nan, np.nan]))
    assert np.isnan([found.mean, found.low, found.high]).all() and found.n == 0
    assert bootstrap.interval(np.zeros(0)).n == 0
    assert bootstrap.interval([None, 1.0, 1.0]).mean == 1.0


@pytest.mark.parametrize("clustered", [False, True])
def test_the_interval_holds_the_true_mean_as_often_as_it_says(clustered):
    # There are 2,000 simulated studies of 60 units with mean 0.3. The expected coverage is 95 %,
    # with a standard error of half a per cent.
    rng, hits, studies = np.random.default_rng(6), 0, 2000
    for _ in range(studies):
        if clustered:
            each = rng.integers(1, 6, 60)
            level = np.repeat(rng.normal(0.3, 0.2, 60), each)
            x, clusters = level + rng.normal(0, 0.1, len(level)), np.repeat(np.arange(60), each)
        else:
            x, clusters = rng.normal(0.3, 0.2, 60), None
        found = bootstrap.interval(x, clusters=clusters, resamples=400)
        hits += found.low <= 0.3 <= found.high
    assert 0.93 <= hits / studies <= 0.97


@pytest.mark.parametrize(
    "values, options, message",
    [
        (np.zeros((2, 2, 2)), {}, "shape"),
        (np.zeros(3), dict(level=1.0), "level"),
        (np.zeros(3), dict(clusters=["a"]), "1 clusters for 3 samples"),
    ],
)
def test_what_does_not_fit_is_an_error(values, options, message):
    with pytest.raises(ValueError, match=message):
        bootstrap.interval(values, **options)


def test_pairs_of_different_length_are_an_error():
    with pytest.raises(ValueError, match="paired"):
        bootstrap.difference(np.zeros(3), np.zeros(4))
