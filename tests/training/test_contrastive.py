"""The sigmoid loss of all pairs: a plain formula, blocks, microbatches, and eight devices."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from big_rad import trees
from big_rad.models import two_towers
from big_rad.training import contrastive, losses
from big_rad.training import step as train_step

IMG = dict(width=16, depth=1, mlp_dim=24, num_heads=2, patch_size=4)
TXT = dict(width=16, depth=1, mlp_dim=24, num_heads=2, vocab_size=32, length=6)
T, B = jnp.array([3.0]), jnp.array([-2.0])


def keys(images, texts):
    """Rows of these images, each with its own text first and then others of the same image."""
    longest = max(map(len, texts))
    padded = [[*t, *[0] * (longest - len(t))] for t in texts]
    return {
        "image_key": np.array([[i, i] for i in images], np.int32),
        "text_keys": np.array([[[t, t] for t in row] for row in padded], np.int32),
    }


def plain(image, text, together):
    """The formula of the paper, pair by pair."""
    total = 0.0
    for i in range(len(image)):
        for j in range(len(text)):
            logit = float(T[0]) * float(image[i] @ text[j]) + float(B[0])
            total += np.log1p(np.exp(-logit if together[i][j] else logit))
    return total / len(image)


def unit(rng, rows, features=5):
    z = rng.standard_normal((rows, features)).astype(np.float32)
    return z / np.linalg.norm(z, axis=1, keepdims=True)


def test_captions_of_an_image_and_equal_sentences_belong_together():
    # Rows 0 and 1 show one image with two captions; row 2 has the text of row 1 on another image.
    # Row 3 shows a further image; one of its other captions is the text of row 0.
    rows = keys([1, 1, 2, 3], [[11, 12], [12, 11], [12], [13, 11]])
    got = contrastive.positives(rows, rows)
    want = [[1, 1, 1, 0], [1, 1, 1, 0], [0, 1, 1, 0], [1, 0, 0, 1]]
    np.testing.assert_array_equal(got, np.array(want, bool))


def test_rows_without_a_key_belong_to_nobody_else():
    rows = {"image_key": np.zeros((2, 2), np.int32), "text_keys": np.zeros((2, 1, 2), np.int32)}
    assert not np.asarray(contrastive.positives(rows, rows)).any()


@settings(max_examples=10)
@given(st.integers(0, 10**6), st.sampled_from([1, 2, 3, 4, 6, 12]))
def test_the_loss_is_that_of_the_formula_in_any_number_of_blocks(seed, blocks):
    rng = np.random.default_rng(seed)
    image, text = unit(rng, 12), unit(rng, 12)
    names = rng.integers(1, 6, 12)
    rows = keys(names, [[10 + int(x)] for x in rng.integers(0, 5, 12)])
    together = np.asarray(contrastive.positives(rows, rows))
    got, metrics = contrastive.sigmoid_loss(image, text, T, B, rows, blocks=blocks)
    np.testing.assert_allclose(got, plain(image, text, together), rtol=1e-5)
    np.testing.assert_allclose(metrics["positives"], together.sum() / 12, rtol=1e-6)
    dots = image @ text.T
    by_image = together[np.arange(12), dots.argmax(1)].mean()
    by_text = together[dots.argmax(0), np.arange(12)].mean()
    np.testing.assert_allclose(metrics["text_accuracy"], by_image, rtol=1e-6)
    np.testing.assert_allclose(metrics["image_accuracy"], by_text, rtol=1e-6)


@pytest.mark.parametrize("blocks", [1, 2])
def test_several_texts_of_an_image_are_texts_of_rows_with_the_same_image(blocks):
    rng = np.random.default_rng(0)
    image, text = unit(rng, 4), unit(rng, 8).reshape(4, 2, 5)
    words = [[11, 12, 13], [21, 22, 23], [31, 11, 32], [41, 42, 43]]
    rows = keys(range(1, 5), words)
    alone = keys([1, 1, 2, 2, 3, 3, 4, 4], [x for w in words for x in (w, [w[1], w[0], w[2]])])
    together = np.asarray(contrastive.positives(rows, alone))
    assert together.sum() == 10  # Eight own texts, and the one that images 1 and 3 share, twice.
    got, metrics = contrastive.sigmoid_loss(image, text, T, B, rows, blocks=blocks)
    want = plain(image, text.reshape(8, 5), together) * 4 / 8  # A mean over texts, not images.
    np.testing.assert_allclose(got, want, rtol=1e-5)
    np.testing.assert_allclose(metrics["positives"], 10 / 4, rtol=1e-6)
    best = (image @ text.reshape(8, 5).T).argmax(0)
    np.testing.assert_allclose(metrics["image_accuracy"], together[best, np.arange(8)].mean())


def test_a_row_without_weight_counts_nowhere():
    rng = np.random.default_rng(0)
    image, text = unit(rng, 6), unit(rng, 6)
    rows = keys(range(1, 7), [[10 + i] for i in range(6)])
    weight = np.array([1, 1, 0, 1, 1, 0], np.float32)
    kept = weight > 0
    got, metrics = contrastive.sigmoid_loss(image, text, T, B, rows | {"weight": weight}, blocks=3)
    some = {k: v[kept] for k, v in rows.items()}
    want, same = contrastive.sigmoid_loss(image[kept], text[kept], T, B, some)
    np.testing.assert_allclose(got, want, rtol=1e-6)
    np.testing.assert_allclose(metrics["text_accuracy"], same["text_accuracy"])


@pytest.mark.parametrize("blocks", [1, 2])
def test_an_exchanged_text_belongs_to_the_images_that_have_it_and_to_no_other(blocks):
    rng = np.random.default_rng(0)
    image, text = unit(rng, 4), unit(rng, 8).reshape(4, 2, 5)
    # The exchanged text of image 1 is a text of image 2; image 3 has none.
    rows = keys(range(1, 5), [[11, 12], [21, 22], [31, 32], [41, 42]])
    exchanged = np.array([[n, n] for n in (22, 91, 0, 92)], np.int32)
    got, metrics = contrastive.sigmoid_loss(
        image, text, T, B, rows | {"exchanged_key": exchanged}, blocks=blocks
    )
    kept = [0, 1, 2, 3, 4, 6, 7]  # Own and exchanged texts by turns, without the missing one.
    together = np.zeros((4, 8), bool)
    together[range(4), range(0, 8, 2)] = together[1, 1] = True
    want = plain(image, text.reshape(8, 5)[kept], together[:, kept])
    np.testing.assert_allclose(got, want, rtol=1e-5)
    np.testing.assert_allclose(metrics["positives"], 5 / 4, rtol=1e-6)
    best = (image @ text[:, 0].T).argmax(0)
    np.testing.assert_allclose(metrics["image_accuracy"], (best == np.arange(4)).mean())


def test_an_exchanged_text_is_embedded_as_the_last_text_of_its_row():
    model, params, batch = make(rows=4, texts=(2,))
    other = batch["text"][:, 0] % 7
    own = contrastive.Pairs().embed(model, params, batch)
    more = contrastive.Pairs().embed(model, params, batch | {"exchanged": other})
    alone = contrastive.Pairs().embed(model, params, batch | {"text": other})
    np.testing.assert_allclose(more["text"][:, :2], own["text"], atol=1e-6)
    np.testing.assert_allclose(more["text"][:, 2], alone["text"], atol=1e-6)


def test_blocks_that_do_not_divide_the_rows_are_refused():
    z = np.ones((6, 2), np.float32)
    with pytest.raises(ValueError, match="6 rows do not divide into 4 blocks"):
        contrastive.sigmoid_loss(z, z, T, B, keys(range(6), [[1]] * 6), blocks=4)


def make(rows=8, seed=0, texts=(), exchanged=False):
    """A tiny model, its parameters and a batch with positives beside the diagonal."""
    rng = np.random.default_rng(seed)
    model = two_towers.Model(img=IMG, txt=TXT)
    batch = {
        "image": rng.uniform(-1, 1, (rows, 8, 8, 3)).astype(np.float32),
        "text": rng.integers(1, 32, (rows, *texts, 6)).astype(np.int32),
        **keys([1, 1, *range(2, rows)], [[10 + i // 2, 90 + i] for i in range(rows)]),
    }
    if exchanged:
        batch["exchanged"] = rng.integers(1, 32, (rows, 6)).astype(np.int32)
        batch["exchanged_key"] = np.array([[n % 5, n % 5] for n in range(rows)], np.int32)
    params = jax.jit(model.init)(jax.random.key(0), batch["image"][:1], np.ones((1, 6), int))
    return model, params["params"], batch


def test_four_accumulated_microbatches_equal_the_whole_batch():
    model, params, batch = make(texts=(2,), exchanged=True)
    names = trees.flatten(params)
    optimizer = types.SimpleNamespace(trainable=dict.fromkeys(names, True), tx=optax.sgd(1.0))
    ends = []
    for count in (1, 4):
        loss = losses.get("sigmoid_pairs()")
        step = jax.jit(train_step.make_train_step(model, loss, optimizer, count))
        state = {"params": params, "opt_state": optimizer.tx.init(names), "step": jnp.int32(0)}
        state, metrics = step(state, batch, jax.random.key(0))
        ends.append((metrics, trees.flatten(state["params"])))
    (whole, first), (parts, second) = ends
    assert whole.keys() == parts.keys() and whole["positives"] > 1
    for name in whole:
        np.testing.assert_allclose(parts[name], whole[name], rtol=1e-5, err_msg=name)
    for name in names:
        np.testing.assert_allclose(second[name], first[name], rtol=1e-6, atol=1e-6, err_msg=name)
        assert np.abs(first[name] - names[name]).max() > 0 or name.endswith("key/bias"), name


EIGHT_DEVICES = """
import re, sys
import jax, numpy as np
from big_rad import sharding, trees
from big_rad.training import losses
from tests.training import test_contrastive as made

