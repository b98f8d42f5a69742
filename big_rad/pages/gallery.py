"""Shows samples as cards: the image, boxes or masks linked to phrases, and a filter over all cards.

Boxes and masks are drawn as SVG over the image, so that a phrase and its place can be highlighted
together. A card never shows the id of an example, only the number of the sample in its file. The
cards are readable without the script of the page, which adds the filter, the highlighting and the
choice of CT windows. Every text is escaped.
"""

import functools
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from jaxtyping import Bool

from big_rad.evaluators import samples as sample_files
from big_rad.evaluators import spec as spec_lib
from big_rad.evaluators.records import Entity, Record
from big_rad.grounding import masks
from big_rad.inference import draw
from big_rad.pages import windows
from big_rad.pages.parts import esc, mark_entities, number

_ROLES = {"reference": "ref", "prediction": "pred"}  # The role of a text -> its CSS class.
# These groups are not tags. Instead, `_tagged` tags every sample that has a hallucinated or missed
# entity.
_GROUPS_NOT_TAGS = ("hallucinations", "misses")
_FONT = 16  # The font size of labels on an image whose longer side is 448.
_LETTER = 0.58  # The mean width of a letter as a fraction of the font size.
_NO_PICTURE = '<p class="no-picture">The image of this sample is not in the run directory.</p>'
LEGEND = (
    '<p class="legend"><span class="key ref"></span> reference <span class="key pred"></span> '
    "prediction. Point at a phrase or a mark to see what belongs together.</p>"
)


def cards(
    records: Sequence[Record],
    pixels: Mapping[int, np.ndarray],
    kind: str,
    labels: Mapping[str, str],
) -> str:
    """Returns the chosen samples of an evaluator as HTML, each once; "" if no sample is chosen.

    Args:
        records: the records of all samples, see `base.Evaluator`.
        pixels: index of a sample -> the image that the model saw, see `draw.seen`. A sample whose
            index is missing is shown without its image.
        kind: the type of the evaluator, whose class chooses the samples.
        labels: name of a score -> its label on the page.
    """
    made = [_card(r, tags, pixels, labels) for r, tags in _tagged(records, kind)]
    return f'<div class="cards">{"".join(made)}</div>' if made else ""


def filters(galleries: Iterable[tuple[Sequence[Record], str]]) -> str:
    """Returns the form that filters all cards of a page; "" if the page has no cards.

    Args:
        galleries: the arguments (records, kind) of each call of `cards`.
    """
    found: dict[str, dict[str, str]] = {"tags": {}, "lang": {}, "modality": {}, "classes": {}}
    for records, kind in galleries:
        for record, tags in _tagged(records, kind):
            found["tags"] |= {_token(t): t for t in tags}
            found["lang"] |= {_token(record["lang"]): record["lang"]}
            found["modality"] |= {_token(record["modality"]): record["modality"]}
            names = [e["class_name"] for e in _entities(record) if e["class_name"]]
            found["classes"] |= {_token(n): n.replace("_", " ") for n in names}
    if not found["tags"]:
        return ""
    titles = {"tags": "groups", "lang": "languages", "modality": "modalities"}
    titles = {k: f"all {v}" for k, v in (titles | {"classes": "classes"}).items()}
    selects = "".join(
        f'<select name="{name}" aria-label="{titles[name]}"><option value="">{titles[name]}'
        "</option>"
        + "".join(
            f'<option value="{esc(v)}">{esc(text)}</option>'
            for v, text in (values.items() if name == "tags" else sorted(values.items()))
        )
        + "</select>"
        for name, values in found.items()
        if len({v for v in values if v}) > 1
    )
    return (
        '<form class="filter" hidden><input type="search" name="words" placeholder="search texts"'
        f' aria-label="search texts">{selects}<button type="reset">show all</button>'
        "<output></output></form>"
    )


def _tagged(records: Sequence[Record], kind: str) -> list[tuple[Record, list[str]]]:
    # Each chosen sample once, with its tags: the groups that chose it, and, if answers have boxes
    # or masks, whether it has a hallucinated or a missed entity.
    found: dict[int, tuple[Record, list[str]]] = {}
    for group, members in sample_files.groups(records, kind).items():
        for record in members:
            _, tags = found.setdefault(record["index"], (record, []))
            if group not in _GROUPS_NOT_TAGS:
                tags.append(group)
    if spec_lib.class_of(kind).points:
        for record, tags in found.values():
            tags += ["hallucination"] if sample_files.hallucinated(record) else []
            tags += ["miss"] if sample_files.missed(record) else []
    return list(found.values())


