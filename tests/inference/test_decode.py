import jax
import numpy as np
import pytest

from big_rad.inference import decode
from big_rad.models import paligemma
from tests.helpers.table_model import EOS, Table, generate, one_hot

LENGTHS = (5, 1, 3, 4)
NEW = 6


def prompts():
    rng = np.random.default_rng(0)
    text = np.zeros((4, 5), np.int32)
    for i, length in enumerate(LENGTHS):
        text[i, :length] = rng.integers(3, 64, length)
    return text, np.zeros_like(text)


# ---- Against the full forward ----


@pytest.fixture(scope="module", params=paligemma.MASK_MODES)
def setup(request, tiny):
    """(generate, result for four ragged prompts, jitted full forward), in both mask modes."""
    model = tiny.make(request.param)
    generate = decode.make_generate(model, max_new_tokens=NEW, vocab_size=60, never=(0, 7))
    forward = jax.jit(lambda *args: model.apply({"params": tiny.params}, *args)[0])
    result = generate(tiny.params, tiny.image, *prompts())
    return generate, jax.tree.map(np.asarray, result), forward


def log_probs(logits):
    """Log probabilities among the ids that may be predicted."""
    logits = np.float64(logits)
    logits[..., [0, 7]] = -np.inf
    logits[..., 60:] = -np.inf
    high = logits.max(-1, keepdims=True)
    return logits - high - np.log(np.exp(logits - high).sum(-1, keepdims=True))


def test_cached_greedy_decoding_equals_the_full_forward_on_the_growing_text(setup, tiny):
    _, result, forward = setup
    text, mask_ar = (np.pad(x, [(0, 0), (0, NEW)]) for x in prompts())
    at, rows = np.array(LENGTHS), np.arange(4)
    done, logprob = np.zeros(4, bool), np.zeros(4)
    for step in range(NEW):
        scores = log_probs(forward(tiny.image, text, mask_ar))[rows, at - 1]
        token = np.where(done, 0, scores.argmax(-1))
        np.testing.assert_array_equal(result["tokens"][:, step], token)
        logprob += np.where(done, 0, scores.max(-1))
        done |= token == EOS
        text[rows, at], mask_ar[rows, at] = token, 1
        at = at + 1
    np.testing.assert_allclose(result["logprob"], logprob, atol=1e-4)
    assert len(np.unique(result["tokens"])) > 4  # It does not merely repeat one token.


def test_a_text_without_any_padding_grows_the_same(setup, tiny):
    _, result, forward = setup
    row = prompts()[0][:1]
    for step in range(2):
        mask_ar = np.arange(row.shape[1])[None] >= LENGTHS[0]
        token = log_probs(forward(tiny.image[:1], row, mask_ar.astype(np.int32)))[0, -1].argmax()
        assert token == result["tokens"][0, step]
        row = np.append(row, [[np.int32(token)]], axis=1)


def test_a_limit_cuts_the_same_tokens_short(setup, tiny):
    generate, result, _ = setup
    for limit in (1, 3, NEW + 2):
        cut = generate(tiny.params, tiny.image, *prompts(), limit=np.int32(limit))["tokens"]
        np.testing.assert_array_equal(cut[:, :limit], result["tokens"][:, :limit])
        assert not np.any(cut[:, limit:])


def test_batch_mates_and_padding_do_not_matter(setup, tiny):
    generate, result, _ = setup
    text, mask_ar = prompts()
    longer = [np.pad(x[2:3], [(0, 0), (0, 4)]) for x in (text, mask_ar)]
    alone = generate(tiny.params, tiny.image[2:3], *longer)
    np.testing.assert_array_equal(alone["tokens"][0], result["tokens"][2])
    np.testing.assert_allclose(alone["logprob"][0], result["logprob"][2], atol=1e-4)
    order = np.array([3, 2, 0, 0])
    mixed = generate(tiny.params, tiny.image[order], text[order], mask_ar[order])
    np.testing.assert_array_equal(mixed["tokens"], result["tokens"][order])
    np.testing.assert_allclose(mixed["logprob"], result["logprob"][order], atol=1e-4)


def test_the_answer_depends_on_the_image_and_on_the_prompt(setup, tiny):
    generate, result, _ = setup
    text, mask_ar = prompts()
    other = generate(tiny.params, -tiny.image, text, mask_ar)
    assert (np.abs(other["logprob"] - result["logprob"]) > 1e-3).all()
    other = generate(tiny.params, tiny.image, np.where(text > 0, text % 50 + 5, 0), mask_ar)
    assert (np.abs(other["logprob"] - result["logprob"]) > 1e-3).all()


# ---- The loop and the choice of tokens, on a model whose logits are a table ----


def test_a_row_ends_with_eos_followed_by_zeros_and_counts_the_tokens_before_it():
    result = generate(one_hot(5, 6, EOS, 5, 5))
    np.testing.assert_array_equal(result["tokens"], [[5, 6, EOS, 0, 0]])
    assert result["length"] == [2]
    want = 3 * (10 - np.log(np.exp(10) + 6))  # Seven ids compete, 0 is banned.
    np.testing.assert_allclose(result["logprob"], [want], atol=1e-6)