model, params, batch = made.make(rows=16, texts=(2,), exchanged=True)

def run(devices):
    mesh = sharding.make_mesh((("data", -1),), devices)
    loss = losses.get("sigmoid_pairs()", groups=len(devices))
    of = jax.jit(
        jax.value_and_grad(lambda p, b: loss(model, p, b, None), has_aux=True),
        in_shardings=(sharding.replicated(mesh), sharding.batch_sharding(mesh)),
    )
    put = jax.device_put(batch, sharding.batch_sharding(mesh))
    compiled = of.lower(params, put).compile()
    (value, metrics), grads = compiled(params, put)
    return value, metrics, trees.flatten(grads), compiled.as_text()

devices = jax.devices()
assert len(devices) == 8
want, eight = run(devices[:1]), run(devices)
np.testing.assert_allclose(eight[0], want[0], rtol=5e-6)
for name, value in want[1].items():
    np.testing.assert_allclose(eight[1][name], value, rtol=1e-5, err_msg=name)
for name, value in want[2].items():
    np.testing.assert_allclose(eight[2][name], value, atol=2e-6, err_msg=name)
# The texts go round, and neither embeddings nor logits of the whole batch come to one device.
assert "collective-permute" in eight[3]
gathered = re.findall(r"(\\w+)\\[([\\d,]*)\\][^=]* all-gather\\(", eight[3])
assert not gathered, gathered
print("equal")
"""


@pytest.mark.slow
def test_eight_devices_equal_one_and_gather_nothing(on_eight_devices):
    assert on_eight_devices(EIGHT_DEVICES) == "equal"
