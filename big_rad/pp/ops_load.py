"""Ops at both ends of a preprocessing string.

`view` chooses one of several images, `load` makes arrays of its pixels, and `keep` removes the
fields that a batch does not need.
"""

import pathlib

import numpy as np
from PIL import Image

from big_rad.dicom import read as dicom_read
from big_rad.dicom import turns
from big_rad.grounding import boxes as box_lib
from big_rad.pp import packed
from big_rad.pp.example import Example, one_of_several
from big_rad.pp.ops import OPS, Op, rng_of
from big_rad.pp.ops_image import resize_nearest

MODALITIES = ("CT", "MR", "OT")
_VIEWS = ("random", "first")
_READ_BY = ("frame", "plane", "modality")  # Fields that the reader of a file takes as arguments.


@OPS.register("view")
def get_view(which: str = "random") -> Op:
    """Chooses one image, with its texts, of an example that has several under "images".

    The fields of the image become fields of the example. The id of the image becomes "image_id",
    and "id" stays the id of the whole example; see `example.one_of_several`. An example with one
    image is not changed.

    Args:
        which: "random", or "first" for evaluation.

    Raises:
        ValueError: `which` is unknown.
    """
    if which not in _VIEWS:
        raise ValueError(f"view: {which!r} is none of {', '.join(_VIEWS)}")

    def _view(example: Example) -> Example:
        if "images" not in example:
            return example
        rest = dict(example)
        images = rest.pop("images")
        if not images:
            raise ValueError("view: the example has no image; leave it out of the split")
        index = int(rng_of(example).random() * len(images)) if which == "random" else 0
        return one_of_several(images[index], rest)

    return _view


@OPS.register("load")
def get_load(colour_size: int | None = None) -> Op:
    """Unpacks the image and the label map, or reads the file at example["path"], and checks them.

    The fields "frame", "plane" and "modality" are passed on to the reader of the file, because
    formats other than DICOM may need them. If a DICOM file has another modality than the example
    gives, that is an error. The image of a file is turned to its usual display, and label map and
    boxes with it.

    Args:
        colour_size: the height and width to which Pillow resizes colour images (bicubic,
            antialiased) before any other op, as PNG and JPEG datasets were resized for the released
            model; label map and boxes follow. None leaves the size.
    """

    def _load(example: Example) -> Example:
        example = dict(example)
        if "images" in example:
            raise ValueError("load: the example has several images; put view(...) before it")
        if "image" not in example and "path" in example:
            example, turn = _read(example)
        else:
            turn = turns.Turn()
        for field in ("image", "segmap"):
            if isinstance(example.get(field), bytes):
                example[field] = packed.unpack(example[field])
        if turn != turns.Turn():
            example = _turned(example, turn)
        _check(example)
        if example["image"].ndim == 3 and colour_size:
            example = _resize_colour(example, colour_size)
        return example

    return _load


@OPS.register("keep")
def get_keep(*names: str, optional: bool = False) -> Op:
    """Keeps only the named fields of an example.

    Args:
        names: the names of the fields.
        optional: whether a field may be missing; otherwise the op raises KeyError for it.
    """

    def _keep(example: Example) -> Example:
        missing = [n for n in names if n not in example]
        if missing and not optional:
            raise KeyError(f"keep: no {', '.join(missing)}; there are {', '.join(example)}")
        kept = {n: example[n] for n in names if n in example}
        return {
            n: np.ascontiguousarray(v) if isinstance(v, np.ndarray) else v for n, v in kept.items()
        }

    return _keep


def _read(example: Example) -> tuple[Example, turns.Turn]:
    """Adds the pixels of the file, and its modality and plane if the example does not give them.

    Returns:
        the example with its image in the usual display, and the turn that its label map and boxes
        still need.
    """
    given: Example = {
        k: v for k, v in example.items() if v is not None and not (isinstance(v, str) and not v)
    }
    told = {k: given[k] for k in _READ_BY if k in given}
    path = pathlib.Path(example["path"])
    found = dicom_read.read(path, **told)
    found, inverse = dicom_read.to_display(found)
    stated = found.stated or found.modality
    if found.pixels.ndim == 2 and given.get("modality", stated) != stated:
        raise ValueError(
            f"load: {path.name} is not of the modality {given['modality']!r} that the example "
            "gives; its values would be misread, so correct the example"
        )
    record = {"modality": found.modality, "plane": found.plane, **given, "image": found.pixels}
    return record, inverse.inverse()


def _turned(example: Example, turn: turns.Turn) -> Example:
    """Turns the label map and the boxes in the same way as the image."""
    stored = turn.inverse().array(example["image"]).shape
    if example.get("segmap") is not None:
        example["segmap"] = turn.array(example["segmap"])
    if example.get("boxes"):
        example["boxes"] = [[*turn.box(tuple(b[:4]), stored), b[4]] for b in example["boxes"]]
    return example


def _resize_colour(example: Example, size: int) -> Example:
    height, width = example["image"].shape[:2]
    if (height, width) == (size, size):
        return example
    picture = Image.fromarray(example["image"]).resize((size, size), Image.BICUBIC)
    example["image"] = np.asarray(picture)
    if example.get("segmap") is not None:
        example["segmap_full"] = example["segmap"]
        example["segmap"] = resize_nearest(example["segmap"], size)
    if example.get("boxes"):
        example["boxes"] = [
            [*box_lib.scale(b[:4], size / width, size / height), b[4]] for b in example["boxes"]
        ]
    return example


def _check(example: Example) -> None:
    image = example.get("image")
    if not isinstance(image, np.ndarray):
        raise ValueError("load: the example has neither an image array nor a path to one")
    grey = image.ndim == 2 and image.dtype.kind in "iuf"
    if not image.size or not (grey or image.ndim == 3 and image.shape[2] == 3):
        raise ValueError(
            f"load: image is {image.dtype} {list(image.shape)}; give numbers [H, W] or uint8 "
            "[H, W, 3]"
        )
    if image.ndim == 3 and image.dtype != np.uint8:
        raise ValueError(f"load: a colour image is {image.dtype}; give uint8")
    if example.get("modality") not in MODALITIES:
        raise ValueError(f"load: modality is {example.get('modality')!r}; give one of {MODALITIES}")
    segmap = example.get("segmap")
    if segmap is not None and segmap.shape != image.shape[:2]:
        raise ValueError(
            f"load: segmap {list(segmap.shape)} does not lie on image {list(image.shape)}"
        )
