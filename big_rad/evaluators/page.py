"""One self-contained HTML page of a run: facts, scores with controls, and samples to look at.

Everything is inline and every text is escaped, since texts come from data and from a model. Knows
records and metrics; knows no model and reads no dataset.
"""

import dataclasses
import html
import math
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from big_rad import checkpoint, metric_writer
from big_rad.evaluators import draw, page_style

Record = Mapping[str, Any]
ImageOf = Callable[[int], np.ndarray]
CONTROLS = ("none", "blank", "shuffled")
# Metrics that a page shows, best first; `n` and the like stand in the caption.
HEADLINES = {
    "grounded": (
        ("g_iou", "G-IoU"),
        ("f1", "entity F1"),
        ("f1_iou50", "entity F1 at IoU 0.5"),
        ("mean_iou", "mean IoU of matched boxes"),
        ("report_f1", "text F1"),
        ("valid_markup", "valid markup"),
        ("hallucination_rate", "boxes where there are none"),
    ),
    "vqa": (
        ("f1", "F1"),
        ("recall", "recall"),
        ("accuracy", "accuracy"),
        ("accuracy_yes_no", "accuracy, yes/no"),
        ("accuracy_multiple", "accuracy, multiple choice"),
        ("accuracy_closed", "accuracy, closed"),
        ("f1_open", "F1, open"),
        ("accuracy_open", "accuracy, open"),
    ),
}
_TITLES = {  # of the evaluators' usual names, in the page's order
    "report": "Reports with boxes",
    "detect": "Organs detected by name",
    "vqa": "Visual question answering",
}
_LOWER_IS_BETTER = ("hallucination_rate",)
_MAIN_SCORE = {"grounded": "g_iou", "vqa": "f1"}


@dataclasses.dataclass
class Section:
    """One evaluator's part of the page, with its controls.

    Attributes:
        title: heading.
        kind: "grounded" (cards with boxes) or "vqa" (a table of questions).
        results: control -> {metric: value}; "none" is the real image.
        records: the samples of the real images, see `generate.Evaluator`.
        image: index of a record -> the model's input image f32 [H, W, 3].
        note: a sentence under the heading.
    """

    title: str
    kind: str
    results: Mapping[str, Mapping[str, float]]
    records: Sequence[Record]
    image: ImageOf
    note: str = ""


def write(
    path: str | pathlib.Path,
    summary: Mapping[str, Any],
    sections: Sequence[Section],
    *,
    per_group: int = 3,
    seed: int = 0,
) -> pathlib.Path:
    """Writes the page.

    Args:
        path: the HTML file.
        summary: `title`; optionally `lead` (a sentence), `facts` {name: value} (steps, seconds),
            `loss` [(step, value), ...], drawn as a line, and `footer` (versions).
        sections: in order.
        per_group: how many best, worst and random samples a section shows.
        seed: of the random choice.

    Returns:
        The path.
    """
    parts = [_head(summary), _loss(summary.get("loss") or ())]
    parts += [_scores(sections)] if sections else []
    for number, section in enumerate(sections):
        body = _vqa_body if section.kind == "vqa" else _grounded_body
        note = f'<p class="note">{_esc(section.note)}</p>' if section.note else ""
        parts.append(
            f'<section id="s{number}"><h2>{_esc(section.title)}</h2>{note}'
            f"{body(section, per_group, seed)}</section>"
        )
    if summary.get("footer"):
        parts.append(f'<footer class="note">{_esc(summary["footer"])}</footer>')
    title = _esc(summary.get("title", "RadGrounder"))
    text = page_style.DOCUMENT.format(title=title, style=page_style.CSS, body="\n".join(parts))
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def write_run(
    workdir: str | pathlib.Path,
    summary: Mapping[str, Any],
    metrics: Mapping[str, float],
    config: Mapping[str, Any],
    evals: Mapping[str, Any],
) -> pathlib.Path:
    """Writes the page of a run that has just been evaluated, as `<workdir>/report.html`.

    Args:
        workdir: the run directory; the loss is read from its `metrics.jsonl`.
        summary: facts in front, such as `steps` and `seconds`; scores that the config picks out
            for the summary are left to the table.
        metrics: `<evaluator>/<metric>` -> value, of the last evaluation.
        config: the run's config; reads `seed`, `codec` and `summary`.
        evals: name -> evaluator that has run.
    """
    workdir = pathlib.Path(workdir)
    results: dict[str, dict[str, float]] = {name: {} for name in evals}
    for key, value in metrics.items():
        name, _, metric = key.partition("/")
        results.setdefault(name, {})[metric] = value
    log = workdir / "metrics.jsonl"
    rows = metric_writer.read(log) if log.is_file() else []
    in_table = config.get("summary") or {}
    facts = {k.replace("_", " "): _number(v) for k, v in summary.items() if k not in in_table}
    facts |= {"seed": config.get("seed", "–"), "box codec": _codec_name(config.get("codec"))}
    versions = " · ".join(f"{k} {v}" for k, v in checkpoint.versions().items())
    return write(
        workdir / "report.html",
        {
            "title": f"RadGrounder: {workdir.resolve().name}",
            "facts": facts,
            "footer": versions,
            "loss": [(r["step"], r["training_loss"]) for r in rows if "training_loss" in r],
        },
        sections_of(evals, results),
    )


