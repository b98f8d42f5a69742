"""Meshes and sharding rules: where parameters and batches lie.

Rules are a list of (regex, strategy); strategies are "replicate", "fsdp" (split the largest
divisible axis over the mesh axis "data") and "shard(axis, 'mesh axis')". Knows no model.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from big_rad import registry, trees

_STRATEGIES = ("replicate", "fsdp", "shard")
_UNKNOWN = "config.sharding_strategy: {!r}; known: replicate, fsdp, shard(axis, 'mesh axis')"


def make_mesh(axes: Sequence[tuple[str, int]], devices: Sequence[Any] | None = None) -> Mesh:
    """Builds a mesh with automatic axes.

    Args:
        axes: (name, size) pairs; one size may be -1, which takes what is left.
        devices: defaults to all devices.

    Raises:
        ValueError: the sizes do not use all devices, or the names are not distinct or lack "data".
    """
    devices = list(jax.devices() if devices is None else devices)
    names, sizes = [n for n, _ in axes], [int(s) for _, s in axes]
    _check_names(names)
    if sizes.count(-1) == 1:
        sizes[sizes.index(-1)] = len(devices) // max(1, -math.prod(sizes))
    if min(sizes) < 1 or math.prod(sizes) != len(devices):
        raise ValueError(
            f"config.mesh {dict(axes)} does not fit {len(devices)} devices; "
            'use (("data", -1),) for all of them'
        )
    return jax.make_mesh(sizes, names, axis_types=(AxisType.Auto,) * len(names), devices=devices)


def check_rules(rules: trees.Rules, axes: Sequence[tuple[str, int]]) -> None:
    """Checks `config.mesh` and `config.sharding_strategy` without devices or parameters.

    Args:
        rules: (pattern, strategy) pairs.
        axes: (name, size) pairs, see `make_mesh`.

    Raises:
        ValueError: an unknown strategy, an axis that the mesh lacks, or names or sizes of axes that
            no number of devices fits.
    """
    names = [n for n, _ in axes]
    _check_names(names)
    if [size for _, size in axes].count(-1) > 1:
        raise ValueError(f"config.mesh {dict(axes)}: one size alone may be -1")
    for _, strategy in rules:
        kind, args, _ = registry.parse_call(strategy)
        if kind not in ("replicate", "fsdp") and not (kind == "shard" and len(args) == 2):
            raise ValueError(_UNKNOWN.format(strategy) + registry.did_you_mean(kind, _STRATEGIES))
        if kind == "shard" and args[1] not in names:
            raise ValueError(
                f"config.sharding_strategy: {strategy!r} names mesh axis {args[1]!r}; config.mesh "
                f"has {', '.join(names)}"
            )


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of batches: split on the first axis over "data"."""
    return NamedSharding(mesh, PartitionSpec("data"))


def replicated(mesh: Mesh) -> NamedSharding:
    """Returns the sharding that copies to all devices."""
    return NamedSharding(mesh, PartitionSpec())


def infer(params: Mapping[str, Any], rules: trees.Rules, mesh: Mesh) -> dict[str, NamedSharding]:
    """Returns a sharding for each parameter of a flat dict (shapes suffice).

    Raises:
        ValueError: an unknown strategy, an axis that does not divide, or an unmatched name.
    """
    chosen = trees.match(list(params), rules, "config.sharding_strategy")
    return {n: NamedSharding(mesh, _spec(n, chosen[n], p.shape, mesh)) for n, p in params.items()}


def like_params(tree: Any, shardings: Mapping[str, NamedSharding], mesh: Mesh) -> Any:
    """Returns shardings for an optimizer state over a flat dict of parameters.

    A leaf that lies under a parameter's name and has the rank of its sharding is split as the
    parameter; all else (counts, factored statistics) is copied to every device.

    Args:
        tree: the state (shapes suffice).
        shardings: of the parameters.
        mesh: the mesh.
    """

    def leaf(path: Any, x: Any) -> NamedSharding:
        keys = [getattr(k, "key", None) for k in path]
        name = next((k for k in keys if isinstance(k, str) and k in shardings), None)
        if name is None or not _fits(shardings[name], x.shape, mesh):
            return replicated(mesh)
        return shardings[name]

    return jax.tree_util.tree_map_with_path(leaf, tree)


