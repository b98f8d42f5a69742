"""Grounded text: reports with boxes and detection by name, scored on boxes and on words.

G-IoU in the paper's form with classes compared by id. Knows no other similarity.
"""

from collections.abc import Sequence
from typing import Any

from big_rad.evaluators import generate, vqa
from big_rad.metrics import grounding as grounding_metrics
from big_rad.metrics import text as text_metrics

_LEFT_OUT = ("per_sample",)


class Evaluator(generate.Evaluator):
    """Scores boxes and words; see `generate.Evaluator` for the arguments.

    Yields what `metrics.grounding.g_iou` returns (mode "paper", similarity "class_id"),
    `report_f1` (token F1 of the text without markup) and, where there are several, `report_f1` and
    `g_iou` for each language and modality (`lang_en/g_iou`).
    """

    type = "grounded"

    def score(
        self, samples: Sequence[generate.Sample]
    ) -> tuple[dict[str, float], list[dict[str, Any]]]:
        """Returns (metrics, scores of each sample; `g_iou` None where the reference has no box)."""
        predictions = [s.prediction for s in samples]
        references = [s.reference for s in samples]
        result = grounding_metrics.g_iou(
            predictions, references, mode="paper", similarity="class_id", codec=self.codec
        )
        scores = [
            {"g_iou": g, "report_f1": text_metrics.f1(p, r)}
            for g, p, r in zip(_per_sample(result), predictions, references, strict=True)
        ]
        metrics = {
            k: v
            for k, v in result.items()
            if k not in _LEFT_OUT and isinstance(v, int | float) and not isinstance(v, bool)
        }
        groups = vqa.summarise(samples, scores, ("g_iou", "report_f1"))
        return {**groups, **metrics, "n_samples": len(samples)}, scores


def _per_sample(result: dict[str, Any]) -> list[float | None]:
    return [x["g_iou"] if isinstance(x, dict) else x for x in result["per_sample"]]
