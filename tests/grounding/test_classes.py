import collections

import pytest
from hypothesis import given
from hypothesis import strategies as st

from big_rad.grounding import classes

# From TotalSegmentator's class maps: task `total` (version 2) and task `total_mr`.
TOTAL = {
    **{1: "spleen", 2: "kidney_right", 3: "kidney_left", 4: "gallbladder", 5: "liver"},
    **{8: "adrenal_gland_right", 10: "lung_upper_lobe_left", 13: "lung_middle_lobe_right"},
    **{15: "esophagus", 17: "thyroid_gland", 21: "urinary_bladder", 24: "kidney_cyst_right"},
    **{26: "vertebrae_S1", 27: "vertebrae_L5", 32: "vertebrae_T12", 43: "vertebrae_T1"},
    **{44: "vertebrae_C7", 50: "vertebrae_C1", 51: "heart", 52: "aorta", 53: "pulmonary_vein"},
    **{55: "subclavian_artery_right", 59: "brachiocephalic_vein_left", 61: "atrial_appendage_left"},
    **{64: "portal_vein_and_splenic_vein", 68: "iliac_vena_right", 79: "spinal_cord"},
    **{89: "iliopsoas_right", 90: "brain", 91: "skull", 92: "rib_left_1", 103: "rib_left_12"},
    **{104: "rib_right_1", 115: "rib_right_12", 116: "sternum", 117: "costal_cartilages"},
}
TOTAL_MR = {
    **{1: "spleen", 7: "pancreas", 10: "lung_left", 11: "lung_right", 12: "esophagus"},
    **{19: "vertebrae", 20: "intervertebral_discs", 26: "iliac_artery_left", 50: "brain"},
}
NAMES = [(c, lang, n) for c in classes.CLASSES for lang in ("en", "de") for n in c.names(lang)]


def test_there_are_121_classes_with_their_own_ids_and_names():
    assert [c.id for c in classes.CLASSES] == list(range(1, 122))
    assert classes.NUM_CLASSES == 121
    for field in ("name", "en", "de"):
        assert len({getattr(c, field) for c in classes.CLASSES}) == 121


@pytest.mark.parametrize("class_id, name", TOTAL.items())
def test_ct_ids_are_those_of_totalsegmentator(class_id, name):
    assert classes.by_id(class_id).name == name
    assert classes.by_name(name).id == class_id


def test_four_classes_follow_that_only_mr_has():
    names = [classes.by_id(i).name for i in range(118, 122)]
    assert names == ["lung_left", "lung_right", "intervertebral_discs", "vertebrae"]


@pytest.mark.parametrize("index, name", TOTAL_MR.items())
def test_mr_indices_map_to_the_classes_of_the_same_name(index, name):
    assert classes.by_id(classes.MR_TO_ID[index]).name == name


def test_all_50_mr_indices_map_to_different_classes():
    assert list(classes.MR_TO_ID) == list(range(1, 51))
    assert len(set(classes.MR_TO_ID.values())) == 50


def test_every_name_finds_its_class_in_its_language_and_without_one():
    for c, lang, name in NAMES:
        assert classes.lookup(name, lang) is c, name
        assert classes.lookup(name) is c, name
    for c in classes.CLASSES:
        assert c.en and c.de
        assert classes.lookup(c.name) is c


def test_no_name_is_claimed_by_two_classes():
    claims = collections.defaultdict(set)
    for c, _, name in NAMES:
        claims[name.casefold()].add(c.id)
    assert not {name: ids for name, ids in claims.items() if len(ids) > 1}


@given(st.sampled_from(NAMES), st.data())
def test_lookup_folds_case_umlauts_and_hyphens(named, data):
    c, lang, name = named
    fold = data.draw(st.sampled_from([str.upper, str.lower, str.title, str.swapcase]))
    written = [("ä", "ae"), ("ö", "oe"), ("ü", "ue"), ("ß", "ss")]
    plain = name
    for umlaut, letters in written:
        plain = plain.replace(umlaut, letters)
    assert classes.lookup(fold(name), lang) is c
    assert classes.lookup(plain, lang) is c
    assert classes.lookup(name.replace(" ", "-"), lang) is c


@pytest.mark.parametrize(
    "phrase, name",
    [
        ("der linken Niere", "kidney_left"),
        ("Niere links", "kidney_left"),
        ("left-sided kidney", "kidney_left"),
        ("Nierenparenchym rechts", "kidney_right"),
        ("Leberparenchym", "liver"),
        ("Milz-Parenchym", "spleen"),
        ("the liver's", "liver"),
        ("des Magens", "stomach"),
        ("Aortenwand", "aorta"),
        ("Speiserohre", None),
        ("Speiseröhre", "esophagus"),
        ("lower lobe of the left lung", "lung_lower_lobe_left"),
        ("rechter Lungenoberlappen", "lung_upper_lobe_right"),
        ("middle lobe", "lung_middle_lobe_right"),
        ("L5", "vertebrae_L5"),
        ("LWK-5", "vertebrae_L5"),
        ("5. Lendenwirbelkörper", "vertebrae_L5"),
        ("fünfter Lendenwirbel", "vertebrae_L5"),
        ("Th12", "vertebrae_T12"),
        ("BWK 12", "vertebrae_T12"),
        ("Axis", "vertebrae_C2"),
        ("5th rib on the left", "rib_left_5"),
        ("rechte 12. Rippe", "rib_right_12"),
        ("Wirbelkörper", "vertebrae"),
        ("Leberläsion", None),
        ("Leben", None),
        ("T1", None),
        ("", None),
        ("links", None),
        ("kidneys", None),
    ],
)
def test_lookup_of_phrases_from_reports(phrase, name):
    found = classes.lookup(phrase)
    assert (found and found.name) == name


@pytest.mark.parametrize(
    "phrase, ids",
    [
        ("both kidneys", (2, 3)),
        ("beide Nieren", (2, 3)),
        ("Lunge", (118, 119)),
        ("LWS", (27, 28, 29, 30, 31)),
        ("ribs", tuple(range(92, 116))),
        ("linke Rippen", tuple(range(92, 104))),
        ("7. Rippe", (98, 110)),
        ("upper lobes", (10, 12)),
        ("liver", (5,)),
        ("table", ()),
    ],
)
def test_lookup_all_gives_every_class_a_phrase_may_mean(phrase, ids):
    assert tuple(sorted(c.id for c in classes.lookup_all(phrase))) == ids


def test_a_language_restricts_the_names():
    assert classes.lookup("Leber", "en") is None
    assert classes.lookup("liver", "de") is None
    assert classes.lookup_all("Nieren", "en") == ()
    with pytest.raises(ValueError, match="'en' and 'de'"):
        classes.lookup("foie", "fr")


@given(st.text(max_size=40))
def test_lookup_takes_any_text(phrase):
    found = classes.lookup(phrase)
    assert found is None or found in classes.lookup_all(phrase)


def test_unknown_ids_and_names_are_errors_that_say_what_there_is():
    for class_id in (0, 122, -1):
        with pytest.raises(KeyError, match=r"1\.\.121"):
            classes.by_id(class_id)
    with pytest.raises(KeyError, match="TotalSegmentator"):
        classes.by_name("left kidney")
