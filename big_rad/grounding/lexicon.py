"""Finds which classes a phrase of a text names: by name, part, adjective, stem or compound.

`classes.lookup` knows the names of the classes. Texts name organs in more ways, and this module
adds those of `part_table` and the German compounds. Look-alikes such as "heart rate" claim their
words without naming a class.

    >>> [classes.by_id(i).name for i in lookup("Lebermetastasen", "de")]
    ['liver']
"""

import functools
import hashlib
import re
from collections.abc import Iterator

from big_rad.grounding import class_table, classes, look_alike_table, part_table

LOOK_ALIKE: tuple[int, ...] = ()
RIBS = tuple(range(92, 116))
HIPS = (77, 78)
VERTEBRAE = 121
# The vertebrae of a region of the spine; in a text, such a group is the class `vertebrae`.
_REGIONS = tuple(
    tuple(range(first - n + 1, first + 1)) for _, first, n, *_ in class_table.VERTEBRAE
)
_ADJECTIVE_ENDINGS = ("", "er")  # The stem of `classes` cuts all other endings.
_HYPHENS = re.compile("[-\u2010\u2011]")
_LEAST_TAIL = 2  # The fewest letters that follow the head of a compound.
_ROMAN = dict(zip("i ii iii iv v vi vii viii ix x xi xii".split(), range(1, 13)))
_RIB_STEMS = frozenset(("rib", "ripp", "cost"))


def lookup(phrase: str, lang: str) -> tuple[int, ...] | None:
    """Returns the ids of all classes that a phrase of a text may mean, in ascending order.

    Args:
        phrase: whole words of a text, such as "linke Niere" or "Nierenbecken".
        lang: "en" or "de".

    Returns:
        The ids; `LOOK_ALIKE`, which is empty, for a phrase that only looks like anatomy; None if
        the phrase is not in the lexicon.
    """
    words = classes.plain_words(phrase)
    for reading in _readings(words, lang):
        found = _find(reading, lang)
        if found is not None:
            return found
    return None


def is_compound(word: str, lang: str) -> bool:
    """Returns whether a word names an organ only by its beginning ("Lebermetastasen")."""
    return lang == "de" and head(classes.fold(word)) is not None and _find_word(word, lang) is None


def is_adjective(word: str, lang: str) -> bool:
    """Returns whether a word is an adjective that names an organ ("renal")."""
    return classes.fold(word) in _adjectives(lang) or bool(
        {classes.fold(word).removesuffix(e) for e in ("e", "er", "en", "es", "em")}
        & _adjectives(lang)
    )


@functools.lru_cache(maxsize=1 << 16)
def head(folded: str) -> str | None:
    """Returns the organ that a German compound begins with, in a word of the lexicon, or None.

    Args:
        folded: the word as `classes.fold` writes it.
    """
    heads, longest = _heads()
    for n in range(min(longest, len(folded) - _LEAST_TAIL), 2, -1):
        organ = heads.get(folded[:n])
        if organ is not None:
            inflected = folded[n:] in ("en", "er", "es", "em", "ns", "ens")
            other = folded.endswith(_no_organ_endings())
            no_organ = inflected or other or folded.startswith(_not_compounds())
            return None if no_organ else organ
    return None


_TECHNIQUE_ENDINGS = ("fenster", "phase", "protokoll", "sequenz", "spirale")


def is_technique(word: str) -> bool:
    """Returns whether a word behind a hyphen makes the whole a technique ("Leber-CT")."""
    folded = classes.fold(word)
    return folded.startswith(_techniques()) or folded.endswith(_TECHNIQUE_ENDINGS)


@functools.lru_cache(maxsize=1 << 16)
def in_vocabulary(word: str, lang: str) -> bool:
    """Returns whether a word may be part of a phrase of the lexicon, faster than a look-up."""
    if classes.in_vocabulary(word, lang):
        return True
    folded = classes.plain_words(word)
    known = _vocabulary(lang)
    if folded and all(w in known for w in classes.stems(folded)):
        return True
    return lang == "de" and len(folded) == 1 and head(folded[0]) is not None


@functools.cache
def surfaces(lang: str) -> frozenset[str]:
    """Returns the folded words of all names and parts, which are singular."""
    table = part_table.EN if lang == "en" else part_table.DE
    found = {w for row in table.values() for w in classes.plain_words(row)}
    return classes.surfaces(lang) | (found - _plurals_in_table(found, lang))


@functools.cache
def removals(lang: str) -> frozenset[str]:
    """Returns the folded words for operations that remove an organ, such as "splenectomy"."""
    table = part_table.REMOVED_EN if lang == "en" else part_table.REMOVED_DE
    words = {w for row in table.values() for w in classes.plain_words(row)}
    ends = ("ectomy", "ektomie", "resektion", "resection", "exstirpation", "entfernung", "ylasie",
            "agenesie", "aplasie", "nukleotomie")  # fmt: skip
    short = {"che", "cce", "rpe", "rpx"}
    return frozenset(w for w in words if w.endswith(ends) or lang == "de" and w in short)


@functools.cache
def digest() -> str:
    """Returns a digest of all tables of words, which changes when one of them does."""
    tables = [sorted(_entries(lang).items()) for lang in ("en", "de")]
    said = repr((classes.CLASSES, tables, sorted(_heads()[0].items()), _not_compounds()))
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def _plurals_in_table(found: set[str], lang: str) -> set[str]:
    return {w for w in found if lang == "en" and w.endswith("s") and w[:-1] in found}


