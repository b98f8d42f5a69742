"""The sections of a page about evaluations: a table of scores with controls, and samples.

`sections_of` groups each evaluator with its controls; `scores` and `galleries` return the HTML of
these groups. Every text is escaped, because texts come from data and from a model.
"""

import dataclasses
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from big_rad.evaluators import headlines
from big_rad.evaluators import samples as sample_files
from big_rad.evaluators import spec as spec_lib
from big_rad.evaluators.records import Record
from big_rad.pages import gallery
from big_rad.pages.parts import esc, number

CONTROL_NAMES = {
    "none": "real image",
    "blank": "blank",
    "shuffled": "shuffled",
    "mirrored": "mirrored",
}
_WITHOUT = ("blank", "shuffled")  # The controls that do not show the true image.
_CONTROLS = (
    "Blank: the same questions with an empty image. Shuffled: with another patient's image. The "
    "difference is to the better of these two, on so few samples partly chance: a model that looks "
    "at the image loses its score without it."
)
_MIRRORED = (
    " Mirrored: left and right of the image changed, so boxes miss and sides turn wrong in a model "
    "that looks."
)
_NO_SAMPLES = '<p class="note">No samples yet.</p>'


@dataclasses.dataclass
class Section:
    """One evaluator on the page, together with its controls.

    Attributes:
        title: the heading.
        kind: the type of the evaluator.
        results: control -> {metric: value or None}; "none" is the evaluator of real images.
        records: the records of the evaluator of real images, see `base.Evaluator`.
        pixels: index of a record -> the image that the model saw, see `draw.seen`. A record whose
            index is missing is shown without its image.
        step: the step of the results; None if it is not known.
        names: control -> name of the evaluator.
    """

    title: str
    kind: str
    results: Mapping[str, Mapping[str, float | None]]
    records: Sequence[Record]
    pixels: Mapping[int, np.ndarray]
    step: int | None = None
    names: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def cls(self) -> type[spec_lib.Statement]:
        """The class of the evaluator, see `spec.class_of`."""
        return spec_lib.class_of(self.kind)

    def labels(self) -> dict[str, str]:
        """Returns name -> title of the scores that are shown.

        If the class states no scores, because it cannot be imported, all figures of the real images
        are shown under their own names.
        """
        cls = self.cls
        return cls.labels() if cls.scores else {k: k for k in self.results.get("none", {})}


def galleries(sections: Sequence[Section]) -> str:
    """Returns the samples of all sections as HTML, below one filter for all of them.

    The table of `scores` links to each section by its id.
    """
    parts = [gallery.filters((s.records, s.kind) for s in sections)]
    for i, s in enumerate(sections):
        cards = gallery.cards(s.records, s.pixels, s.kind, s.labels())
        legend = gallery.LEGEND + _classes(s.results.get("none", {})) if s.cls.points else ""
        chosen = f"{cards.count('<article ')} of {len(s.records)} samples are shown."
        body = f'<p class="note">{chosen}</p>{legend}{cards}' if cards else _no_cards(s)
        parts.append(f'<section id="s{i}"><h2>{esc(s.title)}</h2>{body}</section>')
    return "".join(parts)


def sections_of(
    evals: Mapping[str, Any],
    results: Mapping[str, Mapping[str, float | None]],
    steps: Mapping[str, int],
    samples_dir: str | pathlib.Path,
) -> list[Section]:
    """Groups each evaluator of real images with its controls.

    Args:
        evals: name -> entry of `config.evals`.
        results: name -> {metric: value} of each evaluator that has run.
        steps: name -> the step of these results.
        samples_dir: the folder of the samples files.

    Returns:
        One section for each evaluator of real images that has results or samples, in the order of
        the page.

    Raises:
        ValueError: a samples file is broken.
    """
    sections = []
    for name, spec in evals.items():
        kind = spec.get("type")
        if spec_lib.control_of(spec) != "none":
            continue
        names = {
            spec_lib.control_of(other): n
            for n, other in evals.items()
            if other.get("type") == kind and spec_lib.data_key(other) == spec_lib.data_key(spec)
        }
        names["none"] = name
        found = {control: results[n] for control, n in names.items() if n in results}
        records, pixels = sample_files.read(samples_dir, name)
        if found or records:
            step = steps.get(name)
            heading = headlines.title(name, kind)
            sections.append(Section(heading, kind, found, records, pixels, step, names))
    return sorted(sections, key=lambda s: headlines.rank(s.names["none"], s.kind))


