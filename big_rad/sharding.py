"""Meshes and sharding rules: how parameters and batches are split over devices.

A rule is a pair (regular expression, strategy). The first rule that matches the name of a parameter
says how it is split:

- "replicate" copies it to every device.
- "fsdp" splits its largest divisible axis over the mesh axis "data".
- "shard(axis, 'mesh axis')" splits one axis over one mesh axis.

Example: on 4 devices with the mesh (("data", 2), ("model", 2)), a parameter of shape [6, 8] becomes
pieces of [6, 4] with "fsdp", since 8 is its largest axis and 2 divides it, and pieces of [3, 8]
with "shard(0, 'model')". Each piece is on two devices. A batch of 6 rows becomes 2 parts of 3 rows.
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
        axes: (name, size) pairs. One size may be -1, which takes all remaining devices.
        devices: the devices; None takes all.

    Raises:
        ValueError: the sizes do not use all devices, a name occurs twice, or "data" is missing.
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
        ValueError: a strategy is unknown, the mesh lacks an axis, or no number of devices fits the
            names and sizes of the axes.
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
    """Returns the sharding of batches, whose first axis is split over the mesh axis "data"."""
    return NamedSharding(mesh, PartitionSpec("data"))


def replicated(mesh: Mesh) -> NamedSharding:
    """Returns the sharding that copies an array to all devices."""
    return NamedSharding(mesh, PartitionSpec())


def infer(params: Mapping[str, Any], rules: trees.Rules, mesh: Mesh) -> dict[str, NamedSharding]:
    """Returns the sharding of each parameter.

    Args:
        params: the parameters, or only their shapes, as a flat dict.
        rules: (pattern, strategy) pairs.
        mesh: the mesh.

    Raises:
        ValueError: a strategy is unknown, an axis cannot be divided, or no pattern matches a name.
    """
    chosen = trees.match(list(params), rules, "config.sharding_strategy")
    return {n: NamedSharding(mesh, _spec(n, chosen[n], p.shape, mesh)) for n, p in params.items()}


def like_params(tree: Any, shardings: Mapping[str, NamedSharding], mesh: Mesh) -> Any:
    """Returns the shardings of an optimizer state over a flat dict of parameters.

    A leaf under the name of a parameter is split like the parameter if the sharding of the
    parameter fits the shape of the leaf. All other leaves, such as counts and factored statistics,
    are copied to every device.

    Args:
        tree: the state, or only its shapes.
        shardings: the sharding of each parameter, by name.
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
    """Puts an array onto the devices of all processes. Every process must have the whole array."""
    if sharding is None or sharding.is_fully_addressable:
        return jax.device_put(x, sharding)
    return jax.make_array_from_callback(x.shape, sharding, lambda index: x[index])


def check_batch(size: int, mesh: Mesh) -> None:
    """Checks that a batch can be split over a mesh so that each process has rows of its own.

    Args:
        size: the number of rows of the batch, those of all processes together.
        mesh: the mesh.

    Raises:
        ValueError: the batch cannot be split; the message names the field of the config.
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
        # Two processes would share a part of the mesh, but each of them reads other rows.
        raise ValueError(
            f'config.mesh: process {me} has {len(mine)} of the {parts} parts of axis "data", and '
            f"each of the {processes} processes needs as many of its own; make this axis longer"
        )


def put_batch(batch: Mapping[str, np.ndarray], mesh: Mesh) -> dict[str, jax.Array]:
    """Puts this process's rows of a batch onto the devices, split over the mesh axis "data".

    Args:
        batch: the arrays of the batch, with the rows of this process alone.
        mesh: the mesh.

    Raises:
        ValueError: the batch cannot be split, see `check_batch`.
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
