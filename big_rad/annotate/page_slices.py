"""The slices on the page of a data set: pictures with masks and boxes, and marked sentences.

Each slice is an <article> that is readable by itself. Every text is escaped.
"""

import colorsys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Num, UInt8

from big_rad.annotate import card
from big_rad.annotate.segment import harmonised
from big_rad.grounding import classes, markup, placing
from big_rad.inference import draw
from big_rad.pages import series_pictures as pictures
from big_rad.pages.parts import esc, mark_entities
from big_rad.pages.series_slices import mask_path

Item = Mapping[str, Any]  # A line of items.jsonl.

# What lies at the left, right, upper and lower edge of a slice in its usual display.
SIDES = {"axial": "RLAP", "coronal": "RLHF", "sagittal": "APHF"}
_EDGES = ("left", "right", "head", "foot")
_PERCENTILES = (1, 99.5)  # Of MR: the few brightest pixels would leave the rest dark.
_FONT, _LETTER = (
    15,
    0.56,
)  # The font size at a longer side of 448; the mean width of a letter in it.
_GOLDEN = 0.381966  # The golden ratio of a circle: neighbouring classes get far colours.

STYLE = """
.look { position: sticky; top: 0; z-index: 2; display: flex; flex-wrap: wrap; gap: 4px 18px;
  margin: 24px 0 0; padding: 8px 0; background: var(--ground); font-size: .88rem; }
.look label { display: inline-flex; gap: 5px; align-items: center; }
.filters { position: absolute; width: 0; height: 0; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(340px, 100%), 1fr));
  gap: 16px; align-items: start; }
.card { background: var(--paper); border: 1px solid var(--line); border-radius: 8px;
  overflow: hidden; }
.card .text { padding: 10px 14px 12px; overflow-wrap: anywhere; }
.card p { margin-bottom: 4px; }
.ground { background: #000; }
.stage { position: relative; width: min(100%, calc(420px * var(--a))); aspect-ratio: var(--a);
  margin: 0 auto; }
.stage > img, .stage > svg { position: absolute; inset: 0; width: 100%; height: 100%; }
.mark { fill: none; stroke: var(--c); stroke-width: 1.5; fill-rule: evenodd;
  vector-effect: non-scaling-stroke; }
.mark.mask { fill: var(--c); fill-opacity: .22; }
rect.mark { stroke-dasharray: 5 4; stroke-width: 1.2; pointer-events: all; }
.other { display: none; }
.other .mark { stroke-width: 1; fill-opacity: .1; }
main:has(#all:checked) .other { display: inline; }
main:has(#bare:checked) .stage svg { display: none; }
.stage text { fill: var(--c); paint-order: stroke; stroke: #000; stroke-opacity: .8;
  stroke-width: .24em; stroke-linejoin: round; font-weight: 600; pointer-events: none; }
.stage b { position: absolute; color: #fff; font-size: .95rem; line-height: 1.2;
  text-shadow: 0 0 2px #000, 0 0 3px #000, 0 0 4px #000; pointer-events: none; }
.stage .left { left: 6px; top: calc(50% - .6em); } .stage .right { right: 6px;
  top: calc(50% - .6em); }
.stage .head { top: 2px; left: calc(50% - .4em); } .stage .foot { bottom: 2px;
  left: calc(50% - .4em); }
.words mark { background: color-mix(in srgb, var(--c) 28%, transparent);
  box-shadow: inset 0 -3px var(--c); }
.legend { list-style: none; margin: 4px 0 6px; padding: 0; font-size: .85rem; }
.legend li { display: inline-block; margin-right: 12px; }
.swatch { display: inline-block; width: 12px; height: 12px; border-radius: 2px; margin-right: 5px;
  background: var(--c); vertical-align: -1px; }
.tag { font-size: .78rem; font-weight: 600; padding: 1px 8px; border-radius: 10px;
  background: var(--ground); white-space: nowrap; }
.tag.doubt { color: var(--down); }
.num { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
ul.warn { margin: 16px 0 0; padding: 6px 14px 6px 32px; }
.warn summary { color: inherit; }
code { color: var(--soft); }
"""