def test_the_loop_stops_when_every_row_has_ended():
    with jax.disable_jit():  # The loop runs in Python, so that its steps can be counted.
        assert generate(one_hot(5, EOS, 5, 5, 5), rows=2)["calls"] == 2
        assert generate(one_hot(5, 5, 5, 5, 5), rows=2)["calls"] == 5


def test_rows_end_one_by_one():
    logits = np.stack([one_hot(5, 5), one_hot(EOS, 6), one_hot(7, EOS), one_hot(2, 3)])
    result = generate(logits, rows=2, vocab_size=8)
    np.testing.assert_array_equal(result["tokens"], [[5, EOS, 0, 0], [5, 6, EOS, 0]])
    np.testing.assert_array_equal(result["length"], [1, 2])


def test_the_most_new_tokens_include_eos():
    assert generate(one_hot(5, 6, EOS), max_new_tokens=2)["tokens"].tolist() == [[5, 6]]


def test_another_eos_id_ends_a_row():
    result = generate(one_hot(5, 3, 5), eos_id=3)
    np.testing.assert_array_equal(result["tokens"], [[5, 3, 0]])
    assert result["length"] == [1]


def test_a_row_without_a_prompt_gives_nothing():
    text = np.array([[1], [0]], np.int32)
    run = decode.make_generate(Table(one_hot(5, 6)), max_new_tokens=2, vocab_size=8)
    result = run({}, np.zeros((2, 1)), text, 0 * text)
    np.testing.assert_array_equal(result["tokens"], [[5, 6], [0, 0]])
    assert result["logprob"][1] == 0 and result["length"][1] == 0


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_banned_ids_and_padded_rows_of_the_table_are_never_predicted(temperature):
    logits = np.zeros((4, 8))
    logits[:, [0, 4, 6, 7]] = 30.0
    result = generate(
        logits, 50, jax.random.key(0), vocab_size=6, never=(0, 4), temperature=temperature
    )
    assert not np.isin(result["tokens"][:, 0], [0, 4, 6, 7]).any()
    assert np.isfinite(result["logprob"]).all()


def test_samples_follow_the_softmax_of_logits_over_temperature():
    logits = np.array([[-np.inf, 0.0, 1.0, 2.0]])
    result = generate(logits, 4000, jax.random.key(1), temperature=2.0)
    want = np.exp(logits[0] / 2) / np.exp(logits[0] / 2).sum()
    got = np.bincount(result["tokens"][:, 0], minlength=4) / 4000
    np.testing.assert_allclose(got, want, atol=0.03)  # About four standard errors.


@pytest.mark.parametrize(
    "top_p, nucleus", [(0.4, {3}), (0.6, {3, 1}), (0.9, {3, 1, 5}), (1.0, {3, 1, 5, 2})]
)
def test_samples_lie_in_the_nucleus_and_reach_all_of_it(top_p, nucleus):
    logits = np.full((1, 8), -np.inf)
    logits[0, [3, 1, 5, 2]] = np.log([0.5, 0.3, 0.15, 0.05])
    result = generate(logits, 500, jax.random.key(2), temperature=1.0, top_p=top_p)
    assert set(result["tokens"][:, 0].tolist()) == nucleus


def test_the_nucleus_is_taken_after_the_temperature():
    logits = np.full((1, 8), -np.inf)
    logits[0, [3, 1]] = np.log([0.8, 0.2])
    cold = generate(logits, 300, jax.random.key(3), temperature=1.0, top_p=0.7)
    hot = generate(logits, 300, jax.random.key(3), temperature=4.0, top_p=0.7)
    assert set(cold["tokens"][:, 0].tolist()) == {3}
    assert set(hot["tokens"][:, 0].tolist()) == {3, 1}


def test_the_same_key_gives_the_same_samples_and_rows_and_steps_differ():
    logits = np.zeros((12, 8))
    first, again = (generate(logits, 2, jax.random.key(4), temperature=1.0) for _ in range(2))
    np.testing.assert_array_equal(first["tokens"], again["tokens"])
    other = generate(logits, 2, jax.random.key(5), temperature=1.0)
    assert (first["tokens"] != other["tokens"]).any()
    assert (first["tokens"][0] != first["tokens"][1]).any()
    assert len(set(first["tokens"][0].tolist())) > 2


def test_sampling_does_not_depend_on_the_number_of_rows():
    logits = np.zeros((6, 8))
    few, many = (generate(logits, n, jax.random.key(6), temperature=1.0) for n in (2, 5))
    np.testing.assert_array_equal(few["tokens"], many["tokens"][:2])


def test_temperature_towards_zero_equals_greedy():
    logits = np.random.default_rng(7).standard_normal((5, 8))
    cold = generate(logits, 3, jax.random.key(8), temperature=1e-4)
    greedy = generate(logits, 3)
    np.testing.assert_array_equal(cold["tokens"], greedy["tokens"])
    np.testing.assert_allclose(cold["logprob"], greedy["logprob"], rtol=1e-6)


@pytest.mark.parametrize("kw", [dict(temperature=-1.0), dict(top_p=0.0), dict(top_p=1.5)])
def test_temperature_and_nucleus_out_of_range_are_errors(kw):
    with pytest.raises(ValueError, match="need temperature >= 0 and 0 < top_p <= 1"):
        decode.make_generate(Table(one_hot(1)), max_new_tokens=1, vocab_size=8, **kw)
