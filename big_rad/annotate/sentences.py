"""Turns a report into sentences that may become captions of one image.

    made = of_report(text, "de", scrubber)
    for sentence in made.sentences:
        print(sentence.text, sentence.images, [m.phrase for m in sentence.mentions])
    print(made.dropped)   # {"names no anatomy": 3, "holds an identifier": 1}

The identifiers of the study leave the text first. Only sections that describe the images are used.
A sentence loses its comparison with earlier studies, and the number of the image that it refers to
is kept beside it. A sentence that still holds an identifier or a date is dropped, because a blacked
out word is no caption.
"""

import collections
import dataclasses
import re

from big_rad.annotate import comparison, reports
from big_rad.annotate.deidentify.texts import Scrubber
from big_rad.grounding import candidates, classes, mentions
from big_rad.grounding.unicode import nfc

_NUMBERS = (
    r"\d{{1,5}}(?:\s*(?:/|of|von)\s*\d{{1,5}})?(?:\s*ff?\b\.?)?"
    r"(?:\s*(?:,|und|and|u\.|&|-|\u2013|bis|to|(?:,\s*)?(?:bzw|resp)\.?|oder|or)\s*\d{{1,5}}"
    r"(?![\d.,]*\s*(?:mm|cm|ml)))*"
)
_NR = r"\s*(?:-?\s*(?:nr|no|number|nummer)\.?|#|:)?\s*"
_SERIES_WORD = r"(?:(?:serien?|series|ser|se)\.?|s\.)"
_SERIES = _SERIES_WORD + _NR + r"(?P<{s}>\d{{1,5}})"
_WORD = r"(?:bilder|bild|images?|imgs?|ima|schichten|schicht|slices?{more})\.?"
_IMAGE = _WORD.replace("{more}", "") + _NR + r"(?P<{i}>" + _NUMBERS + ")"
_SHORT = _WORD.replace("{more}", "|im|bd|sl") + _NR + r"(?P<{i}>" + _NUMBERS + ")"
_JOIN = r"[\s,;:/()|-]{0,4}"
_OF = r"(?:of|in|der|aus|von)?\s*(?:the\s+)?"
# "Im" and "sl" mean an image only beside a series, because "im 4. Segment" is German.
_REFERENCE = re.compile(
    "|".join(
        rf"(?<![\w.]){form}(?!\d|[.,:]\d|\s*(?:mm|cm|ml))"
        for form in (
            # "Serie/Bild 4/57" names both words first, and then both numbers.
            _SERIES_WORD + r"\s*/\s*" + _WORD.replace("{more}", "|im|bd|sl") + _NR
            + r"(?P<s4>\d{1,5})\s*/\s*(?P<i5>\d{1,5})",
            _SERIES.format(s="s1") + _JOIN + _SHORT.format(i="i1"),
            _SERIES.format(s="s2") + r"\s*/\s*(?P<i2>\d{1,5})",
            _SHORT.format(i="i3") + _JOIN + _OF + _SERIES.format(s="s3"),
            _IMAGE.format(i="i4"),
        )
    ),
    re.IGNORECASE,
)  # fmt: skip
# A series without an image ties a sentence to that series.
_SERIES_ALONE = re.compile(
    r"(?<![\w.])(?:serie|series)\s*(?:nr\.?|no\.?|#)?\s*(?P<s>\d{1,5})(?!\d|[.,]\d|\s*(?:mm|cm|ml))",
    re.IGNORECASE,
)
_LEAD_IN = re.compile(
    r"(?:\b(?:siehe|vgl\.?|s\.|see|as\s+seen\s+on|seen\s+on|shown\s+on|on|auf|in|z\.\s?b\.|e\.g\.|"
    r"cf\.?)[\s,]*)+$",
    re.IGNORECASE,
)
_SHOWS = re.compile(
    r"^(?:zeigt sich|zeigen sich|zeigt|zeigen|there is|there are|shows?|demonstrates?)\s+(?=\w)",
    re.IGNORECASE,
)
_BRACKETS = (
    (re.compile(r"[(\[{][\s,;:.\-]*[)\]}]"), ""),
    (re.compile(r"([(\[{])[\s,;:]+"), r"\1"),
    (re.compile(r"[\s,;:]+([)\]}])"), r"\1"),
    (re.compile(r"([,;:])(?:\s*[,;:])+"), r"\1"),
    (re.compile(r"[\s,;:]*(?:\s-)?\s*([.!?])\s*$"), r"\1"),
    (re.compile(r"\s{2,}"), " "),
    (re.compile(r"\s+([.,;:!?)])"), r"\1"),
    (re.compile(r"^[\s,;:.\-)]*(?:(?:und|and)\s*(?=[,;:]))?[\s,;:.\-)]+", re.IGNORECASE), ""),
)
_BEHIND = re.compile(
    r"([.!?])[ \t]+([(\[][^()\[\]\n]{3,60}[)\]])(?=[ \t]+[^\W\d_a-z]|[ \t]*(?:\n|$))"
)
_AT_END = re.compile(r"([(\[][^()\[\]\n]{3,60}[)\]])\s*([.!?;]*)\s*$")
# What is left of a reference that could not be read: "(Bild 4.57)", "(4/57)", "(Im. 1-9)", "(/13)".
_NOT_READ = re.compile(
    r"(?<![\w.])(?:bilder|bild|images?|imgs?|ima|schichten|schicht|slices?|serien?|series)\.?"
    r"(?:[ -]?(?:nr|no)\.?)?[ ]?\d"
    r"|\([\s\d.,;:-]*[/:][\s\d.,;:/-]*\)"
    r"|\((?:im|bd|sl|ser|se|s)\.?\s?\d{1,5}(?:\s?[-/\u2013]\s?\d{1,5})?\s?\)",
    re.IGNORECASE,
)
_ONLY_A_NUMBER = re.compile(r"\(\s*\d{1,5}\s*\)|\(\s*(?:war|was)\s*\)|\b\d{1,5}\s*[.!]?$")
_ARTICLE = re.compile(r"^(?:die|der|das|den|dem|des|the|an?|eine?)\s+", re.IGNORECASE)
_AND = re.compile(r"\s*[,;]\s*|\s+(?:und|and|sowie|&)\s+")
_BLACKED_OUT = re.compile(r"\[(?:name|date|number|contact|place)\]")
_MANY = 3  # The most classes on one side that a word may name, as in `placing.found`.
_RANGE = re.compile(r"(\d+)\s*(?:-|\u2013|bis|to)\s*(\d+)")
NO_ANATOMY = "names no anatomy"
UNREAD = "refers to an image in a form that is not understood"
EARLIER = "refers to an image that may be one of an earlier study"
SEVERAL = "several"
IDENTIFIER = "holds an identifier or a date"


