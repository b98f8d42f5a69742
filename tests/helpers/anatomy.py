"""Helpers for the tests of the finder: two tables of sentences, and texts in other spellings.

The tables were written from the labelling rules, for the development of the finder. In
"anatomy_own.tsv" a class is a name of TotalSegmentator; `kidney<` is the left, `kidney>` the right
and `kidney*` both of a pair, and `rib<5-7` is a range of ribs.
"""

import pathlib
import re
import unicodedata

from big_rad.grounding import classes, mentions

HERE = pathlib.Path(__file__).parent
_SIDES = {"<": ("left",), ">": ("right",), "*": ("left", "right")}
_UMLAUTS = {"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue"}
SPELLINGS = {
    "lower case": str.lower,
    "upper case": str.upper,
    "case folded": str.casefold,
    "decomposed": lambda text: unicodedata.normalize("NFD", text),
    "composed": lambda text: unicodedata.normalize("NFC", text),
    "ss": lambda text: text.replace("ß", "ss"),
    "umlauts as two letters": lambda text: "".join(_UMLAUTS.get(c, c) for c in text),
}


def table():
    """The rows of the table, each as (language, text, classes, negated, absent)."""
    lines = (HERE / "anatomy_own.tsv").read_text(encoding="utf-8").splitlines()[1:]
    for line in lines:
        lang, text, *cells = (line + "\t" * 4).split("\t")[:5]
        yield lang, text, *(expanded(cell) for cell in cells)


def comparisons():
    """The rows of the table of comparisons, each as (language, whether it compares, text)."""
    lines = (HERE / "comparisons_own.tsv").read_text(encoding="utf-8").splitlines()[1:]
    for line in lines:
        lang, compares, text = line.split("\t")
        yield lang, compares == "yes", text


def expanded(cell):
    """The names of the classes in a cell."""
    return {name for word in cell.split() for name in _names(word)}


def found(text, lang):
    """The names of the classes in a text: all, those negated, those absent."""
    said = mentions.find(text, lang)
    return tuple(
        {classes.by_id(i).name for m in said if keep(m) for i in m.class_ids}
        for keep in (lambda m: True, lambda m: m.negated, lambda m: m.absent)
    )


def judged(text, lang):
    """What the finder says of a text, without words and places."""
    return [(m.class_ids, m.negated, m.absent) for m in mentions.find(text, lang)]


def _names(word):
    rib = re.fullmatch(r"rib([<>*])(?:(\d+)(?:-(\d+))?)?", word)
    if rib:
        first, last = int(rib[2] or 1), int(rib[3] or rib[2] or 12)
        return [f"rib_{s}_{n}" for s in _SIDES[rib[1]] for n in range(first, last + 1)]
    if word[-1] in _SIDES:
        return [f"{word[:-1]}_{side}" for side in _SIDES[word[-1]]]
    return [classes.by_name(word).name]
