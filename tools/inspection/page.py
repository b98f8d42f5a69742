"""Writes the page of `tools.inspect_data`: counts of what the model sees, and examples below them.

It shows the inspections of `stats`. The page is one file. Every text is escaped, because texts come
from data, and the id is all that is shown of an example's origin.
"""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from big_rad.pages import style as page_style
from big_rad.pages.parts import esc, header, save
from tools.inspection import example as inspect_example
from tools.inspection import stats as inspect_stats
from tools.inspection.rows import class_name
from tools.inspection.stats import Inspection

_BAD_SHOWN = 50
_FOLD = 24  # How many classes a table shows; the others are folded away.


def write(
    path: str | pathlib.Path, title: str, facts: Mapping[str, Any], parts: Sequence[Inspection]
) -> pathlib.Path:
    """Writes the page.

    Args:
        path: the HTML file.
        title: the heading.
        facts: {name: value} of the config, shown below the heading.
        parts: the inspections of datasets or evaluations, in their order on the page.

    Returns:
        The path of the page.
    """
    lead = (
        "Every picture, prompt, target and box below is read back from the arrays that the model "
        "gets, not from the data set."
    )
    body = [header({"title": title, "lead": lead, "facts": facts})]
    if len(parts) > 1:
        links = (f'<a href="#d{i}">{esc(p.name)}</a>' for i, p in enumerate(parts))
        body.append(f'<nav aria-label="datasets">{"".join(links)}</nav>')
    body += [_part(f"d{i}", part) for i, part in enumerate(parts)]
    return save(path, title, body, page_style.INSPECT)


def _part(anchor: str, part: Inspection) -> str:
    what = "evaluation, rows without the answer" if part.evaluation else "training"
    sections = [_counts(part), _bad(part)]
    if part.rows:
        cards = "".join(inspect_example.card(i + 1, row) for i, row in enumerate(part.rows))
        sections.append(f"<h3>Examples</h3>{inspect_example.LEGEND}{cards}")
    pp = esc(part.pp.replace("|", "\n| "))
    boxes = "".join(_fact(k, v) for k, v in inspect_stats.facts(part).items())
    return (
        f'<section id="{anchor}"><h2>{esc(part.name)} <small>{what}</small></h2>'
        f'<dl class="facts">{boxes}</dl>'
        f"<details><summary>Preprocessing</summary><pre>{pp}</pre></details>"
        f"{''.join(sections)}</section>"
    )


def _fact(name: str, value: str) -> str:
    return f"<div><dt>{esc(name)}</dt><dd>{esc(value)}</dd></div>"


