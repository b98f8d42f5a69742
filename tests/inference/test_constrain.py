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
from big_rad.inference import constrain, sampling
from big_rad.pp import tokenizer as tokenizer_lib

ROWS, LONGEST = 500, 40
CODECS = [get_codec("radgrounder"), get_codec("radgrounder(grid=224)"), get_codec("paligemma")]


@pytest.fixture(scope="module")
def tokenizer():
    return tokenizer_lib.load("tiny")


def write(tokenizer, picker, seed, rows=ROWS, prefer=()):
    """Lets a picker write texts over random logits; returns tokens, budgets, and what it reports.

    Tags, ends and the ids of `prefer` are likely, so that texts hold tags in every state.
    """
    ids = tokenizer.padded_vocab_size
    budgets = jnp.asarray(np.random.default_rng(seed).integers(1, LONGEST + 1, rows), jnp.int32)
    likely = [*tokenizer.markup.values(), tokenizer.eos_id, *prefer]
    bias = jnp.zeros(ids).at[jnp.asarray(likely)].set(4.0)
    bias = jnp.where(jnp.arange(ids) >= tokenizer.vocab_size, -jnp.inf, bias)

    def step(carry, key):
        remembered, count, done, tokens = carry
        logits = 2 * jax.random.normal(key, (rows, ids)) + bias
        state = SimpleNamespace(picker=remembered, count=count, limit=budgets, done=done)
        token, logprob, remembered = picker.pick(logits, state)
        plain = jax.nn.log_softmax(logits)[jnp.arange(rows), token]
        error = jnp.abs(jnp.where(done, 0.0, logprob - plain)).max()
        here = (jnp.arange(LONGEST) == count[:, None]) & ~done[:, None]
        tokens = jnp.where(here, token[:, None], tokens)
        count = count + ~done
        done = done | (token == tokenizer.eos_id) | (count >= budgets)
        return (remembered, count, done, tokens), error

    keys = jax.random.key_data(jax.random.split(jax.random.key(seed), rows))
    zeros = jnp.zeros((rows, LONGEST), jnp.int32)
    carry = (picker.start(keys), jnp.zeros(rows, jnp.int32), jnp.zeros(rows, bool), zeros)
    run = jax.jit(functools.partial(lax.scan, step))
    (remembered, _, _, tokens), errors = run(carry, jax.random.split(jax.random.key(1), LONGEST))
    np.testing.assert_allclose(errors, 0, atol=1e-4)  # Log probabilities without the grammar.
    return np.asarray(tokens), np.asarray(budgets), picker.report(remembered)


def texts_of(tokenizer, tokens):
    """Decodes rows, as `RadGrounder` and the evaluators do."""
    return [tokenizer.decode(row[row > 0], skip_special=True, guard=True) for row in tokens]


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.spec)
def test_random_texts_with_boxes_and_masks_can_be_read_and_end_within_their_budget(
    tokenizer, codec
):
    grammar = constrain.make_grammar(tokenizer, codec, max_masks=2)
    picker = constrain.Constrained(sampling.Sampled(), grammar)
    # Ordinary pieces that spell markup are no markup.
    spelled = tokenizer.encode("<seg></p>bbox=")
    tokens, budgets, report = write(tokenizer, picker, seed=3, prefer=spelled)
    boxes = masks = 0
    for row, budget, text in zip(tokens, budgets, texts_of(tokenizer, tokens), strict=True):
        ids = row[row > 0]
        assert ids[-1] == tokenizer.eos_id and len(ids) <= budget
        read = markup.parse(text, codec)
        assert read.valid, (text, read.problems)
        found = [e.box for e in read.entities if e.box is not None]
        assert all(x1 < x2 and y1 < y2 for x1, y1, x2, y2 in found)
        boxes += len(found)
        masks += sum(e.mask_index is not None for e in read.entities)
        assert sum(e.mask_index is not None for e in read.entities) <= 2
    assert boxes > 50 and masks > 50
    assert (np.asarray(report["changed"]) > 0).mean() > 0.5


def test_without_the_grammar_most_of_these_texts_cannot_be_read(tokenizer):
    class Plain(sampling.Sampled):
        def report(self, remembered):
            return {}

    tokens, _, _ = write(tokenizer, Plain(), seed=3, rows=100)
    read = [markup.parse(text, CODECS[0]) for text in texts_of(tokenizer, tokens)]
    assert sum(r.valid for r in read) < 50
