"""Finds and removes what a report's sentence says about earlier studies.

A caption of one image must not say that something has grown. `remove` takes such words out, and
then looks for them again in what remains. A sentence of which nothing remains is dropped, and so is
one that cannot be cleaned. Numbers and sides are left out with their words or stay as they are;
they are never changed.

    >>> remove("The nodule in the left lung, previously 5 mm, now measures 8 mm.", "en").text
    'The nodule in the left lung measures 8 mm.'
"""

import collections
import dataclasses
import functools
import re
from collections.abc import Iterator

from big_rad.annotate import articles
from big_rad.annotate import comparison_table as table
from big_rad.annotate.comparison_find import FIND
from big_rad.annotate.comparison_keep import KEEP
from big_rad.annotate.comparison_remove import REMOVE
from big_rad.grounding import clauses, plain

_ROUNDS = 4  # The most times that the rules are applied to one sentence.
_NUMBER = re.compile(r"\d+(?:[.,]\d+)?")
_HIDDEN = "\x00"
# Brackets and bars of a regular expression, beside what is escaped; and how a pattern may begin.
_MARKS = re.compile(r"\\.|\[[^]]*\]|[()|]")
_BEGIN = re.compile(r"[a-z](?![?*+{])|\\w\*(?=[a-z(])|\\d\+|\\d\{1,2\}")
_REPEATS = ("?", "*", "+", "{")
NOTHING_LEFT = "nothing remains without the comparison"
NOT_CLEANED = "the comparison could not be removed"
# Of "unverändert groß", "groß" alone would say something else.
_AS_BEFORE = re.compile(
    r"\b(?:unver(?:ä|ae|a\u0308)ndert(?:e[nmrs]?)?|gleich|konstant|identisch|stabil|ebenso)\s+"
    r"(?:gro(?:ß|ss)|klein|weit|eng|breit|schmal|dick|d(?:ü|ue|u\u0308)nn|lang|kurz|hoch|dicht|"
    r"ausgepr(?:ä|ae|a\u0308)gt|zahlreich|viele?|stark|tief|hell|kr(?:ä|ae|a\u0308)ftig)"
    r"(?:e[nmrs]?)?\b",
    re.IGNORECASE,
)
# What is tidied after a removal, in this order: pattern, replacement.
_TIDY = (
    (re.compile(r"\(\s*[,;]?\s*\)"), ""),
    (re.compile(r"\(\s*[,;]\s*"), "("),
    (re.compile(r"\s{2,}"), " "),
    (re.compile(r"\s+([.,;:!?)])"), r"\1"),
    (re.compile(r"[,:]\s*(?=;)"), ""),
    (re.compile(r"([,;:])(?:\s*[,;:])+"), r"\1"),
    (re.compile(r"\.\s*\.(?!\w)"), "."),
    (re.compile(r"^[\s,;:.\-]+"), ""),
    (
        re.compile(
            r"^([^,:;()]+), (?=(?:measures|is|are|has|have|shows?|misst|messen|ist|sind)\s)"
        ),
        r"\1 ",
    ),
    (
        re.compile(
            r"^((?:the )?(?:size|diameter|length|width|volume) of [^,;]*?) measures (?=\d)", re.I
        ),
        r"\1 is ",
    ),
    (
        re.compile(
            r"^((?:die |der |das )?(?:größe|durchmesser|länge|breite|volumen) de[rs] [^,;]*?) "
            r"misst (?=\d)",
            re.I,
        ),
        r"\1 beträgt ",
    ),
    (re.compile(r"(?<=:)\s+(?:and|und|with|mit)\s+(?=\S)"), " "),
    # German puts the verb second, so it stands first if what stood before it is removed.
    (re.compile(r"^stell(?:t|en) sich (.*?) dar(?=[.,;]|$)", re.I), r"\1"),
    (
        re.compile(
            r"^(?:ist|sind|zeigt|zeigen|hat|haben|findet|finden|stellt|stellen|misst|messen|liegt|"
            r"liegen|besteht|bestehen|erscheint|erscheinen|imponiert|imponieren|wird|werden)"
            r"(?: sich)?\s+(?=\S)",
            re.I,
        ),
        "",
    ),
    (re.compile(r"^(?:and|but|und|aber|sowie|with|mit|of|in size|von|der|des)\s+(?=\S)"), ""),
    (
        re.compile(
            r"[\s,;:]+(?:and|but|und|aber|sowie|is|are|was|were|has|have|ist|sind|hat|haben|war|"
            r"waren|remains?|zeigt sich|zeigen sich|stellt sich|stellen sich|im|in|of|to|from|"
            # A full stop counts at the end only, because "A." may be an artery.
            r"since|with|mit|which|the|a|an|als|than|zur|zum|bei|sich|also|auch|nicht|not|it|been|"
            r"as|dagegen|hingegen|jedoch)(?=[;,!?]|\.?\s*$)",
            re.I,
        ),
        "",
    ),
    (
        re.compile(
            r"(?:,\s*(?:as )?(?:seen|noted|described|shown|demonstrated|visuali[sz]ed|present|"
            r"beschrieben|bekannt|nachweisbar|abgrenzbar|befund|findings?|lage|größe|stellung)|"
            r"\s(?:appears?|shows?|zeigt|zeigen|stellt|stellen|erscheint|erscheinen|demonstrates?))(?=[.;]|$)",
            re.I,
        ),
        "",
    ),
    (
        re.compile(
            r"\s(?:in (?:der|ihrer|seiner) (?:größe|weite|ausdehnung|form|lage|menge)|"
            r"in menge und \w+|"
            r"in (?:size|extent|appearance|number|configuration))(?=[.,;]|$)",
            re.I,
        ),
        "",
    ),
    (re.compile(r"([,;:])\s*(?=[.!?]|$)"), ""),
)
# What remains of a clause is no sentence if it ends or begins like this.
_BROKEN = re.compile(
    r"\b(?:no|of|very|nach|dem der|bleibt|bleiben|looks?|keeps?|none|one of them|some|the|a|an|der|"
    r"des|dem|den|more|less|mehr|weniger|etwas|sehr|zeigt|entspricht|imponiert|slightly|deutlich|"
    r"weiterem|weiterer|letztere[rn]?|latter|being|eher|einzelne|überwiegend|größtenteils|"
    r"(?:hat|haben) an \w+|(?:hat|haben) in \w+ \w+|^vom \w+)\.?\s*$|"
    r"^(?:im bereich|in the region)\b[^,;:]*$|^there of\b|"
    r"^(?:(?:die |der |das )?zeigten?|zeigte|war|waren|showed|was|were|had|steady)\s|"
    r"\b(?:\w+ical|\w+ular|steady|slow|has|have|is|are) the\b|\bno [,;]|\bof of\b|"
    r"\bthe the\b|'s\b \w+$|\w- (?!und |oder |bzw|sowie |u\. |and |or |/)\w|^\d{1,2}/\d{2,4}\b|"
    r"\b(?:zeigt|zeigen|stellt|shows?) \(|"
    r"\b(?:weniger|mehr|less|more) (?:ausgeprägt|pronounced|marked)\b"
    r"(?! (?:als|than|in|on|an|auf|at|rechts|links|right|left)\b)",
    re.I,
)
_VERSUS = re.compile(table.PARTS["versus"], re.I)
_BRACKET = re.compile(r"\s*\([^()]*\)")
# "And" begins a clause only before words that a list of nouns does not go on with.
_CLAUSE_MARKS = re.compile(
    r"[,;:]|\s(?:but|aber|jedoch|while|waehrend)\s|"
    r"\s(?:and|und)\s(?=(?:there|no|kein\w*|without|ohne|es)\s)"
)
# A clause that says nothing without the one before it.
_DEPENDS = re.compile(
    r"[\s,;:]*(?:\w+ing|which|that|those|whereas|with|mit|wobei|welche\w*|so ?dass|were|was|is|"
    r"are|has|have|had|it|they|es|diese\w*|its|their|in particular|insbesondere|"
    r"(?:the )?(?:largest|smallest|biggest)|(?:der |die |das )?(?:groesste|kleinste)\w*|up to|"
    r"bis)\b"
)


