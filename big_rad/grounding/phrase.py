"""A phrase: words of a text that name anatomy, while their classes are still being found."""

import collections
import dataclasses
import functools
from collections.abc import Iterable, Sequence

from big_rad.grounding import classes


@dataclasses.dataclass
class Phrase:
    """Consecutive words that name anatomy.

    Attributes:
        first, last: the indices of the first and the last word.
        ids: the ids of all classes that the phrase may mean, in ascending order.
        grammatical_number: "one", "many" (a plural) or "both" (the phrase itself says both sides).
        side_words: the indices of the words in the phrase that name its side.
        side: the side that was found for the phrase, "left", "right" or "both". It is set only if
            `ids` has classes of both sides; otherwise, and if no side was found, it is None.
        resolved: whether it is known which classes the phrase means.
        several_organs: whether several organs are meant.
        coordinated: whether the phrase shares a noun or number with a neighbour ("upper and lower
            lobes").
        is_range: whether the phrase is a range of numbers.
    """

    first: int
    last: int
    ids: tuple[int, ...]
    grammatical_number: str = "one"
    side_words: tuple[int, ...] = ()
    side: str | None = None
    resolved: bool = False
    several_organs: bool = False
    coordinated: bool = False
    is_range: bool = False

    @property
    def words(self) -> range:
        """The indices of the words of the phrase."""
        return range(self.first, self.last + 1)

    @property
    def paired(self) -> bool:
        """Whether the phrase may be on either side."""
        return len({side_of_class(i) for i in self.ids} - {None}) == 2

    @property
    def own_side(self) -> str | None:
        """The side of the phrase, "left" or "right"; None if it is unknown or both."""
        if self.side is not None:
            return None if self.side == "both" else self.side
        found = {side_of_class(i) for i in self.ids}
        return found.pop() if len(found) == 1 else None


def on_side(ids: Iterable[int], side: str) -> tuple[int, ...]:
    """Returns the classes that are on a side, or all of them if `side` is "both"."""
    return tuple(i for i in ids if side == "both" or side_of_class(i) == side)


def side_of_class(class_id: int) -> str | None:
    """Returns "left" or "right" if the name of a class says so, otherwise None."""
    return _class_sides()[class_id - 1]


def most_per_side(ids: Iterable[int]) -> int:
    """Returns the largest of three counts: classes on the left, on the right, without a side.

    More than 1 means that the phrase names several organs of a side.
    """
    return max(collections.Counter(map(side_of_class, ids)).values(), default=0)


def mirrored(class_id: int) -> int | None:
    """Returns the class of the same organ on the other side, or None if it has no counterpart."""
    return _mirror().get(class_id)


@functools.cache
def _class_sides() -> tuple[str | None, ...]:
    found = []
    for c in classes.CLASSES:
        parts = c.name.split("_")
        found.append(next((s for s in ("left", "right") if s in parts), None))
    return tuple(found)


@functools.cache
def _mirror() -> dict[int, int]:
    other = {"left": "right", "right": "left"}
    ids = {c.name: c.id for c in classes.CLASSES}
    found = {}
    for name, class_id in ids.items():
        swapped = "_".join(other.get(p, p) for p in name.split("_"))
        if swapped != name and swapped in ids:
            found[class_id] = ids[swapped]
    return found


def family(ids: Sequence[int]) -> str:
    """Returns the first word of the class name, such as "lung", which the lung lobes share.

    A side may carry over from one phrase to another of the same family.
    """
    return classes.by_id(ids[0]).name.split("_")[0]
