"""Evaluators: each runs a model over data and yields (name, value); a config's `type` names one."""

import importlib
import json
import pathlib
from collections.abc import Mapping
from typing import Any

_TYPES = ("grounded", "vqa")
_OPTIONS = ("batch_size", "max_new_tokens", "control", "codec", "grid", "blank_value", "captions")
DATA_FIELDS = ("builder", "split", "builder_args", "only", "asked", "expand", "pp", "limit")
_IGNORED = ("type", *DATA_FIELDS, "every", "sha256")


def build(
    name: str,
    spec: Mapping[str, Any],
    *,
    predict_fns: Mapping[str, Any],
    tokenizer: Any,
    data_dir: str,
    samples_dir: str | pathlib.Path | None = None,
) -> Any:
    """Builds the evaluator of one entry of `config.evals`.

    Args:
        name: the entry's name; also of its samples file.
        spec: `type` ("grounded" | "vqa"); the data as for training (`builder`, `split`,
            `builder_args`, `expand`, `pp` that ends in tok(..., answer=False) and keep(...),
            `limit`); `batch_size`, `max_new_tokens`, `control`, `codec`, `grid`; of
            "grounded" `captions`. `every` is the trainer's,
            `sha256` that of `big_rad.evaluate`.
        predict_fns: "queue" or "generate", see `generate.run`.
        tokenizer: decodes ids.
        data_dir: where the datasets lie.
        samples_dir: where the samples file goes.

    Returns:
        An object with `run(params)` that yields (metric name, value).

    Raises:
        ValueError: an unknown type or field.
    """
    kind = spec.get("type")
    if kind not in _TYPES:
        raise ValueError(f"config.evals.{name}.type is {kind!r}; known: {', '.join(_TYPES)}")
    unknown = [k for k in spec if k not in _OPTIONS + _IGNORED]
    if unknown:
        raise ValueError(
            f"config.evals.{name}: unknown {', '.join(unknown)}; known: "
            f"{', '.join(sorted(_OPTIONS + _IGNORED))}"
        )
    options = {k: spec[k] for k in _OPTIONS if spec.get(k) is not None}
    if hasattr(options.get("codec"), "items"):  # as in `config.codec`: name and options
        codec = dict(options["codec"])
        options |= {"codec": codec["name"], "grid": codec.get("grid")}
    # Imported here, so that drawing and pages do without the input pipeline.
    from big_rad.evaluators import data as eval_data

    module = importlib.import_module(f"big_rad.evaluators.{kind}")
    return module.Evaluator(
        predict_fns,
        eval_data.load(spec, data_dir),
        name=name,
        tokenizer=tokenizer,
        samples_dir=samples_dir,
        **options,
    )


def data_key(spec: Mapping[str, Any], data_dir: str = "") -> str:
    """Returns a text that is equal exactly for specs over the same preprocessed data."""
    part = {k: spec.get(k) for k in DATA_FIELDS}
    return json.dumps([str(data_dir), part], sort_keys=True, default=dict)
