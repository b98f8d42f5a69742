import numpy as np
import pytest

from big_rad.dicom import positions
from big_rad.dicom.image import place_of


@pytest.mark.parametrize(
    ("columns", "rows", "axis"),
    [
        ((1, 0, 0), (0, 1, 0), 2),
        ((-1, 0, 0), (0, 1, 0), 2),
        ((1, 0, 0), (0, 0, -1), 1),
        ((0, 1, 0), (0, 0, -1), 0),
        ((0, -1, 0), (0, 0, 1), 0),
    ],
)
def test_positions_rise_to_the_head_to_the_back_and_to_the_left(columns, rows, axis):
    normal = positions.normal(place_of(columns, rows, None))
    np.testing.assert_allclose(normal, np.eye(3)[axis])


def test_the_normal_does_not_depend_on_how_the_slice_is_stored():
    rng = np.random.default_rng(0)
    for _ in range(50):
        right, down = np.linalg.qr(rng.normal(size=(3, 3)))[0][:2]
        ways = [(right, down), (-right, down), (right, -down), (down, right)]
        found = [positions.normal(place_of(a, b, None)) for a, b in ways]
        np.testing.assert_allclose(found, np.tile(found[0], (4, 1)), atol=1e-9)
        assert found[0][np.abs(found[0]).argmax()] > 0


@pytest.mark.parametrize(
    ("at", "want"),
    [
        ([], []),
        ([5], []),
        ([5, 9], [1]),
        ([0, 5, 10, 15], [1, 1, 1]),
        ([0, 5, 15, 20], [1, 2, 1]),
        ([0, 5, 10, 30], [1, 1, 4]),
        ([0, 20, 25, 30], [4, 1, 1]),
        ([0, 2.5, 5, 10, 15, 20], [1, 1, 1, 1, 1]),  # The distance changes for good.
        ([0, 3, 7, 10, 14], [1, 1, 1, 1]),
    ],
)
def test_a_slice_is_missing_where_a_gap_is_twice_its_neighbours(at, want):
    assert positions.steps(at) == want


def test_slabs_tile_the_series_without_gap_or_overlap():
    rng = np.random.default_rng(1)
    for n in (2, 3, 10, 40):
        at = np.cumsum(rng.uniform(2, 3, n)).tolist()
        slabs = positions.slabs(at)
        for i in range(n - 1):
            assert at[i] + slabs[i][1] == pytest.approx(at[i + 1] - slabs[i + 1][0])
        assert sum(map(sum, slabs)) > at[-1] - at[0]
    assert positions.slabs([0, 5, 10]) == [(2.5, 2.5)] * 3
    assert positions.slabs([7]) is None and positions.slabs([7], 3.0) == [(1.5, 1.5)]
    # A slab ends in a wide gap, and a region beside it does not swallow the gap.
    assert positions.slabs([0, 5, 10, 50, 55, 60])[2:4] == [(2.5, 2.5), (2.5, 2.5)]


def test_missing_slices_and_unequal_gaps_are_named_with_their_positions():
    assert positions.irregular(np.arange(0, 100, 2.5).tolist()) == []
    assert positions.irregular([0, 5.001, 9.999, 15]) == []
    (missing,) = positions.irregular([-10, -5, 0, 20, 25, 30])
    assert missing == "slices are missing: 3 between 0.0 and 20.0 mm"
    (unequal,) = positions.irregular([0, 2, 4, 6, 9, 12])
    assert "2.00 mm, but 3.00 mm from 6.0 to 12.0 mm" in unequal
    holes = np.delete(np.arange(0.0, 200), np.arange(5, 200, 10)).tolist()
    assert "and 15 more" in positions.irregular(holes)[0]
