"""Shows a card for each evaluator: its main score with its interval, overall and for groups.

The intervals come from `summary.intervals`.
"""

from collections.abc import Mapping, Sequence

from big_rad.evaluators import headlines
from big_rad.evaluators import summary as summaries
from big_rad.evaluators.records import Entry, Interval, Intervals, Summary
from big_rad.metrics import bootstrap
from big_rad.pages import sections as page_sections
from big_rad.pages.parts import esc

_GROUPS = {  # Field of a group -> heading of its groups.
    "lang": "language",
    "modality": "modality",
    "question_type": "kind of question",
    "class": "class: mean IoU, 0 where it has no match",
}
_NAMES = {"en": "English", "de": "German", "yesno": "yes/no"}
_MOST = 8  # The number of groups that are shown; the others are folded away.


def html(summary: Summary, sections: Sequence[page_sections.Section]) -> str:
    """Returns the cards as HTML; "" if there are no sections.

    Args:
        summary: the summary of `big_rad.evaluate`.
        sections: the sections of its evaluators, from `sections.sections_of`.
    """
    if not sections:
        return ""
    cards = "".join(_card(summary, s) for s in sections)
    return (
        f'<section><h2>Scores with intervals</h2><div class="tiles">{cards}</div>'
        '<p class="note">Bars are 95 % intervals by bootstrap over what each card names, '
        f"{summary['resamples']:,} resamples; with a single unit no interval is shown. "
        "The thin lines: the same questions with a blank image, another patient's, or the true one "
        "mirrored; and the level of chance, where it is known.</p>"
        "</section>"
    )


def _card(summary: Summary, section: page_sections.Section) -> str:
    evals = summary["evals"]
    entry = evals[section.names["none"]]
    found, labels = entry["intervals"], section.labels()
    mains = section.cls.main
    main = next((m for m in (*mains, *found[""]) if m in found[""]), next(iter(mains), ""))
    label = labels.get(main, main)
    x = found[""].get(main)
    controls = {
        page_sections.CONTROL_NAMES[c]: evals[n]["intervals"][""][main]["mean"]
        for c, n in section.names.items()
        if c != "none" and n in evals and main in evals[n]["intervals"][""]
    }
    chances = section.cls.chances(entry.get("metrics", {}))
    lines = controls | ({"chance": chances[main]} if main in chances else {})
    counted = "" if x is None or x["n"] == entry["n"] else f", {x['n']:,} of them count here"
    graded = headlines.graded(entry.get("metrics", {}))
    graded = f", {graded}" if graded else ""
    by = "" if x is None else _by(entry, summary["by"], x)
    what = f"{entry['dataset']} {entry['split']}, n = {entry['n']:,}{counted}{graded}{by}"
    figure = "–" if x is None else f"{x['mean']:.3f}"
    between = "" if x is None else f"{x['low']:.3f} to {x['high']:.3f}"
    bar = "" if x is None else _bar(x, lines)
    ticks = "".join(
        f'<span class="{esc(c)}"><i></i>{esc(c)} {v:.3f}</span> ' for c, v in lines.items()
    )
    return (
        f'<article class="tile"><h3>{esc(section.title)}</h3><p class="meta">{esc(what)}</p>'
        f'<p class="number"><b>{figure}</b> {esc(label)} <span>{between}</span></p>{bar}'
        f'<p class="ticks">{ticks}</p>{_groups(found, main)}'
        f"<details><summary>All scores</summary>{_table(found[''], labels, chances)}"
        "</details></article>"
    )


def _by(entry: Entry, by: str, x: Interval) -> str:
    # The unit that is resampled, which may differ between the cards of a page.
    return f", intervals by {summaries.unit(entry, by)} ({x['clusters']:,})"


def _groups(found: Intervals, main: str) -> str:
    parts = []
    for field, heading in _GROUPS.items():
        score = "entity_iou" if field == "class" else main
        rows = [
            (group.partition("=")[2], scores[score])
            for group, scores in found.items()
            if group.startswith(f"{field}=") and score in scores
        ]
        if rows:
            rows = sorted(rows, key=lambda r: -r[1]["n"])
            parts.append(f"<h4>By {heading}</h4>{_rows(rows[:_MOST])}")
            if len(rows) > _MOST:
                parts.append(
                    f"<details><summary>{len(rows) - _MOST} more</summary>{_rows(rows[_MOST:])}"
                    "</details>"
                )
    return "".join(parts)


def _rows(rows: Sequence[tuple[str, Interval]]) -> str:
    made = "".join(
        f"<dt>{esc(_NAMES.get(name, name).replace('_', ' '))} <small>{x['n']:,}</small></dt>"
        f"<dd>{_bar(x)}<span>{x['mean']:.2f}</span></dd>"
        for name, x in rows
    )
    return f'<dl class="groups">{made}</dl>'


def _bar(x: Interval, controls: Mapping[str, float] | None = None) -> str:
    # A bar from 0 to 1 with the interval as a band, the mean as a line, and the controls and chance
    # as dashed lines. A score outside this range, such as a loss, gets no bar.
    if x["mean"] > 1 + 1e-6 or x["mean"] < -1e-6:
        return ""
    low, mean, high = (min(max(x[k], 0.0), 1.0) for k in ("low", "mean", "high"))
    lines = "".join(
        f'<i class="control {esc(c)}" style="left:{min(max(v, 0.0), 1.0):.2%}" '
        f'title="{esc(c)} {v:.3f}"></i>'
        for c, v in (controls or {}).items()
    )
    return (
        f'<div class="bar" title="{esc(bootstrap.interval_text(x))}">'
        f'<i class="band" style="left:{low:.2%};'
        f'width:{high - low:.2%}"></i>{lines}<i class="mean" style="left:{mean:.2%}"></i></div>'
    )


def _table(
    scores: Mapping[str, Interval], labels: Mapping[str, str], chances: Mapping[str, float]
) -> str:
    by_chance = {name: f" (chance {x:.3f})" for name, x in chances.items()}
    rows = "".join(
        f'<tr><th scope="row">{esc(labels.get(name, name.replace("_", " ")))}'
        f"{by_chance.get(name, '')}</th>"
        f"<td>{bootstrap.interval_text(x)}</td><td>{x['n']:,}</td></tr>"
        for name, x in scores.items()
    )
    return (
        '<div class="scroll"><table class="scores"><thead><tr><th>score</th><th>mean (95 %)</th>'
        f"<th>samples</th></tr></thead><tbody>{rows}</tbody></table></div>"
    )
