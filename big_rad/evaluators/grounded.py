"""Evaluates grounded text: reports, and organs to detect by name.

Boxes or masks are scored with G-IoU in the form of the paper (`metrics.grounding.g_iou`), where two
phrases match only if their classes have the same id; for other similarities see `tools.g_iou`. The
words are scored with token F1, and named sides with `metrics.laterality`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from big_rad.evaluators import base
from big_rad.evaluators import samples as sample_files
from big_rad.evaluators import spec as spec_lib
from big_rad.grounding import classes
from big_rad.metrics import grounding as grounding_metrics
from big_rad.metrics import laterality
from big_rad.metrics import text as text_metrics

_CLASSES = tuple(c.name for c in classes.CLASSES)
_SIDED = tuple(f"laterality_{score}" for score in laterality.SCORES)


class Evaluator(base.Evaluator):
    """Scores the boxes or masks, the words and the sides of grounded texts.

    Args:
        captions: whether to compute CIDEr, BLEU and ROUGE-L as well, whose libraries take seconds
            to load.
        others: the arguments of `base.Evaluator`.

    `run` yields:

    - the numbers that `metrics.grounding.g_iou` returns (mode "paper", similarity "class_id");
    - `report_f1`, the token F1 of the texts without markup;
    - `g_iou` and `report_f1` for each language and each modality (`g_iou_de`), if there are
      several;
    - `laterality_entity`, `laterality_box` and `laterality_text`, the mean share of wrong sides,
      see `metrics.laterality`; each only if at least one sample has a side that can be judged;
    - with masks, for each class in a reference or a prediction: `mean_iou_<class>` and
      `mean_dice_<class>` of the matched pairs, and the counts `n_ref_<class>`, `n_pred_<class>`
      and `matched_<class>`;
    - with captions: `report_cider`, `report_cider_normalized` and `report_rouge_l`, which are means
      over the texts, and `report_bleu1` and `report_bleu4`, which are computed once for all texts;
    - `n`, the number of samples, also for each language and each modality (`n_de`) if there are
      several; `unfinished` and `mean_logprob`, see `base.SCORES`.

    Raises:
        ValueError: (in `run`) the model makes masks, and the references have boxes.
    """

    # In a `Score`, `groups` are the groups of samples that have the score as well (`g_iou_de`), and
    # `lowest=True` says that the lowest value is the best.
    scores = (
        spec_lib.Score("g_iou", "G-IoU", groups=base.SUBSETS),
        spec_lib.Score("f1", "entity F1"),
        spec_lib.Score("f1_iou50", "entity F1 at IoU 0.5"),
        spec_lib.Score("mean_iou", "mean IoU of matched entities", groups=_CLASSES),
        spec_lib.Score("mean_dice", "mean Dice of matched masks", groups=_CLASSES),
        spec_lib.Score("blank_masks", "blank masks", lowest=True),
        spec_lib.Score("report_f1", "text F1", groups=base.SUBSETS),
        spec_lib.Score("valid_markup", "valid markup"),
        spec_lib.Score(
            "hallucination_rate", "answers with entities where none belong", lowest=True
        ),
        spec_lib.Score("laterality_entity", "entities of the wrong side", lowest=True),
        spec_lib.Score("laterality_box", "boxes on the other side", lowest=True),
        spec_lib.Score("laterality_text", "texts with the wrong side", lowest=True),
        spec_lib.Score("report_cider", "CIDEr", option="captions"),
        spec_lib.Score("report_rouge_l", "ROUGE-L", option="captions"),
        spec_lib.Score("report_bleu4", "BLEU-4", option="captions"),
        spec_lib.Score("llm_score", "LLMScore", judged=True),
        spec_lib.Score("n_scored", count=True),
        spec_lib.Score("n_both_empty", count=True),
        spec_lib.Score("precision"),
        spec_lib.Score("recall"),
        spec_lib.Score("precision_iou50"),
        spec_lib.Score("recall_iou50"),
        spec_lib.Score("invalid_refs", count=True),
        spec_lib.Score("report_bleu1", option="captions"),
        spec_lib.Score("report_cider_normalized", option="captions"),
        *base.SCORES,
        *(
            spec_lib.Score(name, count=True, groups=_CLASSES, whole=False)
            for name in ("n_ref", "n_pred", "matched")
        ),
    )
    main = ("g_iou", "report_f1")
    titles = {"report": "Grounded reports", "detect": "Organs detected by name"}
    place = 0  # The order on pages: these evaluations come first.
    controls = ("blank", "shuffled", "mirrored")
    task = "report"
    points = True  # The answers point at places, so boxes or masks are drawn on the images.

    def __init__(self, *args: Any, captions: bool = False, **others: Any):
        super().__init__(*args, **others)
        self._captions = captions
        self._pairs: list[list[tuple[int, int, float, float]]] = []

    @classmethod
    def groups(cls, records: Sequence[base.Record]) -> dict[str, list[base.Record]]:
        """Returns the samples that pages show: the groups of `base.Evaluator` and two more.

        "hallucinations" has the samples with the most hallucinated entities, and "misses" those
        with the most missed entities.
        """
        more = {"hallucinations": sample_files.hallucinated, "misses": sample_files.missed}
        most = {name: sample_files.with_most(records, count) for name, count in more.items()}
        return super().groups(records) | most

    def score(
        self, samples: Sequence[base.Sample]
    ) -> tuple[dict[str, float], list[dict[str, Any]]]:
        """Scores the samples of a run, see `base.Evaluator.score`.

        Raises:
            ValueError: the model makes masks, and the references have boxes.
        """
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
        self._pairs = [x["pairs"] for x in result["per_sample"]]
        sides = laterality.errors(predictions, references, self.codec, [s.plane for s in samples])
        scores = [
            {**_scores(each), "report_f1": text_metrics.f1(p, r), **_laterality_scores(side)}
            for each, side, p, r in zip(
                result["per_sample"], sides["per_sample"], predictions, references, strict=True
            )
        ]
        metrics = {k: v for k, v in result.items() if isinstance(v, int | float)}
        for name in _SIDED:
            counted = [x[name] for x in scores if x[name] is not None]
            if counted:
                metrics[name] = base.mean(counted)
        if self._captions:
            metrics |= _captions(predictions, references, scores)
        for class_id, row in result["per_class"].items() if masks else ():
            if class_id:  # Class 0 has the phrases that the lexicon does not know.
                name = classes.by_id(class_id).name
                metrics |= {f"{k}_{name}": v for k, v in row.items()}
        return {**base.summarise(samples, scores, ("g_iou", "report_f1")), **metrics}, scores

    def _record(self, sample: base.Sample, scores: Mapping[str, Any]) -> base.Record:
        # Matched entities also get the IoU with their match.
        record = super()._record(sample, scores)
        for i, j, _, iou in self._pairs[sample.index]:
            for role, k in (("prediction", i), ("reference", j)):
                record["boxes"][role][k]["iou"] = round(iou, 5)
        return record


def _laterality_scores(sample: dict[str, float | None]) -> dict[str, float | None]:
    return dict(zip(_SIDED, sample.values(), strict=True))


def _captions(
    predictions: Sequence[str], references: Sequence[str], scores: list[dict[str, Any]]
) -> dict[str, float]:
    # Also adds the scores of each sample to `scores`.
    each = {
        "report_cider": text_metrics.cider(predictions, references),
        "report_cider_normalized": text_metrics.cider(predictions, references, normalized=True),
        "report_rouge_l": text_metrics.rouge_l(predictions, references),
    }
    for name, (_, values) in each.items():
        for score, value in zip(scores, values, strict=True):
            score[name] = value
    bleu = {f"report_bleu{n}": text_metrics.bleu(predictions, references, n) for n in (1, 4)}
    return {name: mean for name, (mean, _) in each.items()} | bleu


def _scores(sample: dict[str, Any]) -> dict[str, float | None]:
    # The metric of the same name is the mean of these values over all samples, without None.
    return {
        "g_iou": sample["g_iou"],
        "hallucination_rate": None if sample["n_ref"] else float(sample["hallucination"]),
        "valid_markup": float(sample["valid"]),
    }