def put(x: np.ndarray, sharding: jax.sharding.Sharding | None) -> jax.Array:
    """Puts an array that every process has onto the devices of all of them."""
    if sharding is None or sharding.is_fully_addressable:
        return jax.device_put(x, sharding)
    return jax.make_array_from_callback(x.shape, sharding, lambda index: x[index])


def check_batch(size: int, mesh: Mesh) -> None:
    """Checks that a batch can be split over a mesh, each process having rows of its own.

    Args:
        size: rows of the batch, those of all processes together.
        mesh: the mesh.

    Raises:
        ValueError: it cannot; the message names the field of the config.
    """
    parts, processes = mesh.shape["data"], jax.process_count()
    if size % parts:
        raise ValueError(
            f"config.input.batch_size: {size} rows do not divide over the {parts} parts of mesh "
            f'axis "data"; use a multiple of {parts}, or another config.mesh'
        )
    if processes == 1:
        return
    axis, me = mesh.axis_names.index("data"), jax.process_index()
    mine = {at[axis] for at, d in np.ndenumerate(mesh.devices) if d.process_index == me}
    if len(mine) * processes != parts:
        # Rows that two processes should both have would be other ones in each.
        raise ValueError(
            f'config.mesh: process {me} has {len(mine)} of the {parts} parts of axis "data", and '
            f"each of the {processes} processes needs as many of its own; make this axis longer"
        )


def put_batch(batch: Mapping[str, np.ndarray], mesh: Mesh) -> dict[str, jax.Array]:
    """Puts this process's rows of a batch onto the devices, split over "data".

    Raises:
        ValueError: see `check_batch`.
    """
    sharding = batch_sharding(mesh)
    for rows in {len(value) for value in batch.values()}:
        check_batch(rows * jax.process_count(), mesh)
    return {k: jax.make_array_from_process_local_data(sharding, v) for k, v in batch.items()}


def _check_names(names: Sequence[str]) -> None:
    if "data" not in names or len(set(names)) < len(names):
        raise ValueError(f'config.mesh needs distinct axes, one called "data"; got {list(names)}')


def _fits(sharding: NamedSharding, shape: Sequence[int], mesh: Mesh) -> bool:
    spec = sharding.spec
    return len(spec) <= len(shape) and all(
        axis is None or (shape[i] % mesh.shape[axis] == 0) for i, axis in enumerate(spec)
    )


def _spec(name: str, strategy: str, shape: Sequence[int], mesh: Mesh) -> PartitionSpec:
    kind, args, _ = registry.parse_call(strategy)
    if kind == "replicate":
        return PartitionSpec()
    if kind == "fsdp":
        size = mesh.shape["data"]
        axes = [i for i in range(len(shape)) if shape[i] % size == 0 and shape[i] >= size]
        if size == 1 or not axes:
            return PartitionSpec()
        best = max(axes, key=lambda i: shape[i])
        return PartitionSpec(*("data" if i == best else None for i in range(best + 1)))
    if kind == "shard" and len(args) == 2:
        axis, mesh_axis = args
        inside = -len(shape) <= axis < len(shape)
        if not inside or mesh_axis not in mesh.shape or shape[axis] % mesh.shape[mesh_axis]:
            raise ValueError(
                f"config.sharding_strategy: cannot split axis {axis} of {name} {tuple(shape)} "
                f"over mesh axis {mesh_axis!r} of {dict(mesh.shape)}"
            )
        return PartitionSpec(
            *(mesh_axis if i == axis % len(shape) else None for i in range(len(shape)))
        )
    raise ValueError(_UNKNOWN.format(strategy))
