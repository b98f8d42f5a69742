"""Splits a report into its sections, and a section into sentences.

    Technik: CT Abdomen mit KM.                      technique, never a target
    Befund: Leber o. B. Z. n. Splenektomie.          findings, two sentences
    Beurteilung: Kein Tumornachweis.                 impression

The headers are data, see `section_table`. A sentence does not end at the point of an abbreviation
("Z. n.", "ca. 3 cm"), of a number ("4. Rippe", "1.5 cm") or of a date.
"""

import dataclasses
import functools
import re

from big_rad.annotate import section_table
from big_rad.grounding import plain

UNNAMED = "findings"  # The section of text before any header.
_LINE_HEADER = re.compile(
    r"(?m)^[ \t]*(?:[#*\-\d.)(]+[ \t]*)*([^\n:]{1,60}?)[ \t]*(?::|\*\*:?|$)[ \t]*\**"
)
_INLINE_HEADER = re.compile(r"(?:(?<=[.!?])|(?<=\n))[ \t]*([^\W\d_][^\n:.!?]{1,50}?)[ \t]*:[ \t]*")
_END = re.compile(
    r"[.!?]+[)\"'\u201d\u201c\u00bb]*(?=\s|$)|\n[ \t]*(?=\n)|\n[ \t]*(?=[-*\u2022\u2013][ \t])|\n"
)
_LAST_WORD = re.compile(r"([\w\u0300-\u036f]+)[.!?]+[)\"'\u201d\u201c\u00bb]*$")
_BULLET = re.compile(r"^(?:[-*\u2022\u2013]\s+|\(?\d{1,2}[.)]\s+(?=[^\W\d_]))")
# Nouns that a German ordinal counts ("4. Rippe"), by their beginnings in plain spelling.
_COUNTED = tuple(
    plain.words(
        "ripp cost lend brust hals wirbel lumbal thorakal zervikal lwk bwk hwk swk bis und oder "
        "segment ventrikel kontrolle januar februar maerz april mai juni juli august september "
        "oktober november dezember grad strahl tag woche lebens quartal zeh finger metatars "
        "metakarp ast "
    )
)


@dataclasses.dataclass(frozen=True)
class Section:
    """A section of a report.

    Attributes:
        name: "clinical", "indication", "technique", "comparison", "findings" or "impression".
        header: the header as it is written, without its colon; "" for text before any header.
        text: the text of the section.
        start: the place of the text in the report.
        target: whether the section describes the images, so that its sentences may be targets.
    """

    name: str
    header: str
    text: str
    start: int

    @property
    def target(self) -> bool:
        """Whether the sentences of the section may become targets."""
        return self.name in section_table.TARGETS


def sections(report: str) -> list[Section]:
    """Returns the sections of a report in order; empty ones are left out.

    Text before the first header counts as findings.

    Args:
        report: the report, English or German.
    """
    found_at: dict[int, re.Match] = {}
    for pattern in (_LINE_HEADER, _INLINE_HEADER):
        for match in pattern.finditer(report):
            if _section_of(match[1]) and _stands_alone(match, report):
                # "Klin. Angaben:" ends where "Angaben:" does; the longer header counts.
                found_at.setdefault(match.end(1), match)
    marks = [found_at[k] for k in sorted(found_at)]
    found = []
    edges = [(0, 0, "", UNNAMED)]
    edges += [(m.start(1), m.end(), m[1].strip(" *"), _section_of(m[1]) or UNNAMED) for m in marks]
    for k, (_, start, header, name) in enumerate(edges):
        stop = edges[k + 1][0] if k + 1 < len(edges) else len(report)
        text = report[start:stop]
        inner = text.strip(" \t\r\n#*")
        if inner:
            found.append(Section(name, header, inner, start + text.index(inner)))
    return found