def _card(
    record: Record,
    tags: Sequence[str],
    pixels: Mapping[int, np.ndarray],
    labels: Mapping[str, str],
) -> str:
    what = ("modality", "plane", "lang", "question_type")
    where = " · ".join(filter(None, (str(record.get(k) or "") for k in what)))
    picture = _NO_PICTURE
    if record["index"] in pixels:
        picture = _picture(record, pixels[record["index"]], where)
    reference, prediction = (_text(record, role) for role in _ROLES)
    chips = "".join(
        f"<span>{esc(labels.get(k, k))} <b>{number(v)}</b></span>"
        for k, v in record["scores"].items()
        if v is not None and not k.endswith("_published")
    )
    classes = sorted({e["class_name"] for e in _entities(record) if e["class_name"]})
    badges = "".join(f'<b class="tag {_token(t)}">{esc(t)}</b> ' for t in tags)
    return (
        f'<article class="card" data-tags="{" ".join(map(_token, tags))}" '
        f'data-lang="{_token(record["lang"])}" data-modality="{_token(record["modality"])}" '
        f'data-classes="{" ".join(map(_token, classes))}">{picture}'
        f'<div class="text"><p class="meta">#{record["index"]} {esc(where)} {badges}</p>'
        f'<p class="prompt words">{esc(record["prompt"].strip())}</p>'
        f'<h4>Reference</h4><p class="words">{reference}</p>'
        f'<h4>Prediction</h4><p class="words">{prediction}</p>'
        f'<p class="chips">{chips}</p></div></article>'
    )


def _picture(record: Record, seen: np.ndarray, where: str) -> str:
    # The image with its boxes or masks; for CT also small images of the other windows.
    return windows.picture(seen, f"{where} slice", functools.partial(_marks, record))


def _marks(record: Record, height: int, width: int) -> str:
    unit = max(height, width) / 448
    font, taken, parts = _FONT * unit, [], []
    for role, css in _ROLES.items():
        for entity, attributes in _with_attributes(record, role):
            if not sample_files.is_drawn(entity):
                continue
            text = sample_files.label(entity)
            size = (_LETTER * font * len(text) + 0.4 * font, 1.25 * font)
            x1, y1, x2, y2 = entity["box_pixels"]
            spot = draw.place_label(
                (x1, y1, x2, y2), size, (width, height), taken, role == "prediction"
            )
            taken.append(spot)
            x, y = spot[0] + 0.2 * font, spot[1] + 0.95 * font
            parts.append(
                f'<g class="{css}" {attributes}><title>{esc(_title(entity))}</title>'
                f'{_shape(entity)}<text x="{x:.1f}" y="{y:.1f}" font-size="{font:.2f}">'
                f"{esc(text)}</text></g>"
            )
    return f'<svg viewBox="0 0 {width} {height}">{"".join(parts)}</svg>' if parts else ""


def _shape(entity: Entity) -> str:
    if entity.get("mask"):
        mask = masks.from_runs(entity["mask"])
        return f'<path class="in" d="{_fill_path(mask)}"/><path d="{_outline(mask)}"/>'
    x1, y1, x2, y2 = entity["box_pixels"]
    return f'<rect x="{x1:g}" y="{y1:g}" width="{x2 - x1:g}" height="{y2 - y1:g}"/>'


def _fill_path(mask: Bool[np.ndarray, "height width"]) -> str:
    # A path that fills the mask, with one rectangle for each stretch of pixels in a row.
    return "".join(f"M{x} {y}h{n}v1h-{n}z" for y, x, n in _runs(mask))


def _outline(mask: Bool[np.ndarray, "height width"]) -> str:
    # A path along the edges between the pixels of the mask and the others.
    padded = np.pad(mask, 1)
    horizontal = padded[1:, 1:-1] != padded[:-1, 1:-1]
    vertical = padded[1:-1, 1:] != padded[1:-1, :-1]
    lines = [f"M{x} {y}h{n}" for y, x, n in _runs(horizontal)]
    return "".join(lines + [f"M{x} {y}v{n}" for x, y, n in _runs(vertical.T)])


def _runs(rows: Bool[np.ndarray, "height width"]) -> list[tuple[int, int, int]]:
    # (line, start, length) of each stretch of True within a line of pixels.
    steps = np.diff(np.pad(rows, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    starts, ends = np.argwhere(steps == 1), np.argwhere(steps == -1)
    return [(int(y), int(a), int(b - a)) for (y, a), (_, b) in zip(starts, ends, strict=True)]


def _text(record: Record, role: str) -> str:
    linked = [
        dict(e, attributes=f'{a} tabindex="0"', title=_title(e))
        for e, a in _with_attributes(record, role)
    ]
    return mark_entities(record[f"{role}_text"], linked, _ROLES[role]) or "–"


def _with_attributes(record: Record, role: str) -> list[tuple[Entity, str]]:
    # Each entity with its HTML attributes, by which the script of the page finds what belongs
    # together. `data-entity` is "r" or "p" for the role and the number of the entity, as in "r0";
    # the phrase of an entity and its box or mask share it. `data-class` is the class; entities of
    # the two roles that share it are highlighted together.
    entities = record["boxes"][role]
    return [
        (e, f'data-entity="{role[0]}{k}" data-class="{_token(sample_files.class_of(e))}"')
        for k, e in enumerate(entities)
    ]


def _title(entity: Entity) -> str:
    name = (entity["class_name"] or "unknown class").replace("_", " ")
    return name if entity.get("iou") is None else f"{name}, IoU {entity['iou']:.2f}"


def _entities(record: Record) -> list[Entity]:
    return [e for role in _ROLES for e in record["boxes"][role]]


def _token(text: object) -> str:
    # A text as one word, for HTML attributes that are lists of words.
    return "".join(c if c.isalnum() else "_" for c in str(text))
