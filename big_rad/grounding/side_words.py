"""Finds the words for left, right and both in English and German texts, and judges their use.

Not every "left" is the side of an organ. It may mean that something remains ("no fluid left"), give
a place beside an organ ("left of the kidney"), or be the side of a device, an approach, an emphasis
or an organ that is not one of a pair ("left ventricle").
"""

import dataclasses
import functools
import re
from collections.abc import Iterator, Sequence

from big_rad.grounding import clauses, plain
from big_rad.grounding.clauses import Token

_EN = {
    **dict.fromkeys(("left", "leftsided", "leftward", "lt"), "left"),
    **dict.fromkeys(("right", "rightsided", "rightward", "rt"), "right"),
    **dict.fromkeys(("both", "either", "neither", "bilateral", "bilaterally"), "both"),
}
_DE = {
    **dict.fromkeys(("links", "li", "linkerseits", "linksseits"), "left"),
    **dict.fromkeys(("rechts", "re", "rechterseits", "rechtsseits"), "right"),
    **dict.fromkeys(("bds", "bd", "beiderseits"), "both"),
}
# "recht" without an ending is an adverb ("recht groß"), and "link" is not a German word.
_DE_STEMS = (
    (re.compile(r"link(?:e[rsmn]?)"), "left"),
    (re.compile(r"recht(?:e[rsmn]?)"), "right"),
    (re.compile(r"beid(?:e[rsmn]?|seit\w*)|bilateral\w*"), "both"),
)
_DE_COMPOUND = re.compile(r"(links|rechts)(?!$)(\w+)")
# Endings of compounds whose side belongs to the heart, or to nothing that has a place.
_NO_SIDE = re.compile(r"herz|ventri|atrial|kardial|verschieb|haend|seitenlage|drehend|laeuf")
# Endings of compounds that say on which side a finding is stronger, or to which side a curve bends.
_EMPHASIS_DE = re.compile(
    r"betont|fuehrend|domin|ueberwieg|konvex|gericht|ausladend|praeval|akzent"
)
_EMPHASIS_AFTER = frozenset(
    plain.words(
        "predominant predominantly dominant predominance predominating dominance preponderance "
        "emphasis betont führend dominant überwiegend dominierend betonte betonter betontes "
        "betonten"
    )
)
_EMPHASIS_BEFORE = frozenset(
    plain.words(
        "predominantly mainly mostly more chiefly primarily especially particularly worse greater "
        "vorwiegend überwiegend mehr hauptsächlich vornehmlich insbesondere führend betont"
    )
)
_DEVICES = frozenset(
    plain.words(
        "catheter catheters line lines tube tubes drain drains stent stents port ports pacemaker "
        "pacemakers icd lead leads electrode electrodes prosthesis prostheses device devices pump "
        "shunt picc cvc nephrostomy pigtail clip clips screw screws plate plates nail implant "
        "implants arthroplasty endoprosthesis sheath access approach cannula filter replacement "
        "portacath mediport hardware osteosynthesis thoracostomy"
    )
)
_DEVICES_DE = re.compile(
    r".*(?:katheter|drainage|drainagen|sonde|stent|stents|port|ports|schrittmacher|elektroden?|"
    r"prothesen?|shunt|schrauben?|platten?|implantat|schleuse|zugang|kanuele|aggregat|schiene|"
    r"system|osteosynthese|ostomie)s?"
)
_DEVICES_DE_WHOLE = frozenset(plain.words("zvk icd tep dj picc pigtail clip clips nagel mj"))
_NOT_DEVICES = frozenset(plain.words("report import transport support blutsystem"))
# Words with a left and a right that are not a pair among the classes, and positions of the patient.
_UNPAIRED = frozenset(
    plain.words(
        "ventricle ventricular atrium atrial heart hepatic liver thyroid coronary hemisphere "
        "hemispheric portal flexure decubitus oblique hander handed bundle circumflex ventrikel "
        "vorhof vorhofs ventrikels herz herzens leberlappen leberlappens leber schilddrüsenlappen "
        "hemisphäre flexur kolonflexur koronararterie seitenlage herzkammer kammer kopfseite "
        "pfortaderast"
    )
)
_REMAINING = frozenset(plain.words("no any residual remaining little nothing some few none not"))
_BE_HAVE = frozenset(plain.words("is are was were be been being has have had patient he she they"))
_AFTER_LEFT = frozenset(
    plain.words("in alone behind unchanged untreated open out to at as over unresected against for")
)
_AFTER_RIGHT = frozenset(
    plain.words(
        "away now after before next beside above below through angle angled angles here there "
        "where behind under at against along up inside near"
    )
)
_BESIDE = {
    "en": frozenset(plain.words("of to")),
    "de": frozenset(plain.words("des vom von neben davon")),
}
_HAND = frozenset(plain.words("side sided hand seite seitig seitige seitiger seitiges seitigen"))
_DIRECTION = frozenset(plain.words("to toward towards from via nach von via über"))
# Words for the picture and for who looks at it, and words between them and their side.
_PICTURE = frozenset(
    plain.words(
        "viewer viewers observer observers image picture screen betrachter betrachters bild "
        "bildes abbildung bildhälfte bildseite bildrand bildrandes"
    )
)
_BEFORE_SIDE = frozenset(plain.words("s aus gesehen her"))
_AFTER_SIDE = frozenset(plain.words("s side half part edge of the in seite hälfte im der des vom"))
_CLAUSE = 30  # The words before "left" that are searched for a word of `_REMAINING`.
_REACH = 4  # The most words between a side and its noun, the noun included.


