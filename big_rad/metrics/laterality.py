"""Left and right: how often a text takes one side for the other.

Radiology's classic error, which overlap and words hardly see: "right kidney" for the left one costs
a report one word in ten. Sides are compared organ by organ, with the reference and with the place
of the entity's own box. Knows no images; reads English and German.
"""

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from big_rad.grounding import classes, markup, mentions, side_words
from big_rad.grounding.codec import BoxCodec

Text = str | markup.Parsed
_OTHER = {"left": "right", "right": "left"}
_MIDLINE = 0.05  # A box whose centre is nearer to the middle than this has no side.
# In these planes an image is looked at from the feet or the front: the patient's left is on the
# right. Sagittal ones have no sides.
_SIDED_PLANES = ("axial", "coronal", "transverse")
# Pairs that do not lie on either side of the midline.
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
    """Counts how often generated texts take one side for the other.

    Three shares, each of what could have been wrong:

    - entity: predicted entities of a paired class of which the reference has either side; wrong if
      it has only the other one;
    - box: predicted entities of a paired class with a box clearly on one side of an axial or
      coronal image (shown as usual, the patient's left on the right); wrong if it is the other;
    - text: texts that name a side of the same organ, or, if they share no organ, just one side
      each; wrong if the two have no side in common for one of the organs.

    A plural ("both kidneys") is marked once, with the box of the first of its classes that has one;
    here it counts as both sides, of which either agrees with a reference, and its box is not looked
    at. Where the words of an entity do not tell its side, its class does, or with masks, whose
    markup has no class, the text around it.

    Args:
        preds: generated texts with markup, or the same parsed.
        refs: references, as many.
        codec: reads the boxes; needed if any text is a string.
        planes: of each image; None: no box is looked at.

    Returns:
        entity, box, text: the shares, NaN where nothing could be wrong;
        n_entity, n_box, n_text: of how many;
        per_class: organ -> {"n", "errors"} of entities against the reference;
        per_sample: {"entity", "box", "text"} of each, a share or None.

    Raises:
        ValueError: lengths that differ, or strings without a codec.
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
    # Of each score, which of the things that could have been wrong were.
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
    # None: there is nothing to compare.
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
    """Returns the classes that an entity means: one, or both of a pair."""
    class_id = entity.class_id
    if not class_id:
        known = classes.lookup(entity.phrase)
        class_id = known.id if known else 0
    here = [m for m in mentions.at(text, *entity.span) if m.class_ids]
    for m in here:
        if m.plural and (not class_id or class_id in m.class_ids):
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
