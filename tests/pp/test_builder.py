import collections

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from big_rad.grounding import classes, markup
from big_rad.pp import builder, packed


def example(**fields):
    image = np.arange(12, dtype=np.int16).reshape(3, 4)
    return {"id": "case7", "image": image, "modality": "CT"} | fields


def test_ops_run_in_order_and_the_given_example_stays_as_it_was():
    given = example()
    out = builder.get_preprocess_fn("load|normalize('medgemma')|resize(2)|keep('image')")(given)
    assert set(out) == {"image"}
    assert out["image"].shape == (2, 2, 3) and out["image"].dtype == np.float32
    assert set(given) == {"id", "image", "modality"} and given["image"].shape == (3, 4)


def test_unknown_ops_are_refused_with_the_known_ones():
    with pytest.raises(KeyError, match="normalize"):
        builder.get_preprocess_fn("load|normalise")


@pytest.mark.parametrize("pp", ["load||resize(2)", "|load", "load|", ""])
def test_an_empty_op_is_refused(pp):
    with pytest.raises(ValueError, match="empty op"):
        builder.get_preprocess_fn(pp)


def test_wrong_arguments_name_the_op():
    with pytest.raises(ValueError, match="resize"):
        builder.get_preprocess_fn("load|resize(size=2, way='up')")


def test_code_in_arguments_is_refused():
    with pytest.raises(ValueError, match="literal"):
        builder.get_preprocess_fn("load|resize(__import__('os').getpid())")


def test_a_bar_inside_quotes_does_not_split():
    assert builder.split("keep('a|b') | load") == ["keep('a|b')", "load"]


def test_errors_carry_op_and_example_id():
    with pytest.raises(ValueError) as e:
        builder.get_preprocess_fn("load")(example(modality="XR"))
    assert any("'load'" in n and "case7" in n for n in e.value.__notes__)


def test_the_usual_string_builds_a_whole_training_example():
    segmap = np.zeros((3, 4), np.uint8)
    segmap[1:, 2:] = 5
    text = {"task": "report", "lang": "en", "sentence": "The liver.", "keywords": [["liver", 5]]}
    fn = builder.get_preprocess_fn(
        "load|augment(shift=1)|normalize('medgemma')|resize(14)|prompt(n=1)|ground('boxes')"
        "|tok(length=64)|keep('image', 'text', 'mask_ar', 'mask_loss', 'segment')"
    )
    outs = [
        fn(example(segmap=segmap, texts=[text], rng=np.random.default_rng(3))) for _ in range(2)
    ]
    assert outs[0]["image"].shape == (14, 14, 3)
    assert all(outs[0][k].shape == (65,) for k in ("text", "mask_ar", "mask_loss", "segment"))
    for k in outs[0]:
        np.testing.assert_array_equal(outs[0][k], outs[1][k])


# Generators


def drawn(pp, seed=0, **fields):
    return builder.get_preprocess_fn(pp)(example(rng=np.random.default_rng(seed), **fields))


TEXTS = [
    {"task": "vqa", "lang": lang, "question": f"q{i}", "answer": f"a{i}"}
    for lang in ("en", "de")
    for i in range(9)
]


@pytest.mark.parametrize("seed", range(10))
def test_what_an_op_draws_does_not_depend_on_what_others_draw(seed):
    plain = drawn("load|augment()|prompt(n=3)", seed, texts=TEXTS)
    busy = drawn("load|augment(shift=1, crop=0.6, intensity=9)|prompt(n=3)", seed, texts=TEXTS)
    assert plain["texts"] == busy["texts"]


def test_equal_ops_at_two_places_draw_differently():
    image = np.arange(10_000, dtype=np.int16).reshape(100, 100)
    (once,) = np.argwhere(drawn("augment(shift=9)", image=image)["image"] == 5050)
    (twice,) = np.argwhere(drawn("augment(shift=9)|augment(shift=9)", image=image)["image"] == 5050)
    assert tuple(twice - once) != tuple(once - (50, 50)) != (0, 0)