@dataclasses.dataclass(frozen=True, slots=True)
class SideWord:
    """A word for a side.

    Attributes:
        index: the index of the word in the text.
        side: "left", "right" or "both".
        adjective: whether the word is an adjective ("left", "linke") and not an adverb ("links").
        counts: whether the word may give the side of an organ. If not, it is the side of something
            else, see the module's docstring.
        remaining: whether the word does not mean a side at all: "left" as in "no fluid left", or
            "right" as in "right above".
    """

    index: int
    side: str
    adjective: bool
    counts: bool = True
    remaining: bool = False


def side_of(token: Token, lang: str) -> str | None:
    """Returns the side that a single word names, or None; its use in the text is not judged."""
    low = token.low
    if lang == "en":
        if low in ("lt", "rt") and token.text.isupper():
            return None  # RT is radiotherapy.
        return _EN.get(low)
    return _german(low)


@functools.lru_cache(maxsize=1 << 14)
def _german(low: str) -> str | None:
    if low in _DE:
        return _DE[low]
    for stem, side in _DE_STEMS:
        if stem.fullmatch(low):
            return side
    compound = _DE_COMPOUND.fullmatch(low)
    if compound is None or _NO_SIDE.search(compound[2]):
        return None
    return "left" if compound[1] == "links" else "right"


def names_side(word: str, lang: str) -> bool:
    """Returns whether a word in lower case names a side."""
    return side_of(Token(0, len(word), word, word), lang) is not None


def read(text: str, words: Sequence[Token], marks: Sequence[str], lang: str) -> list[SideWord]:
    """Returns the words for sides in a text, in order.

    Args:
        text: the text.
        words: the result of `clauses.tokens`.
        marks: the result of `clauses.gaps`.
        lang: "en" or "de".
    """
    found = []
    for i, word in enumerate(words):
        side, end = side_of(word, lang), _ending_at(text, words, i, lang)
        if side is None or _hyphened(text, words, i, lang) or side_of(words[end], lang) is None:
            continue
        remaining = lang == "en" and _no_place(words, marks, i)
        adjective = _is_adjective(words[end], lang)
        counts = not remaining and not _elsewhere(text, words, marks, end, lang)
        found.append(SideWord(i, side, adjective, counts, remaining))
    return found


def without_picture(words: Sequence[Token], marks: Sequence[str], lang: str) -> list[Token]:
    """Returns the words of a text, in which sides of the picture are no sides any more.

    What is on the viewer's left is on the right of most patients, and the text does not say how the
    picture is displayed. So these sides say nothing about an organ.

    Args:
        words, marks: the results of `clauses.tokens` and `clauses.gaps`.
        lang: "en" or "de".
    """
    lows = [w.low for w in words]
    if _PICTURE.isdisjoint(lows):
        return list(words)
    return [
        w._replace(low="-") if side_of(w, lang) and _in_picture(lows, marks, i) else w
        for i, w in enumerate(words)
    ]


