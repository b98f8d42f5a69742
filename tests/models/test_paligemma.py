import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from big_rad import models, trees
from big_rad.models import gemma, gemma_cache, paligemma

ISOLATED = "image_isolated"


def matrix(text):
    """Converts a mask that is drawn with 1 and . to a bool array."""
    return np.array([[c == "1" for c in line.split()] for line in text.strip().splitlines()])


def apply(model, params, *args, **kw):
    return jax.jit(lambda p: model.apply({"params": p}, *args, **kw))(params)


# ---- The tree of the original checkpoints ----


def shapes_of(variant, size):
    model = paligemma.Model(**paligemma.VARIANTS[variant])
    image = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)
    tokens = jax.ShapeDtypeStruct((1, 4), jnp.int32)
    shapes = jax.eval_shape(model.init, jax.random.key(0), image, tokens, tokens)["params"]
    return {k: v.shape for k, v in trees.flatten(shapes).items()}


def test_3b_has_every_name_and_shape_of_the_original_checkpoint():
    # Written out from the original paligemma2-3b-pt-224 npz; tests of siglip.py and gemma.py
    # cover the other sizes.
    block = "img/Transformer/encoderblock"
    attn = f"{block}/MultiHeadDotProductAttention_0"
    want = {
        "img/embedding/kernel": (14, 14, 3, 1152),
        "img/embedding/bias": (1152,),
        "img/pos_embedding": (1, 256, 1152),
        f"{block}/LayerNorm_0/scale": (27, 1152),
        f"{block}/LayerNorm_0/bias": (27, 1152),
        f"{block}/LayerNorm_1/scale": (27, 1152),
        f"{block}/LayerNorm_1/bias": (27, 1152),
        f"{attn}/query/kernel": (27, 1152, 16, 72),
        f"{attn}/query/bias": (27, 16, 72),
        f"{attn}/key/kernel": (27, 1152, 16, 72),
        f"{attn}/key/bias": (27, 16, 72),
        f"{attn}/value/kernel": (27, 1152, 16, 72),
        f"{attn}/value/bias": (27, 16, 72),
        f"{attn}/out/kernel": (27, 16, 72, 1152),
        f"{attn}/out/bias": (27, 1152),
        f"{block}/MlpBlock_0/Dense_0/kernel": (27, 1152, 4304),
        f"{block}/MlpBlock_0/Dense_0/bias": (27, 4304),
        f"{block}/MlpBlock_0/Dense_1/kernel": (27, 4304, 1152),
        f"{block}/MlpBlock_0/Dense_1/bias": (27, 1152),
        "img/Transformer/encoder_norm/scale": (1152,),
        "img/Transformer/encoder_norm/bias": (1152,),
        "img/head/kernel": (1152, 2304),
        "img/head/bias": (2304,),
        "llm/embedder/input_embedding": (257152, 2304),
        "llm/final_norm/scale": (2304,),
        "llm/layers/attn/q_einsum/w": (26, 8, 2304, 256),
        "llm/layers/attn/kv_einsum/w": (26, 2, 4, 2304, 256),
        "llm/layers/attn/attn_vec_einsum/w": (26, 8, 256, 2304),
        "llm/layers/mlp/gating_einsum": (26, 2, 2304, 9216),
        "llm/layers/mlp/linear": (26, 9216, 2304),
        "llm/layers/pre_attention_norm/scale": (26, 2304),
        "llm/layers/post_attention_norm/scale": (26, 2304),
        "llm/layers/pre_ffw_norm/scale": (26, 2304),
        "llm/layers/post_ffw_norm/scale": (26, 2304),
    }
    got = shapes_of("3b", 224)
    assert got == want
    assert sum(int(np.prod(s)) for s in got.values()) == 3_032_094_960


@pytest.mark.parametrize("variant, width", [("10b", 3584), ("28b", 4608)])
def test_the_projector_follows_the_width_of_the_language_model(variant, width):
    shapes = shapes_of(variant, 448)
    assert shapes["img/head/kernel"] == (1152, width)
    assert shapes["img/pos_embedding"] == (1, 1024, 1152)
    assert shapes["llm/embedder/input_embedding"] == (257152, width)


# ---- Masks, drawn by hand: rows are queries, columns keys; 2 image tokens, then text ----

# Row 0: prefix of 2, suffix of 2, one padding. Row 1: prefix of 1, suffix of 1, padding.
TEXT = np.array([[2, 9, 8, 1, 0], [2, 7, 0, 0, 0]], np.int32)
MASK_AR = np.array([[0, 0, 1, 1, 0], [0, 1, 0, 0, 0]], np.int32)


def test_mask_of_the_original_image_and_prefix_see_each_other_suffix_is_causal():
    got = paligemma.make_attn_mask(2, TEXT != 0, MASK_AR)
    want = [
        """
        1 1 1 1 . . .
        1 1 1 1 . . .
        1 1 1 1 . . .
        1 1 1 1 . . .
        1 1 1 1 1 . .
        1 1 1 1 1 1 .
        . . . . . . .
        """,
        """
        1 1 1 . . . .
        1 1 1 . . . .
        1 1 1 . . . .
        1 1 1 1 . . .
        . . . . . . .
        . . . . . . .
        . . . . . . .
        """,
    ]
    np.testing.assert_array_equal(got, np.stack([matrix(m) for m in want]))


def test_isolated_mask_differs_only_in_that_the_image_sees_no_text():
    got = paligemma.make_attn_mask(2, TEXT != 0, MASK_AR, None, ISOLATED)
    want = [
        """
        1 1 . . . . .
        1 1 . . . . .
        1 1 1 1 . . .
        1 1 1 1 . . .
        1 1 1 1 1 . .
        1 1 1 1 1 1 .
        . . . . . . .
        """,
        """
        1 1 . . . . .
        1 1 . . . . .
        1 1 1 . . . .
        1 1 1 1 . . .
        . . . . . . .
        . . . . . . .
        . . . . . . .
        """,
    ]
    np.testing.assert_array_equal(got, np.stack([matrix(m) for m in want]))


PACKED = dict(
    text=np.array([[2, 9, 1, 0, 2, 8, 7, 1]], np.int32),
    mask_ar=np.array([[0, 0, 1, 0, 0, 1, 1, 1]], np.int32),
    segment=np.array([[1, 1, 1, 0, 2, 2, 2, 2]], np.int32),
)


def test_isolated_mask_of_a_packed_row_keeps_the_texts_apart():
    # Text 1: prefix of 2, suffix of 1; padding; text 2: prefix of 1, suffix of 3.
    got = paligemma.make_attn_mask(
        2, PACKED["text"] != 0, PACKED["mask_ar"], PACKED["segment"], ISOLATED
    )
    want = """
    1 1 . . . . . . . .
    1 1 . . . . . . . .
    1 1 1 1 . . . . . .
    1 1 1 1 . . . . . .
    1 1 1 1 1 . . . . .
    . . . . . . . . . .
    1 1 . . . . 1 . . .
    1 1 . . . . 1 1 . .
    1 1 . . . . 1 1 1 .
    1 1 . . . . 1 1 1 1
    """
    np.testing.assert_array_equal(got[0], matrix(want))


def as_dense(mask, valid):
    """Returns the dense mask [B, N + T, N + T] of a structured one; padding sees nothing in it."""
    n, (b, blocks, length, _) = mask.num_image, mask.text.shape
    t = blocks * length
    dense = np.zeros((b, n + t, n + t), bool)
    dense[:, :, :n] = True
    if mask.prefix is not None:
        dense[:, :n, n:] = np.asarray(mask.prefix)[:, None]
    for i in range(blocks):
        where = slice(n + i * length, n + (i + 1) * length)
        dense[:, where, where] = mask.text[:, i]
    return dense & np.pad(valid, [(0, 0), (n, 0)], constant_values=True)[..., None]


@pytest.mark.parametrize("block", [0, 4])
def test_the_structured_mask_of_a_packed_row_is_the_dense_one(block):
    valid = PACKED["text"] != 0
    args = (2, valid, PACKED["mask_ar"], PACKED["segment"], ISOLATED)
    got = paligemma.make_structured_mask(*args, block)
    assert got.text.shape == ((1, 2, 4, 4) if block else (1, 1, 8, 8))
    np.testing.assert_array_equal(as_dense(got, valid), paligemma.make_attn_mask(*args))


