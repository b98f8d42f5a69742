"""Shows one example on the page of `tools.inspect_data`: its images, its texts and its tokens.

Every text is escaped, because texts come from data. The id is all that is shown of an example's
origin.
"""

import re
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from big_rad.grounding import boxes as box_lib
from big_rad.inference import draw
from big_rad.pages.parts import esc, mark_entities
from tools.inspection.rows import Entity, Row, Text, Token, class_name

_THUMB = 224
_TAG = re.compile(r"(<p bbox=(?:<loc\d{4}>)* ?|id=<seg\d{3}>>|</?seg>|</p>)")
LEGEND = (
    '<p class="strip" aria-label="colours of the tokens"><span class="bos"><b>&lt;bos&gt;</b>'
    '</span><span class="prompt"><b>prompt</b></span><span class="separator"><b>newline that ends '
    'the prompt</b></span><span class="target"><b>target: loss</b></span><span class="eos">'
    '<b>&lt;eos&gt;: loss</b></span><span class="pad"><b>padding</b></span></p><p class="note">'
    "Under each piece: its position and its token id. A green line means that the token is "
    "learned. A blank is shown as ␣, a newline as ↵. Of a CT slice in three windows, channel 0 is "
    "the wide window, channel 1 soft tissue, channel 2 brain.</p>"
)


def card(index: int, row: Row) -> str:
    """Returns an example as HTML.

    Args:
        index: the number of the example on the page.
        row: the example.
    """
    where = " · ".join(filter(None, (row.modality, row.plane, row.body_part)))
    own = f" image <code>{esc(row.image_id)}</code>" if row.image_id else ""
    colours = _colours(row)
    texts = "".join(_text(text, colours) for text in row.texts)
    if row.unplaced:
        texts += f'<p class="warned">{row.unplaced} more drawn, but there was no room.</p>'
    return (
        f'<article class="example"><h4>{index}. <code>{esc(row.id)}</code>{own} '
        f'<small>{esc(where)}</small></h4><div class="picture"><div>{_pictures(row, where)}'
        f"</div><div>{texts}</div></div><h5>Tokens</h5>{_strip(row.tokens)}"
        f"{_token_table(row)}</article>"
    )


def marks(row: Row) -> list[draw.Mark]:
    """Returns the marks to draw on the image of a row: each box or mask of its targets once."""
    colours, result = _colours(row), {}
    for text in row.texts:
        for e in text.entities:
            box = e.box
            if e.mask is not None:
                found = box_lib.from_label_map(e.mask.astype(np.uint8))
                box = tuple(map(float, found[1])) if found else None
            if box is not None:
                label = (e.class_name or e.phrase).replace("_", " ")
                same = set(e.phrase.lower().split()) <= set(label.lower().split())
                phrase = "" if same else f"{e.phrase}: "
                mark = draw.Mark(box, f"{phrase}{label}"[:40], colours[e.class_id], mask=e.mask)
                result.setdefault((e.class_id, box), mark)
    return list(result.values())


def _colours(row: Row) -> dict[int, str]:
    ids = dict.fromkeys(e.class_id for text in row.texts for e in text.entities)
    return {k: draw.PALETTE[i % len(draw.PALETTE)] for i, k in enumerate(ids)}


def _pictures(row: Row, where: str) -> str:
    drawn = marks(row)
    names = ", ".join(m.label for m in drawn) or "nothing"
    size = " x ".join(map(str, row.image.shape[:2]))
    pixels = draw.displayable(draw.seen(row.image, row.modality))
    main = draw.overlay(pixels, drawn)
    grey = row.modality in ("CT", "MR") and pixels.ndim == 2
    shown = "channel 1" if grey else "all channels"
    alt = f"{where or 'image'}, with {names} drawn"
    thumbs = []
    for c in range(3):
        channel = row.image[..., c]
        low, high = float(channel.min()), float(channel.max())
        same = c and np.array_equal(channel, row.image[..., 0])
        caption = f"channel {c}: {low:.2f} to {high:.2f}" + (", as channel 0" if same else "")
        thumbs.append(_thumb(_grey(channel, row.image), caption, f"channel {c}, grey"))
    thumbs.append(_thumb(_grey(row.image, row.image), "all three as red, green, blue", "in colour"))
    return (
        f'<figure><img src="{draw.data_uri(main, 128)}" alt="{esc(alt)}" loading="lazy">'
        f"<figcaption>{size} pixels, {shown}; drawn: {esc(names)}</figcaption></figure>"
        f'<div class="channels">{"".join(thumbs)}</div>'
    )


