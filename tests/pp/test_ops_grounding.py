import numpy as np
import pytest

from big_rad.grounding import markup
from big_rad.grounding.codec import get_codec
from big_rad.pp import builder, packed

CODEC = get_codec("radgrounder")
TEXT = {
    "task": "report",
    "lang": "en",
    "sentence": "The liver and the left kidney are normal.",
    "keywords": [["liver", 5], ["left kidney", 3]],
}
PLAIN = TEXT["sentence"]


def example(text=None, **fields):
    segmap = np.zeros((64, 128), np.uint8)
    segmap[16:32, 32:64] = 5
    segmap[40:44, 100:104] = 3
    image = np.zeros((64, 128), np.int16)
    return {
        "id": "a", "image": image, "modality": "CT", "segmap": segmap, "texts": [text or TEXT],
        "rng": np.random.default_rng(0),
    } | fields  # fmt: skip


def run(pp, **kwargs):
    return builder.get_preprocess_fn(pp)(example(**kwargs))["texts"][0]


def test_boxes_are_those_of_the_label_map():
    out = run("prompt(style='none')|ground('boxes')")
    # x = 32..64 of 128 and y = 16..32 of 64 are both 128..256 in 512 bins.
    liver = "<p bbox=<loc0128><loc0128><loc0256><loc0256> id=<seg005>>liver</p>"
    kidney = "<p bbox=<loc0400><loc0320><loc0416><loc0352> id=<seg003>>left kidney</p>"
    assert out["suffix"] == f"The {liver} and the {kidney} are normal."
    assert out["prefix"] == "\n\nCaption this image and detect keywords: \n"
    assert out["markup"] and out["grounded"]


def test_masks_list_their_classes_in_order():
    out = run("prompt(style='none')|ground('masks')")
    assert out["suffix"] == "The <seg>liver</seg> and the <seg>left kidney</seg> are normal."
    assert out["mask_classes"] == [5, 3]
    assert out["prefix"] == "\n\nCaption this image and segment keywords: \n"


def test_none_makes_target_and_prompt_plain():
    out = run("prompt(style='none')|ground('none')")
    assert out["suffix"] == PLAIN and not out["grounded"]
    assert out["prefix"] == "\n\nCaption this image: \n"


@pytest.mark.parametrize("mode", ["boxes", "masks"])
def test_a_class_that_is_not_there_stays_plain(mode):
    segmap = np.zeros((64, 128), np.uint8)
    segmap[0:9, 0:9] = 3
    suffix = run(f"prompt()|ground({mode!r})", segmap=segmap)["suffix"]
    parsed = markup.parse(suffix, CODEC)
    assert [e.phrase for e in parsed.entities] == ["left kidney"]
    assert parsed.text == PLAIN and parsed.valid


def test_masks_do_not_mark_a_shorter_word_inside_an_absent_longer_one():
    text = TEXT | {"sentence": "The left kidney.", "keywords": [["left kidney", 3], ["kidney", 5]]}
    segmap = np.full((4, 4), 5, np.uint8)
    image = np.zeros((4, 4), np.int16)
    out = run("prompt()|ground('masks')", text=text, segmap=segmap, image=image)
    assert out["suffix"] == "The left kidney." and out["mask_classes"] == []


def test_boxes_keep_the_precision_from_before_resize():
    pp = "load|normalize|resize(14)|prompt()|ground('boxes')"
    assert run(pp)["suffix"] == run("prompt()|ground('boxes')")["suffix"]


def test_masks_follow_the_resized_map():
    pp = "load|normalize|resize(4)|prompt()|ground('masks')"
    assert run(pp)["mask_classes"] == [5]  # the kidney of 4 x 4 pixels falls between the samples


@pytest.mark.parametrize("seed", range(5))
def test_boxes_follow_a_shift(seed):
    rng = np.random.default_rng(seed)
    out = builder.get_preprocess_fn("augment(shift=9)|prompt()|ground('boxes')")(example(rng=rng))
    ys, xs = np.nonzero(out["segmap"] == 5)
    want = (xs.min() / 128, ys.min() / 64, (xs.max() + 1) / 128, (ys.max() + 1) / 64)
    entity = markup.parse(out["texts"][0]["suffix"], CODEC).entities[0]
    np.testing.assert_allclose(entity.box, want, atol=1e-9)


def test_the_codec_and_its_grid_are_the_ones_asked_for():
    out = run("prompt()|ground('boxes', codec='paligemma')")["suffix"]
    assert "<loc0256><loc0256><loc0512><loc0512>" in out
    # grid=224: x 100/128 -> cell 175 -> 400, y 40/64 -> cell 140 -> 320.
    out = run("prompt()|ground('boxes', grid=224)")["suffix"]
    assert "<loc0400><loc0320><loc0416><loc0352>" in out


@pytest.mark.parametrize("forged", ["id=5", "</p>", "<seg>", "<loc0001>", "<p bbox=", "<seg005>"])
def test_a_sentence_that_spells_out_markup_is_not_marked(forged):
    out = run("prompt()|ground('boxes')", text=TEXT | {"sentence": f"The liver {forged}."})
    assert out["suffix"] == f"The liver {forged}." and not out["markup"]


