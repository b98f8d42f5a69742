"""The anatomy classes that can be grounded: ids, names in English and German, and a lexicon.

The lookup of a phrase ignores case, the spelling of umlauts (`ä`, `ae`), hyphens, word order,
endings, and the choice among the many words for left and right. It takes one phrase; to find the
phrases of a text, use `mentions.find`.

    >>> lookup("der linken Niere").name
    'kidney_left'
"""

import dataclasses
import functools
import re
import unicodedata
from collections.abc import Iterable, Iterator

from big_rad.grounding import class_table as table
from big_rad.grounding.unicode import nfc

NUM_CLASSES = 121


@dataclasses.dataclass(frozen=True)
class AnatomyClass:
    """One anatomy class.

    Attributes:
        id: the class id, 1..121. It is the number in `<segNNN>` and in label maps.
        name: the name in TotalSegmentator, such as "kidney_left".
        en: the English name, such as "left kidney".
        de: the German name, such as "linke Niere".
        synonyms_en: the other English names.
        synonyms_de: the other German names.
    """

    id: int
    name: str
    en: str
    de: str
    synonyms_en: tuple[str, ...] = ()
    synonyms_de: tuple[str, ...] = ()

    def names(self, lang: str | None = None) -> tuple[str, ...]:
        """Returns the names in "en", "de" or both (None), but not `name`; main names come first.

        Raises:
            ValueError: the language is unknown.
        """
        _check_lang(lang)
        en = (self.en, *self.synonyms_en) if lang != "de" else ()
        de = (self.de, *self.synonyms_de) if lang != "en" else ()
        return en + de


def by_id(class_id: int) -> AnatomyClass:
    """Returns the class with this id.

    Raises:
        KeyError: the id is not in 1..121.
    """
    if not 1 <= class_id <= NUM_CLASSES:
        raise KeyError(f"class id {class_id} is not in 1..{NUM_CLASSES} (0 is background)")
    return CLASSES[int(class_id) - 1]


def by_name(name: str) -> AnatomyClass:
    """Returns the class with this TotalSegmentator name; `lookup` takes words instead.

    Raises:
        KeyError: no class has this name.
    """
    try:
        return _BY_NAME[name]
    except KeyError:
        raise KeyError(
            f"no anatomy class is named {name!r}; names are those of TotalSegmentator, such as "
            "'kidney_left' (big_rad.grounding.classes.CLASSES has all)"
        ) from None


def lookup(phrase: str, lang: str | None = None) -> AnatomyClass | None:
    """Returns the class that a phrase names.

    Args:
        phrase: a phrase such as "left kidney", "der linken Niere", "LWK-5", "Leberparenchym" or
            "liver".
        lang: "en" or "de", which uses only the names of that language, or None, which uses both.

    Returns:
        The class, or None if the phrase is not in the lexicon or names several classes ("the
        kidneys").

    Raises:
        ValueError: the language is unknown.
    """
    for tokens in _readings(phrase):
        class_id = _lexicon(lang).get(_key(tokens))
        if class_id is not None:
            return by_id(class_id)
    return None


def lookup_all(phrase: str, lang: str | None = None) -> tuple[AnatomyClass, ...]:
    """Returns all classes that a phrase may mean, such as both kidneys for "kidneys".

    Args:
        phrase: a phrase, as in `lookup`; words such as "both" and "bilateral" are ignored.
        lang: "en", "de" or None, as in `lookup`.

    Returns:
        The classes in the order of their ids. There is one if `lookup` finds a class, and the
        result is empty if the phrase is not in the lexicon.

    Raises:
        ValueError: the language is unknown.
    """
    found = lookup(phrase, lang)
    if found is not None:
        return (found,)
    for tokens in _readings(phrase):
        ids = _groups(lang).get(_key(t for t in tokens if t not in _BOTH))
        if ids:
            return tuple(by_id(i) for i in ids)
    return ()


