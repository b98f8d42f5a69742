"""The number of bad items that stops a build."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from big_rad.datasets import reject_limit

SHARES = st.sampled_from([0.0, 0.01, 0.05, 0.5, 1.0])


@pytest.mark.parametrize(
    ("made", "bad", "stops"),
    [
        (29, 1, False),  # This is a first try with one typing error.
        (18, 2, False),
        (17, 2, True),
        (27, 3, True),
        (22, 8, True),
        (6, 23, True),
        (2, 1, False),
        (1, 2, True),
        (0, 1, True),
        (0, 0, False),
        (198, 2, False),
        (197, 3, True),
        (990, 10, False),
        (989, 11, True),
        (99_000, 1_000, False),
        (98_999, 1_001, True),
    ],
)
def test_more_than_one_in_a_hundred_stop_but_one_or_two_in_a_small_set(made, bad, stops):
    assert reject_limit.exceeds(reject_limit.SHARE, made, [1] * bad) == stops


def test_a_share_of_0_lets_nothing_through():
    assert reject_limit.exceeds(0, 10_000, [1])
    assert not reject_limit.exceeds(0, 10_000, [])


def test_an_image_counts_as_all_that_it_takes_away_and_a_line_counts_once():
    # Three images of ten lines each, among 500 lines, are more than 1 %.
    assert reject_limit.exceeds(0.01, 470, [10, 10, 10])
    assert not reject_limit.exceeds(0.01, 497, [1, 1, 1])
    assert not reject_limit.exceeds(0.01, 9, [1, 0, 0])  # One line has three wrong fields.


@pytest.mark.parametrize(
    ("made", "lost", "stops"),
    [
        (15, [15], True),
        (10, [1000], True),
        (10, [500, 500], True),
        (8, [2], True),
        (18, [2], False),  # One image of two lines counts as much as two bad lines.
        (17, [2, 1], True),
        (990, [10], False),
    ],
)
def test_one_image_with_many_lines_is_no_single_item(made, lost, stops):
    assert reject_limit.exceeds(reject_limit.SHARE, made, lost) == stops


@given(st.integers(1, 300), st.lists(st.integers(0, 20), max_size=40), SHARES)
def test_the_share_that_the_message_names_lets_the_same_through(made, lost, share):
    if reject_limit.exceeds(share, made, lost):
        needed = reject_limit.needed(made, lost)
        assert not reject_limit.exceeds(needed, made, lost)
        assert math.isclose(needed * 100, round(needed * 100)) and share < needed <= 1


@given(st.integers(1, 300), st.lists(st.integers(0, 20), max_size=40), SHARES)
def test_only_the_number_of_bad_items_counts(made, lost, share):
    single = [1] * sum(lost)
    assert reject_limit.exceeds(share, made, lost) == reject_limit.exceeds(share, made, single)


@given(st.integers(0, 300), st.integers(0, 60), SHARES)
def test_one_more_bad_item_never_makes_it_pass(made, bad, share):
    if made and reject_limit.exceeds(share, made, [1] * bad):
        assert reject_limit.exceeds(share, made, [1] * (bad + 1))
