"""G-IoU and its companions: how well entities in generated text are named and placed.

Compares boxes of phrases read from markup, sample by sample. Knows nothing of images or models.
Later modes and similarity back ends are added to `MODES` and `SIMILARITIES`; a number is only
comparable with others of the same mode and back end, so both are part of its name.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from big_rad.grounding import boxes, markup
from big_rad.grounding.codec import BoxCodec

Text = str | markup.Parsed | Sequence[markup.Entity]
Similarity = Callable[[Sequence[str], Sequence[str]], np.ndarray]

MODES = ("paper",)
SIMILARITIES = ("class_id",)

# Weight of a pair's IoU beside its similarity when pairs are chosen: it only breaks ties, for
# similarity sums that differ by more than this many times the number of pairs.
_TIE = 1e-6


def g_iou(
    preds: Sequence[Text],
    refs: Sequence[Text],
    mode: str = "paper",
    similarity: str | Similarity = "class_id",
    codec: BoxCodec | None = None,
) -> dict[str, Any]:
    """G-IoU of generated texts against references, as the RadGrounder paper defines it.

    A sample scores sum(IoU x max(0, similarity)) over matched pairs / max(n_pred, n_ref). Pairs are
    one to one, of greatest summed similarity (negative ones count as none) and, among equal sums,
    of greatest summed IoU. Samples without entities on either side are left out and counted; a
    reference without entities that got some predicted is a hallucination, and left out of the mean.

    Entity precision, recall and F1 are pooled over all samples and always go by class: a prediction
    is right if it is matched with a reference of the same class (at `_iou50`: and their IoU is at
    least 0.5), whatever the similarity. Undefined ratios (0/0) are NaN.

    Args:
        preds: generated texts with markup, or the same parsed, or lists of entities.
        refs: references, as many; an entity whose box can not be read has IoU 0 with all.
        mode: "paper".
        similarity: "class_id" (1 for the same known class, else 0), or a function
            (n predicted phrases, m reference phrases) -> [n, m] of similarities up to 1.
        codec: reads the boxes; needed if any text is a string.

    Returns:
        name: e.g. "g_iou/paper/class_id".
        g_iou: mean score over the samples whose reference has entities, 0..1.
        n, n_scored, n_both_empty: samples; those with reference entities; those without any.
        precision, recall, f1 and precision_iou50, recall_iou50, f1_iou50: of entities.
        mean_iou: mean IoU of the pairs of the same class.
        hallucination_rate: among samples whose reference has no entities, those with predictions.
        valid_markup: share of predictions whose markup is well formed.
        invalid_refs: number of references whose markup is not.
        per_sample: one dict a sample: g_iou (None where the reference has no entities),
            hallucination (only the prediction has some), n_pred, n_ref, precision and recall (None
            if undefined), pairs [(i, j, similarity, IoU)] that scored, valid.

    Raises:
        ValueError: unknown mode or similarity, lengths that differ, strings without a codec, or a
            similarity matrix of the wrong shape or with values that are not finite or above 1.
    """
    if mode not in MODES:
        raise ValueError(f"g_iou: no mode {mode!r}; there are {', '.join(MODES)}")
    if not callable(similarity) and similarity not in SIMILARITIES:
        raise ValueError(
            f"g_iou: no similarity {similarity!r}; there are {', '.join(SIMILARITIES)}, or pass a "
            "function (predicted phrases, reference phrases) -> matrix"
        )
    if len(preds) != len(refs):
        raise ValueError(f"g_iou: {len(preds)} predictions for {len(refs)} references")
    samples, totals, invalid_refs = [], np.zeros(5), 0
    for pred, ref in zip(preds, refs, strict=True):
        pred_entities, pred_valid = _entities(pred, codec)
        ref_entities, ref_valid = _entities(ref, codec)
        sample, counts = _sample(pred_entities, ref_entities, similarity)
        samples.append({**sample, "valid": pred_valid})
        totals += counts
        invalid_refs += not ref_valid
    backend = similarity if isinstance(similarity, str) else _name_of(similarity)
    return {
        "name": f"g_iou/{mode}/{backend}",
        **_summary(samples, totals),
        "invalid_refs": invalid_refs,
        "per_sample": samples,
    }


def _summary(samples: list[dict], totals: np.ndarray) -> dict[str, Any]:
    n_pred, n_ref, same, same_iou50, iou_sum = totals.tolist()
    scores = [s["g_iou"] for s in samples if s["n_ref"]]
    without = [s for s in samples if not s["n_ref"]]
    hallucinated = sum(s["hallucination"] for s in without)
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
        "mean_iou": _ratio(iou_sum, same),
        "hallucination_rate": _ratio(hallucinated, len(without)),
        "valid_markup": _ratio(sum(s["valid"] for s in samples), len(samples)),
    }


def _sample(
    pred: Sequence[markup.Entity], ref: Sequence[markup.Entity], similarity: str | Similarity
) -> tuple[dict[str, Any], tuple[float, ...]]:
    """One sample's entry of `per_sample`, and (n_pred, n_ref, same class, those at 0.5, IoU)."""
    iou = boxes.pairwise_iou(_boxes(pred), _boxes(ref))
    same_class = _same_class(pred, ref)
    by_class = _match(same_class, iou)
    sim, pairs = same_class, by_class
    if callable(similarity):
        sim = _similarities(similarity, pred, ref)
        pairs = _match(sim, iou)
    overlap = math.fsum(iou[i, j] * sim[i, j] for i, j in pairs)
    ious = [float(iou[i, j]) for i, j in by_class]
    sample = {
        "g_iou": overlap / max(len(pred), len(ref)) if ref else None,
        "hallucination": bool(pred) and not ref,
        "n_pred": len(pred),
        "n_ref": len(ref),
        "precision": len(by_class) / len(pred) if pred else None,
        "recall": len(by_class) / len(ref) if ref else None,
        "pairs": [(i, j, float(sim[i, j]), float(iou[i, j])) for i, j in pairs],
    }
    at_half = sum(x >= 0.5 for x in ious)
    return sample, (len(pred), len(ref), len(by_class), at_half, math.fsum(ious))


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
    similarity: Similarity, pred: Sequence[markup.Entity], ref: Sequence[markup.Entity]
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
    return np.clip(result, 0, 1)


def _boxes(entities: Sequence[markup.Entity]) -> list[Sequence[float]]:
    return [e.box if e.box is not None else (0, 0, 0, 0) for e in entities]


def _entities(text: Text, codec: BoxCodec | None) -> tuple[Sequence[markup.Entity], bool]:
    if isinstance(text, str):
        if codec is None:
            raise ValueError("g_iou: texts need a codec; see big_rad.grounding.codec.get_codec")
        text = markup.parse(text, codec)
    if isinstance(text, markup.Parsed):
        return text.entities, text.valid
    return list(text), True


def _name_of(similarity: Similarity) -> str:
    return getattr(similarity, "__name__", type(similarity).__name__)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan
