"""The model card of an export: its README.md, filled from what the run directory says."""

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from big_rad.inference import calibration
from big_rad.weights import hf_export
from big_rad.workdir import run_dir

_FRONT = """\
---
library_name: big_rad
pipeline_tag: image-text-to-text
tags: [radiology, grounding, paligemma]
---
"""
_USE = """\
## Intended use

Research on grounded radiology texts: reports, answers and places on single CT and MR slices, in
English and German. It is **not a medical device and not for diagnosis**. Every output must be
checked by a person who can read the image.

## Limits

- It sees one slice at a time, {side} x {side} pixels large, and not the whole study.
- It answers for data like those it was trained on, see above. Other scanners, protocols, patients
  or languages were not tested unless a row of the table says so.
- It can name what is not there, and leave out what is. A confidence is not a probability unless it
  is calibrated, and a calibration holds for images like those it was made from.
- A score without its controls says little: compare it with the rows for a blank and for another
  patient's image, which show how much a model gets without looking.
"""
_LICENCES = """\
## Licences

The weights may be derived from PaliGemma 2 or Gemma, and from data with terms of their own; read
[NOTICE](NOTICE). {data}The programs and the code of big_rad are under the Apache License 2.0.
"""
_CONTROLS = {
    "none": "the true image",
    "blank": "a blank image",
    "shuffled": "another patient's image",
}


def notice(share_alike: bool) -> str:
    """Returns the notice about the licences of the weights.

    Args:
        share_alike: whether the weights come from a checkpoint under CC BY-NC-SA 4.0.
    """
    return hf_export.notice(share_alike)


def write(
    folder: pathlib.Path,
    place: run_dir.Place,
    config: Mapping[str, Any],
    remarks: Sequence[str],
) -> None:
    """Writes README.md into an export.

    Args:
        folder: the export.
        place: the checkpoint that it was made from.
        config: the content of the export's config.json.
        remarks: sentences on how it differs from its run, such as the figures of int8.
    """
    meta = config["meta"]
    name = place.workdir.name
    lines = [_FRONT, f"# {name}, step {place.step:,}", ""]
    lines += [_summary(config), "", "## How to use it", "", _how(config), ""]
    lines += ["## Training data", "", *_data(meta), ""]
    lines += ["## Scores", "", *_scores(place), ""]
    lines += ["## Confidence", "", _confidence(folder), ""]
    if remarks:
        lines += ["## How it differs from its run", "", *(f"- {x}" for x in remarks), ""]
    lines += [_USE.format(side=meta["config"]["image"]["size"]), "", _LICENCES.format(data="")]
    lines += ["## What wrote it", "", *_versions(config)]
    (folder / "README.md").write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


def _summary(config: Mapping[str, Any]) -> str:
    model = config["meta"]["config"]["model"]
    number = sum(
        _product(shape) for n, (shape, _) in config["params"].items() if not n.startswith("int8_")
    )
    points = "masks" if model.get("mask_decoder") else "boxes"
    kinds = {"run": "the types in which the model computes", "bfloat16": "bfloat16", "int8": "int8"}
    return (
        f"A RadGrounder of {number:,} parameters for images of "
        f"{config['meta']['config']['image']['size']} pixels, which points with {points}. "
        f"Parameters are stored in {kinds[config['dtype']]}."
    )


def _how(config: Mapping[str, Any]) -> str:
    text = (
        "```python\nfrom big_rad.predict import RadGrounder\n\n"
        'model = RadGrounder.load("THIS_FOLDER")\nprint(model.report("slice.dcm").text)\n```\n\n'
        "`python -m tools.export --verify THIS_FOLDER` compares every file with SHA256SUMS, and "
        "the preprocessing and the answers with the goldens."
    )
    hlo = config["hlo"]
    if hlo is None:
        return text + " `run.py` needs the programs of `--hlo`, which this export does not have."
    return text + (
        "\n\nWithout big_rad: `python run.py slice.npy`, with a slice that was prepared for the "
        "model, or `python run.py picture.png`, which is taken as it is: a CT needs its windows "
        "first. The programs in `hlo/` are StableHLO for "
        f"{', '.join(hlo['platforms'])}, written by JAX {hlo['jax']} (calling convention "
        f"{hlo['calling_convention']}). JAX promises to read them for six months after that "
        "release, and versions up to three weeks older may read them."
    )