@functools.lru_cache(maxsize=1 << 16)
def fold(word: str) -> str:
    """Returns a word in lower case, with umlauts as "ae" and without accents or punctuation."""
    return "".join(_fold(word))


def in_vocabulary(word: str, lang: str) -> bool:
    """Returns whether a word may be part of a phrase in the lexicon, faster than a look-up.

    Raises:
        ValueError: the language is unknown.
    """
    known = _vocabulary(lang)
    folded = _fold(word)
    if all(w in _PARTS_DE or w in _PARTS_EN for w in folded):
        return bool(folded)
    return any(all(w in known for w in tokens) for tokens in _readings(word))


def key(phrase: str) -> tuple[str, ...]:
    """Returns the form of a phrase in which the lexicon compares it: sorted stems of its words."""
    return _key(_canonical(_fold(phrase)))


def names_of_all(lang: str) -> dict[tuple[str, ...], tuple[int, ...]]:
    """Returns the ids of each name of one or several classes, by the name's `key`.

    Raises:
        ValueError: the language is unknown.
    """
    return {**_groups(lang), **{k: (i,) for k, i in _lexicon(lang).items()}}


def plain_words(phrase: str) -> list[str]:
    """Returns the folded words of a phrase, see `fold`; numbers are words of their own."""
    return _fold(phrase)


def stems(words: Iterable[str]) -> list[str]:
    """Returns folded words in the form of keys: without endings, with one word for each side."""
    return _canonical(words)


def without_parts(words: list[str]) -> list[str]:
    """Returns folded words without those of `_PARTS_DE` and `_PARTS_EN`, such as "parenchyma"."""
    kept = [w for w in words if w not in _PARTS_DE and w not in _PARTS_EN]
    for i, word in enumerate(kept):
        for part in _PARTS_DE:
            if word.endswith(part) and len(word) - len(part) >= 4:
                kept[i] = word.removesuffix(part)
    return kept


def without_both(words: Iterable[str]) -> list[str]:
    """Returns stems without those of "both" and "bilateral"."""
    return [w for w in words if w not in _BOTH]


@functools.cache
def surfaces(lang: str) -> frozenset[str]:
    """Returns the folded words of all names, which are singular."""
    names = [name for c in CLASSES for name in c.names(lang)]
    names += [name for _, en, de in table.GROUPS for name in (en if lang == "en" else de)]
    found = {w for name in names for w in _fold(name)}
    return frozenset(w for w in found if not (lang == "en" and w.endswith("s") and w[:-1] in found))


def _build() -> Iterator[AnatomyClass]:
    extra = {i: (en, de) for i, en, de in table.EXTRA}
    for class_id, name, en, de, more_en, more_de in table.SINGLE:
        yield AnatomyClass(class_id, name, en, de, more_en, more_de)
    for left, right, stem, en, de, gender, more_en, more_de in table.PAIRED:
        for class_id, side in ((left, "left"), (right, "right")):
            extra_en, extra_de = extra.get(class_id, ((), ()))
            yield AnatomyClass(
                class_id,
                f"{stem}_{side}",
                f"{side} {en}",
                f"{_adjective(side, gender)} {de}",
                tuple(f"{side} {s}" for s in more_en) + extra_en,
                tuple(f"{s} {_ADVERB[side]}" for s in (de, *more_de)) + extra_de,
            )
    for row in table.VERTEBRAE:
        yield from _vertebrae(*row)
    for side, first in table.RIBS.items():
        for n in range(1, 13):
            yield AnatomyClass(
                first + n - 1,
                f"rib_{side}_{n}",
                f"{side} rib {n}",
                f"{n}. Rippe {_ADVERB[side]}",
                (f"{_ORDINALS_EN[n - 1]} {side} rib",),
                (f"{_adjective(side, 'f')} {n}. Rippe", f"Costa {n} {_ADVERB[side]}"),
            )


