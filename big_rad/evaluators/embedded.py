"""The base of evaluators of two towers, which compare the embeddings of images and of texts.

An evaluation looks at one image of each patient (`Evaluator.gallery`). Images of a patient are
alike, so with several of them a model could do well by telling patients apart.
"""

import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Int

from big_rad.evaluators import data as eval_data
from big_rad.evaluators import samples as sample_files
from big_rad.evaluators import spec as spec_lib
from big_rad.evaluators.records import Record
from big_rad.inference import draw

Embeddings = Float[np.ndarray, "rows features"]


class Embedded(spec_lib.Statement):
    """The arguments, the embeddings and the records that evaluators of two towers share.

    Args:
        functions: the functions of the model; "embed" is needed, see `functions.MAKERS`.
        data: pairs of an image and a text, made by `pp.strings.pair_pp(..., keep=False)`.
        name: the name of the evaluator, which also names the samples file.
        tokenizer: the tokenizer of the model.
        samples_dir: the folder of `<name>.jsonl` and `<name>.npz`, see `samples`; None writes no
            files.
        batch_size: how many images or texts go through the model together.
        control: "none", "blank" or "shuffled", see `data.View`.
        blank_value: the value of all pixels of a blank image, see `data.View`.
    """

    controls = ("blank", "shuffled")
    needs = ("embed",)
    fields = ("reference", "text_keys", "image_key")

    def __init__(
        self,
        functions: Mapping[str, Callable[..., Any]],
        data: eval_data.EvalData,
        *,
        name: str,
        tokenizer: Any = None,
        samples_dir: str | pathlib.Path | None = None,
        batch_size: int = 64,
        control: str = "none",
        blank_value: float = eval_data.BLANK_VALUE,
    ):
        self.name, self.data, self.control = name, data, control
        self._functions, self._tokenizer = functions, tokenizer
        self._samples_dir, self._rows = samples_dir, batch_size
        self._view = eval_data.View(data, control, blank_value)

    def gallery(self) -> list[int]:
        """Returns the index of the first item of each patient, in the order of the data."""
        first: dict[Any, int] = {}
        for i, patient in enumerate(self.data.patients()):
            first.setdefault(patient, i)
        return list(first.values())

    def images(self, params: Mapping[str, Any], gallery: Sequence[int]) -> Embeddings:
        """Returns the embeddings of the images that the control shows for some items."""
        return self._embedded(params, "image", [self._view.image(i) for i in gallery])

    def texts(
        self, params: Mapping[str, Any], rows: Sequence[Int[np.ndarray, " length"]]
    ) -> Embeddings:
        """Returns the embeddings of rows of tokens."""
        return self._embedded(params, "text", rows)

    def finish(self, records: Sequence[Record]) -> None:
        """Keeps the records and the images that pages show, and writes the samples files."""
        self.records = records
        if jax.process_index() != 0:
            return
        if self.control == "none":
            self.pixels = {
                r["index"]: draw.seen(self._view.image(r["index"]), r["modality"])
                for r in sample_files.illustrated(records, type(self))
            }
        if self._samples_dir is not None:
            sample_files.write(self._samples_dir, self.name, records, self.pixels)

    def record(self, index: int, number: int, **own: Any) -> dict[str, Any]:
        """Returns a line of the samples file.

        Args:
            index: the index of the item.
            number: its place in the gallery, which counts patients.
            own: the fields of the evaluator: `scores`, `prompt`, `reference` and `prediction`.
        """
        item = self.data[index]
        texts = {f"{role}_text": own[role] for role in ("reference", "prediction")}
        return {
            "index": index,
            **{k: v for k, v in item["meta"].items() if k != "patient"},
            "subject": number,
            "image_id": self._view.shown_id(index),
            "control": self.control,
            "image_size": list(item["image"].shape[:2]),
            "boxes": {"reference": [], "prediction": []},
            **own,
            **texts,
        }

    def _embedded(
        self, params: Mapping[str, Any], field: str, rows: Sequence[np.ndarray]
    ) -> Embeddings:
        from big_rad import input_pipeline  # Imported here, so that pages do not need Grain.

        found = []
        for batch in input_pipeline.eval_batches([{field: x} for x in rows], self._rows):
            out = self._functions["embed"](params, {field: batch[field]})[field]
            found.append(out[np.flatnonzero(batch["_mask"])])  # Without copies that fill it up.
        return np.concatenate(found)


def similarity(first: Embeddings, second: Embeddings) -> Float[np.ndarray, "first second"]:
    """Returns the cosines of embeddings of length 1, rounded so that equal images have equal ones.

    Without rounding, the place of an image in its batch would decide between blank images.
    """
    return np.round(first.astype(np.float64) @ second.astype(np.float64).T, 6)