def _data(meta: Mapping[str, Any]) -> list[str]:
    known = meta.get("data") or {}
    if not known:
        return ["The run does not say what it was trained on."]
    inputs = meta.get("inputs") or {}
    lines = ["| dataset | split | items | sha256 |", "|---|---|---|---|"]
    for name, one in known.items():
        split = (inputs.get(name) or {}).get("split", "")
        digest = f"`{str(one.get('sha256', ''))[:16]}`"
        lines.append(f"| {name} | {split} | {one.get('items', '')} | {digest} |")
    if all(name.startswith("phantom") for name in known):
        lines += [
            "",
            "phantom: patients that big_rad draws, with reports from templates. This model has "
            "never seen a real image, and what it says about one means nothing.",
        ]
    return lines


def _scores(place: run_dir.Place) -> list[str]:
    found = _evaluation(place)
    if found is not None:
        return _table(found)
    rows, step = _own_rows(place)
    if not rows:
        return [
            "The run has no scores of this step. `python -m big_rad.evaluate` makes them, with "
            "intervals and controls; export again afterwards."
        ]
    return [
        f"From the evaluations during training, at step {step:,}, without intervals. "
        "`python -m big_rad.evaluate` makes them with intervals; export again afterwards. Scores "
        "of groups (languages, modalities, classes) are left out.",
        "",
        "| evaluator | score | value |",
        "|---|---|---|",
        *rows,
    ]


def _evaluation(place: run_dir.Place) -> Mapping[str, Any] | None:
    # The summary of `big_rad.evaluate` of this step, if there is one in the run directory.
    for folder in (f"evaluation_step{place.step}", "evaluation"):
        path = place.workdir / folder / "summary.json"
        if path.is_file():
            found = json.loads(path.read_text(encoding="utf-8"))
            if found.get("step") == place.step and found.get("evals"):
                return found
    return None


def _table(found: Mapping[str, Any]) -> list[str]:
    lines = [
        f"95 % intervals by {found['by']}, {found['resamples']:,} resamples. n is the number of "
        "questions that a score counts; some count only those with an entity, or with a side.",
        "",
        "| evaluator | image | dataset | split | questions (sha256) | score | mean (95 %) | n |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, entry in found["evals"].items():
        seen = _CONTROLS.get(entry["control"], entry["control"])
        data = f"{entry['dataset']} | {entry['split']} | {entry['n']} (`{entry['sha256'][:16]}`)"
        for score, x in entry["intervals"].get("", {}).items():
            value = f"{x['mean']:.3f} ({x['low']:.3f} to {x['high']:.3f})"
            lines.append(f"| {name} | {seen} | {data} | {score} | {value} | {x['n']} |")
    return lines


def _own_rows(place: run_dir.Place) -> tuple[list[str], int]:
    path = place.workdir / "metrics.jsonl"
    rows = run_dir.read_lines(path) if path.is_file() else []
    lines = []
    for row in rows:
        if row.get("step") != place.step:
            continue
        for key, value in row.items():
            evaluator, slash, score = key.partition("/")
            parts = score.split("_")  # g_iou_en is the score g_iou of the group en.
            whole = ("_".join(parts[:k]) for k in range(1, len(parts)))
            grouped = any(f"{evaluator}/{name}" in row for name in whole)
            if slash and isinstance(value, int | float) and not grouped:
                lines.append(f"| {evaluator} | {score} | {value:.4g} |")
    return lines, place.step


def _confidence(folder: pathlib.Path) -> str:
    path = folder / calibration.FILE
    if not path.is_file():
        return "Confidences are uncalibrated (`python -m tools.calibrate` makes a calibration)."
    found = calibration.read(path)
    notes = "".join(f" {n[:1].upper()}{n[1:]}." for n in found.notes)
    return f"Confidences are calibrated on {found.about()}.{notes}"


def _versions(config: Mapping[str, Any]) -> list[str]:
    trained, wrote = config["meta"].get("versions") or {}, config["written_with"]
    lines = ["| package | the run | this export |", "|---|---|---|"]
    for name in sorted({**trained, **wrote}):
        lines.append(f"| {name} | {trained.get(name, '')} | {wrote.get(name, '')} |")
    return lines


def _product(shape: Sequence[int]) -> int:
    number = 1
    for n in shape:
        number *= n
    return number
