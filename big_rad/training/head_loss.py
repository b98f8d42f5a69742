"""Cross-entropy of the output head at target tokens alone, in tiles of rows.

The head of a vocabulary of 257 k is a third of a step if it is run at every position, and its
logits are the largest array by far. Here rows that count are gathered and put through in tiles:
as many tiles as there are targets, whatever their number, and each gives its loss and its gradients
at once, so that no logits outlive their tile and none are computed twice. Knows no model.
"""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

from big_rad.models import attention

_SMALL = 8  # A tile of the remainder is so many times smaller.


class Sums(NamedTuple):
    """The weighted sum of the cross-entropy and the count of right predictions, float32.

    They are scalars, or one of each row of a batch.
    """

    loss: Float[Array, "*rows"]
    correct: Float[Array, "*rows"]


def xent(
    hidden: Float[Array, "rows width"],
    table: Float[Array, "vocab width"],
    target: Int[Array, " rows"],
    weight: Float[Array, " rows"],
    *,
    cap: float = 0.0,
    tile: int = 1024,
    groups: int = 1,
    more: tuple[Float[Array, "rows rank"], Float[Array, "vocab rank"]] | None = None,
) -> Sums:
    """Sums the cross-entropy of softmax(soft_cap(hidden table^T)) over rows with a weight.

    Args:
        hidden: [R, D], final hidden states.
        table: [V, D], the output table.
        target: i32 [R].
        weight: f32 [R], not negative; rows of weight 0 cost nothing.
        cap: soft cap of the logits, 0 for none.
        tile: rows put through at once; a remainder goes in tiles of an eighth.
        groups: devices that the rows are split over, in order: each gathers its own.
        more: other inputs [R, K] and another table [V, K], whose logits are added before the cap.

    Returns:
        The sums; `loss` has gradients for inputs and tables. Logits and softmax are in float32.
    """
    groups = math.gcd(groups, hidden.shape[0])
    rows = hidden.shape[0] // groups
    sizes = tile_sizes(tile, rows)
    inputs, tables = zip(*([(hidden, table)] + ([more] if more else [])), strict=True)
    target, weight = (x.reshape(groups, rows) for x in (target, weight))
    order = jnp.argsort(weight <= 0, axis=1, stable=True)
    pad = [(0, 0), (0, sizes[-1] - 1)]  # The last tile may begin at the last row.

    def gathered(x: Shaped[Array, "..."]) -> Shaped[Array, "..."]:
        x = jnp.take_along_axis(x.reshape(groups, rows, -1), order[..., None], axis=1)
        return jnp.pad(x, [*pad, (0, 0)])

    target, weight = (jnp.pad(jnp.take_along_axis(x, order, axis=1), pad) for x in (target, weight))
    return _sums(tuple(map(gathered, inputs)), tables, target, weight, cap, sizes)


