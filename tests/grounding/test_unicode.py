import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from big_rad.grounding.unicode import nfc


@given(st.text(max_size=40))
def test_a_text_has_one_form_however_its_letters_are_written(text):
    assert nfc(unicodedata.normalize("NFD", text)) == nfc(text) == nfc(nfc(text))


def test_an_umlaut_is_one_character():
    assert nfc("O\u0308dem") == "\u00d6dem"
