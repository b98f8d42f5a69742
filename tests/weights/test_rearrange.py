import numpy as np
import pytest

from big_rad.weights import rearrange

SIZES = dict(n=2, h=3, d=5, p=4)


@pytest.mark.parametrize(
    "pattern, plain",
    [
        ("(n h) d -> n d h", lambda x: x.reshape(2, 3, 5).transpose(0, 2, 1)),
        ("d (n h) -> n h d", lambda x: x.reshape(5, 2, 3).transpose(1, 2, 0)),
        ("n d -> 1 n d", lambda x: x[None]),
        ("d n h p -> h p n d", lambda x: x.transpose(2, 3, 1, 0)),
        ("(n h) -> n h", lambda x: x.reshape(2, 3)),
        ("n d", lambda x: x),
    ],
)
def test_patterns_say_what_reshape_and_transpose_do_and_can_be_undone(pattern, plain):
    left, right = rearrange.shapes(pattern, SIZES)
    x = np.arange(np.prod(left)).reshape(left)
    got = rearrange.apply(x, pattern, SIZES)
    np.testing.assert_array_equal(got, plain(x))
    assert got.shape == right
    np.testing.assert_array_equal(rearrange.apply(got, rearrange.invert(pattern), SIZES), x)
