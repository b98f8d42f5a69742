"""Functions that the models share: variants, rematerialisation, and fitting a loaded tree.

Nothing here reads files. `big_rad.weights` and `big_rad.workdir.checkpoint` read checkpoints.
"""

import dataclasses
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import flax
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Shaped

from big_rad import trees
from big_rad.models import attention_parts

Liftable = TypeVar("Liftable", type[flax.linen.Module], Callable)
_attended = jax.checkpoint_policies.save_only_these_names(attention_parts.KEPT)
_REMAT_POLICIES = {
    "none": None,
    "full": jax.checkpoint_policies.nothing_saveable,
    "dots": jax.checkpoint_policies.save_from_both_policies(
        jax.checkpoint_policies.dots_saveable, _attended
    ),
    "dots_no_batch": jax.checkpoint_policies.save_from_both_policies(
        jax.checkpoint_policies.dots_with_no_batch_dims_saveable, _attended
    ),
}


class ArrayInfo(Protocol):
    """An object with a shape and a dtype: an array, a lazy one, or a `jax.ShapeDtypeStruct`."""

    shape: tuple[int, ...]
    dtype: np.dtype


# A function (initial value, loaded array) -> a value of the initial value's shape, or None if the
# loaded array cannot be adapted.
Adapt = Callable[[ArrayInfo, np.ndarray], np.ndarray | Array | None]


@dataclasses.dataclass(frozen=True)
class Loading:
    """The rules by which `models.load` fits a checkpoint's tree to a model.

    Attributes:
        adapt: A function for each tensor whose shape may differ from the model's, by the tensor's
            name.
        may_lack: The subtrees that start from their initial values if the checkpoint lacks them.
        check: A function that is called with the initial parameters, the tree and `dont_load`
            before anything is fitted. It raises ValueError if they must not be combined.
    """

    adapt: Mapping[str, Adapt] = dataclasses.field(default_factory=dict)
    may_lack: tuple[str, ...] = ()
    check: Callable[[Mapping[str, Any], Mapping[str, Any], Sequence[str]], None] | None = None


def resolve_variant(
    what: str, variants: Mapping[str, Mapping[str, Any]], variant: str | None, **explicit: Any
) -> dict[str, Any]:
    """Returns the dimensions of `variant`, overridden by every explicit one that is not None.

    Raises:
        ValueError: The variant is unknown, or neither the variant nor an explicit argument gives a
            dimension.
    """
    if variant is not None and variant not in variants:
        raise ValueError(f"no {what} variant {variant!r}; known: {', '.join(sorted(variants))}")
    dims = dict(variants[variant]) if variant is not None else {}
    dims |= {k: v for k, v in explicit.items() if v is not None}
    missing = [k for k in explicit if k not in dims]
    if missing:
        raise ValueError(f"{what}: give a variant or set {', '.join(missing)}")
    return dims


def remat(what: Liftable, policy: str) -> Liftable:
    """Saves memory: the backward pass recomputes the intermediates that a policy does not keep.

    Args:
        what: An `nn.Module` class, or a function.
        policy: A name that says which intermediates are kept:

            - "none" (no rematerialisation) keeps all of them, and returns `what` itself.
            - "dots" keeps the results of all matrix products.
            - "dots_no_batch" keeps the results of matrix products with weights. Of the attention it
              keeps the result, but not the logits.
            - "full" keeps none of them.

    Returns:
        A class or a function with the same results as `what`.

    Raises:
        ValueError: The policy is unknown.
    """
    if policy not in _REMAT_POLICIES:
        raise ValueError(f"no remat_policy {policy!r}; known: {', '.join(_REMAT_POLICIES)}")
    if policy == "none":
        return what
    lift = flax.linen.remat if isinstance(what, type) else jax.checkpoint
    return lift(what, prevent_cse=False, policy=_REMAT_POLICIES[policy])


def merge(
    init_params: Mapping[str, Any],
    tree: Mapping[str, Any],
    *,
    dont_load: Sequence[str] = (),
    adapt: Mapping[str, Adapt] | None = None,
) -> dict[str, Any]:
    """Replaces freshly initialised parameters by a loaded tree, and accounts for every tensor.

    Arrays are read one at a time, so a tree of lazy arrays (see `big_rad.weights`) is never in
    memory as a whole. The largest comes first, while there is the most room.

    Args:
        init_params: The nested parameters of the model, or `jax.ShapeDtypeStruct`s. They give the
            names, shapes and dtypes, and, unless they are numpy arrays, the devices of the result.
        tree: The nested tree that was read from a checkpoint.
        dont_load: Regular expressions of parameter names, which must match the whole name. These
            parameters keep their initial values, whether `tree` has them or not.
        adapt: A function (initial, loaded) -> value for each tensor whose shape may differ, such as
            a position embedding, by the tensor's name. It returns None if it cannot adapt.

    Returns:
        A nested tree with the same names as `init_params`.

    Raises:
        ValueError: Some tensors are missing, unexpected or of another shape; the message lists each
            of them. Or `dont_load` keeps a tensor, and `init_params` gives only its shape.
    """
    init, loaded = trees.flatten(init_params), trees.flatten(tree)
    keep = [n for n in {**init, **loaded} if any(re.fullmatch(p, n) for p in dont_load)]
    taken = [n for n in init if n not in keep]
    problems = [f"missing: {n}" for n in taken if n not in loaded]
    problems += [f"unexpected: {n}" for n in loaded if n not in init and n not in keep]
    adapted = {}
    for name in taken:
        old, new = init[name], loaded.get(name)
        if new is not None and np.shape(new) != np.shape(old):
            value = adapt[name](old, np.asarray(new)) if name in (adapt or {}) else None
            if value is None or np.shape(value) != np.shape(old):
                problems.append(f"shape: {name} is {np.shape(new)}, the model has {np.shape(old)}")
            else:
                adapted[name] = value
    if problems:
        raise ValueError(
            "the checkpoint does not fit the model:\n  "
            + "\n  ".join(sorted(problems))
            + "\nChange the model config, or name what to leave out in dont_load."
        )
    result = {n: init[n] for n in init if n in keep}
    abstract = [n for n, x in result.items() if isinstance(x, jax.ShapeDtypeStruct)]
    if abstract:
        raise ValueError(f"dont_load keeps {', '.join(sorted(abstract))}: give initial values")
    for name in sorted(taken, key=lambda n: -np.prod(np.shape(init[n]))):
        old, value = init[name], adapted.pop(name, loaded[name])
        result[name] = place(value, old.dtype, getattr(old, "sharding", None), name)
    return trees.unflatten({n: result[n] for n in init})


