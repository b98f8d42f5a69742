"""Writes the page of a search: each query with the images that are nearest to it, and their texts.

Every text is escaped, because texts come from data and from users. Of an image's origin the page
shows its id and a running number for its patient, and of a queried image no name of its file.
"""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from big_rad.pages import script as page_script
from big_rad.pages import style as page_style
from big_rad.pages import windows
from big_rad.pages.parts import esc, header, save
from tools.retrieval.images import Row
from tools.retrieval.queries import Hit, Query

_LANGUAGES = {"en": "English", "de": "German"}
_REJECTS_SHOWN = 100
_LEAD = (
    "A search by embeddings: for each query the images of the data that are nearest to it. The "
    "similarity is the cosine of two embeddings. It orders the images, and is neither a "
    "probability nor a diagnosis: the nearest images need not show what the query names, and "
    "there is always a nearest one."
)
_SHOWN = (
    '<p class="note shown">Images are shown as the model saw them. If the data were built in the '
    "usual display, the patient's right is on the left of axial and coronal slices. The windows of "
    "a CT slice can be exchanged by a click on a small picture.</p>"
)
_STYLE = """
.shown { margin-top: 16px; }
.asked { display: grid; grid-template-columns: minmax(0, 300px) minmax(0, 1fr); gap: 18px;
  margin-bottom: 16px; align-items: start; }
.asked .stage img { width: 100%; height: auto; display: block; background: #000; }
.asked .windows { padding: 8px 0 0; }
.hit { display: flex; justify-content: space-between; align-items: baseline; gap: 10px; }
.hit b { font-size: 1.15rem; font-variant-numeric: tabular-nums; }
.card .words { font-size: .92rem; }
.card ul { margin: 0 0 10px; padding-left: 18px; }
@media (max-width: 640px) { .asked { grid-template-columns: minmax(0, 1fr); } }
"""


@dataclasses.dataclass(frozen=True)
class Result:
    """The result of a query.

    Attributes:
        query: the query.
        hits: the images that were found, the nearest first.
        median: the median of the similarity over all images of the data.
    """

    query: Query
    hits: Sequence[Hit]
    median: float


def write(
    path: str | pathlib.Path,
    results: Sequence[Result],
    rows: Sequence[Row],
    pictures: Mapping[int, np.ndarray],
    facts: Mapping[str, str],
    about: Mapping[str, str],
    rejects: Sequence[Mapping[str, str]],
) -> pathlib.Path:
    """Writes the page.

    Args:
        path: the HTML file.
        results: the results of the queries, in their order.
        rows: all images of the data.
        pictures: number of an image -> what the model saw of it, see `draw.seen`. An image whose
            number is missing is shown without its picture.
        facts: {name: value} of model and data, shown below the heading.
        about: what the index says about itself, see `index`.
        rejects: what could not be read, see `images.Embedded`.

    Returns:
        The path of the page.
    """
    parts = [header({"title": "Search", "lead": _LEAD, "facts": facts}), _SHOWN]
    if len(results) > 1:
        links = (f'<a href="#q{i}">{esc(r.query.title)}</a>' for i, r in enumerate(results))
        parts.append(f'<p class="note">{" · ".join(links)}</p>')
    parts += [_section(i, r, rows, pictures) for i, r in enumerate(results)]
    parts += [_rejects(rejects), _about(about)]
    style = page_style.GALLERY + _STYLE
    return save(path, "Search", parts, style, page_script.GALLERY)


def _section(
    number: int, result: Result, rows: Sequence[Row], pictures: Mapping[int, np.ndarray]
) -> str:
    query = result.query
    notes = "".join(f'<p class="note">{esc(note)}</p>' for note in query.notes)
    said = (
        f'<p class="note">The {len(result.hits)} nearest of {len(rows):,} images. Over all images '
        f"the median of the similarity is {result.median:.4f}.</p>"
    )
    whole = ""
    if query.text and query.text not in query.title:
        whole = f'<p class="prompt">{esc(query.text)}</p>'
    head = whole + notes + said
    if query.seen is not None:
        picture = windows.picture(query.seen, query.title)
        head = f'<div class="asked">{picture}<div>{head}</div></div>'
    cards = "".join(
        _card(place, hit, rows[hit.place], pictures.get(hit.place))
        for place, hit in enumerate(result.hits, 1)
    )
    return (
        f'<section id="q{number}"><h2>{esc(query.title)}</h2>{head}'
        f'<div class="cards">{cards}</div></section>'
    )


def _card(place: int, hit: Hit, row: Row, seen: np.ndarray | None) -> str:
    where = " · ".join(filter(None, (row.modality, row.plane, row.body_part)))
    picture = '<p class="no-picture">The picture of this image cannot be read.</p>'
    if seen is not None:
        picture = windows.picture(seen, f"{where or 'image'}, result {place}")
    return (
        f'<article class="card">{picture}<div class="text"><p class="hit"><span>{place}.</span>'
        f"<span><small>similarity</small> <b>{hit.similarity:.4f}</b></span></p>"
        f'<p class="meta">{esc(where)}</p>{_texts(row)}<p class="meta">patient {row.subject + 1}, '
        f"image <code>{esc(row.image)}</code></p></div></article>"
    )


def _texts(row: Row) -> str:
    if not row.texts:
        return '<p class="note">The data have no report sentence about this image.</p>'
    parts = []
    for lang in dict.fromkeys(lang for lang, _ in row.texts):
        name = _LANGUAGES.get(lang, lang or "Language not known")
        items = "".join(f"<li>{esc(s)}</li>" for k, s in row.texts if k == lang)
        parts.append(f'<h4>{esc(name)}</h4><ul class="words" lang="{esc(lang)}">{items}</ul>')
    return "".join(parts)


def _rejects(rejects: Sequence[Mapping[str, str]]) -> str:
    if not rejects:
        return ""
    body = "".join(
        f"<tr><td><code>{esc(r['image'] or r['example'])}</code></td>"
        f"<td>{esc(r['error'])}: {esc(r['reason'])}</td></tr>"
        for r in rejects[:_REJECTS_SHOWN]
    )
    more = len(rejects) - _REJECTS_SHOWN
    note = f'<p class="note">and {more:,} more; the index lists all</p>' if more > 0 else ""
    return (
        f"<section><h2>Not searched: {len(rejects):,} that could not be read</h2>"
        '<div class="scroll"><table><thead><tr><th>image or example</th><th>reason</th></tr>'
        f"</thead><tbody>{body}</tbody></table></div>{note}</section>"
    )


def _about(about: Mapping[str, str]) -> str:
    lines = "\n".join(f"{k}: {v}" for k, v in about.items() if k != "rejects")
    return (
        "<section><details><summary>What the embeddings depend on</summary>"
        f"<pre>{esc(lines)}</pre></details></section>"
    )
