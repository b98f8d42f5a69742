"""Writes one HTML page of a run: progress, scores, curves, samples, and how it was run.

The page is made from the run directory alone, so it can be written while the run goes on, at its
end, and after it has failed. It is one file, and every text in it is escaped.
"""

import dataclasses
import datetime
import pathlib
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from big_rad.config import recipes as config_lib
from big_rad.evaluators import before_after
from big_rad.evaluators import spec as spec_lib
from big_rad.pages import curves
from big_rad.pages import parts as page_parts
from big_rad.pages import script as page_script
from big_rad.pages import sections as page_sections
from big_rad.pages import style as page_style
from big_rad.pages.parts import esc
from big_rad.workdir import checkpoint, run_dir
from big_rad.workdir import state as run_state
from big_rad.workdir.state import RunState

# Charts of training: title, {metric: label}, whether the axis is logarithmic.
_CHARTS = (
    ("Training loss", {"training_loss": "", "text_loss": "text", "mask_loss": "masks"}, False),
    ("Token accuracy", {"token_accuracy": ""}, False),
    ("Best match in the batch", {"text_accuracy": "texts", "image_accuracy": "images"}, False),
    ("Temperature and bias", {"temperature": "temperature", "bias": "bias"}, False),
    ("Share of texts cut at the context length", {"cut_texts": ""}, False),
    ("Learning rate", {"learning_rate": ""}, False),
    ("Examples a second", {"examples_per_second": ""}, False),
    ("L2 norms", {"l2_grads": "gradient", "l2_params": "parameters", "l2_updates": "update"}, True),
    ("Left out", {"rejected_examples": "examples", "skipped_steps": "steps"}, False),
)
_LISTED = 20  # How many rejected examples and how many skipped steps are listed.


def write(
    workdir: str | pathlib.Path,
    out: str | pathlib.Path | None = None,
    now: datetime.datetime | None = None,
) -> pathlib.Path:
    """Writes the page of a run.

    Args:
        workdir: the run directory.
        out: the HTML file; None is `<workdir>/report.html`.
        now: the time that the page shows as its own; None takes the present time.

    Returns:
        The path of the page.

    Raises:
        ValueError: this is not a run directory, or one of its files is broken.
        OSError: the page cannot be written.
    """
    run = run_state.read(workdir)
    now = now or datetime.datetime.now(datetime.UTC)
    results, steps = run.results()
    evals = (run.config or {}).get("evals") or {}
    sections = page_sections.sections_of(evals, results, steps, run.workdir / "samples")
    kind = "Adapted SigLIP" if _is_siglip(run) else "RadGrounder"
    title = f"{kind}: {run.workdir.resolve().name}"
    parts = [
        page_parts.header({"title": title, "lead": _lead(run, now), "facts": _facts(run)}),
        _failure(run),
        _notes(run),
        page_sections.scores(sections)
        or "<section><h2>Scores</h2><p>No evaluation yet.</p></section>",
        _changes(run),
        charts(run, sections),
        page_sections.galleries(sections),
        _left_out(run),
        _details(run),
        f'<footer class="note">{esc(_footer(run, now))}</footer>',
    ]
    out = run.workdir / "report.html" if out is None else out
    return page_parts.save(
        out, title, parts, page_style.RUN + page_style.GALLERY, page_script.GALLERY
    )


def charts(run: RunState, sections: Sequence[page_sections.Section]) -> str:
    """Returns the curves of a run as HTML.

    Args:
        run: the state of the run.
        sections: the evaluators whose scores are drawn over steps.
    """
    if not run.rows:
        return "<section><h2>Curves</h2><p>No metrics yet.</p></section>"
    again = [s["step"] for s in run.starts[1:]]
    drawn = [
        curves.chart(
            title,
            {label: _points(run.training, name) for name, label in lines.items()},
            log=log,
            marks=again,
        )
        for title, lines, log in _present(run)
    ]
    evaluated, more = _evaluations(run, sections, again)
    folded = (
        f'<details><summary>More scores over steps</summary><div class="charts">{more}</div>'
        "</details>"
        if more
        else ""
    )
    note = (
        '<p class="note">Dashed vertical lines: the run was started again from there.</p>'
        if any(again)
        else ""
    )
    return (
        f'<section><h2>Curves</h2><div class="charts">{"".join(drawn)}{evaluated}</div>'
        f"{note}{folded}</section>"
    )


