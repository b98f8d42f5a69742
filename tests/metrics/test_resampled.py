"""Each measure of resamples is the measure of `calibration` of the samples in the resample."""

import numpy as np
import pytest

from big_rad.metrics import calibration, resampled


@pytest.fixture(params=["ties", "apart"])
def drawn(request):
    """Scores, outcomes of which some are shares, and the counts of 12 resamples."""
    rng = np.random.default_rng(0)
    scores = rng.uniform(0.05, 0.95, 60)
    scores = scores.round(1) if request.param == "ties" else scores
    outcomes = rng.random(60)
    outcomes[:40] = outcomes[:40] > 0.5
    counts = np.concatenate(list(resampled.draws(rng.integers(0, 15, 60).tolist(), 12, seed=1)))
    return scores, outcomes, counts


def each(drawn):
    scores, outcomes, counts = drawn
    for row in counts:
        there = np.repeat(np.arange(len(scores)), row.astype(int))
        yield scores[there], outcomes[there]


@pytest.mark.parametrize("name", ["ece", "aurc", "augrc"])
def test_a_measure_of_resamples_is_that_of_the_samples_in_them(drawn, name):
    want = [getattr(calibration, name)(s, y) for s, y in each(drawn)]
    np.testing.assert_allclose(getattr(resampled, name)(*drawn), want, atol=1e-12)


def test_so_is_the_ranking(drawn):
    scores, outcomes, counts = drawn
    right = (outcomes > 0.5).astype(float)
    want = [calibration.auroc(s, y) for s, y in each((scores, right, counts))]
    np.testing.assert_allclose(resampled.auroc(scores, right, counts), want, atol=1e-12)
    assert np.isnan(resampled.auroc(scores, np.ones_like(right), counts)).all()


def test_so_is_the_fit_and_one_that_does_not_converge_is_missing(drawn):
    scores, outcomes, counts = drawn
    found = resampled.recalibration(
        scores, outcomes, counts, calibration.recalibration(scores, outcomes)
    )
    want = [calibration.recalibration(s, y) for s, y in each(drawn)]
    np.testing.assert_allclose(found.slope, [x.slope for x in want], atol=1e-3)
    np.testing.assert_allclose(found.intercept, [x.intercept for x in want], atol=1e-3)
    parted = (scores > 0.5).astype(float)
    start = calibration.Recalibration(1.0, 0.0)
    assert np.isnan(resampled.recalibration(scores, parted, counts, start).slope).all()


def test_clusters_are_drawn_whole_and_as_often_as_there_are_clusters():
    clusters = ["a", "a", "b", "c", "c", "c"]
    counts = np.concatenate(list(resampled.draws(clusters, 500, seed=0)))
    assert counts.shape == (500, 6)
    assert (counts[:, 0] == counts[:, 1]).all() and (counts[:, 3] == counts[:, 5]).all()
    assert (counts[:, [0, 2, 3]].sum(axis=1) == 3).all()
    assert counts[:, 2].mean() == pytest.approx(1, abs=0.1)
