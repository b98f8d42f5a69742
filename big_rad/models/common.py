"""What the models share: variants, rematerialisation policies, and merging a foreign tree.

Knows nothing of files: reading checkpoints is `big_rad.weights` and `big_rad.workdir.checkpoint`.
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
    """What has a shape and a dtype: an array, a lazy one, or a `jax.ShapeDtypeStruct`."""

    shape: tuple[int, ...]
    dtype: np.dtype


# (initial value, loaded array) -> value of the initial one's shape, or None where it cannot be.
Adapt = Callable[[ArrayInfo, np.ndarray], np.ndarray | Array | None]


@dataclasses.dataclass(frozen=True)
class Loading:
    """How a checkpoint's tree is fitted to a model: what `models.load` reads in a model's module.

    Attributes:
        adapt: name -> function, for the tensors whose shape may differ from the model's.
        may_lack: subtrees that start from their initial values if the checkpoint has none of them.
        check: called with the initial parameters, the tree and `dont_load` before anything is
            fitted; it raises ValueError where they must not be joined.
    """

    adapt: Mapping[str, Adapt] = dataclasses.field(default_factory=dict)
    may_lack: tuple[str, ...] = ()
    check: Callable[[Mapping[str, Any], Mapping[str, Any], Sequence[str]], None] | None = None


def resolve_variant(
    what: str, variants: Mapping[str, Mapping[str, Any]], variant: str | None, **explicit: Any
) -> dict[str, Any]:
    """Returns the dimensions of `variant`, overridden by every explicit one that is not None.

    Raises:
        ValueError: an unknown variant, or a dimension that neither names.
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
    """Lets a module class or a function recompute in its backward pass what a policy does not keep.

    Args:
        what: an `nn.Module` class, or a function.
        policy: "none" keeps all and returns `what` itself; "dots" keeps the results of matrix
            products, "dots_no_batch" of those with weights (so not the attention's logits, but its
            result), "full" none.

    Raises:
        ValueError: an unknown policy.
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
    """Puts a loaded tree in the place of freshly initialised parameters, accounting for all.

    Arrays are taken one at a time, the largest first while there is most room, so a tree of lazy
    arrays (see `big_rad.weights`) never lies in memory as a whole.

    Args:
        init_params: nested parameters of the model, or `jax.ShapeDtypeStruct`s; they give names,
            shapes and dtypes, and, unless they are numpy arrays, the devices to put arrays onto.
        tree: nested tree that was read from a checkpoint.
        dont_load: regular expressions (full match) of names that keep their initial value and
            may be absent from, or present in, `tree`.
        adapt: name -> function (initial, loaded) -> value, for tensors whose shape may differ,
            such as a position embedding; it returns None if it cannot adapt.

    Returns:
        A nested tree like `init_params`.

    Raises:
        ValueError: missing, unexpected or mis-shaped tensors; the message lists each of them.
            Or `dont_load` keeps a tensor of which `init_params` gives only the shape.
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
        old: the model's initial embedding [1, n, width]; it gives the target n.
        new: the loaded embedding [1, m, width]; m must be a square number.

    Returns:
        [1, n, width] float32, or None if the two cannot be matched.
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
    """Appends rows to a loaded embedding table: new rows are near the mean of the loaded ones.

    The added rows are the mean plus seeded noise of a hundredth of the table's standard
    deviation, so that new tokens start alike but not equal.

    Args:
        old: the model's initial table [v, width]; it gives the target v.
        new: the loaded table [u, width] with u <= v.

    Returns:
        [v, width], in the dtype of both tables or else in float32; None if the loaded table is
        of another width or the larger one.
    """
    if np.ndim(new) != 2 or new.shape[1] != old.shape[1] or new.shape[0] > old.shape[0]:
        return None
    rows, width = new.shape
    # In pieces and sums, since the table of a real model is 2.4 GB in float32.
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
        value: an array.
        dtype: of the result.
        name: of the array, for the message.

    Returns:
        The array in `dtype`; the same object if it has that already.

    Raises:
        ValueError: a finite value is out of the range of `dtype`; the message names both.
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
    for start in range(0, flat.size, 2**20):  # The masks of a whole table would be large.
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
    """Reads one array, converts it, and puts it onto devices.

    Args:
        value: an array, or an object that `np.asarray` reads.
        dtype: of the result.
        sharding: where to put it; None leaves a numpy array.
        name: of the array, for messages.

    Raises:
        ValueError: a value is out of the range of `dtype`.
    """
    host = cast(np.asarray(value), dtype, name)
    if sharding is None:
        return host
    if sharding.is_fully_addressable:
        placed = jax.device_put(host, sharding)
    else:
        placed = jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])
    # Until the copy is done the host array cannot go; the next one may need its room.
    return jax.block_until_ready(placed)