@pytest.mark.parametrize("mode", paligemma.MASK_MODES)
def test_the_structured_mask_of_ragged_texts_is_the_dense_one(mode):
    text, mask_ar = ragged()
    args = (2, text != 0, mask_ar, None, mode)
    got = paligemma.make_structured_mask(*args)
    np.testing.assert_array_equal(as_dense(got, text != 0), paligemma.make_attn_mask(*args))


def test_blocks_that_do_not_fit_the_row_are_named():
    args = (2, PACKED["text"] != 0, PACKED["mask_ar"], PACKED["segment"], ISOLATED)
    with pytest.raises(ValueError, match="8 text tokens are not made of blocks of 3: text_block"):
        paligemma.make_structured_mask(*args, 3)


def test_the_original_mode_refuses_packed_rows_and_unknown_modes_are_named():
    with pytest.raises(ValueError, match="holds one text.*image_isolated"):
        paligemma.make_attn_mask(2, TEXT != 0, MASK_AR, TEXT, "paligemma")
    with pytest.raises(ValueError, match="'causal'.*paligemma, image_isolated"):
        paligemma.make_attn_mask(2, TEXT != 0, MASK_AR, None, "causal")


def test_positions_run_over_image_and_text_and_skip_padding():
    valid = np.array([[True, True, True], [True, False, True]])
    got = np.asarray(paligemma.make_positions(2, valid))
    np.testing.assert_array_equal(got[0], [0, 1, 2, 3, 4])
    np.testing.assert_array_equal(got[1][[0, 1, 2, 4]], [0, 1, 2, 3])


def test_positions_restart_after_the_image_for_each_packed_text():
    segment = np.array([[1, 1, 1, 2, 2, 3, 0], [1, 1, 0, 0, 2, 2, 0]], np.int32)
    got = np.asarray(paligemma.make_positions(3, segment > 0, segment))
    np.testing.assert_array_equal(got[0, :9], [0, 1, 2, 3, 4, 5, 3, 4, 3])
    np.testing.assert_array_equal(got[1, [0, 1, 2, 3, 4, 7, 8]], [0, 1, 2, 3, 4, 3, 4])


# ---- The whole model ----

# Four ragged rows: prefix, suffix and padding of different lengths.
LENGTHS = ((3, 4), (1, 5), (4, 1), (2, 2))
WIDTH = 8


def ragged(seed=0):
    rng = np.random.default_rng(seed)
    text, mask_ar = np.zeros((2, 4, WIDTH), np.int32)
    for i, (prefix, suffix) in enumerate(LENGTHS):
        text[i, : prefix + suffix] = rng.integers(3, 64, prefix + suffix)
        mask_ar[i, prefix : prefix + suffix] = 1
    return text, mask_ar


@pytest.fixture(scope="module", params=paligemma.MASK_MODES)
def run(request, tiny):
    """The jitted model: (image, text, mask_ar) -> (logits, out), in both mask modes."""
    model = tiny.make(request.param)
    fn = jax.jit(lambda *args: model.apply({"params": tiny.params}, *args))
    fn.mode = request.param
    return fn


def test_image_embeddings_enter_unscaled_and_text_embeddings_times_root_width(tiny, run):
    text, mask_ar = ragged()
    _, out = run(tiny.image, text, mask_ar)
    head, table = tiny.params["img"]["head"], tiny.params["llm"]["embedder"]["input_embedding"]
    tokens = np.asarray(out["img/encoded"]) @ head["kernel"] + head["bias"]
    x = np.concatenate([tokens, 4 * table[text]], axis=1)  # 4 is the root of width 16.
    decoder = gemma.Model(**tiny.make().llm)
    mask = paligemma.make_attn_mask(4, text > 0, mask_ar, None, run.mode)
    positions = paligemma.make_positions(4, text > 0)
    hidden, _ = apply(decoder, tiny.params["llm"], x, positions, mask)
    np.testing.assert_allclose(out["hidden"][text > 0], hidden[:, 4:][text > 0], atol=1e-4)


