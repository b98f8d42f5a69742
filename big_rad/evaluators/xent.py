"""Evaluates the loss and the accuracy of target tokens on held-out data, overall and by task.

These are the figures of training, computed on data that the model was not trained on: if the
training loss still falls while this loss rises, the model is overfitting. No text is generated, so
the evaluation is cheap enough to run often.
"""

import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from big_rad.evaluators import data as eval_data
from big_rad.evaluators import samples as sample_files
from big_rad.evaluators import spec as spec_lib
from big_rad.pp import prompts


class Evaluator(spec_lib.Statement):
    """Scores each target token of a row, given the tokens before it.

    Args:
        functions: the functions of the model; "loss" is needed, see `functions.MAKERS`.
        data: the rows, which include the answers: `pp` has `tok(...)` without `answer=False`.
        name: the name of the evaluator, which also names the samples file.
        tokenizer: not used, because no text is generated.
        samples_dir: the folder of `<name>.jsonl`, which gets a line for each row; None writes no
            file.
        batch_size: how many rows go through the model together.
        control: "none", "blank", "shuffled" or "mirrored", see `data.View`.
        blank_value: the value of all pixels of a blank image, see `data.View`.

    `run` yields `loss`, the cross-entropy in nats per target token, and `token_accuracy`, the share
    of target tokens that the model considers the most likely ones. Both are means over all target
    tokens, as in the loss "text_xent" with `mean="token"`. If there are several tasks, both are
    also yielded for each of them (`loss_report`). `n` is the number of rows and `n_tokens` the
    number of target tokens.
    """

    scores = (
        spec_lib.Score(
            "loss", "loss of a token", True, groups=prompts.TASKS, beside="training_loss"
        ),
        spec_lib.Score(
            "token_accuracy", "token accuracy", groups=prompts.TASKS, beside="token_accuracy"
        ),
        spec_lib.Score("n", count=True),
        spec_lib.Score("n_tokens", count=True),
    )
    main = ("loss", "token_accuracy")
    titles = {"xent": "Held-out targets"}
    place = 50
    controls = ("blank", "shuffled")
    needs = ("loss",)
    fields = ("mask_loss",)

    def __init__(
        self,
        functions: Mapping[str, Callable[..., Any]],
        data: eval_data.EvalData,
        *,
        name: str,
        tokenizer: object = None,
        samples_dir: str | pathlib.Path | None = None,
        batch_size: int = 16,
        control: str = "none",
        blank_value: float = eval_data.BLANK_VALUE,
    ):
        del tokenizer
        self.name, self.data, self.control = name, data, control
        self._functions, self._samples_dir, self._rows = functions, samples_dir, batch_size
        self._view = eval_data.View(data, control, blank_value)

    def run(self, params: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
        """Computes the scores, writes the samples file and yields (name of a score, value)."""
        from big_rad import input_pipeline  # Imported here, so that pages do not need Grain.

        sums: list[dict[str, float]] = []
        for batch in input_pipeline.eval_batches(self._view, self._rows):
            out = self._functions["loss"](params, batch)
            rows = np.flatnonzero(batch["_mask"])  # Without the padding of the last batch.
            sums += [{k: float(x[row]) for k, x in out.items()} for row in rows]
        numbers: dict[Any, int] = {}  # Files have numbers in the place of patients' names.
        subjects = [numbers.setdefault(p, len(numbers)) for p in self.data.patients()]
        self.records = [self._record(i, one, subjects[i]) for i, one in enumerate(sums)]
        if self._samples_dir is not None and jax.process_index() == 0:
            sample_files.write(self._samples_dir, self.name, self.records, {})
        yield from _means(sums).items()
        tasks = [r["task"] for r in self.records]
        for task in prompts.TASKS if len(set(tasks)) > 1 else ():
            of_task = [one for one, t in zip(sums, tasks, strict=True) if t == task]
            if of_task:
                yield from ((f"{k}_{task}", x) for k, x in _means(of_task).items())
        yield "n", len(sums)
        yield "n_tokens", sum(one["tokens"] for one in sums)

    def _record(self, index: int, sums: Mapping[str, float], subject: int) -> dict[str, Any]:
        meta = {k: v for k, v in self.data[index]["meta"].items() if k != "patient"}
        own = {"subject": subject, "control": self.control, "scores": _means([sums])}
        return {"index": index, **meta, **own}


def _means(sums: Sequence[Mapping[str, float]]) -> dict[str, float]:
    tokens = max(sum(one["tokens"] for one in sums), 1.0)
    return {
        "loss": sum(one["loss"] for one in sums) / tokens,
        "token_accuracy": sum(one["correct"] for one in sums) / tokens,
    }
