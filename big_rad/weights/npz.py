"""The original npz format of big_vision: flat `/`-joined names, bf16 stored as void `|V2`."""

import pathlib
import zipfile
from collections.abc import Mapping
from typing import Any

import flax
import ml_dtypes
import numpy as np


def split_subtree(path: str | pathlib.Path) -> tuple[pathlib.Path, str]:
    """Splits `file.npz:img/head` into (file, "img/head"); without a colon the latter is ""."""
    text = str(path)
    if ".npz:" in text:
        file, _, subtree = text.partition(".npz:")
        return pathlib.Path(file + ".npz"), subtree
    return pathlib.Path(text), ""


def load(path: str | pathlib.Path) -> dict[str, Any]:
    """Reads an npz checkpoint, array by array.

    Args:
        path: the file, optionally with `:subtree`. Names may carry a `params/` prefix.

    Returns:
        Nested dict of numpy arrays; bf16 as `ml_dtypes.bfloat16`.

    Raises:
        ValueError: no npz file, a truncated one, one that holds Python objects, or an empty
            subtree.
    """
    file, subtree = split_subtree(path)
    flat = {}
    try:
        with np.load(file, allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ValueError("a single array")
            for key in archive.files:
                name = key.removeprefix("params/")
                if subtree and not (name + "/").startswith(subtree + "/"):
                    continue
                name = name[len(subtree) :].lstrip("/") if subtree else name
                value = archive[key]
                if value.dtype == np.dtype("V2"):
                    value = value.view(ml_dtypes.bfloat16)
                flat[name or subtree.rsplit("/", 1)[-1]] = value
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as e:
        raise ValueError(f"checkpoint {str(file)!r} is no readable npz file ({e})") from e
    if not flat:
        raise ValueError(f"checkpoint {str(file)!r} holds nothing under {subtree!r}")
    return flax.traverse_util.unflatten_dict(flat, sep="/")


def save(path: str | pathlib.Path, params: Mapping[str, Any]) -> None:
    """Writes nested parameters in the original format (no prefix, bf16 as `|V2`)."""
    flat = flax.traverse_util.flatten_dict(dict(params), sep="/")
    arrays = {}
    for name, value in flat.items():
        value = np.asarray(value)
        arrays[name] = value.view("V2") if value.dtype == ml_dtypes.bfloat16 else value
    with open(path, "wb") as f:
        np.savez(f, **arrays)
