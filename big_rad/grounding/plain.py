"""The spelling in which texts are searched: no umlauts, one kind of hyphen, and a usable case.

The same word is found however it is written: composed or decomposed, "ä" or "ae", "ß" or "ss". A
text in capitals or without any gets the case that its language would give it, because the search
reads the beginnings of sentences and of German nouns from it.
"""

import bisect
import dataclasses
import functools
import re
import unicodedata

_CLUSTER = re.compile("[^\\x00-\\x7f\u0300-\u036f][\u0300-\u036f]*|[a-zA-Z]?[\u0300-\u036f]+")
_LETTERS = {
    "ä": "ae",
    "ö": "oe",
    "ü": "ue",
    "ß": "ss",
    "æ": "ae",
    "œ": "oe",
    "ø": "o",
    "\u00ad": "",
}
_SPACES = re.compile("[\u00a0\u2000-\u200a\u202f\u205f\u3000\t\r\f\v]")
_HYPHENS = re.compile("[\u2010\u2011\u2212]")
_WORD = re.compile(r"[A-Za-z]+")


@dataclasses.dataclass(frozen=True)
class Plain:
    """A text in plain spelling, which knows its places in the text as it was written.

    Attributes:
        text: the text in plain spelling.
        places: for each index of `text`, and for its end, the index in the written text; None if
            the two are equal.
    """

    text: str
    places: tuple[int, ...] | None = None

    def start(self, index: int) -> int:
        """Returns the place in the written text where the character at an index begins."""
        return index if self.places is None else self.places[index]

    def end(self, index: int) -> int:
        """Returns the place in the written text where the characters before an index end."""
        if self.places is None or index == 0:
            return index
        last = self.places[index - 1]
        return self.places[bisect.bisect_right(self.places, last)]

    def index(self, place: int) -> int:
        """Returns the first index whose character begins at a written place or later."""
        return place if self.places is None else bisect.bisect_left(self.places, place)


@functools.lru_cache(maxsize=64)  # Several searches read the same sentence one after the other.
def read(text: str) -> Plain:
    """Returns a text in plain spelling; the case of its letters does not change."""
    text = _SPACES.sub(" ", text)
    if text.isascii():
        return Plain(text)
    pieces: list[str] = []
    places: list[int] = []
    last, capitals = 0, text.isupper()
    for match in _CLUSTER.finditer(text):
        pieces.append(text[last : match.start()])
        places.extend(range(last, match.start()))
        written = _letters(match[0])
        if capitals:
            written = written.upper()  # A text in capitals stays one: "ÖDEM" is "OEDEM".
        pieces.append(written)
        places.extend([match.start()] * len(written))
        last = match.end()
    pieces.append(text[last:])
    places.extend(range(last, len(text) + 1))
    return Plain("".join(pieces), tuple(places))


def spelled(text: str) -> str:
    """Returns a text in plain spelling, without its places."""
    return read(text).text


def words(text: str) -> list[str]:
    """Returns the words of a table in plain spelling; they are separated by spaces."""
    return spelled(text).split()


def has_case(text: str) -> bool:
    """Returns whether a text has letters of both cases, so that its case means something."""
    return text != text.lower() and text != text.upper()


@functools.lru_cache(maxsize=1 << 12)
def _letters(cluster: str) -> str:
    if _HYPHENS.match(cluster):
        return "-"
    composed = unicodedata.normalize("NFC", cluster)
    found = _LETTERS.get(composed.lower())
    if found is None:
        bare = unicodedata.normalize("NFD", composed)
        bare = "".join(_letter(c) for c in bare if not unicodedata.combining(c))
        return bare if bare.isascii() and bare else cluster
    return _letter(composed)


def _letter(char: str) -> str:
    found = _LETTERS.get(char.lower())
    if not found:
        return char if found is None else ""
    return found if char.islower() else found[0].upper() + found[1:]
