"""Grounded text: reports and detection by name, scored on boxes or masks and on words.

G-IoU in the paper's form with classes compared by id. Knows no other similarity.
"""

from collections.abc import Sequence
from typing import Any

from big_rad.evaluators import generate, vqa
from big_rad.grounding import classes
from big_rad.metrics import grounding as grounding_metrics
from big_rad.metrics import text as text_metrics


class Evaluator(generate.Evaluator):
    """Scores boxes or masks, and words; see `generate.Evaluator` for the arguments.

    Yields what `metrics.grounding.g_iou` returns (mode "paper", similarity "class_id"),
    `report_f1` (token F1 of the text without markup) and, where there are several, `report_f1` and
    `g_iou` for each language and modality (`g_iou_de`). With masks also, for each class that was
    named by either side, `mean_iou_<class>` and `mean_dice_<class>` of the matched pairs and the
    numbers `n_ref_<class>`, `n_pred_<class>` and `matched_<class>`.

    Raises:
        ValueError: (in `run`) a model with masks, and references with boxes.
    """

    type = "grounded"

    def score(
        self, samples: Sequence[generate.Sample]
    ) -> tuple[dict[str, float], list[dict[str, Any]]]:
        """Returns (metrics, scores of each sample; None where one does not count)."""
        predictions = [s.prediction for s in samples]
        references = [s.reference for s in samples]
        masks = {}
        if any(s.masks is not None for s in samples):
            masks["pred_masks"] = [s.masks for s in samples]
            masks["ref_masks"] = [self.data[s.index].get("masks", ()) for s in samples]
            if any("<p bbox=" in r for r in references):
                raise ValueError(
                    f"config.evals.{self.name}.pp writes boxes into the references, and the model "
                    "points with masks; give it ground('masks')"
                )
        result = grounding_metrics.g_iou(
            predictions, references, mode="paper", similarity="class_id", codec=self.codec, **masks
        )
        scores = [
            {**_scores(each), "report_f1": text_metrics.f1(p, r)}
            for each, p, r in zip(result["per_sample"], predictions, references, strict=True)
        ]
        metrics = {k: v for k, v in result.items() if isinstance(v, int | float)}
        for class_id, row in result["per_class"].items() if masks else ():
            if class_id:  # What the lexicon does not know matches nothing.
                name = classes.by_id(class_id).name
                metrics |= {f"{k}_{name}": v for k, v in row.items()}
        return {**vqa.summarise(samples, scores, ("g_iou", "report_f1")), **metrics}, scores


def _scores(sample: dict[str, Any]) -> dict[str, float | None]:
    # Each averages, without None, to the run's metric of the same name.
    return {
        "g_iou": sample["g_iou"],
        "hallucination_rate": None if sample["n_ref"] else float(sample["hallucination"]),
        "valid_markup": float(sample["valid"]),
    }
