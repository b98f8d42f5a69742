"""Confidence: what is read from the model's own probabilities, and which entity it belongs to."""

import math

import numpy as np
import pytest

from big_rad.grounding import codec as codecs
from big_rad.grounding import markup
from big_rad.inference import confidence
from big_rad.pp import tokenizer as tokenizers

CODECS = ("radgrounder", "radgrounder(grid=56)", "paligemma")


@pytest.fixture(scope="module")
def tokenizer():
    return tokenizers.load("tiny")


def peaked(bins, codec, sd):
    """Distributions around bins, [4, locations]."""
    at = np.arange(codec.max_bin + 1)
    probs = np.exp(-0.5 * ((at - np.array(bins)[:, None]) / max(sd, 1e-9)) ** 2)
    return probs / probs.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("name", CODECS)
def test_a_box_that_the_model_is_sure_of_expects_an_iou_of_one_and_a_vague_one_little(name):
    codec = codecs.get_codec(name)
    bins = codec.bins((0.125, 0.25, 0.5, 0.75))
    values = [confidence.expected_iou(bins, peaked(bins, codec, sd), codec) for sd in (0, 5, 90)]
    assert values[0] == pytest.approx(1)
    assert values == sorted(values, reverse=True) and values[2] < 0.6 * values[0]
    flat = np.full((4, codec.max_bin + 1), 1 / (codec.max_bin + 1))
    assert confidence.expected_iou(bins, flat, codec) < 0.2


def test_the_expected_iou_is_the_mean_over_independent_draws():
    codec = codecs.get_codec("radgrounder")
    bins, rng = (100, 120, 220, 180), np.random.default_rng(0)
    probs = peaked(bins, codec, 12)
    probs[2] = np.roll(probs[2], 25)  # The model writes another end than its mean.
    drawn = np.stack([rng.choice(513, 200_000, p=p) for p in probs], axis=1)
    own = np.array(bins)
    shared = np.minimum(own[2:], drawn[:, 2:]) - np.maximum(own[:2], drawn[:, :2])
    both = np.prod(np.maximum(shared, 0), axis=1)
    areas = np.prod(np.maximum(drawn[:, 2:] - drawn[:, :2], 0), axis=1)
    want = (both / (np.prod(own[2:] - own[:2]) + areas - both)).mean()
    assert confidence.expected_iou(bins, probs, codec) == pytest.approx(want, abs=0.01)


def result_of(tokenizer, text, codec, sds, probs=()):
    """A result of a queue for a text; token i has the probability `probs[i]`, else 0.5."""
    tokens = np.array(tokenizer.encode(text, eos=True, specials=True), np.int32)
    logprobs = np.log([probs[i] if i < len(probs) else 0.5 for i in range(len(tokens))])
    at = np.flatnonzero(np.isin(tokens, tokenizer.loc_ids))
    bins = tokens[at] - tokenizer.loc_ids[0]
    spread = np.repeat(sds, 4)[: len(bins)]
    distributions = [peaked([b], codec, sd)[0] for b, sd in zip(bins, spread, strict=True)]
    result = {
        "tokens": np.pad(tokens, (0, 5)),
        "token_logprobs": np.pad(logprobs, (0, 5)),
        "logprob": logprobs.sum(),
        "location_probs": np.array(distributions, np.float16).reshape(-1, codec.max_bin + 1),
    }
    return confidence.condense(result, tokenizer, codec)


BOX = "<p bbox=<loc{:04d}><loc{:04d}><loc{:04d}><loc{:04d}> id=<seg{:03d}>>{}</p>"


def test_each_readable_box_gets_the_confidence_of_its_own_tokens(tokenizer):
    codec = codecs.get_codec("radgrounder")
    boxes = [
        BOX.format(10, 20, 200, 210, 5, "liver"),
        BOX.format(200, 20, 100, 210, 5, "inverted"),  # It cannot be read.
        "<p bbox=<loc0001><loc0002> id=<seg001>>short</p>",  # Nor this one.
        BOX.format(10, 20, 200, 210, 1, "spleen"),
    ]
    text = "The " + ", ".join(boxes) + "."
    found = result_of(tokenizer, text, codec, (0, 0, 80, 80, 80))
    parsed = markup.parse(text, codec)
    sure, inverted, short, vague = confidence.of_entities(found, parsed.entities, tokenizer, codec)
    assert inverted is None and short is None
    assert sure.kind == vague.kind == "box" and sure.status == "uncalibrated"
    assert sure.features["expected_iou"] > 0.98 > 0.7 > vague.features["expected_iou"]
    assert sure.features["class_token"] == pytest.approx(0.5)
    assert sure.features["phrase"] == pytest.approx(0.5)
    assert sure.score == pytest.approx(sure.features["expected_iou"] / 2)