def resize_position_embedding(
    old: ArrayInfo, new: Float[np.ndarray, "1 loaded width"]
) -> Float[Array, "1 tokens width"] | None:
    """Resizes a loaded position embedding to the model's grid, bilinearly and in float32.

    Args:
        old: The model's initial embedding [1, n, width], or its shape; n must be a square number.
        new: The loaded embedding [1, m, width]; m must be a square number.

    Returns:
        The resized embedding f32 [1, n, width]; None if the widths differ or a grid is not square.
    """
    if np.ndim(new) != 3 or np.shape(new)[-1] != np.shape(old)[-1]:
        return None
    m, n = (math.isqrt(np.shape(x)[1]) for x in (new, old))
    if m * m != np.shape(new)[1] or n * n != np.shape(old)[1]:
        return None
    grid = jnp.asarray(new, jnp.float32).reshape(m, m, -1)
    grid = jax.image.resize(grid, (n, n, grid.shape[-1]), "bilinear", antialias=False)
    return grid.reshape(1, n * n, -1)


def extend_embedding(
    old: ArrayInfo, new: Float[np.ndarray, "loaded width"]
) -> Float[np.ndarray, "rows width"] | None:
    """Appends rows to a loaded embedding table, near the mean of the loaded rows.

    An added row is the mean of the loaded rows plus seeded noise. The noise has a hundredth of
    the table's standard deviation in each feature, so that new tokens start alike but not equal.

    Args:
        old: The model's initial table [v, width], or its shape.
        new: The loaded table [u, width] with u <= v.

    Returns:
        The extended table [v, width], in the dtype of both tables if they have the same, and else
        in float32; None if the loaded table has another width or more rows.
    """
    if np.ndim(new) != 2 or new.shape[1] != old.shape[1] or new.shape[0] > old.shape[0]:
        return None
    rows, width = new.shape
    # The sums run over pieces, since the table of a real model has 2.4 GB in float32.
    pieces = range(0, rows, 16384)
    mean = sum(new[i : i + 16384].astype(np.float64).sum(axis=0) for i in pieces) / rows
    square = sum(((new[i : i + 16384] - mean) ** 2).sum(axis=0) for i in pieces) / rows
    noise = np.random.default_rng(0).standard_normal((old.shape[0] - rows, width), np.float32)
    table = np.empty(old.shape, new.dtype if new.dtype == old.dtype else np.float32)
    table[:rows] = new
    table[rows:] = mean + 0.01 * np.sqrt(square) * noise
    return table


def cast(
    value: Shaped[np.ndarray, "*shape"], dtype: DTypeLike, name: str = "an array"
) -> Shaped[np.ndarray, "*shape"]:
    """Converts an array, and refuses values that the new dtype would turn into infinity.

    Args:
        value: An array.
        dtype: The dtype of the result.
        name: The name of the array, for the message.

    Returns:
        The array in `dtype`; the same object if it already has that dtype.

    Raises:
        ValueError: A finite value is outside the range of `dtype`; the message names both.
    """
    dtype = jnp.dtype(dtype)
    if value.dtype == dtype:
        return value
    with np.errstate(over="ignore"):
        result = value.astype(dtype)
    if not all(jnp.issubdtype(x, jnp.floating) for x in (value.dtype, dtype)):
        return result
    limit = float(jnp.finfo(dtype).max)
    if float(jnp.finfo(value.dtype).max) <= limit:
        return result
    flat, was = result.reshape(-1), value.reshape(-1)
    for start in range(0, flat.size, 2**20):  # The boolean arrays of a whole table would be large.
        piece = was[start : start + 2**20]
        if -limit <= piece.min() and piece.max() <= limit:
            continue
        lost = np.isfinite(piece) & ~np.isfinite(flat[start : start + 2**20])
        if lost.any():
            raise ValueError(
                f"{name} holds {float(piece[lost][0]):g}, which {dtype.name} cannot hold (its "
                f"largest number is {limit:g}): it would become infinity. Convert to bfloat16 or "
                "float32 instead"
            )
    return result


def place(
    value: ArrayInfo,
    dtype: DTypeLike,
    sharding: jax.sharding.Sharding | None = None,
    name: str = "an array",
) -> Shaped[np.ndarray | Array, "..."]:
    """Reads one array, converts it, and copies it to devices.

    Args:
        value: An array, or an object that `np.asarray` reads.
        dtype: The dtype of the result.
        sharding: The devices and the layout of the result; None returns a numpy array.
        name: The name of the array, for messages.

    Raises:
        ValueError: A value is outside the range of `dtype`.
    """
    host = cast(np.asarray(value), dtype, name)
    if sharding is None:
        return host
    if sharding.is_fully_addressable:
        placed = jax.device_put(host, sharding)
    else:
        placed = jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])
    # The host array is freed only when the copy is done, and the next array may need its memory.
    return jax.block_until_ready(placed)
