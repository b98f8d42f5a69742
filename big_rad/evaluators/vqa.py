"""Evaluates visual question answering: token F1, recall and accuracy, by kind of question.

Whether a question is open or closed is read from the dataset's own field and never guessed from
the words of an answer.
"""

from collections.abc import Sequence
from typing import Any

from big_rad.evaluators import base
from big_rad.evaluators import samples as sample_files
from big_rad.evaluators import spec as spec_lib
from big_rad.metrics import text as text_metrics

_SCORES = {
    "f1": text_metrics.f1,
    "recall": text_metrics.recall,
    "accuracy": text_metrics.accuracy,
    "recall_published": text_metrics.recall_published,
    "accuracy_published": text_metrics.accuracy_published,
}
_GROUPS = ("yes_no", "multiple", "open", "closed", *base.SUBSETS)


class Evaluator(base.Evaluator):
    """Scores the answers to questions; see `base.Evaluator` for the arguments.

    `run` yields `f1`, `recall` and `accuracy`, the last two also in their published forms
    (`recall_published`, `accuracy_published`), and the number of questions `n`. Each is yielded for
    all questions; for each kind of question that occurs, with the suffix `_open`, `_closed`,
    `_yes_no` or `_multiple` (`f1_open`); and for each language and each modality, if there are
    several (`f1_de`, `f1_CT`).
    """

    scores = (
        spec_lib.Score("f1", "F1", groups=_GROUPS),
        spec_lib.Score("recall", "recall", groups=_GROUPS),
        spec_lib.Score("accuracy", "accuracy", groups=_GROUPS),
        spec_lib.Score("accuracy_yes_no", "accuracy, yes/no"),
        spec_lib.Score("accuracy_multiple", "accuracy, multiple choice"),
        spec_lib.Score("accuracy_closed", "accuracy, closed"),
        spec_lib.Score("f1_open", "F1, open"),
        spec_lib.Score("accuracy_open", "accuracy, open"),
        spec_lib.Score("llm_score", "LLMScore", judged=True),
        spec_lib.Score("recall_published", groups=_GROUPS),
        spec_lib.Score("accuracy_published", groups=_GROUPS),
        spec_lib.Score("n", count=True, groups=_GROUPS),
        *(s for s in base.SCORES if s.name != "n"),
    )
    main = ("f1", "accuracy")
    titles = {"vqa": "Visual question answering"}
    place = 1
    task = "vqa"
    masks = False

    @classmethod
    def groups(cls, records: Sequence[base.Record]) -> dict[str, list[base.Record]]:
        """Returns a random choice of wrong answers and of right ones."""
        return sample_files.right_and_wrong(records)

    def score(
        self, samples: Sequence[base.Sample]
    ) -> tuple[dict[str, float], list[dict[str, Any]]]:
        """Scores the samples of a run, see `base.Evaluator.score`."""
        scores = [
            {name: score(s.prediction, s.reference) for name, score in _SCORES.items()}
            for s in samples
        ]
        kinds = [base.question_kind(s.question_type) for s in samples]
        return base.summarise(samples, scores, list(_SCORES), kinds), scores
