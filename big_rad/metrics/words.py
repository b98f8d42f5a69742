"""Normalises texts before they are scored: Unicode, case, punctuation and signs.

`plain` is the normalisation of accuracy and recall, `squad` that of F1, and `published` that of the
released RadGrounder code.
"""

import functools
import re
import string
import unicodedata

from big_rad.grounding.unicode import nfc

_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUBLISHED = re.compile(r"[^a-zA-Z0-9äöüÄÖÜß ]+")

_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63"
_MINUS, _RANGE = "\u2212", "\u2013"  # The dashes that stay: before a number, between two numbers.
# Characters that are used interchangeably: full-width forms, ligatures, dashes and look-alikes.
_ALIKE = {
    **{ord(c): "-" for c in _DASHES},
    **{0xFF01 + i: chr(0x21 + i) for i in range(94)},
    **{c: unicodedata.normalize("NFKC", chr(c)) for c in range(0xFB00, 0xFB07)},
    **dict.fromkeys(map(ord, "\u00ba\u02da"), "\u00b0"),  # The degree sign.
    **dict.fromkeys(map(ord, "\u2264\u2266\u2a7d"), "\u2264"),
    **dict.fromkeys(map(ord, "\u2265\u2267\u2a7e"), "\u2265"),
    **dict.fromkeys(map(ord, "~\u223c\u2243\u2245"), "\u2248"),
    **dict.fromkeys(map(ord, "\u00d7\u2715\u2a2f"), "x"),
    **dict.fromkeys(range(0xFE00, 0xFE10)),  # Variation selectors.
    0x00B5: "\u03bc",
    0x2044: "/",
    0x2215: "/",
}
# Decorative symbols: bullets, boxes, trade marks. A text of nothing else keeps them.
_DECORATION = {"|", "\u00a6", "\u00a9", "\u00ae", "\u2122", "\u2120", "\ufffd"} | {
    chr(c) for c in range(0x2500, 0x2600)
}
_WORKED_ON = set("-.,/:")  # The punctuation that may belong to a number.
_SHARES = "%\u2030"
_NUMBER = r"(?<![^\W_.])(\d+(?:\.\d+)?)"  # Not after a letter, as in "L4".
_SLASH, _COLON = "\uff0f", "\uff1a"  # They stand in for the slashes and colons that stay.
_SIGNS = "<>\u2264\u2265\u2260\u2248\u00b1"
# Replacements before all characters except letters, digits and signs are dropped.
_WRITTEN = (
    # The minus of "- 5 HU" and "HU: - 5", but not the bullet of a list.
    (r"(\A[\s*_\"'(\[]*)-\s+(?=[.,]?\d)(?!(?s:.*)\n\s*-\s)", r"\1-"),
    (r"((?<!\d):|[(\[])\s*-[^\S\n]+(?=[.,]?\d)", r"\1 -"),
    (r"-+>", "\u2192"),
    (r"!=|=/=", "\u2260"),
    (r"<\s?=|=\s?<(?=\s*\d)", "\u2264"),
    (r">\s?=|=\s?>(?=\s*\d)", "\u2265"),
    (r"\+\s?/\s?-|\+-", "\u00b1"),
    (r"==+", "="),
    (r"(?<=\d)\s*\*\s*(?=\d)", " x "),
    (r"\(\s?-\s?\)|^\s*-\s*$|(?<=[^\W_])-(?=\s*(?:$|[,;)]))", _MINUS),  # As in "(-)" and "ER-".
    (r"(?<=[^\W\d_])\u00b2", "2"),  # A square after a letter, as in "cm2".
    (r"(?<=[^\W\d_])\u00b3", "3"),
)
# Replacements after that: first points and commas, then dashes, then the other characters. Each
# character stays only where it carries meaning.
_KEPT = (
    (r"(?<![\w.,])[.,](?=\d)", "0."),
    (r"(?<!\d)[.,]|[.,](?!\d)", " "),
    (rf"{_NUMBER}( [{_SHARES}\u00b0] )?(?:\s*-\s+|-)(?=-?\d)", rf"\1\2{_RANGE}"),
    (rf"(?<![\w.])-(?=\d)|(?<=[{_SIGNS}=])\s*-\s*(?=\d)", _MINUS),
    (_NUMBER + r"\s*/\s*(?=\d)", rf"\1{_SLASH}"),
    (_NUMBER + r":(?=\d)", rf"\1{_COLON}"),
    (r"[-/:]", " "),
    (r"(?<=\d)\s*x\s*(?=\d)", " x "),
    (rf"\s*([{_SIGNS}+])\s*(?=[{_MINUS}\d])", r" \1"),
    (rf"([{_SIGNS}+])(?![{_MINUS}\d])", r" \1 "),
    (_SLASH, "/"),
    (_COLON, ":"),
)


