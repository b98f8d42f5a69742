"""Evaluators: each runs a model over data and yields (name, value); a config's `type` names one."""

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
        name: the entry's name; also of its samples file.
        spec: `type`, see `spec`; the data as for training (`builder`, `split`, `builder_args`,
            `expand`, `pp` that ends in tok(..., answer=False) and keep(...), `limit`); and the
            options that the class's signature names, such as `batch_size`, `control` and `codec`.
            `every` is the trainer's, `sha256` that of `big_rad.evaluate`.
        predict_fns: the functions of the model, see `functions.Functions`.
        tokenizer: decodes ids.
        data_dir: where the datasets lie.
        samples_dir: where the samples file goes.
        data: the `data.EvalData` of this entry, if it has been opened; None opens it.

    Returns:
        An object with `run(params)` that yields (metric name, value).

    Raises:
        ValueError: an unknown type or field, or data that lack what the class needs.
    """
    cls = check(name, spec)
    known = spec_lib.options(cls)
    options = {k: spec[k] for k in known if spec.get(k) is not None}
    if hasattr(options.get("codec"), "items"):  # as in `config.codec`: name and options
        codec = dict(options["codec"])
        options |= {"codec": codec["name"]}
        options |= {"grid": codec.get("grid")} if "grid" in known else {}
    # Imported here, so that drawing and pages do without the input pipeline.
    from big_rad.evaluators import data as eval_data

    data = eval_data.load(spec, data_dir) if data is None else data
    eval_data.check(name, data, cls.fields)
    return cls(
        predict_fns, data, name=name, tokenizer=tokenizer, samples_dir=samples_dir, **options
    )


def check(name: str, spec: Mapping[str, Any]) -> type[spec_lib.Statement]:
    """Checks the names in one entry of `config.evals`; its data are not looked at.

    Returns:
        The class that its `type` names.

    Raises:
        ValueError: an unknown type, field or control, an option that is missing, or a class that
            needs a function which no model has.
    """
    try:
        cls = spec_lib.find(spec.get("type"))
    except ValueError as e:
        raise ValueError(f"config.evals.{name}.type is {e}") from e
    place, options = f"config.evals.{name}", spec_lib.options(cls)
    # An entry without a control may say so, whatever its class takes.
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
    missing = [k for k, default in options.items() if default is inspect.Parameter.empty]
    if missing := [k for k in missing if spec.get(k) is None]:
        raise ValueError(f"{place}.{missing[0]} is missing, and type {spec['type']!r} needs it")
    control = spec_lib.control_of(spec)
    if control not in spec_lib.CONTROLS:
        raise ValueError(
            f"{place}.control is {control!r}; known: {', '.join(spec_lib.CONTROLS)}"
            + did_you_mean(control, spec_lib.CONTROLS)
        )
    from big_rad.evaluators.functions import MAKERS

    if lacking := [n for n in cls.needs if n not in MAKERS]:
        raise ValueError(
            f"{place}: type {spec['type']!r} needs the function {lacking[0]!r} of a model, and "
            f"there are {', '.join(MAKERS)}{did_you_mean(lacking[0], MAKERS)}"
        )
    return cls