def _grey(x: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Returns a channel as uint8 grey values.

    Black to white is the range 0..1 if all values of the image are in it; otherwise it is the range
    -1..1, extended to the values of the image.

    Args:
        x: the channel, or several channels.
        image: the whole image, which gives the range.
    """
    low, high = float(image.min()), float(image.max())
    low, high = (0.0, 1.0) if low >= 0 and high <= 1.001 else (min(low, -1.0), max(high, 1.0))
    return (np.clip((x - low) / (high - low), 0, 1) * 255 + 0.5).astype(np.uint8)


def _thumb(pixels: np.ndarray, caption: str, alt: str) -> str:
    picture = Image.fromarray(pixels)
    picture.thumbnail((_THUMB, _THUMB))
    uri = draw.data_uri(picture.convert("RGB"), 64)
    return (
        f'<figure><img src="{uri}" alt="{esc(alt)}" loading="lazy">'
        f"<figcaption>{esc(caption)}</figcaption></figure>"
    )


def _text(text: Text, colours: Mapping[int, str]) -> str:
    kinds = [text.task, text.lang, text.question_type]
    kinds += [f"prompt tells: {text.style}"] if text.style else []
    kinds += ["grounded"] if text.grounded else []
    kinds += [f"{text.tokens} tokens"]
    flags = '<span class="warned">cut to fit</span>' if text.cut else ""
    css = {k: f"e{draw.PALETTE.index(c)}" for k, c in colours.items()}
    records = [vars(e) for e in text.entities]
    marked = mark_entities(text.visible, records, lambda e: css[e["class_id"]])
    title = "Target, with markup" if text.answered else "Reference (not in the row)"
    parts = [
        f'<p class="meta">Text {text.segment}: {esc(" · ".join(filter(None, kinds)))} {flags}</p>',
        f'<h5>Prompt</h5><pre class="exact">{_visible_ends(text.prompt)}</pre>',
        f'<h5>{title}</h5><pre class="exact">{_tagged(text.suffix, bool(text.entities))}</pre>',
    ]
    if text.entities:
        rows = "".join(_entity(e, css) for e in text.entities)
        parts.append(
            f"<h5>Visible text</h5><p>{marked}</p>"
            '<div class="scroll"><table class="found"><thead><tr><th>phrase</th><th>class</th>'
            f"<th>where, in pixels</th></tr></thead><tbody>{rows}</tbody></table></div>"
        )
    parts += [
        f'<p class="warned">Left out: {esc(phrase)} = {esc(class_name(k))} ({k}), {reason}</p>'
        for phrase, k, reason in text.left_out
    ]
    parts += [f'<p class="warned">Markup: {esc(p)}</p>' for p in text.problems]
    return f'<div class="text">{"".join(parts)}</div>'


def where_of(entity: Entity) -> str:
    """Returns the box of an entity, or the number of pixels of its mask, as text."""
    if entity.box is not None:
        return ", ".join(f"{c:.1f}".removesuffix(".0") for c in entity.box)
    return "nowhere" if entity.mask is None else f"mask of {int(entity.mask.sum()):,}"


def _entity(e: Entity, css: Mapping[int, str]) -> str:
    return (
        f'<tr><td><span class="swatch {css[e.class_id]}"></span>{esc(e.phrase)}</td>'
        f"<td>{esc(e.class_name or 'none')} ({e.class_id})</td>"
        f'<td class="n">{where_of(e)}</td></tr>'
    )


def _visible_ends(text: str) -> str:
    return esc(text).replace("\n", '<span class="nl">\n</span>')


def _tagged(suffix: str, markup: bool) -> str:
    if not markup:
        return _visible_ends(suffix)
    pieces = _TAG.split(suffix)
    return "".join(
        f'<span class="tag">{esc(p)}</span>' if i % 2 else _visible_ends(p)
        for i, p in enumerate(pieces)
    )


def _piece(token: Token) -> str:
    return token.piece.replace(" ", "␣").replace("\n", "↵")


def _runs(tokens: Sequence[Token]) -> list[list[Token]]:
    """Groups tokens: neighbouring padding into one group, every other token into its own."""
    result: list[list[Token]] = []
    for token in tokens:
        if token.role == "pad" and result and result[-1][0].role == "pad":
            result[-1].append(token)
        else:
            result.append([token])
    return result


def _strip(tokens: Sequence[Token]) -> str:
    parts = []
    for run in _runs(tokens):
        first = run[0]
        if first.role == "bos" and parts:
            parts.append('</p><p class="strip">')
        piece = f"{len(run)} x &lt;pad&gt;" if first.role == "pad" else esc(_piece(first))
        last = f"–{run[-1].position}" if len(run) > 1 else ""
        parts.append(
            f'<span class="{first.role}"><b>{piece}</b><i>{first.position}{last}:{first.id}</i>'
            "</span>"
        )
    return f'<p class="strip">{"".join(parts)}</p>'


def _token_table(row: Row) -> str:
    lines = []
    for run in _runs(row.tokens):
        t = run[0]
        at = f"{t.position}–{run[-1].position}" if len(run) > 1 else t.position
        cells = (at, t.id, _piece(t), t.mask_ar, t.mask_loss, t.segment)
        lines.append(f'<tr class="{t.role}">{"".join(f"<td>{esc(c)}</td>" for c in cells)}</tr>')
    return (
        f"<details><summary>All {len(row.tokens)} positions as a table</summary>"
        '<div class="scroll"><table class="tokens"><caption>Tokens of '
        f"{esc(row.id)}</caption><thead><tr><th>position</th><th>id</th><th>piece</th>"
        "<th>mask_ar</th><th>mask_loss</th><th>segment</th></tr></thead><tbody>"
        f"{''.join(lines)}</tbody></table></div></details>"
    )
