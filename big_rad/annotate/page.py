"""Writes the page of a data set, on which a person sees whether it is right.

    page.write(out / "page.html", items, images_of, rejects, card)

The page is one HTML file without a script and without links to other files. It shows a random
sample, an image of each of the rarest classes, and what was left out. The texts of what was left
out are not shown, since they may not have been de-identified.
"""

import collections
import hashlib
import heapq
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from big_rad.annotate import card_counts, page_slices
from big_rad.annotate.card import SPLITS
from big_rad.annotate.page_slices import Item
from big_rad.pages import parts
from big_rad.pages import series_pictures as pictures
from big_rad.pages.parts import esc

SAMPLE, RARE = 24, 24
MAX_BYTES = 3_800_000
_LONG = 160  # Longer warnings are folded.

_NO_TEXT = (
    "Texts are not shown here, because they may name a person. The numbers are those of the lines "
    "of the manifest, at most five for each reason."
)


def write(
    path: str | Path,
    items: Iterable[Item],
    images: Callable[[str], tuple[np.ndarray, np.ndarray]],
    rejects: Iterable[Mapping[str, Any]],
    card: Mapping[str, Any],
    *,
    sample: int = SAMPLE,
    rare: int = RARE,
    max_bytes: int = MAX_BYTES,
) -> Path:
    """Writes the page of a data set.

    The same data give the same page, whatever the order of the items. The sample is chosen by a
    hash of the ids.

    Args:
        path: the HTML file, whose folder is made if it is missing.
        items: the lines of all images, optionally with their `split`. They are taken one by one.
        images: id of an image -> its values [height, width] in the usual display, HU or MR, and its
            class ids of the same size. It is called for the images that are shown.
        rejects: what was left out, see `card_counts.rejected`.
        card: the dict of `card.make`.
        sample: the number of images in the random sample.
        rare: the number of classes of which an image is shown, those with the fewest images.
        max_bytes: about the largest size of the file. Pictures lose quality if they need more.

    Returns:
        The path of the page.
    """
    chosen, scarce, counts = choose(items, sample, rare)
    packer = pictures.Packer(len(chosen) + len(scarce), max_bytes)
    used: set[int] = set()

    def article(item: Item, tags: list[str]) -> str:
        pixels, segmap = images(item["id"])
        used.update(np.unique(segmap).tolist(), page_slices.named(item))
        return page_slices.article(item, pixels, segmap, packer, tags)

    sections = [
        _section(
            "Random sample",
            f"{len(chosen)} images, chosen by a hash of their ids.",
            [article(item, []) for item in chosen],
        ),
        _section(
            "Rare classes",
            f"One image of each of the {sum(len(numbers) for _, numbers in scarce)} classes with "
            "the fewest images.",
            [article(item, [_scarcity(k, counts[k]) for k in numbers]) for item, numbers in scarce],
        ),
        _left_out(card_counts.rejected(rejects)),
    ]
    title = card.get("title", "Grounded data set")
    body = [
        parts.header({"title": title, "lead": _lead(card), "facts": _facts(card)}),
        _warnings(card),
        _look(),
        *sections,
        f"<footer><p class='note'>{esc(packer.said())}</p></footer>",
    ]
    style = page_slices.STYLE + _WINDOWS + page_slices.colours(used)
    return parts.save(path, str(title), body, style=style)


def choose(
    items: Iterable[Item], sample: int = SAMPLE, rare: int = RARE
) -> tuple[list[Item], list[tuple[Item, list[int]]], dict[int, int]]:
    """Chooses the images of a page.

    Args:
        items: the lines of all images, which are taken one by one.
        sample: see `write`.
        rare: see `write`.

    Returns:
        The random sample; the images of rare classes, each with these classes, the rarest first;
        and {class id: number of images whose phrases name it}.
    """
    # A heap, whose first entry has the largest hash; the count tells entries of one id apart.
    first: list[tuple[int, int, Item]] = []
    counts: collections.Counter[int] = collections.Counter()
    example: dict[int, tuple[int, Item]] = {}
    for count, item in enumerate(items):
        number = int.from_bytes(hashlib.sha256(item["id"].encode()).digest()[:8], "big")
        heapq.heappush(first, (-number, -count, item))
        if len(first) > sample:
            heapq.heappop(first)
        for k in page_slices.named(item):
            counts[k] += 1
            if k not in example or number < example[k][0]:
                example[k] = (number, item)
    shown: dict[str, tuple[Item, list[int]]] = {}
    for k in sorted(counts, key=lambda k: (counts[k], k))[:rare]:
        item = example[k][1]
        shown.setdefault(item["id"], (item, []))[1].append(k)
    return [item for _, _, item in sorted(first, reverse=True)], list(shown.values()), dict(counts)


