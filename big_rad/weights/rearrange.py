"""Moving axes between two layouts, written as patterns of einops such as "(n h) d -> n d h".

A name is an axis, a bracket joins axes, "1" is an axis of length one. A pattern without an arrow
leaves an array as it is. Knows no checkpoint.
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
        pattern: "left -> right"; without an arrow both sides are the same.
        sizes: length of every axis.
    """
    left, arrow, right = pattern.partition("->")
    return _shape(left, sizes), _shape(right if arrow else left, sizes)


def apply(
    x: Shaped[np.ndarray, "*left"], pattern: str, sizes: Mapping[str, int]
) -> Shaped[np.ndarray, "*right"]:
    """Rearranges an array from the left layout of a pattern to the right one.

    Args:
        x: array in the left layout.
        pattern: see `shapes`.
        sizes: length of every axis; others may be among them.

    Returns:
        The array in the right layout, a view where numpy can make one.
    """
    if "->" not in pattern:
        return x
    return einops.rearrange(x, pattern, **{a: sizes[a] for a in _AXIS.findall(pattern)})


def invert(pattern: str) -> str:
    """Returns the pattern that goes back."""
    left, arrow, right = pattern.partition("->")
    return f"{right.strip()} -> {left.strip()}" if arrow else pattern


_AXIS = re.compile(r"[a-z]\w*")
_GROUP = re.compile(r"\([^)]*\)|\w+")  # Axes that are joined, one axis, or 1.


def _shape(side: str, sizes: Mapping[str, int]) -> tuple[int, ...]:
    groups = [_AXIS.findall(group) for group in _GROUP.findall(side)]
    return tuple(math.prod(sizes[axis] for axis in group) for group in groups)
