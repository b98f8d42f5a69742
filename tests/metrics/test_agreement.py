import numpy as np
import pytest

from big_rad.metrics import agreement

N = None
# Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", section E: four observers, twelve
# units, missing ratings.
PUBLISHED = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, N, N, N],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, N, 3],
    [N, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, N],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, N],
]


@pytest.mark.parametrize(
    "level, alpha", [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)]
)
def test_alpha_is_that_of_the_published_example(level, alpha):
    assert agreement.krippendorff(PUBLISHED, level) == pytest.approx(alpha, abs=5e-4)


def test_alpha_is_1_for_agreement_about_0_for_chance_and_below_for_contradiction():
    rng = np.random.default_rng(0)
    first = rng.integers(1, 6, 2000).astype(float)
    assert agreement.krippendorff([first, first]) == 1
    assert abs(agreement.krippendorff([first, rng.permutation(first)])) < 0.05
    assert agreement.krippendorff([first, 6 - first], "interval") < -0.9


def test_alpha_of_nothing_to_compare_is_nan():
    assert np.isnan(agreement.krippendorff([[1, N], [N, 2]]))
    assert np.isnan(agreement.krippendorff([[3, 3], [3, 3]]))


def test_correlations_by_hand():
    a, b = [1, 2, 3, 4, np.nan], [1, 2, 3, 10, 7]
    # Deviations (-1.5, -.5, .5, 1.5) and (-3, -2, -1, 6): 14 / sqrt(5 x 50).
    assert agreement.pearson(a, b) == pytest.approx(14 / 250**0.5)
    assert agreement.spearman(a, b) == pytest.approx(1)
    assert np.isnan(agreement.pearson([1, 1], [1, 2])) and np.isnan(agreement.spearman([1], [2]))


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: agreement.krippendorff(PUBLISHED, "ratio"), "no level 'ratio'"),
        (lambda: agreement.krippendorff([1, 2, 3]), "shape"),
        (lambda: agreement.pearson([1, 2], [1]), "paired"),
    ],
)
def test_what_does_not_fit_is_an_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()
