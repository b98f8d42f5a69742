"""Tables of a model's parameters and of their totals, as text; shapes are enough for them."""

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from big_rad import extras


@dataclasses.dataclass(frozen=True)
class Parameter:
    """A row of the parameter table: one parameter; `size` is the number of its elements."""

    name: str
    shape: tuple[int, ...]
    size: int
    dtype: str
    trained: bool


@dataclasses.dataclass(frozen=True)
class Subtree:
    """A row of the totals: a subtree has `size` numbers, and `trained` of them are trained."""

    subtree: str
    size: int
    trained: int


def rows(params: Mapping[str, Any], trainable: Mapping[str, bool]) -> list[Parameter]:
    """Returns a row for each parameter.

    Args:
        params: The arrays, or their shapes and dtypes, by name.
        trainable: Whether each parameter is trained, by name.
    """
    return [
        Parameter(n, tuple(p.shape), math.prod(p.shape), np.dtype(p.dtype).name, trainable[n])
        for n, p in params.items()
    ]


def subtree_totals(rows: Iterable[Parameter], depth: int = 2) -> list[Subtree]:
    """Returns the totals of all subtrees whose names have up to `depth` parts, and of the whole."""
    totals: dict[str, list[int]] = {}
    for row in rows:
        parts = row.name.split("/")
        names = ["/".join(parts[:i]) for i in range(1, min(depth, len(parts) - 1) + 1)]
        for name in ["all", *names]:
            total = totals.setdefault(name, [0, 0])
            total[0] += row.size
            total[1] += row.size * row.trained
    return [Subtree(name, *totals[name]) for name in sorted(totals, key=lambda n: (n == "all", n))]


def text(rows: list[Parameter] | list[Subtree]) -> str:
    """Returns the rows as a table, with a column for each field of their dataclass."""
    with extras.needed("train"):  # Here, because prediction needs no tables.
        from clu import parameter_overview

    table = parameter_overview.make_table(
        rows,
        value_formatter=lambda v: (
            f"{v:,}" if type(v) is int else f"{v:.3f}" if isinstance(v, float) else str(v)
        ),
    )
    return table.replace(" Gib ", " GiB ", 1)  # It writes the first letter alone in upper case.
