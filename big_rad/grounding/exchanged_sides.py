"""Exchanges left and right in an English or German text.

>>> exchanged("Kleine Zyste der linken Niere, LUL frei.")
'Kleine Zyste der rechten Niere, RUL frei.'
"""

import re

from big_rad.grounding import side_words

_WORDS = {
    **{"links": "rechts", "li": "re", "lul": "rul", "lll": "rll", "lt": "rt"},
    **{"linkerseits": "rechterseits", "linksseits": "rechtsseits"},
}
_OTHER = _WORDS | {b: a for a, b in _WORDS.items()}
_STARTS = (("links", "rechts"), ("left", "right"))
_ADJECTIVE = re.compile(r"(link|recht)(e[rsmn]?)")
_WORD = re.compile(r"[^\W\d_]+")


def exchanged(text: str) -> str:
    """Returns a text with all its words for left and right exchanged.

    Words are exchanged whatever they mean in the text, also the "left" of "no fluid left"; which
    words name a side is found by `side_words`. Capital letters stay capital letters.
    """
    return _WORD.sub(lambda m: _like(m[0], _other(m[0].lower())), text)


def of_one_side(text: str) -> str:
    """Returns a text that names exactly one side with left and right exchanged, or "".

    It is also "" if the exchanged text does not name the other side and nothing else, as when the
    side is that of a word that has no partner.
    """
    found = exchanged(text)
    said, other = side_words.sides(text), side_words.sides(found)
    return found if len(said) == 1 and other == {"left", "right"} - said else ""


def _other(word: str) -> str | None:
    if word in _OTHER:
        return _OTHER[word]
    if found := _ADJECTIVE.fullmatch(word):
        return {"link": "recht", "recht": "link"}[found[1]] + found[2]
    for pair in (*_STARTS, *((b, a) for a, b in _STARTS)):
        if word.startswith(pair[0]):
            return pair[1] + word.removeprefix(pair[0])
    return None


def _like(old: str, new: str | None) -> str:
    if new is None:
        return old
    return new.upper() if old.isupper() else new.capitalize() if old[0].isupper() else new