def _counts(part: Inspection) -> str:
    c = part.counts
    if not c.rows:
        return '<p class="warned">No example could be used.</p>'
    lengths = [
        _histogram("Tokens a row", c.row_tokens, part.buckets),
        _histogram("Tokens a text", c.text_tokens),
    ]
    yes_no = {"asked for": c.grounded, "not asked for": c.texts - c.grounded}
    shares = [
        _table("Tasks", c.tasks),
        _table("Languages", c.langs),
        _table("Modalities (rows)", c.modalities),
        _table("What report prompts tell of the patient", c.styles),
        _table("Question types", c.question_types),
        _table("Boxes or masks", yes_no),
        _table("Texts that hold markup", {"yes": c.marked, "no": c.texts - c.marked}),
    ]
    if part.buckets:
        rows = inspect_stats.in_buckets(c.row_tokens, part.buckets, part.length)
        shares.insert(0, _table("Rows a length bucket", dict(rows), order=False))
    left = "".join(
        _classes(title, counter, css)
        for title, counter, css in (
            ("Left out: the slice does not show the class", c.absent, "out"),
            ("Left out: shown, but not marked", c.unmarked, "out"),
        )
        if counter
    )
    left = left or "<p>Left out: nothing. Every keyword asked for is marked.</p>"
    note = (
        '<p class="note">Left out are keywords of texts that ask for boxes or masks, if the class '
        "is not in the slice as augmented, or if the words are cut off, not in the sentence, or "
        "part of a longer keyword.</p>"
    )
    half = -(-len(shares) // 2)
    halves = ["".join(shares[:half]), "".join(shares[half:])]
    return (
        f"<h3>Lengths</h3>{_panels(lengths)}<h3>Shares</h3>{_panels(halves)}"
        f"<h3>Classes</h3>{_panels([_classes('Grounded phrases', c.classes), left + note])}"
    )


def _panels(parts: Sequence[str]) -> str:
    return f'<div class="two">{"".join(f"""<div class="panel">{p}</div>""" for p in parts)}</div>'


def _table(caption: str, counter: Mapping[Any, int], order: bool = True) -> str:
    """Returns a table of values with counts, shares and bars as HTML; "" for an empty counter."""
    total = sum(counter.values())
    if not total:
        return ""
    rows = sorted(counter.items(), key=lambda kv: -kv[1]) if order else counter.items()
    body = "".join(_bar_row(str(k) or "not said", v, total, total) for k, v in rows)
    return f"<table><caption>{esc(caption)}</caption><tbody>{body}</tbody></table>"


def _bar_row(name: str, count: int, total: int, longest: int, css: str = "") -> str:
    width = 100 * count / max(longest, 1)
    return (
        f'<tr><th scope="row">{esc(name)}</th><td class="n">{count:,}</td>'
        f'<td class="n">{count / total:.1%}</td><td class="b">'
        f'<span class="bar {css}" style="width:{width:.1f}%"></span></td></tr>'
    )


def _classes(caption: str, counter: Mapping[int, int], css: str = "") -> str:
    total = sum(counter.values())
    if not total:
        return f"<p>{esc(caption)}: none.</p>"
    ordered = sorted(counter.items(), key=lambda kv: (-kv[1], kv[0]))
    rows = [
        _bar_row(f"{class_name(k) or 'no class'} ({k})", v, total, ordered[0][1], css)
        for k, v in ordered
    ]
    caption = f"{caption}: {total:,} of {len(rows)} classes"
    first = (
        f"<table><caption>{esc(caption)}</caption><tbody>{''.join(rows[:_FOLD])}</tbody></table>"
    )
    if len(rows) <= _FOLD:
        return first
    return (
        f"{first}<details><summary>{len(rows) - _FOLD} more classes</summary>"
        f"<table><tbody>{''.join(rows[_FOLD:])}</tbody></table></details>"
    )


def _histogram(caption: str, counter: Mapping[int, int], buckets: Sequence[int] = ()) -> str:
    bins = inspect_stats.histogram(counter, top=max(buckets, default=0))
    total, highest = sum(counter.values()), max(n for _, _, n in bins)
    width, height, end = 480, 150, bins[-1][1] + 1
    parts = []
    for low, high, n in bins:
        x, w = low / end * width, (high + 1 - low) / end * width
        h = n / highest * height
        parts.append(
            f'<rect x="{x + 0.5:.1f}" y="{height - h:.1f}" width="{w - 1:.1f}" height="{h:.1f}">'
            f"<title>{low} to {high} tokens: {n}</title></rect>"
        )
    for b in buckets:
        x = min(b + 1, end) / end * width
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="-4" y2="{height}"/>')
        parts.append(f'<text class="bucket" x="{x:.1f}" y="-7" text-anchor="middle">{b}</text>')
    step = max(1, len(bins) // 6)
    for low, _, _ in bins[::step]:
        parts.append(f'<text x="{low / end * width:.1f}" y="{height + 15}">{low}</text>')
    middle = _quantile(counter, 0.5)
    words = f"{total:,} in all; half have at most {middle}, the longest has {max(counter)}"
    lines = f"; the lines are the buckets {', '.join(map(str, buckets))}" if buckets else ""
    rows = "".join(
        f'<tr><td>{low} to {high}</td><td class="n">{n:,}</td></tr>' for low, high, n in bins if n
    )
    return (
        f'<figure><svg class="hist" viewBox="0 -20 {width} {height + 40}" role="img" '
        f'aria-label="histogram: {esc(caption)}"><line class="axis" x1="0" x2="{width}" '
        f'y1="{height}" y2="{height}"/>{"".join(parts)}</svg><figcaption><b>{esc(caption)}.</b> '
        f"{words}{lines}.</figcaption></figure><details><summary>The same as a table</summary>"
        f"<table><caption>{esc(caption)}</caption><thead><tr><th>tokens</th><th>how many</th></tr>"
        f"</thead><tbody>{rows}</tbody></table></details>"
    )


def _quantile(counter: Mapping[int, int], share: float) -> int:
    left = share * sum(counter.values())
    for value in sorted(counter):
        left -= counter[value]
        if left <= 0:
            return value
    return max(counter)


def _bad(part: Inspection) -> str:
    if not part.bad:
        return ""
    rows = "".join(
        f"<tr><td><code>{esc(i)}</code></td><td>{esc(reason)}</td></tr>"
        for i, reason in part.bad[:_BAD_SHOWN]
    )
    more = len(part.bad) - _BAD_SHOWN
    note = f'<p class="note">and {more:,} more</p>' if more > 0 else ""
    return (
        '<h3>Bad examples</h3><div class="scroll"><table><caption>Left out, and why</caption>'
        f"<thead><tr><th>id</th><th>reason</th></tr></thead><tbody>{rows}</tbody></table></div>"
        f"{note}"
    )
