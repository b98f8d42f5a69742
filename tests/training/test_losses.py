import jax
import jax.numpy as jnp
import numpy as np
import pytest

from big_rad.training import losses

B, T, V = 3, 9, 11


class Logits:
    """Stands in for a model: its parameter is the logits [B, T, V]."""

    def apply(self, variables, image, text, mask_ar, *, segment, logits_pos, train):
        del image, segment
        assert text.shape == mask_ar.shape == (B, T) and train
        logits = variables["params"]
        return (logits if logits_pos is None else logits[:0]), {"hidden": logits}

    def head(self, params):
        del params
        return jnp.eye(V), 0.0, None


def make_batch(packed):
    """Ragged rows [B, T + 1]; packed ones hold two texts, the last row also a text of one token."""
    rng = np.random.default_rng(0)
    text = rng.integers(3, V, (B, T + 1)).astype(np.int32)
    mask_loss, segment = np.zeros_like(text), np.ones_like(text)
    text[1, 8:] = text[2, 6:] = 0
    mask_loss[0, 3:], mask_loss[1, 2:8], mask_loss[2, 5:6] = 1, 1, 1
    if packed:
        segment[0, 5:], mask_loss[0, 5:7] = 2, 0  # Targets 3, 4 and 7, 8, 9.
        segment[1, 4:], mask_loss[1, 4:6] = 2, 0  # Targets 2, 3 and 6, 7.
    segment *= text != 0
    batch = dict(image=np.zeros((B, 1)), text=text, mask_ar=mask_loss, mask_loss=mask_loss)
    return batch | ({"segment": segment} if packed else {})


def naive(logits, batch, mean):
    """Returns (loss, weight, accuracy), computed with loops."""
    segments = batch.get("segment", np.ones_like(batch["text"]))
    texts, correct = {}, []
    for b in range(B):
        for t in range(1, T + 1):
            if batch["mask_loss"][b, t] and batch["text"][b, t]:
                z, target = np.float64(logits[b, t - 1]), batch["text"][b, t]
                texts.setdefault((b, segments[b, t]), []).append(
                    np.log(np.exp(z).sum()) - z[target]
                )
                correct.append(z.argmax() == target)
    parts = [sum(v) for v in texts.values()]
    weight = sum(len(v) for v in texts.values())
    if mean == "example":
        parts, weight = [np.mean(v) for v in texts.values()], len(texts)
    return sum(parts) / weight, weight, np.mean(correct)


def draw():
    return np.random.default_rng(1).standard_normal((B, T, V)).astype(np.float32)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("mean", ["token", "example"])
@pytest.mark.parametrize("tile", [None, 8, 1024])
def test_loss_weight_and_accuracy_equal_a_computation_by_loops(packed, mean, tile):
    batch, logits = make_batch(packed), draw()
    loss, metrics = losses.text_xent(Logits(), logits, batch, None, tile=tile, mean=mean)
    want, weight, accuracy = naive(logits, batch, mean)
    np.testing.assert_allclose(loss, want, rtol=1e-5)
    np.testing.assert_allclose(metrics["weight"], weight, rtol=1e-6)
    np.testing.assert_allclose(metrics["token_accuracy"], accuracy, rtol=1e-6)


@pytest.mark.parametrize("tile", [1, 6, 8, 1024])
def test_the_loss_of_each_row_equals_a_computation_by_loops(tile):
    batch, logits = make_batch(False), draw()
    got = losses.each_row(Logits(), logits, batch, tile=tile)
    for b in range(B):
        row = {k: np.where(np.arange(B)[:, None] == b, v, 0) for k, v in batch.items()}
        mean, weight, accuracy = naive(logits, row, "token")
        np.testing.assert_allclose(got["loss"][b], mean * weight, rtol=1e-5)
        assert (got["tokens"][b], got["correct"][b]) == (weight, pytest.approx(accuracy * weight))
    whole, metrics = losses.text_xent(Logits(), logits, batch, None)
    np.testing.assert_allclose(got["loss"].sum() / got["tokens"].sum(), whole, rtol=1e-5)
    assert got["correct"].sum() / got["tokens"].sum() == pytest.approx(metrics["token_accuracy"])


def test_rows_without_targets_have_no_loss():
    batch = make_batch(False)
    batch["mask_loss"] = np.zeros_like(batch["mask_loss"])
    assert not any(np.any(v) for v in losses.each_row(Logits(), draw(), batch).values())


def test_token_and_example_means_differ_on_ragged_texts():
    values = [naive(draw(), make_batch(True), mean)[0] for mean in ("token", "example")]
    assert abs(values[0] - values[1]) > 1e-2


def test_only_logits_at_targets_get_a_gradient_and_padding_gets_none():
    batch = make_batch(False)
    batch["mask_loss"] = batch["mask_loss"].copy()
    batch["mask_loss"][2, 6:] = 1  # Padding, wrongly marked.
    grads = jax.grad(lambda p: losses.text_xent(Logits(), p, batch, None)[0])(draw())
    wanted = (batch["mask_loss"] * (batch["text"] != 0))[:, 1:] == 1
    np.testing.assert_array_equal(np.abs(grads).sum(-1) > 0, wanted)


def test_a_batch_without_targets_has_zero_loss_and_gradient():
    batch = make_batch(False)
    batch["mask_loss"] = np.zeros_like(batch["mask_loss"])
    loss, grads = jax.value_and_grad(lambda p: losses.text_xent(Logits(), p, batch, None)[0])(
        draw()
    )
    assert loss == 0 and not np.any(grads)


def test_logits_only_at_targets_give_the_same_gradient_of_the_model(tiny):
    rng = np.random.default_rng(2)
    text = rng.integers(3, 64, (4, 9)).astype(np.int32)
    text[1, 6:] = 0
    mask = (np.arange(9) >= 4) & (text > 0)
    batch = dict(image=tiny.image, text=text, mask_ar=np.int32(mask), mask_loss=np.int32(mask))
    model = tiny.make()

    def grad(tile):
        def loss(p):
            return losses.text_xent(model, p, batch, None, tile=tile)[0]

        return jax.jit(jax.value_and_grad(loss))(tiny.params)

    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=1e-5), grad(None), grad(8))


def test_a_loss_is_named_with_literal_arguments():
    batch, logits = make_batch(True), draw()
    got = losses.get("text_xent(tile=None, mean='example')")(Logits(), logits, batch, None)[0]
    np.testing.assert_allclose(got, naive(logits, batch, "example")[0], rtol=1e-5)
    bound = losses.get("text_xent(mean='example')", groups=3, mean="token")
    assert bound.keywords == dict(groups=3, mean="example")  # The argument in the config wins.


def test_unknown_names_and_arguments_are_errors():
    with pytest.raises(KeyError, match="no loss named 'focal'.*text_xent"):
        losses.get("focal()")
    with pytest.raises(ValueError, match="by name"):
        losses.get("text_xent(7)")
    with pytest.raises(ValueError, match='"token" or "example"'):
        losses.get("text_xent(mean='row')")(Logits(), draw(), make_batch(False), None)