def _lead(run: RunState, now: datetime.datetime) -> str:
    total = run.total_steps
    of = f" of {total:,}" if total else ""
    if run.ended.get("how") == "failed":
        first = run.ended["why"].partition("\n")[0]
        return f"Failed at step {run.step:,}{of}: {first}"
    if run.finished:
        return f"Finished: all {total:,} steps are done and evaluated."
    if not run.rows:
        return "Not finished: no step has been logged yet."
    if total and run.step >= total:
        return "Not finished: all steps are done, the last evaluation is not."
    ago = page_parts.duration((now - run.written).total_seconds()) if run.written else "?"
    return f"Not finished: step {run.step:,}{of}. The last line was written {ago} ago."


def _failure(run: RunState) -> str:
    # The error of the last start, at the top of the page until a later start does not fail.
    ended = run.ended
    if ended.get("how") != "failed":
        return ""
    when = _when(ended["time"]) if ended.get("time") else ""
    after = f" after step {ended['step']:,}" if ended.get("step") is not None else ""
    head = f"The last start failed{after}{f', {when}' if when else ''}"
    return f"<section><h2>{esc(head)}</h2>{_pre(ended['why'])}</section>"


def _facts(run: RunState) -> dict[str, str]:
    total, rows = run.total_steps, run.training
    facts = {"progress": f"{run.step:,} steps"}
    if total:
        facts["progress"] = f"{run.step:,} of {total:,} steps, {run.step / total:.0%}"
    loss = run_state.last(rows, "training_loss")
    facts["training loss"] = "–" if loss is None else curves.figure(loss)
    rate = run_state.lately(rows, "examples_per_second")
    facts["examples a second"] = curves.figure(rate) if rate else "–"
    tokens = run_state.lately(rows, "tokens_per_second")
    if tokens:
        facts["text tokens a second"] = curves.figure(tokens)
    share, _ = run_state.utilisation(run)
    facts["utilisation (MFU)"] = "not known" if share is None else f"about {share:.0%}"
    facts["time"] = _time(run)
    if total and rate and run.config and not run.finished and run.step < total:
        left = (total - run.step) * run.config.input.batch_size / rate
        facts["steps left at this rate"] = page_parts.duration(left)
    facts["examples left out"] = f"{len(run.rejects):,}"
    facts["steps left out"] = f"{len(run.skipped):,}"
    facts |= _best_step(run)
    if run.starts:
        facts["devices"] = _devices(run.hardware)
    if run.parameters_of:
        size, trained = run.parameters_of.get("all", (0, 0))
        share = "all" if trained == size else f"{trained:,}"
        facts["parameters"] = f"{size:,}, {share} trained"
    if run.config:
        facts["rows a step"] = f"{run.config.input.batch_size:,}"
        facts["seed"] = str(run.config.get("seed", "–"))
        if not _is_siglip(run):
            facts["box codec"] = _codec_name(run.config.get("codec"))
    return facts


def _is_siglip(run: RunState) -> bool:
    return bool(run.config) and run.config.get("model_name") == "two_towers"


def _best_step(run: RunState) -> dict[str, str]:
    # The summary is written at the end of a run. While a run goes on, a summary there is of an
    # earlier end, so the best step is computed from the lines of metrics.jsonl.
    score = (run.config.get("ckpt_best") or "") if run.config else ""
    by = f", by {score}" if score else ""
    if run.finished or not run.config:
        step = run.summary.get("best_step")
        return {} if step is None else {"best step": f"{step:,}{by}"}
    lowest = run.config.get("ckpt_best_mode") == "min"
    best = run_dir.best_of(run.rows, score, lowest) if score else None
    return {} if best is None else {"best step so far": f"{best.step:,}{by}"}


