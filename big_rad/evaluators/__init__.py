"""Evaluators, which measure how good a model is on a data set.

Each entry of `config.evals` describes one evaluator. Its `type` names the class, for example
"grounded", "vqa" or "xent". `check` checks the fields of an entry and `build` makes the evaluator;
its `run(params)` then yields pairs (metric name, value).
"""

import inspect
import pathlib
from collections.abc import Mapping
from typing import Any

from big_rad.evaluators import spec as spec_lib
from big_rad.registry import did_you_mean


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
        name: the name of the entry, which also names its samples file.
        spec: the entry. It has the `type`, see `spec`; the fields of the data as for training
            (`builder`, `split`, `builder_args`, `expand`, `limit`, and a `pp` that ends in
            tok(..., answer=False) and keep(...)); and the options that the signature of the class
            names, such as `batch_size`, `control` and `codec`. Its fields `every` and `sha256` are
            ignored here: the trainer reads `every`, and `big_rad.evaluate` reads `sha256`.
        predict_fns: the functions of the model, see `functions.Functions`.
        tokenizer: the tokenizer that decodes ids.
        data_dir: the folder of the built datasets.
        samples_dir: the folder of the samples file; None writes no samples.
        data: the `data.EvalData` of this entry if it is already open; None opens it.

    Returns:
        An object whose method `run(params)` yields (metric name, value).

    Raises:
        ValueError: the type or a field is unknown, or the data lack a field that the class needs.
    """
    cls = check(name, spec)
    known = spec_lib.options(cls)
    options = {k: spec[k] for k in known if spec.get(k) is not None}
    if hasattr(options.get("codec"), "items"):  # A dict of name and options, as `config.codec`.
        codec = dict(options["codec"])
        options |= {"codec": codec["name"]}
        options |= {"grid": codec.get("grid")} if "grid" in known else {}
    # Imported here, so that drawing and pages do not need the packages of the input pipeline.
    from big_rad.evaluators import data as eval_data

    data = eval_data.load(spec, data_dir) if data is None else data
    eval_data.check(name, data, cls.fields)
    return cls(
        predict_fns, data, name=name, tokenizer=tokenizer, samples_dir=samples_dir, **options
    )


def check(name: str, spec: Mapping[str, Any], model_name: str = "") -> type[spec_lib.Statement]:
    """Checks one entry of `config.evals` without opening its data.

    Args:
        name: the name of the entry, for messages.
        spec: the entry.
        model_name: the model that is evaluated, as `config.model_name` has it; "" is any.

    Returns:
        The class that its `type` names.

    Raises:
        ValueError: the type, a field or the control is unknown, a required option is missing, or
            the class needs a function that no model has, or not this model.
    """
    try:
        cls = spec_lib.find(spec.get("type"))
    except ValueError as e:
        raise ValueError(f"config.evals.{name}.type is {e}") from e
    place, options = f"config.evals.{name}", spec_lib.options(cls)
    # `control="none"` is allowed for every class, also for one without a `control` option.
    known = sorted(
        {*spec_lib.COMMON, *options}
        | ({"control"} if spec_lib.control_of(spec) == "none" else set())
    )
    unknown = [k for k in spec if k not in known]
    if unknown:
        raise ValueError(
            f"{place}: unknown {', '.join(unknown)}; known: {', '.join(known)}"
            + did_you_mean(unknown[0], known)
        )
    required = [k for k, default in options.items() if default is inspect.Parameter.empty]
    if absent := [k for k in required if spec.get(k) is None]:
        raise ValueError(f"{place}.{absent[0]} is missing, and type {spec['type']!r} needs it")
    control = spec_lib.control_of(spec)
    if control not in spec_lib.CONTROLS:
        raise ValueError(
            f"{place}.control is {control!r}; known: {', '.join(spec_lib.CONTROLS)}"
            + did_you_mean(control, spec_lib.CONTROLS)
        )
    from big_rad.evaluators.functions import MAKERS, missing

    if lacking := [n for n in cls.needs if n not in MAKERS]:
        raise ValueError(
            f"{place}: type {spec['type']!r} needs the function {lacking[0]!r} of a model, and "
            f"there are {', '.join(MAKERS)}{did_you_mean(lacking[0], MAKERS)}"
        )
    if model_name and missing(cls.needs, model_name):
        able = (
            "embeds images and texts, and writes none"
            if model_name == "two_towers"
            else "answers, and does not embed texts"
        )
        raise ValueError(
            f"{place}: type {spec['type']!r} is not for {model_name}, which {able}. Two towers, an "
            "adapted SigLIP, are evaluated by the types retrieval and zero_shot, see "
            "configs/siglip_refrad2d.py, and other models by all other types"
        )
    return cls
