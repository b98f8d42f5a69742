"""The op `caption`, which writes a text of an example for the text tower of SigLIP.

The row is that of `models.two_towers`: tokens up to the context length, then the id that the
tokenizer pads with. Beside it are the keys that say which texts and images of a batch belong
together, see `training.contrastive`.
"""

import hashlib
import re
import unicodedata
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Int32

from big_rad import registry
from big_rad.grounding import exchanged_sides
from big_rad.pp import tokenizer as tokenizer_lib
from big_rad.pp.example import Example
from big_rad.pp.ops import OPS, Op, rng_of

STYLES = ("both", "sentence", "report")
_SENTENCE_END = re.compile(r"(?<=[.!?;])\s+")


@OPS.register("caption")
def get_caption(
    tokenizer: str = "tiny",
    length: int = 64,
    lower: bool = True,
    langs: Sequence[str] = (),
    style: str = "both",
    texts: int = 1,
    exchanged: bool = False,
    keys: int = 64,
    choose: str = "random",
) -> Op:
    """Writes report sentences, or the report, of the example as rows for the text tower.

    The report of an image is all its report sentences in one language, in their order. A text is
    lowercased, as the texts of SigLIP were, and ends with `<eos>`. One that is longer
    than the context is cut at the end of a sentence if there is one, and else at a token.

    The op adds these arrays, int32:

    - `text` [length], or [texts, length] if `texts` is above 1: the tokens, then the id that
      SigLIP's texts were filled up with: 0 for the tokenizer of SigLIP 2, which is Gemma's, and 1,
      the id of `</s>`, for that of SigLIP.
    - `mask_ar`, of the same shape: zeros, which other models read.
    - `mask_loss`, of the same shape: ones; the input pipeline writes zeros for an example that it
      cannot use.
    - `cut` [], or [texts]: 1 if the text was cut.
    - `image_key` [2]: a key that is equal for rows of the same image.
    - `text_keys` [keys, 2]: the keys of all texts of the image, those of the row's own texts first,
      then zeros. Equal sentences have equal keys, whatever their case and white space.

    With `exchanged` it adds these, int32:

    - `exchanged` [length]: the first of the row's texts that names exactly one side, with left and
      right exchanged. It belongs to the image no more, unless one of its other texts says the same.
    - `exchanged_key` [2]: the key of this text; zeros if no text names exactly one side, and the
      row then is that of an empty text.

    It also adds `reference`, the first of the texts itself, and `lang`, its language.

    Args:
        tokenizer: the name or file of the tokenizer, see `tokenizer.load`.
        length: the context length in tokens.
        lower: whether texts are lowercased.
        langs: the languages to choose from; () allows all.
        style: "sentence" writes one sentence, "report" the whole report, and "both" either of them
            with the same probability.
        texts: the number of texts of a row. They differ as long as the image has as many.
        exchanged: whether a text with left and right exchanged is added.
        keys: the most texts of an image that get a key. To a text that equals a further one, the
            image does not belong.
        choose: "random" draws the language and the sentence; "first" takes the first text and, if
            `style` is "both", the report.

    Raises:
        ValueError: An argument is outside its range.
        FileNotFoundError: The tokenizer does not exist.
    """
    check_texts(length, style, texts, keys, choose)
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
        own: list[tuple[str, str]] = []
        left = texts
        while left:  # Texts come twice only after all of them came once.
            pool = {lang: _pool(of[lang], style) for lang in allowed}
            while left and any(pool.values()):
                own.append(_taken(pool, rng))
                left -= 1
        rows = [tokens(tok, said, length, lower) for said, _ in own]
        others = [*(report(x) for x in of.values()), *(s for x in of.values() for s in x)]
        row = np.full((texts, length), tok.caption_pad_id, np.int32)
        for i, (ids, _) in enumerate(rows):
            row[i, : len(ids)] = ids
        cut = np.array([was_cut for _, was_cut in rows], np.int32)
        if texts == 1:
            row, cut = row[0], cut[0]
        image = str(example.get("image_id") or example.get("id", ""))
        made = {
            "text": row,
            "mask_ar": np.zeros_like(row),
            "mask_loss": np.ones_like(row),
            "cut": cut,
            "image_key": key(image),
            "text_keys": _keys([said for said, _ in own], others, keys),
            "reference": own[0][0],
            "lang": own[0][1],
        }
        if exchanged:
            written = {said: ids for (said, _), (ids, _) in zip(own, rows, strict=True)}
            made |= _exchanged(tok, written, length, lower)
        return example | made

    return _caption


def check_texts(length: int, style: str, texts: int, keys: int, choose: str) -> None:
    """Checks the arguments of `caption` that say which texts a row has.

    Raises:
        ValueError: An argument is outside its range; the message says which one it can be.
    """
    for name, value, low in (("length", length, 2), ("texts", texts, 1), ("keys", keys, 1)):
        if not isinstance(value, int) or isinstance(value, bool) or value < low:
            raise ValueError(
                f"caption: {name}={value!r} has to be a whole number of at least {low}"
            )
    if texts > keys:
        raise ValueError(
            f"caption: texts={texts} is more than keys={keys}, and each text of a row needs a key; "
            f"take at most {keys} texts"
        )
    for name, value, known in (("style", style, STYLES), ("choose", choose, ("random", "first"))):
        if value not in known:
            raise ValueError(
                f"caption: {name}={value!r}; known: {', '.join(known)}"
                + registry.did_you_mean(str(value), known)
            )


def _exchanged(
    tok: tokenizer_lib.Tokenizer, written: Mapping[str, list[int]], length: int, lower: bool
) -> dict[str, Int32[np.ndarray, "..."]]:
    # The fields of the text with left and right exchanged; `written` has the tokens of each text. A
    # row that is equal to that of the text itself, since it was cut before the side, would push the
    # text away from its image.
    for text, own in written.items():
        if other := exchanged_sides.of_one_side(text):
            ids, _ = tokens(tok, other, length, lower)
            if ids != own:
                break
    else:
        other, ids = "", []
    row = np.full(length, tok.caption_pad_id, np.int32)
    row[: len(ids)] = ids
    return {"exchanged": row, "exchanged_key": key(other)}


def _pool(sentences: Sequence[str], style: str) -> list[list[str]]:
    # The texts of one language in kinds, each of which is drawn as often as the others.
    kinds = {"report": [report(sentences)], "sentence": list(sentences)}
    return [kind for name, kind in kinds.items() if style in (name, "both")]


def _taken(pool: dict[str, list[list[str]]], rng: np.random.Generator | None) -> tuple[str, str]:
    # Draws a language, a kind and a text, and removes it, so that it is not drawn again.
    langs = [lang for lang, kinds in pool.items() if kinds]
    lang = langs[_drawn(rng, len(langs))]
    kinds = pool[lang]
    kind = kinds[_drawn(rng, len(kinds))]
    text = kind.pop(_drawn(rng, len(kind)))
    kinds[:] = [k for k in kinds if k]
    return text, lang


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


def _keys(own: Sequence[str], others: Sequence[str], most: int) -> Int32[np.ndarray, "keys 2"]:
    # The own texts come first, each of them also if two are equal.
    first, more = ([tuple(key(t).tolist()) for t in texts] for texts in (own, others))
    found = (first + [k for k in dict.fromkeys(more) if k not in first])[:most]
    return np.array(found + [(0, 0)] * (most - len(found)), np.int32)
