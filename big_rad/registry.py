"""Registries: find functions by their names in config strings, such as `"resize(112)"`.

    OPS = Registry("op")

    @OPS.register("resize")
    def get_resize(size): ...

    name, args, kwargs = parse_call("resize(112)")
    op = OPS.get(name)(*args, **kwargs)

A config string is parsed and never evaluated as code, so its arguments must be literals.
"""

import ast
import difflib
from collections.abc import Callable, Iterable
from typing import Any


class UnknownNameError(KeyError, ValueError):
    """A name is in no table. It is a `ValueError` too, since the name came from a config."""

    def __str__(self):
        return str(self.args[0])


class Registry:
    """A table of named factories.

    Args:
        what: a word for the things that the table holds, for error messages.
    """

    def __init__(self, what: str):
        self._what = what
        self._table: dict[str, Callable[..., Any]] = {}

    def register(self, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Returns a decorator that stores a function under a name.

        Args:
            name: the name.

        Raises:
            ValueError: the name is used already. The decorator raises it.
        """

        def decorator(fn: Callable[..., Any]) -> Callable[..., Any]:
            if name in self._table:
                raise ValueError(f"{self._what}: {name!r} is registered twice")
            self._table[name] = fn
            return fn

        return decorator

    def get(self, name: str) -> Callable[..., Any]:
        """Returns the function called `name`.

        Raises:
            UnknownNameError: there is no such name; the message lists the known names.
        """
        if name not in self._table:
            raise UnknownNameError(
                f"no {self._what} named {name!r}; known: {', '.join(self.names())}"
                + did_you_mean(name, self.names())
            )
        return self._table[name]

    def names(self) -> list[str]:
        """Returns the known names, sorted."""
        return sorted(self._table)


def parse_call(text: str) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
    """Splits `name(literal, key=literal)`, or a bare `name`, into its parts.

    Args:
        text: one call, whose arguments must all be Python literals.

    Returns:
        The name, the positional arguments, and the keyword arguments.

    Raises:
        ValueError: the text is not such a call.
    """
    hint = f'{text!r} is not a call with literal arguments, such as "resize(112)"'
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except SyntaxError as e:
        raise ValueError(hint) from e
    if isinstance(node, ast.Name):
        return node.id, (), {}
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        raise ValueError(hint)
    try:
        args = tuple(ast.literal_eval(a) for a in node.args)
        kwargs = {k.arg: ast.literal_eval(k.value) for k in node.keywords if k.arg is not None}
    except ValueError as e:
        raise ValueError(hint) from e
    if len(kwargs) != len(node.keywords):
        raise ValueError(hint)
    return node.func.id, args, kwargs


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Returns `"; did you mean 'size'?"` with the known name that is most similar to `name`.

    Args:
        name: the unknown name that the user wrote.
        known: the known names.

    Returns:
        The end of an error message; "" if no known name is similar.
    """
    folded = {k.lower(): k for k in map(str, known)}
    close = difflib.get_close_matches(str(name).lower(), folded, n=1)
    return f"; did you mean {folded[close[0]]!r}?" if close else ""


def with_args(text: str, **kwargs: Any) -> str:
    """Returns a call with further keyword arguments, written as text.

    Example: `with_args("text_xent()", tile=8)` is `"text_xent(tile=8)"`.

    Args:
        text: the call, see `parse_call`.
        **kwargs: the keyword arguments, which replace arguments of the same name.
    """
    name, args, own = parse_call(text)
    given = [repr(a) for a in args] + [f"{k}={v!r}" for k, v in (own | kwargs).items()]
    return f"{name}({', '.join(given)})"
