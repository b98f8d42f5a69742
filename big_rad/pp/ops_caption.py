"""The op `caption`, which writes one text of an example for the text tower of SigLIP.

The row is that of `models.two_towers`: tokens up to the context length, then the id that the
tokenizer pads with. Beside it are the keys that say which texts and images of a batch belong
together, see `training.contrastive`.
"""

import hashlib
import re
import unicodedata
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int32

from big_rad.pp import tokenizer as tokenizer_lib
from big_rad.pp.example import Example
from big_rad.pp.ops import OPS, Op, rng_of

_SENTENCE_END = re.compile(r"(?<=[.!?;])\s+")


@OPS.register("caption")
def get_caption(
    tokenizer: str = "tiny",
    length: int = 64,
    pad: int = 0,
    lower: bool = True,
    langs: Sequence[str] = (),
    keys: int = 8,
    choose: str = "random",
) -> Op:
    """Writes one report sentence of the example as a row for the text tower.

    A text is lowercased, as the texts of SigLIP were, and ends with `<eos>`. One that is longer
    than the context is cut at the end of a sentence if there is one, and else at a token.

    The op adds these arrays, int32:

    - `text` [length]: the tokens, then `pad`.
    - `mask_ar` [length]: zeros, which other models read.
    - `mask_loss` [length]: ones; the input pipeline writes zeros for an example that it cannot use.
    - `cut` []: 1 if the text was cut.
    - `image_key` [2]: a key that is equal for rows of the same image.
    - `text_keys` [keys, 2]: the keys of all texts of the image, that of the row's own text first,
      then zeros. Equal sentences have equal keys, whatever their case and white space.

    Args:
        tokenizer: the name or file of the tokenizer, see `tokenizer.load`.
        length: the context length in tokens.
        pad: the id that fills a row up: 0 for the tokenizer of SigLIP 2 (Gemma's), and 1, the id of
            `</s>`, for that of SigLIP.
        lower: whether texts are lowercased.
        langs: the languages to choose from; () allows all.
        keys: the most texts of an image that get a key.
        choose: "random" draws one of the texts; "first" takes the first one.

    Raises:
        ValueError: An argument is outside its range.
        FileNotFoundError: The tokenizer does not exist.
    """
    if length < 2 or keys < 1:
        raise ValueError(f"caption: length={length} and keys={keys} must be at least 2 and 1")
    if choose not in ("random", "first"):
        raise ValueError(f'caption: choose={choose!r}; known: "random", "first"')
    tok = tokenizer_lib.load(tokenizer, ())

    def _caption(example: Example) -> Example:
        texts = [
            t for t in example["texts"]
            if t.get("task") == "report" and (not langs or t.get("lang") in langs)
        ]  # fmt: skip
        if not texts:
            raise ValueError(
                "no report sentence" + (f" in {', '.join(langs)}" if langs else "")
                + "; a text tower learns from sentences of reports alone"
            )  # fmt: skip
        at = int(rng_of(example).integers(len(texts))) if choose == "random" else 0
        own = texts[at]["sentence"]
        ids, was_cut = tokens(tok, own, length, lower)
        others = [t["sentence"] for t in example["texts"] if t.get("task") == "report"]
        row = np.full(length, pad, np.int32)
        row[: len(ids)] = ids
        image = str(example.get("image_id") or example.get("id", ""))
        return example | {
            "text": row,
            "mask_ar": np.zeros(length, np.int32),
            "mask_loss": np.ones(length, np.int32),
            "cut": np.int32(was_cut),
            "image_key": key(image),
            "text_keys": _keys([own, *others], keys),
            "caption": own,
            "lang": texts[at].get("lang", ""),
        }

    return _caption


def tokens(
    tok: tokenizer_lib.Tokenizer, text: str, length: int, lower: bool = True
) -> tuple[list[int], bool]:
    """Returns the tokens of a text with `<eos>`, at most `length`, and whether it was cut.

    A text that is too long loses whole sentences from its end, as long as one remains, and then
    tokens.
    """
    text = " ".join(text.split())
    text = text.lower() if lower else text
    ids = tok.encode(text, eos=True)
    if len(ids) <= length:
        return list(ids), False
    parts = _SENTENCE_END.split(text)
    for count in range(len(parts) - 1, 0, -1):
        ids = tok.encode(" ".join(parts[:count]), eos=True)
        if len(ids) <= length:
            return list(ids), True
    return [*list(ids)[: length - 1], tok.eos_id], True


def key(text: str) -> Int32[np.ndarray, " 2"]:
    """Returns a key of 64 bits, which is equal for texts that differ in case and white space only.

    An empty text has the key (0, 0), which stands for no key.
    """
    plain = " ".join(unicodedata.normalize("NFC", text).lower().split()).rstrip(" .")
    if not plain:
        return np.zeros(2, np.int32)
    return np.frombuffer(hashlib.sha256(plain.encode()).digest()[:8], np.int32).copy()


def _keys(texts: Sequence[str], most: int) -> Int32[np.ndarray, "keys 2"]:
    found = list(dict.fromkeys(tuple(key(t).tolist()) for t in texts))[:most]
    return np.array(found + [(0, 0)] * (most - len(found)), np.int32)
