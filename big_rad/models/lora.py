"""Low-rank adapters of the decoder's matrices and token table: W + alpha / rank * A B, W frozen.

Adapters are a subtree of their own, `lora`, so that the model's other parameters keep their names
and can be compared, saved and merged apart. One adapter belongs to one array of the tree: keys and
values share an A, and so do gate and up. That of the table serves both ends: it has a row of A for
each token, so tokens that the model has never met can be learnt. Knows neither files nor training.
Reference: Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models".
"""

import re
from collections.abc import Mapping
from typing import Any

import flax
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float

# Of one matrix: `a` and `b`, whose product is added to it. Of all, nested by the matrices' names.
Adapter = Mapping[str, Float[Array, "..."]]
Adapters = Mapping[str, Any]

TABLE = "embedder/input_embedding"
# Of each matrix of a layer, the axes that meet the input and those of the output.
_AXES = {
    "attn/q_einsum/w": ((1,), (0, 2)),
    "attn/kv_einsum/w": ((2,), (0, 1, 3)),
    "attn/attn_vec_einsum/w": ((0, 1), (2,)),
    "mlp/gating_einsum": ((1,), (0, 2)),
    "mlp/linear": ((0,), (1,)),
}
_NAMES = (*_AXES, TABLE)
_FIELDS = ("rank", "alpha", "targets")
PREFIX = "lora/"  # of the adapters' names in flat parameters


