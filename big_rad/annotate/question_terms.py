"""The names of organs and findings in questions, and which organs may be asked about where."""

import dataclasses
import functools
from collections.abc import Iterable, Sequence
from typing import Any

from big_rad.annotate import question_table as table
from big_rad.datasets.phantom.words import lexicon
from big_rad.datasets.phantom.words.lexicon import Organ
from big_rad.grounding import class_table, classes, phrase

_THE = {"m": "der", "f": "die", "n": "das"}
_A = {"m": "einen", "f": "eine", "n": "ein"}
_SIDES = {"left": "link", "right": "recht"}


@dataclasses.dataclass(frozen=True)
class Term:
    """An answer or a choice, before it is put into words.

    Attributes:
        kind: "organ", "paired" (an organ without its side), "finding" or "word".
        key: the class id, the id of a finding, or the keys of one or several words.
        field: the row of `table.WORDS` for a "word".
    """

    kind: str
    key: Any
    field: str = ""

    def organ(self) -> Organ:
        """Returns the names of an organ."""
        found = organ(self.key) if self.kind == "organ" else without_side(self.key)
        assert found is not None, f"class {self.key} has no name for questions"
        return found

    def say(self, lang: str) -> str:
        """Returns the words in a language."""
        if self.kind == "finding":
            row = _row(self.key)
            return row[1][0].split(" ", 1)[1] if lang == "en" else row[2][0]
        if self.kind == "word":
            words = [table.WORDS[self.field][lang][k] for k in self.key]
            link = " and " if lang == "en" else " und "
            return link.join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
        return self.organ().en if lang == "en" else self.organ().bare


def finding(name: str, lang: str) -> dict[str, str]:
    """Returns {"f": with the indefinite article, "F": with the definite one} of a finding."""
    row = _row(name)
    if lang == "en":
        return {"f": row[1][0], "F": "the " + row[1][0].split(" ", 1)[1]}
    noun, gender, _ = row[2]
    return {"f": f"{_A[gender]} {noun}", "F": f"{_THE[gender]} {noun}"}


@functools.cache
def organ(class_id: int) -> Organ | None:
    """Returns the names of a class; None if it is not asked about."""
    name = classes.by_id(class_id).name
    if name in table.NOT_ASKED:
        return None
    if class_id in table.ORGANS:
        return Organ(class_id, *table.ORGANS[class_id])
    if class_id in lexicon.SPOKEN:
        return lexicon.organ(class_id)
    return _paired(class_id) or _numbered(class_id)


@functools.cache
def without_side(class_id: int) -> Organ | None:
    """Returns the names of an organ of a pair without its side; None if it is not one of a pair."""
    found, side = organ(class_id), phrase.side_of_class(class_id)
    if found is None or side is None or phrase.mirrored(class_id) is None or not found.adjective:
        return None
    return dataclasses.replace(found, en=found.en.removeprefix(f"{side} "), adjective="")


@functools.cache
def related(class_id: int) -> frozenset[int]:
    """Returns a class with its parts and the classes that it is a part of."""
    name = classes.by_id(class_id).name
    parts = dict(table.WHOLES)
    parts["vertebrae"] = tuple(c.name for c in classes.CLASSES if c.name.startswith("vertebrae_"))
    found = {name, *parts.get(name, ())}
    found |= {whole for whole, some in parts.items() if name in some}
    found |= {table.FINDING_CLASSES[name][0]} if name in table.FINDING_CLASSES else set()
    return frozenset(classes.by_name(n).id for n in found)


@functools.cache
def of_modality(modality: str) -> frozenset[int]:
    """Returns the classes that a label map can show: those of TotalSegmentator's task.

    A map of a CT never holds whole lungs, and one of an MR no lobes, so that their absence says
    nothing. Of other modalities nothing is known.
    """
    if modality == "MR":
        return frozenset(classes.MR_TO_ID.values())
    whole = ("lung_left", "lung_right", "intervertebral_discs", "vertebrae")
    every = classes.CLASSES if modality == "CT" else ()
    return frozenset(c.id for c in every if c.name not in whole)


def near(visible: Iterable[int], regions: Sequence[str]) -> frozenset[int]:
    """Returns the classes at the height of the body where most of the visible classes are.

    Args:
        visible: the ids of the classes that are there.
        regions: the regions that were examined; they count if no visible class has a height.
    """
    counts = [len(members & set(visible)) for _, members in _levels()]
    if any(counts):
        chosen = [members for n, (_, members) in zip(counts, _levels()) if n == max(counts)]
    else:
        chosen = [members for names, members in _levels() if set(names) & set(regions)]
    return frozenset().union(*chosen)


@functools.cache
def _levels() -> tuple[tuple[tuple[str, ...], frozenset[int]], ...]:
    ids = {c.name: c.id for c in classes.CLASSES}
    found = []
    for regions, row in table.LEVELS:
        names = [f"{n}{side}" for n in row.split() for side in ("", "_left", "_right")]
        members = frozenset(ids[n] for n in names if n in ids and organ(ids[n]) is not None)
        found.append((tuple(regions.split()), members))
    return tuple(found)


def _paired(class_id: int) -> Organ | None:
    for left, right, _, en, de, gender, _, _ in class_table.PAIRED:
        for other, side in ((left, "left"), (right, "right")):
            if other == class_id:
                return Organ(class_id, f"{side} {en}", _SIDES[side], de, gender)
    return None


def _numbered(class_id: int) -> Organ | None:
    """Returns the names of a rib or a vertebra."""
    found = classes.by_id(class_id)
    if found.name.startswith("rib_"):
        return Organ(class_id, found.synonyms_en[0], "", found.de, "f")
    return Organ(class_id, found.en, "", found.de, "m") if "vertebra" in found.name else None


@functools.cache
def _row(name: str) -> tuple:
    return next(row for row in table.FINDINGS if row[0] == name)
