"""The pictures of the slices of a series, so small that the page of many slices stays small.

A browser knows 256 grey levels, and CT has thousands. So a CT slice is stored as codes: one level
stands for about 1 HU where the brain and soft tissues are, and for more elsewhere, see `CT_VALUES`.
A filter of the page turns the codes to a window. Other slices hold their grey values, stretched as
on the overlay.
"""

import base64
import io
from collections.abc import Mapping

import numpy as np
from jaxtyping import Shaped, UInt8
from PIL import Image

from big_rad.inference import draw

_HU = (-1024.0, -160.0, -10.0, 90.0, 220.0, 1300.0, 3071.0)
_CODES = (0.0, 50.0, 98.0, 183.0, 215.0, 250.0, 255.0)
CT_VALUES = np.interp(np.arange(256), _CODES, _HU)  # The HU of each code.
# (name, level, width) in HU; the first is that of the overlay.
CT_PRESETS = (
    ("soft tissue", 40, 350), ("lung", -600, 1500), ("bone", 400, 1800), ("brain", 40, 80),
)  # fmt: skip
MAX_SIDE = 2048  # Larger pictures are made smaller.
_THUMB, _SEEN = 72, 160  # The longer sides of pictures in the strip and of the model's pictures.
# How pictures are packed, from the best to the smallest: (the quality of WebP, 0 is without losses;
# the part of the side that is kept).
_LEVELS = ((0, 1.0), (97, 1.0), (92, 1.0), (85, 1.0), (75, 1.0), (60, 1.0), (75, 0.5))


def codes(pixels: Shaped[np.ndarray, "height width *colours"], modality: str) -> draw.Pixels:
    """Returns the 8-bit values of a slice: codes of CT, grey values or colours of others.

    Args:
        pixels: the values, see `dicom.image.Slice`.
        modality: "CT", "MR" or "OT".
    """
    if not is_ct(pixels, modality):
        return draw.window(pixels, modality)
    return np.rint(np.interp(np.asarray(pixels), _HU, _CODES)).astype(np.uint8)


def is_ct(pixels: np.ndarray, modality: str) -> bool:
    """Returns whether the picture of a slice holds codes of HU."""
    return modality == "CT" and np.ndim(pixels) == 2


def table(level: float, width: float) -> str:
    """Returns the grey value of each code in a CT window, for the page's filter of CT."""
    grey = np.clip((CT_VALUES - level) / width + 0.5, 0, 1)
    return " ".join(f"{g:.4g}" for g in grey)


class Packer:
    """Packs the pictures of a series into a given number of bytes.

    All slices are packed without losses if there is room. Where the room that a slice has is too
    small, it and all later ones lose quality, and at last size. So few steps of quality are in one
    page, and no picture is packed many times.
    """

    def __init__(self, count: int, max_bytes: int):
        """Makes a packer.

        Args:
            count: the number of slices.
            max_bytes: the room for all of them.
        """
        self._share = max_bytes / max(1, count)
        self._room = 0.0
        self._level = 0
        self._used: dict[int, int] = {}
        self._shrunk = 0

    def slice(self, pixels: draw.Pixels, other: int) -> str:
        """Returns the picture of a slice as a `data:` address.

        Args:
            pixels: the result of `codes`.
            other: the bytes that the page has about this slice besides.
        """
        picture = Image.fromarray(pixels)
        if max(picture.size) > MAX_SIDE:
            picture, self._shrunk = _within(picture, MAX_SIDE), self._shrunk + 1
        self._room += self._share - other
        while True:
            quality, part = _LEVELS[self._level]
            small = picture if part == 1 else _within(picture, round(max(picture.size) * part))
            made = _uri(small, quality)
            if len(made) <= self._room or self._level == len(_LEVELS) - 1:
                break
            self._level += 1
        self._room -= len(made)
        self._used[self._level] = self._used.get(self._level, 0) + 1
        return made

    def said(self) -> str:
        """Returns a sentence on what was reduced, or that nothing was."""
        parts = []
        for level, count in self._used.items():
            quality, part = _LEVELS[level]
            how = (
                f"compressed with losses (WebP, quality {quality})"
                if quality
                else "compressed without losses"
            )
            parts.append(f"{count} {how}" + (" at half their size" if part < 1 else ""))
        said = f"Pictures of the slices: {'; '.join(parts)}." if parts else ""
        if self._shrunk:
            said += (
                f" {self._shrunk} had sides of more than {MAX_SIDE} pixels and were made smaller."
            )
        return said


def thumbnail(pixels: draw.Pixels) -> str:
    """Returns a small picture for the strip as a `data:` address."""
    return _uri(_within(Image.fromarray(pixels), _THUMB), 60)


def seen(
    pixels: draw.Pixels | UInt8[np.ndarray, "3 height width"], names: Mapping[int, str]
) -> tuple[list[tuple[str, str]], str]:
    """Returns small pictures of what the model saw.

    Args:
        pixels: the result of `draw.seen`.
        names: the names of the channels of a CT.

    Returns:
        A list of (`data:` address, name of the channel or ""), and the size of the model's image in
        words.
    """
    windows = pixels.ndim == 3 and pixels.shape[-1] != 3
    each = list(pixels) if windows else [pixels]
    height, width = each[0].shape[:2]
    made = [
        (_uri(_within(Image.fromarray(one), _SEEN), 75), names.get(k, "") if windows else "")
        for k, one in enumerate(each)
    ]
    return made, f"{width} × {height} pixels"


def _within(picture: Image.Image, side: int) -> Image.Image:
    factor = min(1.0, side / max(picture.size))
    size = tuple(max(1, round(s * factor)) for s in picture.size)
    return picture if size == picture.size else picture.resize(size, Image.Resampling.BOX)


def _uri(picture: Image.Image, quality: int) -> str:
    out = io.BytesIO()
    if quality:
        picture.save(out, "WEBP", quality=quality, method=4)
    else:
        picture.save(out, "WEBP", lossless=True, quality=50, method=2)
    return "data:image/webp;base64," + base64.b64encode(out.getvalue()).decode("ascii")
