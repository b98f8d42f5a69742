"""The item `data` of a checkpoint: the data position, sealed with the checksum of every array.

One digest over it and over the item `meta` shows whether any of them is not what was written.
"""

import functools
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

from big_rad.workdir import checksums

_KEYS = ("arrays", "digest", "position")


class CheckpointError(ValueError):
    """A checkpoint is missing, or cannot be written, read or run; the message says why."""


class Damaged(CheckpointError):
    """What is read is not what was written."""


def seal(state: PyTree, position: Mapping[str, Any], meta: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the item `data`: the position, the checksum of every array, and one of it all.

    Args:
        state: tree of arrays.
        position: where the data go on.
        meta: the item `meta`.
    """
    arrays = named(state)
    sums = checksums.of({n: x for n, x in arrays.items() if isinstance(x, jax.Array)})
    sums |= {n: checksums.of_numpy(x) for n, x in arrays.items() if n not in sums}
    known = {n: [*d, sums[n]] for n, d in described(state).items()}
    sealed = {"position": dict(position), "arrays": known}
    return sealed | {"digest": digest(sealed, meta)}


def unseal(
    data: Mapping[str, Any], meta: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Returns the position, and name -> (shape, dtype, checksum) of every array.

    The second is None if the checkpoint predates checksums.

    Raises:
        Damaged: the items are not what was written.
    """
    if not set(data) & set(_KEYS):
        return dict(data), None
    if set(data) != set(_KEYS):
        raise Damaged("its item `data` is not what was written")
    if data["digest"] != digest({k: data[k] for k in ("position", "arrays")}, meta):
        raise Damaged("its items `data` and `meta` are not what was written")
    return data["position"], data["arrays"]


def named(tree: PyTree) -> dict[str, Any]:
    """Returns the leaves of a tree by their names, the parts joined by dots."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    name = functools.partial(jax.tree_util.keystr, simple=True, separator=".")
    return {name(path): x for path, x in leaves}


def described(tree: PyTree) -> dict[str, tuple[tuple[int, ...], str]]:
    """Returns name -> (shape, name of the dtype) of the leaves of a tree."""
    return {n: (tuple(x.shape), np.dtype(x.dtype).name) for n, x in named(tree).items()}


def digest(sealed: Mapping[str, Any], meta: Mapping[str, Any]) -> str:
    """Returns the sha256 of the item `data`, without its digest, and of the item `meta`."""
    return hashlib.sha256(json.dumps([sealed, meta], sort_keys=True).encode()).hexdigest()
