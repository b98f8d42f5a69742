"""Counts how often generated texts confuse left and right.

This is a classic error in radiology, but scores of words and of overlap hardly show it: "right
kidney" instead of "left kidney" may change one word in ten. The sides are compared organ by organ,
with the reference and with the position of the entity's own box. English and German are read.
"""

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from big_rad.grounding import classes, markup, mentions, side_words
from big_rad.grounding.codec import BoxCodec

Text = str | markup.Parsed
_OTHER = {"left": "right", "right": "left"}
_MIDLINE = 0.05  # A box has no side if its centre is nearer to the middle of the image than this.
# In these planes an image is viewed from the feet or the front, so the patient's left is on the
# right of the image. Sagittal images have no sides.
_SIDED_PLANES = ("axial", "coronal", "transverse")
# The organs of pairs with these names do not lie on different sides of the midline. The present
# classes have no such pair.
_CENTRAL = ("heart", "atrial")
SCORES = ("entity", "box", "text")


def side_of(class_id: int) -> tuple[str, str] | None:
    """Returns (organ, "left" or "right") of a class that is one of a pair, or None.

    >>> side_of(classes.by_name("kidney_left").id)
    ('kidney', 'left')
    """
    return _sides().get(class_id)


def errors(
    preds: Sequence[Text],
    refs: Sequence[Text],
    codec: BoxCodec | None = None,
    planes: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Counts how often generated texts confuse left and right.

    There are three scores. Each is the share of errors among the cases that can be judged:

    - entity: A case is a predicted entity of a paired class (such as the left kidney) whose organ
      the reference names on either side. It is an error if the reference names only the other side.
    - box: A case is a predicted entity of a paired class with a box that is clearly on one side of
      an axial or coronal image, in its usual display (the patient's left on the right). It is an
      error if the side of the box is not the side of the class.
    - text: A case is a pair of texts that name sides of the same organ, or, if they share no organ,
      name one side each. It is an error if they have no side in common for one of the organs.

    A plural ("both kidneys") is marked once, with the box of the first of its classes that has one.
    It counts as both sides here, so it agrees with a reference that names either, and its box is
    not judged. The side of an entity that is no plural is the side of its class. Entities with
    masks have no class in the markup; theirs is the class of their phrase in the lexicon, or else
    the class that their clause names.

    Args:
        preds: the generated texts with markup, or the same texts parsed.
        refs: the references, one per prediction.
        codec: the codec that reads the boxes; needed if any text is a string.
        planes: the plane of each image; None judges no boxes.

    Returns:
        A dict with these keys:

        entity, box, text: the shares; NaN if there is no case.
        n_entity, n_box, n_text: the numbers of cases.
        per_class: a dict organ -> {"n", "errors"} with the cases and errors of the score entity.
        per_sample: one dict {"entity", "box", "text"} per sample, each a share, or None if the
            sample has no case.

    Raises:
        ValueError: the lengths differ, or a text is a string and there is no codec.
    """
    planes = [""] * len(preds) if planes is None else planes
    if not len(preds) == len(refs) == len(planes):
        raise ValueError(
            f"{len(preds)} predictions, {len(refs)} references and {len(planes)} planes"
        )
    per_sample, per_class = [], {}
    totals = {score: [0, 0] for score in SCORES}
    for pred, ref, plane in zip(preds, refs, planes, strict=True):
        found = _sample(_parsed(pred, codec), _parsed(ref, codec), plane, per_class)
        for score, outcomes in found.items():
            totals[score][0] += sum(outcomes)
            totals[score][1] += len(outcomes)
        per_sample.append({s: sum(x) / len(x) if x else None for s, x in found.items()})
    shares = {s: wrong / n if n else math.nan for s, (wrong, n) in totals.items()}
    counts = {f"n_{s}": n for s, (_, n) in totals.items()}
    return {**shares, **counts, "per_class": per_class, "per_sample": per_sample}


def _sample(
    pred: markup.Parsed, ref: markup.Parsed, plane: str, per_class: dict[str, dict[str, int]]
) -> dict[str, list[bool]]:
    # Returns for each score its cases, True for an error.
    found: dict[str, list[bool]] = {s: [] for s in SCORES}
    referred = _by_organ(i for e in ref.entities for i in _named(e, ref.text))
    for entity in pred.entities:
        ids = _named(entity, pred.text)
        known = side_of(ids[0]) if ids else None
        if known is None:
            continue
        organ, side = known
        if organ in referred:
            wrong = not _by_organ(ids)[organ] & referred[organ]
            found["entity"].append(wrong)
            row = per_class.setdefault(organ, {"n": 0, "errors": 0})
            row["n"], row["errors"] = row["n"] + 1, row["errors"] + wrong
        shown = _shown_side(entity.box) if plane.lower() in _SIDED_PLANES else None
        if shown is not None and len(ids) == 1 and not organ.startswith(_CENTRAL):
            found["box"].append(shown != side)
    wrong = _contradicts(pred.text, ref.text)
    return found | {"text": [] if wrong is None else [wrong]}


def _contradicts(pred: str, ref: str) -> bool | None:
    # Returns None if there is nothing to compare.
    ours, theirs = (
        _by_organ(i for m in mentions.at(text, 0, len(text)) for i in m.class_ids)
        for text in (pred, ref)
    )
    shared = ours.keys() & theirs.keys()
    if shared:
        return any(not ours[organ] & theirs[organ] for organ in shared)
    said = [side_words.sides(text) for text in (pred, ref)]
    return said[0] != said[1] if all(len(s) == 1 for s in said) else None


def _by_organ(class_ids: Iterable[int]) -> dict[str, set[str]]:
    result: dict[str, set[str]] = {}
    for class_id in class_ids:
        known = side_of(class_id)
        if known is not None:
            result.setdefault(known[0], set()).add(known[1])
    return result


def _shown_side(box: Sequence[float] | None) -> str | None:
    if box is None:
        return None
    away = (box[0] + box[2]) / 2 - 0.5
    if abs(away) < _MIDLINE:
        return None
    return "left" if away > 0 else "right"


def _named(entity: markup.Entity, text: str) -> tuple[int, ...]:
    """Returns the classes of an entity: one, both of a pair for a plural, or () if unknown."""
    class_id = entity.class_id
    if not class_id:
        known = classes.lookup(entity.phrase)
        class_id = known.id if known else 0
    here = [m for m in mentions.at(text, *entity.span) if m.class_ids]
    for m in here:
        if m.several_organs and (not class_id or class_id in m.class_ids):
            return m.class_ids
    if class_id:
        return (class_id,)
    single = {m.class_ids for m in here if len(m.class_ids) == 1}
    return single.pop() if len(single) == 1 else ()


@functools.cache
def _sides() -> Mapping[int, tuple[str, str]]:
    names = {c.name: c.id for c in classes.CLASSES}
    result = {}
    for name, class_id in names.items():
        parts = name.split("_")
        for side, other in _OTHER.items():
            swapped = "_".join(other if p == side else p for p in parts)
            if side in parts and swapped in names:
                result[class_id] = ("_".join(p for p in parts if p != side), side)
    return result


def _parsed(text: Text, codec: BoxCodec | None) -> markup.Parsed:
    if isinstance(text, markup.Parsed):
        return text
    if codec is None:
        raise ValueError("laterality: texts need a codec; see big_rad.grounding.codec.get_codec")
    return markup.parse(text, codec)
