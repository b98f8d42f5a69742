"""Draws overlays: boxes, masks and labels on an image, with Pillow.

    picture = overlay(window(pixels, "CT"), [prediction((40, 30, 90, 80), "liver")])

The colours are from the palette of Okabe and Ito, which colour-blind readers can tell apart.
"""

import base64
import dataclasses
import io
from collections.abc import Iterator, Sequence

import font_source_sans_pro
import numpy as np
from jaxtyping import Bool, Float, Shaped, UInt8
from PIL import Image, ImageDraw, ImageFont

from big_rad.grounding.unicode import nfc
from big_rad.pp import ops_image

BLUE, ORANGE = "#0072B2", "#E69F00"
_CAPTION = "#DDDDDD"
PALETTE = (ORANGE, "#56B4E9", "#009E73", "#F0E442", "#D55E00", "#CC79A7", BLUE)
CT_SOFT_TISSUE = 1  # The channel with the soft-tissue window (width 350, level 40).
_WIDTH, _LEVEL = ops_image.CT_WINDOWS[0]
_AIR = 2 * (ops_image.AIR_HU - _LEVEL) / _WIDTH  # The value of air in the first window.

# The default font of Pillow has no umlauts. This one has all letters of Latin scripts and Greek.
_FONT = font_source_sans_pro.font_files_ttf["SourceSansPro"]

Rect = tuple[float, float, float, float]
# Pixels to draw on: a grey image or a colour image.
Pixels = UInt8[np.ndarray, "height width"] | UInt8[np.ndarray, "height width 3"]


@dataclasses.dataclass(frozen=True)
class Mark:
    """A box or a mask to draw.

    Attributes:
        box: (x1, y1, x2, y2) in pixels of the image that is drawn on, with x2 and y2 exclusive.
        label: the text beside the box; "" draws no label.
        colour: the colour as "#RRGGBB".
        dashed: whether the rectangle is dashed instead of solid.
        below: whether the label goes below the box if there is room there, else above.
        mask: a mask of the image, which is drawn as a tint with a contour instead of the rectangle.
            The box then only says where the label goes. None draws the rectangle.
    """

    box: Rect
    label: str = ""
    colour: str = ORANGE
    dashed: bool = False
    below: bool = False
    mask: Bool[np.ndarray, "height width"] | None = dataclasses.field(default=None, compare=False)


def reference(box: Rect, label: str = "") -> Mark:
    """Returns the mark of a reference box: solid and blue, with the label above."""
    return Mark(box, label, BLUE)


def prediction(box: Rect, label: str = "") -> Mark:
    """Returns the mark of a predicted box: dashed and orange, with the label below."""
    return Mark(box, label, ORANGE, dashed=True, below=True)


def seen(
    image: Float[np.ndarray, "height width 3"], modality: str
) -> Pixels | UInt8[np.ndarray, "3 height width"]:
    """Turns a model's input image into pictures of what the model saw.

    The channels of a CT slice are three windows, while those of a colour picture of a CT slice are
    colours. The first channel tells them apart: the widest window ends above -1, at the value of
    air, while colours reach down to -1.

    Args:
        image: the model's input, with values in -1..1. An image with another range is stretched
            from its smallest to its largest value.
        modality: "CT", "MR" or "OT".

    Returns:
        A grey picture [height, width] if all channels are the same, the three windows [3, height,
        width] of a CT slice, or else a colour picture [height, width, 3].
    """
    image = np.asarray(image, np.float32)
    if (image == image[..., :1]).all():
        image = image[..., 0]
    elif modality == "CT" and image[..., 0].min() > _AIR - 1e-3:
        image = np.moveaxis(image, -1, 0)
    low, high = -1.0, 1.0
    if image.min() < low - 1e-3 or image.max() > high + 1e-3:
        low, high = float(image.min()), float(image.max())
    scaled = (image - low) / max(high - low, 1e-6)
    return (np.clip(scaled, 0, 1) * 255 + 0.5).astype(np.uint8)


