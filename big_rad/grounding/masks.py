"""Overlap of binary masks, the masks and classes of entities, and run lengths of masks."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from big_rad.grounding import classes, markup, mentions


def pairwise_overlap(
    a: Sequence[np.ndarray | None], b: Sequence[np.ndarray | None]
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the intersection over union and the Dice of each mask of `a` with each of `b`.

    Args:
        a: the N masks of the rows, bool [H, W]; None is a missing mask. N may be 0.
        b: the M masks of the columns, of the same size.

    Returns:
        A tuple (IoU, Dice), each float64 [N, M] in 0..1; 0 where a mask is missing or both masks
        are blank.

    Raises:
        ValueError: the masks differ in size.
    """
    shapes = {np.shape(m) for m in (*a, *b) if m is not None}
    if len(shapes) > 1 or any(len(s) != 2 for s in shapes):
        raise ValueError(f"masks of one image must be [H, W] of one size, got {sorted(shapes)}")
    if not shapes or not len(a) or not len(b):
        return np.zeros((len(a), len(b))), np.zeros((len(a), len(b)))
    size = int(np.prod(shapes.pop()))
    x, y = (_flat(masks, size) for masks in (a, b))
    both = x @ y.T
    sums = x.sum(axis=1)[:, None] + y.sum(axis=1)[None]
    with np.errstate(invalid="ignore", divide="ignore"):
        iou, dice = both / (sums - both), 2 * both / sums
    return np.nan_to_num(iou), np.nan_to_num(dice)


def place(entity: markup.Entity, count: int) -> int | None:
    """Returns the index of an entity's mask among the `count` masks of its text, or None."""
    index = entity.mask_index
    return index if index is not None and 0 <= index < count else None


def named(entity: markup.Entity, text: str = "") -> markup.Entity:
    """Returns the entity with the class that the lexicon gives its phrase, or 0 if it is unknown.

    This is for masks, whose markup names no class. A phrase that could mean either side gets the
    class of the mention at its place in the text, if that mention has a single class.

    Args:
        entity: an entity that was read from a text.
        text: the visible text of the entity, or "".
    """
    known = classes.lookup(entity.phrase)
    if known is not None:
        return dataclasses.replace(entity, class_id=known.id)
    ids = {m.class_ids for m in mentions.at(text, *entity.span)} if text else set()
    single = [i for (i, *others) in filter(None, ids) if not others]
    return dataclasses.replace(entity, class_id=single[0] if len(single) == 1 else 0)


def is_blank(mask: np.ndarray | None) -> bool:
    """Returns whether a mask has no pixel, or is missing."""
    return mask is None or not np.any(mask)


def to_runs(mask: np.ndarray) -> dict[str, list[int]]:
    """Returns a mask bool [H, W] as run lengths in COCO's format, which JSON can hold.

    `from_runs` gives the mask back.

    Returns:
        A dict with `size`, which is [H, W], and `counts`, the lengths of alternating runs of 0 and
        1 in the order of the columns. The first run is of 0, and may have length 0.

    Example:
        >>> to_runs(np.array([[0, 1], [1, 1]], bool))
        {'size': [2, 2], 'counts': [1, 3]}
    """
    flat = np.asarray(mask, bool).ravel(order="F")
    edges = np.flatnonzero(np.diff(flat, prepend=False)).tolist()
    return {"size": list(np.shape(mask)), "counts": np.diff([0, *edges, flat.size]).tolist()}


def from_runs(runs: dict[str, Sequence[int]]) -> np.ndarray:
    """Returns the mask bool [H, W] whose run lengths `to_runs` returned."""
    counts = np.asarray(runs["counts"], np.int64)
    flat = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return flat.reshape(tuple(runs["size"]), order="F")


def _flat(masks: Sequence[np.ndarray | None], size: int) -> np.ndarray:
    rows = [np.zeros(size) if m is None else np.asarray(m, bool).ravel() for m in masks]
    return np.stack(rows).astype(np.float64)
