"""Splits English and German reports into words, sentences and clauses.

The split is by rules. It is as fine as the search for the sides of organs needs it to be.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from big_rad.grounding import plain

_WORD = re.compile(r"[\w\u0300-\u036f]+")
# The ends of "u. a.", "u. ä." and "u. U.", in which "u." does not join two organs.
_NO_AND = re.compile(r"\.?\s?(?:ae|[au])\b", re.IGNORECASE)
_DASH = re.compile(r"\s[-\u2013\u2014]+\s")
_NEW_ITEM = re.compile(r"\n\s*\n|\n\s*(?:[-*\u2022\u2013]|\(?\d{1,2}[.)])\s")
# A point after these words never ends a sentence.
SHORT = frozenset(
    plain.words(
        "ca vgl z b v a m d h u dr prof bzw ggf inkl max min evtl n sog approx vs fig st e g i "
        "aa vv"
    )
)
# A point after these words ends a sentence only if a word of `_OPENS` follows.
SIDE_SHORT = {"de": frozenset(plain.words("re li bds bd")), "en": frozenset(plain.words("lt rt"))}
_OPENS = frozenset(
    plain.words(
        "der die das den dem des ein eine einen im in am an auf bei kein keine keinen kein es "
        "beide beidseits linke linker linkes rechte rechter rechtes links rechts sonst ansonsten "
        "zudem the a an no there both left right normal"
    )
)
# The beginnings of nouns that may follow a German ordinal ("4."). A capital letter after the point
# then does not begin a sentence.
_COUNTED = (
    "ripp", "cost", "lend", "brust", "hals", "wirbel", "lumbal", "thorakal", "zervikal", "sakral",
    "hwk", "bwk", "lwk", "swk",
)  # fmt: skip

# Words that a number belongs to, so that it counts nothing that follows ("LWK 1. Rippen frei").
_BEFORE_NUMBER = frozenset("lwk bwk hwk swk lw bw hw th segment serie bild".split())

PREPOSITIONS = frozenset(
    plain.words(
        "in on at of with within to from by for near along above below behind beside around into "
        "through over under between against toward towards involving including without im am an "
        "auf bei mit von vom zum zur aus durch über unter neben hinter vor nach ohne um bis gegen "
        "zwischen beim ins innerhalb entlang oberhalb unterhalb samt einschließlich"
    )
)
DETERMINERS = frozenset(
    plain.words(
        "the a an this that these those its no any some each "
        "der die das den dem des ein eine einen einem einer eines kein keine keinen keinem keiner "
        "dieser diese dieses diesen diesem jeder jede jedes"
    )
)
INDEFINITE = frozenset(
    plain.words("a an no any some ein eine einen einem einer eines kein keine keinen")
)
CONJUNCTIONS = frozenset(plain.words("and or plus und oder sowie bzw"))
# Words that begin a new clause.
CLAUSE_OPENERS = frozenset(
    plain.words(
        "but while whereas whilst although though however because which that who where "
        "aber während wohingegen hingegen dagegen jedoch sondern obwohl dass weil wobei welche "
        "welcher welches"
    )
)
# Clause openers that may also stand behind the first word of a clause.
_CONTRASTS = frozenset(
    plain.words("but however though aber jedoch hingegen dagegen wohingegen whereas while")
)
_ASIDES = frozenset(
    tuple(aside.split())
    for aside in "however;in contrast;by contrast;on the other hand;conversely;hingegen;dagegen;"
    "jedoch;allerdings;im gegensatz dazu;demgegenueber;andererseits;umgekehrt".split(";")
)
_SIDES = frozenset(plain.words("left right links rechts linksseitig rechtsseitig re li"))
_LEADS_SIDE = frozenset(plain.words("on the at auf der and und"))
VERBS = frozenset(
    plain.words(
        "is are was were has have had be been shows show showed demonstrates demonstrate appears "
        "appear remains remain measures measure contains contain reveals reveal lies lie extends "
        "looks look does do did can may might will could would should ist sind war waren hat haben "
        "hatte wird werden wurde wurden zeigt zeigen zeigte findet finden stellt stellen liegt "
        "liegen weist weisen besteht bestehen erscheint erscheinen kommt kommen misst messen "
        "bleibt bleiben reicht reichen imponiert imponieren kann können gibt"
    )
)
_SINGULAR_VERBS = frozenset(
    plain.words(
        "is was has shows demonstrates appears remains measures contains ist war hat wird zeigt "
        "stellt liegt weist erscheint misst bleibt imponiert"
    )
)


class Token(NamedTuple):
    """A word of a text.

    Attributes:
        start, end: the place of the word in the text.
        text: the word as it is written.
        low: the word in lower case; "und" for its abbreviation "u.".
    """

    start: int
    end: int
    text: str
    low: str

    @property
    def capital(self) -> bool:
        """Whether the word begins with a capital letter."""
        return self.text[:1].isupper()


def tokens(text: str) -> list[Token]:
    """Returns the words of a text in plain spelling (see `plain`), numbers included."""
    found = []
    for match in _WORD.finditer(text):
        low = match[0].lower()
        if low == "u" and not _NO_AND.match(text, match.end()):
            low = "und"
        found.append(Token(match.start(), match.end(), match[0], low))
    return found


def gaps(text: str, words: list[Token], lang: str) -> list[str]:
    """Returns the mark that separates each word from the next.

    Args:
        text: the text.
        words: the result of `tokens`.
        lang: "en" or "de".

    Returns:
        One mark per word: "." if the sentence ends, ";", ":", "(", ")", "," (also for a dash
        between spaces), or "" if nothing separates the words. The mark of the last word is ".".

    Example:
        The words of "Kidneys normal, spleen large." have the marks "", ",", "" and ".".
    """
    return [_gap(text, words, i, lang) for i in range(len(words))]


def opens_clause(words: Sequence[Token], i: int, first: int) -> bool:
    """Returns whether the word `i` opens a clause, in a clause that began with the word `first`.

    It does not after a lone side, as in "rechts frei, links hingegen ein Erguss".
    """
    if words[i].low not in CLAUSE_OPENERS:
        return False
    lead = words[first : i - 1]
    lone = i > first and words[i - 1].low in _SIDES and all(w.low in _LEADS_SIDE for w in lead)
    return not (lone and words[i].low in _CONTRASTS)


def verb_follows(words: list[Token], i: int) -> bool:
    """Returns whether the word after the word `i` is a finite verb in the singular."""
    return i + 1 < len(words) and words[i + 1].low in _SINGULAR_VERBS


def join_asides(words: Sequence[Token], marks: list[str]) -> None:
    """Takes the commas away around an aside behind a side ("left, in contrast, ..."), in place."""
    for i in range(len(words) - 1):
        if marks[i] != "," or words[i].low not in _SIDES:
            continue
        stop = next((k for k in range(i + 1, len(words)) if marks[k]), None)
        if stop and marks[stop] == "," and tuple(w.low for w in words[i + 1 : stop + 1]) in _ASIDES:
            marks[i] = marks[stop] = ""


def segments(words: list[Token], marks: list[str], splits: set[int]) -> list[range]:
    """Returns the clauses of a text, within which a side holds, as ranges of words.

    A clause ends at a punctuation mark, before a word that opens a clause, and before each word in
    `splits`.

    Args:
        words: the result of `tokens`.
        marks: the result of `gaps`.
        splits: the indices of the conjunctions that join clauses and not just words. The caller
            knows these by the anatomy and the sides around them.
    """
    parts, first = [], 0
    for i in range(len(words)):
        last = i + 1 == len(words)
        if last or marks[i] or i + 1 in splits or opens_clause(words, i + 1, first):
            parts.append(range(first, i + 1))
            first = i + 1
    return parts


def _gap(text: str, words: list[Token], i: int, lang: str) -> str:
    if i + 1 == len(words):
        return "."
    here, after = words[i], words[i + 1]
    gap = text[here.end : after.start]
    if gap == " ":
        return ""
    if _NEW_ITEM.search(text, here.end, after.start + 1) or _ends_sentence(gap, words, i, lang):
        return "."
    for mark in ";:()":
        if mark in gap:
            return mark
    return "," if "," in gap or _DASH.search(gap) else ""


def _ends_sentence(gap: str, words: list[Token], i: int, lang: str) -> bool:
    here, after = words[i], words[i + 1]
    if "!" in gap or "?" in gap:
        return True
    if "." not in gap:
        return False
    if "," in gap or ";" in gap or here.text.lower() in SHORT and not _fine(words, i):
        return False
    if here.low == "mm" and not (i and words[i - 1].text.isdigit()):
        return False  # These are muscles ("Mm. psoas"), and no millimetres.
    if here.low == "o" and after.low == "b":
        return False  # This is "o. B.", see `_fine`.
    if gap == "." and (here.text.isdigit() or not after.capital):
        return False  # This is a decimal point, or a point inside an abbreviation.
    if here.low in SIDE_SHORT[lang]:
        return after.capital and after.low in _OPENS
    if here.text.isdigit() and lang == "de" and len(here.text) < 3:
        numbered = i > 0 and words[i - 1].low in _BEFORE_NUMBER and not after.low[:1].isdigit()
        numbered = numbered or after.low.startswith(("rippens", "rippenf"))
        return after.capital and (numbered or not after.low.startswith(_COUNTED))
    return gap.lstrip(" )").startswith(".") and ("-" not in gap) and (after.text[0].isupper() or
        after.text[0].isdigit() or "\n" in gap)  # fmt: skip


def _fine(words: list[Token], i: int) -> bool:
    # Returns whether word i ends "o. B." ("ohne Befund", no finding) at the end of a sentence.
    return words[i].low == "b" and i > 0 and words[i - 1].low == "o" and words[i + 1].capital
