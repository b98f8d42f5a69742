"""Gives a text in capitals, or without any, the usual case of its language.

The ends of sentences and the nouns of German are read from capitals. A text without them would be
read worse, so the capitals are put back as well as the words allow.
"""

import re

from big_rad.grounding import clauses, lexicon, plain, side_words

_WORD = re.compile(r"[a-z]+")
_END = re.compile(r"(?<!\w)(\w*)[.!?]\s+(?=[a-z])")
_NOUN_ENDINGS = (
    *("ung", "ungen", "heit", "heiten", "keit", "keiten", "ion", "ionen", "taet", "om", "ome"),
    *("omen", "ose", "osen", "itis", "tur", "turen", "ie", "ien", "ang", "ismus", "ist", "tion"),
    *("guss", "guesse", "herd", "herde", "herden", "zyste", "zysten", "stase", "stasen", "loesion"),
    *("stein", "steine", "faktor", "bruch", "thrombus", "befund", "knoten", "groesse", "masse"),
)
_NOUNS = frozenset(
    plain.words(
        "Fraktur Frakturen Herd Herde Läsion Läsionen Erguss Ergüsse Stein Steine Konkrement "
        "Konkremente Knoten Tumor Tumore Tumoren Befund Befunde Infarkt Abszess Hämatom Seite Höhe "
        "Bereich Vergleich Nachweis Zeichen Zustand Anteil Anteile Zyste Zysten Kalk Luft Stent "
        "Katheter Drainage Port Prothese Schraube Defekt Ödem Lymphknoten Weichteile Übrigen "
        "Patient"
    )
)
_NOUNS_LOW = frozenset(w.lower() for w in _NOUNS)
_FUNCTION = (
    clauses.PREPOSITIONS | clauses.DETERMINERS | clauses.CONJUNCTIONS | clauses.VERBS
    | clauses.CLAUSE_OPENERS
)  # fmt: skip


def usual(text: str, lang: str) -> str:
    """Returns a text of the same length, with capitals put back if its case says nothing.

    Args:
        text: the text in plain spelling.
        lang: "en" or "de".
    """
    if plain.has_case(text) or not any(c.isalpha() for c in text):
        return text
    low = "".join(c.lower() if len(c.lower()) == 1 else c for c in text)
    letters = list(low)
    first = _WORD.search(low)
    begins = first and not any(c.isalnum() for c in low[: first.start()])
    starts = {first.start()} if first and begins else set()
    for end in _END.finditer(low):
        if not _never_ends(end[1], low[: end.start(1)], lang):
            starts.add(end.end())
    if lang == "de":
        starts |= {m.start() for m in _WORD.finditer(low) if _is_noun(m[0])}
    for start in starts:
        letters[start] = letters[start].upper()
    return "".join(letters)


def _never_ends(word: str, before: str, lang: str) -> bool:
    if word == "mm":
        return not before.rstrip()[-1:].isdigit()  # These are muscles, and no millimetres.
    if word == "b":
        return False  # This is "o. B." far more often than an abbreviation.
    return len(word) < 2 or word in clauses.SHORT or word.isdigit() or word in (
        clauses.SIDE_SHORT[lang])  # fmt: skip


def _is_noun(word: str) -> bool:
    if len(word) < 3 or word in _FUNCTION or side_words.names_side(word, "de"):
        return False
    if word in _NOUNS_LOW or word.endswith(_NOUN_ENDINGS):
        return True
    if lexicon.is_adjective(word, "de"):
        return False
    return lexicon.in_vocabulary(word, "de") and not word.isdigit()