def sentences(text: str, lang: str) -> list[str]:
    """Returns the sentences of a text, without bullets and outer white space.

    Args:
        text: the text of a section.
        lang: "en" or "de".
    """
    found, start = [], 0
    for match in _END.finditer(text):
        if match.start() >= start and _ends(text, start, match, lang):
            found.append(text[start : match.end()])
            start = match.end()
    found.append(text[start:])
    cleaned = (" ".join(_BULLET.sub("", s.strip()).split()) for s in found)
    return [s for s in cleaned if any(c.isalnum() for c in s)]


def _section_of(header: str) -> str | None:
    return _headers().get(_key(header))


def _stands_alone(match: re.Match, report: str) -> bool:
    """Returns whether a header has a colon, or a line of its own."""
    if ":" in match[0]:
        return True
    line_end = report.find("\n", match.end(1))
    rest = report[match.end(1) : line_end if line_end >= 0 else len(report)]
    return not rest.strip(" *#\t\r")


def _ends(text: str, start: int, match: re.Match, lang: str) -> bool:
    if match[0].startswith("\n"):
        return _line_ends(text, match)
    if "." not in match[0]:
        return True
    word = _LAST_WORD.search(text, start, match.end())
    after = text[match.end() :].lstrip()
    if not after or word is None:
        return True
    low = plain.spelled(word[1]).lower()
    following = plain.spelled(after[:20])
    if low == "b" and re.search(r"\bo\.?\s?b\.$", text[start : match.end()], re.IGNORECASE):
        return following[:1].isupper() or following[:1].isdigit() or following[:1] == "-"
    if low.isdigit():
        return _number_ends(word, text, match, lang, following)
    if low in _abbreviations() and not (low in _NOUNS_TOO and following[:1].isupper()):
        return low in _SIDES and bool(_OPENS.match(following))
    return following[:1].isupper() or not following[:1].isalpha()


_NOUNS_TOO = frozenset(plain.words("axial st mm ms im sec mult"))
_SIDES = frozenset(("re", "li", "bds", "lt", "rt"))
_OPENS = re.compile(
    r"(?:Der|Die|Das|Im|In|Kein\w*|Ein\w*|Link\w+|Recht\w+|The|There|No|Sonst|Es|Beid\w+|Auch|"
    r"Both|Zudem|Ansonsten|A|An|At|Bei|An)\b"
)


def _number_ends(word: re.Match, text: str, match: re.Match, lang: str, following: str) -> bool:
    """Returns whether the point after a number ends a sentence ("up to 3." and not "4. Rippe")."""
    line = text[: word.start()].rsplit("\n", 1)[-1]
    if not line.strip(" \t("):
        return False  # This is the number of an item.
    if lang == "en" or len(word[1]) > 2:
        return following[:1].isupper() or following[:1].isdigit()
    before = text[: word.start()].rstrip()
    if before.endswith((".", "-", "\u2013")) and following[:1].isdigit():
        return False  # This is a date or a range.
    low = following.lower()
    return following[:1].isupper() and not low.startswith(_COUNTED)


def _line_ends(text: str, match: re.Match) -> bool:
    """Returns whether a line break ends a sentence; lines that are only wrapped go on."""
    after = text[match.end() :]
    if match.end() - match.start() > 1 or after[:1] == "\n":
        return True
    rest = after.lstrip()
    return not rest or bool(_BULLET.match(rest)) or _is_item(text, match)


def _is_item(text: str, match: re.Match) -> bool:
    """Returns whether the line before a break is an item of its own ("Liver: normal")."""
    line = text[: match.start()].rsplit("\n", 1)[-1]
    following = text[match.end() :].lstrip().split("\n", 1)[0]
    return bool(re.match(r"\s*[^\W\d_][\w /-]{1,40}:\s", line)) and bool(
        re.match(r"[^\W\d_][\w /-]{1,40}:\s", following)
    )


def _key(header: str) -> str:
    return " ".join(plain.spelled(header).lower().replace("*", " ").strip(" :.-#\t").split())


@functools.cache
def _headers() -> dict[str, str]:
    return {
        _key(header): name
        for name, row in section_table.HEADERS.items()
        for header in row.split(";")
    }


@functools.cache
def _abbreviations() -> frozenset[str]:
    return frozenset(plain.words(section_table.ABBREVIATIONS))
