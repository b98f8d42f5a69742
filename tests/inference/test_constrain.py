"""Under a grammar every text can be read and ends within its budget."""

import functools
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from big_rad.grounding import markup
from big_rad.grounding.codec import get_codec
from big_rad.inference import constrain, pickers
from big_rad.pp import tokenizer as tokenizer_lib

LONGEST = 32
CODECS = [get_codec("radgrounder"), get_codec("radgrounder(grid=224)"), get_codec("paligemma")]


@pytest.fixture(scope="module")
def tokenizer():
    return tokenizer_lib.load("tiny")


def write(tokenizer, picker, rows, prefer=(), seed=3, **settings):
    """Lets a picker write texts over random scores; returns tokens, budgets, and its arrays.

    The scores are log probabilities plus Gumbel noise, so that even a greedy row writes a random
    text. Tags, ends and the ids of `prefer` are likely, so that texts hold tags in every state.
    """
    ids = tokenizer.padded_vocab_size
    budgets = jnp.asarray(np.random.default_rng(seed).integers(1, LONGEST + 1, rows), jnp.int32)
    likely = [*tokenizer.markup.values(), tokenizer.eos_id, *prefer]
    bias = jnp.zeros(ids).at[jnp.asarray(likely)].set(5.0)
    bias = jnp.where(jnp.arange(ids) >= tokenizer.vocab_size, -jnp.inf, bias)

    def step(carry, key):
        arrays, count, done, tokens = carry
        logits = jax.random.gumbel(key, (rows, ids)) + bias
        state = SimpleNamespace(picker=arrays, count=count, limit=budgets, done=done)
        token, logprob, arrays = picker.pick(logits, state)
        plain = jax.nn.log_softmax(logits)[jnp.arange(rows), token]
        error = jnp.abs(jnp.where(done, 0.0, logprob - plain)).max()
        here = (jnp.arange(LONGEST) == count[:, None]) & ~done[:, None]
        tokens = jnp.where(here, token[:, None], tokens)
        count = count + ~done
        done = done | (token == tokenizer.eos_id) | (count >= budgets)
        return (arrays, count, done, tokens), error

    keys = jax.random.key_data(jax.random.split(jax.random.key(seed), rows))
    settings = {name: jnp.asarray(value) for name, value in settings.items()}
    zeros = jnp.zeros((rows, LONGEST), jnp.int32)
    arrays = picker.start(keys, settings) if settings else picker.start(keys)
    start = (arrays, jnp.zeros(rows, jnp.int32), jnp.zeros(rows, bool), zeros)
    run = jax.jit(functools.partial(lax.scan, step))
    (arrays, _, _, tokens), errors = run(start, jax.random.split(jax.random.key(1), LONGEST))
    np.testing.assert_allclose(errors, 0, atol=1e-4)  # Log probabilities without the grammar.
    return np.asarray(tokens), np.asarray(budgets), jax.device_get(arrays)


def texts_of(tokenizer, tokens):
    """Decodes rows, as `RadGrounder` does."""
    return [tokenizer.decode(row[row > 0], skip_special=True, guard=True) for row in tokens]


def assert_readable(tokenizer, codec, tokens, budgets, max_masks=2):
    """Every text can be read and ends in time; returns how many boxes and masks there are."""
    boxes = masks = 0
    for row, budget, text in zip(tokens, budgets, texts_of(tokenizer, tokens), strict=True):
        ids = row[row > 0]
        assert ids[-1] == tokenizer.eos_id and len(ids) <= budget
        read = markup.parse(text, codec)
        assert read.valid, (text, read.problems)
        found = [e.box for e in read.entities if e.box is not None]
        assert all(x1 < x2 and y1 < y2 for x1, y1, x2, y2 in found)
        count = sum(e.mask_index is not None for e in read.entities)
        assert count <= max_masks
        boxes, masks = boxes + len(found), masks + count
    return boxes, masks


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.spec)
def test_random_texts_with_boxes_and_masks_can_be_read_and_end_in_time(tokenizer, codec):
    grammar = constrain.make_grammar(tokenizer, codec, max_masks=2)
    # Ordinary pieces that spell markup are no markup.
    spelled = tokenizer.encode("<seg></p>bbox=")
    tokens, budgets, report = write(tokenizer, pickers.PerRow(grammar), 334, prefer=spelled)
    boxes, masks = assert_readable(tokenizer, codec, tokens, budgets)
    assert boxes > 30 and masks > 30
    assert (report["changed"] > 0).mean() > 0.5


