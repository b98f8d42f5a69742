import flax
import jax
import jax.numpy as jnp
import pytest

from big_rad.models import gemma, paligemma, siglip
from big_rad.weights import infer


def shapes(variant, size=224):
    model = paligemma.Model(**paligemma.VARIANTS[variant])
    image = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)
    tokens = jax.ShapeDtypeStruct((1, 2), jnp.int32)
    tree = jax.eval_shape(model.init, jax.random.key(0), image, tokens, tokens)["params"]
    return flax.traverse_util.flatten_dict(tree, sep="/")


@pytest.mark.parametrize("variant, size", [("3b", 224), ("10b", 448), ("28b", 224)])
def test_sizes_of_the_originals_follow_from_their_shapes(variant, size):
    flat = shapes(variant, size)
    cfg = infer.model_cfg(flat, "x")
    want = paligemma.VARIANTS[variant]
    assert cfg["img"] == siglip.VARIANTS[want["img"]["variant"]]
    llm = gemma.Model(**want["llm"]).dims()
    assert gemma.Model(**cfg["llm"]).dims() == llm
    assert infer.image_size(flat, "x") == size
    explicit = infer.explicit(want, 257_152)
    assert gemma.Model(**explicit["llm"]).dims() == llm
    assert explicit["img"] == cfg["img"]


def test_28b_keeps_its_query_scale():
    assert infer.model_cfg(shapes("28b"), "x")["llm"]["query_scale"] == 144**-0.5


def test_paligemma_1_is_refused_by_name():
    flat = {n: x for n, x in shapes("3b").items() if "post_" not in n}
    with pytest.raises(ValueError, match="PaliGemma 1"):
        infer.model_cfg(flat, "x.npz")


def test_a_tensor_without_which_sizes_are_unknown_is_named():
    flat = shapes("3b")
    del flat["llm/layers/attn/kv_einsum/w"]
    with pytest.raises(ValueError, match="missing: llm/layers/attn/kv_einsum/w"):
        infer.model_cfg(flat, "x.npz")
    flat = shapes("3b") | {"img/pos_embedding": jax.ShapeDtypeStruct((1, 255, 1152), jnp.float32)}
    with pytest.raises(ValueError, match="255 positions"):
        infer.image_size(flat, "x.npz")
