"""The step of decoding: its further outputs, pickers with data of their own, and its export."""

import ast
import dataclasses
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

import big_rad
from big_rad.inference import decode, sampling
from big_rad.inference import queue as queue_lib
from big_rad.models import gemma_cache, radgrounder
from tests.helpers.table_model import EOS, Table, generate, one_hot

NEW = 4


def log_softmax(logits, banned=(0,)):
    """Log probabilities among the ids that may be predicted."""
    logits = np.float64(logits)
    logits[..., list(banned)] = -np.inf
    high = logits.max(-1, keepdims=True)
    return logits - high - np.log(np.exp(logits - high).sum(-1, keepdims=True))


# ---- Log probabilities and alternatives of a token ----


@pytest.mark.parametrize("temperature", [0.0, 1.5])
def test_each_tokens_log_probability_is_that_of_the_unscaled_model_and_they_sum_up(temperature):
    logits = np.random.default_rng(0).standard_normal((5, 8))
    key = jax.random.key(1)
    kw = dict(temperature=temperature, token_logprobs=True, eos_id=-1)
    result = generate(logits, 3, key, **kw)
    want = np.take_along_axis(log_softmax(logits)[None], result["tokens"][..., None], -1)[..., 0]
    np.testing.assert_allclose(result["token_logprobs"], want, atol=1e-5)
    np.testing.assert_allclose(result["token_logprobs"].sum(1), result["logprob"], atol=1e-5)


def test_alternatives_are_the_likeliest_ids_in_order_and_the_first_is_the_greedy_token():
    logits = np.random.default_rng(2).standard_normal((5, 8))
    logits[:, 0] = 9.0  # Id 0 is banned, so it must not be an alternative.
    result = generate(logits, 2, eos_id=-1, alternatives=3, token_logprobs=True)
    scores = log_softmax(logits)
    want = np.argsort(-scores, axis=-1)[:, :3]
    np.testing.assert_array_equal(result["top_ids"], np.stack([want, want]))
    best = np.take_along_axis(scores, want, axis=-1)
    np.testing.assert_allclose(result["top_logprobs"], np.stack([best, best]), atol=1e-5)
    np.testing.assert_array_equal(result["top_ids"][..., 0], result["tokens"])
    np.testing.assert_array_equal(result["top_logprobs"][..., 0], result["token_logprobs"])


def test_alternatives_of_a_sample_do_not_depend_on_what_was_drawn():
    logits = np.random.default_rng(3).standard_normal((4, 8))
    sampled = generate(logits, 2, jax.random.key(0), eos_id=-1, alternatives=2, temperature=2.0)
    greedy = generate(logits, 2, eos_id=-1, alternatives=2)
    assert (sampled["tokens"] != greedy["tokens"]).any()
    np.testing.assert_array_equal(sampled["top_ids"], greedy["top_ids"])


def test_nothing_is_handed_out_behind_the_end_of_a_row_or_unasked():
    result = generate(one_hot(5, EOS, 6, 6), alternatives=2, token_logprobs=True)
    assert result["top_ids"][0, :2, 0].tolist() == [5, EOS]
    assert (result["token_logprobs"][0, :2] < 0).all()
    for name in ("token_logprobs", "top_ids", "top_logprobs"):
        assert not result[name][0, 2:].any()
    assert set(generate(one_hot(5, EOS))) == {"tokens", "logprob", "length", "calls"}


@pytest.mark.parametrize("alternatives", [-1, 6])
def test_more_alternatives_than_ids_are_an_error(alternatives):
    with pytest.raises(ValueError, match=f"alternatives: {alternatives} .* 5 ids can be predicted"):
        sampling.Options(2, vocab_size=7, never=(0, 4), alternatives=alternatives)


# ---- Options ----


def test_options_are_taken_as_an_object_as_fields_or_as_both():
    model, options = Table(one_hot(5, EOS, 6)), sampling.Options(3, vocab_size=8)
    text = np.ones((1, 1), np.int32)
    for args, fields, want in [
        ([options], {}, [[5, EOS, 0]]),
        ([], dict(max_new_tokens=3, vocab_size=8), [[5, EOS, 0]]),
        ([options], dict(eos_id=6), [[5, EOS, 6]]),
    ]:
        run = decode.make_generate(model, *args, **fields)
        assert run({}, np.zeros((1, 1)), text, 0 * text)["tokens"].tolist() == want


def test_a_name_that_is_no_option_is_an_error_wherever_options_are_taken():
    model = Table(one_hot(5))
    model.mask_mode = "paligemma"
    for make in (decode.make_generate, queue_lib.Queue):
        with pytest.raises(TypeError, match="no_such_option"):
            make(model, max_new_tokens=3, vocab_size=8, no_such_option=1)
        with pytest.raises(TypeError, match="no_such_option"):
            make(model, sampling.Options(3, vocab_size=8), no_such_option=1)


def test_equal_options_can_share_a_program():
    one, other = (sampling.Options(3, vocab_size=8, never=x) for x in ([0, 2], (0, np.int64(2))))
    assert one == other and hash(one) == hash(other)
    assert one != sampling.Options(3, vocab_size=8, never=[0, 2], temperature=0.5)


