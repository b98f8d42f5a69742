"""How many items of a source may be unusable before a build stops.

An item is a line, a question or, in RefRad2D, an image. A bad image counts as all that it takes
away. Knows nothing of where items come from.
"""

import math
from collections.abc import Sequence

SHARE = 0.01
_SEVERAL = 20  # In a set of at least this many items, two are let through instead of one.
_SHOWN = 5


def exceeds(share: float, made: int, lost: Sequence[int]) -> bool:
    """Returns whether too many items are bad.

    More than `share` of them are too many. In small sets that share would be less than one item,
    and a single typing error would stop a first try: one item is always let through, and two in
    sets of at least 20 items, except with a share of 0. An image that takes away more items than
    that is not. Nothing is let through that leaves none.

    Args:
        share: that may be bad, 0 to 1.
        made: items that can be used.
        lost: of each problem, the items that it takes away; 0 for further problems of one item.
    """
    bad = sum(lost)
    if not made:
        return bad > 0
    free = 0 if share == 0 else 2 if made + bad >= _SEVERAL else 1
    return bad > free and bad > share * (made + bad) + 1e-9


def message(
    where: str, dataset: str, share: float, made: int, lost: Sequence[int], problems: Sequence
) -> str:
    """Returns what to say of too many bad items: how many, the first ones, and what to do.

    Args:
        where: dataset and split.
        dataset: its name.
        share, made, lost: as for `exceeds`.
        problems: as text.
    """
    bad = sum(lost)
    shown = "\n".join(f"  {p}" for p in problems[:_SHOWN])
    which = "The first" if len(problems) > _SHOWN else "These are"
    remedy = f"`python -m tools.validate_data {dataset}` lists all"
    if made:
        remedy += f"; mend them, or leave them out with --max_reject_share={needed(made, lost):g}"
    return (
        f"{where}: {bad} of {made + bad} items cannot be used, more than "
        f"max_reject_share={share:g}. {which}:\n{shown}\n{remedy}"
    )


def needed(made: int, lost: Sequence[int]) -> float:
    """Returns the smallest share, in whole percents, that would let these through."""
    bad = sum(lost)
    return math.ceil(100 * bad / (made + bad)) / 100
