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

LANGS = ("en", "de")
UNNAMED = "findings"  # The section of text before any header.
# One class of marks, and not a repeated group: a long row of "-" must not take long.
_LINE_HEADER = re.compile(
    r"(?m)^[#*\-\d.)(=\[{|_\u2013\u2014 \t]*(?:<\w{1,6}>[ \t]*)*([^\n:]{1,60}?)[ \t]*"
    r"(?::|\*\*:?|(?=[\]=])|(?=</\w)|$)(?:[ \t*\]=:]|</\w{1,6}>)*"
)
_INLINE_HEADER = re.compile(r"(?:(?<=[.!?])|(?<=\n))[ \t]*([^\W\d_][^\n:.!?]{1,50}?)[ \t]*:[ \t]*")
_DASH_HEADER = re.compile(
    r"(?m)^[ \t]*([^\W\d_][^\n:.!?]{1,40}?)[ \t]+[-\u2013\u2014][ \t]+([^\W_])"
)
_TAG = re.compile(r"</?\w{1,6}>")
_JOINED = re.compile(r"\s*[/&+,]\s*|\s+(?:und|and|sowie|bzw\.?|[-\u2013\u2014])\s+")
_LETTER = re.compile(section_table.LETTER)
_SIGNED = re.compile(section_table.SIGNED)
_TITLE = re.compile(r"\s*([^\n]{2,120}?):?[ \t\r]*(?=\n|$)")
_DATE = re.compile(r"\d{1,4}[./-]\s?\d{1,2}(?:[./-](?:\s?\d{2,4})?)?")
_END = re.compile(
    r"[.!?]+[)\"'\u201d\u201c\u00bb]*(?=\s|$)|\n[ \t]*(?=\n)|\n[ \t]*(?=[-*\u2022\u2013][ \t])|\n"
)
_LAST_WORD = re.compile(r"([\w\u0300-\u036f]+)[.!?]+[)\"'\u201d\u201c\u00bb]*$")
_BULLET = re.compile(r"^(?:[-*\u2022\u2013]\s+|\(?\d{1,2}[.)]\s+(?=[^\W\d_]))")
_ITEM = re.compile(r"[^\W\d_][\w /-]{1,40}:\s")
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
        name: "clinical", "indication", "technique", "comparison", "findings", "impression",
            "recommendation" or "letter" (a salutation or a signature).
        header: the header as it is written, without its colon; "" for text before any header, for
            the title of the report and for a letter's words.
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


_Edge = tuple[int, int, str, str]  # Where a section's header and text begin, header and name.


def sections(report: str) -> list[Section]:
    """Returns the sections of a report in order; empty ones are left out.

    Text before the first header counts as findings, except the title of the examination, which
    is technique. An unknown header opens no section; its text belongs to the section before.

    Args:
        report: the report, English or German.
    """
    edges = sorted(_without_letters(report, _header_edges(report)))
    found = []
    for k, (_, start, header, name) in enumerate(edges):
        stop = edges[k + 1][0] if k + 1 < len(edges) else len(report)
        text = report[start:stop]
        inner = text.strip(" \t\r\n#*=")
        if inner:
            found.append(Section(name, header, inner, start + text.index(inner)))
    return found


def _header_edges(report: str) -> list[_Edge]:
    found_at: dict[int, re.Match] = {}
    for pattern in (_LINE_HEADER, _INLINE_HEADER):
        for match in pattern.finditer(report):
            if _section_of(match[1], ":" in match[0]) and _stands_alone(match, report):
                # "Klin. Angaben:" ends where "Angaben:" does; the longer header counts.
                found_at.setdefault(match.end(1), match)
    spans = [(m.start(), m.end()) for m in found_at.values()]
    for match in _DASH_HEADER.finditer(report):
        inside = any(a < match.end() and match.start() < b for a, b in spans)
        # "Contrast - enhanced" is no header, and "Conclusion - normal brain" begins with one.
        name = _section_of(match[1])
        if name and not inside and (name in section_table.TARGETS or not match[2].islower()):
            found_at[match.end(1)] = match
    edges = [(0, 0, "", UNNAMED)]
    for _, m in sorted(found_at.items()):
        name = _section_of(m[1], ":" in m[0]) or UNNAMED
        stop = m.start(2) if m.re is _DASH_HEADER else m.end()
        header = m[1].strip(" \t\r*#_|}")
        edges.append((m.start(), stop, header if "(" in header else header.strip(")"), name))
    return edges


def _without_letters(report: str, edges: list[_Edge]) -> list[_Edge]:
    """Returns the edges with those of the title, the salutations and the signatures."""
    more = []
    for k, (_, start, header, name) in enumerate(edges):
        stop = edges[k + 1][0] if k + 1 < len(edges) else len(report)
        while (title := _TITLE.match(report, start)) and title.end(1) <= stop:
            rest = report[title.end() :].strip(": \t\r\n")
            if name not in section_table.TARGETS or not rest or not _is_title(title[1]):
                break
            more += [(start, title.start(1), "", "technique")]
            more += [(title.end(), title.end(), header, name)]
            start = title.end()
    for match in _LETTER.finditer(report):
        _, _, header, name = max(e for e in edges if e[0] <= match.start())
        more += [(match.start(), match.start(), "", "letter")]
        more += [(match.end(), match.end(), header, name)]
    signed = list(_SIGNED.finditer(report))
    last = [m for m in signed if m[0].strip().lower().startswith(section_table.LAST_WORDS)]
    closing = [(m.start(), m.start(), "", "letter") for m in last]
    for match in signed:
        # A report may also begin with who read it, so only the line of a signature is left out.
        _, _, header, name = max(e for e in edges + closing if e[0] <= match.start())
        if match not in last:
            stop = report.find("\n", match.end())
            stop = stop if stop >= 0 else len(report)
            more += [(match.start(), match.start(), "", "letter"), (stop, stop, header, name)]
    return edges + more + closing