@dataclasses.dataclass(frozen=True)
class Removal:
    """A sentence without its comparison.

    Attributes:
        text: what remains; the sentence itself if it compares nothing, and "" if it was dropped.
        had: whether the sentence compares with an earlier study.
        reason: why the sentence was dropped, or "".
    """

    text: str
    had: bool
    reason: str = ""


def found(text: str, lang: str) -> list[str]:
    """Returns the words of a text that compare with an earlier study, as they are written.

    Args:
        text: the text.
        lang: "en" or "de".
    """
    written = plain.read(text)
    return [
        text[written.start(m.start()) : written.end(m.end())]
        for m in _finder(lang).finditer(_searched(written.text, lang))
    ]


def remove(text: str, lang: str) -> Removal:
    """Returns a sentence without what it says about earlier studies.

    Args:
        text: one sentence.
        lang: "en" or "de".
    """
    if not _compares(text, lang):
        return Removal(text, had=False)
    if _AS_BEFORE.search(text):
        return Removal("", had=True, reason=NOTHING_LEFT)
    left = _BRACKET.sub(lambda m: _bracketed(m[0], lang), text)
    left = _without_clauses(left, _whole_clause(lang), lang)
    for _ in range(_ROUNDS):
        before, left = left, _cut(left, lang)
        if left == before or not _compares(left, lang):
            break
    left = _tidied(left, text)
    if _compares(left, lang):
        left = _tidied(_without_clauses(left, _finder(lang), lang), text)
    elif _BROKEN.search(left):
        left = _tidied(_without_clauses(text, _finder(lang), lang), text)
    if _compares(left, lang) or _BROKEN.search(left) or not _kept_numbers(text, left):
        return Removal("", had=True, reason=NOT_CLEANED)
    heading = text.partition(":")[0] if ":" in text else ""
    if not _says_something(left, lang) or left.rstrip(".:") == heading.strip().split(" ")[0]:
        return Removal("", had=True, reason=NOTHING_LEFT)
    return Removal(articles.suited(left, text) if lang == "en" else left, had=True)


