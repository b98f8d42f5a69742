"""Tells whether a phrase of the lexicon is a plural, in English and German."""

import functools
from collections.abc import Sequence, Set

from big_rad.grounding import classes, clauses, lexicon, plain, side_words
from big_rad.grounding.clauses import Token

# The endings of German nouns whose plural has the form of the singular.
_SAME_PLURAL = ("lappen", "knochen", "fluegel", "strecker")
_PLURAL_VERBS = frozenset(
    plain.words("sind zeigen stellen weisen waren erscheinen imponieren bleiben")
)
_PLURAL_PREPOSITIONS = frozenset(plain.words("in an aus von mit bei zu zwischen beiden unter"))
# Capitalised words that may stand before "der" although no genitive follows.
_NO_NOUNS = clauses.PREPOSITIONS | frozenset(
    plain.words(
        "rechts links beidseits auch nur dabei hier dort somit zudem sonst ansonsten insgesamt "
        "unverändert weiterhin lediglich ebenso ebenfalls dann daneben regelrecht"
    )
)
# Abbreviations of plurals: arteries, veins and muscles.
_PLURAL_SHORT = frozenset(("aa", "vv", "mm"))
# Irregular plurals, folded. They are plurals whatever their ending.
_IRREGULAR = frozenset(
    plain.words(
        "rami calices apices acetabula humeri femora scapulae claviculae skapulae klavikulae "
        "karotiden schulterblaetter femurkoepfe hueftkoepfe psoae ilia"
    )
)
# Singular words with these endings would look like German plurals, because they end in "e" or "n".
# They are words for a part of an organ that the lexicon ignores ("Leberregion"). The English ones
# are needed when an English text is read as German. None of them looks like an English plural.
_SINGULAR_ENDINGS = ("gewebe", "region", "knochen", "tissue", "margin", "bone", "muscle")


def is_plural(
    words: Sequence[Token], marks: Sequence[str], span: range, ignored: Set[str], lang: str
) -> bool:
    """Returns whether a phrase names several organs by the form of its words.

    Args:
        words, marks: the results of `clauses.tokens` and `clauses.gaps`.
        span: the indices of the words of the phrase.
        ignored: the words in lower case that the lexicon ignores.
        lang: "en" or "de".
    """
    folded = [classes.fold(words[i].low) for i in span]
    for i, word in zip(span, folded):
        if word in _PLURAL_SHORT:
            return True
        if side_words.side_of(words[i], lang) or word in ignored or not word.isalpha():
            continue
        if lang == "de" and not words[i].capital and any(words[k].capital for k in span):
            continue  # The word is an adjective.
        if lang == "de" and (lexicon.is_adjective(word, lang) or lexicon.is_compound(word, lang)):
            continue
        if word not in lexicon.removals(lang) and _inflected_plural(word, lang):
            return True
    return lang == "de" and _same_plural(words, marks, span, folded)


@functools.lru_cache(maxsize=1 << 14)
def _inflected_plural(word: str, lang: str) -> bool:
    """Returns whether a folded word is a plural by its ending.

    Words of the lexicon count as singular.
    """
    if word in _IRREGULAR:
        return True
    if len(word) < 4 or word in lexicon.surfaces(lang) or word.endswith(_SINGULAR_ENDINGS):
        return False
    if lang == "en":
        return word.endswith(("s", "ae")) and not word.endswith(("ss", "us", "is"))
    return word.endswith(("n", "e", "ae"))


def _same_plural(
    words: Sequence[Token], marks: Sequence[str], span: range, folded: Sequence[str]
) -> bool:
    """Returns whether a German noun with the same form in both numbers is a plural here."""
    if not any(w.endswith(_SAME_PLURAL) for w in folded):
        return False
    article = _article_of(words, marks, span[0])
    if article is not None:
        low = words[article].low
        before = words[article - 1] if article and not marks[article - 1] else None
        if low in ("die", "alle", "allen", "aller", "diese", "keine", "mehrere"):
            return True
        if low == "den":
            return before is not None and before.low in _PLURAL_PREPOSITIONS
        if low == "der":  # After a noun, "der" begins a genitive plural.
            return before is not None and before.capital and before.low not in _NO_NOUNS
        return False
    after = words[span[-1] + 1].low if not marks[span[-1]] else ""
    return after in _PLURAL_VERBS


_ARTICLES = clauses.DETERMINERS | frozenset(
    plain.words("im am vom zum beim ins alle allen aller diese mehrere")
)


def _article_of(words: Sequence[Token], marks: Sequence[str], first: int) -> int | None:
    """Returns the index of the German article before a word and its adjectives, or None."""
    for i in range(first - 1, max(-1, first - 4), -1):
        low = words[i].low
        if marks[i]:
            return None
        if low in _ARTICLES:
            return i
        if words[i].capital or low in clauses.PREPOSITIONS or low in clauses.VERBS:
            return None
    return None