def test_changing_a_token_changes_no_logits_before_it_in_the_suffix(tiny, run):
    text, mask_ar = ragged()
    base = np.asarray(run(tiny.image, text, mask_ar)[0])
    for i, (prefix, suffix) in enumerate(LENGTHS):
        for at in range(prefix, prefix + suffix):
            changed = text.copy()
            changed[i, at] = 3 + (changed[i, at] + 1) % 60
            got = np.asarray(run(tiny.image, changed, mask_ar)[0])
            np.testing.assert_array_equal(got[i, :at], base[i, :at])
            assert np.abs(got[i, at] - base[i, at]).max() > 1e-3


def test_a_prefix_token_is_seen_by_the_whole_prefix(tiny, run):
    text, mask_ar = ragged()
    base = np.asarray(run(tiny.image, text, mask_ar)[0])
    changed = text.copy()
    changed[0, 2] = 3 + (changed[0, 2] + 1) % 60
    got = np.asarray(run(tiny.image, changed, mask_ar)[0])
    assert (np.abs(got[0, :7] - base[0, :7]).max(axis=-1) > 1e-4).all()


def test_what_lies_in_padding_or_in_other_rows_changes_nothing(tiny, run):
    text, mask_ar = ragged()
    base = np.asarray(run(tiny.image, text, mask_ar)[0])
    noisy_ar = np.where(text == 0, 1, mask_ar)
    other_text, other_ar = ragged(seed=9)
    for i, (prefix, suffix) in enumerate(LENGTHS):
        length = prefix + suffix
        got = np.asarray(run(tiny.image, text, noisy_ar)[0])
        np.testing.assert_array_equal(got[i, :length], base[i, :length])
        mixed, mixed_ar = other_text.copy(), other_ar.copy()
        mixed[i], mixed_ar[i] = text[i], mask_ar[i]
        image = np.roll(tiny.image, 1, axis=0)
        image[i] = tiny.image[i]
        got = np.asarray(run(image, mixed, mixed_ar)[0])
        np.testing.assert_allclose(got[i, :length], base[i, :length], atol=1e-5)


def test_more_padding_changes_nothing(tiny, run):
    text, mask_ar = ragged()
    base = np.asarray(run(tiny.image, text, mask_ar)[0])
    wider = [np.pad(x, [(0, 0), (0, 5)]) for x in (text, mask_ar)]
    got = np.asarray(run(tiny.image, *wider)[0])
    for i, (prefix, suffix) in enumerate(LENGTHS):
        length = prefix + suffix
        np.testing.assert_allclose(got[i, :length], base[i, :length], atol=1e-5)


def test_the_image_is_seen_by_every_text_token(tiny, run):
    text, mask_ar = ragged()
    base = np.asarray(run(tiny.image, text, mask_ar)[0])
    got = np.asarray(run(-tiny.image, text, mask_ar)[0])
    assert (np.abs(got - base).max(axis=-1)[text != 0] > 1e-3).all()


def test_image_states_depend_on_the_prefix_in_the_original_mode_only(tiny, run):
    # The keys of the image in the last layer, as decoding gets them.
    text, mask_ar = ragged()
    model = tiny.make(run.mode)

    def image_states(text):
        _, kv, *_ = apply(model, tiny.params, tiny.image, text, mask_ar, method="prefill")
        return np.asarray(kv["k"])[-1, :, :4]

    changed = np.where(text > 0, 3 + (text + 1) % 60, 0)
    difference = np.abs(image_states(text) - image_states(changed)).max()
    assert difference == 0 if run.mode == ISOLATED else difference > 1e-3


def packed_rows():
    """Two rows of two or three texts in blocks of 8 tokens, and each text alone."""
    rng = np.random.default_rng(3)
    text, mask_ar, segment = np.zeros((3, 2, 16), np.int32)
    singles = []
    #          row, start, prefix, suffix
    layout = [(0, 0, 2, 3), (0, 5, 1, 2), (0, 8, 3, 4), (1, 0, 4, 4), (1, 8, 1, 3)]
    for number, (row, start, prefix, suffix) in enumerate(layout):
        where = slice(start, start + prefix + suffix)
        text[row, where] = rng.integers(3, 64, prefix + suffix)
        mask_ar[row, start + prefix : start + prefix + suffix] = 1
        segment[row, where] = number % 3 + 1
        singles.append((row, where))
    return text, mask_ar, segment, singles