def _bracketed(text: str, lang: str) -> str:
    """Returns the part of a bracket that stands before its comparison."""
    text = _VERSUS.sub(_first_size, text)
    if not _compares(text, lang):
        return text
    parts = re.split(r"(?<=[,;])\s", text)
    count = next((i for i, part in enumerate(parts) if _compares(part, lang)), 0)
    return " ".join(parts[:count])[:-1] + ")" if count else ""


def _first_size(match: re.Match) -> str:
    shared = match["kept"][-1].isdigit()
    return f"{match['kept']} {match['unit']}" if shared else match["kept"]


def _compares(text: str, lang: str) -> bool:
    spelled = plain.spelled(text)
    # Most sentences compare nothing, and this first look is far faster than hiding look-alikes.
    if _finder(lang).search(spelled.lower()) is None:
        return False
    return _finder(lang).search(_searched(spelled, lang)) is not None


@functools.lru_cache(maxsize=64)  # The rules for one sentence search the same text many times.
def _searched(text: str, lang: str) -> str:
    """Returns a text in lower case of the same length, in which look-alikes are hidden."""
    low = text.lower()
    if len(low) != len(text):
        low = "".join(c.lower() if len(c.lower()) == 1 else c for c in text)
    if _any_keeper(lang).search(low) is None:
        return low
    for pattern in _keepers(lang):
        if (match := pattern.search(low)) is not None:
            while match is not None:
                low = low[: match.start()] + _HIDDEN * len(match[0]) + low[match.end() :]
                match = pattern.search(low, match.end())
    return low


def _cut(text: str, lang: str) -> str:
    """Applies each rule once."""
    written = plain.read(text)
    low = _searched(written.text, lang)
    for pattern, instead in _rules(lang):
        pieces, last = [], 0
        for match in pattern.finditer(low):
            if match.end() > match.start() and match[0].strip():
                start, end = written.start(match.start()), written.end(match.end())
                put = f" {instead} " if instead else " "
                if "kept" in pattern.groupindex:
                    a, b = match.span("kept")
                    put = f" {text[written.start(a) : written.end(b)]} "
                    if "unit" in pattern.groupindex and match["kept"][-1].isdigit():
                        put += f"{match['unit']} "
                # A comma belongs to the match only behind another one or behind a beginning.
                inside = match[0].lstrip()[0] != "," and low[: match.start()].strip()
                pieces += [text[last:start], "," if match[0][-1] == "," and inside else "", put]
                last = end
        if pieces:
            text = " ".join("".join([*pieces, text[last:]]).split())
            written = plain.read(text)
            low = _searched(written.text, lang)
    return text


def _without_clauses(text: str, pattern: re.Pattern, lang: str) -> str:
    """Returns a text without the clauses in which a pattern is found."""
    written = plain.read(text)
    low = _searched(written.text, lang)
    if pattern.search(low) is None:
        return text
    parts = list(_clauses(low))
    if len(parts) > 1 and all(not pattern.search(low[a:b]) for a, b in parts):
        return ""
    kept, dropped = [], False
    for a, b in parts:
        # What depends on a clause is left out with it.
        dropped = bool(pattern.search(low[a:b])) or (dropped and bool(_DEPENDS.match(low, a, b)))
        if not dropped:
            kept.append(text[written.start(a) : written.end(b)])
    return " ".join(" ".join(kept).split())


