import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from big_rad.training import head_loss

R, D, V = 24, 5, 13


def draw(share=0.5, seed=0):
    """Hidden states, a table, targets, and weights of which about `share` are not 0."""
    rng = np.random.default_rng(seed)
    hidden, table = (rng.standard_normal(s, np.float32) for s in ((R, D), (V, D)))
    weight = rng.uniform(0.5, 2, R).astype(np.float32) * (rng.random(R) < share)
    return hidden, 2 * table, rng.integers(0, V, R).astype(np.int32), weight


def plain(hidden, table, target, weight, cap):
    logits = hidden @ table.T
    logits = cap * jnp.tanh(logits / cap) if cap else logits
    each = optax.softmax_cross_entropy_with_integer_labels(logits, target)
    return (each * weight).sum(), ((logits.argmax(-1) == target) & (weight > 0)).sum()


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("tile, groups", [(8, 1), (16, 1), (1024, 1), (8, 3), (8, 16), (1, 1)])
@pytest.mark.parametrize("cap", [0.0, 3.0])
def test_sums_and_gradients_equal_logits_everywhere(share, tile, groups, cap):
    hidden, table, target, weight = draw(share)

    def ours(hidden, table):
        sums = head_loss.xent(hidden, table, target, weight, cap=cap, tile=tile, groups=groups)
        return 0.7 * sums.loss, sums.correct

    def reference(hidden, table):
        loss, correct = plain(hidden, table, target, weight, cap)
        return 0.7 * loss, correct

    both = [jax.jit(jax.value_and_grad(f, (0, 1), has_aux=True)) for f in (ours, reference)]
    ((got, got_correct), got_grads), ((want, correct), grads) = (f(hidden, table) for f in both)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
    assert got_correct == correct
    for x, y in zip(got_grads, grads):
        np.testing.assert_allclose(x, y, atol=1e-5)
    np.testing.assert_allclose(jax.jit(ours)(hidden, table)[0], want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("cap", [0.0, 3.0])
def test_a_second_table_adds_its_logits_and_has_its_own_gradients(cap):
    hidden, table, target, weight = draw()
    rng = np.random.default_rng(1)
    low, added = (rng.standard_normal(s, np.float32) for s in ((R, 2), (V, 2)))

    def ours(hidden, table, low, added):
        options = dict(cap=cap, tile=8, groups=3, more=(low, added))
        return head_loss.xent(hidden, table, target, weight, **options).loss

    def reference(hidden, table, low, added):
        joined = [jnp.concatenate(x, axis=1) for x in ((hidden, low), (table, added))]
        return plain(*joined, target, weight, cap)[0]

    arrays = (hidden, table, low, added)
    np.testing.assert_allclose(ours(*arrays), reference(*arrays), rtol=1e-5)
    for wanted in ((0, 1, 2, 3), (0, 2, 3)):  # In the second case the table is frozen.
        for x, y in zip(*(jax.grad(f, wanted)(*arrays) for f in (ours, reference))):
            np.testing.assert_allclose(x, y, atol=1e-5)


def test_rows_without_a_weight_get_no_gradient_and_may_hold_anything():
    hidden, table, target, weight = draw()
    noisy = np.where(weight[:, None] > 0, hidden, 1e3)

    def loss(hidden):
        return head_loss.xent(hidden, table, target, weight, tile=8).loss

    assert loss(noisy) == pytest.approx(float(loss(hidden)), rel=1e-5)
    grads = jax.grad(loss)(noisy)
    np.testing.assert_array_equal(np.abs(grads).sum(-1) > 0, weight > 0)


def test_work_grows_with_the_targets_and_not_with_the_rows():
    hidden, table, target, _ = draw()
    for count, want in ((0, 0), (1, 1), (8, 1), (9, 2), (17, 3), (24, 3)):
        weight = (np.arange(R) % 24 < count).astype(np.float32)[::-1].copy()
        assert tiles(hidden, table, target, weight, tile=64) == want, count


def tiles(hidden, table, target, weight, tile):
    """Returns how many tiles `xent` runs, by counting the calls of its matrix product."""
    calls = []
    original = jnp.einsum

    def counting(equation, *args, **kw):
        if equation == "gtd,vd->gtv":
            jax.debug.callback(lambda: calls.append(1))
        return original(equation, *args, **kw)

    with pytest.MonkeyPatch.context() as m:
        m.setattr(jnp, "einsum", counting)
        head_loss.xent(hidden, table, target, weight, tile=tile).loss.block_until_ready()
        jax.effects_barrier()
    return len(calls)


def test_bf16_states_give_float32_sums_and_a_gradient_of_the_table_in_its_own_dtype():
    hidden, table, target, weight = draw()

    def loss(hidden, table):
        return head_loss.xent(hidden, table, target, weight, tile=8).loss

    value, (d_hidden, d_table) = jax.jit(jax.value_and_grad(loss, (0, 1)))(
        jnp.asarray(hidden, jnp.bfloat16), table
    )
    assert value.dtype == d_table.dtype == jnp.float32 and d_hidden.dtype == jnp.bfloat16
    want = jax.grad(lambda t: plain(hidden, t, target, weight, 0.0)[0])(table)
    assert np.abs(d_table - want).max() < 0.03 * np.abs(want).max()


def test_for_a_frozen_table_no_gradient_is_kept():
    hidden, table, target, weight = draw()

    def loss(hidden, table):
        return head_loss.xent(hidden, table, target, weight, tile=8).loss

    both = jax.vjp(loss, hidden, table)[1]
    alone = jax.vjp(lambda h: loss(h, table), hidden)[1]
    sizes = [
        sum(x.size for x in jax.tree.leaves(f) if x.shape[-2:] == table.shape)
        for f in (both, alone)
    ]
    assert sizes == [table.size, 0]
    np.testing.assert_array_equal(both(jnp.float32(1))[0], alone(jnp.float32(1))[0])


@pytest.mark.parametrize("cap", [0.0, 3.0])
def test_sums_of_each_row_add_a_second_table_and_the_cap(cap):
    hidden, table, target, weight = (x.reshape(4, 6, -1) if x.ndim == 2 and len(x) == R else x
                                     for x in draw())  # fmt: skip
    rng = np.random.default_rng(1)
    low, added = (rng.standard_normal(s, np.float32) for s in ((4, 6, 2), (V, 2)))
    target, weight = target.reshape(4, 6), weight.reshape(4, 6)
    got = head_loss.xent_rows(hidden, table, target, weight, cap=cap, tile=8, more=(low, added))
    for b in range(4):
        both = np.concatenate([hidden[b], low[b]], axis=1), np.concatenate([table, added], axis=1)
        loss, correct = plain(*both, target[b], weight[b], cap)
        np.testing.assert_allclose(got.loss[b], loss, rtol=1e-5)
        assert got.correct[b] == correct
