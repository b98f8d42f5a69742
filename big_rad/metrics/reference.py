"""The G-IoU of one sample as the scripts released with RadGrounder compute it, quirks included.

With these functions the published scores, 43.6 (boxes) and 36.9 (masks), can be checked with the
same arithmetic. The script for boxes, the script for masks and the formula of the paper differ in
nearly everything, so their numbers cannot be compared with each other.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from big_rad.grounding import boxes, masks

Box = Sequence[float]
Mask = Bool[np.ndarray, "height width"] | Float[np.ndarray, "height width"]  # Floats are logits.
_CUT = 0.5  # The threshold of masks. The script uses it for logits as if they were probabilities.


def det(
    similarity: Float[np.ndarray, "n m"], pred: Sequence[Box], ref: Sequence[Box]
) -> float | None:
    """Returns the score of a sample by the script for boxes.

    Pairs are chosen greedily, the pair with the highest similarity first. The script then removes
    the two phrases from their lists, but it does not remove their boxes. The indices of a later
    pair therefore often point to the boxes of other phrases. The score is the sum of IoU x
    similarity over the pairs, divided by the larger number of boxes. Negative similarities count
    too.

    Args:
        similarity: the similarity of each predicted and reference phrase, up to 1.
        pred: the n predicted boxes (x1, y1, x2, y2).
        ref: the m boxes of the reference.

    Returns:
        The score, or None if the reference has no boxes, which leaves the sample out of the mean.
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
    """Returns the score of a sample by the script for masks.

    Pairs are chosen greedily by the similarity clipped to 0..1, until one side has no phrase left;
    even phrases that are not similar at all are paired. The score is the sum of IoU x similarity
    divided by the number of pairs, so phrases without a partner cost nothing. Two blank masks have
    IoU 1.

    Args:
        similarity: the similarity of each predicted and reference phrase.
        pred: the predicted masks in the order of their phrases: bool, or logits, whose threshold is
            0.5. Masks without a phrase are dropped, and missing masks count as blank.
        ref: the masks of the reference, in the same form.

    Returns:
        The score. It is 1 if neither side has a phrase, and 0 if only one side has.
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
