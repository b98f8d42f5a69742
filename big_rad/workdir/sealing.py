"""Builds and checks the item `data` of a checkpoint, which detects damage of all its items.

`data` has the position in the training data, the checksum of every array of `state`, and a digest
over these two and the item `meta`.
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
    """A checkpoint is missing, or cannot be written, read or used; the message says why."""


class Damaged(CheckpointError):
    """A checkpoint that was read differs from what was written."""


def seal(state: PyTree, position: Mapping[str, Any], meta: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the item `data`: the position, the checksum of every array, and the digest.

    Args:
        state: the tree of arrays.
        position: the position at which the training data go on.
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
    """Checks the digest and returns the parts of the item `data`.

    Args:
        data: the item `data`.
        meta: the item `meta`.

    Returns:
        (position, arrays): `arrays` is a dict from the name of each array to (shape, dtype,
        checksum), or None if the checkpoint predates checksums.

    Raises:
        Damaged: The items do not match the digest.
    """
    if not set(data) & set(_KEYS):
        return dict(data), None
    if set(data) != set(_KEYS):
        raise Damaged("its item `data` is not what was written")
    if data["digest"] != digest({k: data[k] for k in ("position", "arrays")}, meta):
        raise Damaged("its items `data` and `meta` are not what was written")
    return data["position"], data["arrays"]


def named(tree: PyTree) -> dict[str, Any]:
    """Returns the leaves of a tree by name; a name is the path of the leaf, joined by dots."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    name = functools.partial(jax.tree_util.keystr, simple=True, separator=".")
    return {name(path): x for path, x in leaves}


def described(tree: PyTree) -> dict[str, tuple[tuple[int, ...], str]]:
    """Returns a dict from the name of each leaf of a tree to (shape, name of the dtype)."""
    return {n: (tuple(x.shape), np.dtype(x.dtype).name) for n, x in named(tree).items()}


def digest(sealed: Mapping[str, Any], meta: Mapping[str, Any]) -> str:
    """Returns the joint SHA-256 digest of the items `data` and `meta`.

    Args:
        sealed: the item `data` without its digest.
        meta: the item `meta`.
    """
    return hashlib.sha256(json.dumps([sealed, meta], sort_keys=True).encode()).hexdigest()