def test_draws_differ_between_examples_and_are_spread_evenly():
    first = [drawn("prompt(balance=False)", s, texts=TEXTS)["texts"][0] for s in range(1800)]
    counts = collections.Counter((t["lang"], t["question"]) for t in first)
    assert len(counts) == 18 and 60 < min(counts.values()) and max(counts.values()) < 145


def test_an_example_without_a_generator_needs_no_random_op():
    assert "rng" not in builder.get_preprocess_fn("load|normalize")(example())


# Text only

COLOURS = ("clear", "bright", "dark")
MODEL_TEXT = ("text", "mask_ar", "mask_loss", "segment", "mask_class", "mask_pos")


@st.composite
def examples(draw):
    """Examples with one or several images, with a label map, boxes, both or neither, packed."""
    height, width = draw(st.integers(24, 40)), draw(st.integers(24, 40))
    images = []
    for i in range(draw(st.integers(1, 3))):
        segmap, boxes = np.zeros((height, width), np.uint8), []
        shown = draw(st.lists(st.sampled_from([1, 2, 3, 5, 20, 51]), max_size=4, unique=True))
        for c in shown:
            x, y = draw(st.integers(0, width - 6)), draw(st.integers(0, height - 6))
            segmap[y : y + 6, x : x + 6] = c
            boxes.append([x, y, x + 6, y + 6, c])
        image = {
            "id": f"i{i}", "modality": draw(st.sampled_from(["CT", "MR", "OT"])),
            "image": packed.pack(np.zeros((height, width), np.int16)), "texts": draw(texts(shown)),
        }  # fmt: skip
        if draw(st.booleans()):
            image["segmap"] = packed.pack(segmap)
        if draw(st.booleans()):
            image["boxes"] = boxes
        images.append(image)
    item = {"id": "x", "patient": "p", "seed": draw(st.integers(0, 1 << 32))}
    return item | ({"images": images} if len(images) > 1 else images[0])


def texts(shown):
    names = {"en": lambda c: classes.by_id(c).en, "de": lambda c: classes.by_id(c).de}
    ids = st.lists(st.sampled_from(shown), max_size=4) if shown else st.just([])
    length = st.integers(1, 9)

    def report(lang, ids, length):
        named = [names[lang](c) for c in ids]
        sentence = " and ".join([*named, *COLOURS[:2] * length]) + "."
        return {
            "task": "report", "lang": lang, "sentence": sentence, "clinical": "Pain. " * length,
            "question": "Lesion?", "keywords": [[n, c] for n, c in zip(named, ids, strict=True)],
        }  # fmt: skip

    def vqa(lang, length):
        return {
            "task": "vqa", "lang": lang, "question": "Is it clear? " * length,
            "answer": "yes " * length, "question_type": "open",
        }  # fmt: skip

    lang = st.sampled_from(["en", "de"])
    some = st.one_of(st.builds(report, lang, ids, length), st.builds(vqa, lang, length))
    return st.lists(some, min_size=1, max_size=4)


def both_ways(item, pp):
    """Returns the results of the full run and of the run of texts alone for an item."""
    item = dict(item)
    seed = item.pop("seed")
    return [
        builder.get_preprocess_fn(pp, text_only=text_only)(
            item | {"rng": np.random.default_rng(seed)}
        )
        for text_only in (False, True)
    ]


def strings(mode, tok, augment=""):
    return (
        f"view|load{augment}|normalize|resize(48)|clean|detect_vqa(n=2)"
        f"|prompt(n=1, ground_share=0.7)|ground({mode!r})|tok({tok})"
    )


@pytest.mark.parametrize("mode", ["boxes", "masks", "none"])
@hypothesis.settings(max_examples=40)
@hypothesis.given(item=examples(), length=st.sampled_from([40, 80, 200]))
def test_text_only_gives_the_arrays_of_the_full_run_if_no_class_is_lost(mode, item, length):
    pp = strings(mode, f"length={length}, masks=3") + "|keep('image', 'text', 'mask_pos', 'id')"
    full, text = both_ways(item, pp)
    assert set(full) == {"image", "text", "mask_pos", "id"}
    assert set(text) - {"image"} == {"text", "mask_pos", "id", "text_bound"}
    for k in ("text", "mask_pos"):
        np.testing.assert_array_equal(full[k], text[k])
    full, text = both_ways(item, strings(mode, f"length={length}, masks=3"))
    for k in MODEL_TEXT:
        np.testing.assert_array_equal(full[k], text[k])
    assert full["text_bound"] == text["text_bound"] >= (text["text"] != 0).sum()


