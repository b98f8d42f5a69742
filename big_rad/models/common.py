"""What the models share: variants, rematerialisation policies, and merging a foreign tree.

Knows nothing of files: reading checkpoints is `big_rad.weights` and `big_rad.checkpoint`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax
import jax
import jax.numpy as jnp
import numpy as np

_REMAT_POLICIES = {
    "none": None,
    "full": jax.checkpoint_policies.nothing_saveable,
    "dots": jax.checkpoint_policies.dots_saveable,
    "dots_no_batch": jax.checkpoint_policies.dots_with_no_batch_dims_saveable,
}


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


def remat(module: Any, policy: str) -> Any:
    """Wraps a module class in `nn.remat` with a named policy; "none" returns it as it is.

    Raises:
        ValueError: an unknown policy.
    """
    if policy not in _REMAT_POLICIES:
        raise ValueError(f"no remat_policy {policy!r}; known: {', '.join(_REMAT_POLICIES)}")
    if policy == "none":
        return module
    return flax.linen.remat(module, prevent_cse=False, policy=_REMAT_POLICIES[policy])


def flatten(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a nested tree as a flat dict with `/`-joined names."""
    return flax.traverse_util.flatten_dict(dict(tree), sep="/")


def unflatten(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Inverse of `flatten`."""
    return flax.traverse_util.unflatten_dict(dict(flat), sep="/")


def merge(
    init_params: Mapping[str, Any],
    tree: Mapping[str, Any],
    *,
    dont_load: Sequence[str] = (),
    adapt: Mapping[str, Callable[[Any, Any], Any]] | None = None,
) -> dict[str, Any]:
    """Puts a loaded tree in the place of freshly initialised parameters, accounting for all.

    Args:
        init_params: nested parameters of the model; they give names, shapes and dtypes.
        tree: nested tree that was read from a checkpoint.
        dont_load: regular expressions (full match) of names that keep their initial value and
            may be absent from, or present in, `tree`.
        adapt: name -> function (initial, loaded) -> value, for tensors whose shape may differ,
            such as a position embedding; it returns None if it cannot adapt.

    Returns:
        A nested tree like `init_params`.

    Raises:
        ValueError: missing, unexpected or mis-shaped tensors; the message lists each of them.
    """
    init, loaded, adapt = flatten(init_params), flatten(tree), adapt or {}

    def skip(name: str) -> bool:
        return any(re.fullmatch(p, name) for p in dont_load)

    problems = [f"missing: {n}" for n in init if n not in loaded and not skip(n)]
    problems += [f"unexpected: {n}" for n in loaded if n not in init and not skip(n)]
    result = {}
    for name, old in init.items():
        if skip(name) or name not in loaded:
            result[name] = old
            continue
        new = loaded[name]
        if np.shape(new) != np.shape(old):
            adapted = adapt[name](old, new) if name in adapt else None
            if adapted is None or np.shape(adapted) != np.shape(old):
                problems.append(f"shape: {name} is {np.shape(new)}, the model has {np.shape(old)}")
                continue
            new = adapted
        result[name] = new.astype(old.dtype)
    if problems:
        raise ValueError(
            "the checkpoint does not fit the model:\n  "
            + "\n  ".join(sorted(problems))
            + "\nChange the model config, or name what to leave out in dont_load."
        )
    return unflatten(result)


def resize_position_embedding(old: Any, new: Any) -> Any:
    """Resizes a loaded position embedding to the model's grid, bilinearly and in float32.

    Args:
        old: the model's initial embedding [1, n, width]; it gives the target n.
        new: the loaded embedding [1, m, width]; m must be a square number.

    Returns:
        [1, n, width] float32, or None if the two cannot be matched.
    """
    if np.ndim(new) != 3 or np.shape(new)[-1] != np.shape(old)[-1]:
        return None
    m, n = (int(round(np.shape(x)[1] ** 0.5)) for x in (new, old))
    if m * m != np.shape(new)[1] or n * n != np.shape(old)[1]:
        return None
    grid = jnp.asarray(new, jnp.float32).reshape(m, m, -1)
    grid = jax.image.resize(grid, (n, n, grid.shape[-1]), "bilinear", antialias=False)
    return grid.reshape(1, n * n, -1)


def extend_embedding(old: Any, new: Any) -> Any:
    """Appends rows to a loaded embedding table: new rows are near the mean of the loaded ones.

    The added rows are the mean plus seeded noise of a hundredth of the table's standard
    deviation, so that new tokens start alike but not equal.

    Args:
        old: the model's initial table [v, width]; it gives the target v.
        new: the loaded table [u, width] with u <= v.

    Returns:
        [v, width] float32, or None if the loaded table is the larger one or of another width.
    """
    if np.shape(new)[1:] != np.shape(old)[1:] or np.shape(new)[0] > np.shape(old)[0]:
        return None
    rows = np.shape(old)[0] - np.shape(new)[0]
    table = jnp.asarray(new, jnp.float32)
    noise = np.random.default_rng(0).standard_normal((rows, table.shape[1]), np.float32)
    added = table.mean(axis=0) + 0.01 * table.std(axis=0) * noise
    return jnp.concatenate([table, added])