def check(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Returns `rank`, `alpha` (default: the rank) and `targets` (default: all of them).

    Raises:
        ValueError: an unknown field, no rank, or targets that match nothing.
    """
    unknown = [k for k in spec if k not in _FIELDS]
    rank = spec.get("rank", 0)
    if unknown or rank < 1:
        raise ValueError(
            f"config.model.lora is {dict(spec)}: give rank (at least 1), and if wanted alpha and "
            "targets, a regular expression over names such as attn/q_einsum/w"
        )
    targets = spec.get("targets", ".*")
    if not any(re.fullmatch(targets, n) for n in _NAMES):
        raise ValueError(
            f"config.model.lora.targets {targets!r} matches none of {', '.join(_NAMES)}"
        )
    return {"rank": rank, "alpha": spec.get("alpha", rank), "targets": targets}


def has_table(spec: Mapping[str, Any]) -> bool:
    """Returns whether the token table is among the targets."""
    return re.fullmatch(check(spec)["targets"], TABLE) is not None


def init(
    rng: jax.Array, shapes: Mapping[str, tuple[int, ...]], spec: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns new adapters, whose product is zero.

    Args:
        rng: of A, and of the table's B.
        shapes: of the stacked arrays, name of a matrix -> [depth, ...], and of the table [V, D].
        spec: see `check`.

    Returns:
        Nested by the matrices' names, each `{"a": [depth, inputs..., rank], "b": [depth, rank,
        outputs...]}`; of the table `{"a": [V, rank], "b": [rank, D]}`, where A is zero, so that a
        token's row is changed by that token alone.
    """
    spec, flat = check(spec), {}
    if has_table(spec):
        rows, width = shapes[TABLE]
        b = jax.random.normal(jax.random.fold_in(rng, len(_AXES)), (spec["rank"], width))
        flat[TABLE] = {"a": jnp.zeros((rows, spec["rank"])), "b": b * width**-0.5}
    for i, (name, (inside, outside)) in enumerate(_AXES.items()):
        if not re.fullmatch(spec["targets"], name):
            continue
        depth, *shape = shapes[name]
        inputs, outputs = ([shape[axis] for axis in axes] for axes in (inside, outside))
        key = jax.random.fold_in(rng, i)
        a = jax.random.normal(key, (depth, *inputs, spec["rank"])) * np.prod(inputs) ** -0.5
        flat[name] = {"a": a, "b": jnp.zeros((depth, spec["rank"], *outputs))}
    return flax.traverse_util.unflatten_dict(flat, sep="/")


def scaled(adapters: Adapters, spec: Mapping[str, Any], dtype: DTypeLike) -> Adapters:
    """Returns adapters in the dtype of the products, alpha / rank multiplied into B."""
    spec = check(spec)

    def one(path: tuple[jax.tree_util.DictKey, ...], x: Float[Array, "..."]) -> Float[Array, "..."]:
        factor = spec["alpha"] / spec["rank"] if path[-1].key == "b" else 1.0
        return (x * factor).astype(dtype)

    return jax.tree_util.tree_map_with_path(one, adapters)


def einsum(
    equation: str, x: Float[Array, "*inputs"], w: Float[Array, "*weights"], adapter: Adapter | None
) -> Float[Array, "*outputs"]:
    """Returns einsum(equation, x, w), plus that of x with A and B if there is an adapter.

    Args:
        equation: "inputs,weights->outputs"; R is not among its letters.
        x: the input.
        w: one layer's matrix.
        adapter: None, or one layer's `a` and `b`, scaled.
    """
    y = jnp.einsum(equation, x, w)
    if adapter is None:
        return y
    left, out = equation.split("->")
    ins, weights = left.split(",")
    met = "".join(c for c in weights if c in ins and c not in out)
    new = "".join(c for c in weights if c not in ins)
    kept = "".join(c for c in ins if c not in met)
    low = jnp.einsum(f"{ins},{met}R->{kept}R", x, adapter["a"])
    return y + jnp.einsum(f"{kept}R,R{new}->{out}", low, adapter["b"])


def split(adapters: Adapters | None) -> tuple[Adapters | None, Adapter | None]:
    """Returns the adapters of the layers and that of the table; None for what there is not."""
    if adapters is None:
        return None, None
    layers = {k: v for k, v in adapters.items() if k != "embedder"}
    return layers or None, adapters.get("embedder", {}).get("input_embedding")


def product(
    x: Float[Array, "*rows inputs"], a: Float[Array, "inputs rank"], b: Float[Array, "rank outputs"]
) -> Float[Array, "*rows outputs"]:
    """Returns x A B."""
    return jnp.dot(jnp.dot(x, a), b)


def merge(params: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, Any]:
    """Returns nested parameters without adapters, these added to their matrices.

    Args:
        params: of a model, with `lora` beside `llm`.
        spec: `config.model.lora`.
    """
    spec = check(spec)
    flat = flax.traverse_util.flatten_dict(dict(params), sep="/")
    result = {n: x for n, x in flat.items() if not n.startswith(PREFIX)}
    for name, (w, a, b) in matrices(flat).items():
        result[w] = merged(name, flat[w], flat[a], flat[b], spec)
    return flax.traverse_util.unflatten_dict(result, sep="/")


def matrices(flat: Mapping[str, Any]) -> dict[str, tuple[str, str, str]]:
    """Returns, for each matrix with an adapter, the flat names of itself, A and B.

    Args:
        flat: flat parameters.
    """
    own = {n: f"llm/layers/{n}" for n in _AXES} | {TABLE: f"llm/{TABLE}"}
    names = {n: (w, f"{PREFIX}{n}/a", f"{PREFIX}{n}/b") for n, w in own.items()}
    return {n: place for n, place in names.items() if place[1] in flat}


def merged(
    name: str,
    w: Float[np.ndarray | Array, "*shape"],
    a: Float[np.ndarray | Array, "*inputs rank"],
    b: Float[np.ndarray | Array, "*outputs"],
    spec: Mapping[str, Any],
) -> Float[np.ndarray | Array, "*shape"]:
    """Returns one stacked matrix, or the table, with its adapter added; numpy stays numpy.

    Args:
        name: such as "mlp/linear".
        w: [depth, ...], or [V, D].
        a: see `init`.
        b: see `init`.
        spec: see `check`, complete.
    """
    xp = np if isinstance(w, np.ndarray) else jnp
    a, b = xp.asarray(a, np.float32), xp.asarray(b, np.float32)
    if name == TABLE:
        product = a @ b
    else:
        inside, outside = _AXES[name]
        depth, rank = a.shape[0], a.shape[-1]
        product = xp.matmul(a.reshape(depth, -1, rank), b.reshape(depth, rank, -1))
        shape = [w.shape[1 + axis] for axis in (*inside, *outside)]
        # From [depth, inputs..., outputs...] to the order of the matrix.
        order = [1 + (*inside, *outside).index(i) for i in range(len(shape))]
        product = product.reshape(depth, *shape).transpose(0, *order)
    new = xp.asarray(w, np.float32) + np.float32(spec["alpha"] / a.shape[-1]) * product
    return new.astype(w.dtype)
