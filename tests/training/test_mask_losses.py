"""The losses of masks, for logits of any size and for batches without masks."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from big_rad import trees
from big_rad.models import radgrounder
from big_rad.training import losses
from big_rad.training import step as train_step

LOGITS = hnp.arrays(np.float32, (2, 4, 5), elements=st.floats(-30, 30, width=32))
TARGETS = hnp.arrays(np.float32, (2, 4, 5), elements=st.sampled_from([0.0, 1.0]))


@settings(max_examples=30)
@given(LOGITS, TARGETS)
def test_focal_with_gamma_0_is_the_cross_entropy(logits, target):
    sign = np.where(target > 0, 1, -1)
    p_t = 1 / (1 + np.exp(-sign * logits.astype(np.float64)))
    want = -np.log(p_t).mean(axis=(1, 2))
    np.testing.assert_allclose(losses.focal(logits, target, gamma=0), want, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(losses.bce(logits, target), want, rtol=1e-5, atol=1e-6)
    want = (-((1 - p_t) ** 2) * np.log(p_t)).mean(axis=(1, 2))
    np.testing.assert_allclose(losses.focal(logits, target), want, rtol=1e-4, atol=1e-6)


@settings(max_examples=30)
@given(LOGITS, TARGETS, st.floats(0, 1))
def test_alpha_weights_the_pixels_of_the_mask_against_the_others(logits, target, alpha):
    inside, outside = (losses.focal(logits, target, alpha=a) for a in (1.0, 0.0))
    got = losses.focal(logits, target, alpha=alpha)
    np.testing.assert_allclose(got, alpha * inside + (1 - alpha) * outside, rtol=1e-4, atol=1e-6)
    both = losses.focal(logits, target)
    np.testing.assert_allclose(inside + outside, both, rtol=1e-4, atol=1e-6)


def test_dice_is_0_for_the_perfect_mask_and_1_for_a_disjoint_one():
    target = np.zeros((8, 8), np.float32)
    target[2:5, 1:4] = 1
    sure = np.where(target > 0, 200.0, -200.0).astype(np.float32)
    assert float(losses.dice(sure, target)) == pytest.approx(0, abs=1e-6)
    assert float(losses.dice(-sure, target)) == pytest.approx(1, abs=1e-6)
    part = np.where(np.arange(8) < 2, sure, np.float32(-200))  # One of the mask's three columns.
    assert float(losses.dice(part, target)) == pytest.approx(1 - 2 * 3 / (3 + 9), abs=1e-5)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_gradients_are_finite_at_saturation(dtype, gamma):
    logits = jnp.asarray([[-3e4, -90.0, 0.0], [90.0, 3e4, 1.0]], dtype)
    for target in (np.zeros((2, 3)), np.ones((2, 3)), np.eye(2, 3)):

        def loss(x, target=target.astype(np.float32)):
            return losses.focal(x, target, gamma, 0.25) + losses.dice(x, target)

        value, grad = jax.value_and_grad(loss)(logits)
        assert jnp.isfinite(value) and jnp.isfinite(grad.astype(jnp.float32)).all()


# ---- In a batch, through the model ----


@pytest.fixture(scope="module")
def setup(tiny):
    base = tiny.make()
    decoder = dict(depth=1, dim=16, num_heads=2, mlp_dim=16)
    model = radgrounder.Model(img=base.img, llm=base.llm, mask_decoder=decoder)
    text = np.array([[2, 5, 6, 9, 4, 9, 1, 0]] * 4, np.int32)
    learned = np.array([[0, 0, 1, 1, 1, 1, 1, 0]] * 4, np.int32)
    size = tiny.image.shape[1:3]
    batch = {
        "image": tiny.image,
        "text": text,
        "mask_ar": learned,
        "mask_loss": learned,
        "segmap": np.random.default_rng(0).integers(0, 4, (4, *size)).astype(np.uint8),
        "mask_class": np.array([[1, 2, 0], [3, 0, 0], [0, 0, 0], [2, 3, 0]], np.int32),
        "mask_pos": np.array([[3, 5, -1], [3, -1, -1], [-1, -1, -1], [3, 5, -1]], np.int32),
    }
    params = jax.jit(model.init)(jax.random.key(3), tiny.image, text, 0 * text)["params"]
    return model, {**params, **tiny.params}, batch


def run(setup, change=None, call="text_and_masks()"):
    """Returns loss, metrics and flat gradients."""
    model, params, batch = setup
    (value, metrics), grads = _compiled(model, call)(params, batch | (change or {}))
    return value, metrics, trees.flatten(grads)


_COMPILED = {}


def _compiled(model, call):
    if call not in _COMPILED:
        loss = losses.get(call)
        of = jax.value_and_grad(lambda p, batch: loss(model, p, batch, None), has_aux=True)
        _COMPILED[call] = jax.jit(of)
    return _COMPILED[call]


@pytest.mark.parametrize("masks", ["focal_dice", "bce_dice"])
def test_the_loss_is_that_of_the_text_and_lambda_times_the_mean_over_masks(setup, masks):
    model, params, batch = setup
    value, metrics, _ = run(setup, call=f"text_and_masks(lambda_seg=0.3, masks={masks!r})")
    text, _, _ = run(setup, call="text_xent()")
    text_in, ar = batch["text"][:, :-1], batch["mask_ar"][:, :-1]
    apply = jax.jit(lambda p, **kw: model.apply({"params": p}, batch["image"], text_in, ar, **kw))
    _, out = apply(params, mask_pos=np.maximum(batch["mask_pos"], 0))
    pixels = losses.focal if masks == "focal_dice" else losses.bce
    each = []
    for row, k in zip(*np.nonzero(batch["mask_class"]), strict=True):
        target = (batch["segmap"][row] == batch["mask_class"][row, k]).astype(np.float32)
        logits = out["mask_logits"][row, k]
        each.append(float(pixels(logits, target) + losses.dice(logits, target)))
    assert metrics["masks"] == len(each) == 5
    np.testing.assert_allclose(metrics["mask_loss"], np.mean(each), rtol=1e-5)
    np.testing.assert_allclose(metrics["text_loss"], text, rtol=1e-6)
    np.testing.assert_allclose(value, text + 0.3 * np.mean(each), rtol=1e-5)


def test_what_stands_in_unused_places_changes_nothing(setup):
    want, metrics, grads = run(setup)
    _, _, batch = setup
    segmap = batch["segmap"].copy()
    segmap[2] = 1  # of the example without masks
    change = {"mask_class": np.where(batch["mask_pos"] < 0, 7, batch["mask_class"])}
    got, other, again = run(setup, change | {"segmap": segmap})
    assert got == want and other["masks"] == metrics["masks"]
    for name in grads:
        np.testing.assert_array_equal(grads[name], again[name])


def test_a_batch_without_masks_trains_as_text_alone(setup):
    none = {"mask_pos": np.full((4, 3), -1), "mask_class": np.zeros((4, 3), np.int32)}
    value, metrics, grads = run(setup, none)
    want, _, plain = run(setup, call="text_xent()")
    np.testing.assert_allclose(value, want, rtol=1e-6)
    assert metrics["mask_loss"] == 0 and metrics["masks"] == 0
    for name, grad in grads.items():
        if name.startswith("mask_decoder/"):
            assert not np.asarray(grad).any(), name
        else:
            np.testing.assert_allclose(grad, plain[name], rtol=1e-4, atol=1e-6)


def test_with_lambda_0_the_text_is_trained_alone(setup):
    value, metrics, grads = run(setup, call="text_and_masks(lambda_seg=0.0)")
    assert value == metrics["text_loss"] and "mask_loss" not in metrics
    assert not any(np.asarray(g).any() for n, g in grads.items() if n.startswith("mask_decoder/"))


def test_gradients_reach_the_decoder_the_language_model_and_the_image_tower(setup):
    _, _, grads = run(setup, call="text_and_masks(lambda_seg=1.0)")
    _, _, plain = run(setup, call="text_xent()")
    for name, grad in grads.items():
        assert np.isfinite(grad).all(), name
        if name.startswith("mask_decoder/") and not name.endswith("k_proj/bias"):
            assert np.asarray(grad).any(), name
    for name in ("img/Transformer/encoder_norm/scale", "llm/final_norm/scale"):
        assert np.abs(grads[name] - plain[name]).max() > 1e-6, name


def test_an_unknown_mask_loss_is_refused(setup):
    with pytest.raises(ValueError, match="focal_dice"):
        run(setup, call="text_and_masks(masks='l2')")


@pytest.mark.parametrize("mean", ["token", "example"])
def test_a_mask_counts_the_same_in_whichever_microbatch_it_is(setup, mean):
    """Microbatches with different numbers of masks and texts of different lengths, when joined,
    give the same loss and gradients as the whole batch."""
    model, params, batch = setup
    learned = batch["mask_loss"].copy()
    learned[1, 4:], learned[3, 3:] = 0, 0
    batch = batch | {"mask_loss": learned}
    names = trees.flatten(params)
    optimizer = types.SimpleNamespace(trainable=dict.fromkeys(names, True), tx=optax.sgd(1.0))
    ends = []
    for count in (1, 4):
        loss = losses.get(f"text_and_masks(lambda_seg=0.5, mean={mean!r})")
        step = jax.jit(train_step.make_train_step(model, loss, optimizer, count))
        state = {"params": params, "opt_state": optimizer.tx.init(names), "step": jnp.int32(0)}
        state, metrics = step(state, batch, jax.random.key(0))
        assert metrics["masks"] == 5
        ends.append((metrics["mask_loss"], metrics["l2_grads"], trees.flatten(state["params"])))
    whole, parts = ends
    np.testing.assert_allclose(parts[0], whole[0], rtol=1e-5)
    np.testing.assert_allclose(parts[1], whole[1], rtol=1e-4)
    for name, value in parts[2].items():
        np.testing.assert_allclose(value, whole[2][name], atol=2e-5, err_msg=name)