def displayable(pixels: Pixels | UInt8[np.ndarray, "3 height width"]) -> Pixels:
    """Returns the picture of `seen` to draw on: the soft-tissue window of CT, else all of it."""
    return pixels if pixels.ndim == 2 or pixels.shape[-1] == 3 else pixels[CT_SOFT_TISSUE]


def window(
    pixels: Shaped[np.ndarray, "height width"] | UInt8[np.ndarray, "height width 3"], modality: str
) -> Pixels:
    """Turns a stored slice into a picture to look at.

    Args:
        pixels: the stored values. The HU of a CT slice are shown with width 350 and level 40. Grey
            values of other modalities are stretched from the smallest to the largest. Colours stay
            as they are.
        modality: "CT", "MR" or "OT".
    """
    pixels = np.asarray(pixels)
    if pixels.ndim == 3:
        return pixels.astype(np.uint8)
    pixels = pixels.astype(np.float32)
    low, high = (-135.0, 215.0) if modality == "CT" else (pixels.min(), pixels.max())
    scaled = (pixels - low) / max(float(high - low), 1e-6)
    return (np.clip(scaled, 0, 1) * 255 + 0.5).astype(np.uint8)


def overlay(
    pixels: Pixels, marks: Sequence[Mark] = (), min_side: int = 448, caption: str = ""
) -> Image.Image:
    """Draws marks on an image, which is enlarged first if it is small.

    Args:
        pixels: the image to draw on.
        marks: the marks, which are drawn in this order.
        min_side: the smallest length of the longer side of the picture, in pixels.
        caption: words in a corner, if possible the lower left one; "" for none.

    Returns:
        An RGB picture.
    """
    picture = Image.fromarray(np.asarray(pixels, np.uint8)).convert("RGB")
    factor = max(1.0, min_side / max(picture.size))
    if factor > 1:
        size = tuple(round(s * factor) for s in picture.size)
        picture = picture.resize(size, Image.Resampling.BICUBIC)
    for mark in marks:
        if mark.mask is not None:
            picture = _tinted(picture, mark.mask, mark.colour)
    draw = ImageDraw.Draw(picture)
    unit = max(picture.size) / 448
    font = ImageFont.truetype(_FONT, max(13, round(15 * unit)))
    boxes = [tuple(c * factor for c in m.box) for m in marks]
    for mark, box in zip(marks, boxes, strict=True):
        if mark.mask is None:
            _box(draw, box, mark, max(2, round(2 * unit)))
    taken: list[Rect] = []
    for mark, box in zip(marks, boxes, strict=True):
        if mark.label:
            taken.append(_label(draw, box, mark, font, picture.size, taken))
    if caption:
        _caption(draw, caption, font, picture.size, taken)
    return picture


def png(picture: Image.Image, colours: int | None = None) -> bytes:
    """Returns the picture as a PNG file; `colours` reduces the palette to save space."""
    out = io.BytesIO()
    picture = picture if colours is None else picture.quantize(colours)
    picture.save(out, "PNG", optimize=True)
    return out.getvalue()


def data_uri(picture: Image.Image, colours: int | None = 160) -> str:
    """Returns the picture as a `data:image/png;base64,...` address."""
    return "data:image/png;base64," + base64.b64encode(png(picture, colours)).decode("ascii")


def place_label(
    box: Rect,
    label: tuple[float, float],
    size: tuple[float, float],
    taken: Sequence[Rect],
    below: bool = False,
) -> Rect:
    """Returns a place for the label of a box that covers no other label, if there is such a place.

    Args:
        box: the box that the label names.
        label: the width and height of the label.
        size: the width and height of the picture.
        taken: the places of the other labels.
        below: whether the label goes below the box if there is room there, else above.

    Returns:
        The first free place, or the preferred place although it covers another label.
    """
    (x1, y1, x2, y2), (w, h) = box, label
    above, under = (x1, y1 - h), (x2 - w, y2)
    inside = [(x1, y1), (x2 - w, y2 - h), (x1, y2 - h), (x2 - w, y1)]
    places = ([under, above] if below else [above, under]) + inside
    places += [(x1, y1 - h + step * h) for step in range(2, 12)]
    places = [
        (min(max(x, 0), max(size[0] - w, 0)), min(max(y, 0), max(size[1] - h, 0)))
        for x, y in places
    ]
    rects = [(x, y, x + w, y + h) for x, y in places]
    return next((r for r in rects if not any(_overlap(r, t) for t in taken)), rects[0])


