"""Shows how honest and how useful the model's confidence is, beside that on blank images.

For each evaluator and each kind of answer or place there are a reliability plot, a risk-coverage
curve and a table. The figures come from `evaluators.confidence`.
"""

from collections.abc import Mapping, Sequence

from big_rad.evaluators import confidence_text as words
from big_rad.evaluators import summary as summaries
from big_rad.evaluators.confidence import PLACES
from big_rad.evaluators.records import ConfidenceGroup, Entry, Summary
from big_rad.pages import curves
from big_rad.pages import sections as page_sections
from big_rad.pages.parts import esc

_HEIGHT = 250  # Of both charts, in the units of the picture.
_REAL, _BLANK = "real images", "blank images"
_READING = (
    "<b>Reliability:</b> each dot is a bin of items with similar confidence. On the dotted "
    "diagonal the confidence is honest: of the answers with a confidence of 0.8, eight in ten are "
    "right, and boxes or masks with 0.8 have a mean IoU of 0.8. Dots below the diagonal mean that "
    "the model is too sure; dots above it mean that it could be surer.",
    "<b>Risk and coverage:</b> if only the surest items are accepted, how many of these are wrong? "
    "A useful confidence gives a line that is low at the left and rises to the right. A flat line "
    "means that the confidence does not tell right from wrong.",
    "<b>Blank images</b> show nothing, so the model should be unsure: its dots should be at the "
    "left. Dots at the right mean that it is sure without looking.",
    "<b>Uncalibrated</b> scores are not probabilities. Their order counts, and so do AUROC and "
    "the risk-coverage curve; the distance from the diagonal says only how much a calibration "
    "would change.",
)


def html(summary: Summary, sections: Sequence[page_sections.Section]) -> str:
    """Returns the section of the page as HTML; "" if no evaluator has a confidence.

    Args:
        summary: the summary of `big_rad.evaluate`.
        sections: the sections of its evaluators, from `sections.sections_of`.
    """
    parts = [_evaluator(summary, s) for s in sections]
    if not any(parts):
        return ""
    reading = "".join(f"<li>{x}</li>" for x in _READING)
    return (
        '<section id="confidence"><h2>How sure the model is</h2><p class="note">The model gives a '
        "confidence from 0 to 1 to its answers and to the boxes or masks that it points with. Is "
        "it right as often as it says, and are its wrong answers the less sure ones?</p>"
        f'{"".join(parts)}<h3>How to read this</h3><ul class="reading">{reading}</ul></section>'
    )


def _evaluator(summary: Summary, section: page_sections.Section) -> str:
    # All kinds of one evaluator of real images.
    evals = summary["evals"]
    entry = evals.get(section.names["none"]) or {}
    groups = (entry.get("confidence") or {}).get("groups", ())
    blank = evals.get(section.names.get("blank", ""))
    parts = []
    for group in groups:
        if not group["lang"]:
            same = [g for g in groups if _key(g) == _key(group)]
            parts.append(_kind(summary, section.title, entry, same, blank))
    if parts and (missing := words.without(entry)):
        parts.append(f'<p class="note">{esc(section.title)}: {esc(missing)}</p>')
    return "".join(parts)


def _kind(
    summary: Summary,
    title: str,
    entry: Entry,
    groups: Sequence[ConfidenceGroup],
    blank: Entry | None,
) -> str:
    # One kind: `groups` has the group of all languages first, and then those of each language.
    whole, name = groups[0], words.name(groups[0])
    found = ((blank or {}).get("confidence") or {}).get("groups", ())
    other = next((g for g in found if _key(g) == _key(whole) and not g["lang"]), None)
    drawn = {_REAL: whole} | ({} if other is None else {_BLANK: other})
    noun = summaries.unit(entry, summary["by"])
    notes = [f"Confidence of {name}: {words.verdict(whole, words.patients_of(entry))}."]
    notes += [words.limit(whole)]
    if blank is None:
        notes.append("The questions were not asked about blank images; --controls does this.")
    elif other is None:
        notes.append("With blank images there is nothing of this kind.")
    if whole["resamples"]:
        notes.append(f"95 % intervals by {noun}, {whole['resamples']:,} resamples.")
    said = "".join(f"<p>{esc(note)}</p>" for note in notes if note)
    return (
        f"<h3>{esc(title)}: {esc(name)}</h3>"
        f'<div class="charts">{_reliability(drawn)}{_risk(drawn)}'
        f'<div class="chart said"><p><b>What the figures say</b></p>{said}</div></div>'
        f'<details open><summary>All figures</summary><div class="scroll">'
        f"{_table(groups, other, noun)}</div></details>{_bins(drawn)}"
    )