def _notes(run: RunState) -> str:
    share, what = run_state.utilisation(run)
    if share is None:
        text = f"The utilisation is not known: {what}."
    else:
        text = (
            f"The utilisation is useful FLOPs, counted for texts of mean length, over the peak of "
            f"{what}."
        )
    rates = " Rates are medians of the latest lines." if run.training else ""
    return f'<p class="note below">{esc(text + rates)}</p>'


def _time(run: RunState) -> str:
    seconds, steps = run.seconds, run.step_seconds
    if seconds is None:
        return "–" if steps is None else f"about {page_parts.duration(steps)} in steps"
    text = page_parts.duration(seconds)
    if steps is not None and 0 < steps <= seconds:
        text += f", {steps / seconds:.0%} of it in steps"
    return text


def _devices(hardware: Mapping[str, Any]) -> str:
    text = f"{hardware['devices']} x {hardware['device_kind']}"
    memory = hardware.get("device_memory")
    return f"{text}, {memory / 2**30:.0f} GiB each" if memory else text


def _codec_name(codec: str | Mapping[str, Any] | None) -> str:
    if not hasattr(codec, "items"):
        return str(codec or "–")
    grid = f"(grid={codec['grid']})" if codec.get("grid") else ""
    return codec.get("name", "–") + grid


def _changes(run: RunState) -> str:
    tables = before_after.tables(run.changes, (run.config or {}).get("evals") or {})
    if not tables:
        return ""
    step = run.summary.get("reported_step")
    after = "after" if step is None else f"after step {step:,}"
    head = ("score", "before", after, "difference", "patients")
    caption = "The same samples, with 95 % intervals; the difference is paired"
    parts = []
    for table in tables:
        rows = [dataclasses.astuple(line) for line in table.lines]
        body = _table(table.title or caption, head, rows, most=len(rows))
        parts.append(_folded(table.title, body) if table.title else body)
    return f"<section><h2>Before and after</h2>{''.join(parts)}</section>"


def _present(run: RunState) -> list[tuple[str, dict[str, str], bool]]:
    # The charts with the metrics that the run has. A chart with a single line needs no label.
    found = []
    for title, lines, log in _CHARTS:
        kept = {n: s for n, s in lines.items() if any(n in r for r in run.training)}
        if title == "Left out" and not run.rejects and not run.skipped:
            continue
        if len(kept) > 1:
            kept = {n: s or "all" for n, s in kept.items()}
        found.append((title, kept if len(kept) != 1 else dict.fromkeys(kept, ""), log))
    return found


def _evaluations(
    run: RunState, sections: Sequence[page_sections.Section], again: Sequence[int]
) -> tuple[str, str]:
    # Charts of the scores that were evaluated more than once: (first main scores, other scores).
    main, others = [], []
    for section in sections:
        cls = section.cls
        for metric, label in section.labels().items():
            series = {
                page_sections.CONTROL_NAMES[control]: _points(run.rows, f"{name}/{metric}")
                for control, name in section.names.items()
            }
            if max(map(len, series.values()), default=0) < 2:
                continue
            series = {k: v for k, v in series.items() if v}
            series |= _beside(run, cls.stated(metric), len(series))
            chart = curves.chart(f"{section.title}: {label}", series, marks=again)
            (main if metric in cls.main[:1] else others).append(chart)
    return "".join(main), "".join(others)


def _beside(
    run: RunState, score: spec_lib.Score | None, drawn: int
) -> dict[str, list[tuple[int, float | None]]]:
    # The training metric that is drawn together with a score, if a line style is left for it.
    if score is None or not score.beside or drawn >= curves.STYLES:
        return {}
    points = _points(run.training, score.beside)
    return {"training": points} if points else {}


def _points(rows: Sequence[Mapping[str, Any]], name: str) -> list[tuple[int, float | None]]:
    # A step may have several lines, since the chosen step is evaluated again at the end of the
    # run. The last value counts.
    values = {r["step"]: r[name] for r in rows if name in r}
    return sorted(values.items())


