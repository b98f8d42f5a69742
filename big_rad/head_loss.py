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

from big_rad.models import attention

_SMALL = 8  # A tile of the remainder is so many times smaller.


class Sums(NamedTuple):
    """Scalars f32: the weighted sum of the cross-entropy, and the count of right predictions."""

    loss: jax.Array
    correct: jax.Array


def xent(
    hidden: jax.Array,
    table: jax.Array,
    target: jax.Array,
    weight: jax.Array,
    *,
    cap: float = 0.0,
    tile: int = 1024,
    groups: int = 1,
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

    Returns:
        The sums; `loss` has gradients for `hidden` and `table`. Logits and softmax are in float32.
    """
    groups = math.gcd(groups, hidden.shape[0])
    rows = hidden.shape[0] // groups
    sizes = tile_sizes(tile, rows)
    hidden, target, weight = (
        x.reshape(groups, rows, *x.shape[1:]) for x in (hidden, target, weight)
    )
    order = jnp.argsort(weight <= 0, axis=1, stable=True)
    pad = [(0, 0), (0, sizes[-1] - 1)]  # The last tile may begin at the last row.
    hidden = jnp.pad(jnp.take_along_axis(hidden, order[..., None], axis=1), [*pad, (0, 0)])
    target, weight = (jnp.pad(jnp.take_along_axis(x, order, axis=1), pad) for x in (target, weight))
    return _sums(hidden, table, target, weight, cap, sizes)


def tile_sizes(tile: int, rows: int) -> tuple[int, ...]:
    """Returns the rows of a whole tile, if there are so many, and of one of the remainder."""
    small = min(max(tile // _SMALL, 1), rows)
    return (tile, small) if tile <= rows else (small,)


@functools.partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def _sums(
    hidden: jax.Array,
    table: jax.Array,
    target: jax.Array,
    weight: jax.Array,
    cap: float,
    sizes: tuple[int, ...],
) -> Sums:
    # Rows with a weight come first.
    return _run(hidden, table, target, weight, cap, sizes)[0]


def _forward(hidden: Any, table: Any, target: Any, weight: Any, cap: float, sizes: Any) -> Any:
    arrays = (x.value for x in (hidden, table, target, weight))
    # A frozen table needs none, and its gradient is as large as the table.
    return _run(*arrays, cap, sizes, grads=("hidden", "table") if table.perturbed else ("hidden",))


def _backward(cap: float, sizes: Any, grads: Any, cotangent: Sums) -> Any:
    del cap, sizes
    d_hidden, d_table, dtype = grads
    scale = cotangent.loss
    if isinstance(scale, jax.custom_derivatives.SymbolicZero):
        return None, None, None, None
    if d_table is not None:
        d_table = (d_table.sum(axis=0) * scale).astype(dtype.dtype)
    return (d_hidden * scale.astype(d_hidden.dtype)), d_table, None, None


def _run(
    hidden: jax.Array,
    table: jax.Array,
    target: jax.Array,
    weight: jax.Array,
    cap: float,
    sizes: tuple[int, ...],
    grads: tuple[str, ...] = (),
) -> tuple[Sums, Any]:
    count = (weight > 0).sum(axis=1).max()
    matrix = table.astype(hidden.dtype)
    vocab = jnp.arange(table.shape[0])

    def step(size: int, state: Any) -> Any:
        start, sums, d_hidden, d_table = state
        h, t, w = (
            jax.lax.dynamic_slice_in_dim(x, start, size, axis=1) for x in (hidden, target, weight)
        )
        logits = jnp.einsum("gtd,vd->gtv", h, matrix, preferred_element_type=jnp.float32)
        logits = attention.soft_cap(logits, cap)
        high = logits.max(axis=-1)
        normaliser = high + jnp.log(jnp.exp(logits - high[..., None]).sum(axis=-1))
        chosen = jnp.take_along_axis(logits, t[..., None], axis=-1)[..., 0]
        sums = Sums(
            sums.loss + ((normaliser - chosen) * w).sum(),
            sums.correct + ((chosen >= high) & (w > 0)).sum().astype(jnp.float32),
        )
        if grads:
            d = jnp.exp(logits - normaliser[..., None]) - (vocab == t[..., None])
            d = d * w[..., None]
            if cap:
                d = d * (1 - jnp.square(logits / cap))
            d = d.astype(h.dtype)
            d_hidden = jax.lax.dynamic_update_slice_in_dim(
                d_hidden, jnp.einsum("gtv,vd->gtd", d, matrix), start, axis=1
            )
            if "table" in grads:
                own = jnp.einsum("gtv,gtd->gvd", d, h, preferred_element_type=jnp.float32)
                d_table = d_table + own
        return start + size, sums, d_hidden, d_table

    zero = jnp.zeros((), jnp.float32)
    state = (jnp.zeros((), jnp.int32), Sums(zero, zero), None, None)
    if grads:
        each = jnp.zeros((hidden.shape[0], *table.shape), jnp.float32) if "table" in grads else None
        state = (*state[:2], jnp.zeros_like(hidden), each)
    for size in sizes:
        # Whole tiles first; what is left needs one more tile of the small size than is full.
        ahead = size if size != sizes[-1] else 1
        state = jax.lax.while_loop(
            lambda s, ahead=ahead: s[0] + ahead <= count, functools.partial(step, size), state
        )
    _, sums, d_hidden, d_table = state
    return sums, (d_hidden, d_table, jnp.zeros((), table.dtype))


_sums.defvjp(_forward, _backward, symbolic_zeros=True)
