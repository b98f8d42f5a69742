"""Finds the places of keywords in their sentence, for formats that list words without places.

Words alone may not say which organ is meant where. For example, "Rechts im Unterlappen ein
Rundherd, links ist der Unterlappen frei" has two keywords "Unterlappen" of different classes.
"""

from collections.abc import Iterable, Sequence

from big_rad.grounding import candidates, markup, mentions
from big_rad.grounding.unicode import nfc

Keyword = tuple[str, int]
Placed = tuple[str, int, int | None]
_ANYWHERE = (0.0, 0.0, 1.0, 1.0)


def place(sentence: str, keywords: Sequence[Keyword], lang: str) -> tuple[list[Placed], list[str]]:
    """Returns the keywords with their places in a sentence.

    Most keywords stand for every place of their words. So do plurals, which are listed once per
    side ("kidneys"). There are two exceptions: keywords with the same words but different classes,
    and keywords for one organ of a pair whose words occur several times and do not name the side.
    These are paired with the places in order if there is one keyword per place. Otherwise it is
    unknown which keyword belongs to which place, and they are left out.

    Args:
        sentence: the text.
        keywords: the keywords (phrase, class id) in the order of the text.
        lang: "en" or "de".

    Returns:
        Two lists: the keywords as (phrase, class id, start) in the given order, in which a start of
        None means every place, and the phrases that were left out, each once.

    Example:
        >>> text = "Rechts im Unterlappen ein Rundherd, links ist der Unterlappen frei."
        >>> place(text, [("Unterlappen", 14), ("Unterlappen", 11)], "de")
        ([('Unterlappen', 14, 10), ('Unterlappen', 11, 50)], [])
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
    """Returns the mentions of a sentence as keywords with their places; see `phrases.find`.

    Organs that the text calls absent ("splenectomy") are left out.

    Args:
        sentence: the text.
        lang: "en" or "de".
        most: the most classes on one side that a word may name, see `phrases.find`.
    """
    return [
        (m.phrase, i, m.start)
        for m in mentions.find(sentence, lang)
        if not m.absent and (m.is_range or candidates.most_per_side(m.class_ids) <= most)
        for i in m.class_ids
    ]


def fields(sentence: str, placed: Iterable[Placed]) -> dict[str, list]:
    """Returns the fields `keywords` and `places` of a text.

    Args:
        sentence: the text.
        placed: the keywords (phrase, class id, start or None).

    Returns:
        A dict with these keys:

        keywords: the list of [phrase, class id]. Keywords with the same words, class and place are
            listed once.
        places: the start of each keyword, or None. This key is left out if the words alone give the
            same markup.
    """
    unique = list(dict.fromkeys(placed))
    words = [[phrase, class_id] for phrase, class_id, _ in unique]
    if _marks(sentence, unique) == _marks(sentence, [(p, c, None) for p, c, _ in unique]):
        return {"keywords": [list(k) for k in dict.fromkeys(map(tuple, words))]}
    return {"keywords": words, "places": [start for *_, start in unique]}


def moved(old: str, new: str, keyword: tuple[str, str], start: int | None) -> int | None:
    """Returns the place of a keyword after its sentence was rewritten.

    Args:
        old: the sentence before the change.
        new: the sentence after the change, which has the same keywords in the same order.
        keyword: the phrase before and the phrase after the change.
        start: the place of the keyword in `old`; None means every place.

    Returns:
        The place in `new`; None means every place. It is -1, which is no place of any phrase, if
        the place cannot be found.
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
    """Returns the places where each phrase would be marked; longer phrases come first."""
    listed = [markup.Mention(phrase, 1, _ANYWHERE) for phrase, _ in keywords]
    result: dict[str, list[tuple[int, int]]] = {}
    for start, end, mention in markup.locate(sentence, listed):
        result.setdefault(_key(mention.keyword), []).append((start, end))
    return result


def _told_by_words(phrase: str, ids: set[int], where: Sequence, lang: str) -> bool:
    """Returns whether a phrase has the same class at every place, by its words alone."""
    if len(ids) > 1:
        return False
    (only,) = ids
    return (
        len(where) < 2
        or candidates.mirrored(only) is None
        or candidates.lookup(" ".join(phrase.split()), lang) == (only,)
    )


def _plural(sentence: str, phrase: str, ids: set[int], where: Sequence, lang: str) -> bool:
    """Returns whether a phrase means all the classes at each of its places."""
    alone = [m for m in mentions.find(phrase, lang) if m.several_organs or len(m.class_ids) > 1]
    if any(ids <= set(m.class_ids) for m in alone):
        return True
    named = [m for m in mentions.find(sentence, lang) if len(m.class_ids) > 1]
    return bool(where) and all(
        any(m.start < end and start < m.end and ids <= set(m.class_ids) for m in named)
        for start, end in where
    )


def _marks(sentence: str, placed: Sequence[Placed]) -> list[tuple[int, int, tuple[int, ...]]]:
    """Returns the places that would be marked, each with the classes that it could have."""
    listed = [markup.Mention(p, c, _ANYWHERE, start) for p, c, start in placed]
    choice: dict[tuple[str, int | None], list[int]] = {}
    for p, c, start in placed:
        choice.setdefault((_key(p), start), []).append(c)
    result = []
    for start, end, m in markup.locate(sentence, listed):
        every = choice.get((_key(m.keyword), m.start), [])
        result.append((start, end, tuple(every)))
    return result