# ---- Keys and limits of single rows ----


def test_keys_of_rows_give_each_row_the_samples_of_its_key():
    logits = np.zeros((12, 8))
    one = generate(logits, 3, jax.random.PRNGKey(4), temperature=1.0)["tokens"]  # Not typed.
    keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(4), jnp.arange(3))
    order = np.array([2, 0, 1])
    mixed = generate(logits, 3, keys[order], temperature=1.0)["tokens"]
    np.testing.assert_array_equal(mixed, one[order])
    with pytest.raises(ValueError, match=r"keys of shape \(3,\) for 2 rows"):
        generate(logits, 2, keys, temperature=1.0)


def test_a_key_of_another_generator_can_be_used():
    tokens = generate(np.zeros((12, 8)), 2, jax.random.key(4, impl="rbg"), temperature=1.0)
    assert (tokens["tokens"][0] != tokens["tokens"][1]).any()


def start(logits, rows, new, **kw):
    """A sampler over a table, and its rows after a prompt of one token."""
    model = Table(logits)
    options = sampling.Options(new, vocab_size=np.shape(logits)[-1], **kw)
    sampler = sampling.Sampler(model, options)
    first = model.at(0, rows)
    return sampler, sampler.start(first, [], jnp.ones(rows, int), jnp.zeros((rows, 2), jnp.uint32))


def test_rows_can_have_limits_of_their_own():
    sampler, state = start(one_hot(5, 6, 7, 5), 3, 4)
    state = dataclasses.replace(state, limit=jnp.array([3, 1, 9]))
    step = jax.jit(sampler.step)
    for _ in range(4):
        state = step({}, state)
    assert np.array(state.tokens).tolist() == [[5, 6, 7, 0], [5, 0, 0, 0], [5, 6, 7, 5]]
    assert state.done.tolist() == [True, True, False]


# ---- Another picker works with the same step ----


@dataclasses.dataclass(frozen=True)
class Once:
    """Picks the likeliest id that the row has not got yet, so it must keep the ids of each row."""

    size: int

    def start(self, keys):
        return {"used": jnp.zeros((keys.shape[0], self.size), bool)}

    def pick(self, logits, state):
        used = state.picker["used"]
        token, logprob = sampling.greedy(jnp.where(used, -jnp.inf, logits))
        return token, logprob, {"used": used | (jnp.arange(self.size) == token[:, None])}


def test_a_picker_may_remember_something_of_each_row():
    logits = np.zeros((5, 2, 8))
    logits[:, 0, [6, 4, 2]], logits[:, 1, [3, 7, 5]] = [3, 2, 1], [3, 2, 1]
    sampler, state = start(logits, 2, 3, picker=Once(8))
    arrays, step = state.arrays(), jax.jit(sampler.step_arrays)
    for _ in range(3):
        arrays = step({}, arrays)
    assert np.array(arrays["tokens"]).tolist() == [[6, 4, 2], [3, 7, 5]]


# ---- Export ----


class Parts:
    """The parts of a model that an application exports: prefill, step and, if any, masks."""

    def __init__(self, tiny, mode, max_masks):
        base = tiny.make(mode, img=dict(depth=1), llm=dict(depth=1))
        decoder = dict(depth=1, dim=16, num_heads=2, mlp_dim=16)
        self.model = radgrounder.Model(base.img, base.llm, mode, mask_decoder=decoder)
        self.kw = dict(vocab_size=60, seg_end_id=9, max_masks=max_masks, alternatives=2)
        self.text = np.array([[2, 5, 6, 7], [2, 8, 4, 0], [2, 11, 0, 0]], np.int32)
        self.image = tiny.image[:3]
        self.keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(3), jnp.arange(3))
        options = sampling.Options(NEW, picker=sampling.Sampled(5.0), **self.kw)
        self.sampler = sampling.Sampler(self.model, options)
        args = jax.random.key(0), self.image, self.text, 0 * self.text
        self.shapes = jax.eval_shape(self.model.init, *args)["params"]

    def export(self):
        """Each part, exported for any number of rows."""
        (b,) = export.symbolic_shape("b")
        args = self.image, self.text, jax.random.key_data(self.keys)
        args = [jax.ShapeDtypeStruct((b, *x.shape[1:]), x.dtype) for x in args]
        rows = jax.eval_shape(self.prefill, self.shapes, *args)
        weights = jax.eval_shape(self.model.decode_weights, self.shapes)
        yield export.export(jax.jit(self.prefill))(self.shapes, *args)
        yield export.export(jax.jit(self.sampler.step_arrays))(weights, rows)
        if self.sampler.options.max_masks:
            yield export.export(jax.jit(self.masks))(self.shapes, rows)

    def prefill(self, params, image, text, keys):
        logits, kv, valid, features = self.model.apply(
            {"params": params}, image, text, 0 * text, method=self.model.prefill
        )
        cache = gemma_cache.resize_cache(gemma_cache.split_cache(kv), kv["k"].shape[2] + NEW)
        start = self.sampler.start
        return start(logits, cache, valid.sum(axis=1), keys, features=features).arrays()

    def masks(self, params, arrays):
        state = sampling.State.from_arrays(arrays)
        return self.sampler.make_masks(params, state.features, state, (8, 8))