def squad(text: str) -> list[str]:
    """Returns the words of a text as SQuAD's F1 counts them (Rajpurkar et al. 2016).

    The text becomes lower case. ASCII punctuation is removed without a space in its place ("4.5"
    becomes "45"), and so are the articles a, an and the.
    """
    text = nfc(text).lower().translate(_NO_PUNCTUATION)
    return _ARTICLES.sub(" ", text).split()


def published(text: str) -> str:
    """Returns a text as the released RadGrounder code compares it.

    All characters except a-z, 0-9, German letters and the space become spaces. So all texts without
    such characters are equal, and "< 5 cm" equals "> 5 cm".
    """
    return " ".join(_PUBLISHED.sub(" ", nfc(text)).lower().split())


def plain(text: str) -> str:
    """Returns a text without case and punctuation, but with all characters that carry meaning.

    Letters, digits and combining marks of any script stay. Symbols stay, too: comparison signs,
    plus, per cent, degrees and arrows. Punctuation stays only if it belongs to a number: the
    decimal point (also written as a comma), the minus before a number, and the dash, slash or colon
    between two numbers. The minus of "(-)" and "ER-" stays as well, because the plus does. Signs
    with several spellings ("<=", "≤"), full-width forms and dashes become one form. Bullets and
    boxes are removed, unless the text has nothing else ("■" is not "□").

    >>> plain("T2-weighted, < 5 cm!"), plain("\u2264 4,5 cm"), plain("-5 HU; 3\u20135 mm; L4/5")
    ('t2 weighted <5 cm', '\u22644.5 cm', '\u22125 hu 3\u20135 mm l4 5')
    """
    text = nfc(text).replace("\u2212 ", "\u2212").translate(_ALIKE)
    text = nfc(text.lower())
    for pattern, written in _WRITTEN:
        text = re.sub(pattern, written, text)
    decoration = "".join(c for c in text if c in _DECORATION)
    text = "".join(map(_character, text))
    text = re.sub(r"\d+(?:[.,]\d+)+", _decimal, text)
    for pattern, written in _KEPT:
        text = re.sub(pattern, written, text)
    return " ".join(text.split()) or decoration


def content(text: str) -> list[str]:
    """Returns the words of `plain` without a, an and the."""
    return _ARTICLES.sub(" ", plain(text)).split()


@functools.lru_cache(maxsize=1 << 12)
def _character(c: str) -> str:
    # Returns letters, digits and signs as they are, symbols that stand for a word between spaces,
    # and a space for all other characters.
    kind = unicodedata.category(c)
    if kind[0] in "LMN" or c in _WORKED_ON or c in _SIGNS + "+":
        return c
    if c in _SHARES or (kind in ("Sm", "Sc", "So") and c not in _DECORATION):
        return f" {c} "
    return "" if kind == "Cf" else " "


def _decimal(found: re.Match) -> str:
    # A single point or comma is a decimal point. Several belong to a date, a list or thousands.
    parts = re.split("[.,]", found[0])
    return (".." if len(parts) > 2 else ".").join(parts).replace("..", " ")
