"""Decides whether a build must stop because too many items of its source are unusable.

An item is a line, a question or, in RefRad2D, an image. A bad image counts as all items that are
lost with it.
"""

import math
from collections.abc import Sequence

SHARE = 0.01
_SEVERAL = 20  # In a dataset of at least this many items, two bad ones are accepted, not one.
_SHOWN = 5


def exceeds(share: float, made: int, lost: Sequence[int]) -> bool:
    """Returns whether too many items are bad.

    More than `share` of the items are too many. In a small dataset this share would be less than
    one item, and a single typing error would stop a first try. One bad item is therefore always
    accepted, and two in a dataset of at least 20 items, unless `share` is 0. If no usable item is
    left, any bad item is too many.

    Args:
        share: the share of the items that may be bad, 0 to 1.
        made: the number of usable items.
        lost: the number of items that each problem loses; 0 for a further problem of a lost item.

    Example:
        With a share of 0.01, `exceeds(0.01, 18, [1, 1])` is False (2 of 20 items), and
        `exceeds(0.01, 17, [1, 1])` is True (2 of 19). `exceeds(0.01, 97, [3])`, one image that
        loses three items, is True.
    """
    bad = sum(lost)
    if not made:
        return bad > 0
    free = 0 if share == 0 else 2 if made + bad >= _SEVERAL else 1
    return bad > free and bad > share * (made + bad) + 1e-9


def message(
    where: str, dataset: str, share: float, made: int, lost: Sequence[int], problems: Sequence
) -> str:
    """Returns a message on too many bad items: their number, the first ones, and the remedy.

    Args:
        where: the dataset and the split, as text.
        dataset: the name of the dataset.
        share: the share of the items that may be bad, as for `exceeds`.
        made: the number of usable items.
        lost: the number of items that each problem loses.
        problems: the problems as text.
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
    """Returns the smallest share, rounded up to whole percent, that accepts these bad items."""
    bad = sum(lost)
    return math.ceil(100 * bad / (made + bad)) / 100
