import jax
import jax.numpy as jnp
import numpy as np
import pytest

from big_rad import models
from big_rad.models import radgrounder


@pytest.fixture(scope="module")
def pair(tiny):
    """The same model as `paligemma` and as `radgrounder`."""
    base = tiny.make("image_isolated", text_block=4)
    fields = dict(img=base.img, llm=base.llm, mask_mode=base.mask_mode, text_block=base.text_block)
    return base, radgrounder.Model(**fields)


def test_without_a_mask_decoder_it_is_paligemma(pair, tiny):
    text = np.array([[2, 5, 6, 7, 2, 9, 4, 0]] * 4, np.int32)
    segment = np.array([[1, 1, 1, 1, 2, 2, 2, 0]] * 4, np.int32)
    mask_ar = np.array([[0, 0, 1, 1, 0, 1, 1, 0]] * 4, np.int32)

    def logits(model):
        return jax.jit(lambda p: model.apply(p, tiny.image, text, mask_ar, segment=segment)[0])(
            {"params": tiny.params}
        )

    base, model = pair
    np.testing.assert_array_equal(logits(model), logits(base))


def test_the_tree_is_that_of_paligemma(pair, tiny):
    text = np.ones((1, 4), np.int32)
    trees = [
        jax.eval_shape(m.init, jax.random.key(0), tiny.image[:1], text, 0 * text) for m in pair
    ]
    assert trees[0] == trees[1]
    loaded = models.load("radgrounder", trees[1]["params"], tiny.params)
    jax.tree.map(np.testing.assert_array_equal, loaded, tiny.params)


@pytest.fixture(scope="module")
def segmenting(tiny):
    """A model with a mask decoder, and its parameters; those of the towers are `tiny`'s."""
    base = tiny.make("image_isolated")
    model = radgrounder.Model(
        img=base.img,
        llm=base.llm,
        mask_mode=base.mask_mode,
        mask_decoder=dict(dim=16, num_heads=2, mlp_dim=16),
    )
    text = np.ones((1, 4), np.int32)
    fresh = jax.jit(model.init)(jax.random.key(3), tiny.image[:1], text, 0 * text)["params"]
    params = {**tiny.params, "mask_decoder": fresh["mask_decoder"]}
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, fresh)
    return model, params


TEXT = np.array([[2, 5, 6, 9, 4, 9, 1, 0]] * 4, np.int32)
MASK_AR = np.array([[0, 0, 1, 1, 1, 1, 1, 0]] * 4, np.int32)


def test_masks_come_from_the_hidden_states_at_mask_pos(segmenting, tiny):
    model, params = segmenting
    mask_pos = np.array([[3, 5, -1], [5, -1, -1], [-1, -1, -1], [3, 5, 1]], np.int32)

    @jax.jit
    def both(params):
        _, out = model.apply({"params": params}, tiny.image, TEXT, MASK_AR, mask_pos=mask_pos)
        hidden = jnp.take_along_axis(out["hidden"], jnp.maximum(mask_pos, 0)[..., None], axis=1)
        masks = model.apply(
            {"params": params}, out["img/encoded"], hidden, tiny.image.shape[1:3], method="masks"
        )
        return out["mask_logits"], masks

    found, masks = both(params)
    assert found.shape == (4, 3, *tiny.image.shape[1:3])
    np.testing.assert_allclose(found, masks, atol=1e-5)
    assert jnp.abs(found[0, 0] - found[0, 1]).max() > 1e-4


def test_text_logits_do_not_depend_on_the_mask_decoder(segmenting, tiny):
    model, params = segmenting
    base = tiny.make("image_isolated")
    mask_pos = np.zeros((4, 2), np.int32)
    want, _ = base.apply({"params": tiny.params}, tiny.image, TEXT, MASK_AR)
    found, out = model.apply({"params": params}, tiny.image, TEXT, MASK_AR)
    assert "mask_logits" not in out
    np.testing.assert_allclose(found, want, atol=1e-5)
    found, _ = model.apply({"params": params}, tiny.image, TEXT, MASK_AR, mask_pos=mask_pos)
    np.testing.assert_allclose(found, want, atol=1e-5)


def test_masks_of_a_model_without_a_decoder_are_refused_with_the_field_and_the_remedy(pair, tiny):
    _, model = pair
    with pytest.raises(ValueError, match="config.model.mask_decoder is None; give it"):
        model.apply({"params": tiny.params}, tiny.image, TEXT, MASK_AR, mask_pos=MASK_AR[:, :1])


def test_a_tree_without_masks_starts_a_decoder_and_one_with_masks_is_not_dropped_silently(
    segmenting, tiny
):
    _, params = segmenting
    with pytest.raises(ValueError, match="mask_decoder"):
        models.load("radgrounder", params, tiny.params)
    loaded = models.load("radgrounder", params, tiny.params, dont_load=("mask_decoder/.*",))
    jax.tree.map(np.testing.assert_array_equal, loaded, dict(params))
    with pytest.raises(ValueError, match="has a mask decoder and the model has none"):
        models.load("radgrounder", tiny.params, params)
    with pytest.raises(ValueError, match=r'trained mask decoder.*--config.dont_load="\(\)"'):
        models.load("radgrounder", params, params, dont_load=("mask_decoder/.*",))
