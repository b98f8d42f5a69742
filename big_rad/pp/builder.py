"""Preprocessing from a string: `"load|normalize('medgemma')|resize(224)|..."` to a function.

Only puts ops one after another; what they do is in `ops_image`, `ops_text` and `ops_grounding`.
"""

from big_rad.pp import ops_grounding, ops_image, ops_text
from big_rad.pp.ops import OPS, Example, Op
from big_rad.registry import parse_call

__all__ = ["OPS", "get_preprocess_fn", "split"]

_OP_MODULES = (ops_image, ops_text, ops_grounding)  # importing them registers their ops


def get_preprocess_fn(pp: str) -> Op:
    """Builds the preprocessing that a string names.

    Args:
        pp: ops with literal arguments, joined by `|`. A `load` in front of a `resize` learns its
            size, because colour images are resized before anything else.

    Returns:
        a function example -> example; the given dict is not changed.

    Raises:
        ValueError: the string cannot be read, or an op does not take these arguments.
        KeyError: an unknown op; the message lists those that exist.
    """
    calls = [parse_call(part) for part in split(pp)]
    sizes = [args[0] if args else kwargs.get("size") for n, args, kwargs in calls if n == "resize"]
    steps = []
    for name, args, kwargs in calls:
        if name == "load" and not args and sizes:
            kwargs = {"colour_size": sizes[0]} | kwargs
        try:
            steps.append((name, OPS.get(name)(*args, **kwargs)))
        except TypeError as e:
            raise ValueError(f"preprocessing op {name!r}: {e}") from e

    def preprocess(example: Example) -> Example:
        example = dict(example)
        for name, op in steps:
            try:
                example = op(example)
            except Exception as e:
                e.add_note(f"in preprocessing op {name!r}, example id {example.get('id', '?')!r}")
                raise
        return example

    return preprocess


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
