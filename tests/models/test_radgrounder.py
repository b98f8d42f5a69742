import jax
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
    loaded = radgrounder.load(trees[1]["params"], tiny.params)
    jax.tree.map(np.testing.assert_array_equal, loaded, tiny.params)


def test_a_mask_decoder_is_refused_with_the_field_and_the_remedy(tiny):
    base = tiny.make()
    cfg = dict(img=dict(base.img), llm=dict(base.llm), mask_decoder=dict(width=256))
    model = models.make("radgrounder", cfg, 64)
    text = np.ones((4, 2), np.int32)
    with pytest.raises(ValueError, match="config.model.mask_decoder.*set it to None"):
        model.apply({"params": tiny.params}, tiny.image, text, text)
