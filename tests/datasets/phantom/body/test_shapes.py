import numpy as np
import pytest

from big_rad.datasets.phantom.body import shapes

SHAPES = {
    "ellipsoid": shapes.Ellipsoid((3, -2, 1), (10, 20, 8), shapes.rotation(20, -30, 40)),
    "superellipsoid": shapes.Ellipsoid((0, 0, 0), (10, 12, 14), power=3.0),
    "rippled": shapes.Ellipsoid((0, 0, 0), (15, 15, 15), ripple=0.15, wave=8),
    "tube": shapes.Tube([(-10, 0, 0), (0, 8, 3), (12, -4, 9)], [4, 6, 3]),
    "flat tube": shapes.Tube([(0, 0, -10), (0, 5, 10)], 8, flat=0.5),
    "column": shapes.Column([-10, 0, 12], [0, 2, 1], [0, 1, 4], [8, 9, 5], [6, 7, 3]),
    "union": shapes.Union(
        [shapes.Ellipsoid((0, 0, 0), (5, 5, 5)), shapes.Tube([(0, 0, 0), (15, 3, 0), (9, 9, 9)], 2)]
    ),
    "without": shapes.Without(
        shapes.Ellipsoid((0, 0, 0), (9, 9, 9)), shapes.Ellipsoid((4, 0, 0), (5, 5, 5))
    ),
}


def cloud(shape, n=60_000):
    rng = np.random.default_rng(0)
    low, high = shape.box
    span = high - low
    points = rng.uniform(low - 0.3 * span, high + 0.3 * span, (n, 3)).astype(np.float32)
    return points, shape.inside(*points.T)


@pytest.mark.parametrize("name", SHAPES)
def test_no_point_of_a_shape_is_outside_its_box(name):
    points, inside = cloud(SHAPES[name])
    assert inside.sum() > 500
    low, high = SHAPES[name].box
    assert (points[inside] >= low - 1e-3).all() and (points[inside] <= high + 1e-3).all()


@pytest.mark.parametrize("name", SHAPES)
def test_pieces_together_are_the_shape(name):
    points, inside = cloud(SHAPES[name])
    parts = [p.inside(*points.T) for p in shapes.pieces(SHAPES[name])]
    np.testing.assert_array_equal(np.any(parts, axis=0), inside)


def test_volume_of_a_turned_ellipsoid():
    shape = SHAPES["ellipsoid"]
    points, inside = cloud(shape, 200_000)
    volume = inside.mean() * np.prod((shape.box[1] - shape.box[0]) * 1.6)
    assert volume == pytest.approx(4 / 3 * np.pi * 10 * 20 * 8, rel=0.03)


def test_a_cut_removes_one_side():
    shape = shapes.Ellipsoid((0, 0, 0), (9, 9, 9), cuts=(((0, 0, 1), 2.0),))
    points, inside = cloud(shape)
    assert points[inside, 2].max() <= 2.0 and points[inside, 2].min() < -8


def test_outward_distance_of_a_round_column():
    column = shapes.Column([-10, 10], [1, 1], [2, 2], [5, 5], [5, 5])
    x = np.array([1, 1, 8], np.float32)
    y = np.array([4.5, 9, 2], np.float32)
    np.testing.assert_allclose(column.outward(x, y, x * 0), [-2.5, 2, 2], atol=1e-4)
