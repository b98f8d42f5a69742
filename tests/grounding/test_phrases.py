import pytest
from hypothesis import given
from hypothesis import strategies as st

from big_rad.grounding import classes, markup
from big_rad.grounding.phrases import find

KIDNEYS = (2, 3)


@pytest.mark.parametrize(
    ("lang", "text", "found"),
    [
        ("en", "Both kidneys are normal.", [("Both kidneys", 2), ("Both kidneys", 3)]),
        ("en", "Stone in the left kidney.", [("left kidney", 3)]),
        ("en", "Cyst of the left kidney.", [("Cyst of the left kidney", 23)]),
        ("en", "The liver and portal vein.", [("liver", 5), ("portal vein", 64)]),
        ("en", "Left rib 4, L5 vertebra.", [("Left rib 4", 95), ("L5 vertebra", 27)]),
        ("de", "Zyste in der linken Niere.", [("linken Niere", 3)]),
        ("de", "Niere links klein", [("Niere links", 3)]),
        ("de", "Leberparenchym homogen.", [("Leberparenchym", 5)]),
        ("de", "V. cava inferior frei.", [("V. cava inferior", 63)]),
        ("de", "4. Rippe links, LWK-3.", [("4. Rippe links", 95), ("LWK-3", 29)]),
        ("de", "LWK 4/5 frakturiert", [("LWK 4/5", 27), ("LWK 4/5", 28)]),
        ("de", "Protrusion L4/5", [("L4/5", 120)]),
        ("de", "Leberläsion, HWS", [("Leberläsion", 5), ("HWS", 121)]),
        ("en", "Splenomegaly", [("Splenomegaly", 1)]),
        ("de", "Nieren bds. schlank", [("Nieren bds", 2), ("Nieren bds", 3)]),
        ("de", "Die O\u0308sophaguswand.", [("O\u0308sophaguswand", 15)]),
        ("de", "Lage der Lunge\n  rechts", [("Lunge\n  rechts", 119)]),
    ],
)
def test_phrases_of_reports(lang, text, found):
    assert find(text, lang) == found


@pytest.mark.parametrize(
    ("lang", "text"),
    [
        ("de", "Leberfleck, Magensonde, Herzschrittmacher"),  # Inside other words.
        ("de", "Leber-CT und CT-Leber, Leber- und Milz-CT"),
        ("en", "delivery of flowers"),
        ("de", "Z. n. Splenektomie, Niere rechts fehlend"),  # The organ is not there.
        ("en", "Mass left of the kidney."),  # A place, and either kidney.
        ("de", "Zyste rechts der Niere"),
        ("en", "The kidney."),  # It may be either kidney.
        ("en", "All ribs, the rib cage."),  # They have too many classes.
        ("en", "normal"),
        ("en", ""),
    ],
)
def test_what_names_no_single_class_is_left_out(lang, text):
    assert find(text, lang) == []


def test_the_longest_phrase_claims_its_words():
    text = "Nodule in the right upper lobe."
    assert find(text, "en") == [("right upper lobe", 12)]
    assert find("Mittellappen der rechten Lunge", "de") == [("Mittellappen der rechten Lunge", 13)]


def test_phrases_do_not_cross_punctuation():
    assert find("Portal: vein patent.", "en") == []
    assert find("Enlarged heart. Right lung clear.", "en") == [("heart", 51), ("Right lung", 119)]


def test_a_colon_carries_the_side_of_a_heading_to_it_and_no_further():
    assert find("Kidney: left, lung: right.", "en") == [("Kidney", 3), ("lung", 119)]


def test_negation_is_not_its_business():
    assert find("No gallbladder.", "en") == [("gallbladder", 4)]


@given(
    st.lists(st.sampled_from(classes.CLASSES), min_size=1, max_size=4, unique=True),
    st.sampled_from(["en", "de"]),
)
def test_every_class_is_found_by_its_name(chosen, lang):
    names = [getattr(c, lang) for c in chosen]
    text = "; ".join(names) + "."
    assert find(text, lang) == [(n, c.id) for n, c in zip(names, chosen)]


@given(st.text(max_size=80), st.sampled_from(["en", "de"]))
def test_any_text_is_read_and_phrases_stand_in_it(text, lang):
    for phrase, class_id in find(text, lang):
        assert phrase in text
        mention = markup.Mention(phrase, class_id, (0, 0, 1, 1))
        assert markup.locate(text, [mention]) or "<" in text
