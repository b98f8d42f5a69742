import dataclasses

import numpy as np
import pytest

from big_rad.annotate import match, sentences
from big_rad.annotate.deidentify import identifiers, texts
from big_rad.annotate.slices import Stack
from big_rad.grounding import classes
from tests.helpers import stored

ID = {c.name: c.id for c in classes.CLASSES}
NOBODY = texts.Scrubber(identifiers.Identifiers())
SHAPE = (24, 20, 12)
DEFAULT = match.Options(min_area_mm2=4.0)


def stack_of(tmp_path, **blocks):
    """A stack whose classes are blocks {name: (x, y, z slices)} in DICOM's directions."""
    labels = np.zeros(SHAPE, np.uint8)
    for name, where in blocks.items():
        labels[where] = ID[name]
    volume = stored.write(tmp_path / "v.nii", labels.astype(np.int16) * 7 - 500)
    return Stack(volume, labels)


def wanted(text, lang="en", line=2, slices=(), link="proposed", planes=()):
    (one,) = sentences.of_sentence(text, lang, NOBODY).sentences
    return match.Wanted(line, lang, one, slices=slices, link=link, planes=planes)


def body(tmp_path):
    return stack_of(
        tmp_path,
        liver=np.s_[2:9, 5:15, 4:9],
        spleen=np.s_[17:22, 8:14, 5:7],
        kidney_left=np.s_[15:20, 15:18, 1:4],
        kidney_right=np.s_[4:8, 15:18, 1:3],
    )


def keywords(items, lang="en"):
    return [[(k[0], k[1]) for k in item.keywords[lang]] for item in items]


def test_a_given_slice_is_used_and_one_that_shows_nothing_named_is_counted(tmp_path):
    stack = body(tmp_path)
    some = [
        wanted("Cyst in the liver.", slices=(("axial", 8),), link="given"),
        wanted("Cyst in the left kidney.", line=3, slices=(("axial", 8),), link="reference"),
        wanted("Cyst in the spleen.", line=4, slices=(("axial", 99),), link="reference"),
    ]
    items, drops = match.items(stack, some, DEFAULT)
    assert [(i.plane, i.index) for i in items] == [("axial", 8)]
    assert keywords(items) == [[("liver", "liver")]]
    assert drops == [
        match.Drop(4, "sentence", match.NO_SLICE), match.Drop(3, "sentence", match.NOT_IN_SLICE)
    ]  # fmt: skip


def test_a_proposed_slice_shows_most_of_what_is_named_and_shows_it_largest(tmp_path):
    stack = body(tmp_path)
    items, drops = match.items(stack, [wanted("The liver and the spleen are normal.")], DEFAULT)
    assert [i.index for i in items] == [5] and not drops
    some = [wanted("Cyst in the left kidney."), wanted("Both kidneys are normal.", line=3)]
    (left, both), _ = match.items(stack, some, DEFAULT)
    assert (left.index, both.index, both.number) == (1, 1, 1)
    assert keywords([both]) == [[("Both kidneys", "kidney_right"), ("Both kidneys", "kidney_left")]]


def test_nothing_visible_anywhere_is_counted(tmp_path):
    items, drops = match.items(body(tmp_path), [wanted("Normal pancreas.")], DEFAULT)
    assert not items and drops == [match.Drop(2, "sentence", match.NOWHERE)]


def test_slices_are_proposed_in_each_plane_and_lie_apart(tmp_path):
    options = match.Options(("axial", "coronal", "sagittal"), 2, 4.0)
    items, _ = match.items(body(tmp_path), [wanted("Normal liver.")], options)
    places = [(i.plane, i.index) for i in items]
    assert [p for p, _ in places] == [
        "axial",
        "axial",
        "coronal",
        "coronal",
        "sagittal",
        "sagittal",
    ]
    for plane in options.planes:
        first, second = (k for p, k in places if p == plane)
        assert abs(first - second) >= 1
    only, _ = match.items(body(tmp_path), [wanted("Normal liver.", planes=("coronal",))], options)
    assert {i.plane for i in only} == {"coronal"}


@pytest.mark.parametrize(
    "german, english",
    [
        ("Zyste der linken Niere.", "Stone in the left kidney."),
        ("Zyste der linken Niere.", "Septated cyst in the left kidney."),
        ("Zyste der linken Niere, 2 cm.", "Cyst in the left kidney, 2 mm."),
        ("Zyste der linken Niere, 2 cm.", "Cyst in the left kidney, 3 cm."),
        ("Leber vergrößert.", "Hypodense liver lesion."),
        ("Leber vergrößert.", "Enlarged liver."),
        ("Keine Zyste der Leber.", "Cyst in the liver."),
        ("Keine Zyste der Leber.", "No stone in the liver."),
    ],
)
def test_sentences_that_may_say_different_things_are_items_of_their_own(tmp_path, german, english):
    some = [wanted(german, "de", 2, (("axial", 5),)), wanted(english, "en", 3, (("axial", 5),))]
    if "Niere" in german:
        some = [dataclasses.replace(one, slices=(("axial", 2),)) for one in some]
    items, drops = match.items(body(tmp_path), some, DEFAULT)
    assert [sorted(item.texts) for item in items] == [["de"], ["en"]] and not drops


@pytest.mark.parametrize(
    "german, english",
    [
        ("Zyste der linken Niere, 2,5 cm.", "2.5 cm cyst in the left kidney."),
        ("Keine Zyste der Leber.", "No cyst in the liver."),
        ("Leber und Milz unauffällig.", "The liver and the spleen are normal."),
    ],
)
def test_sentences_that_say_the_same_are_one_item(tmp_path, german, english):
    items, _ = match.items(
        body(tmp_path), [wanted(german, "de", 2), wanted(english, "en", 3)], DEFAULT
    )
    assert [sorted(item.texts) for item in items] == [["de", "en"]]