def _vertebrae(letter: str, first: int, count: int, en: str, stems: tuple, short: tuple) -> list:
    result = []
    for n in range(1, count + 1):
        class_id = first - n + 1
        code = f"{letter}{n}"
        synonyms_en = [f"{code} vertebral body", f"{_ORDINALS_EN[n - 1]} {en} vertebra"]
        synonyms_en += [f"{en} vertebra {n}", f"{en} vertebral body {n}", f"vertebral body {code}"]
        synonyms_de = [f"{s}{part} {n}" for s in stems for part in ("wirbelkörper", "wirbel")]
        synonyms_de = [*synonyms_de[1:], *(f"{s}{n}" for s in short)]
        synonyms_de.append(f"Wirbelkörper {code}")
        if code not in table.NOT_A_VERTEBRA:
            synonyms_en.append(code)
        if class_id in table.NAMED_VERTEBRAE:
            named_en, named_de = table.NAMED_VERTEBRAE[class_id]
            synonyms_en.append(named_en)
            synonyms_de.append(named_de)
        name, main_de = f"vertebrae_{code}", f"{stems[0]}wirbelkörper {n}"
        result.append(
            AnatomyClass(
                class_id, name, f"{code} vertebra", main_de, tuple(synonyms_en), tuple(synonyms_de)
            )
        )
    return result


_ORDINALS_EN = (
    *("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth"),
    *("tenth", "eleventh", "twelfth"),
)
_ORDINALS_DE = (
    *("erst", "zweit", "dritt", "viert", "fuenft", "sechst", "siebt", "acht", "neunt", "zehnt"),
    *("elft", "zwoelft"),
)
_ADVERB = {"left": "links", "right": "rechts"}
_DE_ENDINGS = ("", "e", "er", "en", "es", "em")
# The form of folded words in a key of the lexicon; "" drops the word.
_WORDS = {
    **{f"{n}{suffix}": str(n) for n in range(1, 13) for suffix in ("st", "nd", "rd", "th")},
    **{word: str(n + 1) for n, word in enumerate(_ORDINALS_EN)},
    **{word + end: str(n + 1) for n, word in enumerate(_ORDINALS_DE) for end in _DE_ENDINGS[1:]},
    # "recht" without an ending is left out, because it is an adverb ("recht groß").
    **{stem + e: "left" for stem in ("link", "linksseitig") for e in _DE_ENDINGS[1:]},
    **{stem + e: "right" for stem in ("recht", "rechtsseitig") for e in _DE_ENDINGS[1:]},
    **{"linksseitig": "left", "rechtsseitig": "right"},
    **dict.fromkeys(("left", "links", "li", "leftsided", "sinister", "sinistra"), "left"),
    **dict.fromkeys(("right", "rechts", "re", "rightsided", "dexter", "dextra"), "right"),
    **dict.fromkeys(("der", "die", "das", "des", "dem", "den", "von", "auf", "seite"), ""),
    **dict.fromkeys(("the", "of", "on", "side", "sided"), ""),
    **dict.fromkeys(("anterior", "posterior", "lateral", "posterolateral", "anterolateral"), ""),
    **{"humeri": "humerus", "femora": "femur", "karotiden": "karotis"},
    **{
        f"{many}{n}": one
        for n in ("", "n")
        for many, one in (
            ("schulterblaetter", "schulterblatt"),
            ("femurkoepfe", "femurkopf"),
            ("hueftkoepfe", "hueftkopf"),
        )
    },
    **dict.fromkeys(("v",), "vena"),
    **dict.fromkeys(("a",), "arteria"),
    **dict.fromkeys(("m",), "musculus"),
}
_BOTH = set("both either neither bilateral beid beidseit beidseitig bd bds all".split())
# Words, or endings of compounds, that do not change which organ is meant.
_PARTS_DE = ("parenchym", "gewebe", "wand", "rand", "kontur", "region", "knochen")
_PARTS_EN = ("parenchyma", "tissue", "wall", "margin", "contour", "region", "bone", "muscle")
_WORDS_AND_NUMBERS = re.compile(r"[0-9]+(?:st|nd|rd|th)\b|[a-z]+|[0-9]+")


