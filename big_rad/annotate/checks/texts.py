"""Checks the reports of rows: that they can be read, their language, and what they name.

report = read(row, scrubber, say)     # say(field, message, level) receives each problem
"""

import re
from collections.abc import Callable

from big_rad.annotate import manifest, sentences
from big_rad.annotate.deidentify import texts
from big_rad.annotate.faults import Rejected
from big_rad.annotate.manifest import Row
from big_rad.grounding.unicode import nfc

Say = Callable[[str, str, str], None]
# Frequent words that belong to one of both languages only.
_WORDS = {
    "de": frozenset(
        "der das und nicht mit eine ein einer eines einem einen kein keine keinen im des den dem "
        "ist sind sich bei von vom zum zur auf für als auch nach ohne oder über unter wird "
        "beidseits sowie es zeigt".split()
    ),
    "en": frozenset(
        "the and of is are no not with there for to or as seen at from this these which be without "
        "on by has have both within shows normal evidence".split()
    ),
}
_NAMES = {"de": "German", "en": "English"}
_WORD = re.compile(r"[^\W\d_]+")
_LEAST_WORDS = 12  # A shorter text says too little about its language.
_LEAST_FOUND = 3


def read(row: Row, scrubber: texts.Scrubber, say: Say) -> tuple[str, sentences.Report] | None:
    """Reads the report or the sentence of a row and says what is wrong with it.

    Args:
        row: the row.
        scrubber: removes what looks like an identifier.
        say: receives (field, message, level) of each problem.

    Returns:
        The text and what can be used of it, or None if there is none or it cannot be read.
    """
    field = "sentence" if row.sentence else "report"
    try:
        text = row.sentence or manifest.report_text(row)
    except Rejected as e:
        say(field, str(e), "error")
        return None
    if not text.strip():  # A subject of a public dataset without a report; a manifest has none.
        return None
    other = looks_like(text)
    if other and other != row.language:
        say(
            "language",
            f"is {row.language}, but the text looks {_NAMES[other]}; correct the language",
            "warning",
        )
    of = sentences.of_sentence if row.sentence else sentences.of_report
    report = of(text, row.language, scrubber)
    if not report.sentences:
        reasons = "; ".join(f"{why} ({n})" for why, n in sorted(report.dropped.items()))
        say(
            field,
            "no sentence can be used" + (f": {reasons}" if reasons else "") + "; name anatomy in "
            "it, or leave the row out",
            "warning",
        )
    return text, report


def looks_like(text: str) -> str:
    """Returns the language that a text looks like, "de" or "en"; "" if that is not clear."""
    words = _WORD.findall(nfc(text).casefold())
    if len(words) < _LEAST_WORDS:
        return ""
    count = {lang: sum(word in known for word in words) for lang, known in _WORDS.items()}
    most, least = sorted(count, key=count.get, reverse=True)
    clear = count[most] >= _LEAST_FOUND and count[most] > 2 * count[least]
    return most if clear else ""
