"""G-IoU as the scripts released with RadGrounder compute it, quirks included, for one sample.

So that the published 43.6 (boxes) and 36.9 (masks) can be checked against the same arithmetic. The
two differ in nearly everything, so their numbers are not comparable, neither with each other nor
with the paper's formula. Knows similarities, boxes and masks; no text.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from big_rad.grounding import boxes, masks

Box = Sequence[float]
Mask = Bool[np.ndarray, "height width"] | Float[np.ndarray, "height width"]  # or logits
_CUT = 0.5  # of masks, and of logits as if they were probabilities


def det(
    similarity: Float[np.ndarray, "n m"], pred: Sequence[Box], ref: Sequence[Box]
) -> float | None:
    """A sample's score by the script for boxes.

    Pairs are taken greedily by similarity, the highest first. Their phrases are then struck off
    their lists but their boxes are not, so a later pair reads the boxes that stood at its place
    before: often those of another phrase. The score is the mean of IoU x similarity, negative ones
    too, over pairs and phrases left alone, which count 0.

    Args:
        similarity: of predicted and reference phrases, up to 1.
        pred: n boxes (x1, y1, x2, y2).
        ref: m boxes.

    Returns:
        The score; None without a reference, which leaves the sample out of the mean.
    """
    if not len(ref):
        return None
    if not len(pred):
        return 0.0
    left, iou, scores = similarity.T, boxes.pairwise_iou(ref, pred), []
    while left.size:
        row, column = np.unravel_index(np.argmax(left), left.shape)
        scores.append(iou[row, column] * left[row, column])
        left = np.delete(np.delete(left, row, axis=0), column, axis=1)
    return float(sum(scores)) / max(len(pred), len(ref))


def seg(similarity: Float[np.ndarray, "n m"], pred: Sequence[Mask], ref: Sequence[Mask]) -> float:
    """A sample's score by the script for masks.

    Pairs are taken greedily by similarity cut to 0..1, as many as there are phrases on the shorter
    side, whether alike or not. The score is the sum of IoU x similarity over the number of pairs,
    so phrases left alone cost nothing. Two blank masks have IoU 1.

    Args:
        similarity: of predicted and reference phrases.
        pred: masks in the order of their phrases, bool, or logits, which are cut at 0.5;
            too many are dropped, those that are missing are blank.
        ref: the same of the reference.

    Returns:
        The score; 1 where neither side has a phrase, 0 where one has none.
    """
    n, m = similarity.shape
    if not n or not m:
        return float(n == m)
    shape = np.shape([*pred, *ref][0]) if len(pred) or len(ref) else (1, 1)
    cut = [_fit(side, count, shape) for side, count in ((pred, n), (ref, m))]
    iou, _ = masks.pairwise_overlap(*cut)
    blank = [np.array([masks.is_blank(x) for x in side]) for side in cut]
    iou = np.where(blank[0][:, None] & blank[1], 1.0, iou)
    left, total = np.clip(similarity, 0, 1).T.copy(), 0.0
    for _ in range(min(n, m)):
        row, column = np.unravel_index(np.argmax(left), left.shape)
        total += left[row, column] * iou[column, row]
        left[row], left[:, column] = -1, -1
    return total / min(n, m)


def _fit(given: Sequence[np.ndarray], count: int, shape: tuple[int, ...]) -> list[np.ndarray]:
    missing = [np.zeros(shape, bool)] * max(count - len(given), 0)
    return [np.asarray(x) > _CUT for x in given[:count]] + missing
