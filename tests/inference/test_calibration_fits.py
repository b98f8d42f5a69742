"""Tests that fits recover known links, and that little data gives no fit."""

import dataclasses

import numpy as np
import pytest

from big_rad.inference import calibration_fits as fits
from big_rad.metrics import calibration as measures
from tests.helpers import confident


def bent(x):
    """A link that is no logistic regression: a plateau between two steps."""
    return np.select([x[:, 0] < 0.6, x[:, 0] < 0.95], [0.1, 0.35], 0.9)


@pytest.mark.parametrize("fractions", [False, True])
def test_a_logistic_link_is_recovered(fractions):
    fit = fits.fit(confident.items(900, fractions=fractions))
    assert fit.method == "logistic"
    fresh = confident.items(4000, seed=7, fractions=fractions)
    found, outcomes = [fit.apply(x.features) for x in fresh], [x.outcome for x in fresh]
    assert measures.debiased_ece(found, outcomes, draws=20) < 0.02
    assert measures.debiased_ece([x.score for x in fresh], outcomes, draws=20) > 0.1
    assert fit.weights["option"] == pytest.approx(0.4, abs=0.12)
    assert fit.weights["mean_token"] == pytest.approx(0.2, abs=0.12)


def test_a_bent_link_is_recovered_by_an_isotonic_regression():
    fit = fits.fit(confident.items(3000, link=bent))
    assert fit.method == "isotonic"
    fresh = confident.items(4000, seed=7, link=bent)
    found = np.array([fit.apply(x.features) for x in fresh])
    assert measures.debiased_ece(found, [x.outcome for x in fresh], draws=20) < 0.02
    z = [sum(w * fits.logits(x.features[n]) for n, w in fit.weights.items()) for x in fresh]
    assert (np.diff(found[np.argsort(z)]) >= -1e-12).all()
    ends = [fit.apply({n: value for n in fit.weights}) for value in (0.0, 1.0)]
    assert 0 < min(found.min(), *ends) and max(found.max(), *ends) < 1


def test_few_items_get_no_isotonic_regression():
    assert fits.fit(confident.items(fits.ISOTONIC - 1, link=bent)).method == "logistic"


def test_figures_are_those_of_other_patients():
    # A feature that says nothing: the fit cannot beat the mean on patients that it has not seen.
    some = confident.items(400, link=lambda x: np.full(len(x), 0.7))
    figures = fits.fit(some).figures
    assert figures.n == 400 and figures.patients == 200 and figures.incomplete == 0
    assert figures.brier > figures.base_brier == pytest.approx(0.21, abs=0.02)
    assert abs(figures.ece) < 0.05 < figures.raw_ece and figures.raw_brier > figures.brier


def test_separable_items_give_a_finite_fit():
    some = confident.items(200, link=lambda x: (x[:, 0] > 0.5).astype(float))
    fit = fits.fit(some)
    assert all(abs(w) < 10 for w in fit.weights.values())
    values = [fit.apply({"option": x, "mean_token": x}) for x in (0.0, 1.0)]
    assert 1 / 202 <= values[0] < values[1] <= 201 / 202


def test_a_constant_feature_does_no_harm():
    some = [dataclasses.replace(x, features=x.features | {"mean_token": 1.0}) for x in
            confident.items(300)]  # fmt: skip
    fit = fits.fit(some)
    assert abs(fit.weights["mean_token"]) < 1e-9 and fit.weights["option"] > 0.2


def test_a_patient_is_never_in_two_folds():
    patients = np.random.default_rng(0).integers(0, 40, 500).tolist()
    parts = fits.folds(patients)
    assert set(parts) == set(range(fits.FOLDS))
    for patient in set(patients):
        assert len({part for part, p in zip(parts, patients, strict=True) if p == patient}) == 1
    sizes = [len({p for p, x in zip(patients, parts, strict=True) if x == k}) for k in set(parts)]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(
    ("some", "why"),
    [
        (confident.items(fits.ITEMS - 1), f"99 items, and a fit needs {fits.ITEMS}"),
        (confident.items(150, each=10), f"of 15 patients, and a fit needs {fits.PATIENTS}"),
        (confident.items(150, link=lambda x: np.ones(len(x))), "all 150 items have the outcome 1"),
        ([dataclasses.replace(x, features={}) for x in confident.items(150)], "no feature"),
    ],
)
def test_too_little_gives_no_fit_and_the_reason(some, why):
    lines = []
    found, left_out = fits.fit_all(some, lines.append)
    assert found == {} and why in left_out["yes_no"][""] == left_out["yes_no"]["en"]
    assert len(lines) == 1 and why in lines[0]


def test_each_kind_and_language_has_a_fit_and_small_languages_share_one():
    some = confident.items(300) + confident.items(60, lang="de", seed=3)
    some += confident.items(200, "box", seed=5, fractions=True)
    found, left_out = fits.fit_all(some, lambda line: None)
    assert {k: set(v) for k, v in found.items()} == {"yes_no": {"", "en"}, "box": {"", "en"}}
    assert found["yes_no"][""].figures.n == 360 and found["yes_no"]["en"].figures.n == 300
    assert found["box"][""] == found["box"]["en"]
    assert left_out.keys() == {"yes_no"} and left_out["yes_no"].keys() == {"de"}


def test_items_without_a_common_feature_are_counted_and_rare_features_are_not_used():
    def only(x, i):
        rare = {"rare": 0.5} if i < 100 else {}
        value = None if i < 20 else x.features["option"]
        return dataclasses.replace(x, features=x.features | {"option": value} | rare)

    fit = fits.fit([only(x, i) for i, x in enumerate(confident.items(400))])
    assert set(fit.weights) == {"option", "mean_token"}
    assert (fit.figures.n, fit.figures.incomplete) == (380, 20)


@pytest.mark.parametrize("field", ["score", "outcome", "features"])
def test_values_outside_of_probabilities_are_errors(field):
    some = confident.items(200)
    value = {"option": 3.0, "mean_token": 0.5} if field == "features" else 3.0
    some[5] = dataclasses.replace(some[5], **{field: value})
    with pytest.raises(ValueError, match=f"{field.rstrip('s')} of kind 'yes_no' is 3.0"):
        fits.fit(some)
