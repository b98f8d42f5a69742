"""Builds a preprocessing function from a string such as `"load|normalize('medgemma')|resize(224)"`.

The function runs the ops one after another and gives each its own random generator. The ops
themselves are in the modules `ops_*`.
"""

import inspect
from collections.abc import Callable, Collection, Iterator
from typing import Any

import numpy as np

from big_rad.pp import (
    ops_caption,
    ops_detect,
    ops_grounding,
    ops_image,
    ops_load,
    ops_prompt,
    ops_text,
)
from big_rad.pp.example import Example
from big_rad.pp.ops import OPS, Op
from big_rad.registry import did_you_mean, parse_call

__all__ = ["OPS", "TEXT_OPS", "calls", "get_preprocess_fn", "split"]

# Importing these modules registers their ops.
_OP_MODULES = (
    ops_load, ops_image, ops_prompt, ops_detect, ops_grounding, ops_text, ops_caption,
)  # fmt: skip
# The ops that make the texts and do not need pixels.
TEXT_OPS = ("view", "without", "clean", "detect_vqa", "prompt", "ground", "tok", "caption", "keep")

# The ops that read a tokenizer, and the functions that check their arguments without it.
_WITH_TOKENIZER: dict[str, Callable[..., Any]] = {
    "tok": ops_text.check_row,
    "caption": ops_caption.check_texts,
}


def get_preprocess_fn(pp: str, text_only: bool = False) -> Op:
    """Builds the preprocessing function that a string describes.

    Each op draws from its own generator, which is made from the example's generator and the op's
    place in the string. An op therefore draws the same numbers however many numbers the ops before
    it draw.

    Args:
        pp: the ops with literal arguments, joined by `|`. If the string has a `resize`, its size is
            passed to `load`, because colour images are resized before anything else.
        text_only: whether only `TEXT_OPS` run, which is much cheaper; the examples must contain
            their image, not a path to it. If the string has no `augment`, and if `resize` loses no
            class, the text arrays are those of the full run. If it has one, the same texts are
            chosen, but the boxes are those of the whole image, and a class that would be cropped
            away is still marked. "text_bound" (see `tok`) is then valid for the full run too,
            while the number of tokens in this row may be too small if a text was cut. `keep` also
            keeps "text_bound", and does not require its fields to exist.

    Returns:
        a function from an example to an example; it does not change the given dict.

    Raises:
        ValueError: The string cannot be parsed, or an op does not accept its arguments.
        KeyError: An op is unknown; the message lists those that exist.
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
    """Yields the name and all arguments of each op of a string, including defaults.

    The ops are not built, so no tokenizer is read.

    Args:
        pp: the preprocessing string, see `get_preprocess_fn`.
        only: the names of the ops that are yielded; None yields all.

    Raises:
        ValueError: The string cannot be parsed, or an op does not accept its arguments.
        KeyError: An op is unknown.
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
    """Checks the values of the arguments of each op of a string, without reading a tokenizer.

    Args:
        pp: the preprocessing string, see `get_preprocess_fn`.

    Raises:
        ValueError: An op is unknown or does not accept its arguments.
    """
    for name, args, kwargs in map(parse_call, split(pp)):
        try:
            if name not in _WITH_TOKENIZER:
                OPS.get(name)(*args, **kwargs)
                continue
            given = inspect.signature(OPS.get(name)).bind(*args, **kwargs)
            given.apply_defaults()
            takes = inspect.signature(_WITH_TOKENIZER[name]).parameters
            _WITH_TOKENIZER[name](**{k: v for k, v in given.arguments.items() if k in takes})
        except (TypeError, KeyError) as e:
            said = e.args[0] if isinstance(e, KeyError) and e.args else e
            raise ValueError(f"preprocessing op {name!r}: {said}") from e


def split(pp: str) -> list[str]:
    """Splits a preprocessing string at each `|` that is not inside quotes.

    Raises:
        ValueError: A part is empty.
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
