"""Carries a side to a phrase over a mark that otherwise ends the reach of a side.

Two such marks: the colon of a heading ("Kidney: left.") and the comma between an organ and its part
("right lung, lower lobe"). A side that is only a place beside a noun carries none.
"""

from collections.abc import Collection, Mapping, Sequence

from big_rad.grounding import candidates
from big_rad.grounding.candidates import Phrase
from big_rad.grounding.clauses import Token
from big_rad.grounding.side_words import SideWord


def under_heading(
    between: Sequence[str],
    segments: Sequence[range],
    at: int,
    phrase: Phrase,
    free: Mapping[int, SideWord],
    owned: Collection[int],
) -> str | None:
    """Returns the side that stands under a phrase which is a heading, or None.

    What stands under it ends with the sentence, and before a part that names other anatomy or is a
    heading itself.

    Args:
        between: of `clauses.gaps`.
        segments: of `clauses.segments`.
        at: which segment the phrase is in.
        phrase: the phrase.
        free: the words for sides that are in no phrase, by index.
        owned: the words that are in phrases.

    Returns:
        "left" or "right"; "both" if both are named, as in "Kidney: left 10 cm, right 11 cm".

    Example:
        "Kidney: left, lung: right." gives "left" for "Kidney" and "right" for "lung".
    """
    if phrase.last != segments[at][-1] or between[phrase.last] != ":":
        return None
    found = set()
    for segment in segments[at + 1 :]:
        mark = between[segment[-1]]
        other_heading = mark == ":" and segment[-1] not in free
        if other_heading or not owned.isdisjoint(segment):
            break
        found |= {free[i].side for i in segment if i in free and free[i].counts}
        if mark in (".", ";"):
            break
    return found.pop() if len(found) == 1 else "both" if found else None


def is_part(
    words: Sequence[Token],
    between: Sequence[str],
    first: Phrase,
    second: Phrase,
    free: Collection[int],
) -> bool:
    """Whether a comma joins an organ and its part, of which one has a side and the other has not.

    Args:
        words, between: of `clauses`.
        first, second: two phrases that follow one another; one of them waits for its side.
        free: the words for sides that are in no phrase.
    """
    if between[first.last] != "," or candidates.family(first.ids) != candidates.family(second.ids):
        return False
    if set(first.ids) & set(second.ids) or any(between[first.last + 1 : second.first]):
        return False
    end = next(i for i in range(second.last, len(words)) if between[i])
    if first.own_side is None and end != second.last:
        return False  # "Nodule in the lower lobe, right lung clear."
    return not any(i in free for i in range(second.last + 1, end + 1))


def is_beside(
    words: Sequence[Token], between: Sequence[str], owner: Mapping[int, Phrase], i: int
) -> bool:
    """Whether a German side is a place beside a noun: "rechts der Niere".

    Args:
        words, between: of `clauses`.
        owner: the phrase that a word is in, by index.
        i: which word the side is.
    """
    if i + 1 >= len(words) or between[i]:
        return False
    if words[i].low not in ("links", "rechts") or words[i + 1].low != "der":
        return False
    for k in range(i + 2, min(len(words), i + 5)):
        if k in owner:
            return candidates.gender(owner[k].ids[0]) != "m"
    return True
