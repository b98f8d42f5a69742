"""Cross-entropy of the output head, computed only at target tokens and in tiles of rows.

With a vocabulary of 257,000 tokens, an output head at every position takes a third of a training
step, and its logits are the largest array by far. A row here is one position: its final hidden
state, its target token and its weight. Only rows with a positive weight need logits, so `xent`
moves these to the front and loops over them in tiles:

    rows       t . t t . . t t ...      t: target, weight > 0;  .: weight 0
    sorted     t t t t t ... | . . .    the order among targets is kept
    tiles      [ tile ][ tile ][s][s]   s: tiles of the small size, for the remainder

The number of tiles is found at run time from the number of targets, so any number of targets works
without a new compilation. For example, a batch of 24 x 255 = 6,120 positions with 2,500 targets
and `tile=1024` (so `tile_sizes` is (1024, 128)) is computed as

    2 whole tiles      2 x 1024 = 2,048 rows
    4 small tiles      4 x  128 =   512 rows, of which 452 are targets and 60 have weight 0

which is 2,560 rows of logits instead of 6,120. With only 1,024-row tiles it would be 3,072.

A tile yields its loss and its gradients in the same pass. Its logits are then dropped, so the
logits of only one tile are in memory at a time, and no logits are computed a second time for the
backward pass.
"""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

from big_rad.models import attention

_SMALL = 8  # Tiles for the remainder are smaller than whole tiles by this factor.


class Sums(NamedTuple):
    """The weighted sum of the cross-entropy and the number of correct predictions, in float32.

    Both are scalars from `xent`, and have one value per row of a batch from `xent_rows`.

    Attributes:
        loss: the sum of weight * cross-entropy.
        correct: the number of rows with a weight whose target has the highest logit.
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
        hidden: the final hidden states [R, D].
        table: the output table [V, D].
        target: the target token of each row, i32 [R].
        weight: the weight of each row, f32 [R], not negative; no logits are computed for rows of
            weight 0, apart from those that fill up the last tile.
        cap: the soft cap of the logits; 0 applies no cap.
        tile: the number of rows whose logits are computed at once; the remainder is computed in
            tiles of an eighth of it.
        groups: the number of devices that the rows are split over, in order. Each device gathers
            its own targets, so that no rows move between devices; all run as many tiles as the
            device with the most targets.
        more: further inputs [R, K] and a further table [V, K], whose logits are added before the
            cap, such as those of a LoRA adapter of the table.

    Returns:
        The sums; `loss` can be differentiated with respect to inputs and tables. Logits and softmax
        are in float32.
    """
    groups = math.gcd(groups, hidden.shape[0])
    rows = hidden.shape[0] // groups
    sizes = tile_sizes(tile, rows)
    inputs, tables = zip(*([(hidden, table)] + ([more] if more else [])), strict=True)
    target, weight = (x.reshape(groups, rows) for x in (target, weight))
    order = jnp.argsort(weight <= 0, axis=1, stable=True)
    # The last tile may begin at the last row, so the rows are padded by one less than its size.
    pad = [(0, 0), (0, sizes[-1] - 1)]

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
    """Sums the cross-entropy as `xent` does, but separately for each row of a batch.

    Here a row is a line of the batch with T positions. A tile is the same number of positions of
    every row: with B = 4 rows and `tile=1024` it is 256 positions of each. The loop ends when the
    row with the most targets is done. It cannot be differentiated.

    Args:
        hidden: the final hidden states [B, T, D].
        table: the output table [V, D].
        target: the target token of each position, i32 [B, T].
        weight: the weight of each position, f32 [B, T], not negative. The cost is that of the row
            with the most positions of a positive weight.
        cap: the soft cap of the logits; 0 applies no cap.
        tile: the number of positions whose logits are computed at once, over all rows together.
        more: further inputs [B, T, K] and a further table [V, K], as for `xent`.

    Returns:
        For each row, f32 [B]: the weighted sum of the cross-entropy, and the number of correct
        predictions.
    """
    rows, length = target.shape
    size = min(max(tile // rows, 1), length)
    inputs, tables = zip(*([(hidden, table)] + ([more] if more else [])), strict=True)
    order = jnp.argsort(weight <= 0, axis=1, stable=True)

    def gathered(x: Shaped[Array, "..."]) -> Shaped[Array, "..."]:
        x = jnp.take_along_axis(x.reshape(rows, length, -1), order[..., None], axis=1)
        # The last tile may begin at the last position.
        return jnp.pad(x, [(0, 0), (0, size - 1), (0, 0)])

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
    """Returns the number of rows of a whole tile and of a tile for the remainder.

    For example, `tile_sizes(1024, 6120)` is (1024, 128). With fewer rows than one whole tile there
    is only the small size: `tile_sizes(1024, 1000)` is (128,), and `tile_sizes(1024, 100)` is
    (100,).

    Args:
        tile: the wanted number of rows of a whole tile.
        rows: the number of rows of one group, targets or not.
    """
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
    # Expects the rows with a weight at the front of each group.
    return _run(inputs, tables, target, weight, cap, sizes)[0]


def _forward(inputs: Any, tables: Any, target: Any, weight: Any, cap: float, sizes: Any) -> Any:
    values = (tuple(x.value for x in part) for part in (inputs, tables))
    # A frozen table needs no gradient, which would be as large as the table itself.
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
    # Returns the sums, and the gradients for a cotangent of 1. Without `trained` no gradients are
    # computed; otherwise it says for each table whether its gradient is needed.
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
        # Whole tiles run while all of their rows are targets. Small tiles run while at least one
        # row is a target, so that the last of them may be partly empty.
        ahead = size if size != sizes[-1] else 1
        state = jax.lax.while_loop(
            lambda s, ahead=ahead: s[0] + ahead <= count, functools.partial(step, size), state
        )
    _, sums, d_inputs, d_tables = state
    return sums, (d_inputs, d_tables, tuple(jnp.zeros((), t.dtype) for t in tables))


_sums.defvjp(_forward, _backward, symbolic_zeros=True)
