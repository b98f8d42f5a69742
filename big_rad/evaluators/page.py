"""What a page says of evaluations: scores with controls, and samples to look at.

Gives HTML in which everything is inline and every text is escaped, since texts come from data and
from a model. Knows records and metrics; knows no model and reads no dataset.
"""

import dataclasses
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from big_rad import evaluators
from big_rad.evaluators import draw
from big_rad.evaluators import samples as sample_files
from big_rad.evaluators.page_parts import esc, mark_entities, number

Record = Mapping[str, Any]
CONTROL_NAMES = {"none": "real image", "blank": "blank", "shuffled": "shuffled"}
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
        ("laterality_entity", "entities of the wrong side"),
        ("laterality_box", "boxes on the other side"),
        ("laterality_text", "texts with the wrong side"),
        ("report_cider", "CIDEr"),
        ("report_rouge_l", "ROUGE-L"),
        ("report_bleu4", "BLEU-4"),
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
_LOWER_IS_BETTER = (
    "hallucination_rate",
    "blank_masks",
    "laterality_entity",
    "laterality_box",
    "laterality_text",
)
_NO_SAMPLES = '<p class="note">No samples yet.</p>'
_NO_PICTURE = '<p class="no-picture">The image of this sample is not in the run directory.</p>'


@dataclasses.dataclass
class Section:
    """One evaluator's part of the page, with its controls.

    Attributes:
        title: heading.
        kind: "grounded" (cards with boxes or masks) or "vqa" (a table of questions).
        results: control -> {metric: value or None}; "none" is the real image.
        records: the samples of the real images, see `generate.Evaluator`.
        pixels: index of a record -> its image to look at, uint8 [H, W] or [H, W, 3]; a record
            without one is shown without.
        step: of the results; None if it is not known.
        names: control -> name of the evaluator.
    """

    title: str
    kind: str
    results: Mapping[str, Mapping[str, float | None]]
    records: Sequence[Record]
    pixels: Mapping[int, np.ndarray]
    step: int | None = None
    names: Mapping[str, str] = dataclasses.field(default_factory=dict)


def galleries(sections: Sequence[Section]) -> str:
    """Returns the samples of all sections as HTML, to which the table of scores links."""
    return "".join(
        f'<section id="s{i}"><h2>{esc(s.title)}</h2>'
        f"{_vqa_body(s) if s.kind == 'vqa' else _grounded_body(s)}</section>"
        for i, s in enumerate(sections)
    )


def sections_of(
    evals: Mapping[str, Any],
    results: Mapping[str, Mapping[str, float | None]],
    steps: Mapping[str, int],
    samples_dir: str | pathlib.Path,
) -> list[Section]:
    """Groups evaluators that ask the same questions with real and control images.

    Args:
        evals: name -> entry of `config.evals`.
        results: name -> {metric: value}, of those that have been run.
        steps: name -> step of these results.
        samples_dir: where their samples lie.

    Raises:
        ValueError: a file of samples that is broken.
    """
    sections = []
    for name, spec in evals.items():
        kind = spec.get("type")
        if (spec.get("control") or "none") != "none" or kind not in HEADLINES:
            continue
        names = {
            other.get("control") or "none": n
            for n, other in evals.items()
            if other.get("type") == kind and evaluators.data_key(other) == evaluators.data_key(spec)
        }
        names["none"] = name
        found = {control: results[n] for control, n in names.items() if n in results}
        records, pixels = sample_files.read(samples_dir, name)
        if found or records:
            step = steps.get(name)
            sections.append(Section(title(name), kind, found, records, pixels, step, names))
    order = list(_TITLES.values())
    return sorted(sections, key=lambda s: order.index(s.title) if s.title in order else len(order))


def title(name: str) -> str:
    """Returns an evaluator's name as a heading."""
    return _TITLES.get(name, name.replace("_", " ").strip().capitalize())


def scores(sections: Sequence[Section]) -> str:
    """Returns the table of scores as HTML; "" without any section."""
    if not sections:
        return ""
    rows = []
    for i, section in enumerate(sections):
        real = section.results.get("none", {})
        rows.append(
            f'<tr class="group"><th colspan="5" scope="rowgroup"><a href="#s{i}">'
            f"{esc(section.title)}</a> <small>{_what(section)}</small></th></tr>"
        )
        for metric, label in HEADLINES[section.kind]:
            if metric not in real:
                continue
            values = [section.results.get(c, {}).get(metric) for c in CONTROL_NAMES]
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


