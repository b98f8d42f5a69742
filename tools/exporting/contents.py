"""The small files of an export: config.json and classes.json."""

import dataclasses
import json
import pathlib
import platform
from collections.abc import Mapping
from typing import Any

import jax

from big_rad import files
from big_rad.grounding import classes
from big_rad.grounding import codec as codecs
from big_rad.pp import prompts
from big_rad.pp.tokenizer import Tokenizer
from big_rad.weights import computed, exported
from big_rad.workdir import info

CLASSES = "classes.json"
# The packages that a program needs to run an export, and that can change its results.
_PACKAGES = ("jax", "jaxlib", "flax", "orbax-checkpoint", "numpy", "sentencepiece", "pillow")
_OF_RUN = ("tokenizer", "classes", "data", "versions")


def config(
    meta: Mapping[str, Any],
    fields: Mapping[str, Any],
    tokenizer: Tokenizer,
    never: tuple[int, ...],
    points_with: str,
) -> dict[str, Any]:
    """Returns the content of config.json, without what belongs to the parameters.

    Args:
        meta: the item `meta` of the run's checkpoint.
        fields: the `source_config.FIELDS` of the model, with adapters merged.
        tokenizer: its tokenizer.
        never: the ids that are never generated.
        points_with: how a report is asked to point: "boxes", "masks" or "none".
    """
    settings = {n: _plain(v) for n, v in fields.items()}
    settings["tokenizer"] = dict(settings["tokenizer"], path=exported.TOKENIZER)
    whole = meta["config"]
    settings["untrained"] = list(whole.get("untrained") or ())
    settings["evals"] = _plain(whole.get("evals") or {})
    inputs = whole.get("input") or {}
    trained_on = {
        name: {k: inputs[name][k] for k in ("builder", "split") if inputs[name].get(k)}
        for name in inputs.get("data") or {}
        if name in inputs
    }
    spec = settings["codec"]
    codec = codecs.get_codec(spec["name"], grid=spec.get("grid"))
    return dict(
        format=exported.FORMAT,
        format_version=exported.VERSION,
        meta=dict(
            {k: meta[k] for k in _OF_RUN if k in meta},
            classes=[c.name for c in classes.CLASSES],
            tokenizer=tokenizer.fingerprint,
            inputs=trained_on,
            config=settings,
        ),
        tokens=dict(
            bos=tokenizer.bos_id,
            eos=tokenizer.eos_id,
            pad=tokenizer.pad_id,
            base=int(tokenizer.loc_ids[0]),
            vocab_size=tokenizer.vocab_size,
            markup=tokenizer.markup,
            never=sorted({tokenizer.pad_id, tokenizer.bos_id, tokenizer.reserved_id, *never}),
        ),
        codec=dataclasses.asdict(codec),
        prompts=_prompts(points_with),
        written_with=info.versions(_PACKAGES),
        written_on=dict(platform=jax.default_backend(), machine=platform.machine()),
    )


def of_params(stored: Mapping[str, Any], model: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what config.json says of the parameters.

    Args:
        stored: the arrays of the export by name.
        model: the arguments of the model.

    Returns:
        `params`, the shape and the dtype of each array; and `computed`, the dtype in which the
        model computes with it.
    """
    shapes, dtypes = {}, {}
    for name, x in stored.items():
        shapes[name] = [list(x.shape), x.dtype.name]
        if not name.startswith(exported.SCALES):
            kind = "float32" if x.dtype.name == "int8" else x.dtype
            dtypes[name] = computed.dtype_of(name, kind, model).name
    return dict(params=shapes, computed=dtypes)


def write(folder: pathlib.Path, content: Mapping[str, Any]) -> None:
    """Writes config.json and classes.json.

    Args:
        folder: the export.
        content: the content of config.json.
    """
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    files.write_whole(folder / exported.CONFIG, text + "\n")
    table = [dict(id=c.id, name=c.name, en=c.en, de=c.de) for c in classes.CLASSES]
    text = json.dumps(table, indent=1, ensure_ascii=False)
    files.write_whole(folder / CLASSES, text + "\n")


def _prompts(points_with: str) -> dict[str, str]:
    # The prompts of each task and language; `{question}` stands for the question.
    found = {}
    for lang in prompts.LANGS:
        for task in prompts.TASKS:
            grounding = points_with if task == "report" else "none"
            context = "" if task == "report" else "{question}"
            found[f"{task}_{lang}"] = prompts.prefix(task, lang, context, grounding)
        line = prompts.report_context("question", "", "{question}", lang)
        found[f"report_question_{lang}"] = prompts.prefix("report", lang, line, points_with)
    return found


def _plain(value: Any) -> Any:
    if hasattr(value, "items"):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value
