"""Counts the patients, images, texts, boxes, masks and classes of each split of a dataset.

Each process counts the records that it makes or checks; `Contents.merge` then adds up the counts.
"""

import collections
import dataclasses
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from big_rad.grounding import classes
from big_rad.pp import packed
from big_rad.pp.example import LabelMap

_SPLITS = ("train", "validation", "test")
_KINDS = (
    ("report", "report", "reports"),
    ("vqa", "question", "questions"),
    ("detect", "detection question", "detection questions"),
)
_NAMED = 5  # The number of classes that a line names.


@dataclasses.dataclass
class Contents:
    """The counts of a split, or of a part of it.

    Attributes:
        patients: the pseudonyms of the patients.
        images: the number of images.
        lines: the number of texts, plus the number of images without a text.
        texts: {(language, task): number of texts}.
        grounded: {language: number of reports that name a class that their image shows}.
        boxed: the number of images with boxes.
        boxes: the number of boxes.
        masked: the number of images whose mask shows a class or was not opened.
        empty: the number of images whose mask does not show any class.
        unopened: the number of images whose mask was not opened, so that its classes are unknown.
        classes: {class id: number of images that show the class}.
    """

    patients: set[str] = dataclasses.field(default_factory=set)
    images: int = 0
    lines: int = 0
    texts: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    grounded: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    boxed: int = 0
    boxes: int = 0
    masked: int = 0
    empty: int = 0
    unopened: int = 0
    classes: collections.Counter = dataclasses.field(default_factory=collections.Counter)

    def add(self, record: Mapping[str, Any]) -> None:
        """Counts a record as `records.make_record` makes it."""
        for image in record["images"]:
            texts, boxes = json.loads(image["texts"]), json.loads(image["boxes"])
            patient = image.get("patient", record["patient"])
            self.add_image(patient, texts, [b[4] for b in boxes], image["segmap"] or None)

    def add_image(
        self,
        patient: str,
        texts: Collection[Mapping[str, Any]],
        boxes: Sequence[int] = (),
        segmap: bytes | LabelMap | None = None,
        unopened: bool = False,
    ) -> None:
        """Counts an image.

        Args:
            patient: the patient's pseudonym, or "" if it is not known.
            texts: the texts of the image, as in an example.
            boxes: the class ids of its boxes.
            segmap: its label map of class ids, packed or not; None if it has none.
            unopened: whether it has a mask that was not opened.
        """
        pixels = None if segmap is None else np.asarray(packed.array(segmap)).ravel()
        shown = set() if pixels is None else set(map(int, np.flatnonzero(np.bincount(pixels))))
        shown.discard(0)
        self.patients |= {patient} - {""}
        self.images += 1
        self.lines += max(len(texts), 1)
        self.masked += bool(shown) or unopened
        self.empty += pixels is not None and not shown
        self.unopened += unopened
        self.boxed += bool(boxes)
        self.boxes += len(boxes)
        shown |= set(map(int, boxes))
        self.classes.update(shown)
        for text in texts:
            self.texts[text["lang"], text["task"]] += 1
            if any(class_id in shown for _, class_id in text.get("keywords") or ()):
                self.grounded[text["lang"]] += text["task"] == "report"

    def merge(self, other: "Contents") -> None:
        """Adds the counts of another part."""
        for field in dataclasses.fields(self):
            mine, its = getattr(self, field.name), getattr(other, field.name)
            if isinstance(mine, collections.Counter):
                mine.update(its)
            else:
                setattr(self, field.name, mine | its if isinstance(mine, set) else mine + its)

    def to_json(self) -> dict[str, Any]:
        """Returns the counts as a dict that JSON can store, including the patients' pseudonyms."""
        return {
            **dataclasses.asdict(self),
            "patients": sorted(self.patients),
            "texts": [[*key, n] for key, n in self.texts.items()],
            "grounded": dict(self.grounded),
            "classes": [[c, n] for c, n in self.classes.items()],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Contents":
        """Returns the counts that `to_json` stored."""
        return cls(**{
            **data,
            "patients": set(data["patients"]),
            "texts": collections.Counter({(lang, kind): n for lang, kind, n in data["texts"]}),
            "grounded": collections.Counter(data["grounded"]),
            "classes": collections.Counter(dict(data["classes"])),
        })  # fmt: skip


def summary(found: Contents, patients: bool = True) -> dict[str, Any]:
    """Returns the counts of a split without pseudonyms, for a file beside the records.

    Args:
        found: the counts.
        patients: whether the source says which patient an image belongs to.
    """
    langs = sorted({lang for lang, _ in found.texts}, key=lambda x: (x != "en", x))
    return {
        "patients": len(found.patients) or None if patients else None,
        "images": found.images,
        "texts": {
            lang: {
                **{name: n for task, _, name in _KINDS if (n := found.texts[lang, task])},
                # Which reports are grounded is not known before masks are opened.
                **({} if found.unopened else {"grounded reports": found.grounded[lang]}),
            }
            for lang in langs
        },
        "boxes": found.boxes,
        "images with boxes": found.boxed,
        "images with masks": found.masked,
        "images with empty masks": found.empty,
        "masks not opened": found.unopened,
        "classes": {
            classes.by_id(c).name: n
            for c, n in sorted(found.classes.items(), key=lambda x: (-x[1], x[0]))
        },
    }


def lines(splits: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Returns a line for the user on each split; [] if all splits are empty.

    Args:
        splits: {split: its `summary`}.
    """
    if not any(s["images"] for s in splits.values()):
        return []
    names = dict.fromkeys([*_SPLITS, *splits])
    return [f"{name}: {_said(splits.get(name) or {'images': 0})}" for name in names]


def _said(split: Mapping[str, Any]) -> str:
    if not split["images"]:
        return "no images"
    of = split["patients"]
    parts = [count(split["images"], "image") + (f" of {count(of, 'patient')}" if of else "")]
    parts += [_texts(lang, found) for lang, found in split["texts"].items()]
    shown = []
    if split["boxes"]:
        boxes = count(split["boxes"], "box", "boxes")
        shown.append(f"{boxes} in {count(split['images with boxes'], 'image')}")
    if split["images with masks"]:
        shown.append(f"masks in {count(split['images with masks'], 'image')}")
    if split["images with empty masks"]:
        shown.append(f"{count(split['images with empty masks'], 'mask')} without any class")
    parts.append(", ".join(shown) or "no boxes or masks")
    if split["classes"]:
        parts.append(_classes(split["classes"]))
    if split["masks not opened"]:
        parts.append("classes of masks are not counted without opening them")
    return "; ".join(parts)


def _texts(lang: str, found: Mapping[str, int]) -> str:
    said = []
    for _, one, many in _KINDS:
        if n := found.get(many, 0):
            said.append(count(n, one, many))
            if many == "reports" and "grounded reports" in found:
                said[-1] += f" ({found['grounded reports']} grounded)"
    return f"{lang}: {', '.join(said)}"


def _classes(found: Mapping[str, int]) -> str:
    named = ", ".join(f"{name} in {n}" for name, n in [*found.items()][:_NAMED])
    more = ", ..." if len(found) > _NAMED else ""
    return f"{count(len(found), 'class', 'classes')}: {named}{more}"


def count(n: int, one: str, many: str = "") -> str:
    """Returns a number with its noun in the right form: `count(2, "image")` is "2 images"."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def total(parts: Iterable[Contents]) -> Contents:
    """Returns the sum of the counts of all parts."""
    whole = Contents()
    for part in parts:
        whole.merge(part)
    return whole