def test_two_languages_come_together_if_they_state_the_same(tmp_path):
    some = [
        wanted("Normal liver.", "en", 2), wanted("Cyst in the spleen.", "en", 2, (("axial", 5),)),
        wanted("Milzzyste.", "de", 3, (("axial", 5),)), wanted("Leber unauffällig.", "de", 3),
    ]  # fmt: skip
    items, _ = match.items(body(tmp_path), some, DEFAULT)
    held = [{lang: one.sentence.text for lang, one in item.texts.items()} for item in items]
    assert {"en": "Normal liver.", "de": "Leber unauffällig."} in held
    assert {"en": "Cyst in the spleen.", "de": "Milzzyste."} in held
    assert len(held) == 2


LOBES = dict(
    lung_upper_lobe_left=np.s_[14:22, 3:9, 6:10],
    lung_lower_lobe_left=np.s_[14:22, 9:16, 2:8],
    lung_lower_lobe_right=np.s_[2:9, 9:16, 2:8],
)


def test_lobes_show_the_lung_upwards_only(tmp_path):
    stack = stack_of(tmp_path, **LOBES)
    (item,), _ = match.items(stack, [wanted("The left lung is clear.")], DEFAULT)
    assert keywords([item]) == [[("left lung", "lung_left")]]
    shown = set(np.unique(item.cut.segmap)) - {0}
    # Both left lobes became the lung; the right lobe, which is not named, stays what it is.
    assert shown == {ID["lung_left"], ID["lung_lower_lobe_right"]}
    box = next(b for b in item.boxes if b[4] == ID["lung_left"])
    assert box[:4] == [14, 3, 22, 16]
    none, drops = match.items(
        stack, [wanted("The left lung is clear.")], match.Options(min_area_mm2=4, rollup=False)
    )
    assert not none and drops[0].reason == match.NOWHERE
    whole = stack_of(tmp_path, lung_left=np.s_[14:22, 3:16, 2:10])
    none, drops = match.items(whole, [wanted("The left lower lobe is clear.")], DEFAULT)
    assert not none and drops[0].reason == match.NOWHERE


def test_a_lung_beside_its_own_lobe_gets_a_box_and_the_map_keeps_the_lobes(tmp_path):
    stack = stack_of(tmp_path, **LOBES)
    text = "The left lung and its left lower lobe are clear."
    (item,), _ = match.items(stack, [wanted(text)], DEFAULT)
    assert {b[4] for b in item.boxes} >= {ID["lung_left"], ID["lung_lower_lobe_left"]}
    assert ID["lung_left"] not in item.cut.segmap


@pytest.mark.parametrize("has_cyst", [True, False])
def test_a_cyst_without_a_mask_of_its_own_is_shown_by_its_kidney(tmp_path, has_cyst):
    blocks = dict(kidney_left=np.s_[15:20, 14:18, 1:5])
    if has_cyst:
        blocks["kidney_cyst_left"] = np.s_[16:19, 15:18, 2:4]
    stack = stack_of(tmp_path, **blocks)
    (item,), drops = match.items(stack, [wanted("Simple renal cyst on the left.")], DEFAULT)
    named = "kidney_cyst_left" if has_cyst else "kidney_left"
    assert item.shown["en"] == [(ID[named],)]
    assert [k[1] for k in keywords([item])[0]] == [named] and not drops


def test_a_sentence_counts_as_left_out_only_if_none_of_its_slices_shows_it(tmp_path):
    stack, text = body(tmp_path), "Cyst in the liver."
    some = [
        wanted(text, line=2, slices=(("axial", 5), ("axial", 0)), link="reference"),
        wanted(text, line=3, slices=(("axial", 0), ("axial", 1)), link="reference"),
        wanted(text, line=4, slices=(("axial", 0), ("axial", 99)), link="reference"),
    ]
    items, drops = match.items(stack, some, DEFAULT)
    assert [(i.index, i.texts["en"].row) for i in items] == [(5, 2)]
    left_out = [(d.row, d.what) for d in drops if d.reason == match.NOT_IN_SLICE]
    assert sorted(left_out) == [(2, "link"), (3, "sentence"), (4, "sentence")]


def test_components_below_the_least_area_show_nothing(tmp_path):
    stack = stack_of(tmp_path, liver=np.s_[2:4, 5:6, 4:5], spleen=np.s_[17:22, 8:14, 4:7])
    given = (("axial", 4),)
    items, drops = match.items(
        stack, [wanted("Normal liver.", slices=given), wanted("Normal spleen.", slices=given)],
        match.Options(min_area_mm2=3.0),
    )  # fmt: skip
    assert keywords(items) == [[("spleen", "spleen")]]
    assert drops == [match.Drop(2, "sentence", match.NOT_IN_SLICE)]
    assert set(np.unique(items[0].cut.segmap)) == {0, ID["spleen"]}


def test_what_is_named_beside_and_not_visible_is_a_mention_that_is_counted(tmp_path):
    items, drops = match.items(
        body(tmp_path), [wanted("Normal liver and pancreas.", slices=(("axial", 6),))], DEFAULT
    )
    assert keywords(items) == [[("liver", "liver")]]
    assert drops == [match.Drop(2, "mention", match.HIDDEN)]


def test_keywords_stand_in_the_order_of_the_text_and_are_words_of_it(tmp_path):
    text = "Spleen, liver and once more the spleen are normal."
    (item,), _ = match.items(body(tmp_path), [wanted(text)], DEFAULT)
    phrases = [k[0] for k in item.keywords["en"]]
    assert [p.lower().replace("the ", "") for p in phrases] == ["spleen", "liver", "spleen"]
    assert all(p in text for p in phrases)
