"""Masks: overlap of binary masks of one image, and whose they are in a text with markup.

Knows nothing of where they come from.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from big_rad.grounding import classes, markup, mentions


def pairwise_overlap(
    a: Sequence[np.ndarray | None], b: Sequence[np.ndarray | None]
) -> tuple[np.ndarray, np.ndarray]:
    """Intersection over union and Dice of every mask of `a` with every mask of `b`.

    Args:
        a: N masks bool [H, W]; None stands for a mask that was never made. N may be 0.
        b: M masks of the same size.

    Returns:
        (IoU, Dice), each float64 [N, M] in 0..1; 0 where a mask is missing or both are blank.

    Raises:
        ValueError: masks of different sizes.
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
    """Returns which of a text's `count` masks is the entity's; None if it has none of them."""
    index = entity.mask_index
    return index if index is not None and 0 <= index < count else None


def named(entity: markup.Entity, text: str = "") -> markup.Entity:
    """Returns the entity with the lexicon's class of its phrase, 0 if it knows none.

    Mask markup names no class, see `classes.lookup`. A phrase that alone may mean either side has
    the class of the mention at its place in the text, if that is one.

    Args:
        entity: read from a text.
        text: its visible text, or "".
    """
    known = classes.lookup(entity.phrase)
    if known is not None:
        return dataclasses.replace(entity, class_id=known.id)
    ids = {m.class_ids for m in mentions.at(text, *entity.span)} if text else set()
    single = [i for (i, *others) in filter(None, ids) if not others]
    return dataclasses.replace(entity, class_id=single[0] if len(single) == 1 else 0)


def is_blank(mask: np.ndarray | None) -> bool:
    """Returns whether a mask has no pixel, or was never made."""
    return mask is None or not np.any(mask)


def to_runs(mask: np.ndarray) -> dict[str, list[int]]:
    """Returns a mask bool [H, W] as COCO's run lengths: JSON-able, `from_runs` gives it back.

    Returns:
        `size` [H, W] and `counts`, lengths of runs of 0 and 1 in turn, column by column, 0 first.
    """
    flat = np.asarray(mask, bool).ravel(order="F")
    edges = np.flatnonzero(np.diff(flat, prepend=False)).tolist()
    return {"size": list(np.shape(mask)), "counts": np.diff([0, *edges, flat.size]).tolist()}


def from_runs(runs: dict[str, Sequence[int]]) -> np.ndarray:
    """Returns the mask bool [H, W] of `to_runs`."""
    counts = np.asarray(runs["counts"], np.int64)
    flat = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return flat.reshape(tuple(runs["size"]), order="F")


def _flat(masks: Sequence[np.ndarray | None], size: int) -> np.ndarray:
    rows = [np.zeros(size) if m is None else np.asarray(m, bool).ravel() for m in masks]
    return np.stack(rows).astype(np.float64)