@dataclasses.dataclass(frozen=True)
class Sentence:
    """A sentence of a report that may become a caption.

    Attributes:
        text: the sentence, without identifiers, comparisons and references to images.
        section: the section of the report.
        number: the number of the sentence in the report, from 1.
        mentions: the anatomy that is named.
        series: the series number that the sentence refers to, or "".
        images: the image numbers that the sentence refers to.
        rewritten: whether a comparison was removed.
    """

    text: str
    section: str
    number: int
    mentions: tuple[mentions.Mention, ...]
    series: str = ""
    images: tuple[int, ...] = ()
    rewritten: bool = False


@dataclasses.dataclass(frozen=True)
class Report:
    """What is used of a report.

    Attributes:
        sentences: the sentences.
        clinical: the clinical information, without identifiers.
        indication: the question to the radiologist, without identifiers.
        dropped: {reason: number of sentences that are not used}.
        removed: {kind: number of identifiers and dates that were removed}.
    """

    sentences: tuple[Sentence, ...]
    clinical: str
    indication: str
    dropped: dict[str, int]
    removed: dict[str, int]


def of_report(text: str, lang: str, scrubber: Scrubber) -> Report:
    """Returns the sentences of a report.

    Args:
        text: the report.
        lang: "en" or "de".
        scrubber: removes what names the patient.
    """
    dropped: collections.Counter[str] = collections.Counter()
    # Names go before the text is cut: the points of "Fr. Meyer" and "Dr. med. univ. Meyer" would
    # end a sentence, and the name would stand in the next one without its title.
    whole = scrubber.all(_joined(text), lang, dates=False)
    removed = collections.Counter(whole.found)
    found, context, number = [], {"clinical": [], "indication": []}, 0
    for section in reports.sections(whole.text):
        if section.name in context:
            cleaned = scrubber.all(section.text, lang)
            removed.update(cleaned.found)
            context[section.name].append(" ".join(cleaned.text.split()))
            continue
        written = reports.sentences(_with_references(section.text), lang)
        if not section.target:
            dropped[f"is in the section {section.name!r}"] += len(written)
            continue
        for sentence in written:
            number += 1
            made, reason, kinds = _of_sentence(sentence, lang, section.name, number, scrubber)
            removed.update(kinds)
            if made is None:
                dropped[reason] += 1
            else:
                found.append(made)
    return Report(
        tuple(found), " ".join(context["clinical"]), " ".join(context["indication"]),
        dict(dropped), dict(removed),
    )  # fmt: skip


