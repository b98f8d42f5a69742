"""The arranged layout of the language model gives what the stacked one gives."""

import jax
import numpy as np
import pytest

from big_rad.models import gemma_layout

TEXT = np.array([[2, 5, 6, 7], [2, 8, 4, 0]], np.int32)


def arranged(params, numpy=True):
    """The parameters with arranged layers."""
    llm = dict(params["llm"])
    layers = llm.pop("layers")
    if not numpy:
        layers = jax.tree.map(jax.numpy.asarray, layers)
    depth = jax.tree.leaves(layers)[0].shape[0]
    llm["blocks"] = {
        str(i): gemma_layout.arrange_layer(jax.tree.map(lambda x: x[i], layers))  # noqa: B023
        for i in range(depth)
    }
    return dict(params, llm=llm)


def test_prompts_and_their_keys_are_the_same_in_both_layouts(tiny):
    model = tiny.make("paligemma", last_block="wanted")
    args = tiny.image[:2], TEXT, 0 * TEXT
    run = jax.jit(lambda p: model.apply({"params": p}, *args, method=model.prefill))
    first, second = (jax.tree.leaves(run(p)) for p in (tiny.params, arranged(tiny.params)))
    assert len(first) == len(second) == 5
    for a, b in zip(first, second, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_a_prompt_beside_a_prefilled_image_is_the_same_in_both_layouts(tiny):
    model = tiny.make("image_isolated")

    @jax.jit
    def run(params):
        variables = {"params": params}
        kv, _ = model.apply(variables, tiny.image[:2], method=model.prefill_image)
        return model.apply(variables, TEXT, kv, method=model.prefill_text)[0]

    np.testing.assert_allclose(run(tiny.params), run(arranged(tiny.params)), atol=1e-5)


@pytest.mark.parametrize("numpy", [True, False])
def test_arranged_parameters_are_what_decoding_makes_of_stacked_ones(tiny, numpy):
    model = tiny.make()
    want = jax.jit(model.decode_weights)(tiny.params)
    got = model.decode_weights(arranged(tiny.params, numpy))
    jax.tree.map(np.testing.assert_array_equal, got, want)


def test_arranging_a_layer_can_be_undone(tiny):
    layer = jax.tree.map(lambda x: x[1], tiny.params["llm"]["layers"])
    again = gemma_layout.block_params(gemma_layout.arrange_layer(layer), 4, 2, 8)
    jax.tree.map(np.testing.assert_array_equal, again, layer)
    assert gemma_layout.is_arranged(arranged(tiny.params)["llm"])
    assert not gemma_layout.is_arranged(tiny.params["llm"])