def sections_of(
    evaluators: Mapping[str, Any], results: Mapping[str, Mapping[str, float]]
) -> list[Section]:
    """Groups evaluators that ask the same questions with real and control images.

    Args:
        evaluators: name -> evaluator that has run.
        results: name -> {metric: value}, as the evaluator yielded.
    """
    sections = []
    for name, evaluator in evaluators.items():
        if evaluator.control != "none" or evaluator.type not in HEADLINES:
            continue
        same = {
            e.control: results[n]
            for n, e in evaluators.items()
            if e.data is evaluator.data and e.type == evaluator.type and n in results
        }
        sections.append(
            Section(
                title=_TITLES.get(name, name.replace("_", " ").strip().capitalize()),
                kind=evaluator.type,
                results=same,
                records=evaluator.records,
                image=evaluator.image,
            )
        )
    order = list(_TITLES.values())
    return sorted(sections, key=lambda s: order.index(s.title) if s.title in order else len(order))


def choose(
    records: Sequence[Record], score: str, per_group: int, seed: int = 0
) -> dict[str, list[Record]]:
    """Picks samples: best and worst by a score, and random ones among the rest.

    Returns:
        {"best", "worst", "random"}: disjoint lists of at most `per_group` records; the ones
        without the score can only be random ones.
    """
    scored = [r for r in records if r["scores"].get(score) is not None]
    ranked = sorted(scored, key=lambda r: -r["scores"][score])  # stable: equal ones in data order
    best = ranked[: min(per_group, (len(ranked) + 1) // 2)]
    worst = [r for r in ranked[len(best) :][::-1][:per_group]]
    used = {r["index"] for r in best + worst}
    rest = [r for r in records if r["index"] not in used]
    order = np.random.default_rng(seed).permutation(len(rest))[:per_group]
    return {"best": best, "worst": worst, "random": [rest[i] for i in sorted(order)]}


def mark_entities(text: str, entities: Sequence[Record], css_class: str) -> str:
    """Returns escaped text with the entities' phrases in <mark>; entities that overlap are left."""
    parts, end = [], 0
    for entity in sorted(entities, key=lambda e: e["span"]):
        a, b = entity["span"]
        if a < end or b > len(text):
            continue
        title = entity["class_name"] or f"class {entity['class_id']}"
        parts += [_esc(text[end:a]), f'<mark class="{css_class}" title="{_esc(title)}">']
        parts += [_esc(text[a:b]), "</mark>"]
        end = b
    return "".join(parts) + _esc(text[end:])


def _esc(x: Any) -> str:
    return html.escape(str(x), quote=True)


def _number(x: Any) -> str:
    if x is None or (isinstance(x, float) and not math.isfinite(x)):
        return "–"
    if isinstance(x, bool) or not isinstance(x, int | float | np.number):
        return _esc(x)
    if abs(x) > 1:
        return f"{float(x):.1f}".removesuffix(".0")
    return f"{float(x):.3f}"


def _codec_name(codec: Any) -> str:
    if not hasattr(codec, "items"):
        return str(codec or "–")
    grid = f"(grid={codec['grid']})" if codec.get("grid") else ""
    return codec.get("name", "–") + grid


def _head(summary: Mapping[str, Any]) -> str:
    facts = "".join(
        f"<div><dt>{_esc(k)}</dt><dd>{_esc(v)}</dd></div>"
        for k, v in (summary.get("facts") or {}).items()
    )
    lead = summary.get("lead", "")
    return (
        f"<header><h1>{_esc(summary.get('title', 'RadGrounder'))}</h1>"
        + (f'<p class="lead">{_esc(lead)}</p>' if lead else "")
        + '<p class="warn">Research software. Not for diagnostic use.</p>'
        + (f'<dl class="facts">{facts}</dl>' if facts else "")
        + "</header>"
    )


def _loss(points: Sequence[Sequence[float]]) -> str:
    points = [(float(s), float(v)) for s, v in points if v is not None and math.isfinite(v)]
    if len(points) < 2:
        return ""
    steps, values = [p[0] for p in points], [p[1] for p in points]
    width, height = 900.0, 160.0
    top = max(values) or 1.0
    span = max(steps[-1] - steps[0], 1e-9)
    line = " ".join(
        f"{(s - steps[0]) / span * width:.1f},{height * (1 - v / top):.1f}" for s, v in points
    )
    return (
        "<section><h2>Training loss</h2><figure>"
        f'<svg class="loss" viewBox="0 0 {width:.0f} {height:.0f}" preserveAspectRatio="none" '
        f'role="img" aria-label="training loss"><polyline points="{line}"/></svg>'
        f"<figcaption>{values[0]:.3f} at step {steps[0]:.0f}, {values[-1]:.3f} at step "
        f"{steps[-1]:.0f}; the axis runs from 0 to {top:.3f}.</figcaption></figure></section>"
    )


def _scores(sections: Sequence[Section]) -> str:
    rows = []
    for number, section in enumerate(sections):
        real = section.results.get("none", {})
        rows.append(
            f'<tr class="group"><th colspan="5" scope="rowgroup"><a href="#s{number}">'
            f"{_esc(section.title)}</a> <small>n = {len(section.records)}</small></th></tr>"
        )
        for metric, label in HEADLINES[section.kind]:
            if metric not in real:
                continue
            values = [section.results.get(c, {}).get(metric) for c in CONTROLS]
            cells = "".join(f"<td>{_number(v)}</td>" for v in values)
            gain = _gain(metric, values)
            rows.append(f'<tr><th scope="row">{_esc(label)}</th>{cells}<td>{gain}</td></tr>')
    return (
        '<section><h2>Scores</h2><div class="scroll"><table class="scores"><thead><tr>'
        "<th>metric</th><th>real image</th><th>blank</th><th>shuffled</th>"
        '<th title="real image minus the better of the two controls">difference</th>'
        f'</tr></thead><tbody>{"".join(rows)}</tbody></table></div><p class="note">Blank: the same '
        "questions with an empty image. Shuffled: with another patient's image. The difference is "
        "to the better of the two: a model that looks at the image loses its score without it."
        "</p></section>"
    )


def _gain(metric: str, values: Sequence[float | None]) -> str:
    real, *controls = [v if v is None or math.isfinite(v) else None for v in values]
    controls = [v for v in controls if v is not None]
    if real is None or not controls or metric in _LOWER_IS_BETTER:
        return "–"
    gain = real - max(controls)
    css_class = "same" if abs(gain) < 5e-4 else "up" if gain > 0 else "down"
    return f'<b class="{css_class}">{gain:+.3f}</b>'


def _grounded_body(section: Section, per_group: int, seed: int) -> str:
    groups = choose(section.records, _MAIN_SCORE["grounded"], per_group, seed)
    parts = [
        '<p class="legend"><span class="key ref"></span> reference '
        '<span class="key pred"></span> prediction</p>'
    ]
    for title, records in groups.items():
        if records:
            cards = "".join(_card(section, r) for r in records)
            parts.append(f'<h3>{title.capitalize()}</h3><div class="cards">{cards}</div>')
    return "".join(parts)


def _card(section: Section, record: Record) -> str:
    boxes = record["boxes"]
    marks = [draw.reference(e["box_pixels"], _name(e)) for e in boxes["reference"] if _drawn(e)]
    marks += [draw.prediction(e["box_pixels"], _name(e)) for e in boxes["prediction"] if _drawn(e)]
    pixels = draw.displayable(section.image(record["index"]), record["modality"])
    uri = draw.data_uri(draw.overlay(pixels, marks))
    labels = dict(HEADLINES[section.kind])
    chips = "".join(
        f"<span>{_esc(labels.get(k, k))} <b>{_number(v)}</b></span>"
        for k, v in record["scores"].items()
        if v is not None
    )
    where = " · ".join(filter(None, (record["modality"], record["plane"], record["lang"])))
    reference = mark_entities(record["reference_text"], boxes["reference"], "ref")
    prediction = mark_entities(record["prediction_text"], boxes["prediction"], "pred")
    return (
        f'<article class="card"><img src="{uri}" alt="{_esc(where)} slice with boxes" '
        f'loading="lazy"><div class="text"><p class="meta">{_esc(where)} '
        f'<code>{_esc(record["id"])}</code></p><p class="prompt">{_esc(record["prompt"].strip())}'
        f"</p><h4>Reference</h4><p>{reference or '–'}</p><h4>Prediction</h4>"
        f'<p>{prediction or "–"}</p><p class="chips">{chips}</p></div></article>'
    )


def _drawn(entity: Record) -> bool:
    # A model can write inverted boxes; those have no rectangle.
    box = entity["box_pixels"]
    return box is not None and box[0] < box[2] and box[1] < box[3]


def _name(entity: Record) -> str:
    return (entity["class_name"] or entity["phrase"]).replace("_", " ")[:32]


def _vqa_body(section: Section, per_group: int, seed: int) -> str:
    wrong = [r for r in section.records if not r["scores"]["accuracy"]]
    right = [r for r in section.records if r["scores"]["accuracy"]]
    rng = np.random.default_rng(seed)
    rows = []
    for records in (right, wrong):
        order = sorted(rng.permutation(len(records))[: 2 * per_group])
        rows += [_vqa_row(section, records[i]) for i in order]
    return (
        '<table class="vqa"><thead><tr><th>image</th><th>question</th><th>reference</th>'
        f"<th>prediction</th><th>scores</th></tr></thead><tbody>{''.join(rows)}</tbody></table>"
    )


def _vqa_row(section: Section, record: Record) -> str:
    pixels = draw.displayable(section.image(record["index"]), record["modality"])
    uri = draw.data_uri(draw.overlay(pixels, min_side=160), colours=64)
    right = bool(record["scores"]["accuracy"])
    verdict = '<b class="up">✓ right</b>' if right else '<b class="down">✗ not exact</b>'
    kind = " · ".join(filter(None, (record["question_type"], record["modality"], record["lang"])))
    return (
        f'<tr><td data-label="image"><img src="{uri}" alt="{_esc(kind)}" loading="lazy"></td>'
        f'<td data-label="question"><p class="prompt">{_esc(record["prompt"].strip())}</p>'
        f'<p class="meta">{_esc(kind)} <code>{_esc(record["id"])}</code></p></td>'
        f'<td data-label="reference">{_esc(record["reference_text"]) or "–"}</td>'
        f'<td data-label="prediction">{_esc(record["prediction_text"]) or "–"}</td>'
        f'<td data-label="scores">{verdict}<br><small>F1 {_number(record["scores"]["f1"])}</small>'
        "</td></tr>"
    )
