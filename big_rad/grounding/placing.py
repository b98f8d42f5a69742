"""Finds the places of keywords in their sentence, where a format lists words without places.

Words alone may not tell which organ is meant where: "Rechts im Unterlappen ein Rundherd, links ist
der Unterlappen frei" has two keywords "Unterlappen" of different classes. Knows nothing of files.
"""

from collections.abc import Iterable, Sequence

from big_rad.grounding import candidates, markup, mentions
from big_rad.grounding.unicode import nfc

Keyword = tuple[str, int]
Placed = tuple[str, int, int | None]
_ANYWHERE = (0.0, 0.0, 1.0, 1.0)


def place(sentence: str, keywords: Sequence[Keyword], lang: str) -> tuple[list[Placed], list[str]]:
    """Gives keywords the places that they stand for.

    Equal words of different classes are paired with their places in order, if there are as many;
    so are equal words of one organ of a pair, if they do not name the side themselves. If there are
    not as many, nobody knows which is where, and they are left out. All other keywords stand for
    every place of their words, as do plurals ("kidneys", listed for each side).

    Args:
        sentence: the text.
        keywords: (phrase, class id) in the order of the text.
        lang: "en" or "de".

    Returns:
        (phrase, class id, start; None for every place) in the order given, and the phrases that
        were left out, each once.
    """
    groups: dict[str, list[int]] = {}
    for n, (phrase, _) in enumerate(keywords):
        groups.setdefault(_key(phrase), []).append(n)
    spots = _spots(sentence, keywords)
    starts: dict[int, int | None] = {}
    left_out = []
    for key, members in groups.items():
        ids = {keywords[n][1] for n in members}
        phrase = keywords[members[0]][0]
        where = spots.get(key, [])
        if _told_by_words(phrase, ids, where, lang) or _plural(sentence, phrase, ids, where, lang):
            starts |= dict.fromkeys(members)
        elif len(members) == len(where):
            starts |= dict(zip(members, (start for start, _ in where), strict=True))
        else:
            left_out.append(phrase)
    placed = [(*keywords[n], starts[n]) for n in range(len(keywords)) if n in starts]
    return placed, left_out


def found(sentence: str, lang: str, most: int = 3) -> list[Placed]:
    """Returns the mentions of a sentence as keywords with their places; see `phrases.find`."""
    return [
        (m.phrase, i, m.start)
        for m in mentions.find(sentence, lang)
        if m.counted or candidates.on_one_side(m.class_ids) <= most
        for i in m.class_ids
    ]


def fields(sentence: str, placed: Iterable[Placed]) -> dict[str, list]:
    """Returns the fields `keywords` and `places` of a text.

    Args:
        sentence: the text.
        placed: (phrase, class id, start or None).

    Returns:
        keywords: [phrase, class id] each, without repeats of words, class and place;
        places: the start of each or None; left out if the words alone say the same.
    """
    unique = list(dict.fromkeys(placed))
    words = [[phrase, class_id] for phrase, class_id, _ in unique]
    if _marks(sentence, unique) == _marks(sentence, [(p, c, None) for p, c, _ in unique]):
        return {"keywords": [list(k) for k in dict.fromkeys(map(tuple, words))]}
    return {"keywords": words, "places": [start for *_, start in unique]}


def moved(old: str, new: str, keyword: tuple[str, str], start: int | None) -> int | None:
    """Returns where a keyword stands after its sentence was rewritten.

    Args:
        old: the sentence before.
        new: the sentence after, which holds the same words in the same order.
        keyword: the phrase before and after.
        start: its place in `old`; None for every place.

    Returns:
        its place in `new`; -1, where no phrase stands, if it cannot be told.
    """
    if start is None:
        return None
    before, after = (markup.occurrences(t, k) for t, k in zip((old, new), keyword, strict=True))
    if start not in before or len(before) != len(after):
        return -1
    return after[before.index(start)]


def _key(phrase: str) -> str:
    return " ".join(nfc(phrase).casefold().split())


def _spots(sentence: str, keywords: Sequence[Keyword]) -> dict[str, list[tuple[int, int]]]:
    """Returns where each phrase would be marked: longer ones claim their words first."""
    listed = [markup.Mention(phrase, 1, _ANYWHERE) for phrase, _ in keywords]
    result: dict[str, list[tuple[int, int]]] = {}
    for start, end, mention in markup.locate(sentence, listed):
        result.setdefault(_key(mention.keyword), []).append((start, end))
    return result


def _told_by_words(phrase: str, ids: set[int], where: Sequence, lang: str) -> bool:
    """Whether every place of a phrase has the same class."""
    if len(ids) > 1:
        return False
    (only,) = ids
    return (
        len(where) < 2
        or candidates.mirrored(only) is None
        or candidates.lookup(" ".join(phrase.split()), lang) == (only,)
    )


def _plural(sentence: str, phrase: str, ids: set[int], where: Sequence, lang: str) -> bool:
    """Whether the phrase means all classes at each of its places."""
    alone = [m for m in mentions.find(phrase, lang) if m.plural or len(m.class_ids) > 1]
    if any(ids <= set(m.class_ids) for m in alone):
        return True
    named = [m for m in mentions.find(sentence, lang) if len(m.class_ids) > 1]
    return bool(where) and all(
        any(m.start < end and start < m.end and ids <= set(m.class_ids) for m in named)
        for start, end in where
    )


def _marks(sentence: str, placed: Sequence[Placed]) -> list[tuple[int, int, tuple[int, ...]]]:
    """Returns what would be marked where, and with which classes to choose from."""
    listed = [markup.Mention(p, c, _ANYWHERE, start) for p, c, start in placed]
    choice: dict[tuple[str, int | None], list[int]] = {}
    for p, c, start in placed:
        choice.setdefault((_key(p), start), []).append(c)
    result = []
    for start, end, m in markup.locate(sentence, listed):
        every = choice.get((_key(m.keyword), m.start), [])
        result.append((start, end, tuple(every)))
    return result