def article(
    item: Item,
    pixels: Num[np.ndarray, "height width"],
    segmap: UInt8[np.ndarray, "height width"],
    packer: pictures.Packer,
    tags: Sequence[str] = (),
) -> str:
    """Returns a slice as HTML.

    Args:
        item: the line of the slice.
        pixels: its values in the usual display: HU of CT, or the values of MR.
        segmap: its class ids, of the same size.
        packer: packs the picture.
        tags: words about why the slice is shown.
    """
    kind = "ct" if pictures.is_ct(pixels, item["modality"]) else "grey"
    marks = _marks(item, segmap)
    said = "".join(_said(item, lang, text) for lang, text in sorted(item["texts"].items()))
    picture = packer.slice(_codes(pixels, item["modality"]), len(marks) + len(said) + 1500)
    height, width = np.shape(pixels)
    sides = "".join(
        f'<b class="{edge}">{side}</b>' for edge, side in zip(_EDGES, SIDES.get(item["plane"], ""))
    )
    where = (
        item["modality"], item["plane"], f"slice {item['slice']} of {item['slices']}",
        item.get("body_part", "").lower(), item.get("split", ""),
    )  # fmt: skip
    shown = "".join(f'<span class="tag">{esc(tag)}</span> ' for tag in tags)
    return (
        f'<article class="card {kind}"><div class="ground"><div class="stage" '
        f'style="--a:{width / (height * ratio(item)):.4f}"><img src="{picture}" alt="slice">'
        f'{marks}{sides}</div></div><div class="text"><p>{shown}</p>'
        f'<p class="meta">{esc(" · ".join(filter(None, where)))}</p>{_legend(item, segmap)}{said}'
        f'<p class="meta">masks: {esc(_segmentation(item))} · image <code>{esc(item["id"])}</code>'
        "</p></div></article>"
    )


def ratio(item: Item) -> float:
    """Returns the height of a pixel as a multiple of its width; 1 if the spacing is unknown."""
    rows, columns = item.get("spacing") or (1.0, 1.0)
    return rows / columns if rows > 0 and columns > 0 else 1.0


def named(item: Item) -> list[int]:
    """Returns the classes that phrases of a slice name, sorted."""
    return sorted({k for text in item["texts"].values() for _, _, k in text["keywords"]})


def colours(numbers: Iterable[int]) -> str:
    """Returns CSS that gives each class a colour of its own, the same on every page."""
    return "".join(f".k{k} {{ --c: {_colour(k)}; }}\n" for k in sorted(set(numbers)))


def class_name(number: int) -> str:
    """Returns the English name of a class."""
    known = 1 <= number <= classes.NUM_CLASSES
    return classes.by_id(number).en if known else f"class {number}"


def mask_of(segmap: UInt8[np.ndarray, "height width"], number: int) -> Bool[np.ndarray, "h w"]:
    """Returns the mask of a class, which for coarse classes may be that of their parts."""
    mask = segmap == number
    return mask if mask.any() else np.isin(segmap, harmonised.ROLLUP.get(number, ()))


def _colour(number: int) -> str:
    hue = (number * _GOLDEN) % 1
    # Left and right, and neighbours among the ribs and vertebrae, also differ in their lightness.
    # Blue and violet look darker than they are.
    light = (0.52, 0.63, 0.74)[number % 3] + 0.15 * (0.58 < hue < 0.8)
    red, green, blue = colorsys.hls_to_rgb(hue, light, 0.9)
    return f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"


def _codes(pixels: np.ndarray, modality: str) -> draw.Pixels:
    if not pictures.is_ct(pixels, modality):
        pixels = np.clip(pixels, *np.percentile(pixels, _PERCENTILES))
    return pictures.codes(pixels, modality)


def _marks(item: Item, segmap: np.ndarray) -> str:
    # Masks and boxes as an SVG over the picture. The picture is shown with the true proportions of
    # its pixels, so that shapes are stretched, but their labels are not.
    height, width = segmap.shape
    stretch, own = ratio(item), named(item)
    size = (width, height * stretch)
    font, shapes, labels = _FONT * max(size) / 448, [], []
    taken = _letters(size, 1.4 * font)
    others = [k for k in np.unique(segmap[segmap > 0]).tolist() if k not in own]
    hidden = "".join(f'<g class="k{k}">{_mask(segmap, k)}</g>' for k in others)
    boxes = [box for box in item["boxes"] if box[4] in own]
    for number in own:
        shapes.append(f'<g class="k{number}">{_mask(segmap, number)}</g>')
    for x1, y1, x2, y2, number in boxes:
        name = class_name(number)
        shapes.append(
            f'<rect class="mark k{number}" x="{x1:g}" y="{y1:g}" width="{x2 - x1:g}" '
            f'height="{y2 - y1:g}"><title>{esc(name)}</title></rect>'
        )
        extent = (_LETTER * font * len(name) + 0.4 * font, 1.2 * font)
        spot = draw.place_label((x1, y1 * stretch, x2, y2 * stretch), extent, size, taken)
        taken.append(spot)
        labels.append(
            f'<text class="k{number}" x="{spot[0] + 0.2 * font:.1f}" '
            f'y="{spot[1] + 0.95 * font:.1f}" font-size="{font:.1f}">{esc(name)}</text>'
        )
    moved = "" if stretch == 1 else f' transform="scale(1 {stretch:g})"'
    return (
        f'<svg viewBox="0 0 {width} {size[1]:g}"><g{moved}><g class="other">{hidden}</g>'
        f"{''.join(shapes)}</g>{''.join(labels)}</svg>"
    )


