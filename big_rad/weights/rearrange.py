"""Rearranging the axes of arrays, by einops patterns that can also be inverted.

In a pattern such as "(n h) d -> n d h" each name is an axis, brackets join axes into one, and "1"
is an axis of length one. With n = 2 heads and h = 3 features of a head, this pattern splits the
rows of a matrix [6, d] into two groups of three and transposes each group, so that the result is
[2, d, 3]. A pattern without an arrow leaves an array as it is.
"""

import math
import re
from collections.abc import Mapping

import einops
import numpy as np
from jaxtyping import Shaped


def shapes(pattern: str, sizes: Mapping[str, int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Returns the shapes on both sides of a pattern.

    Args:
        pattern: A pattern "left -> right"; without an arrow both sides are the same.
        sizes: The lengths of the axes by name.
    """
    left, arrow, right = pattern.partition("->")
    return _shape(left, sizes), _shape(right if arrow else left, sizes)


def apply(
    x: Shaped[np.ndarray, "*left"], pattern: str, sizes: Mapping[str, int]
) -> Shaped[np.ndarray, "*right"]:
    """Rearranges an array from the left layout of a pattern to the right one.

    Args:
        x: The array in the left layout.
        pattern: The pattern; see `shapes`.
        sizes: The lengths of the axes by name. It may hold axes that the pattern does not use.

    Returns:
        The array in the right layout, which is a view of `x` if numpy can make one.
    """
    if "->" not in pattern:
        return x
    return einops.rearrange(x, pattern, **{a: sizes[a] for a in _AXIS.findall(pattern)})


def invert(pattern: str) -> str:
    """Returns the pattern that undoes a pattern: its two sides exchanged."""
    left, arrow, right = pattern.partition("->")
    return f"{right.strip()} -> {left.strip()}" if arrow else pattern


_AXIS = re.compile(r"[a-z]\w*")
_GROUP = re.compile(r"\([^)]*\)|\w+")  # Joined axes in brackets, a single axis, or 1.


def _shape(side: str, sizes: Mapping[str, int]) -> tuple[int, ...]:
    groups = [_AXIS.findall(group) for group in _GROUP.findall(side)]
    return tuple(math.prod(sizes[axis] for axis in group) for group in groups)