def _reliability(drawn: Mapping[str, ConfidenceGroup]) -> str:
    # Mean confidence of each bin against its mean outcome.
    frame = curves.Frame(0, 1, 0, 1, height=_HEIGHT)
    parts = [curves.grid(frame, curves.axis(0, 1)[2]), curves.shares(frame)]
    parts.append(
        f'<line class="ideal" x1="{frame.x(0):.1f}" y1="{frame.y(0):.1f}" x2="{frame.x(1):.1f}" '
        f'y2="{frame.y(1):.1f}"/>'
    )
    said = []
    for i, (name, group) in enumerate(drawn.items()):
        points = [(b["score"], b["outcome"]) for b in group["bins"]]
        parts.append(curves.line(frame, points, i, dots=True))
        pairs = ", ".join(f"{curves.figure(a)} has {curves.figure(b)}" for a, b in points)
        said.append(f"{name}: confidence {pairs}")
    group = next(iter(drawn.values()))
    title = "Reliability"
    note = f"across: mean confidence; up: {_outcome(group)}; {_sizes(drawn)}"
    legend = {name: f"n = {g['n']:,}" for name, g in drawn.items()}
    return curves.figure_of(frame, title, legend, parts, f"{title}. {'; '.join(said)}", note)


def _risk(drawn: Mapping[str, ConfidenceGroup]) -> str:
    # The risk if only the surest share is accepted.
    low, high, ticks = curves.axis(0, max(r for g in drawn.values() for _, r in g["curve"]))
    frame = curves.Frame(0, 1, low, high, height=_HEIGHT)
    parts, said, legend = [curves.grid(frame, ticks), curves.shares(frame)], [], {}
    for i, (name, group) in enumerate(drawn.items()):
        points = [(c, r) for c, r in group["curve"]]
        parts.append(curves.line(frame, points, i))
        (a, first), (b, last) = points[0], points[-1]
        said.append(
            f"{name}: {curves.figure(first)} at {curves.figure(a)}, {curves.figure(last)} at "
            f"{curves.figure(b)}"
        )
        x = group["figures"].get("aurc")
        legend[name] = "AURC –" if x is None else f"AURC {x['value']:.3f}"
    title = "Risk by coverage"
    places = next(iter(drawn.values()))["kind"] in PLACES
    risk = "mean of 1 - IoU" if places else "share of wrong ones"
    note = f"across: the share that is accepted, the surest first; up: {risk} among these"
    return curves.figure_of(frame, title, legend, parts, f"{title}. {'; '.join(said)}", note)


def _table(groups: Sequence[ConfidenceGroup], blank: ConfidenceGroup | None, noun: str) -> str:
    columns = {words.language(g): g for g in groups} | ({_BLANK: blank} if blank else {})
    units = [summaries.units(g["clusters"], noun) for g in columns.values()]
    rows = [
        ("n", "", [(f"{g['n']:,}", u) for g, u in zip(columns.values(), units, strict=True)]),
        ("right", _right(groups[0]), [(f"{g['right']:.3f}", "") for g in columns.values()]),
    ]
    for which, (heading, meaning) in words.FIGURES.items():
        if any(which in g["figures"] for g in columns.values()):
            cells = [words.value_and_bounds(g, which) for g in columns.values()]
            rows.append((heading, meaning, cells))
    body = "".join(
        f'<tr><th scope="row">{esc(heading)}<small>{esc(meaning)}</small></th>'
        f"{''.join(f'<td>{esc(x)}<small>{esc(y)}</small></td>' for x, y in cells)}</tr>"
        for heading, meaning, cells in rows
    )
    heads = "".join(f'<th scope="col">{esc(name)}</th>' for name in columns)
    state = words.state(groups[0])
    return (
        f'<table class="scores sure"><thead><tr><th>{esc(state)}</th>{heads}</tr></thead>'
        f"<tbody>{body}</tbody></table>"
    )


def _bins(drawn: Mapping[str, ConfidenceGroup]) -> str:
    # The bins of the reliability plot as numbers, folded.
    rows = "".join(
        f'<tr><th scope="row">{esc(name)}</th><td>{b["score"]:.3f}</td><td>{b["outcome"]:.3f}</td>'
        f"<td>{b['count']:,}</td></tr>"
        for name, group in drawn.items()
        for b in group["bins"]
    )
    outcome = _outcome(next(iter(drawn.values())))
    return (
        '<details><summary>The dots as numbers</summary><div class="scroll">'
        '<table class="scores sure"><thead><tr><th>images</th><th>mean confidence</th>'
        f"<th>{esc(outcome)}</th><th>n</th></tr></thead><tbody>{rows}</tbody></table></div>"
        "</details>"
    )


def _sizes(drawn: Mapping[str, ConfidenceGroup]) -> str:
    # How many items a dot stands for.
    parts = []
    for name, group in drawn.items():
        counts = [b["count"] for b in group["bins"]]
        low, high = f"{min(counts):,}", f"{max(counts):,}"
        parts.append(low if low == high else f"{low} to {high}")
        parts[-1] += f" ({name})" if len(drawn) > 1 else ""
    return f"n of each dot: {', '.join(parts)}"


def _outcome(group: ConfidenceGroup) -> str:
    return "mean IoU" if group["kind"] in PLACES else "share right"


def _right(group: ConfidenceGroup) -> str:
    if group["kind"] in PLACES:
        return "share with an IoU of at least 0.5 with the same class"
    return "share of right answers (accuracy)"


def _key(group: ConfidenceGroup) -> tuple[str, bool]:
    return group["kind"], group["calibrated"]