def _letters(size: tuple[float, float], side: float) -> list[draw.Rect]:
    # Where the letters of the sides are.
    width, height = size
    middle = ((width - side) / 2, (height - side) / 2)
    corners = (
        (0, middle[1]),
        (width - side, middle[1]),
        (middle[0], 0),
        (middle[0], height - side),
    )
    return [(x, y, x + side, y + side) for x, y in corners]


def _mask(segmap: np.ndarray, number: int) -> str:
    mask = mask_of(segmap, number)
    if not mask.any():
        return ""
    return (
        f'<path class="mark mask" d="{mask_path(mask)}"><title>{class_name(number)}</title></path>'
    )


def _legend(item: Item, segmap: np.ndarray) -> str:
    boxed = {box[4] for box in item["boxes"]}
    rows = "".join(
        f'<li class="k{k}"><i class="swatch"></i>{esc(class_name(k))}'
        f"{'' if k in boxed else ' <small>(not in the slice)</small>'}</li>"
        for k in named(item)
    )
    others = [class_name(k) for k in np.unique(segmap[segmap > 0]).tolist() if k not in named(item)]
    more = ""
    if others:
        more = (
            f"<details><summary>{len(others)} other classes in the slice</summary>"
            f'<p class="meta">{esc(", ".join(others))}</p></details>'
        )
    return (f'<ul class="legend">{rows}</ul>' if rows else "") + more


def _said(item: Item, lang: str, text: Mapping[str, Any]) -> str:
    made = item.get("provenance", {}).get(lang, {})
    context = " · ".join(
        f"{name}: {text[name]}" for name in ("clinical", "indication") if text.get(name)
    )
    return (
        f'<h4>{esc(lang)}</h4><p class="words" lang="{esc(lang)}">{_words(text, lang)}</p>'
        + (f'<p class="meta">{esc(context)}</p>' if context else "")
        + _provenance(made)
    )


def _words(text: Mapping[str, Any], lang: str) -> str:
    # The sentence with the phrases that the loaders of the data set would mark.
    sentence, given = text["sentence"], [(k, number) for k, _, number in text["keywords"]]
    placed, left_out = placing.place(sentence, given, lang)
    spans = [markup.Mention(phrase, number, start=at) for phrase, number, at in placed]
    same: dict[tuple[str, int | None], dict[int, str]] = {}  # "both kidneys" names two classes.
    for phrase, number, at in placed:
        same.setdefault((phrase, at), {})[number] = class_name(number)
    entities = [
        {"span": (a, b), "class_id": m.class_id,
         "class_name": ", ".join(same[m.keyword, m.start].values())}
        for a, b, m in markup.locate(sentence, spans, mode="masks")
    ]  # fmt: skip
    marked = mark_entities(sentence, entities, lambda e: f"k{e['class_id']}")
    if not left_out:
        return marked
    return f"{marked} <small>(place unknown: {esc(', '.join(left_out))})</small>"


def _provenance(made: Mapping[str, Any]) -> str:
    if not made:
        return ""
    link = made.get("link", "")
    said = [card.LINKS.get(link, link)]
    where = [f"line {made['line']} of the manifest"] if "line" in made else []
    where += [str(made["section"])] * bool(made.get("section"))
    if made.get("sentence") is not None:
        where.append(f"sentence {made['sentence']}")
    said += [", ".join(where), "rewritten" * bool(made.get("rewritten"))]
    scrubbed = ", ".join(f"{n} {kind}" for kind, n in sorted(made.get("scrubbed", {}).items()))
    said += [f"taken out: {scrubbed}"] if scrubbed else []
    mentions = made.get("mentions", ())
    lost = [m["keyword"] for m in mentions if not m.get("kept")]
    denied = [m["keyword"] for m in mentions if m.get("negated")]
    said += [f"named, but without a mark: {', '.join(lost)}"] if lost else []
    said += [f"denied at: {', '.join(denied)}"] if denied else []
    doubt = '<span class="tag doubt">proposed link</span> ' if link == "proposed" else ""
    return f'<p class="meta">{doubt}{esc("; ".join(filter(None, said)))}</p>'


def _segmentation(item: Item) -> str:
    made = item.get("segmentation", {})
    return " ".join(filter(None, (made.get(k) for k in ("source", "version", "task")))) or "unknown"
