"""Finds the mentions of anatomy in a text: words that name a class, with their place.

In four steps: the text is cut into words and clauses (`clauses`); phrases of the lexicon are found,
the longest first (`candidates`); what a coordination leaves out is filled in (`ellipsis`); and each
phrase that may mean the left or the right organ of a pair gets the side that its clause names
(`side_resolution`). Knows nothing of negation, nor of what an image shows.
"""

import dataclasses
import functools

from big_rad.grounding import candidates, clauses, ellipsis, side_resolution, side_words


@dataclasses.dataclass(frozen=True)
class Mention:
    """Words of a text that name anatomy, with their place in it.

    Attributes:
        start, end: the place: the phrase is `text[start:end]`.
        phrase: the words as they stand there.
        class_ids: the classes named, by id; none for one organ of a pair whose side is not said.
        possible_ids: all classes that the words may mean, whatever the side.
        plural: several organs are meant at once ("kidneys", "both lungs", "ribs 3 to 5"); else
            several classes are a group that one word names ("LWS").
        counted: the text counts its classes up ("ribs 3 to 5").
    """

    start: int
    end: int
    phrase: str
    class_ids: tuple[int, ...]
    possible_ids: tuple[int, ...]
    plural: bool = False
    counted: bool = False


def find(text: str, lang: str) -> list[Mention]:
    """Returns the mentions of a text, in order; they do not overlap.

    Args:
        text: a report.
        lang: "en" or "de".

    Raises:
        ValueError: another language.
    """
    words = clauses.tokens(text)
    between = clauses.gaps(text, words, lang)
    phrases = candidates.find(text, words, between, lang)
    if not phrases:
        return []
    sides = side_words.read(text, words, between, lang)
    phrases = ellipsis.fill_in(text, words, between, phrases, sides, lang)
    side_resolution.resolve(text, words, between, phrases, sides, lang)
    found = []
    for p in phrases:
        start, end = words[p.first].start, words[p.last].end
        ids = p.ids if p.side is None else candidates.on_side(p.ids, p.side)
        named = ids if p.named else ()
        found.append(Mention(start, end, text[start:end], named, p.ids, p.plural, p.counted))
    return found


def at(text: str, start: int, end: int) -> list[Mention]:
    """Returns the mentions, in either language, that share words with a place of a text."""
    both = (m for lang in ("en", "de") for m in _remembered(text, lang))
    return [m for m in both if m.start < end and start < m.end]


@functools.lru_cache(maxsize=256)
def _remembered(text: str, lang: str) -> tuple[Mention, ...]:
    return tuple(find(text, lang))