def test_ungrounded_texts_are_untouched_and_need_no_label_map():
    text = {"task": "vqa", "lang": "en", "question": "Liver?", "answer": "liver"}
    out = run("prompt()|ground('boxes')", text=text, segmap=None)
    assert out["suffix"] == "liver" and out["prefix"] == "\nLiver?\nAnswer: \n"


def test_a_prompt_for_boxes_needs_a_label_map_only_where_there_are_keywords():
    pp = "prompt(grounded='always', style='none')|ground('boxes')"
    out = run(pp, text=TEXT | {"keywords": []}, segmap=None)
    assert out["prefix"] == "\n\nCaption this image and detect keywords: \n"
    assert out["suffix"] == PLAIN
    with pytest.raises(ValueError, match="segmap"):
        run(pp, segmap=None)


def test_detection_answers_carry_boxes():
    text = {
        "task": "detect", "lang": "de", "question": "Wo ist die Leber?",
        "answer": "Die Leber ist hier.", "keywords": [["Leber", 5]],
    }  # fmt: skip
    out = run("prompt()|ground('boxes')", text=text)
    assert out["prefix"] == "\nWo ist die Leber? \n"
    assert "id=<seg005>>Leber</p> ist hier." in out["suffix"]


def test_order_and_arguments_are_checked():
    with pytest.raises(ValueError, match="prompt"):
        run("ground('boxes')")
    with pytest.raises(ValueError, match="boxes"):
        builder.get_preprocess_fn("ground('points')")
    with pytest.raises(ValueError, match="radgrounder"):
        builder.get_preprocess_fn("ground('boxes', codec='coco')")


def test_the_given_texts_are_not_changed():
    before = dict(TEXT)
    run("prompt()|ground('boxes')")
    assert before == TEXT


@pytest.mark.parametrize("mode", ["boxes", "masks"])
def test_of_two_classes_with_one_keyword_the_one_that_is_there_is_marked(mode):
    text = {"sentence": "Kidneys.", "keywords": [["kidneys", 2], ["kidneys", 3]]}
    out = run(f"prompt()|ground({mode!r})", text=TEXT | text)  # Only the left kidney is shown.
    if mode == "boxes":
        assert out["suffix"].endswith(" id=<seg003>>Kidneys</p>.")
    else:
        assert out["suffix"] == "<seg>Kidneys</seg>." and out["mask_classes"] == [3]


def test_masks_of_an_example_without_a_label_map_are_not_asked_for():
    run = builder.get_preprocess_fn("prompt(grounded='always', style='none')|ground('masks')")
    boxed = example(segmap=None, boxes=[[0, 0, 9, 9, 5]], image=np.zeros((64, 128), np.int16))
    out = run(boxed | {"rng": np.random.default_rng(0)})
    (text,) = out["texts"]
    assert text["suffix"] == PLAIN and not text["grounded"]
    assert text["prefix"] == "\n\nCaption this image: \n"
    assert out["segmap"].shape == (64, 128) and not out["segmap"].any()


# ---- without ----


def without(*names, **fields):
    return builder.get_preprocess_fn(f"without({', '.join(map(repr, names))})")(example(**fields))


def text(**fields):
    base = {"task": "vqa", "lang": "en", "question": "Which modality?", "answer": "CT"}
    return base | fields


def test_a_class_kept_out_leaves_pixels_boxes_and_texts_that_name_it():
    spoken = [
        TEXT,
        text(),
        text(question="Is the liver visible?", answer="yes"),
        text(question="Ist die Leber zu sehen?", answer="ja", lang="de"),
        text(question="Which organ is shown?", answer="spleen", choices=["liver", "spleen"]),
        text(question="Is the left kidney visible?", answer="yes"),
        text(task="report", sentence="Normal.", clinical="Pain near the liver.", keywords=[]),
    ]
    boxes = [[1, 1, 9, 9, 5], [2, 2, 9, 9, 1]]
    before = example(texts=spoken, boxes=boxes)
    after = without("liver", texts=spoken, boxes=boxes)
    assert after["texts"] == [spoken[1], spoken[5]]
    assert after["boxes"] == [[2, 2, 9, 9, 1]]
    assert set(np.unique(after["segmap"])) == {0, 3}
    assert set(np.unique(before["segmap"])) == {0, 3, 5}
    np.testing.assert_array_equal(after["segmap"] == 3, before["segmap"] == 3)


def test_keeping_out_what_is_not_there_changes_nothing():
    before, after = example(), without("brain")
    np.testing.assert_array_equal(before["segmap"], after["segmap"])
    assert after["texts"] == before["texts"] and after["segmap"].dtype == np.uint8


def test_packed_label_maps_are_cleared_as_well():
    after = without("liver", segmap=packed.pack(example()["segmap"]))
    assert set(np.unique(after["segmap"])) == {0, 3}


def test_an_unknown_class_to_keep_out_is_an_error():
    with pytest.raises(KeyError, match="livers"):
        without("livers")