def _tinted(
    picture: Image.Image, mask: Bool[np.ndarray, "height width"], colour: str
) -> Image.Image:
    """Lays a mask over the picture: a contour two pixels wide, and a tint inside it."""
    shape = Image.fromarray(np.asarray(mask, bool)).resize(picture.size, Image.Resampling.NEAREST)
    inside = np.asarray(shape)
    core = inside.copy()
    for _ in range(2):
        padded = np.pad(core, 1)
        core = core & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
    mixed = np.array(picture)
    mixed[inside & ~core] = rgb
    mixed[core] = mixed[core] * 0.75 + rgb * 0.25 + 0.5
    return Image.fromarray(mixed)


def _box(draw: ImageDraw.ImageDraw, box: Rect, mark: Mark, width: int) -> None:
    x1, y1, x2, y2 = box
    if not mark.dashed:
        draw.rectangle((x1, y1, max(x1, x2 - 1), max(y1, y2 - 1)), outline=mark.colour, width=width)
        return
    x2, y2 = x2 - 1, y2 - 1
    corners = [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]
    for a, b in zip(corners, corners[1:] + corners[:1], strict=True):
        for start, end in _dashes(a, b, on=4 * width, off=3 * width):
            draw.line((start, end), fill=mark.colour, width=width)


def _dashes(
    a: tuple[float, float], b: tuple[float, float], on: float, off: float
) -> Iterator[tuple[tuple[float, float], tuple[float, float]]]:
    length = max(abs(b[0] - a[0]), abs(b[1] - a[1]))  # Sides are horizontal or vertical.
    position = 0.0
    while position < length:
        ends = (position / length, min(position + on, length) / length)
        yield tuple((a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t) for t in ends)
        position += on + off


def _label(
    draw: ImageDraw.ImageDraw,
    box: Rect,
    mark: Mark,
    font: ImageFont.FreeTypeFont,
    size: tuple[int, int],
    taken: Sequence[Rect],
) -> Rect:
    # Writes the label where it covers no other label, if there is such a place, and returns the
    # place. Composed letters look the same with and without Pillow's optional text layout. A letter
    # that the font lacks is drawn as a crossed box, so that the reader sees that it is missing.
    text = nfc(mark.label)
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    w, h = right - left + 6, bottom - top + 4
    rect = place_label(box, (w, h), size, taken, mark.below)
    draw.rectangle(rect, fill=mark.colour)
    ink = "#ffffff" if mark.colour == BLUE else "#000000"  # The others are light.
    draw.text((rect[0] + 3 - left, rect[1] + 2 - top), text, fill=ink, font=font)
    return rect


def _caption(
    draw: ImageDraw.ImageDraw,
    text: str,
    font: ImageFont.FreeTypeFont,
    size: tuple[int, int],
    taken: Sequence[Rect],
) -> None:
    # Writes the caption into the first corner that no label is in.
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    w, h = right - left + 6, bottom - top + 4
    corners = [(x, y) for y in (size[1] - h, 0) for x in (0, size[0] - w)]
    rects = [(x, y, x + w, y + h) for x, y in corners]
    free = (r for r in rects if not any(_overlap(r, other) for other in taken))
    rect = next(free, rects[0])
    draw.rectangle(rect, fill=_CAPTION)
    draw.text((rect[0] + 3 - left, rect[1] + 2 - top), text, fill="#000000", font=font)


def _overlap(a: Rect, b: Rect) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
