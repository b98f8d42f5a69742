"""Tables of a model's parameters and of their sums, as text. Shapes suffice; knows no model."""

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from clu import parameter_overview


@dataclasses.dataclass(frozen=True)
class Parameter:
    """A row of the parameter table."""

    name: str
    shape: tuple[int, ...]
    size: int
    dtype: str
    trained: bool


@dataclasses.dataclass(frozen=True)
class Subtree:
    """A row of the totals: `trained` of `size` numbers get a gradient."""

    subtree: str
    size: int
    trained: int


def rows(params: Mapping[str, Any], trainable: Mapping[str, bool]) -> list[Parameter]:
    """Returns a row a parameter.

    Args:
        params: name -> array or shape with dtype.
        trainable: name -> whether it is trained.
    """
    return [
        Parameter(n, tuple(p.shape), math.prod(p.shape), np.dtype(p.dtype).name, trainable[n])
        for n, p in params.items()
    ]


def subtree_totals(rows: Iterable[Parameter], depth: int = 2) -> list[Subtree]:
    """Returns the totals of all subtrees down to `depth` names, and of the whole."""
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
    """Returns a table of dataclasses of one kind."""
    return parameter_overview.make_table(
        rows,
        value_formatter=lambda v: (
            f"{v:,}" if type(v) is int else f"{v:.3f}" if isinstance(v, float) else str(v)
        ),
    )