def test_each_row_has_settings_of_its_own(tokenizer):
    grammar = constrain.make_grammar(tokenizer, CODECS[0], max_masks=2)
    rows = np.arange(48)
    constrained = rows % 2 == 0
    settings = dict(
        temperature=np.float32(rows % 3), top_p=np.float32([1, 0.9, 0.5, 0.2])[rows % 4],
        constrained=constrained,
    )  # fmt: skip
    tokens, budgets, report = write(tokenizer, pickers.PerRow(grammar), 48, **settings)
    assert_readable(tokenizer, CODECS[0], tokens[constrained], budgets[constrained])
    assert not report["changed"][~constrained].any() and report["changed"][constrained].any()
    free = texts_of(tokenizer, tokens[~constrained])
    assert sum(markup.parse(text, CODECS[0]).valid for text in free) < len(free) / 2
    # The rows without a grammar are what they are where no row has one.
    alone, _, _ = write(tokenizer, pickers.PerRow(), 48, **settings)
    np.testing.assert_array_equal(alone[~constrained], tokens[~constrained])


def test_rows_without_a_grammar_choose_as_greedy_and_sampled_rows_do(tokenizer):
    settings = dict(temperature=np.float32([0, 0, 0.7, 0.7]), top_p=np.float32([1, 1, 0.9, 0.9]))
    tokens, _, _ = write(tokenizer, pickers.PerRow(), 4, **settings)
    greedy, _, _ = write(tokenizer, pickers.Greedy(), 4)
    sampled, _, _ = write(tokenizer, pickers.Sampled(0.7, 0.9), 4)
    np.testing.assert_array_equal(tokens[:2], greedy[:2])
    np.testing.assert_array_equal(tokens[2:], sampled[2:])


@pytest.mark.parametrize(
    "sets, kinds, never, opened",
    [
        (("detection", "segmentation"), ("boxes", "masks"), (), {"<p bbox=", "<seg>"}),
        (("detection", "segmentation"), ("boxes",), (), {"<p bbox="}),
        (("detection",), ("boxes", "masks"), (), {"<p bbox="}),
        (("segmentation",), ("boxes", "masks"), (), {"<seg>"}),
        ((), ("boxes", "masks"), (), set()),
        (("detection", "segmentation"), ("boxes", "masks"), ("</p>", "</seg>"), set()),
        (("detection", "segmentation"), ("boxes", "masks"), ("id=",), {"<seg>"}),
    ],
)
def test_a_tag_that_could_not_be_closed_is_never_opened(sets, kinds, never, opened):
    tokenizer = tokenizer_lib.load("tiny", sets)
    ids = [tokenizer.id_of(token) for token in never]
    grammar = constrain.make_grammar(tokenizer, CODECS[0], kinds, ids)
    limits = grammar.limits(tokenizer.padded_vocab_size, grammar.start(1), jnp.array([40]))
    allowed = set(np.flatnonzero(limits.all()[0]))
    names = {i for token, i in tokenizer.markup.items() if token in opened}
    assert allowed & set(tokenizer.markup.values()) == names
    assert tokenizer.eos_id in allowed and not allowed & set(tokenizer.loc_ids)
    assert max(allowed) < tokenizer.vocab_size


def test_a_tokenizer_of_which_no_text_could_end_is_an_error(tokenizer):
    with pytest.raises(ValueError, match="<eos>"):
        constrain.make_grammar(tokenizer, CODECS[0], never=[tokenizer.eos_id])
