"""A parameter in the dtype in which a model computes with it gives the same result."""

import jax
import ml_dtypes
import numpy as np
import pytest

from big_rad import trees
from big_rad.models import radgrounder
from big_rad.weights import computed

HALF = np.dtype(ml_dtypes.bfloat16)


def model_cfg(conftest, dtype):
    small = dict(dim=16, num_heads=2, mlp_dim=16, depth=1, dtype_mm=dtype)
    base = conftest.make()
    return dict(
        img=dict(base.img, depth=1, dtype_mm=dtype),
        llm=dict(base.llm, depth=1, dtype_mm=dtype),
        mask_decoder=small,
    )


def test_casting_before_the_model_changes_no_bit_of_its_result(tiny):
    cfg = model_cfg(tiny, "bfloat16")
    model = radgrounder.Model(**cfg)
    text = np.array([[2, 5, 6, 7]], np.int32)
    args = tiny.image[:1], text, 0 * text
    shapes = jax.eval_shape(model.init, jax.random.key(0), *args)["params"]
    params = tiny.randomise(shapes)
    flat = trees.flatten(params)
    kinds = {n: computed.dtype_of(n, x.dtype, cfg) for n, x in flat.items()}
    cast = {n: np.asarray(x).astype(kinds[n]) for n, x in flat.items()}
    assert set(map(str, kinds.values())) == {"bfloat16", "float32"}
    position = np.array([[3]])

    @jax.jit
    def run(flat):
        nested = {}
        for name, x in flat.items():
            *path, last = name.split("/")
            here = nested
            for key in path:
                here = here.setdefault(key, {})
            here[last] = x
        logits, out = model.apply({"params": nested}, *args, mask_pos=position)
        return logits, out["mask_logits"]

    first, second = run(flat), run(cast)
    assert np.isfinite(first[1]).all()
    jax.tree.map(np.testing.assert_array_equal, first, second)


@pytest.mark.parametrize("stored", ["float32", "bfloat16"])
def test_norms_keep_their_dtype_and_unknown_parts_are_an_error(stored):
    cfg = dict(llm=dict(dtype_mm="bfloat16"), img={})
    assert computed.dtype_of("llm/final_norm/scale", stored, cfg).name == stored
    assert computed.dtype_of("llm/layers/pre_ffw_norm/scale", stored, cfg).name == stored
    assert computed.dtype_of("img/Transformer/encoder_norm/bias", stored, cfg).name == stored
    assert computed.dtype_of("mask_decoder/block_0/norm4/scale", stored, cfg).name == stored
    assert computed.dtype_of("llm/layers/mlp/linear", stored, cfg) == HALF
    assert computed.dtype_of("img/pos_embedding", stored, cfg) == np.float32
    with pytest.raises(ValueError, match="lora/mlp/linear/a belongs to no part"):
        computed.dtype_of("lora/mlp/linear/a", stored, cfg)
