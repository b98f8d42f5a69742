"""Ops on what is pointed at: marking it in the texts, and keeping classes out of training.

Knows nothing of tokens.
"""

import re

import numpy as np

from big_rad.grounding import boxes as box_lib
from big_rad.grounding import classes, markup, mentions
from big_rad.grounding.codec import get_codec
from big_rad.pp import packed, prompts, shown
from big_rad.pp.example import Example, Text
from big_rad.pp.ops import OPS, Op

# What a tokenizer would read as markup. A sentence that holds it already is left as it is.
_LOOKS_SPECIAL = re.compile(r"<p bbox=|</p>|id=|</?seg>|<loc[0-9]{4}>|<seg[0-9]{3}>")


_SAID = ("sentence", "question", "answer", "clinical")  # fields of a text


@OPS.register("without")
def get_without(*names: str) -> Op:
    """Keeps classes out of an example, as if nobody had ever labelled or named them.

    Their pixels in the label map become background, their boxes go, and so does every text that
    names one of them in the lexicon's words, or may do so ("the kidney", of either side). Comes
    before `load`.

    Args:
        names: of the classes, such as "liver".

    Raises:
        KeyError: no such class.
    """
    out = {classes.by_name(n).id for n in names}

    def _names_one(text: Text) -> bool:
        if any(c in out for _, c in text.get("keywords") or ()):
            return True
        if text["lang"] not in prompts.LANGS:
            return False
        said = [text.get(k) for k in _SAID] + list(text.get("choices") or ())
        return any(
            c in out
            for part in said
            if part
            for mention in mentions.find(part, text["lang"])
            for c in mention.class_ids or mention.possible_ids
        )

    def _without(example: Example) -> Example:
        new = dict(example)
        if "segmap" in example:
            segmap = packed.array(example["segmap"])
            new["segmap"] = np.where(np.isin(segmap, list(out)), 0, segmap).astype(segmap.dtype)
        if "boxes" in example:
            new["boxes"] = [b for b in example["boxes"] if int(b[4]) not in out]
        new["texts"] = [t for t in example["texts"] if not _names_one(t)]
        return new

    return _without


@OPS.register("ground")
def get_ground(mode: str = "boxes", codec: str = "radgrounder", grid: int | None = None) -> Op:
    """Writes markup into the targets of grounded texts, and what is asked for into their prompts.

    A keyword whose class is not in the (cropped, moved) image stays plain. Boxes are those of the
    label map before `resize`, and of the field "boxes" for classes that the map lacks.

    Args:
        mode: "boxes", "masks" (of the label map only; texts of an example without one are plain,
            and it gets an empty map), or "none", which makes all texts plain.
        codec: name of the box codec.
        grid: see `big_rad.grounding.codec`; 224 for the targets of the released model.
    """
    if mode not in prompts.GROUNDINGS:
        raise ValueError(f"ground: {mode!r} is none of {', '.join(prompts.GROUNDINGS)}")
    box_codec = get_codec(codec, grid=grid)

    def _ground(example: Example) -> Example:
        texts = example.get("texts") or []
        if any("prefix" not in t for t in texts):
            raise ValueError("ground: put prompt(...) before it")
        here = mode
        if mode == "masks" and shown.label_map(example, full=False) is None:
            here = "none"
        marks = here != "none" and any(t["grounded"] and t["keywords"] for t in texts)
        boxes = _boxes(example, here) if marks else {}
        unpacked = isinstance(example.get("image"), np.ndarray)
        if mode == "masks" and here == "none" and unpacked:
            example = example | {"segmap": np.zeros(example["image"].shape[:2], np.uint8)}
        return example | {"texts": [_one(t, boxes, here) for t in texts]}

    def _one(text: Text, boxes: dict[int, box_lib.Box], mode: str) -> Text:
        if not text["grounded"]:
            return text
        text = text | {"grounding": mode, "grounded": mode != "none", "markup": False}
        text["prefix"] = prompts.full(text["task"], text["lang"], text["context"], mode)
        sentence = text["suffix"]
        if mode == "none" or _LOOKS_SPECIAL.search(sentence):
            return text
        places = text.get("places") or [None] * len(text["keywords"])
        wanted = [
            markup.Mention(k, int(c), boxes.get(int(c)), start)
            for (k, c), start in zip(text["keywords"], places, strict=True)
        ]
        if mode == "boxes":
            suffix = markup.render(sentence, wanted, "boxes", box_codec)
        else:
            suffix, text["mask_classes"] = _with_masks(sentence, wanted)
        return text | {"suffix": suffix, "markup": suffix != sentence}

    return _ground


def _boxes(example: Example, mode: str) -> dict[int, box_lib.Box]:
    """Returns {class id: box in 0..1} of what may be marked."""
    if not shown.any_possible(example):
        raise ValueError(
            "ground: a text is grounded, but the example has neither segmap nor boxes; "
            "use prompt(..., grounded=False) for this dataset"
        )
    if mode == "boxes":
        return shown.boxes(example)
    # Masks are made from the resized map: a class that it lost would have an empty mask.
    segmap = shown.label_map(example, full=False)
    return {} if segmap is None else shown.from_label_map(segmap)


def _with_masks(sentence: str, mentions: list[markup.Mention]) -> tuple[str, list[int]]:
    """Marks the mentions whose class is there; also returns the class of each mask in order."""
    parts, classes, done = [], [], 0
    # As for boxes: a mention without one claims its words but stays plain.
    for start, end, mention in markup.locate(sentence, mentions, "boxes"):
        parts += [sentence[done:start], "<seg>", sentence[start:end], "</seg>"]
        classes.append(mention.class_id)
        done = end
    return "".join([*parts, sentence[done:]]), classes
