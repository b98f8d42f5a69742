"""The slices on the page of a series: pictures with boxes or masks, answers, and the model's view.

Each slice is an <article> that is readable by itself. Every text is escaped.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Shaped, UInt8

from big_rad.dicom.image import Slice, to_display
from big_rad.inference import draw, predictions
from big_rad.inference.confidence import Confidence
from big_rad.inference.predictions import Entity, Prediction
from big_rad.pages import series_pictures as pictures
from big_rad.pages.parts import esc, mark_entities
from big_rad.pp import ops_image

NO_REASON = "no prediction was made"
COLOURS = 12  # CSS classes c0 to c11.
_OPPOSITE = dict(zip("LRAPHF", "RLPAFH"))
_CHANNELS = dict(enumerate(("wide", "soft tissue", "brain")))
_FONT = 14  # The font size of labels on a picture whose longer side is 448.
_LETTER = 0.56  # The mean width of a letter as a fraction of the font size.


@dataclasses.dataclass(frozen=True)
class SliceView:
    """A slice as the page shows it. `view` makes one from a slice as it is stored.

    Attributes:
        index: the number of the slice in its series, as in `regions.to_json`.
        name: what the slice is called, such as the beginning of the names of its output files.
        pixels: the values in the usual display, see `dicom.image.to_display`; None if the slice
            could not be read.
        modality: "CT", "MR" or "OT".
        prediction: the prediction, in pixels of `pixels`; None if there is none.
        spacing: the distances (between rows, between columns) in mm; None if unknown.
        orientation: the sides of the patient to the right and below, see `dicom.image.Slice`.
        seen: what the model saw, see `draw.seen`; None if it is not shown.
        error: why there is no prediction.
        position: where the slice lies along its normal in mm; None if unknown.
    """

    index: int
    name: str
    pixels: Shaped[np.ndarray, "height width *colours"] | None
    modality: str
    prediction: Prediction | None
    spacing: tuple[float, float] | None = None
    orientation: str = ""
    seen: draw.Pixels | UInt8[np.ndarray, "3 height width"] | None = None
    error: str = ""
    position: float | None = None


def view(
    index: int,
    name: str,
    image: Slice,
    prediction: Prediction | None,
    seen: draw.Pixels | UInt8[np.ndarray, "3 height width"] | None = None,
    *,
    position: float | None = None,
    error: str = "",
) -> SliceView:
    """Returns a slice as the page shows it, in its usual display.

    Args:
        index: see `SliceView`.
        name: see `SliceView`.
        image: the slice as it is stored.
        prediction: the prediction, in pixels of the stored slice; None if there is none.
        seen: what the model saw, see `draw.seen`.
        position: see `SliceView`.
        error: see `SliceView`.
    """
    shown, to_stored = to_display(image)
    if prediction is not None:
        prediction = predictions.turn(prediction, to_stored.inverse(), image.pixels.shape[:2])
    return SliceView(
        index, name, shown.pixels, shown.modality, prediction, shown.spacing, shown.orientation,
        seen, error, position,
    )  # fmt: skip


def article(
    one: SliceView, colours: Mapping[str, int], packer: pictures.Packer
) -> tuple[str, str, str]:
    """Returns a slice as HTML.

    Args:
        one: the slice.
        colours: `key_of` an entity -> the number of its colour.
        packer: packs the picture.

    Returns:
        The article, its picture in the strip, and "ct", "grey", or "" if there is no picture.
    """
    title = f"Slice {one.index}"
    where = " · ".join(filter(None, (one.name, _mm(one.position))))
    said = _said(one, colours)
    kind, stage, thumb, drawn = "", '<p class="no-picture">There is no picture.</p>', "", 0
    if one.pixels is not None:
        kind = "ct" if pictures.is_ct(one.pixels, one.modality) else "grey"
        pixels = pictures.codes(one.pixels, one.modality)
        marks, drawn = _marks(one, colours)
        small = pictures.thumbnail(pixels)
        picture = packer.slice(pixels, len(marks) + len(said) + len(small) + 600)
        height, width = pixels.shape[:2]
        thumb = (
            f'<img src="{small}" alt=""><svg viewBox="0 0 {width} {height * ratio(one):g}" '
            f'aria-hidden="true"><use href="#m{one.index}"/></svg>'
        )
        stage = (
            f'<div class="stage" style="--a:{width / (height * ratio(one)):.4f}">'
            f'<img src="{picture}" alt="{title}" decoding="sync" draggable="false">{marks}</div>'
        )
    text = (
        f'<article class="slice {kind}" id="s{one.index}" data-marks="{drawn}">'
        f"<h3>{title} <small>{esc(where)}</small></h3>"
        f'<div class="view">{stage}<div class="said">{said}</div></div></article>'
    )
    style = f' style="--a:{width / (height * ratio(one)):.3f}"' if thumb else ""
    strip = (
        f'<a href="#s{one.index}" class="{kind}{" has" * bool(drawn)}" '
        f'data-slice="{one.index}"{style}>{thumb}<span>{one.index}</span></a>'
    )
    return text, strip, kind


def ratio(one: SliceView) -> float:
    """Returns the height of a pixel as a multiple of its width; 1 if the spacing is unknown."""
    height, width = one.spacing or (1.0, 1.0)
    found = height / width if width > 0 and height > 0 else 1.0
    return found if math.isfinite(found) else 1.0


def key_of(entity: Entity) -> str:
    """Returns the name of what an entity is: its class, or else its phrase."""
    return entity.class_name.replace("_", " ") or fold(entity.phrase)


def fold(phrase: str) -> str:
    """Returns the name of what entities without a class are that have this phrase."""
    return " ".join(phrase.casefold().split())


def colour_of(key: str, colours: Mapping[str, int]) -> str:
    """Returns the CSS class of `key_of` an entity; "away" if it is marked nowhere."""
    return f"c{colours[key]}" if key in colours else "away"


def sureness(confidence: Confidence | None) -> str:
    """Returns a confidence in words."""
    if confidence is None:
        return "no confidence"
    return f"{confidence.value:.2f}" + (", uncalibrated" if confidence.calibrated is None else "")


def mask_path(mask: Bool[np.ndarray, "height width"]) -> str:
    """Returns the outlines of a mask as the path of an SVG, to be filled by the even-odd rule.

    The corners of the outlines are the points between pixels where one or three of the four pixels
    around are in the mask. Along each line of points, every second stretch between neighbouring
    corners is a part of an outline, so corners are joined in turn along a row and along a column.
    Where two pixels touch at a point only, two outlines cross there.

    Args:
        mask: the mask.
    """
    padded = np.pad(np.asarray(mask, bool), 1)
    odd = padded[1:, 1:] ^ padded[1:, :-1] ^ padded[:-1, 1:] ^ padded[:-1, :-1]
    along = [(int(x), int(y)) for y, x in np.argwhere(odd)]
    down = [(int(x), int(y)) for x, y in np.argwhere(odd.T)]
    across, beneath = _partners(along), _partners(down)
    parts, left = [], set(along)
    for start in along:
        if start not in left:
            continue
        at, steps = start, []
        while at in left:
            left.discard(at)
            turn = across[at]
            left.discard(turn)
            steps.append(f"h{turn[0] - at[0]}")
            at = beneath[turn]
            steps.append(f"v{at[1] - turn[1]}")
        parts.append(f"M{start[0]} {start[1]}{''.join(steps[:-1])}z")
    return "".join(parts)


def _partners(corners: Sequence[tuple[int, int]]) -> dict[tuple[int, int], tuple[int, int]]:
    pairs = list(zip(corners[::2], corners[1::2], strict=True))
    return dict(pairs) | {b: a for a, b in pairs}


def _marks(one: SliceView, colours: Mapping[str, int]) -> tuple[str, int]:
    # The marks of a slice as an SVG over its picture, and their number. The picture is shown with
    # the true proportions of its pixels, so the shapes are stretched, but their labels are not.
    height, width = one.pixels.shape[:2]
    stretch = ratio(one)
    size = (width, height * stretch)
    font, shapes, labels, taken = _FONT * max(size) / 448, [], [], []
    entities = one.prediction.entities if one.prediction else ()
    for k, entity in enumerate(entities):
        if entity.box is None:
            continue
        attributes = f'class="c{colours[key_of(entity)]}" data-entity="{k}"'
        title = f"<title>{esc(key_of(entity))}: {sureness(entity.confidence)}</title>"
        shapes.append(f"<g {attributes}>{title}{_shape(entity)}</g>")
        text = predictions.label(entity)
        x1, y1, x2, y2 = entity.box
        box = (x1, y1 * stretch, x2, y2 * stretch)
        extent = (_LETTER * font * len(text) + 0.4 * font, 1.2 * font)
        spot = draw.place_label(box, extent, size, taken, below=True)
        taken.append(spot)
        labels.append(
            f'<text {attributes} x="{spot[0] + 0.2 * font:.1f}" y="{spot[1] + 0.95 * font:.1f}" '
            f'font-size="{font:.2f}">{esc(text)}</text>'
        )
    sides = one.orientation
    letters = (
        {"right": sides[0], "left": _OPPOSITE[sides[0]], "foot": sides[1],
         "head": _OPPOSITE[sides[1]]} if sides else {}
    )  # fmt: skip
    around = "".join(f'<b class="{place}">{esc(side)}</b>' for place, side in letters.items())
    doubt = any(e.confidence and e.confidence.calibrated is None for e in entities if e.box)
    note = '<span class="doubt">?: uncalibrated confidence</span>' if doubt else ""
    moved = "" if stretch == 1 else f' transform="scale(1 {stretch:g})"'
    return (
        f'<svg viewBox="0 0 {width} {size[1]:g}"><g id="m{one.index}"{moved}>{"".join(shapes)}</g>'
        f"<g>{''.join(labels)}</g></svg>{around}{note}"
    ), len(shapes)


def _shape(entity: Entity) -> str:
    if entity.mask is not None:
        return f'<path class="mark mask" d="{mask_path(entity.mask)}"/>'
    x1, y1, x2, y2 = entity.box
    return (
        f'<rect class="mark" x="{x1:.5g}" y="{y1:.5g}" width="{max(0, x2 - x1):.5g}" '
        f'height="{max(0, y2 - y1):.5g}"/>'
    )


def _said(one: SliceView, colours: Mapping[str, int]) -> str:
    if one.prediction is None:
        why = one.error or NO_REASON
        return f'<p class="failed">Not predicted: {esc(why)}.</p>' + _seen(one)
    answer, entities = one.prediction, one.prediction.entities
    rows = "".join(
        f'<li class="{colour_of(key_of(e), colours)}" data-entity="{k}">'
        f'<i class="swatch{" none" * (e.box is None)}"></i>'
        f"<span>{esc(key_of(e))}</span> <small>{_state(e)}</small></li>"
        for k, e in enumerate(entities)
    )
    found = f'<ul class="found">{rows}</ul>' if rows else '<p class="note">Nothing is marked.</p>'
    what = "text" if answer.confidence and answer.confidence.kind == "text" else "answer"
    sure = f'<p class="note">Confidence of the {what}: {sureness(answer.confidence)}.</p>'
    return (
        f'<h4>Answer</h4><p class="words">{_words(answer, colours) or "–"}</p>'
        f"{sure if answer.confidence else ''}<h4>Marked</h4>{found}{_seen(one)}"
    )


def _state(entity: Entity) -> str:
    if entity.withheld:
        return "withheld, because its confidence is too low or unknown"
    if entity.box is None:
        return "a blank mask" if entity.mask is not None else "without a place"
    return sureness(entity.confidence)


def _words(answer: Prediction, colours: Mapping[str, int]) -> str:
    # The phrases of entities come in the order of the text.
    spans, end = [], 0
    for k, entity in enumerate(answer.entities):
        start = answer.text.find(entity.phrase, end) if entity.phrase else -1
        if start >= 0:
            end = start + len(entity.phrase)
            name = key_of(entity)
            spans.append(
                {"span": (start, end), "title": name, "class_name": name, "class_id": 0,
                 "attributes": f'data-entity="{k}"', "css": colour_of(name, colours)}
            )  # fmt: skip
    return mark_entities(answer.text, spans, lambda e: e["css"])


def _seen(one: SliceView) -> str:
    if one.seen is None:
        return ""
    names = {
        k: f"{_CHANNELS.get(k, '')} (W {width:.0f}, L {level:.0f})"
        for k, (width, level) in enumerate(ops_image.CT_WINDOWS)
    }
    made, size = pictures.seen(one.seen, names)
    how = f", {len(made)} windows as channels" if len(made) > 1 else ""
    turned = one.prediction.turned if one.prediction else ""
    note = f"{size}{how}" + (f"; the stored slice was turned: {turned}" if turned else "")
    each = "".join(
        f'<figure><img src="{uri}" alt=""><figcaption>{esc(name)}</figcaption></figure>'
        for uri, name in made
    )
    return (
        f'<h4>What the model saw</h4><p class="note">{esc(note)}</p><div class="saw">{each}</div>'
    )


def _mm(position: float | None) -> str:
    return "" if position is None else f"{position:.1f} mm"
