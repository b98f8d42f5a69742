"""Measures how well the entities in generated texts are named and placed, by G-IoU and others.

The phrases with their boxes or masks are read from markup and compared with those of a reference,
sample by sample. Scores can only be compared if they have the same mode and the same similarity, so
both are part of the score's name.

    codec = get_codec("radgrounder")
    scores = g_iou(predictions, references, codec=codec)
    print(scores["name"], scores["g_iou"], scores["f1_iou50"])
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from big_rad.grounding import boxes, markup
from big_rad.grounding import masks as mask_lib
from big_rad.grounding.codec import BoxCodec
from big_rad.metrics import reference
from big_rad.metrics import similarity as similarities

Text = str | markup.Parsed | Sequence[markup.Entity]
Masks = Sequence[Sequence[reference.Mask]]

MODES = ("paper", "reference_det", "reference_seg")
SIMILARITIES = ("class_id", "lexicon")

# The weight of IoU against similarity when pairs are chosen. It is so small that IoU only breaks
# ties, unless two sums of similarities differ by less than _TIE times the number of pairs.
_TIE = 1e-6


def g_iou(
    preds: Sequence[Text],
    refs: Sequence[Text],
    mode: str = "paper",
    similarity: str | similarities.Similarity = "class_id",
    codec: BoxCodec | None = None,
    pred_masks: Masks | None = None,
    ref_masks: Masks | None = None,
) -> dict[str, Any]:
    """Scores generated texts against references by G-IoU, and by precision and recall of entities.

    In mode "paper", which is the definition of the RadGrounder paper, the score of a sample is

        sum(IoU x max(0, similarity)) / max(n_pred, n_ref)

    The sum is over pairs of a predicted entity and a reference entity, and n_pred and n_ref are the
    numbers of entities. Each entity is in at most one pair. The pairs are chosen so that the sum of
    max(0, similarity) is greatest, and among equal sums, so that the sum of IoU is greatest. The
    mean is over the samples whose reference has entities. A sample whose reference has none is
    counted instead: as a hallucination if the prediction has entities, and otherwise in
    `n_both_empty`.

    The modes "reference_det" (boxes) and "reference_seg" (masks) score samples as the released
    scripts do, see `metrics.reference`. The mean of "reference_seg" is over all samples. Everything
    else that is returned is the same in every mode.

    Precision, recall and F1 of entities are pooled over all samples. They do not depend on
    `similarity`: a predicted entity is right if it is paired with a reference entity of the same
    class. For the scores that end in `_iou50`, the IoU of the pair must also be at least 0.5.
    Undefined ratios (0/0) are NaN.

    Args:
        preds: the generated texts with markup, or the same texts parsed, or lists of entities.
        refs: the references in the same form, one per prediction. An entity whose box cannot be
            read has IoU 0 with every entity.
        mode: the mode, one of `MODES`.
        similarity: "class_id" (1 for the same known class, otherwise 0), "lexicon"
            (`similarity.lexicon`), or a function (n predicted phrases, m reference phrases) ->
            [n, m] of similarities up to 1, such as a result of `similarity.cosine`.
        codec: the codec that reads the boxes; needed if any text is a string.
        pred_masks: the predicted masks of each sample, bool [H, W], in the order of `</seg>` in the
            text. If they are given, masks are compared instead of boxes. A mask that is missing at
            the end counts as blank. The class of a phrase is then the class that the lexicon gives
            it (`masks.named`), or 0 if the lexicon does not know it. The masks may be logits f32:
            the threshold is that of the script for the score of "reference_seg", and 0 for
            everything else.
        ref_masks: the masks of the references, in the same form.

    Returns:
        A dict with these keys:

        name: the name of the score, such as "g_iou/paper/class_id".
        g_iou: the mean score, in 0..1 in mode "paper".
        n, n_scored, n_both_empty: the numbers of all samples, of samples in the mean, and of
            samples without any entity.
        precision, recall, f1, precision_iou50, recall_iou50, f1_iou50: the scores of entities.
        mean_iou: the mean IoU of the pairs of the same class; with masks also `mean_dice`.
        blank_masks: the share of predicted phrases whose mask has no pixel; only with masks.
        per_class: a dict class id -> {n_pred, n_ref, matched, mean_iou}, with masks also mean_dice.
            The means are over the pairs of the class. Entities of unknown class have the id 0.
        hallucination_rate: the share of samples with predicted entities among the samples whose
            reference has none.
        valid_markup: the share of predictions whose markup is well formed.
        invalid_refs: the number of references whose markup is not well formed.
        per_sample: one dict per sample: g_iou (None if the sample is not in the mean),
            hallucination (whether only the prediction has entities), n_pred, n_ref, precision and
            recall (None if undefined), pairs [(i, j, similarity, IoU)] as mode "paper" chooses
            them, and valid; with masks also blank, the number of predicted phrases with a blank
            mask.

    Raises:
        ValueError: the mode or the similarity is unknown; the lengths differ; a text is a string
            and there is no codec; masks are given for one side only, differ in size, or do not fit
            the mode; or a similarity matrix has a wrong shape, or values that are not finite or are
            above 1.
    """
    _check(preds, refs, mode, similarity, pred_masks, ref_masks)
    backend = similarity if isinstance(similarity, str) else _name_of(similarity)
    if similarity == "lexicon":
        similarity = similarities.lexicon
    samples, invalid_refs, matched = [], 0, []
    for k, (pred, ref) in enumerate(zip(preds, refs, strict=True)):
        masks = None if pred_masks is None else (pred_masks[k], ref_masks[k])
        pred_entities, pred_valid = _entities(pred, codec, masks is not None)
        ref_entities, ref_valid = _entities(ref, codec, masks is not None)
        if masks is None:
            sides = _Sides(pred_entities, ref_entities)
        else:
            sides = _MaskSides(pred_entities, ref_entities, *map(_binary, masks))
        sample = _sample(sides, similarity)
        if mode == "reference_det":
            sim = _pairwise(similarity, sides)
            sample["g_iou"] = reference.det(sim, _boxes(pred_entities), _boxes(ref_entities))
        elif mode == "reference_seg":
            sample["g_iou"] = _reference_seg(similarity, sides, *masks)
        samples.append({**sample, "valid": pred_valid})
        matched.append(sides)
        invalid_refs += not ref_valid
    return {
        "name": f"g_iou/{mode}/{backend}",
        **_summary(samples, matched),
        "invalid_refs": invalid_refs,
        "per_sample": samples,
    }


def _check(
    preds: Sequence[Text],
    refs: Sequence[Text],
    mode: str,
    similarity: str | similarities.Similarity,
    pred_masks: Masks | None,
    ref_masks: Masks | None,
) -> None:
    """Raises ValueError for arguments of `g_iou` that do not fit together."""
    if mode not in MODES:
        raise ValueError(f"g_iou: no mode {mode!r}; there are {', '.join(MODES)}")
    if not callable(similarity) and similarity not in SIMILARITIES:
        raise ValueError(
            f"g_iou: no similarity {similarity!r}; there are {', '.join(SIMILARITIES)}, or pass a "
            "function (predicted phrases, reference phrases) -> matrix"
        )
    if len(preds) != len(refs):
        raise ValueError(f"g_iou: {len(preds)} predictions for {len(refs)} references")
    if (pred_masks is None) != (ref_masks is None):
        raise ValueError("g_iou: give masks of both sides, pred_masks and ref_masks, or of neither")
    if mode != "paper" and (mode == "reference_seg") != (pred_masks is not None):
        raise ValueError(
            f"g_iou: mode {mode!r} is for {'masks' if pred_masks is None else 'boxes'}"
        )
    for name, given in (("pred_masks", pred_masks), ("ref_masks", ref_masks)):
        if given is not None and len(given) != len(preds):
            raise ValueError(f"g_iou: {name} are of {len(given)} samples, texts of {len(preds)}")


class _Sides:
    """The entities of a sample's prediction and reference, and the overlap of each pair.

    Attributes:
        pred, ref: the n predicted entities and the m entities of the reference.
        iou: the IoU of each pair [n, m].
        dice: the Dice of each pair [n, m]; None for boxes.
        blank: the number of predicted entities with a blank mask; None for boxes.
        same: 1 where both entities have the same known class, otherwise 0 [n, m].
        pairs: the pairs (i, j) of the same class; each entity is in at most one.
    """

    dice: np.ndarray | None = None
    blank: int | None = None

    def __init__(self, pred: Sequence[markup.Entity], ref: Sequence[markup.Entity]):
        self.pred, self.ref = pred, ref
        self.iou = boxes.pairwise_iou(_boxes(pred), _boxes(ref))
        self._pair()

    def _pair(self) -> None:
        self.same = _same_class(self.pred, self.ref)
        self.pairs = _match(self.same, self.iou)


class _MaskSides(_Sides):
    """The entities of a sample with masks instead of boxes."""

    def __init__(
        self,
        pred: Sequence[markup.Entity],
        ref: Sequence[markup.Entity],
        pred_masks: Sequence[np.ndarray],
        ref_masks: Sequence[np.ndarray],
    ):
        self.pred, self.ref = pred, ref
        chosen = [_masks(*side) for side in ((pred, pred_masks), (ref, ref_masks))]
        self.iou, self.dice = mask_lib.pairwise_overlap(*chosen)
        self.blank = sum(map(mask_lib.is_blank, chosen[0]))
        self._pair()


def _summary(samples: list[dict], sides: list[_Sides]) -> dict[str, Any]:
    n_pred, n_ref = (sum(s[k] for s in samples) for k in ("n_pred", "n_ref"))
    same = sum(len(s.pairs) for s in sides)
    ious = [float(s.iou[i, j]) for s in sides for i, j in s.pairs]
    same_iou50 = sum(x >= 0.5 for x in ious)
    scores = [s["g_iou"] for s in samples if s["g_iou"] is not None]
    without = [s for s in samples if not s["n_ref"]]
    hallucinated = sum(s["hallucination"] for s in without)
    masks = {}
    if sides and sides[0].dice is not None:
        dices = [float(s.dice[i, j]) for s in sides for i, j in s.pairs]
        masks["mean_dice"] = _ratio(math.fsum(dices), same)
        masks["blank_masks"] = _ratio(sum(s.blank for s in sides), n_pred)
    return {
        "g_iou": _ratio(math.fsum(scores), len(scores)),
        "n": len(samples),
        "n_scored": len(scores),
        "n_both_empty": len(without) - hallucinated,
        "precision": _ratio(same, n_pred),
        "recall": _ratio(same, n_ref),
        "f1": _ratio(2 * same, n_pred + n_ref),
        "precision_iou50": _ratio(same_iou50, n_pred),
        "recall_iou50": _ratio(same_iou50, n_ref),
        "f1_iou50": _ratio(2 * same_iou50, n_pred + n_ref),
        "mean_iou": _ratio(math.fsum(ious), same),
        **masks,
        "per_class": _per_class(sides),
        "hallucination_rate": _ratio(hallucinated, len(without)),
        "valid_markup": _ratio(sum(s["valid"] for s in samples), len(samples)),
    }


def _per_class(sides: list[_Sides]) -> dict[int, dict[str, float]]:
    found: dict[int, dict[str, float]] = {}

    def of(class_id: int) -> dict[str, float]:
        empty = {"n_pred": 0, "n_ref": 0, "matched": 0, "mean_iou": 0.0, "mean_dice": 0.0}
        return found.setdefault(int(class_id or 0), empty)

    for s in sides:
        for e in s.pred:
            of(e.class_id)["n_pred"] += 1
        for e in s.ref:
            of(e.class_id)["n_ref"] += 1
        for i, j in s.pairs:
            row = of(s.ref[j].class_id)
            row["matched"] += 1
            row["mean_iou"] += float(s.iou[i, j])
            row["mean_dice"] += 0.0 if s.dice is None else float(s.dice[i, j])
    with_masks = any(s.dice is not None for s in sides)
    for row in found.values():
        for k in ("mean_iou", "mean_dice"):
            row[k] = _ratio(row[k], row["matched"])
        if not with_masks:
            del row["mean_dice"]
    return dict(sorted(found.items()))


def _sample(sides: _Sides, similarity: str | similarities.Similarity) -> dict[str, Any]:
    """Returns the entry of a sample in `per_sample`, except for `valid`."""
    pred, ref, iou, by_class = sides.pred, sides.ref, sides.iou, sides.pairs
    sim, pairs = sides.same, by_class
    if callable(similarity):
        sim = np.clip(_similarities(similarity, pred, ref), 0, 1)
        pairs = _match(sim, iou)
    overlap = math.fsum(iou[i, j] * sim[i, j] for i, j in pairs)
    return {
        "g_iou": overlap / max(len(pred), len(ref)) if ref else None,
        "hallucination": bool(pred) and not ref,
        "n_pred": len(pred),
        "n_ref": len(ref),
        "precision": len(by_class) / len(pred) if pred else None,
        "recall": len(by_class) / len(ref) if ref else None,
        "pairs": [(i, j, float(sim[i, j]), float(iou[i, j])) for i, j in pairs],
        **({} if sides.blank is None else {"blank": sides.blank}),
    }


def _match(sim: np.ndarray, iou: np.ndarray) -> list[tuple[int, int]]:
    """Returns pairs (i, j) of greatest summed similarity, then IoU; only pairs with sim > 0."""
    weight = sim + _TIE * np.where(sim > 0, iou, 0)
    rows, columns = linear_sum_assignment(weight, maximize=True)
    return [(int(i), int(j)) for i, j in zip(rows, columns, strict=True) if sim[i, j] > 0]


def _same_class(pred: Sequence[markup.Entity], ref: Sequence[markup.Entity]) -> np.ndarray:
    a = np.array([e.class_id for e in pred], int)
    b = np.array([e.class_id for e in ref], int)
    return ((a[:, None] == b[None, :]) & (a[:, None] > 0)).astype(float)


def _similarities(
    similarity: similarities.Similarity, pred: Sequence[markup.Entity], ref: Sequence[markup.Entity]
) -> np.ndarray:
    if not pred or not ref:
        return np.zeros((len(pred), len(ref)))
    result = np.asarray(similarity([e.phrase for e in pred], [e.phrase for e in ref]), float)
    if result.shape != (len(pred), len(ref)):
        raise ValueError(
            f"g_iou: similarity {_name_of(similarity)!r} returned shape {list(result.shape)} for "
            f"{len(pred)} predicted and {len(ref)} reference phrases"
        )
    if not np.isfinite(result).all() or result.max() > 1 + 1e-6:
        raise ValueError(
            f"g_iou: similarity {_name_of(similarity)!r} returned values that are not finite or "
            "above 1; normalise the vectors it compares"
        )
    return np.minimum(result, 1)


def _pairwise(similarity: str | similarities.Similarity, sides: _Sides) -> np.ndarray:
    # Returns the similarity of each pair [n, m], which may be negative.
    if callable(similarity):
        return _similarities(similarity, sides.pred, sides.ref)
    return sides.same


def _reference_seg(
    similarity: str | similarities.Similarity,
    sides: _Sides,
    pred_masks: Sequence[np.ndarray],
    ref_masks: Sequence[np.ndarray],
) -> float:
    # The script ignores phrases without words, but it does not remove their masks.
    rows, columns = (
        [i for i, e in enumerate(side) if e.phrase.strip()] for side in (sides.pred, sides.ref)
    )
    sim = _pairwise(similarity, sides)[np.ix_(rows, columns)]
    return reference.seg(sim, pred_masks, ref_masks)


def _binary(masks: Sequence[np.ndarray]) -> list[np.ndarray]:
    return [m if m.dtype == bool else m > 0 for m in map(np.asarray, masks)]


def _masks(
    entities: Sequence[markup.Entity], masks: Sequence[np.ndarray]
) -> list[np.ndarray | None]:
    places = [mask_lib.place(e, len(masks)) for e in entities]
    return [None if k is None else masks[k] for k in places]


def _boxes(entities: Sequence[markup.Entity]) -> list[Sequence[float]]:
    return [e.box if e.box is not None else (0, 0, 0, 0) for e in entities]


def _entities(
    text: Text, codec: BoxCodec | None, masks: bool = False
) -> tuple[Sequence[markup.Entity], bool]:
    # With masks, the lexicon gives the classes, with the help of the text around a phrase.
    if isinstance(text, str):
        if codec is None:
            raise ValueError("g_iou: texts need a codec; see big_rad.grounding.codec.get_codec")
        text = markup.parse(text, codec)
    visible, valid = (text.text, text.valid) if isinstance(text, markup.Parsed) else ("", True)
    entities = list(text.entities if isinstance(text, markup.Parsed) else text)
    return [mask_lib.named(e, visible) for e in entities] if masks else entities, valid


def _name_of(similarity: similarities.Similarity) -> str:
    return getattr(similarity, "__name__", type(similarity).__name__)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan
