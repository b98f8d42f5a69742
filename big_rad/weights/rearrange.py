"""Moving axes between two layouts, written as patterns such as "(n h) d -> n d h".

A name is an axis, a bracket joins axes, "1" is an axis of length one. Knows no checkpoint.
"""

import math
from collections.abc import Mapping

import numpy as np


def shapes(pattern: str, sizes: Mapping[str, int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Returns the shapes on both sides of a pattern.

    Args:
        pattern: "left -> right"; without an arrow both sides are the same.
        sizes: length of every axis.
    """
    left, right = _parse(pattern)
    return tuple(tuple(_length(g, sizes) for g in side) for side in (left, right))


def apply(x: np.ndarray, pattern: str, sizes: Mapping[str, int]) -> np.ndarray:
    """Rearranges an array from the left layout of a pattern to the right one.

    Args:
        x: array in the left layout.
        pattern: see `shapes`.
        sizes: length of every axis.

    Returns:
        The array in the right layout, a view where numpy can make one.
    """
    left, right = _parse(pattern)
    axes = [a for group in left for a in group if a != "1"]
    order = [axes.index(a) for group in right for a in group if a != "1"]
    x = x.reshape([sizes[a] for a in axes]).transpose(order)
    return x.reshape([_length(group, sizes) for group in right])


def invert(pattern: str) -> str:
    """Returns the pattern that goes back."""
    left, arrow, right = pattern.partition("->")
    return f"{right.strip()} -> {left.strip()}" if arrow else pattern


def _parse(pattern: str) -> tuple[list[list[str]], list[list[str]]]:
    left, arrow, right = pattern.partition("->")
    return _groups(left), _groups(right if arrow else left)


def _groups(side: str) -> list[list[str]]:
    groups, joined = [], None
    for token in side.replace("(", " ( ").replace(")", " ) ").split():
        if token == "(":
            joined = []
        elif token == ")":
            groups.append(joined)
            joined = None
        elif joined is not None:
            joined.append(token)
        else:
            groups.append([token])
    return groups


def _length(group: list[str], sizes: Mapping[str, int]) -> int:
    return math.prod(1 if a == "1" else sizes[a] for a in group)
