"""Checks and builds the sources that a config names, so that training can start from raw data."""

import importlib
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from big_rad.datasets import records

_SHOWN = 5  # The number of problems of a source that are shown.


def prepare(
    sources: Mapping[str, Mapping[str, Any]],
    data_dir: str | Path,
    log: Callable[[str], None] = print,
) -> None:
    """Builds each source that is not built yet, and lists the items that cannot be used.

    Args:
        sources: {dataset: `source` and other arguments of its builder's `build`}.
        data_dir: the folder in which the built datasets lie.
        log: a function that receives lines on the contents, sizes and digests of each split, and on
            the problems.

    Raises:
        ValueError: Too many items of a source cannot be used; the message shows the first ones,
            with file, line and field.
        FileNotFoundError: A source does not exist.
    """
    for name, spec in sources.items():
        options = dict(spec)
        source = options.pop("source")
        module = importlib.import_module(f"big_rad.datasets.{name}.builder")
        try:
            built = module.build(source, data_dir, **options)
        except records.BuildError as e:
            raise ValueError(_said(name, source, e)) from e
        if not built.reused:
            _check(name, source, module, options, log)
        elif built.rejects:
            path = built.folder / records.REJECTS
            log(f"{name}: {built.rejects} errors left something out when it was built; see {path}")
        for line in [*built.contents, *built.notes]:
            log(f"{name}: {line}")


def taken(function: Callable, options: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the options that a function accepts; `validate` accepts fewer than `build`."""
    parameters = inspect.signature(function).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return dict(options)
    return {k: v for k, v in options.items() if k in parameters}


def _said(name: str, source: str | Path, error: records.BuildError) -> str:
    if error.share is None:
        return f"{error} ({_all(name, source)})"
    option = f"--config.sources.{name}.max_reject_share={error.share:g}"
    return f"{error}. For training, that option is {option} ({_all(name, source)})"


def _check(
    name: str,
    source: str | Path,
    module: ModuleType,
    options: dict[str, Any],
    log: Callable[[str], None],
) -> None:
    same = taken(module.validate, options)
    found = list(module.validate(source, **same))
    errors = [str(p) for p in found if p.level == "error"]
    warnings = len(found) - len(errors)
    if errors:
        log(f"{name}: {len(errors)} examples or lines are left out:")
        for line in errors[:_SHOWN]:
            log(f"  {line}")
    if errors or warnings:
        log(f"{name}: {len(errors)} errors, {warnings} warnings; {_all(name, source)}")


def _all(name: str, source: str | Path) -> str:
    return f"all of them: python -m tools.validate_data {name} --source={source}"