def _what(section: Section) -> str:
    parts = [] if section.step is None else [f"step {section.step:,}"]
    n = section.results.get("none", {}).get("n") or len(section.records)
    return ", ".join(parts + ([f"n = {n:.0f}"] if n else []))


def _grounded_body(section: Section) -> str:
    if not section.records:
        return _NO_SAMPLES
    groups = sample_files.choose(section.records, sample_files.MAIN_SCORE["grounded"])
    parts = [
        '<p class="legend"><span class="key ref"></span> reference '
        '<span class="key pred"></span> prediction</p>'
    ]
    parts.append(_classes(section.results.get("none", {})))
    for group, records in groups.items():
        if records:
            cards = "".join(_card(section, r) for r in records)
            parts.append(f'<h3>{group.capitalize()}</h3><div class="cards">{cards}</div>')
    return "".join(parts)


def _classes(metrics: Mapping[str, float]) -> str:
    # A row for each class that the evaluator yields figures of; none for boxes.
    start = "n_ref_"
    names = [k.removeprefix(start) for k in metrics if k.startswith(start)]
    if not names:
        return ""
    columns = ("n_ref", "n_pred", "matched", "mean_iou", "mean_dice")
    rows = []
    for name in sorted(names, key=lambda n: (-(metrics[start + n] or 0), n)):
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
    labels = dict(HEADLINES[section.kind])
    chips = "".join(
        f"<span>{esc(labels.get(k, k))} <b>{number(v)}</b></span>"
        for k, v in record["scores"].items()
        if v is not None
    )
    where = " · ".join(filter(None, (record["modality"], record["plane"], record["lang"])))
    boxes, picture = record["boxes"], _NO_PICTURE
    if record["index"] in section.pixels:
        uri = draw.data_uri(sample_files.overlay(record, section.pixels[record["index"]]))
        picture = f'<img src="{uri}" alt="{esc(where)} slice, marked" loading="lazy">'
    reference = mark_entities(record["reference_text"], boxes["reference"], "ref")
    prediction = mark_entities(record["prediction_text"], boxes["prediction"], "pred")
    return (
        f'<article class="card">{picture}<div class="text"><p class="meta">{esc(where)} '
        f'<code>{esc(record["id"])}</code></p><p class="prompt">{esc(record["prompt"].strip())}'
        f"</p><h4>Reference</h4><p>{reference or '–'}</p><h4>Prediction</h4>"
        f'<p>{prediction or "–"}</p><p class="chips">{chips}</p></div></article>'
    )


def _vqa_body(section: Section) -> str:
    rows = [_vqa_row(section, r) for r in sample_files.right_and_wrong(section.records)]
    if not rows:
        return _NO_SAMPLES
    return (
        '<table class="vqa"><thead><tr><th>image</th><th>question</th><th>reference</th>'
        f"<th>prediction</th><th>scores</th></tr></thead><tbody>{''.join(rows)}</tbody></table>"
    )


def _vqa_row(section: Section, record: Record) -> str:
    picture = ""
    if record["index"] in section.pixels:
        shown = draw.overlay(section.pixels[record["index"]], min_side=160)
        picture = f'<img src="{draw.data_uri(shown, colours=64)}" alt="" loading="lazy">'
    right = bool(record["scores"]["accuracy"])
    verdict = '<b class="up">✓ right</b>' if right else '<b class="down">✗ not exact</b>'
    kind = " · ".join(filter(None, (record["question_type"], record["modality"], record["lang"])))
    return (
        f'<tr><td data-label="image">{picture}</td>'
        f'<td data-label="question"><p class="prompt">{esc(record["prompt"].strip())}</p>'
        f'<p class="meta">{esc(kind)} <code>{esc(record["id"])}</code></p></td>'
        f'<td data-label="reference">{esc(record["reference_text"]) or "–"}</td>'
        f'<td data-label="prediction">{esc(record["prediction_text"]) or "–"}</td>'
        f'<td data-label="scores">{verdict}<br><small>F1 {number(record["scores"]["f1"])}</small>'
        "</td></tr>"
    )