def _fold(phrase: str) -> list[str]:
    """Returns the folded words of a phrase, without punctuation; numbers are words of their own."""
    text = phrase.lower()
    if not text.isascii():
        text = nfc(text)
        for umlaut, written in (("ä", "ae"), ("ö", "oe"), ("ü", "ue"), ("ß", "ss")):
            text = text.replace(umlaut, written)
        decomposed = unicodedata.normalize("NFD", text)
        text = "".join(c for c in decomposed if not unicodedata.combining(c))
    text = text.replace("'s", "s")
    return _WORDS_AND_NUMBERS.findall(text)


@functools.lru_cache(maxsize=1 << 14)
def _stem(word: str) -> str:
    """Cuts plural and case endings. This is crude, but names and phrases are cut the same way."""
    if len(word) < 4:
        return word
    if word.endswith("halses"):  # The genitive of "Hals", as in "Femurhals".
        word = word[:-2]
    if word.endswith("s") and not word.endswith("ss"):
        word = word[:-1]
    for ending in ("en", "em", "ae", "e", "a", "n"):
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            word = word[: -len(ending)]
            # "Schlüsselbeine" must become the stem of "Schlüsselbein", whose n is cut as well.
            return word.removesuffix("n") if ending == "e" and word.endswith("bein") else word
    return word[:-1] + "i" if word.endswith("y") and len(word) > 4 else word


def _canonical(words: Iterable[str]) -> list[str]:
    mapped = (_WORDS.get(w, w) for w in words)
    return [w if w in ("left", "right") else _stem(w) for w in mapped if w]


def _readings(phrase: str) -> Iterator[list[str]]:
    """Yields the words of a phrase in the form of keys, then without parts like "-parenchym"."""
    words = _fold(phrase)
    yield _canonical(words)
    kept = without_parts(words)
    if kept and kept != words:
        yield _canonical(kept)


def _key(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(words))


def _check_lang(lang: str | None) -> None:
    if lang not in (None, "en", "de"):
        raise ValueError(f"lang is {lang!r}; the lexicon has 'en' and 'de' (None for both)")


@functools.cache
def _lexicon(lang: str | None) -> dict[tuple[str, ...], int]:
    _check_lang(lang)
    entries = {}
    for c in CLASSES:
        for name in c.names(lang) + ((c.name,) if lang != "de" else ()):
            entries.setdefault(_key(_canonical(_fold(name))), c.id)
    return entries


@functools.cache
def _groups(lang: str | None) -> dict[tuple[str, ...], tuple[int, ...]]:
    _check_lang(lang)
    rows = list(table.GROUPS)
    for left, right, _, en, de, _, more_en, more_de in table.PAIRED:
        rows.append((tuple(sorted((left, right))), (en, *more_en), (de, *more_de)))
    for n in range(1, 13):
        ids = (table.RIBS["left"] + n - 1, table.RIBS["right"] + n - 1)
        rows.append((ids, (f"rib {n}",), (f"{n}. Rippe",)))
    entries = {}
    for ids, en, de in rows:
        for name in (en if lang != "de" else ()) + (de if lang != "en" else ()):
            entries.setdefault(_key(_canonical(_fold(name))), ids)
    return entries


@functools.cache
def _vocabulary(lang: str) -> frozenset[str]:
    words = {w for key in (*_lexicon(lang), *_groups(lang)) for w in key}
    return frozenset(words | _BOTH | {"left", "right"})


def _adjective(side: str, gender: str) -> str:
    stem = {"left": "link", "right": "recht"}[side]
    return stem + {"m": "er", "f": "e", "n": "es"}[gender]


CLASSES: tuple[AnatomyClass, ...] = tuple(sorted(_build(), key=lambda c: c.id))
_BY_NAME = {c.name: c for c in CLASSES}

# The class id for each index of TotalSegmentator's `total_mr` task (1..50).
MR_TO_ID: dict[int, int] = {i: _BY_NAME[name].id for i, name in enumerate(table.MR_NAMES, start=1)}
