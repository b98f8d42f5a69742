"""Ops on grounding: `ground` marks phrases in texts, `without` keeps classes out of training."""

import re

import numpy as np

from big_rad.grounding import boxes as box_lib
from big_rad.grounding import classes, markup, mentions
from big_rad.grounding.codec import get_codec
from big_rad.pp import packed, prompts, shown
from big_rad.pp.example import Example, Text
from big_rad.pp.ops import OPS, Op

# Strings that a tokenizer would read as markup. A sentence that already holds one stays plain.
_LOOKS_SPECIAL = re.compile(r"<p bbox=|</p>|id=|</?seg>|<loc[0-9]{4}>|<seg[0-9]{3}>")


_SAID = ("sentence", "question", "answer", "clinical")  # The fields of a text that hold words.


@OPS.register("without")
def get_without(*names: str) -> Op:
    """Removes classes from an example, as if they had never been labelled or named.

    Their pixels in the label map become background, and their boxes are removed. A text is removed
    if it names one of the classes in the words of the lexicon, or if it may do so: "the kidney",
    without a side, may be either of two classes. The op must come before `load`.

    Args:
        names: the names of the classes, such as "liver".

    Raises:
        KeyError: A name is not a class.
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
    """Writes markup into the targets of grounded texts, and asks for it in their prompts.

    A keyword stays plain if its class is not in the image (any more, after it was cropped or
    moved). A box comes from the label map before `resize`, or from the field "boxes" if the map
    lacks the class.

    Args:
        mode: "boxes", "masks" or "none". Masks come from the label map alone: if an example has no
            label map, its texts stay plain and it gets an empty map. "none" makes all texts plain.
        codec: the name of the box codec.
        grid: the grid of the codec, see `big_rad.grounding.codec`; 224 gives the targets of the
            released model.

    Raises:
        ValueError: The mode or the codec is unknown.
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
        text["prefix"] = prompts.prefix(text["task"], text["lang"], text["context"], mode)
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
    """Returns {class id: box in 0..1} for the classes that can be marked."""
    if not shown.any_possible(example):
        raise ValueError(
            "ground: a text is grounded, but the example has neither segmap nor boxes; "
            "use prompt(..., grounded=False) for this dataset"
        )
    if mode == "boxes":
        return shown.boxes(example)
    # Masks are made from the resized map, so a class that resizing lost would have an empty mask.
    segmap = shown.label_map(example, full=False)
    return {} if segmap is None else shown.from_label_map(segmap)


def _with_masks(sentence: str, mentions: list[markup.Mention]) -> tuple[str, list[int]]:
    """Marks the mentions whose class is shown; also returns the class of each mask, in order."""
    parts, classes, done = [], [], 0
    # As with boxes, a mention whose class is not shown still claims its words, so that no other
    # mention marks them; it stays plain.
    for start, end, mention in markup.locate(sentence, mentions, "boxes"):
        parts += [sentence[done:start], "<seg>", sentence[start:end], "</seg>"]
        classes.append(mention.class_id)
        done = end
    return "".join([*parts, sentence[done:]]), classes
