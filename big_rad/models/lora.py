"""Low-rank adapters (LoRA) of the decoder's matrices and of its token table.

An adapter of a frozen matrix W adds a product of two small matrices to it:

    W + alpha / rank * A B

A and B are trained; A maps the input to `rank` numbers, and B maps them to the output. The scale
alpha and the rank are settings. Source: Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large
Language Models", section 4.1; the paper writes the product as B A, since its matrices are
transposed.

The adapters are a subtree `lora` beside `llm`, so the model's other parameters keep their names,
and adapters can be compared, saved and merged separately. Each adapter belongs to one array of the
tree. Keys and values are one array, so they share an A; so do gate and up. The adapter of the token
table changes both the embeddings and the output logits. It has a row of A for each token, so that
the model can learn tokens that are new to it.
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

# The adapter of one matrix: `a` and `b`, whose product is added to the matrix. All adapters: nested
# dicts by the names of the matrices.
Adapter = Mapping[str, Float[Array, "..."]]
Adapters = Mapping[str, Any]

TABLE = "embedder/input_embedding"
# For each matrix of a layer, its input axes (which are summed over) and its output axes.
_AXES = {
    "attn/q_einsum/w": ((1,), (0, 2)),
    "attn/kv_einsum/w": ((2,), (0, 1, 3)),
    "attn/attn_vec_einsum/w": ((0, 1), (2,)),
    "mlp/gating_einsum": ((1,), (0, 2)),
    "mlp/linear": ((0,), (1,)),
}
_NAMES = (*_AXES, TABLE)
_FIELDS = ("rank", "alpha", "targets")
PREFIX = "lora/"  # The names of adapters begin with this in flat parameters.


def check(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Checks the settings of adapters, and fills in the defaults.

    Args:
        spec: `config.model.lora`.

    Returns:
        A dict of `rank`; `alpha`, by default the rank; and `targets`, a regular expression of the
        names of the adapted matrices, by default all of them.

    Raises:
        ValueError: A field is unknown, the rank is missing or below 1, or no name matches
            `targets`.
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
    """Returns new adapters, whose products are zero.

    Args:
        rng: The random key of A, and of the table's B. The other factor starts at zero.
        shapes: The shapes [depth, ...] of the stacked matrices by their names, and the shape [V, D]
            of the table.
        spec: The settings; see `check`.

    Returns:
        Nested dicts by the names of the matrices. The adapter of a matrix is `{"a": [depth,
        inputs..., rank], "b": [depth, rank, outputs...]}`. That of the table is `{"a": [V, rank],
        "b": [rank, D]}` with A zero, so that the adapter adds nothing to a token's row of the table
        before that token's own row of A is trained.
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
    """Returns adapters for use in a model: B multiplied by alpha / rank, both factors cast."""
    spec = check(spec)

    def one(path: tuple[jax.tree_util.DictKey, ...], x: Float[Array, "..."]) -> Float[Array, "..."]:
        factor = spec["alpha"] / spec["rank"] if path[-1].key == "b" else 1.0
        return (x * factor).astype(dtype)

    return jax.tree_util.tree_map_with_path(one, adapters)


def einsum(
    equation: str, x: Float[Array, "*inputs"], w: Float[Array, "*weights"], adapter: Adapter | None
) -> Float[Array, "*outputs"]:
    """Returns einsum(equation, x, w + A B), computed without the sum of the matrices.

    Args:
        equation: An equation "inputs,weights->outputs", which must not use the letter R.
        x: The input.
        w: The matrix of one layer.
        adapter: The scaled `a` and `b` of one layer, or None if the matrix has no adapter.
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
    """Returns the adapters of the layers, and the adapter of the table.

    Either is None if there is no such adapter.
    """
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
    """Returns nested parameters without `lora`, in which each adapter is added to its matrix.

    Args:
        params: The parameters of a model, with `lora` beside `llm`.
        spec: The settings, `config.model.lora`.
    """
    spec = check(spec)
    flat = flax.traverse_util.flatten_dict(dict(params), sep="/")
    result = {n: x for n, x in flat.items() if not n.startswith(PREFIX)}
    for name, (w, a, b) in matrices(flat).items():
        result[w] = merged(name, flat[w], flat[a], flat[b], spec)
    return flax.traverse_util.unflatten_dict(result, sep="/")


def matrices(flat: Mapping[str, Any]) -> dict[str, tuple[str, str, str]]:
    """Returns the names of all matrices that have an adapter.

    Args:
        flat: The flat parameters, by their names joined with "/".

    Returns:
        For each name within a layer, such as "mlp/linear", the flat names of the matrix, A and B.
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
    """Returns one stacked matrix, or the table, with its adapter added.

    Args:
        name: The name of the matrix within a layer, such as "mlp/linear"; or `TABLE`.
        w: The matrix [depth, ...], or the table [V, D]. If it is a numpy array, so is the result.
        a: The factor A; see `init`.
        b: The factor B; see `init`.
        spec: The complete settings, as `check` returns them.
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
