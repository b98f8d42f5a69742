"""Parameters by name: converts nested trees to flat dicts and back, and matches names with rules.

    flatten({"img": {"w": 1}, "llm": {"w": 2}})  # {"img/w": 1, "llm/w": 2}
    match(["img/w", "llm/w"], [("img/.*", "frozen"), (".*", "trained")], "config.schedule")
    # {"img/w": "frozen", "llm/w": "trained"}

Rules are (regular expression, value) pairs, of which the first that matches a whole name counts.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import flax

Rules = Sequence[tuple[str, Any]]


def flatten(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a nested tree as a flat dict, in which "/" joins the names of the levels."""
    return flax.traverse_util.flatten_dict(dict(tree), sep="/")


def unflatten(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the nested tree of a flat dict; the inverse of `flatten`."""
    return flax.traverse_util.unflatten_dict(dict(flat), sep="/")


def match(names: Sequence[str], rules: Rules, what: str) -> dict[str, Any]:
    """Returns for each name the value of the first rule whose pattern matches the whole name.

    Args:
        names: the names of the parameters.
        rules: (regular expression, value) pairs.
        what: the name of the rules in error messages, such as the field of the config.

    Raises:
        ValueError: no pattern matches a name, or a pattern matches no name.
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
