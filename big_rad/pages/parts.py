"""The parts that all pages share: the document, its header, escaped text, figures, marked phrases.

A page is one file, without links to other files. Every text is escaped, because texts come from
data and from a model.
"""

import base64
import hashlib
import html
import itertools
import math
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from big_rad import files
from big_rad.pages import style as page_style

Entity = Mapping[str, Any]  # An entity of a sample or of a prediction.


def save(
    path: str | pathlib.Path,
    title: str,
    parts: Iterable[str],
    style: str = "",
    script: str = "",
) -> pathlib.Path:
    """Writes a self-contained page, atomically.

    Args:
        path: the HTML file, whose folder is made if it is missing.
        title: the title of the window, which is escaped here.
        parts: the parts of the body as HTML, in their order. They are written one by one.
        style: CSS that is added to the CSS of all pages.
        script: JavaScript for the end of the body. The security policy of the page allows no other
            script.

    Returns:
        The path of the page.
    """
    policy = "'none'"
    if script:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        policy = f"'sha256-{digest}'"
        parts = itertools.chain(parts, [f"<script>{script}</script>"])
    head, tail = page_style.DOCUMENT.split("{body}")
    head = head.format(title=esc(title), style=page_style.BASE + style, scripts=policy)
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    texts = itertools.chain([head], (f"{part}\n" for part in parts), [tail.lstrip()])
    files.write_whole(path, (text.encode("utf-8", errors="replace") for text in texts))
    return path


def header(summary: Mapping[str, Any]) -> str:
    """Returns the header of a page as HTML.

    Args:
        summary: `title`, the heading; `lead`, a sentence below it; `facts`, {name: value}; and
            `note`, the warning that the page is not for diagnoses. Each may be missing.
    """
    facts = "".join(
        f"<div><dt>{esc(k)}</dt><dd>{esc(v)}</dd></div>"
        for k, v in (summary.get("facts") or {}).items()
    )
    lead = summary.get("lead", "")
    note = summary.get("note", "Research software. Not for diagnostic use.")
    return (
        f"<header><h1>{esc(summary.get('title', 'RadGrounder'))}</h1>"
        + (f'<p class="lead">{esc(lead)}</p>' if lead else "")
        + f'<p class="warn">{esc(note)}</p>'
        + (f'<dl class="facts">{facts}</dl>' if facts else "")
        + "</header>"
    )


def esc(x: object) -> str:
    """Returns a text that is escaped for HTML, including HTML attributes."""
    return html.escape(str(x), quote=True)


def number(x: object) -> str:
    """Returns a number as text: "0.302", "12.5"; "–" for None, NaN and infinities.

    Values that are not numbers are returned as escaped text.
    """
    if x is None or (isinstance(x, float) and not math.isfinite(x)):
        return "–"
    if isinstance(x, bool) or not isinstance(x, int | float | np.number):
        return esc(x)
    if abs(x) > 1:
        return f"{float(x):.1f}".removesuffix(".0")
    return f"{float(x):.3f}"


def duration(seconds: float) -> str:
    """Returns a duration as text: 8.2 s, 4 min 12 s, 3 h 05 min, 2 d 4 h."""
    if seconds < 60:
        return f"{max(seconds, 0):.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 48 * 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def mark_entities(
    text: str, entities: Sequence[Entity], css_class: str | Callable[[Entity], str]
) -> str:
    """Returns escaped text in which the phrases of entities are in <mark> elements.

    If entities overlap, only the first of them is marked.

    Args:
        text: the plain text.
        entities: dicts with `span`, `class_id` and `class_name`, and optionally `title`, a text
            that is shown instead of the name of the class, and `attributes`, further HTML
            attributes of the <mark>.
        css_class: the CSS class of the marks, or a function that returns it for an entity.
    """
    parts, end = [], 0
    for entity in sorted(entities, key=lambda e: e["span"]):
        a, b = entity["span"]
        if a < end or b > len(text):
            continue
        title = entity.get("title") or entity["class_name"] or f"class {entity['class_id']}"
        more = f" {entity['attributes']}" if "attributes" in entity else ""
        css = css_class(entity) if callable(css_class) else css_class
        parts += [esc(text[end:a]), f'<mark class="{css}" title="{esc(title)}"{more}>']
        parts += [esc(text[a:b]), "</mark>"]
        end = b
    return "".join(parts) + esc(text[end:])