@pytest.mark.parametrize(
    "faulty",
    [
        "<p bbox=<loc0001><loc0002><loc0100><loc0200><seg005>>liver</p>",  # Without `id=`.
        "<p bbox=<loc0001><loc0002><loc0100><loc0200> id=<seg005>>li<loc0003>ver</p>",
        "<p bbox=<loc0001><loc0002><loc0100><loc0200> id=<seg005>>liver</seg></p>",
        "<p bbox=<loc0010><loc0020><loc0200><loc0210><seg005>>liver</p>",  # The same place.
    ],
)
def test_a_box_in_a_tag_with_faults_takes_nothing_from_the_boxes_behind_it(tokenizer, faulty):
    codec = codecs.get_codec("radgrounder")
    text = f"The {faulty} and {BOX.format(10, 20, 200, 210, 1, 'spleen')}."
    found = result_of(tokenizer, text, codec, (0, 0, 0))
    entities = markup.parse(text, codec).entities
    assert entities[0].box is not None
    _, spleen = confidence.of_entities(found, entities, tokenizer, codec)
    assert spleen is not None and spleen.kind == "box"


def test_a_location_that_the_codec_does_not_have_moves_no_distribution(tokenizer):
    codec = codecs.get_codec("radgrounder")
    text = "<loc0600> " + BOX.format(10, 20, 200, 210, 5, "liver")
    tokens = np.array(tokenizer.encode(text, eos=True, specials=True), np.int32)
    # The queue keeps the distributions of the codec's own locations only.
    result = {"tokens": tokens, "location_probs": peaked((10, 20, 200, 210), codec, 0)}
    (value,) = confidence.condense(result, tokenizer, codec)["expected_iou"]
    assert value == pytest.approx(1)


def test_features_are_those_of_the_tokens_that_they_name(tokenizer):
    codec = codecs.get_codec("radgrounder")
    text = BOX.format(10, 20, 200, 210, 5, "liver")
    tokens = tokenizer.encode(text, eos=True, specials=True)
    probs = [0.9] * len(tokens)
    probs[0] = 0.7  # Opens the tag.
    probs[tokens.index(tokenizer.id_of("<seg005>"))] = 0.3
    end = tokens.index(tokenizer.id_of("</p>"))
    start = tokens.index(tokenizer.id_of("<seg005>")) + 2
    for i in range(start, end + 1):
        probs[i] = 0.6
    found = result_of(tokenizer, text, codec, (0,), probs)
    (place,) = confidence.of_entities(found, markup.parse(text, codec).entities, tokenizer, codec)
    assert place.features["opening"] == pytest.approx(0.7)
    assert place.features["class_token"] == pytest.approx(0.3)
    assert place.features["phrase"] == pytest.approx(0.6)
    whole = confidence.of_text(found)
    assert whole.score == pytest.approx(math.exp(np.log(probs).mean()))


def test_masks_get_the_score_of_the_closing_token_that_made_them(tokenizer):
    codec = codecs.get_codec("radgrounder")
    text = "A</seg> and <seg>liver</seg> and <seg>spleen</seg>."
    found = result_of(tokenizer, text, codec, ())
    found["mask_scores"] = np.array([0.1, 0.8], np.float32)  # Two masks for three `</seg>`.
    entities = markup.parse(text, codec).entities
    assert [e.mask_index for e in entities] == [1, 2]
    liver, spleen = confidence.of_entities(found, entities, tokenizer, codec)
    assert liver.kind == "mask" and liver.score == pytest.approx(0.8) and spleen is None


def test_answers_are_renormalised_over_the_options_whatever_their_case():
    kind, options = confidence.options_of("yes_no", (), "de")
    assert kind == "yes_no" and options == (("ja", "Ja"), ("nein", "Nein"))
    logprobs = np.log([0.3, 0.1, 0.05, 0.05])
    assert confidence.option_probabilities(logprobs, options) == pytest.approx([0.8, 0.2])
    result = {"candidate_logprobs": logprobs, "tokens": np.array([5, 1]), "logprob": -1.0}
    for answer, want in (("Ja.", 0.8), (" nein", 0.2), ("vielleicht", 0.0)):
        made = confidence.of_answer(result, answer, kind, options)
        assert made.kind == "yes_no" and made.score == pytest.approx(want)
    assert confidence.of_answer(result, "x", "open", ()).kind == "text"


@pytest.mark.parametrize(
    "kind, choices, want",
    [
        ("multiple", ["liver", "spleen", "Liver"], 2),
        ("multiple", ["liver"], 0),
        ("open", ["liver", "spleen"], 0),
    ],
)
def test_only_questions_with_several_choices_have_options(kind, choices, want):
    assert len(confidence.options_of(kind, choices, "en")[1]) == want