def _in_picture(lows: Sequence[str], marks: Sequence[str], i: int) -> bool:
    """Returns whether a side is one of the picture: "viewer's left", "left half of the image"."""
    k = i - 1
    while k > 0 and not marks[k] and lows[k] in _BEFORE_SIDE:
        k -= 1
    if k >= 0 and not marks[k] and lows[k] in _PICTURE:
        alone = bool(marks[i]) or lows[i + 1] in ("side", "half")
        if lows[i] in ("links", "rechts") or alone or lows[k] not in ("image", "picture"):
            return True
    k = i + 1
    while k < len(lows) and not marks[k - 1] and lows[k] in _AFTER_SIDE:
        k += 1
    return k < len(lows) and not marks[k - 1] and lows[k] in _PICTURE


def sides(text: str) -> set[str]:
    """Returns which of "left" and "right" a text names, in English or German.

    The sides of devices, emphases and unpaired organs are included. A "left" that means "remaining"
    is not.
    """
    found = set()
    text = plain.spelled(text)
    words = clauses.tokens(text)
    for lang in ("en", "de"):
        marks = clauses.gaps(text, words, lang)
        found |= {s.side for s in read(text, words, marks, lang) if not s.remaining}
    return found - {"both"}


def is_device(token: Token, lang: str) -> bool:
    """Returns whether a word names a device or an access."""
    if lang == "en":
        return token.low in _DEVICES
    return token.low in _DEVICES_DE_WHOLE or (
        bool(_DEVICES_DE.fullmatch(token.low)) and token.low not in _NOT_DEVICES
    )


def _is_adjective(word: Token, lang: str) -> bool:
    if lang == "en":
        return word.low != "bilaterally"
    return word.low not in _DE or word.low in ("re", "li")


def _hyphened(text: str, words: Sequence[Token], i: int, lang: str) -> bool:
    # The "re" of "Re-Operation" is not a side, but the "re" of "re-seitig" is.
    low, end = words[i].low, words[i].end
    if lang == "de" and low in ("re", "li"):
        return text[end : end + 1] in ("-", ":", "'") and not (
            i + 1 < len(words) and words[i + 1].low.startswith("seit")
        )
    return False


def _ending_at(text: str, words: Sequence[Token], i: int, lang: str) -> int:
    """Returns the index of the word whose ending a side shares, or `i` itself.

    An example is "rechts-", which shares the ending of "linksseitig" in "rechts- und linksseitig".
    """
    shares = lang == "de" and words[i].low in ("links", "rechts")
    if not shares or text[words[i].end : words[i].end + 1] not in tuple("-\u2010\u2011"):
        return i
    joined = i + 2 < len(words) and words[i + 1].low in clauses.CONJUNCTIONS
    return i + 2 if joined and words[i + 2].low.startswith(("links", "rechts")) else i


def _no_place(words: Sequence[Token], marks: Sequence[str], i: int) -> bool:
    """Returns whether an English "left" means "remaining", or a "right" means "just"."""
    before = words[i - 1].low if i and not marks[i - 1] else ""
    after = words[i + 1].low if not marks[i] and i + 1 < len(words) else ""
    if words[i].low == "right":
        return after in _AFTER_RIGHT and before not in ("the", "on")
    if words[i].low != "left" or before in ("the", "and", "or"):
        return False
    if before in _BE_HAVE and (not after or after in _AFTER_LEFT or after in ("the", "a")):
        return True
    if after in ("over", "behind", "alone", "untreated", "unresected"):
        return True
    if before in clauses.PREPOSITIONS or not before:
        return False
    if after and after not in clauses.PREPOSITIONS:
        return False
    first = i
    while first and not marks[first - 1] and i - first < _CLAUSE:
        first -= 1
    return any(w.low in _REMAINING for w in words[first:i])


def _elsewhere(text: str, words: Sequence[Token], marks: Sequence[str], i: int, lang: str) -> bool:
    """Returns whether a side belongs to something that is not one organ of a pair."""
    return (
        _is_emphasis(words, marks, i, lang)
        or _is_beside(words, marks, i, lang)
        or _is_direction(words, marks, i, lang)
        or _is_compared(text, words, i)
        or _other_noun(words, marks, i, lang)
    )


