"""Preprocessing from a string: `"load|normalize('medgemma')|resize(224)|..."` to a function.

Only puts ops one after another and gives each its own generator; what they do is in the modules
`ops_*`.
"""

import inspect
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np

from big_rad.pp import ops_detect, ops_grounding, ops_image, ops_load, ops_prompt, ops_text
from big_rad.pp.example import Example
from big_rad.pp.ops import OPS, Op
from big_rad.registry import did_you_mean, parse_call

__all__ = ["OPS", "TEXT_OPS", "calls", "get_preprocess_fn", "split"]

# Importing them registers their ops.
_OP_MODULES = (ops_load, ops_image, ops_prompt, ops_detect, ops_grounding, ops_text)
# Ops that make the texts and need no pixels.
TEXT_OPS = ("view", "without", "clean", "detect_vqa", "prompt", "ground", "tok", "keep")


def get_preprocess_fn(pp: str, text_only: bool = False) -> Op:
    """Builds the preprocessing that a string names.

    Each op draws from a generator of its own, made from the example's generator and the op's place
    in the string: no op changes what another draws.

    Args:
        pp: ops with literal arguments, joined by `|`. A `load` in front of a `resize` learns its
            size, because colour images are resized before anything else.
        text_only: run only `TEXT_OPS`, which is much cheaper, on examples that hold their image.
            Without `augment` the text arrays are those of the full run, if `resize` loses no
            class. With it the texts are the same ones, but boxes are those of the whole image,
            and a class that is cropped away is still marked. "text_bound" (see `tok`) holds for
            the full run as well; the row's own length may not, where a text was cut. `keep` keeps
            what is there of its fields, and "text_bound".

    Returns:
        a function example -> example; the given dict is not changed.

    Raises:
        ValueError: the string cannot be read, or an op does not take these arguments.
        KeyError: an unknown op; the message lists those that exist.
    """
    parsed = [parse_call(part) for part in split(pp)]
    sizes = [args[0] if args else kwargs.get("size") for n, args, kwargs in parsed if n == "resize"]
    steps = []
    for place, (name, args, kwargs) in enumerate(parsed):
        if name == "load" and not args and sizes:
            kwargs = {"colour_size": sizes[0]} | kwargs
        if name == "keep" and text_only:
            args, kwargs = (*args, "text_bound"), kwargs | {"optional": True}
        try:
            op = OPS.get(name)(*args, **kwargs)
        except TypeError as e:
            raise ValueError(f"preprocessing op {name!r}: {e}") from e
        if not text_only or name in TEXT_OPS:
            steps.append((place, name, op))

    def preprocess(example: Example) -> Example:
        example = dict(example)
        base = None
        if "rng" in example:
            base = example["rng"].integers(1 << 64, dtype=np.uint64)
        for place, name, op in steps:
            if base is not None and "rng" in example:
                key = np.array([base, place], np.uint64)
                example = example | {"rng": np.random.Generator(np.random.Philox(key=key))}
            try:
                example = op(example)
            except Exception as e:
                e.add_note(f"in preprocessing op {name!r}, example id {example.get('id', '?')!r}")
                raise
        return example

    return preprocess


def calls(pp: str, only: Collection[str] | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields the name and all arguments of each op of a string, defaults included.

    Nothing is built, so no tokenizer is read.

    Args:
        pp: see `get_preprocess_fn`.
        only: names of the ops that are looked at; None takes all.

    Raises:
        ValueError: the string cannot be read, an op is unknown, or it does not take an argument.
    """
    for name, args, kwargs in map(parse_call, split(pp)):
        if only is not None and name not in only:
            continue
        signature = inspect.signature(OPS.get(name))
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as e:
            unknown = [k for k in kwargs if k not in signature.parameters]
            like = did_you_mean(unknown[0], signature.parameters) if unknown else ""
            raise ValueError(f"preprocessing op {name!r}: {e}{like}") from e
        bound.apply_defaults()
        yield name, dict(bound.arguments)


def check(pp: str) -> None:
    """Checks the values of the arguments of each op of a string; no tokenizer is read.

    Args:
        pp: see `get_preprocess_fn`.

    Raises:
        ValueError: an op does not take these arguments.
    """
    for name, args, kwargs in map(parse_call, split(pp)):
        try:
            if name != "tok":
                OPS.get(name)(*args, **kwargs)
                continue
            given = inspect.signature(OPS.get(name)).bind(*args, **kwargs)
            given.apply_defaults()
            takes = inspect.signature(ops_text.check_row).parameters
            ops_text.check_row(**{k: v for k, v in given.arguments.items() if k in takes})
        except (TypeError, KeyError) as e:
            said = e.args[0] if isinstance(e, KeyError) and e.args else e
            raise ValueError(f"preprocessing op {name!r}: {said}") from e


def split(pp: str) -> list[str]:
    """Splits at each `|` that is not inside quotes.

    Raises:
        ValueError: an empty part.
    """
    parts, quote = [""], ""
    for char in pp:
        if char in "'\"" and quote in ("", char):
            quote = "" if quote else char
        if char == "|" and not quote:
            parts.append("")
        else:
            parts[-1] += char
    if not all(part.strip() for part in parts):
        raise ValueError(f"preprocessing string {pp!r} has an empty op; remove the extra '|'")
    return [part.strip() for part in parts]