def xent_rows(
    hidden: Float[Array, "rows tokens width"],
    table: Float[Array, "vocab width"],
    target: Int[Array, "rows tokens"],
    weight: Float[Array, "rows tokens"],
    *,
    cap: float = 0.0,
    tile: int = 1024,
    more: tuple[Float[Array, "rows tokens rank"], Float[Array, "vocab rank"]] | None = None,
) -> Sums:
    """Sums the cross-entropy as `xent`, for each row of a batch alone, and without gradients.

    Args:
        hidden: [B, T, D], final hidden states.
        table: [V, D], the output table.
        target: i32 [B, T].
        weight: f32 [B, T], not negative; positions of weight 0 cost nothing if all rows have them.
        cap: soft cap of the logits, 0 for none.
        tile: positions put through at once, those of all rows together.
        more: other inputs [B, T, K] and another table [V, K], as for `xent`.

    Returns:
        f32 [B] each: the weighted sum of the cross-entropy of a row, and its right predictions.
    """
    rows, length = target.shape
    size = min(max(tile // rows, 1), length)
    inputs, tables = zip(*([(hidden, table)] + ([more] if more else [])), strict=True)
    order = jnp.argsort(weight <= 0, axis=1, stable=True)

    def gathered(x: Shaped[Array, "..."]) -> Shaped[Array, "..."]:
        x = jnp.take_along_axis(x.reshape(rows, length, -1), order[..., None], axis=1)
        return jnp.pad(x, [(0, 0), (0, size - 1), (0, 0)])  # A tile may begin at the last position.

    parts = [*map(gathered, inputs), gathered(target), gathered(weight)]
    count = (weight > 0).sum(axis=1).max()

    def step(state: tuple[jax.Array, Sums]) -> tuple[jax.Array, Sums]:
        start, sums = state
        *xs, t, w = (jax.lax.dynamic_slice_in_dim(x, start, size, axis=1) for x in parts)
        each = [
            jnp.einsum("btd,vd->btv", x, m.astype(x.dtype), preferred_element_type=jnp.float32)
            for x, m in zip(xs, tables, strict=True)
        ]
        logits, w = attention.soft_cap(functools.reduce(jnp.add, each), cap), w[..., 0]
        chosen = jnp.take_along_axis(logits, t, axis=-1)[..., 0]
        loss = (jax.nn.logsumexp(logits, axis=-1) - chosen) * w
        correct = ((chosen >= logits.max(axis=-1)) & (w > 0)).astype(jnp.float32)
        return start + size, Sums(sums.loss + loss.sum(axis=1), sums.correct + correct.sum(axis=1))

    zeros = jnp.zeros(rows, jnp.float32)
    state = (jnp.zeros((), jnp.int32), Sums(zeros, zeros))
    return jax.lax.while_loop(lambda s: s[0] < count, step, state)[1]


def tile_sizes(tile: int, rows: int) -> tuple[int, ...]:
    """Returns the rows of a whole tile, if there are so many, and of one of the remainder."""
    small = min(max(tile // _SMALL, 1), rows)
    return (tile, small) if tile <= rows else (small,)


@functools.partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def _sums(
    inputs: tuple[Float[Array, "groups rows _"], ...],
    tables: tuple[Float[Array, "vocab _"], ...],
    target: Int[Array, "groups rows"],
    weight: Float[Array, "groups rows"],
    cap: float,
    sizes: tuple[int, ...],
) -> Sums:
    # Rows with a weight come first.
    return _run(inputs, tables, target, weight, cap, sizes)[0]


def _forward(inputs: Any, tables: Any, target: Any, weight: Any, cap: float, sizes: Any) -> Any:
    values = (tuple(x.value for x in part) for part in (inputs, tables))
    # A frozen table needs no gradient, and it would be as large as the table.
    trained = tuple(x.perturbed for x in tables)
    return _run(*values, target.value, weight.value, cap, sizes, trained)


def _backward(cap: float, sizes: Any, grads: Any, cotangent: Sums) -> Any:
    del cap, sizes
    d_inputs, d_tables, dtypes = grads
    scale = cotangent.loss
    if isinstance(scale, jax.custom_derivatives.SymbolicZero):
        return (None,) * len(d_inputs), (None,) * len(d_tables), None, None
    return (
        tuple(d * scale.astype(d.dtype) for d in d_inputs),
        tuple(
            None if d is None else (d.sum(axis=0) * scale).astype(like.dtype)
            for d, like in zip(d_tables, dtypes, strict=True)
        ),
        None,
        None,
    )


def _run(
    inputs: tuple[Float[Array, "groups rows _"], ...],
    tables: tuple[Float[Array, "vocab _"], ...],
    target: Int[Array, "groups rows"],
    weight: Float[Array, "groups rows"],
    cap: float,
    sizes: tuple[int, ...],
    trained: tuple[bool, ...] | None = None,
) -> tuple[Sums, Any]:
    # Gradients only where `trained` says of which tables.
    count = (weight > 0).sum(axis=1).max()
    matrices = [t.astype(x.dtype) for x, t in zip(inputs, tables, strict=True)]
    vocab = jnp.arange(tables[0].shape[0])

    def step(size: int, state: Any) -> Any:
        start, sums, d_inputs, d_tables = state
        *parts, t, w = (
            jax.lax.dynamic_slice_in_dim(x, start, size, axis=1) for x in (*inputs, target, weight)
        )
        each = [
            jnp.einsum("gtd,vd->gtv", x, m, preferred_element_type=jnp.float32)
            for x, m in zip(parts, matrices, strict=True)
        ]
        logits = attention.soft_cap(functools.reduce(jnp.add, each), cap)
        high = logits.max(axis=-1)
        normaliser = high + jnp.log(jnp.exp(logits - high[..., None]).sum(axis=-1))
        chosen = jnp.take_along_axis(logits, t[..., None], axis=-1)[..., 0]
        sums = Sums(
            sums.loss + ((normaliser - chosen) * w).sum(),
            sums.correct + ((chosen >= high) & (w > 0)).sum().astype(jnp.float32),
        )
        if trained is not None:
            d = jnp.exp(logits - normaliser[..., None]) - (vocab == t[..., None])
            d = d * w[..., None]
            if cap:
                d = d * (1 - jnp.square(logits / cap))
            d = d.astype(parts[0].dtype)
            d_inputs = tuple(
                jax.lax.dynamic_update_slice_in_dim(
                    whole, jnp.einsum("gtv,vd->gtd", d, m), start, axis=1
                )
                for whole, m in zip(d_inputs, matrices, strict=True)
            )
            d_tables = tuple(
                None
                if own is None
                else own + jnp.einsum("gtv,gtd->gvd", d, x, preferred_element_type=jnp.float32)
                for own, x in zip(d_tables, parts, strict=True)
            )
        return start + size, sums, d_inputs, d_tables

    zero = jnp.zeros((), jnp.float32)
    state = (jnp.zeros((), jnp.int32), Sums(zero, zero), None, None)
    if trained is not None:
        groups = target.shape[0]
        each = tuple(
            jnp.zeros((groups, *t.shape), jnp.float32) if own else None
            for t, own in zip(tables, trained, strict=True)
        )
        state = (*state[:2], tuple(map(jnp.zeros_like, inputs)), each)
    for size in sizes:
        # Whole tiles first; what is left needs one more tile of the small size than is full.
        ahead = size if size != sizes[-1] else 1
        state = jax.lax.while_loop(
            lambda s, ahead=ahead: s[0] + ahead <= count, functools.partial(step, size), state
        )
    _, sums, d_inputs, d_tables = state
    return sums, (d_inputs, d_tables, tuple(jnp.zeros((), t.dtype) for t in tables))


_sums.defvjp(_forward, _backward, symbolic_zeros=True)
