"""Writes the page of an evaluation: scores with intervals, curves of the run, and samples.

The page is made from the summary, the samples files and the run directory, without the model and
without the datasets.
"""

import dataclasses
import datetime
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from big_rad.evaluators import spec as spec_lib
from big_rad.evaluators.records import Summary
from big_rad.pages import confidence, score_cards
from big_rad.pages import parts as page_parts
from big_rad.pages import run as run_page
from big_rad.pages import script as page_script
from big_rad.pages import sections as page_sections
from big_rad.pages import style as page_style
from big_rad.workdir import run_dir
from big_rad.workdir import state as run_state

_TITLE = "RadGrounder: evaluation"


def write(
    summary: Summary,
    out: str | pathlib.Path,
    log: Callable[[str], None] = print,
) -> None:
    """Writes `report.html`.

    Args:
        summary: the summary of `big_rad.evaluate`.
        out: the folder of the evaluation, which has the samples in `samples/`.
        log: receives a line if the curves of the run cannot be drawn.

    Raises:
        ValueError: a samples file is broken.
    """
    evals = {name: entry["asked"] for name, entry in summary["evals"].items()}
    results = {name: entry["metrics"] for name, entry in summary["evals"].items()}
    sections = page_sections.sections_of(evals, results, {}, pathlib.Path(out) / "samples")
    parts = [
        page_parts.header({"title": _TITLE, "facts": _facts(summary)}),
        score_cards.html(summary, sections),
        confidence.html(summary, sections),
        page_sections.scores(sections),
        curves(summary["checkpoint"], evals, sections, log),
        page_sections.galleries(sections),
    ]
    style = page_style.RUN + page_style.GALLERY + page_style.TILES + page_style.CONFIDENCE
    page_parts.save(pathlib.Path(out) / "report.html", _TITLE, parts, style, page_script.GALLERY)


def curves(
    checkpoint: str | pathlib.Path,
    evals: Mapping[str, Any],
    sections: Sequence[page_sections.Section],
    log: Callable[[str], None] = print,
) -> str:
    """Returns the training curves of the run of a checkpoint as HTML; "" if it is not of a run.

    Args:
        checkpoint: the checkpoint that was evaluated.
        evals: name -> entry as it was evaluated. The curve of a score over steps is shown only if
            the run itself has an entry of this name with the same data and control.
        sections: the sections of the page.
        log: receives a line if the curves cannot be drawn because the run directory is broken.
    """
    workdir = run_dir.workdir_of(checkpoint)
    if not (workdir / "metrics.jsonl").exists():
        return ""
    try:
        run = run_state.read(workdir)
    except ValueError as e:
        log(f"no curves on the page: {e}")
        return ""
    own = (run.config or {}).get("evals") or {}
    same = {n for n in evals if n in own and _question_key(own[n]) == _question_key(evals[n])}
    kept = []
    for section in sections:
        names = {c: n for c, n in section.names.items() if n in same}
        kept.append(dataclasses.replace(section, names=names))
    return run_page.charts(run, kept)


def _facts(summary: Summary) -> dict[str, str]:
    revision = (summary["revision"] or {}).get("revision", "")
    controls = sum(e["control"] != "none" for e in summary["evals"].values())
    facts = {
        "checkpoint": _checkpoint_name(summary),
        "evaluations": f"{len(summary['evals']) - controls}, and {controls} of controls",
        "not finished": ", ".join(summary["unfinished"]),
        "left out": ", ".join(summary["left_out"]),
        "intervals by": summary["by"],
        "confidence calibrated on": summary.get("calibration") or "",
        "seed": str(summary["seed"]),
        "made": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC",
        "device": summary["device"],
        "revision": revision[:12] or "no checkout",
    }
    return {k: v for k, v in facts.items() if v}


def _checkpoint_name(summary: Summary) -> str:
    path = summary["checkpoint"]
    if summary.get("step") is None:
        return pathlib.Path(path).name
    return f"{run_dir.workdir_of(path).name}, step {summary['step']:,}"


def _question_key(spec: Mapping[str, Any]) -> tuple[str, Any]:
    return spec_lib.data_key(spec), spec_lib.control_of(spec)
