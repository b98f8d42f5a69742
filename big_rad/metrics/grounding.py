"""G-IoU and its companions: how well entities in generated text are named and placed.

Compares boxes or masks of phrases read from markup, sample by sample. A number is only comparable
with others of the same mode and similarity, so both are part of its name. Knows no images or
models.
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

# Weight of a pair's IoU beside its similarity when pairs are chosen: it only breaks ties, for
# similarity sums that differ by more than this many times the number of pairs.
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
    """G-IoU of generated texts against references.

    In mode "paper", as the RadGrounder paper defines it, a sample scores sum(IoU x max(0,
    similarity)) over matched pairs / max(n_pred, n_ref). Pairs are one to one, of greatest summed
    similarity (negative ones count as none) and, among equal sums, of greatest summed IoU. Samples
    without entities on either side are left out and counted; a reference without entities that got
    some predicted is a hallucination, and left out of the mean. "reference_det" (boxes) and
    "reference_seg" (masks) score samples as the released scripts do, see `metrics.reference`; the
    mean of the latter is over all samples. All else that is returned is the same in every mode.

    Entity precision, recall and F1 are pooled over all samples and always go by class: a prediction
    is right if it is matched with a reference of the same class (at `_iou50`: and their IoU is at
    least 0.5), whatever the similarity. Undefined ratios (0/0) are NaN.

    Args:
        preds: generated texts with markup, or the same parsed, or lists of entities.
        refs: references, as many; an entity whose box can not be read has IoU 0 with all.
        mode: one of `MODES`.
        similarity: "class_id" (1 for the same known class, else 0), "lexicon"
            (`similarity.lexicon`), or a function (n predicted phrases, m reference phrases) ->
            [n, m] of similarities up to 1, such as one of `similarity.cosine`.
        codec: reads the boxes; needed if any text is a string.
        pred_masks: compares masks instead of boxes: for each sample its masks bool [H, W], in the
            order of `</seg>` in the text (one that is missing at the end counts as blank). The
            class of a phrase is then the lexicon's (`masks.named`), 0 if it knows none. For
            "reference_seg" they may be logits f32, which are cut as that script does, and at 0 for
            all else.
        ref_masks: the same of the references.

    Returns:
        name: e.g. "g_iou/paper/class_id".
        g_iou: mean score over the samples whose reference has entities, 0..1 (but for the other
            modes, see above).
        n, n_scored, n_both_empty: samples; those in that mean; those without any entity.
        precision, recall, f1 and precision_iou50, recall_iou50, f1_iou50: of entities.
        mean_iou: mean IoU of the pairs of the same class; with masks also `mean_dice`.
        blank_masks: with masks, the share of predicted phrases whose mask has no pixel.
        per_class: class id -> n_pred, n_ref, matched, and mean_iou (with masks mean_dice) of the
            matched; entities of unknown class stand under 0.
        hallucination_rate: among samples whose reference has no entities, those with predictions.
        valid_markup: share of predictions whose markup is well formed.
        invalid_refs: number of references whose markup is not.
        per_sample: one dict a sample: g_iou (None where it is not in the mean),
            hallucination (only the prediction has some), n_pred, n_ref, precision and recall (None
            if undefined), pairs [(i, j, similarity, IoU)] that scored, valid; with masks blank,
            the number of predicted phrases with a blank mask.

    Raises:
        ValueError: unknown mode or similarity, lengths that differ, strings without a codec, masks
            of one side only, of different sizes or for a mode without, or a similarity matrix of
            the wrong shape or with values that are not finite or above 1.
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
    """The entities of one sample on both sides, and how much each pair overlaps.

    Attributes:
        pred, ref: entities.
        iou: [n, m].
        dice: the same, or None for boxes.
        pairs: (i, j) of the same class, matched one to one.
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
    """The same of entities with masks; their classes are the lexicon's."""

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
    """One sample's entry of `per_sample`."""
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
    """Pairs (i, j), one to one, of greatest summed similarity and then IoU; only with sim > 0."""
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
    # Of predicted and reference entities; may be negative.
    if callable(similarity):
        return _similarities(similarity, sides.pred, sides.ref)
    return sides.same


def _reference_seg(
    similarity: str | similarities.Similarity,
    sides: _Sides,
    pred_masks: Sequence[np.ndarray],
    ref_masks: Sequence[np.ndarray],
) -> float:
    # Phrases without words are not counted there, but their masks are.
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
    # With masks the classes are the lexicon's, by the place in the text if there is one.
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
