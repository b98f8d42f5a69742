"""Errors that say what to install when a package of an extra is missing."""

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def needed(extra: str) -> Iterator[None]:
    """Imports packages that only an extra installs.

        with needed("train"):
            import grain

    Args:
        extra: the name of the extra, such as "train".

    Raises:
        ModuleNotFoundError: a package is missing; the error says how to install it.
    """
    try:
        yield
    except ModuleNotFoundError as e:
        raise ModuleNotFoundError(
            f"{e.name} is not installed, and prediction alone does not need it; for everything "
            f"else: pip install 'big_rad[{extra}]'",
            name=e.name,
        ) from None
