"""P16: constrained answers always parse, end within their budget, and say what was changed.

A model that was never trained writes at temperature 1, so its tokens are random. Most ordinary
pieces are never predicted here, so that random texts hold many tags. `make prove` writes 10,000
texts with boxes and as many with masks, instead of 250.
"""

import os

import jax
import numpy as np
import pytest

from big_rad.grounding import codec as codecs
from big_rad.grounding import markup
from big_rad.inference import answer, constrain, decode, pickers, queue
from big_rad.pp import tokenizer as tokenizers
from tests.helpers import radgrounders

COUNT = int(os.environ.get("BIG_RAD_GENERATIONS", "250"))
LONGEST = 30
PIECES = 24  # Ordinary pieces that may be written, besides those with "<".


@pytest.fixture(scope="module", params=["boxes", "masks"])
def random_model(request):
    """A model of random weights: what it points with, the model, parameters and options."""
    tokenizer = tokenizers.load("tiny")
    config = radgrounders.MASKS_CONFIG if request.param == "masks" else radgrounders.CONFIG
    model = radgrounders.make_model(config, tokenizer.padded_vocab_size)
    pieces = tokenizer.pieces()
    kept = {tokenizer.encode(text)[0] for text in (" ", ">")}
    kept |= set(np.random.default_rng(0).choice(len(pieces), PIECES, replace=False).tolist())
    kept |= {i for i, p in enumerate(pieces) if isinstance(p, str) and "<" in p}
    never = [i for i, p in enumerate(pieces) if p is not None and i not in kept]
    options = answer.decoding_options(model, tokenizer, never, LONGEST, masks=False)
    codec = codecs.get_codec("radgrounder")
    grammar = constrain.make_grammar(tokenizer, codec, (request.param,), never)
    params = radgrounders.init_params(model)
    return request.param, tokenizer, codec, model, params, options, grammar


def asked(count):
    rng = np.random.default_rng(0)
    images = rng.uniform(-1, 1, (4, radgrounders.SIZE, radgrounders.SIZE, 3)).astype(np.float32)
    return [
        queue.Request(
            images[i % 4],
            rng.integers(300, 900, 1 + i % 7, np.int32),
            key=jax.random.key_data(jax.random.key(i)) if i < 4 else np.uint32([7, i]),
            max_new_tokens=int(rng.integers(1, LONGEST + 1)),
            temperature=1.0,
            constrained=True,
        )
        for i in range(count)
    ]


def assert_parses(tokenizer, codec, tokens, budget):
    """The text can be read and ends in its budget; returns its number of boxes and masks."""
    ids = tokens[tokens != 0]
    assert ids[-1] == tokenizer.eos_id and len(ids) <= budget
    read = markup.parse(tokenizer.decode(ids, skip_special=True, guard=True), codec)
    assert read.valid, (read.text, read.problems)
    boxes = [e.box for e in read.entities if e.mask_index is None]
    assert all(x1 < x2 and y1 < y2 for x1, y1, x2, y2 in boxes)
    masks = sum(e.mask_index is not None for e in read.entities)
    assert masks <= constrain.MAX_MASKS
    return np.array([len(boxes), masks])


def test_every_constrained_answer_of_the_queue_parses_and_ends_in_time(random_model):
    points, tokenizer, codec, model, params, options, grammar = random_model
    run = queue.Queue(model, options, rows=100, picker=pickers.PerRow(grammar)).run
    requests, changed, found = asked(COUNT), 0, np.zeros(2, int)
    for request, result in zip(requests, run(params, requests), strict=True):
        found += assert_parses(tokenizer, codec, result["tokens"], request.max_new_tokens)
        changed += int(result["changed"])
    print(f"{COUNT} texts: {found[0]} boxes, {found[1]} masks, {changed} tokens changed")
    boxes, masks = found
    assert (boxes if points == "boxes" else masks) > COUNT / 20 and changed > COUNT
    assert (masks if points == "boxes" else boxes) == 0  # It was not asked to point so.


def test_without_the_grammar_many_of_the_same_answers_do_not_parse(random_model):
    _, tokenizer, codec, model, params, options, _ = random_model
    run = queue.Queue(model, options, rows=25, picker=pickers.PerRow()).run
    read = [
        markup.parse(
            tokenizer.decode(r["tokens"][r["tokens"] != 0], skip_special=True, guard=True), codec
        )
        for r in run(params, asked(25))
    ]
    assert sum(not x.valid for x in read) > 5


def test_every_constrained_answer_of_a_batch_parses_too(random_model):
    _, tokenizer, codec, model, params, options, grammar = random_model
    generate = decode.make_generate(model, options, picker=pickers.PerRow(grammar))
    requests = asked(32)
    text = np.stack([np.pad(r.text, (0, 7 - len(r.text))) for r in requests])
    limit = np.array([r.max_new_tokens for r in requests], np.int32)
    out = generate(
        params,
        np.stack([r.image for r in requests]),
        text,
        0 * text,
        jax.random.key(1),
        limit,
        settings={"temperature": np.ones(32, np.float32)},
    )
    for tokens, budget in zip(np.asarray(out["tokens"]), limit, strict=True):
        assert_parses(tokenizer, codec, tokens, budget)
