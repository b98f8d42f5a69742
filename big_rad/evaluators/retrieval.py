"""Evaluates whether two towers find the text of an image, and the image of a text.

The gallery has one image of each patient, so that a model cannot do well by telling patients apart.
A text counts as found if it is equal to the text of the image, also that of another image: many
sentences of reports are the same.
"""

import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from big_rad.evaluators import data as eval_data
from big_rad.evaluators import samples as sample_files
from big_rad.evaluators import spec as spec_lib
from big_rad.metrics import retrieval
from big_rad.training.contrastive import positives

KS = (1, 5, 10)
_WAYS = {"text": "the text of an image", "image": "the image of a text"}


class Evaluator(spec_lib.Statement):
    """Ranks all texts for each image and all images for each text, by their embeddings.

    Args:
        functions: the functions of the model; "embed" is needed, see `functions.MAKERS`.
        data: pairs of an image and a text, made by `pp.strings.pair_pp(..., keep=False)`.
        name: the name of the evaluator, which also names the samples file.
        tokenizer: not used, because no text is generated.
        samples_dir: the folder of `<name>.jsonl`, which gets a line for each pair; None writes no
            file.
        batch_size: how many pairs go through the model together.
        control: "none", "blank" or "shuffled", see `data.View`.
        blank_value: the value of all pixels of a blank image, see `data.View`.

    For k in 1, 5 and 10, `run` yields `r{k}_text`, the share of images whose text is among the k
    most similar texts, and `r{k}_image`, the share of texts whose image is among the k most similar
    images; `chance_r10` is what a search at random would have for k = 10. `n` is the number of
    pairs, which is the number of patients.
    """

    scores = (
        *(
            spec_lib.Score(f"r{k}_{way}", f"R@{k}, {said}")
            for way, said in _WAYS.items()
            for k in KS
        ),
        spec_lib.Score("chance_r10", "R@10 by chance", count=True),
        spec_lib.Score("n", count=True),
    )
    main = ("r10_text", "r10_image")
    titles = {"retrieval_en": "Search, English", "retrieval_de": "Search, German"}
    place = 40
    controls = ("blank", "shuffled")
    needs = ("embed",)
    fields = ("text_keys", "image_key")

    def __init__(
        self,
        functions: Mapping[str, Callable[..., Any]],
        data: eval_data.EvalData,
        *,
        name: str,
        tokenizer: object = None,
        samples_dir: str | pathlib.Path | None = None,
        batch_size: int = 64,
        control: str = "none",
        blank_value: float = eval_data.BLANK_VALUE,
    ):
        del tokenizer
        self.name, self.data, self.control = name, data, control
        self._functions, self._samples_dir, self._rows = functions, samples_dir, batch_size
        self._view = eval_data.View(data, control, blank_value)

    def run(self, params: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
        """Computes the scores, writes the samples file and yields (name of a score, value)."""
        patients = self.data.patients()
        first: dict[Any, int] = {}
        for i, patient in enumerate(patients):
            first.setdefault(patient, i)
        gallery = list(first.values())
        image, text = self._embedded(params, gallery)
        right = np.asarray(positives(*[self._keys(gallery)] * 2))  # [image, text]
        similarity = {"text": image @ text.T, "image": text @ image.T}
        answers = {"text": right, "image": right.T}
        found = {
            f"r{k}_{way}": retrieval.hit_at(similarity[way], answers[way], min(k, len(gallery)))
            for way in _WAYS
            for k in KS
        }
        self.records = [
            self._record(i, n, similarity["text"][n], {k: x[n] for k, x in found.items()}, gallery)
            for n, i in enumerate(gallery)
        ]
        if self._samples_dir is not None and jax.process_index() == 0:
            sample_files.write(self._samples_dir, self.name, self.records, {})
        yield from ((name, float(x.mean())) for name, x in found.items())
        yield "chance_r10", float(retrieval.chance(right, min(10, len(gallery))).mean())
        yield "n", len(gallery)

    def _embedded(
        self, params: Mapping[str, Any], gallery: Sequence[int]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns the embeddings [N, D] of the images and of the texts of the gallery."""
        from big_rad import input_pipeline  # Imported here, so that pages do not need Grain.

        shown = [self._view[i] for i in gallery]
        parts: list[dict[str, np.ndarray]] = []
        for batch in input_pipeline.eval_batches(shown, self._rows):
            out = self._functions["embed"](params, {k: batch[k] for k in ("image", "text")})
            rows = np.flatnonzero(batch["_mask"])  # Without the padding of the last batch.
            parts.append({k: x[rows] for k, x in out.items()})
        return tuple(np.concatenate([p[k] for p in parts]) for k in ("image", "text"))

    def _keys(self, gallery: Sequence[int]) -> dict[str, np.ndarray]:
        items = [self.data[i] for i in gallery]
        return {k: np.stack([item[k] for item in items]) for k in self.fields}

    def _record(
        self,
        index: int,
        place: int,
        similarity: np.ndarray,
        scores: Mapping[str, float],
        gallery: Sequence[int],
    ) -> dict[str, Any]:
        # `place` is the number of the pair in the gallery, which counts patients.
        meta = {k: v for k, v in self.data[index]["meta"].items() if k != "patient"}
        nearest = gallery[int(similarity.argmax())]
        own = {
            "subject": place,
            "control": self.control,
            "reference": self.data[index]["reference"],
            "prediction": self.data[nearest]["reference"],
            "scores": {k: float(x) for k, x in scores.items()},
        }
        return {"index": index, **meta, **own}
