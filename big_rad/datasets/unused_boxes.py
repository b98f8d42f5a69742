"""Warns of boxes that a model with masks does not use.

A model with masks learns from label maps alone. The user is warned before training and before an
evaluation, because later the only sign of unused boxes would be scores that are NaN.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from big_rad.datasets import core
from big_rad.pp import builder, packed
from big_rad.pp.example import Example
from big_rad.registry import parse_call

# The maximum number of examples that are read. Images are large, and reading all examples of a big
# dataset would take minutes.
_MOST = 500


@dataclasses.dataclass(frozen=True)
class Counts:
    """Counts of the images of a source.

    Attributes:
        images: the number of images that were read; an unreadable example does not count.
        with_masks: the number of images with a label map that shows a class.
        with_boxes_only: the number of other images that have boxes.
        sampled: whether only some of the examples were read.
    """

    images: int
    with_masks: int
    with_boxes_only: int
    sampled: bool = False


def count(source: Sequence[Example], most: int = _MOST) -> Counts:
    """Counts the images of a source with label maps and with boxes.

    Args:
        source: the examples, see `datasets.core`.
        most: the most examples that are read; if the source has more, evenly spaced ones are read.
    """
    step = -(-len(source) // most) or 1
    images = with_masks = with_boxes_only = 0
    for i in range(0, len(source), step):
        try:
            found = [_kind_of_marks(image) for image in core.images_of(source[i])]
        except Exception:  # Training leaves this example out, and lists it with its reason.
            continue
        images += len(found)
        with_masks += found.count("mask")
        with_boxes_only += found.count("boxes")
    return Counts(images, with_masks, with_boxes_only, step > 1)


def message(counts: Counts) -> str:
    """Returns the warning for a model with masks, or "" if every image with boxes has a mask."""
    if not counts.with_boxes_only:
        return ""
    images = f"{counts.images} images" + " that were looked at" * counts.sampled
    if not counts.with_masks:
        return (
            f"0 of {images} have a mask; boxes are not used, because this model points with masks, "
            "and all texts stay without marks. Add masks, or start from a model with boxes"
        )
    return (
        f"{counts.with_masks} of {images} have a mask; the boxes of "
        f"{counts.with_boxes_only} others are not used, because this model points with masks"
    )


def report(
    specs: Iterable[Mapping[str, Any]], data_dir: str, log: Callable[[str], None] = print
) -> None:
    """Logs a line for each split whose boxes are not used.

    Args:
        specs: the entries of `config.input` and `config.evals`, with `builder`, `split`, `pp` and
            perhaps `builder_args`. An entry whose `pp` does not mark masks is skipped.
        data_dir: the folder in which the built datasets lie.
        log: a function that receives a line for each split with unused boxes.

    Raises:
        FileNotFoundError: A dataset is not built.
        ValueError: A dataset or split does not exist.
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


def _kind_of_marks(image: Example) -> str:
    if "segmap" in image and bool(packed.array(image["segmap"]).any()):
        return "mask"
    return "boxes" if image.get("boxes") else ""
