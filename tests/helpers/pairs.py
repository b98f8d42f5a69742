"""Pairs of an image and a text, and towers whose embeddings are given by hand."""

import numpy as np

from big_rad.evaluators import data as eval_data
from big_rad.pp import builder
from big_rad.pp import tokenizer as tokenizers

TOKENIZER = tokenizers.load("tiny", ())
LENGTH = 64


class Pairs:
    """A dataset of pairs.

    Args:
        rows: for each pair its `text`, which may be a list of sentences, and any fields of an
            example. `patient` is by default a patient of its own, and `lang` is "en".
    """

    def __init__(self, rows):
        self.rows = rows

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        row = {"patient": f"Doe^{i}", "modality": "CT", "plane": "axial", **self.rows[i]}
        said, lang = row.pop("text"), row.pop("lang", "en")
        sentences = [said] if isinstance(said, str) else said
        texts = [{"task": "report", "lang": lang, "sentence": s} for s in sentences]
        return {"id": f"{i}", "image_id": f"{i}", "number": i, "texts": texts, **row}


def data(rows):
    """Returns the `EvalData` of `Pairs`; the pixels of an image are the number of its pair."""
    caption = builder.get_preprocess_fn(f"caption(length={LENGTH}, style='report', choose='first')")

    def preprocess(example):
        image = np.full((4, 4, 3), example["number"], np.float32)
        return caption({**example, "image": image})

    return eval_data.EvalData(Pairs(rows), preprocess)


def towers(of_image, of_text):
    """Returns the functions of a model.

    Args:
        of_image: the number of a pair, or None for a blank image -> its embedding.
        of_text: a text in lower case -> its embedding.
    """

    def number(image):
        return None if image[0, 0, 0] == eval_data.BLANK_VALUE else int(image[0, 0, 0])

    def embed(params, batch):
        found = {}
        if "image" in batch:
            found["image"] = np.stack([unit(of_image(number(x))) for x in batch["image"]])
        if "text" in batch:
            texts = [TOKENIZER.decode([int(t) for t in x if t], skip_special=True)
                     for x in batch["text"]]  # fmt: skip
            found["text"] = np.stack([unit(of_text(t)) for t in texts])
        return found

    return {"embed": embed}


def unit(vector):
    """Returns a vector of length 1."""
    vector = np.asarray(vector, np.float32)
    return vector / np.linalg.norm(vector)
