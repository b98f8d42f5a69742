"""Embeds images and texts with the two towers of a checkpoint.

towers = load("runs/siglip")
images = towers.embed_images(np.stack([towers.prepare(example)]))   # [1, D], of length 1
text, cut = towers.embed_text("nodule in the left lower lobe")      # [D]
"""

import functools
import hashlib
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from big_rad import trees, weights
from big_rad.inference import load as load_lib
from big_rad.models import two_towers
from big_rad.pp import builder as pp_builder
from big_rad.pp import strings
from big_rad.pp.example import Example
from big_rad.weights import source_config
from big_rad.workdir import run_dir

Log = Callable[[str], None]
MODEL = "two_towers"


class Towers:
    """The two towers of a checkpoint, with the preprocessing that they were trained with.

    Args:
        loaded: the checkpoint; its model is a `two_towers.Model`.
        name: the name of the checkpoint for readers, without the folders above it.

    Attributes:
        name: as above.
        tokenizer: the tokenizer of the text tower.
        length: the context length of the text tower in tokens.
        image_size: the side of the model's image in pixels.
        preprocessing: the preprocessing string of images.
    """

    def __init__(self, loaded: load_lib.Loaded, name: str):
        self.name, self.tokenizer, self._params = name, loaded.tokenizer, loaded.params
        self._model, fields = loaded.model, loaded.fields
        self.length = int(self._model.txt.get("length", two_towers.TextTower.length))
        self.image_size = int(fields["image"]["size"])
        self.preprocessing = strings.image_pp(fields)
        self._prepare = pp_builder.get_preprocess_fn(self.preprocessing)
        path = fields["tokenizer"]["path"]
        caption = f"caption({path!r}, length={self.length}, style='sentence', choose='first')"
        text_ops = filter(None, [strings.clean(fields), caption])
        self._write = pp_builder.get_preprocess_fn("|".join(text_ops))
        self._apply = jax.jit(lambda p, image, text: self._model.apply({"params": p}, image, text))

    def prepare(self, example: Example) -> Float[np.ndarray, "height width 3"]:
        """Returns the model's image of an example that has one image.

        Raises:
            Exception: the image cannot be read; the ops raise errors of many types.
        """
        return np.asarray(self._prepare(example)["image"], np.float32)

    def embed_images(
        self, images: Float[np.ndarray, "rows height width 3"]
    ) -> Float[jax.Array, "rows features"]:
        """Returns the embeddings of images from `prepare`, each of length 1."""
        (found, _), _ = self._apply(self._params, images, None)
        return found

    def embed_text(self, text: str) -> tuple[Float[np.ndarray, " features"], str | None]:
        """Embeds a text as the texts of training were.

        Args:
            text: the text, in any language that the towers were trained on.

        Returns:
            The embedding, of length 1; and what is left of the text if it was cut to the context
            length, or None if it was not cut.

        Raises:
            ValueError: the text is empty.
        """
        if not text.strip():
            raise ValueError("--query is empty; give some words to search for")
        report = {"task": "report", "lang": "", "sentence": text, "keywords": []}
        row = self._write({"id": "query", "texts": [report], "rng": np.random.default_rng(0)})
        (_, found), _ = self._apply(self._params, None, row["text"][None])
        left = self.tokenizer.decode(row["text"], skip_special=True) if row["cut"] else None
        return np.asarray(found[0]), left

    @functools.cached_property
    def fingerprint(self) -> str:
        """The SHA-256 of the names, shapes and values of all parameters.

        It is equal for equal weights, in whatever format they are stored.
        """
        whole = hashlib.sha256()
        flat = trees.flatten(self._params)
        for name in sorted(flat):
            value = np.ascontiguousarray(flat[name])
            whole.update(f"{name} {value.dtype} {value.shape}\n".encode())
            whole.update(value.data)
        return whole.hexdigest()

    def about(self) -> dict[str, str]:
        """Returns what the embeddings of images depend on, as texts."""
        return {
            "model_sha256": self.fingerprint,
            "compute_dtype": str(self._model.img.get("dtype_mm", "float32")),
            "tokenizer_sha256": self.tokenizer.fingerprint,
            "image_size": str(self.image_size),
            "preprocessing": self.preprocessing,
        }


def load(checkpoint: str | pathlib.Path, log: Log = print) -> Towers:
    """Loads the two towers of a checkpoint, in float32.

    Args:
        checkpoint: a run of two towers, one of its steps, or a SigLIP in another format.
        log: receives a line for everything that was guessed, left out or filled in.

    Raises:
        FileNotFoundError: there is no checkpoint, or an empty folder.
        CheckpointError: the checkpoint is damaged.
        ValueError: the checkpoint is of another model.
    """
    fields = _fields(checkpoint, log)
    if fields["model_name"] != MODEL:
        raise ValueError(
            f"{checkpoint} is a {fields['model_name']}, and a search needs two towers, which embed "
            "images and texts alike; train them: python -m big_rad.train "
            "--config=configs/siglip_refrad2d.py"
        )
    return Towers(load_lib.load(checkpoint, fields, log=log), name_of(checkpoint))


def name_of(checkpoint: str | pathlib.Path) -> str:
    """Returns the name of a checkpoint for readers, with the step of a run."""
    if not run_dir.is_run(checkpoint):
        return pathlib.Path(checkpoint).name
    place = run_dir.locate(checkpoint)
    return f"{place.workdir.name}, step {place.step:,}"


def _fields(checkpoint: str | pathlib.Path, log: Log) -> Mapping[str, Any]:
    weights.check(
        checkpoint,
        "Give a run of configs/siglip_refrad2d.py, or a SigLIP, see docs/siglip.md.",
    )
    if run_dir.is_run(checkpoint):
        run_dir.locate(checkpoint)  # Raises an error that says what is missing.
    return source_config.read(checkpoint, log=log)