@pytest.fixture(scope="module")
def packed(tiny):
    text, mask_ar, segment, singles = packed_rows()
    logits, _ = apply(
        tiny.make(ISOLATED), tiny.params, tiny.image[:2], text, mask_ar, segment=segment
    )
    return text, mask_ar, segment, singles, np.asarray(logits)


def test_each_text_of_a_packed_row_has_the_logits_it_has_alone(tiny, packed):
    text, mask_ar, _, singles, logits = packed
    alone, alone_ar = np.zeros((2, len(singles), 8), np.int32)
    for i, (row, where) in enumerate(singles):
        alone[i, : where.stop - where.start] = text[row, where]
        alone_ar[i, : where.stop - where.start] = mask_ar[row, where]
    image = tiny.image[[row for row, _ in singles]]
    want, _ = apply(tiny.make(ISOLATED), tiny.params, image, alone, alone_ar)
    for i, (row, where) in enumerate(singles):
        length = where.stop - where.start
        np.testing.assert_allclose(logits[row, where], want[i, :length], atol=1e-5)


FAST = dict(attention="structured", last_block="wanted")
STRUCTURED = dict(attention="structured", last_block="all")
PLAIN = dict(attention="xla", last_block="all")


@pytest.fixture(scope="module")
def value_and_grad(tiny):
    """(mode, packed, settings) -> logits of valid tokens and gradients of all parameters."""

    @functools.cache
    def run(mode, packed, settings):
        text, mask_ar, segment = packed_rows()[:3] if packed else (*ragged(), None)
        weight = np.random.default_rng(4).standard_normal((*text.shape, 64))
        weight = weight * (text > 0)[..., None]
        model = tiny.make(mode, **json.loads(settings))

        def total(params):
            variables = {"params": params}
            got, _ = model.apply(variables, tiny.image[: len(text)], text, mask_ar, segment=segment)
            return (got * weight).sum(), got

        (_, got), grads = jax.jit(jax.value_and_grad(total, has_aux=True))(tiny.params)
        return got[text > 0], grads

    return lambda mode, packed, kw: run(mode, packed, json.dumps(kw, sort_keys=True))


def assert_same_function(value_and_grad, mode, packed, one, other):
    (got, grads), (want, want_grads) = (value_and_grad(mode, packed, kw) for kw in (one, other))
    np.testing.assert_allclose(got, want, atol=1e-5)
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, atol=2e-4, rtol=1e-4), grads, want_grads
    )


@pytest.mark.parametrize("mode", paligemma.MASK_MODES)
def test_fast_layouts_equal_the_reference_on_ragged_texts_in_value_and_gradient(
    value_and_grad, mode
):
    assert_same_function(value_and_grad, mode, False, FAST, PLAIN)


@pytest.mark.parametrize("text_block", [0, 8])
def test_fast_layouts_equal_the_reference_on_packed_rows_in_value_and_gradient(
    value_and_grad, text_block
):
    kw = FAST | dict(text_block=text_block)
    assert_same_function(value_and_grad, ISOLATED, True, kw, PLAIN)


@pytest.mark.parametrize("policy", ["full", "dots", "dots_no_batch"])
def test_what_is_kept_for_the_backward_pass_changes_nothing(value_and_grad, policy):
    kw = STRUCTURED | dict(llm=dict(remat_policy=policy), img=dict(remat_policy=policy))
    assert_same_function(value_and_grad, "paligemma", False, kw, PLAIN)


def test_unrolled_layers_are_the_same_function(value_and_grad):
    kw = FAST | dict(llm=dict(scan=False), img=dict(scan=False))
    assert_same_function(value_and_grad, "paligemma", False, kw, FAST)


def test_the_last_block_computes_fewer_products_if_only_text_is_wanted(tiny):
    text, mask_ar = ragged()

    def flops(last_block):
        model = tiny.make(attention="xla", last_block=last_block, llm=dict(scan=False))
        run = jax.jit(lambda *args: model.apply({"params": tiny.params}, *args)[0])
        return run.lower(tiny.image, text, mask_ar).compile().cost_analysis()["flops"]

    assert flops("wanted") < 0.95 * flops("all")