def test_exported_parts_give_any_number_of_rows_what_the_batch_loop_gives(tiny):
    parts = Parts(tiny, "paligemma", 0)
    params = tiny.randomise(parts.shapes)
    prefill, step = (jax.jit(export.deserialize(x.serialize()).call) for x in parts.export())
    state = prefill(params, parts.image, parts.text, jax.random.key_data(parts.keys))
    weights = jax.jit(parts.model.decode_weights)(params)
    for _ in range(NEW):
        state = step(weights, state)

    run = decode.make_generate(parts.model, max_new_tokens=NEW, temperature=5.0, **parts.kw)
    want = run(params, parts.image, parts.text, 0 * parts.text, parts.keys)
    for name in ("tokens", "top_ids"):
        np.testing.assert_array_equal(state[name], want[name])
    np.testing.assert_allclose(state["logprob"], want["logprob"], atol=1e-4)
    assert len(np.unique(want["tokens"])) > 4


def test_the_other_mask_mode_and_masks_can_be_exported_for_any_number_of_rows(tiny):
    made = list(Parts(tiny, "image_isolated", 2).export())
    assert all(str(x.shape[0]) == "b" for part in made for x in part.out_avals)
    logits, _, number = made[2].out_avals
    assert logits.shape[1:] == (2, 8, 8) and number.ndim == 1


def test_a_prompt_beside_a_prefilled_image_can_be_exported_for_any_number_of_rows(tiny):
    model = tiny.make("image_isolated")

    def prefill(params, image, text):
        variables = {"params": params}
        kv, _ = model.apply(variables, image, method=model.prefill_image)
        return model.apply(variables, text, kv, method=model.prefill_text)

    (b,) = export.symbolic_shape("b")
    image = jax.ShapeDtypeStruct((b, 8, 8, 3), jnp.float32)
    text = jax.ShapeDtypeStruct((b, 4), jnp.int32)
    logits, k, _ = export.export(jax.jit(prefill))(tiny.params, image, text).out_avals
    assert logits.shape == (b, 64) and k.shape[1] == b


def is_array(annotation):
    """Whether an annotation is the type of a JAX array, such as `Float[Array, "rows"] | None`."""
    if isinstance(annotation, ast.BinOp):  # A union.
        return is_array(annotation.left) or is_array(annotation.right)
    if isinstance(annotation, ast.Subscript) and isinstance(annotation.slice, ast.Tuple):
        return is_array(annotation.slice.elts[0]) and ast.unparse(annotation.value)[0].isupper()
    return ast.unparse(annotation) in ("jax.Array", "Array")


def sizes_made_numbers(tree):
    """Yields the lines that call `len` with an array argument, or `int` with a shape."""
    for f in ast.walk(tree):
        if not isinstance(f, ast.FunctionDef | ast.Lambda):
            continue
        arrays = {
            x.arg
            for x in (*f.args.posonlyargs, *f.args.args, *f.args.kwonlyargs)
            if x.annotation is not None and is_array(x.annotation)
        }
        for call in ast.walk(f):
            if not isinstance(call, ast.Call) or not call.args:
                continue
            name, arg = ast.unparse(call.func), call.args[0]
            if name == "len" and isinstance(arg, ast.Name) and arg.id in arrays:
                yield call.lineno
            if name == "int" and "shape" in ast.unparse(arg):
                yield call.lineno


@pytest.mark.parametrize("folder", ["models", "inference"])
def test_no_size_of_an_array_is_made_a_number_since_it_may_be_a_symbol(folder):
    for kind in ("jax.Array", 'Float[Array, "rows"]'):
        example = ast.parse(f"def f(x: {kind} | None):\n  return len(x), int(x.shape[0])")
        assert len(list(sizes_made_numbers(example))) == 2
    example = ast.parse('def f(x: list[Float[Array, "rows"]]):\n  return len(x)')
    assert not list(sizes_made_numbers(example))  # The length of a list is a number.
    files = sorted((pathlib.Path(big_rad.__file__).parent / folder).glob("*.py"))
    found = {f.name: list(sizes_made_numbers(ast.parse(f.read_text()))) for f in files}
    assert len(found) > 3 and not any(found.values()), found


def test_the_rows_as_arrays_are_plain_and_give_the_same_rows_again():
    _, state = start(one_hot(5, 6), 2, 2, picker=sampling.Sampled(), alternatives=1)
    arrays = state.arrays()
    assert {"picker", "top_ids"} <= set(arrays) and not {"hidden", "features"} & set(arrays)
    again = sampling.State.from_arrays(arrays)
    assert jax.tree.structure(again) == jax.tree.structure(state)
    assert all(isinstance(x, dict | list | jax.Array) for x in arrays.values())