LOSES = "|augment(shift=3, crop=(0.5, 0.9), gamma=(0.7, 1.2), channel_repeat=0.5)"


@pytest.mark.parametrize("mode", ["boxes", "masks"])
@pytest.mark.parametrize("packs", ["", ", pack=True", ", pack=True, block=60"])
@hypothesis.settings(max_examples=40)
@hypothesis.given(item=examples(), length=st.sampled_from([60, 120, 240]))
def test_no_row_of_the_full_run_is_longer_than_text_only_says(mode, packs, item, length):
    pp = strings(mode, f"length={length}, max_text=58{packs}", LOSES)
    pp = pp.replace("n=1", "n=3") if packs else pp
    full, text = both_ways(item, pp)
    used = int(np.flatnonzero(full["text"])[-1]) + 1
    assert used <= text["text_bound"] <= length + 1
    assert [t["task"] for t in full["texts"]] == [t["task"] for t in text["texts"]]
    for a, b in zip(full["texts"], text["texts"], strict=True):
        assert a["prefix"] == b["prefix"]
        assert a["suffix"].count("<") <= b["suffix"].count("<")
        same = a["suffix"].count("<") == b["suffix"].count("<")
        if same and markup.strip(a["suffix"]) == markup.strip(b["suffix"]) and not packs:
            assert used == (text["text"] != 0).sum()  # Only the coordinates of the boxes differ.


def test_text_only_needs_no_pixels():
    item = example(image=b"not read", texts=TEXTS, rng=np.random.default_rng(0))
    pp = "load|augment(shift=2)|normalize|resize(8)|prompt|tok(length=40)|keep('text', 'mask_ar')"
    out = builder.get_preprocess_fn(pp, text_only=True)(item)
    assert set(out) == {"text", "mask_ar", "text_bound"}


def test_text_only_checks_the_arguments_of_all_ops():
    with pytest.raises(ValueError, match="normalize"):
        builder.get_preprocess_fn("normalize('zscore')|prompt", text_only=True)


def test_the_bound_holds_where_a_cut_makes_the_text_with_less_markup_the_longer_one():
    segmap = np.zeros((8, 8), np.uint8)
    segmap[:2], segmap[4:] = 5, 1
    text = {
        "task": "report", "lang": "en", "sentence": "Liver and spleen are seen here.",
        "keywords": [["liver", 5], ["spleen", 1]],
    }  # fmt: skip
    longer = 0
    for budget in range(24, 50):
        pp = f"prompt(style='none')|ground|tok(length=60, max_text={budget})"
        before, after = (
            builder.get_preprocess_fn(pp)(
                {"texts": [text], "segmap": s, "rng": np.random.default_rng(0)}
            )
            for s in (segmap, np.where(segmap == 5, 0, segmap))
        )
        used = [(x["text"] != 0).sum() for x in (before, after)]
        longer += used[1] > used[0]
        assert used[1] <= before["text_bound"] <= budget + 2
    assert longer


@pytest.mark.parametrize("mode", ["boxes", "masks"])
@pytest.mark.parametrize("lang", ["en", "de"])
def test_the_bound_holds_where_the_class_asked_for_is_cropped_away(mode, lang):
    segmap = np.zeros((40, 40), np.uint8)
    segmap[0, 0] = 5
    flipped = 0
    for seed in range(30):
        item = example(image=np.zeros((40, 40), np.int16), segmap=segmap, seed=seed)
        pp = f"augment(crop=(0.5, 0.6))|detect_vqa(lang={lang!r})|prompt|ground({mode!r})"
        full, text = both_ways(item, pp + "|tok(length=60)")
        flipped += full["texts"][0]["suffix"] != text["texts"][0]["suffix"]
        assert (full["text"] != 0).sum() <= text["text_bound"]
    assert flipped > 9
