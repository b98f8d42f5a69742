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
