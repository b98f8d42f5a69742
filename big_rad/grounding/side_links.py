"""Recognises where a side belongs to a phrase across a punctuation mark, and where it does not.

A side usually holds only up to the next mark. There are two exceptions: the colon of a heading
("Kidney: left.", see `under_heading`) and the comma between an organ and its part ("right lung,
lower lobe", see `is_part`). A side that only gives a place beside a noun belongs to no phrase (see
`is_beside`).
"""

from collections.abc import Collection, Mapping, Sequence

from big_rad.grounding import candidates
from big_rad.grounding.candidates import Phrase
from big_rad.grounding.clauses import Token
from big_rad.grounding.side_words import SideWord


def under_heading(
    marks: Sequence[str],
    segments: Sequence[range],
    at: int,
    phrase: Phrase,
    free: Mapping[int, SideWord],
    owned: Collection[int],
) -> str | None:
    """Returns the side that is named under a phrase that is a heading, or None.

    The text under a heading ends with the sentence. It also ends before a clause that names other
    anatomy or is itself a heading.

    Args:
        marks: the result of `clauses.gaps`.
        segments: the result of `clauses.segments`.
        at: the index of the segment that the phrase is in.
        phrase: the phrase.
        free: the words for sides that are in no phrase, by their index in the text.
        owned: the indices of the words that are in phrases.

    Returns:
        "left", "right", or "both" if both are named, as in "Kidney: left 10 cm, right 11 cm". None
        if the phrase is no heading, or no side is named under it.

    Example:
        "Kidney: left, lung: right." gives "left" for "Kidney" and "right" for "lung".
    """
    if phrase.last != segments[at][-1] or marks[phrase.last] != ":":
        return None
    found = set()
    for segment in segments[at + 1 :]:
        mark = marks[segment[-1]]
        other_heading = mark == ":" and segment[-1] not in free
        if other_heading or not owned.isdisjoint(segment):
            break
        found |= {free[i].side for i in segment if i in free and free[i].counts}
        if mark in (".", ";"):
            break
    return found.pop() if len(found) == 1 else "both" if found else None


def is_part(
    words: Sequence[Token],
    marks: Sequence[str],
    first: Phrase,
    second: Phrase,
    free: Collection[int],
) -> bool:
    """Returns whether the comma between two phrases joins an organ and its part.

    The part then has the side of the organ, or the organ has the side of the part.

    Args:
        words, marks: the results of `clauses.tokens` and `clauses.gaps`.
        first, second: two successive phrases, one of which has no side yet.
        free: the indices of the words for sides that are in no phrase.
    """
    if marks[first.last] != "," or candidates.family(first.ids) != candidates.family(second.ids):
        return False
    if set(first.ids) & set(second.ids) or any(marks[first.last + 1 : second.first]):
        return False
    end = next(i for i in range(second.last, len(words)) if marks[i])
    if first.own_side is None and end != second.last:
        return False  # As in "Nodule in the lower lobe, right lung clear."
    return not any(i in free for i in range(second.last + 1, end + 1))


def is_beside(
    words: Sequence[Token], marks: Sequence[str], owner: Mapping[int, Phrase], i: int
) -> bool:
    """Returns whether a German side gives a place beside a noun, as in "rechts der Niere".

    Args:
        words, marks: the results of `clauses.tokens` and `clauses.gaps`.
        owner: the phrase that a word is in, by the index of the word.
        i: the index of the word for the side.
    """
    if i + 1 >= len(words) or marks[i]:
        return False
    if words[i].low not in ("links", "rechts") or words[i + 1].low != "der":
        return False
    for k in range(i + 2, min(len(words), i + 5)):
        if k in owner:
            return candidates.gender(owner[k].ids[0]) != "m"
    return True
