"""Masks of generated text: equal with and without the cache, in order, and from each row alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from big_rad.inference import decode
from big_rad.models import radgrounder

NEW, END = 10, 9


@pytest.fixture(scope="module")
def setup(tiny):
    base = tiny.make()
    decoder = dict(depth=1, dim=16, num_heads=2, mlp_dim=16)
    model = radgrounder.Model(img=base.img, llm=base.llm, mask_decoder=decoder)
    text = np.array([[2, 5, 6, 7], [2, 8, 4, 0], [2, 11, 0, 0], [2, 12, 13, 14]], np.int32)
    params = jax.jit(model.init)(jax.random.key(3), tiny.image, text, 0 * text)["params"]
    params = {**params, **tiny.params}
    # Make `</seg>` likely: push its row of the table towards the hidden states.
    _, out = jax.jit(model.apply)({"params": params}, tiny.image, text, 0 * text)
    table = jnp.asarray(params["llm"]["embedder"]["input_embedding"])
    towards = out["hidden"].reshape(-1, table.shape[1]).mean(axis=0)
    size = jnp.linalg.norm(table, axis=1).mean()
    table = table.at[END].add(0.5 * size * towards / jnp.linalg.norm(towards))
    params["llm"] = {**params["llm"], "embedder": {"input_embedding": table}}
    return model, params, tiny.image, text


_GENERATORS = {}


def _generator(model, max_masks):
    if max_masks not in _GENERATORS:
        _GENERATORS[max_masks] = decode.make_generate(
            model, max_new_tokens=NEW, vocab_size=60, seg_end_id=END, max_masks=max_masks
        )
    return _GENERATORS[max_masks]


def generate(setup, rows=slice(None), max_masks=NEW):
    model, params, image, text = setup
    run = _generator(model, max_masks)
    text = text[rows]
    return jax.tree.map(np.asarray, run(params, image[rows], text, 0 * text))


def test_masks_with_the_cache_are_those_of_the_whole_text(setup):
    model, params, image, text = setup
    out = generate(setup)
    assert out["num_masks"].sum() > 1
    apply = jax.jit(lambda *args, **kw: model.apply({"params": params}, *args, **kw))
    for row, tokens in enumerate(out["tokens"]):
        prompt = text[row][text[row] > 0]
        full = np.concatenate([prompt, tokens, np.zeros(4, int)])[None, :14].astype(np.int32)
        ends = np.flatnonzero(tokens == END)
        assert out["num_masks"][row] == len(ends)
        if not len(ends):
            continue
        mask_ar = (np.arange(full.shape[1]) >= len(prompt)).astype(np.int32)[None]
        at = np.pad(len(prompt) + ends, (0, NEW - len(ends)))[None].astype(np.int32)
        _, want = apply(image[row : row + 1], full, mask_ar, mask_pos=at)
        found = out["mask_logits"][row, : len(ends)]
        assert found.shape[1:] == image.shape[1:3]
        np.testing.assert_allclose(found, want["mask_logits"][0, : len(ends)], atol=2e-4)


def test_a_rows_masks_do_not_depend_on_its_batch_mates(setup):
    together = generate(setup)
    for row in range(4):
        alone = generate(setup, slice(row, row + 1))
        n = alone["num_masks"][0]
        assert n == together["num_masks"][row]
        want = together["mask_logits"][row, :n]
        np.testing.assert_allclose(alone["mask_logits"][0, :n], want, atol=1e-4)


def test_more_masks_than_there_is_room_for_keep_the_first(setup):
    many, few = generate(setup), generate(setup, max_masks=1)
    np.testing.assert_array_equal(few["tokens"], many["tokens"])
    np.testing.assert_array_equal(few["num_masks"], np.minimum(many["num_masks"], 1))
    rows = many["num_masks"] > 0
    want = many["mask_logits"][rows, 0]
    np.testing.assert_allclose(few["mask_logits"][rows, 0], want, atol=1e-4)


def test_nothing_is_made_or_kept_without_masks(setup):
    out = generate(setup, max_masks=0)
    assert set(out) == {"tokens", "logprob", "length"}
    np.testing.assert_array_equal(out["tokens"], generate(setup)["tokens"])


def test_masks_need_the_id_of_the_closing_tag(setup):
    with pytest.raises(ValueError, match="seg_end_id"):
        decode.make_generate(setup[0], max_new_tokens=1, vocab_size=8, max_masks=2)
