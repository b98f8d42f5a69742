"""One self-contained HTML page of a run: facts, scores with controls, and samples to look at.

Everything is inline and every text is escaped, since texts come from data and from a model. Knows
records and metrics; knows no model and reads no dataset.
"""

import dataclasses
import math
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from big_rad import checkpoint, metric_writer
from big_rad.evaluators import draw
from big_rad.evaluators.page_parts import esc, header, mark_entities, number, save
from big_rad.grounding import masks

Record = Mapping[str, Any]
ImageOf = Callable[[int], np.ndarray]
CONTROLS = ("none", "blank", "shuffled")
# Metrics that a page shows, best first; `n` and the like stand in the caption.
HEADLINES = {
    "grounded": (
        ("g_iou", "G-IoU"),
        ("f1", "entity F1"),
        ("f1_iou50", "entity F1 at IoU 0.5"),
        ("mean_iou", "mean IoU of matched entities"),
        ("mean_dice", "mean Dice of matched masks"),
        ("blank_masks", "blank masks"),
        ("report_f1", "text F1"),
        ("valid_markup", "valid markup"),
        ("hallucination_rate", "entities where there are none"),
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
    "report": "Grounded reports",
    "detect": "Organs detected by name",
    "vqa": "Visual question answering",
}
_LOWER_IS_BETTER = ("hallucination_rate", "blank_masks")
_MAIN_SCORE = {"grounded": "g_iou", "vqa": "f1"}


@dataclasses.dataclass
class Section:
    """One evaluator's part of the page, with its controls.

    Attributes:
        title: heading.
        kind: "grounded" (cards with boxes or masks) or "vqa" (a table of questions).
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
    parts = [header(summary), _loss(summary.get("loss") or ())]
    parts += [_scores(sections)] if sections else []
    for i, section in enumerate(sections):
        body = _vqa_body if section.kind == "vqa" else _grounded_body
        note = f'<p class="note">{esc(section.note)}</p>' if section.note else ""
        parts.append(
            f'<section id="s{i}"><h2>{esc(section.title)}</h2>{note}'
            f"{body(section, per_group, seed)}</section>"
        )
    if summary.get("footer"):
        parts.append(f'<footer class="note">{esc(summary["footer"])}</footer>')
    return save(path, summary.get("title", "RadGrounder"), parts)


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
    facts = {k.replace("_", " "): number(v) for k, v in summary.items() if k not in in_table}
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


def _codec_name(codec: Any) -> str:
    if not hasattr(codec, "items"):
        return str(codec or "–")
    grid = f"(grid={codec['grid']})" if codec.get("grid") else ""
    return codec.get("name", "–") + grid


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
    for i, section in enumerate(sections):
        real = section.results.get("none", {})
        rows.append(
            f'<tr class="group"><th colspan="5" scope="rowgroup"><a href="#s{i}">'
            f"{esc(section.title)}</a> <small>n = {len(section.records)}</small></th></tr>"
        )
        for metric, label in HEADLINES[section.kind]:
            if metric not in real:
                continue
            values = [section.results.get(c, {}).get(metric) for c in CONTROLS]
            cells = "".join(f"<td>{number(v)}</td>" for v in values)
            gain = _gain(metric, values)
            rows.append(f'<tr><th scope="row">{esc(label)}</th>{cells}<td>{gain}</td></tr>')
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
    parts.append(_classes(section.results.get("none", {})))
    for title, records in groups.items():
        if records:
            cards = "".join(_card(section, r) for r in records)
            parts.append(f'<h3>{title.capitalize()}</h3><div class="cards">{cards}</div>')
    return "".join(parts)


def _classes(metrics: Mapping[str, float]) -> str:
    # A row for each class that the evaluator yields figures of; none for boxes.
    start = "n_ref_"
    names = [k.removeprefix(start) for k in metrics if k.startswith(start)]
    if not names:
        return ""
    columns = ("n_ref", "n_pred", "matched", "mean_iou", "mean_dice")
    rows = []
    for name in sorted(names, key=lambda n: (-metrics[start + n], n)):
        values = [metrics.get(f"{c}_{name}") for c in columns]
        cells = [f"<td>{v:.0f}</td>" if v is not None else "<td>–</td>" for v in values[:3]]
        cells += [f"<td>{number(v)}</td>" for v in values[3:]]
        rows.append(f'<tr><th scope="row">{esc(name.replace("_", " "))}</th>{"".join(cells)}</tr>')
    return (
        f"<details><summary>By class ({len(names)})</summary>"
        '<div class="scroll"><table class="scores"><thead><tr><th>class</th><th>in references</th>'
        "<th>predicted</th><th>matched</th><th>mean IoU</th><th>mean Dice</th></tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div></details>"
    )


def _card(section: Section, record: Record) -> str:
    boxes = record["boxes"]
    marks = [_mark(draw.reference, e) for e in boxes["reference"] if _drawn(e)]
    marks += [_mark(draw.prediction, e) for e in boxes["prediction"] if _drawn(e)]
    pixels = draw.displayable(section.image(record["index"]), record["modality"])
    uri = draw.data_uri(draw.overlay(pixels, marks))
    labels = dict(HEADLINES[section.kind])
    chips = "".join(
        f"<span>{esc(labels.get(k, k))} <b>{number(v)}</b></span>"
        for k, v in record["scores"].items()
        if v is not None
    )
    where = " · ".join(filter(None, (record["modality"], record["plane"], record["lang"])))
    reference = mark_entities(record["reference_text"], boxes["reference"], "ref")
    prediction = mark_entities(record["prediction_text"], boxes["prediction"], "pred")
    return (
        f'<article class="card"><img src="{uri}" alt="{esc(where)} slice, marked" '
        f'loading="lazy"><div class="text"><p class="meta">{esc(where)} '
        f'<code>{esc(record["id"])}</code></p><p class="prompt">{esc(record["prompt"].strip())}'
        f"</p><h4>Reference</h4><p>{reference or '–'}</p><h4>Prediction</h4>"
        f'<p>{prediction or "–"}</p><p class="chips">{chips}</p></div></article>'
    )


def _mark(make: Callable[..., draw.Mark], entity: Record) -> draw.Mark:
    mark = make(entity["box_pixels"], _name(entity))
    runs = entity.get("mask")
    return mark if runs is None else dataclasses.replace(mark, mask=masks.from_runs(runs))


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
        f'<tr><td data-label="image"><img src="{uri}" alt="{esc(kind)}" loading="lazy"></td>'
        f'<td data-label="question"><p class="prompt">{esc(record["prompt"].strip())}</p>'
        f'<p class="meta">{esc(kind)} <code>{esc(record["id"])}</code></p></td>'
        f'<td data-label="reference">{esc(record["reference_text"]) or "–"}</td>'
        f'<td data-label="prediction">{esc(record["prediction_text"]) or "–"}</td>'
        f'<td data-label="scores">{verdict}<br><small>F1 {number(record["scores"]["f1"])}</small>'
        "</td></tr>"
    )