def _clauses(low: str) -> Iterator[tuple[int, int]]:
    start = 0
    for mark in _CLAUSE_MARKS.finditer(low):
        joins = mark[0].strip() in ("and", "und")
        yield start, mark.start() if joins else mark.end()
        start = mark.end()
    yield start, len(low)


def _tidied(text: str, before: str) -> str:
    for _ in range(3):
        for pattern, instead in _TIDY:
            text = pattern.sub(instead, text).strip()
    if text and before[:1].isupper():
        text = text[0].upper() + text[1:]
    end = before.rstrip()[-1:]
    if text and end in (".", "!", "?") and text[-1] not in ".!?":
        text += end
    return text


def _kept_numbers(before: str, after: str) -> bool:
    """Returns whether every number of a text stands in the text before, as often at least."""
    counts = [collections.Counter(_NUMBER.findall(t)) for t in (before, after)]
    return counts[1] <= counts[0]


def _says_something(text: str, lang: str) -> bool:
    """Returns whether a text has a word that is more than grammar."""
    return any(
        len(w.low) > 1 and not w.low.isdigit() and w.low not in _empty(lang)
        for w in clauses.tokens(plain.spelled(text))
    )


def _compiled(pattern: str) -> re.Pattern:
    return re.compile(pattern.format(**table.PARTS))


@functools.cache
def _finder(lang: str) -> re.Pattern:
    return _any_of("".join(FIND[lang]).format(**table.PARTS), r"(?!\w)")


def _any_of(pattern: str, end: str = "") -> re.Pattern:
    """Returns a pattern's alternatives at the starts of words, grouped by how they begin.

    Python tries each alternative at each word. It skips a group with a single look at the letter.
    """
    groups = sorted(_grouped(pattern).items(), reverse=True)
    each = (f"{begin}(?:{'|'.join(rests)})" for begin, rests in groups)
    return re.compile(rf"(?<!\w)(?:{'|'.join(each)}){end}")


def _grouped(pattern: str) -> dict[str, list[str]]:
    """Returns a pattern's alternatives without their beginning, by this beginning or by ""."""
    groups = collections.defaultdict(list)
    for one in _alternatives(pattern):
        one = one.removeprefix(r"\b")
        length = _bracket(one)
        if length and one[length : length + 1] not in _REPEATS:
            inner = _grouped(one[len("(?:") : length - 1])
            if "" not in inner:
                for begin, rests in inner.items():
                    groups[begin].append(f"(?:{'|'.join(rests)}){one[length:]}")
                continue
        begin = match[0] if (match := _BEGIN.match(one)) else ""
        groups[begin].append(one[len(begin) :])
    return groups


def _bracket(pattern: str) -> int:
    """Returns the length of the group with which a pattern begins, or 0."""
    depth = 0
    for mark in _MARKS.finditer(pattern if pattern.startswith("(?:") else ""):
        depth += (mark[0] == "(") - (mark[0] == ")")
        if not depth:
            return mark.end()
    return 0


def _alternatives(pattern: str) -> Iterator[str]:
    """Yields the alternatives of a regular expression that stand in no bracket."""
    depth = start = 0
    for mark in _MARKS.finditer(pattern):
        depth += (mark[0] == "(") - (mark[0] == ")")
        if mark[0] == "|" and not depth:
            yield pattern[start : mark.start()]
            start = mark.end()
    yield pattern[start:]


@functools.cache
def _keepers(lang: str) -> tuple[re.Pattern, ...]:
    return tuple(re.compile(r"(?<!\w)(?:" + p + ")") for p in KEEP[lang])


@functools.cache
def _any_keeper(lang: str) -> re.Pattern:
    return _any_of("|".join(KEEP[lang]))


@functools.cache
def _rules(lang: str) -> tuple[tuple[re.Pattern, str], ...]:
    return tuple((_compiled(p), instead) for p, instead in REMOVE[lang])


@functools.cache
def _whole_clause(lang: str) -> re.Pattern:
    return re.compile(table.WHOLE_CLAUSE[lang])


@functools.cache
def _empty(lang: str) -> frozenset[str]:
    grammar = (
        clauses.PREPOSITIONS | clauses.DETERMINERS | clauses.CONJUNCTIONS | clauses.VERBS
        | clauses.CLAUSE_OPENERS
    )  # fmt: skip
    return grammar | frozenset(plain.words(table.EMPTY[lang]))
