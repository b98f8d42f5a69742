"""The op `caption`, which writes a text of an example for the text tower of SigLIP.

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

STYLES = ("sentence", "report", "both")
_SENTENCE_END = re.compile(r"(?<=[.!?;])\s+")


@OPS.register("caption")
def get_caption(
    tokenizer: str = "tiny",
    length: int = 64,
    lower: bool = True,
    langs: Sequence[str] = (),
    style: str = "both",
    keys: int = 16,
    choose: str = "random",
) -> Op:
    """Writes a report sentence or the report of the example as a row for the text tower.

    The report of an image is all its report sentences in one language, in their order. A text is
    lowercased, as the texts of SigLIP were, and ends with `<eos>`. One that is longer
    than the context is cut at the end of a sentence if there is one, and else at a token.

    The op adds these arrays, int32:

    - `text` [length]: the tokens, then the id that SigLIP's texts were filled up with: 0 for the
      tokenizer of SigLIP 2, which is Gemma's, and 1, the id of `</s>`, for that of SigLIP.
    - `mask_ar` [length]: zeros, which other models read.
    - `mask_loss` [length]: ones; the input pipeline writes zeros for an example that it cannot use.
    - `cut` []: 1 if the text was cut.
    - `image_key` [2]: a key that is equal for rows of the same image.
    - `text_keys` [keys, 2]: the keys of all texts of the image, that of the row's own text first,
      then zeros. Equal sentences have equal keys, whatever their case and white space.

    It also adds `reference`, the text itself, and `lang`, its language.

    Args:
        tokenizer: the name or file of the tokenizer, see `tokenizer.load`.
        length: the context length in tokens.
        lower: whether texts are lowercased.
        langs: the languages to choose from; () allows all.
        style: "sentence" writes one sentence, "report" the whole report, and "both" either of them
            with the same probability.
        keys: the most texts of an image that get a key.
        choose: "random" draws the language and the sentence; "first" takes the first text and, if
            `style` is "both", the report.

    Raises:
        ValueError: An argument is outside its range.
        FileNotFoundError: The tokenizer does not exist.
    """
    if length < 2 or keys < 1:
        raise ValueError(f"caption: length={length} and keys={keys} must be at least 2 and 1")
    if choose not in ("random", "first") or style not in STYLES:
        raise ValueError(
            f'caption: choose={choose!r}, style={style!r}; known: "random" and "first", {STYLES}'
        )
    tok = tokenizer_lib.load(tokenizer, ())

    def _caption(example: Example) -> Example:
        of: dict[str, list[str]] = {}
        for text in example["texts"]:
            if text.get("task") == "report":
                of.setdefault(text.get("lang", ""), []).append(text["sentence"])
        allowed = [lang for lang in of if not langs or lang in langs]
        if not allowed:
            raise ValueError(
                "no report sentence" + (f" in {', '.join(langs)}" if langs else "")
                + "; a text tower learns from sentences of reports alone"
            )  # fmt: skip
        rng = rng_of(example) if choose == "random" else None
        lang = allowed[_drawn(rng, len(allowed))]
        whole = style == "report" or (style == "both" and _drawn(rng, 2) == 0)
        own = report(of[lang]) if whole else of[lang][_drawn(rng, len(of[lang]))]
        ids, was_cut = tokens(tok, own, length, lower)
        others = [*(report(x) for x in of.values()), *(s for x in of.values() for s in x)]
        row = np.full(length, tok.caption_pad_id, np.int32)
        row[: len(ids)] = ids
        image = str(example.get("image_id") or example.get("id", ""))
        return example | {
            "text": row,
            "mask_ar": np.zeros(length, np.int32),
            "mask_loss": np.ones(length, np.int32),
            "cut": np.int32(was_cut),
            "image_key": key(image),
            "text_keys": _keys([own, *others], keys),
            "reference": own,
            "lang": lang,
        }

    return _caption


def report(sentences: Sequence[str]) -> str:
    """Returns the report that sentences make, each ended by a full stop if it has no end."""
    plain = [s.strip() for s in sentences if s.strip()]
    return " ".join(s if s[-1] in ".!?;:" else f"{s}." for s in plain)


def _drawn(rng: np.random.Generator | None, count: int) -> int:
    # A number below `count`, which is 0 without a generator.
    return 0 if rng is None else int(rng.integers(count))


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
