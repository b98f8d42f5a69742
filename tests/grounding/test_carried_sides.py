"""Tests of organs and sides that a later clause of a sentence leaves out."""

import pytest

from tests.helpers import anatomy


def classes(text, lang):
    return anatomy.found(text, lang)[0]


@pytest.mark.parametrize(
    "lang, text",
    [
        ("en", "The left kidney is ptotic; the right lies in its usual place."),
        ("en", "Left kidney: 3 mm stone; right: none."),
        ("en", "Left kidney enlarged, while on the right there is a cyst."),
        ("de", "Linke Niere o. B., rechts zwei Konkremente."),
        ("de", "Linke Niere klein, die rechte mit 2 cm großer Zyste."),
        ("de", "Niere links schmaler als rechts."),
    ],
)
def test_a_side_alone_stands_for_the_organ_on_the_other_side(lang, text):
    assert classes(text, lang) == {"kidney_left", "kidney_right"}


@pytest.mark.parametrize(
    "lang, text",
    [
        # What follows names another place, so the side is that of the place.
        ("en", "The left kidney is small, right ureter dilated."),
        ("en", "Left kidney normal, pleural effusion on the right."),
        ("de", "Linke Niere klein, rechts Pleuraerguss."),
        ("de", "Linke Niere klein. Rechts kein Erguss."),
        ("de", "Linke Niere klein, rechts Harnleiter erweitert."),
    ],
)
def test_the_side_of_another_place_stands_for_no_organ(lang, text):
    assert classes(text, lang) == {"kidney_left"}


def test_an_organ_has_the_side_of_its_neighbour_in_the_same_region():
    text = "Skapula links unauffällig, Klavikula mit alter Fraktur."
    assert classes(text, "de") == {"scapula_left", "clavicula_left"}
    assert classes("Left lower lobe consolidated; upper lobe clear.", "en") == {
        "lung_lower_lobe_left", "lung_upper_lobe_left",
    }  # fmt: skip


@pytest.mark.parametrize(
    "lang, text, named",
    [
        ("de", "Linke Niere klein, Nebenniere verdickt.", {"kidney_left"}),
        ("en", "Left lung clear, right lung with nodule, upper lobe affected.", None),
        ("de", "Skapula links unauffällig. Klavikula frakturiert.", {"scapula_left"}),
    ],
)
def test_a_side_is_not_carried_to_another_region_or_sentence(lang, text, named):
    found = classes(text, lang)
    assert found == (named or found - {"lung_upper_lobe_left"})
