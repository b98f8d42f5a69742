"""Finds the mentions of anatomy in a text: words that name a class, with their place.

The search has four steps:

1. `clauses` splits the text into words and clauses.
2. `candidates` finds phrases of the lexicon, the longest first.
3. `ellipsis` adds phrases whose noun a coordination leaves out.
4. `side_resolution` gives each phrase that may mean either organ of a pair the side that its clause
   names.

Negation is ignored: "no gallbladder" has a mention of the gallbladder.
"""

import dataclasses
import functools

from big_rad.grounding import candidates, clauses, ellipsis, side_resolution, side_words


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
    """

    start: int
    end: int
    phrase: str
    class_ids: tuple[int, ...]
    possible_ids: tuple[int, ...]
    several_organs: bool = False
    is_range: bool = False


def find(text: str, lang: str) -> list[Mention]:
    """Returns the mentions of a text, in order and without overlap.

    Args:
        text: the text, such as a report.
        lang: "en" or "de".

    Raises:
        ValueError: the language is unknown.
    """
    words = clauses.tokens(text)
    marks = clauses.gaps(text, words, lang)
    phrases = candidates.find(text, words, marks, lang)
    if not phrases:
        return []
    sides = side_words.read(text, words, marks, lang)
    phrases = ellipsis.fill_in(text, words, marks, phrases, sides, lang)
    side_resolution.resolve(text, words, marks, phrases, sides, lang)
    found = []
    for p in phrases:
        start, end = words[p.first].start, words[p.last].end
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
