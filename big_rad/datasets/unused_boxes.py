"""Counts images with label maps and with boxes, and says which boxes a model with masks leaves out.

A model with masks learns from label maps alone. That boxes are not used is said before training and
before an evaluation, because it shows later only as scores that are not numbers.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from big_rad.datasets import core
from big_rad.pp import builder, packed
from big_rad.pp.example import Example
from big_rad.registry import parse_call

_MOST = 500  # Images are large, and reading all of a big dataset would take minutes.


@dataclasses.dataclass(frozen=True)
class Counts:
    """What was found in the images that were looked at.

    Attributes:
        images: how many were looked at; those that cannot be read do not count.
        masks: those with a label map that shows a class.
        boxes: those without one that have boxes.
        sampled: whether there are more images than were looked at.
    """

    images: int
    masks: int
    boxes: int
    sampled: bool = False


def count(source: Sequence[Example], most: int = _MOST) -> Counts:
    """Looks at the images of a source.

    Args:
        source: examples, see `datasets.core`; of more than `most`, evenly spaced ones are read.
        most: that number.
    """
    step = -(-len(source) // most) or 1
    images = masks = boxes = 0
    for i in range(0, len(source), step):
        try:
            found = [_shows(image) for image in core.images_of(source[i])]
        except Exception:  # Training leaves such an example out, and lists it with its reason.
            continue
        images += len(found)
        masks += found.count("mask")
        boxes += found.count("boxes")
    return Counts(images, masks, boxes, step > 1)


def message(counts: Counts) -> str:
    """Returns what to say of the boxes of data for a model with masks; "" if none is lost."""
    if not counts.boxes:
        return ""
    images = f"{counts.images} images" + " that were looked at" * counts.sampled
    if not counts.masks:
        return (
            f"0 of {images} have a mask; boxes are not used, because this model points with masks, "
            "and all texts stay without marks. Add masks, or start from a model with boxes"
        )
    return (
        f"{counts.masks} of {images} have a mask; the boxes of {counts.boxes} others are not used, "
        "because this model points with masks"
    )


def report(
    specs: Iterable[Mapping[str, Any]], data_dir: str, log: Callable[[str], None] = print
) -> None:
    """Logs a line for each split whose boxes are not used.

    Args:
        specs: entries of `config.input` and `config.evals`: `builder`, `split`, `pp`, optionally
            `builder_args`. Those whose `pp` does not mark masks are passed over.
        data_dir: where the built datasets lie.
        log: receives a line for each such split.

    Raises:
        FileNotFoundError: a dataset is not built.
        ValueError: no such dataset or split.
    """
    seen = set()
    for spec in specs:
        args = dict(spec.get("builder_args") or {})
        where = "/".join([spec["builder"], *map(str, args.values())]) + f" {spec['split']}"
        if where in seen or not _marks_masks(spec.get("pp", "")):
            continue
        seen.add(where)
        source = core.load_source(spec["builder"], spec["split"], data_dir, **args)
        if line := message(count(source)):
            log(f"{where}: {line}")


def _marks_masks(pp: str) -> bool:
    for name, args, kwargs in map(parse_call, builder.split(pp)) if pp else ():
        if name == "ground" and (*args, kwargs.get("mode"))[0] == "masks":
            return True
    return False


def _shows(image: Example) -> str:
    if "segmap" in image and bool(packed.array(image["segmap"]).any()):
        return "mask"
    return "boxes" if image.get("boxes") else ""
