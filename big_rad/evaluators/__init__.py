"""Evaluators: each runs a model over data and yields (name, value); a config's `type` names one."""

import importlib
import pathlib
from collections.abc import Mapping
from typing import Any

from big_rad.evaluators.spec import CONTROLS, DATA_FIELDS
from big_rad.registry import did_you_mean

_TYPES = ("grounded", "vqa")
_OPTIONS = ("batch_size", "max_new_tokens", "control", "codec", "grid", "blank_value", "captions")
_IGNORED = ("type", *DATA_FIELDS, "every", "sha256")


def build(
    name: str,
    spec: Mapping[str, Any],
    *,
    predict_fns: Mapping[str, Any],
    tokenizer: Any,
    data_dir: str,
    samples_dir: str | pathlib.Path | None = None,
    data: Any = None,
) -> Any:
    """Builds the evaluator of one entry of `config.evals`.

    Args:
        name: the entry's name; also of its samples file.
        spec: `type` ("grounded" | "vqa"); the data as for training (`builder`, `split`,
            `builder_args`, `expand`, `pp` that ends in tok(..., answer=False) and keep(...),
            `limit`); `batch_size`, `max_new_tokens`, `control`, `codec`, `grid`; of
            "grounded" `captions`. `every` is the trainer's,
            `sha256` that of `big_rad.evaluate`.
        predict_fns: "queue" or "generate", see `base.run`.
        tokenizer: decodes ids.
        data_dir: where the datasets lie.
        samples_dir: where the samples file goes.
        data: the `data.EvalData` of this entry, if it has been opened; None opens it.

    Returns:
        An object with `run(params)` that yields (metric name, value).

    Raises:
        ValueError: an unknown type or field.
    """
    check(name, spec)
    options = {k: spec[k] for k in _OPTIONS if spec.get(k) is not None}
    if hasattr(options.get("codec"), "items"):  # as in `config.codec`: name and options
        codec = dict(options["codec"])
        options |= {"codec": codec["name"], "grid": codec.get("grid")}
    # Imported here, so that drawing and pages do without the input pipeline.
    from big_rad.evaluators import data as eval_data

    module = importlib.import_module(f"big_rad.evaluators.{spec['type']}")
    return module.Evaluator(
        predict_fns,
        eval_data.load(spec, data_dir) if data is None else data,
        name=name,
        tokenizer=tokenizer,
        samples_dir=samples_dir,
        **options,
    )


def check(name: str, spec: Mapping[str, Any]) -> None:
    """Checks the names in one entry of `config.evals`; its data are not looked at.

    Raises:
        ValueError: an unknown type, field or control.
    """
    kind, control = spec.get("type"), spec.get("control") or "none"
    if kind not in _TYPES:
        like = did_you_mean(str(kind), _TYPES)
        raise ValueError(f"config.evals.{name}.type is {kind!r}; known: {', '.join(_TYPES)}{like}")
    known = sorted(_OPTIONS + _IGNORED)
    unknown = [k for k in spec if k not in known]
    if unknown:
        raise ValueError(
            f"config.evals.{name}: unknown {', '.join(unknown)}; known: {', '.join(known)}"
            + did_you_mean(unknown[0], known)
        )
    if control not in CONTROLS:
        raise ValueError(
            f"config.evals.{name}.control is {control!r}; known: {', '.join(CONTROLS)}"
            + did_you_mean(control, CONTROLS)
        )