def scores(sections: Sequence[Section]) -> str:
    """Returns the table of scores as HTML; "" if there are no sections."""
    if not sections:
        return ""
    rows, shown = [], [c for c in CONTROL_NAMES if _is_shown(c, sections)]
    controls = [c for c in shown if c in _WITHOUT]
    for i, section in enumerate(sections):
        real = section.results.get("none", {})
        width = len(shown) + 1 + bool(controls)
        rows.append(
            f'<tr class="group"><th colspan="{width}" scope="rowgroup"><a href="#s{i}">'
            f"{esc(section.title)}</a> <small>{_what(section)}</small></th></tr>"
        )
        for metric, label in section.labels().items():
            if metric not in real:
                continue
            values = {c: section.results.get(c, {}).get(metric) for c in shown}
            cells = "".join(f"<td>{_figure(section.cls, metric, v)}</td>" for v in values.values())
            gain = f"<td>{_gain(section.cls, metric, values)}</td>" if controls else ""
            name = f'<th scope="row" title="{esc(metric)}">{esc(label)}</th>'
            rows.append(f"<tr>{name}{cells}{gain}</tr>")
    heads = "".join(f"<th>{CONTROL_NAMES[c]}</th>" for c in shown)
    heads += '<th title="real minus the better of blank and shuffled">difference</th>' * bool(
        controls
    )
    note = (_CONTROLS if controls else "") + (_MIRRORED if "mirrored" in shown else "")
    return (
        '<section><h2>Scores</h2><div class="scroll"><table class="scores"><thead><tr>'
        f"<th>metric</th>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
        f'<p class="note">{note}</p>{_missing(sections)}</section>'
    )


def _missing(sections: Sequence[Section]) -> str:
    # Explains why figures have the names of metrics.jsonl instead of titles.
    return "".join(
        f'<p class="note">{esc(s.title)}: the figures have their raw names, since the type of this '
        f"evaluator is {esc(s.cls.missing)}.</p>"
        for s in sections
        if s.cls.missing
    )


def _no_cards(section: Section) -> str:
    if section.records and section.cls.groups([]) == {}:
        return f'<p class="note">{len(section.records)} samples, which are not drawn.</p>'
    return _NO_SAMPLES


def _is_shown(control: str, sections: Sequence[Section]) -> bool:
    return control == "none" or any(control in s.results for s in sections)


def _gain(cls: type[spec_lib.Statement], metric: str, values: Mapping[str, float | None]) -> str:
    finite = {k: v for k, v in values.items() if v is not None and math.isfinite(v)}
    real, controls = finite.get("none"), [finite[c] for c in _WITHOUT if c in finite]
    if real is None or not controls or not _higher(cls, metric):
        return "–"
    gain = real - max(controls)
    return f"{gain:+.3f}"


def _figure(cls: type[spec_lib.Statement], metric: str, value: float | None) -> str:
    # A loss may be above 1, where `number` would leave it only one decimal.
    if value is not None and abs(value) > 1 and math.isfinite(value) and cls.lowest(metric):
        return f"{value:.3f}"
    return number(value)


def _higher(cls: type[spec_lib.Statement], metric: str) -> bool:
    # Whether a score is known to be better when it is higher.
    score = cls.stated(metric)
    return score is not None and not score.lowest and not score.count


def _what(section: Section) -> str:
    parts = [] if section.step is None else [f"step {section.step:,}"]
    real = section.results.get("none", {})
    n = real.get("n") or len(section.records)
    parts += [f"n = {n:.0f}"] if n else []
    return ", ".join(parts + ([headlines.graded(real)] if headlines.graded(real) else []))


def _classes(metrics: Mapping[str, float]) -> str:
    # A line for each class with figures of its own, which only evaluators of masks yield.
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