def _readings(words: list[str], lang: str) -> Iterator[list[str]]:
    """Yields the stems of words in the ways in which the lexicon may know them."""
    yield classes.stems(_with_numbers(words))
    if lang == "de":
        replaced = [_whole(w) or w for w in words]
        if replaced != words:
            yield classes.stems(classes.plain_words(" ".join(replaced)))
    kept = classes.without_parts(words)
    if kept and kept != words:
        yield classes.stems(kept)


def _whole(word: str) -> str | None:
    if _known_word(word):
        return None
    return head(word)


def _with_numbers(words: list[str]) -> list[str]:
    """Returns words with Roman numbers of ribs as digits."""
    if not _RIB_STEMS.intersection(classes.stems(words)):
        return words
    return [str(_ROMAN[w]) if w in _ROMAN else w for w in words]


def _find(reading: list[str], lang: str) -> tuple[int, ...] | None:
    entries = _entries(lang)
    key = tuple(sorted(reading))
    if key in entries:
        return entries[key]
    one = classes.without_both(key)
    return entries.get(tuple(one)) if len(one) < len(key) else None


def _find_word(word: str, lang: str) -> tuple[int, ...] | None:
    return _find(classes.stems(classes.plain_words(word)), lang)


@functools.lru_cache(maxsize=1 << 14)
def _known_word(word: str) -> bool:
    return _find(classes.stems([word]), "de") is not None


@functools.cache
def _entries(lang: str) -> dict[tuple[str, ...], tuple[int, ...]]:
    names = {k: _in_texts(ids) for k, ids in classes.names_of_all(lang).items()}
    look_alikes = look_alike_table.EN if lang == "en" else look_alike_table.DE
    tables = (
        (part_table.EN, part_table.REMOVED_EN)
        if lang == "en"
        else (part_table.DE, part_table.REMOVED_DE)
    )
    parts: dict[tuple[str, ...], tuple[int, ...]] = {}
    for table in tables:
        for organ, row in table.items():
            for word in row.split(";"):
                _add(parts, organ, word, names)
    if lang == "de":
        for organ, row in part_table.ADJECTIVES_DE.items():
            for word in row.split(";"):
                for ending in _ADJECTIVE_ENDINGS:
                    _add(parts, organ, word.strip() + ending, names)
    claims = {}
    for phrase in look_alikes.split(";"):
        for key in {classes.key(phrase), classes.key(_without_er(phrase))}:
            for side in ((), ("left",), ("right",)):
                claims[tuple(sorted((*key, *side)))] = LOOK_ALIKE
    kept = {k: ids for k, ids in names.items() if k not in claims}
    found = {**parts, **kept, **claims}
    found.pop((), None)
    return found


def _without_er(phrase: str) -> str:
    return " ".join(w.removesuffix("er") + "e" if w.endswith("er") and w[:1].islower() else w
                    for w in phrase.split())  # fmt: skip


def _add(
    entries: dict[tuple[str, ...], tuple[int, ...]],
    organ: str,
    word: str,
    names: dict[tuple[str, ...], tuple[int, ...]],
) -> None:
    ids = _ids(organ)
    entries.setdefault(classes.key(word), ids)
    for side in ("left", "right"):
        own = tuple(i for i in ids if classes.by_id(i).name.split("_").count(side))
        other = {"left": "right", "right": "left"}[side]
        both = own and any(other in classes.by_id(i).name.split("_") for i in ids)
        sided = classes.key(f"{side} {word}")
        if both and sided not in names:
            entries.setdefault(sided, own)


@functools.cache
def _ids(organ: str) -> tuple[int, ...]:
    """Returns the ids of a key of `part_table`."""
    found: set[int] = set()
    for part in organ.split("+"):
        if part in ("ribs", "hips"):
            found.update(RIBS if part == "ribs" else HIPS)
            continue
        own = [c.id for c in classes.CLASSES if c.name in (part, f"{part}_left", f"{part}_right")]
        if not own:
            raise KeyError(f"part_table: {part!r} is no class and no pair of classes")
        found.update(own)
    return tuple(sorted(found))


def _in_texts(ids: tuple[int, ...]) -> tuple[int, ...]:
    """Returns the classes that the name of a group means in a text: `vertebrae` for a region."""
    return (VERTEBRAE,) if ids in _REGIONS else ids


@functools.cache
def _vocabulary(lang: str) -> frozenset[str]:
    return frozenset(w for key in _entries(lang) for w in key) | frozenset(_ROMAN)


@functools.cache
def _adjectives(lang: str) -> frozenset[str]:
    if lang == "en":
        return frozenset()
    rows = part_table.ADJECTIVES_DE.values()
    return frozenset(w for row in rows for w in classes.plain_words(row))


@functools.cache
def _heads() -> tuple[dict[str, str], int]:
    found = {}
    for organ, row in look_alike_table.HEADS_DE.items():
        for word in classes.plain_words(row):
            found[word] = organ
    return found, max(map(len, found))


@functools.cache
def _not_compounds() -> tuple[str, ...]:
    return tuple(classes.plain_words(look_alike_table.NOT_COMPOUNDS_DE))


@functools.cache
def _no_organ_endings() -> tuple[str, ...]:
    return tuple(classes.plain_words(look_alike_table.NO_ORGAN_ENDINGS_DE))


@functools.cache
def _techniques() -> tuple[str, ...]:
    return tuple(classes.plain_words(look_alike_table.TECHNIQUES))