def _left_out(run: RunState) -> str:
    if not run.rejects and not run.skipped:
        return ""
    parts = []
    if run.rejects:
        rows = [(r["step"], r["dataset"], r["id"], r["error"], r["reason"]) for r in run.rejects]
        head = ("step", "data set", "id", "error", "reason")
        parts.append(_table(f"Examples that could not be used: {len(rows):,}", head, rows))
    if run.skipped:
        rows = [(r["step"], ", ".join(r["ids"]), r["reason"]) for r in run.skipped]
        head = ("step", "ids of its batch", "reason")
        parts.append(_table(f"Steps whose update was left out: {len(rows):,}", head, rows))
    return f"<section><h2>Left out</h2>{''.join(parts)}</section>"


def _table(
    caption: str, head: Sequence[str], rows: Sequence[Sequence[Any]], most: int = _LISTED
) -> str:
    # If there are more than `most` lines, only the last ones are shown.
    cells = "".join(
        "<tr>" + "".join(f"<td>{esc(x)}</td>" for x in row) + "</tr>" for row in rows[-most:]
    )
    more = f", the last {most}" if len(rows) > most else ""
    names = "".join(f"<th>{esc(h)}</th>" for h in head)
    return (
        f'<div class="scroll"><table class="plain"><caption>{esc(caption + more)}</caption>'
        f"{names and f'<thead><tr>{names}</tr></thead>'}<tbody>{cells}</tbody></table></div>"
    )


def _details(run: RunState) -> str:
    parts = []
    if run.starts:
        parts.append(_folded(f"Starts ({len(run.starts)})", _starts(run)))
        parts.append(_folded("Hardware", _hardware(run.hardware)))
    if run.config:
        parts.append(_folded("Config", _pre(config_lib.to_json(run.config))))
    if run.parameters:
        parts.append(_folded("Parameters", _pre(run.parameters, "table")))
    if run.starts:
        packages = run.starts[-1]["versions"].items()
        text = "\n".join(f"{k} {v}" for k, v in packages)
        parts.append(_folded(f"Packages ({len(packages)})", _pre(text, "columns")))
    return f"<section><h2>What it was run with</h2>{''.join(parts)}</section>" if parts else ""


def _starts(run: RunState) -> str:
    rows = []
    for start in run.starts:
        git = start["git"]
        revision = "no checkout"
        if git:
            revision = git["revision"][:12] + (" with changes" if git["dirty"] else "")
        arguments = shlex.join(start["arguments"])
        hardware = _devices(start["hardware"])
        ended, changed = _ended(start), ", ".join(start.get("changes") or {})
        line = (_when(start["time"]), start["step"], ended, changed, revision, hardware, arguments)
        rows.append(line)
    head = ("time", "from step", "ended", "changed", "revision", "devices", "command line")
    return _table("Each start goes on from the last checkpoint", head, rows)


def _when(time: str) -> str:
    return time.replace("T", " ").replace("+00:00", " UTC")


def _ended(start: Mapping[str, Any]) -> str:
    ended = start.get("ended")
    if not ended:
        return "not known" if "ended" not in start else "no end written: it runs, or was killed"
    after = f" after step {ended['step']:,}" if ended["step"] is not None else ""
    first = ended["why"].partition("\n")[0]
    return f"{ended['how']}{after}" + (f": {first}" if first else "")


def _hardware(hardware: Mapping[str, Any]) -> str:
    rows = []
    for name, value in hardware.items():
        if name in ("memory", "device_memory") and value:
            value = f"{value / 2**30:.1f} GiB"
        rows.append((name.replace("_", " "), "not known" if value in (None, "") else value))
    return _table("Of the last start", (), rows)


def _folded(title: str, body: str) -> str:
    return f"<details><summary>{esc(title)}</summary>{body}</details>"


def _pre(text: str, css_class: str = "") -> str:
    return f'<pre class="{css_class}">{esc(text)}</pre>'


def _footer(run: RunState, now: datetime.datetime) -> str:
    parts = [f"Page of {now:%Y-%m-%d %H:%M} UTC"]
    versions = run.starts[-1]["versions"] if run.starts else {}
    parts += [f"{k} {versions[k]}" for k in ("python", *checkpoint.PACKAGES) if k in versions]
    git = run.starts[-1]["git"] if run.starts else None
    parts += [f"revision {git['revision'][:12]}"] if git else []
    return " · ".join(parts)
