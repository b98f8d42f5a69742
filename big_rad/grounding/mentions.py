"""Finds the mentions of anatomy in a text: words that name a class, with their place.

The search has six steps:

1. `clauses` splits the text into words and clauses.
2. `candidates` finds phrases of the lexicon, the longest first. `techniques` leaves out those that
   only name an examination.
3. `ellipsis` adds phrases whose noun a coordination leaves out.
4. `side_resolution` gives each phrase that may mean either organ of a pair the side that its clause
   names; `relative_sides` reads "contralateral" and "of the same side".
5. `carried_sides` carries organs and sides into later clauses that leave them out.
6. `negation` judges whether a finding is denied there, and whether the organ is absent.

All of them read the text in plain spelling, see `plain`.
"""

import dataclasses
import functools

from big_rad.grounding import (
    candidates,
    carried_sides,
    casing,
    clauses,
    ellipsis,
    negation,
    plain,
    relative_sides,
    rib_numbers,
    side_resolution,
    side_words,
    techniques,
)


@dataclasses.dataclass(frozen=True)
class Mention:
    """Words of a text that name anatomy, with their place in it.

    Attributes:
        start, end: the place in the text; the phrase is `text[start:end]`.
        phrase: the words as they are written.
        class_ids: the ids of the classes that are named, in ascending order. It is empty for one
            organ of a pair whose side is unknown ("the kidney").
        possible_ids: the ids of all classes that the words may mean on any side.
        several_organs: whether several organs are meant ("kidneys", "both lungs", "ribs 3 to 5").
            If it is False and there are several classes, one word names them as a group ("LWS").
        is_range: whether the text gives a range of numbers ("ribs 3 to 5").
        negated: whether at least one finding at the organ is denied, see `negation`.
        absent: whether the organ was removed or was never there ("splenectomy").
    """

    start: int
    end: int
    phrase: str
    class_ids: tuple[int, ...]
    possible_ids: tuple[int, ...]
    several_organs: bool = False
    is_range: bool = False
    negated: bool = False
    absent: bool = False


def find(text: str, lang: str) -> list[Mention]:
    """Returns the mentions of a text, in order and without overlap.

    Args:
        text: the text, such as a report.
        lang: "en" or "de".

    Raises:
        ValueError: the language is unknown.
    """
    written = plain.read(text)
    searched = casing.usual(written.text, lang)
    words = clauses.tokens(searched)
    marks = clauses.gaps(searched, words, lang)
    clauses.join_asides(words, marks)
    words = side_words.without_picture(words, marks, lang)
    candidates.end_after_sides(searched, words, marks, lang)
    phrases = candidates.find(searched, words, marks, lang)
    alike = {i for p in phrases if not p.ids for i in p.words}
    phrases = techniques.without(words, marks, [p for p in phrases if p.ids])
    if not phrases:
        return []
    sides = [s for s in side_words.read(searched, words, marks, lang) if s.index not in alike]
    phrases = ellipsis.fill_in(searched, words, marks, phrases, sides, lang)
    rib_numbers.add(searched, words, marks, phrases, lang)
    side_resolution.resolve(searched, words, marks, phrases, sides, lang)
    relative_sides.resolve(words, marks, phrases)
    carried_sides.inherit(words, marks, phrases, sides)
    phrases = carried_sides.omitted(words, marks, phrases, sides, lang)
    judged = negation.judge(words, marks, phrases, lang)
    found = []
    for p, said in zip(phrases, judged, strict=True):
        start, end = written.start(words[p.first].start), written.end(words[p.last].end)
        ids = p.ids if p.side is None else candidates.on_side(p.ids, p.side)
        found.append(
            Mention(
                start=start,
                end=end,
                phrase=text[start:end],
                class_ids=ids if p.resolved else (),
                possible_ids=p.ids,
                several_organs=p.several_organs,
                is_range=p.is_range,
                negated=said.negated,
                absent=said.absent,
            )
        )
    return found


def at(text: str, start: int, end: int) -> list[Mention]:
    """Returns the mentions, English or German, that overlap with `text[start:end]`."""
    both = (m for lang in ("en", "de") for m in _remembered(text, lang))
    return [m for m in both if m.start < end and start < m.end]


@functools.lru_cache(maxsize=256)
def _remembered(text: str, lang: str) -> tuple[Mention, ...]:
    return tuple(find(text, lang))
