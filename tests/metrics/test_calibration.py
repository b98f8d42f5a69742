"""Measures of confidence against their definitions, and against known models."""

import itertools

import numpy as np
import pytest
from scipy import special

from big_rad.metrics import calibration


def calibrated(n, seed=0):
    rng = np.random.default_rng(seed)
    scores = rng.beta(2, 1.5, n)
    return scores, (rng.random(n) < scores).astype(float)


def test_auroc_is_the_share_of_pairs_in_the_right_order():
    rng = np.random.default_rng(1)
    scores, outcomes = rng.integers(0, 8, 60) / 8, rng.integers(0, 2, 60).astype(float)
    pairs = itertools.product(scores[outcomes == 1], scores[outcomes == 0])
    want = np.mean([(a > b) + 0.5 * (a == b) for a, b in pairs])
    assert calibration.auroc(scores, outcomes) == pytest.approx(want)
    assert np.isnan(calibration.auroc([0.1, 0.2], [1, 1]))


def test_risk_and_coverage_by_hand():
    curve = calibration.risk_coverage([0.9, 0.8, 0.7, 0.6], [1, 0, 1, 0])
    np.testing.assert_allclose(curve[:, 0], [0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(curve[:, 1], [0, 1 / 2, 1 / 3, 1 / 2])
    assert calibration.aurc([0.9, 0.8, 0.7, 0.6], [1, 0, 1, 0]) == pytest.approx(1 / 3)
    assert calibration.augrc([0.9, 0.8, 0.7, 0.6], [1, 0, 1, 0]) == pytest.approx(1 / 4)


def test_the_order_of_equal_scores_does_not_matter():
    scores, outcomes = np.array([0.5, 0.5, 0.5, 0.9]), np.array([1.0, 0, 0, 1])
    order = np.array([2, 3, 0, 1])
    for measure in (calibration.aurc, calibration.augrc, calibration.auroc, calibration.ece):
        assert measure(scores, outcomes) == pytest.approx(measure(scores[order], outcomes[order]))


def test_the_generalized_area_follows_from_auroc_and_accuracy():
    # Traub et al. 2024, equation 8: (1 - AUROC) acc (1 - acc) + (1 - acc)^2 / 2, for many samples.
    scores, outcomes = calibrated(20_000)
    accuracy = outcomes.mean()
    want = (1 - calibration.auroc(scores, outcomes)) * accuracy * (1 - accuracy)
    want += (1 - accuracy) ** 2 / 2
    assert calibration.augrc(scores, outcomes) == pytest.approx(want, abs=1e-4)


def test_a_calibrated_model_has_no_error_beyond_chance_and_the_slope_one():
    scores, outcomes = calibrated(4000)
    assert 0 < calibration.ece(scores, outcomes) < 0.04
    assert abs(calibration.debiased_ece(scores, outcomes)) < 0.01
    fit = calibration.recalibration(scores, outcomes)
    assert fit.slope == pytest.approx(1, abs=0.1) and fit.intercept == pytest.approx(0, abs=0.1)


def test_an_overconfident_model_has_the_error_and_the_slope_of_its_making():
    scores, outcomes = calibrated(20_000)
    sharp = special.expit(2 * special.logit(scores) + 0.5)
    fit = calibration.recalibration(sharp, outcomes)
    assert fit.slope == pytest.approx(0.5, abs=0.03)
    assert fit.intercept == pytest.approx(-0.25, abs=0.05)
    high = special.expit(special.logit(scores) + 1)  # Too high everywhere.
    found = calibration.debiased_ece(high, outcomes, draws=20)
    assert found == pytest.approx((high - scores).mean(), abs=0.01)


def test_outcomes_may_be_shares():
    rng = np.random.default_rng(0)
    scores = rng.beta(4, 2, 3000)
    outcomes = np.clip(scores + rng.normal(0, 0.1, 3000), 0, 1)
    assert abs(calibration.debiased_ece(scores, outcomes)) < 0.01
    assert calibration.debiased_ece(np.clip(scores - 0.1, 0, 1), outcomes) > 0.05


def test_bins_are_of_equal_size_and_hold_all_samples_of_a_score():
    found = calibration.bins(np.arange(30) / 30, np.ones(30), 15)
    assert [b.count for b in found] == [2] * 15
    found = calibration.bins([0.5] * 20 + [0.9] * 10, [1] * 30, 15)
    assert [(b.count, b.score) for b in found] == [(20, 0.5), (10, pytest.approx(0.9))]


def test_intervals_hold_the_truth_and_are_wider_where_samples_of_a_patient_are_alike():
    scores, outcomes = calibrated(400)
    low, high = calibration.bootstrap(calibration.brier, scores, outcomes, resamples=300)
    assert low < calibration.brier(scores, outcomes) < high
    each = np.repeat(np.arange(400), 5)
    wide = calibration.bootstrap(
        calibration.brier, scores[each], outcomes[each], clusters=list(each), resamples=300
    )
    narrow = calibration.bootstrap(calibration.brier, scores[each], outcomes[each], resamples=300)
    assert wide[1] - wide[0] > 1.8 * (narrow[1] - narrow[0])


@pytest.mark.parametrize("scores, outcomes", [([], []), ([0.1], [1, 0]), ([[0.1]], [[1]])])
def test_what_cannot_be_measured_is_an_error(scores, outcomes):
    with pytest.raises(ValueError, match="one outcome for each score"):
        calibration.ece(scores, outcomes)