_WINDOWS = "".join(
    f"main:has(#w{k}:checked) .ct .stage > img {{ filter: url(#look{k}); }}\n"
    for k in range(len(pictures.CT_PRESETS))
)


def _look() -> str:
    # The choice of the CT window and of what is drawn, which works without a script.
    radios, filters = [], []
    for k, (name, level, width) in enumerate(pictures.CT_PRESETS):
        radios.append(
            f'<label title="W {width}, L {level}"><input type="radio" name="window" id="w{k}"'
            f"{'' if k else ' checked'}>{name}</label>"
        )
        table = pictures.table(level, width)
        each = "".join(f'<feFunc{c} type="table" tableValues="{table}"/>' for c in "RGB")
        filters.append(
            f'<filter id="look{k}" color-interpolation-filters="sRGB" x="0" y="0" width="1" '
            f'height="1"><feComponentTransfer>{each}</feComponentTransfer></filter>'
        )
    return (
        f'<svg class="filters" aria-hidden="true">{"".join(filters)}</svg><div class="look">'
        f"<span>CT window:</span>{''.join(radios)}<label><input type='checkbox' id='all'>all masks "
        "of the slice</label><label><input type='checkbox' id='bare'>without marks</label></div>"
    )


def _section(title: str, note: str, articles: list[str]) -> str:
    shown = f'<div class="cards">{"".join(articles)}</div>' if articles else "<p>None.</p>"
    return f'<section><h2>{title}</h2><p class="note">{note}</p>{shown}</section>'


def _scarcity(number: int, count: int) -> str:
    return f"{page_slices.class_name(number)}: {count:,} image{'s' * (count != 1)}"


def _left_out(found: list[dict[str, Any]]) -> str:
    rows = "".join(
        f"<tr><td>{esc(one['stage'])}</td><td>{esc(one['what'])}</td><td>{esc(one['reason'])}</td>"
        f'<td class="num">{one["count"]:,}</td>'
        f"<td>{', '.join(map(str, one['lines']))}</td></tr>"
        for one in found
    )
    heads = "".join(f"<th>{h}</th>" for h in ("stage", "what", "reason", "count", "lines"))
    table = (
        f'<p class="note">{_NO_TEXT}</p><div class="scroll"><table><thead><tr>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )
    return f"<section><h2>What was left out</h2>{table if rows else '<p>Nothing.</p>'}</section>"


def _lead(card: Mapping[str, Any]) -> str:
    said = (
        "Look whether masks lie where the anatomy is, whether left is left, and whether each "
        "sentence is about its slice. R is the patient's right side, L the left, A the front, P "
        "the back, H the head, F the feet."
    )
    return said if card.get("may_be_passed_on") else f"{said} This data set may not be passed on."


def _facts(card: Mapping[str, Any]) -> dict[str, str]:
    given = card.get("splits", {})
    splits = {name: given[name] for name in SPLITS if name in given}
    facts = {
        name: f"{sum(one.get(name, 0) for one in splits.values()):,}"
        for name in ("patients", "studies", "images", "texts")
        if splits
    }
    facts |= {f"images in {name}": f"{one.get('images', 0):,}" for name, one in splits.items()}
    if "leaks" in card:
        facts["leaks between splits"] = f"{card['leaks']['leaks']:,}"
    return facts


def _warnings(card: Mapping[str, Any]) -> str:
    rows = []
    for one in map(str, card.get("warnings", ())):
        short = f"{one[:_LONG]} …"
        folded = f"<details><summary>{esc(short)}</summary>{esc(one)}</details>"
        rows.append(f"<li>{folded if len(one) > _LONG else esc(one)}</li>")
    return f'<ul class="warn">{"".join(rows)}</ul>' if rows else ""
