"""The page of an evaluation: scores with intervals, curves of the run, and samples to look at.

Knows summaries and samples files; knows no model and reads no dataset.
"""

import dataclasses
import datetime
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from big_rad.evaluators import spec as spec_lib
from big_rad.evaluators.records import Summary
from big_rad.pages import parts as page_parts
from big_rad.pages import run as run_page
from big_rad.pages import score_cards
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
        summary: of `big_rad.evaluate`.
        out: the folder, where the samples lie.
        log: receives why there are no curves.

    Raises:
        ValueError: a file of samples that is broken.
    """
    evals = {name: entry["asked"] for name, entry in summary["evals"].items()}
    results = {name: entry["metrics"] for name, entry in summary["evals"].items()}
    sections = page_sections.sections_of(evals, results, {}, pathlib.Path(out) / "samples")
    parts = [
        page_parts.header({"title": _TITLE, "facts": _facts(summary)}),
        score_cards.html(summary, sections),
        page_sections.scores(sections),
        curves(summary["checkpoint"], evals, sections, log),
        page_sections.galleries(sections),
    ]
    style = page_style.RUN + page_style.GALLERY + page_style.TILES
    page_parts.save(pathlib.Path(out) / "report.html", _TITLE, parts, style, page_script.GALLERY)


def curves(
    checkpoint: str | pathlib.Path,
    evals: Mapping[str, Any],
    sections: Sequence[page_sections.Section],
    log: Callable[[str], None] = print,
) -> str:
    """Returns how a run directory was trained, as HTML; "" for other checkpoints, which do not say.

    Args:
        checkpoint: that was evaluated.
        evals: name -> what was asked. Scores over steps are shown only of what the run itself asked
            too.
        sections: of the page.
        log: receives why a broken run has no curves.
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