def of_sentence(text: str, lang: str, scrubber: Scrubber) -> Report:
    """Returns one sentence of a manifest as a report has it; see `of_report`."""
    whole = scrubber.all(_joined(text), lang, dates=False)
    removed = collections.Counter(whole.found)
    made, reason, kinds = _of_sentence(
        " ".join(whole.text.split()), lang, reports.UNNAMED, 1, scrubber
    )
    removed.update(kinds)
    dropped = {} if made else {reason: 1}
    return Report((made,) if made else (), "", "", dropped, dict(removed))


def reference(text: str) -> tuple[str, str, tuple[int, ...]]:
    """Finds which images a sentence refers to, and removes these words.

        reference("Zyste in der Leber (Serie 4, Bild 57/120).")
        -> ("Zyste in der Leber.", "4", (57,))

    A range names its middle image. A series may be named without an image. If several series are
    named, the series is `SEVERAL`, and no image is named.

    Args:
        text: the sentence.

    Returns:
        The sentence without the reference, the series number or "", and the image numbers.
    """
    series, images, rest, leads = [], [], text, False
    while match := _REFERENCE.search(rest):
        groups = match.groupdict()
        number = next((groups[k] for k in ("s1", "s2", "s3", "s4") if groups[k]), "")
        series.append(str(int(number)) if number else "")
        images += _numbers(next(groups[k] for k in ("i1", "i2", "i3", "i4", "i5") if groups[k]))
        before, after = _LEAD_IN.sub("", rest[: match.start()]), rest[match.end() :]
        # A bracket that was opened within the reference is closed behind it, and the reverse.
        if match[0].count("(") > match[0].count(")"):
            after = after.replace(")", "", 1)
        leads = leads or not before.strip()
        rest = before + after
    if not images:
        match = _SERIES_ALONE.search(text)
        if match is None:
            return text, "", ()
        series.append(str(int(match["s"])))
        before = _LEAD_IN.sub("", text[: match.start()])
        leads, rest = not before.strip(), before + text[match.end() :]
    for pattern, instead in _BRACKETS:
        rest = pattern.sub(instead, rest)
    rest = rest.strip()
    if leads:  # "Image 57 shows a cyst." and "Auf Bild 57 zeigt sich eine Zyste."
        rest = _SHOWS.sub("", rest)
        rest = rest[:1].upper() + rest[1:]
    named = sorted(set(series) - {""})
    if len(named) > 1:
        return rest, SEVERAL, ()
    return rest, named[0] if named else "", tuple(dict.fromkeys(images))