def test_an_unknown_setting_of_the_last_block_is_named(tiny):
    with pytest.raises(ValueError, match="config.model.last_block 'text'"):
        apply(tiny.make(last_block="text"), tiny.params, tiny.image, *ragged())


def test_logits_at_positions_equal_those_everywhere(tiny):
    text, mask_ar = ragged()
    flat = np.array([3, 4, 17, 30])

    def both(params):
        args = ({"params": params}, tiny.image, text, mask_ar)
        model = tiny.make()
        return (
            model.apply(*args)[0],
            model.apply(*args, logits_pos=jnp.asarray(flat))[0],
        )

    everywhere, at_flat = jax.jit(both)(tiny.params)
    np.testing.assert_allclose(at_flat, np.reshape(everywhere, (32, 64))[flat], atol=1e-5)


@pytest.mark.parametrize("cap", [0.0, 1.0])
def test_the_final_cap_is_the_same_in_forward_prefill_and_decode(tiny, cap):
    text, mask_ar = ragged()
    model = tiny.make(llm=dict(final_logits_softcap=cap))
    lengths = np.array([p + s for p, s in LENGTHS])
    last = np.zeros((4, 1), np.int32) + 5

    def all_three(params):
        variables = {"params": params}
        longer = jnp.pad(text, [(0, 0), (0, 1)]).at[np.arange(4), lengths].set(5)
        longer_ar = jnp.pad(mask_ar, [(0, 0), (0, 1)]).at[np.arange(4), lengths].set(1)
        full, _ = model.apply(variables, tiny.image, longer, longer_ar)
        first, kv, valid, _ = model.apply(variables, tiny.image, text, mask_ar, method="prefill")
        kv = jax.tree.map(lambda x: jnp.pad(x, [(0, 0), (0, 0), (0, 1), (0, 0), (0, 0)]), kv)
        weights, cache = model.decode_weights(params), gemma_cache.split_cache(kv)
        second, _, hidden = model.decode_step(weights, last[:, 0], valid.sum(axis=1), cache)
        return full, first, second, hidden

    full, first, second, hidden = (np.asarray(x) for x in jax.jit(all_three)(tiny.params))
    rows = np.arange(4)
    np.testing.assert_allclose(first, full[rows, lengths - 1], atol=1e-5)
    np.testing.assert_allclose(second, full[rows, lengths], atol=1e-5)
    raw = hidden @ tiny.params["llm"]["embedder"]["input_embedding"].T
    np.testing.assert_allclose(second, cap * np.tanh(raw / cap) if cap else raw, atol=1e-5)
    if cap:
        assert np.abs(raw).max() > cap


def test_bf16_compute_stays_close_and_gives_float32_logits(tiny):
    text, mask_ar = ragged()
    want, _ = apply(tiny.make(), tiny.params, tiny.image, text, mask_ar)
    model = tiny.make(img=dict(dtype_mm="bfloat16"), llm=dict(dtype_mm="bfloat16"))
    got, out = apply(model, tiny.params, tiny.image, text, mask_ar)
    assert got.dtype == jnp.float32 and out["hidden"].dtype == jnp.bfloat16
    valid = text > 0
    error = np.abs(got - want)[valid]
    assert error.max() < 0.15 * np.abs(want).max() and error.mean() < 0.02 * np.abs(want).max()


def test_load_resizes_extends_and_names_each_problem_of_the_whole_tree(tiny):
    flat = trees.flatten(tiny.params)
    init = dict(flat)
    init["img/pos_embedding"] = np.zeros((1, 16, 16), np.float32)
    init["llm/embedder/input_embedding"] = np.zeros((70, 16), np.float32)
    got = trees.flatten(models.load("paligemma", trees.unflatten(init), tiny.params))
    assert {k: v.shape for k, v in got.items()} == {k: v.shape for k, v in init.items()}
    np.testing.assert_array_equal(got["img/head/bias"], flat["img/head/bias"])
    broken = dict(flat, **{"llm/lora": np.zeros(1), "img/head/bias": np.zeros(3)})
    del broken["llm/final_norm/scale"]
    with pytest.raises(ValueError) as e:
        models.load("paligemma", tiny.params, trees.unflatten(broken))
    for line in ("missing: llm/final_norm/scale", "unexpected: llm/lora", "shape: img/head/bias"):
        assert line in str(e.value)
