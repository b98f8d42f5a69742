"""Parameters by their names: nested trees as flat dicts, and rules that match the names."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import flax

Rules = Sequence[tuple[str, Any]]


def flatten(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a nested tree as a flat dict with `/`-joined names."""
    return flax.traverse_util.flatten_dict(dict(tree), sep="/")


def unflatten(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Inverse of `flatten`."""
    return flax.traverse_util.unflatten_dict(dict(flat), sep="/")


def match(names: Sequence[str], rules: Rules, what: str) -> dict[str, Any]:
    """Returns for each name the value of the first rule whose pattern matches it whole.

    Raises:
        ValueError: a name that no pattern matches, or a pattern that matches no name.
    """
    idle = [p for p, _ in rules if not any(re.fullmatch(p, n) for n in names)]
    if idle:
        raise ValueError(f"{what}: pattern {idle[0]!r} matches no parameter")
    result = {}
    for name in names:
        hits = [value for pattern, value in rules if re.fullmatch(pattern, name)]
        if not hits:
            raise ValueError(f"{what}: no pattern matches parameter {name!r}; end with ('.*', ...)")
        result[name] = hits[0]
    return result