def _is_title(line: str) -> bool:
    """Returns whether a line only names an examination ("MRT LWS nativ vom 3.4.2021")."""
    said = re.findall(r"[^\W\d_]+", plain.spelled(_DATE.sub(" ", line)).lower())
    titles = _title_words()
    return bool(said) and said[0] in titles[0] and all(w in titles[0] | titles[1] for w in said)


def sentences(text: str, lang: str) -> list[str]:
    """Returns the sentences of a text, without bullets and outer white space.

    Args:
        text: the text of a section.
        lang: "en" or "de".

    Raises:
        ValueError: the language is neither.
    """
    if lang not in LANGS:
        raise ValueError(f"no rules for the language {lang!r}; use one of {', '.join(LANGS)}")
    found, start = [], 0
    for match in _END.finditer(text):
        if match.start() >= start and _ends(text, start, match, lang):
            found.append(text[start : match.end()])
            start = match.end()
    found.append(text[start:])
    cleaned = (" ".join(_BULLET.sub("", s.strip()).split()) for s in found)
    return [s for s in cleaned if any(c.isalnum() for c in s)]


def _section_of(header: str, colon: bool = False) -> str | None:
    """Returns the section that a header opens, also one joined from several, or None.

    Args:
        header: the header.
        colon: whether a colon follows; only then an examination or a date may be named in it.
    """
    names, key = _headers(), _key(header)
    if key in names:
        return names[key]
    parts = [names.get(_key(part)) for part in _JOINED.split(key)]
    if len(parts) > 1 and all(parts):
        return next((name for name in section_table.TARGETS if name in parts), parts[0])
    if not colon:
        return None
    # "Befund vom 3.4." and "Findings (CT chest)" name the examination as well.
    said, named = _DATE.sub(" ", key).replace("(", " ").replace(")", " ").split(), _title_words()
    rest = [w for w in said if not w.isdigit() and w not in named[0] | named[1]]
    return names.get(" ".join(rest)) if len(rest) < len(key.split()) else None


def _stands_alone(match: re.Match, report: str) -> bool:
    """Returns whether a header has a colon, or a line of its own."""
    if ":" in match[0]:
        return True
    line_end = report.find("\n", match.end(1))
    rest = report[match.end(1) : line_end if line_end >= 0 else len(report)]
    return not _TAG.sub("", rest).strip(" *#=]_|}\t\r-\u2013\u2014")


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
    inside = text.rfind("(", start, match.start()) > text.rfind(")", start, match.start())
    if inside and following[:1].isdigit() and ")" in after[:60].split("\n")[0]:
        return False  # "(Se. 4, Bild 57)".
    if low == "b" and re.search(r"\bo\.?\s?b\.$", text[start : match.end()], re.IGNORECASE):
        return following[:1].isupper() or following[:1].isdigit() or following[:1] == "-"
    if low.isdigit():
        return _number_ends(word, text, match, lang, following)
    if low in _abbreviations() and not (low in _NOUNS_TOO and following[:1].isupper()):
        if low == "unauff" and following[:1].isupper():
            # "Leber unauff. Milz" are two sentences, and "unauff. Milz" is one.
            before = text[start : word.start()].split()
            if before and before[-1][:1].isupper() and before[-1][-1:].isalpha():
                return True
        return low in _SIDES and bool(_OPENS.match(following))
    if low in _BEFORE_MARKS and _MARK.match(text, match.end()):
        return False  # "Fr. [name]", whose name was taken out, and "Fr. Dr. [name]".
    if len(low) == 1 and _TITLED.search(text[start : word.start()]):
        return False  # This is the initial of a name.
    return following[:1].isupper() or not following[:1].isalpha()


_NOUNS_TOO = frozenset(plain.words("axial st mm ms im sec mult"))
# These may end a sentence, if a word that opens one follows.
_SIDES = frozenset(plain.words("re li bds lt rt unauff bek erw vergr chron path etc usw"))
_TITLED = re.compile(r"\b(?:dr|prof|med|mr|mrs|ms|hr|fr|herr|frau|by|von)\.? ?(?:\w\. ?)*$", re.I)
# What stands in place of a name, and the abbreviations that may stand before it.
_MARK = re.compile(
    r"[ \t]*(?:(?:Dr|Prof|PD|OA|OÄ|CA|FA|med|Med|Univ)\b\.?[ \t]*)*"
    r"(?:\[(?:name|number|contact|place|date)\]|(?<=[. \t])(?:Dr|Prof)\b)"
)
_BEFORE_MARKS = frozenset(
    plain.words(
        "fr frl hr hrn dr dres prof med univ nat phil rer habil dent vet h c gez koll pat fam mr "
        "mrs ms mx sr jr st tel fon fax mob nr no str ing dipl doz arzt i a v"
    )
)
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
    return bool(_ITEM.match(_BULLET.sub("", line.strip()) + " ")) and bool(_ITEM.match(following))


def _key(header: str) -> str:
    bare = _TAG.sub(" ", plain.spelled(header).lower()).replace("*", " ")
    return " ".join(bare.strip(" :.-#\t\r=[](){}|_\u2013\u2014").split())


@functools.cache
def _title_words() -> tuple[frozenset[str], frozenset[str]]:
    return tuple(
        frozenset(plain.words(row)) for row in (section_table.EXAMINATIONS, section_table.TITLE)
    )


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