def _is_emphasis(words: Sequence[Token], marks: Sequence[str], i: int, lang: str) -> bool:
    compound = _DE_COMPOUND.fullmatch(words[i].low) if lang == "de" else None
    if compound and _EMPHASIS_DE.search(compound[2]):
        return True
    after = [w.low for w, _ in _ahead(words, marks, i)][:2]
    if after[:1] and (after[0] in _EMPHASIS_AFTER or _EMPHASIS_DE.match(after[0])):
        return True
    if after[:1] and after[0] in ("sided", "side") and after[1:] and after[1] in _EMPHASIS_AFTER:
        return True
    before = [w.low for w in _behind(words, marks, i)]
    before = [w for w in before if w not in ("on", "the", "in", "at", "auf", "der")]
    return bool(before) and before[0] in _EMPHASIS_BEFORE


def _is_beside(words: Sequence[Token], marks: Sequence[str], i: int, lang: str) -> bool:
    """Returns whether a side is a place beside something, as in "left of" or "links neben"."""
    if i + 1 >= len(words) or marks[i]:
        return False
    return words[i + 1].low in _BESIDE[lang] and not (
        lang == "de" and _is_adjective(words[i], "de")
    )


def _is_direction(words: Sequence[Token], marks: Sequence[str], i: int, lang: str) -> bool:
    """Returns whether a side is a direction, as in "shift to the left" or "von rechts"."""
    behind = [w.low for w in _behind(words, marks, i)]
    if lang == "de":
        return behind[:1] in (["nach"], ["von"], ["via"])
    ends = i + 1 >= len(words) or bool(marks[i]) or words[i + 1].low in (
        *clauses.PREPOSITIONS, *clauses.CONJUNCTIONS, *_HAND)  # fmt: skip
    return ends and behind[:1] == ["the"] and behind[1:2] != [] and behind[1] in _DIRECTION


_COMPARE = re.compile(
    r"\s*(?:>+|<+|\bgreater than\b|\bmore than\b|\blarger than\b|\bworse than\b|\bless than\b|"
    r"\bsmaller than\b|\bmehr als\b|\bgroesser als\b|\bstaerker als\b|\bausgepraegter als\b|"
    r"\bkleiner als\b|\bals\b|\bthan\b)\s*(?:on the |the |auf der )?",
    re.IGNORECASE,
)
_SIDE_AT = re.compile(r"(?:left|right|links|rechts|li|re)\b(?!\w)", re.IGNORECASE)


def _is_compared(text: str, words: Sequence[Token], i: int) -> bool:
    """Returns whether a side is one of two compared sides, as in "left greater than right"."""
    compare = _COMPARE.match(text, words[i].end)
    if compare and compare[0].strip() and _SIDE_AT.match(text, compare.end()):
        return True
    for before in words[max(0, i - _REACH) : i]:
        compare = _COMPARE.fullmatch(text, before.end, words[i].start)
        if compare and compare[0].strip() and _SIDE_AT.fullmatch(before.low):
            return True
    return False


def _other_noun(words: Sequence[Token], marks: Sequence[str], i: int, lang: str) -> bool:
    """Returns whether the side is that of a device, an unpaired organ or a patient position."""
    for word, _ in _ahead(words, marks, i):
        if word.low in _UNPAIRED or is_device(word, lang):
            return True
    before = list(_behind(words, marks, i, over=("(", ",")))
    before = [w for w in before if w.low not in ("on", "the", "auf", "der", "von", "at", "in")][:2]
    for n, word in enumerate(before):
        if is_device(word, lang) or (lang == "de" and n == 0 and word.low in _UNPAIRED):
            return True
        if word.low in clauses.VERBS or (word.capital and lang == "de"):
            break
    return False


def _ahead(words: Sequence[Token], marks: Sequence[str], i: int) -> Iterator[tuple[Token, int]]:
    """Yields (word, index) after a side up to its noun, at most `_REACH` words."""
    for k in range(i + 1, min(len(words), i + 1 + _REACH)):
        low = words[k].low
        if marks[k - 1] or low in clauses.PREPOSITIONS or low in clauses.DETERMINERS:
            return
        if low in clauses.CONJUNCTIONS or low in clauses.VERBS or low in clauses.CLAUSE_OPENERS:
            return
        yield words[k], k


def _behind(
    words: Sequence[Token], marks: Sequence[str], i: int, over: Sequence[str] = ()
) -> Iterator[Token]:
    """Yields the words before a side, the nearest first, at most `_REACH` words.

    It stops at a mark. A mark in `over` is passed if it stands directly before the side.
    """
    for k in range(i - 1, max(-1, i - 1 - _REACH), -1):
        if marks[k] and (marks[k] not in over or k != i - 1):
            return
        yield words[k]
