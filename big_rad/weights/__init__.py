"""Foreign checkpoints: `load(path)` reads any known format into a nested tree of arrays.

Fitting a tree to a model (resizing, extending, accounting) is the model modules' `load`.
"""

import pathlib
from typing import Any

from big_rad.weights import npz

_WHERE = (
    "PaliGemma 2 weights are on Kaggle (models/google/paligemma-2, framework JAX, for example "
    "paligemma2-3b-pt-224) and on Hugging Face (google/paligemma2-3b-pt-224-jax); both ask for an "
    "account and for the Gemma licence to be accepted. Download the file and give its path."
)


def load(path: str | pathlib.Path) -> dict[str, Any]:
    """Reads a checkpoint: an original `.npz` (`file.npz:img` for a subtree) or a run of big_rad.

    Args:
        path: the file, or a run directory written by `big_rad.train`.

    Returns:
        Nested parameters, as numpy arrays.

    Raises:
        FileNotFoundError: nothing there; the message says where the original is to be had.
        ValueError: no known format.
    """
    check(path)
    file, _ = npz.split_subtree(path)
    if file.is_dir():
        from big_rad import checkpoint  # Orbax takes a second to import; npz does not need it.

        return checkpoint.load_params(file)[0]
    if file.suffix == ".npz":
        return npz.load(path)
    raise ValueError(f"checkpoint {str(file)!r}: not an .npz file or a run directory. {_WHERE}")


def check(path: str | pathlib.Path) -> None:
    """Looks whether a checkpoint is there, without reading it.

    Raises:
        FileNotFoundError: nothing there; the message says where the original is to be had.
    """
    file, _ = npz.split_subtree(path)
    if not file.exists():
        raise FileNotFoundError(f"checkpoint {str(file)!r} does not exist. {_WHERE}")