def classes_of(mention: mentions.Mention) -> tuple[int, ...]:
    """Returns the ids of the classes that a mention names as targets; () if it names none.

    Organs that are absent name none, and so do words for more than three organs on one side
    ("ribs"), unless a range is given.
    """
    if mention.absent:
        return ()
    few = mention.is_range or candidates.most_per_side(mention.class_ids) <= _MANY
    return mention.class_ids if few else ()


def _of_sentence(
    text: str, lang: str, section: str, number: int, scrubber: Scrubber
) -> tuple[Sentence | None, str, dict[str, int]]:
    # A reference in brackets at the end is of this study, also behind "previously 5 mm". Others
    # may be of the earlier study, and then leave the text with the comparison.
    at_end = _AT_END.search(text)
    if at_end and reference(at_end[1])[2] and not reference(at_end[1])[0]:
        text = text[: at_end.start()].rstrip() + at_end[2]
    else:
        at_end = None
    removal = comparison.remove(text, lang)
    if removal.reason:
        return None, removal.reason, {}
    rest, series, images = reference(removal.text)
    if at_end:
        _, series, images = reference(at_end[1])
    if series == SEVERAL:
        return None, "refers to images of several series", {}
    if _NOT_READ.search(rest) or images and _ONLY_A_NUMBER.search(rest):
        return None, UNREAD, {}
    if removal.had and not at_end and images and _behind_comparison(text, lang):
        return None, EARLIER, {}
    if removal.had and _names_only(rest, lang):
        return None, comparison.NOTHING_LEFT, {}
    cleaned = scrubber.all(rest, lang)
    if cleaned.found or cleaned.doubtful or _BLACKED_OUT.search(cleaned.text):
        return None, IDENTIFIER, cleaned.found
    found = tuple(mentions.find(cleaned.text, lang))
    if not any(classes_of(m) for m in found):
        reason = NO_ANATOMY
        if any(m.absent for m in found):
            reason = "names only an organ that was removed"
        elif any(m.possible_ids for m in found):
            reason = "names no organ of a known side, or too many organs"
        return None, reason, {}
    return (
        Sentence(cleaned.text, section, number, found, series, images, removal.had), "", {},
    )  # fmt: skip


def _joined(text: str) -> str:
    # Soft hyphens say where a word may be cut, and are not seen.
    return nfc(text).replace("\xad", "")


def _behind_comparison(text: str, lang: str) -> bool:
    """Returns whether a sentence names an image behind words on an earlier study.

    In "Zyste, in der Voruntersuchung Bild 10." it is an image of that study.
    """
    return any(comparison.found(text[: m.start()], lang) for m in _REFERENCE.finditer(text))


def _names_only(text: str, lang: str) -> bool:
    """Returns whether a text names organs and says nothing of them, as "Die Milz." does."""
    parts = (_ARTICLE.sub("", part.strip()) for part in _AND.split(text.strip(" .:;!")))
    return all(classes.lookup_all(part, lang) for part in parts)


def _with_references(text: str) -> str:
    """Moves references behind a full stop before it: "Leber frei. (Bild 7) Milz" is of the liver.

    At the beginning of a line, a reference belongs to what follows.
    """

    def moved(match: re.Match) -> str:
        rest, _, images = reference(match[2])
        return f" {match[2]}{match[1]}" if images and not rest else match[0]

    return _BEHIND.sub(moved, text)


def _numbers(text: str) -> list[int]:
    # "57/120" is image 57 of 120.
    text = re.sub(r"(\d+)\s*(?:/|of|von)\s*\d+", r"\1", text, flags=re.IGNORECASE)

    def middle(match: re.Match) -> str:
        return str((int(match[1]) + int(match[2])) // 2)

    return [int(n) for n in re.findall(r"\d+", _RANGE.sub(middle, text))]
