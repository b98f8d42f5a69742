"""That the tables of sides turn into each other is tested in test_side_resolution.py."""

import pytest

from big_rad.grounding import exchanged_sides


@pytest.mark.parametrize(
    "text, other",
    [
        ("Cyst of the left kidney.", "Cyst of the right kidney."),
        ("Left-sided, RUL and leftward", "Right-sided, LUL and rightward"),
        ("Die rechte Lunge, linksbasal, LINKS", "Die linke Lunge, rechtsbasal, RECHTS"),
        ("Niere li. mit rechter und rechten Zyste", "Niere re. mit linker und linken Zyste"),
        ("rechteckig, rechtzeitig, both", "rechteckig, rechtzeitig, both"),
    ],
)
def test_words_for_sides_are_exchanged_and_all_others_stay(text, other):
    assert exchanged_sides.exchanged(text) == other
    assert exchanged_sides.exchanged(other) == text


@pytest.mark.parametrize(
    "text, other",
    [
        ("Cyst of the left kidney.", "Cyst of the right kidney."),
        ("Zyste der rechten Niere.", "Zyste der linken Niere."),
        ("Left and right lung.", ""),
        ("The liver is normal.", ""),
        ("No fluid is left.", ""),
    ],
)
def test_a_text_of_one_side_names_the_other_one_after_the_exchange(text, other):
    assert exchanged_sides.of_one_side(text) == other
