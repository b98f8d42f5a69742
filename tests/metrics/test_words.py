"""Tests of normalised texts: pairs that are the same answer, and pairs that are not."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from big_rad.metrics import words

SAME = [
    ("Yes.", "yes"), ("T2-weighted ", "t2 weighted"), ("**No**", "no!"), ("1.2 cm", "1,2 cm"),
    ("< 5 cm", "<5 cm"), ("<= 5 cm", "≤5 cm"), ("=> 5", "≥ 5"), ("⩾5", ">= 5"),
    ("+/- 3", "±3"), ("~ 5 mm", "≈5 mm"), ("5 %", "5%"), ("-5 HU", "\u22125 HU"),
    ("HU: -5", "hu \u22125"), ("3-5 mm", "3 \u2013 5 mm"), ("2 x 3 cm", "2\u00d73 cm"),
    ("2*3 cm", "2x3 cm"), ("L4/5", "L4-5"), ("12 cm\u00b2", "12 cm2"), ("5\u00a0mm", "5 mm"),
    ("Ober\u00adlappen", "Oberlappen"), ("(liver)", "liver"), ("\uff15cm", "5cm"),
    ("\ufb01brosis", "fibrosis"), ("a -> b", "a \u2192 b"), ("30\u00b0", "30 \u00b0"),
    ("liver; spleen", "liver spleen"), ("肝脏。", "肝脏"), ("1, 2, 3", "1,2,3"),
    (".5 cm", "0,5 cm"), ("\u00b5g", "\u03bcg"), ("left \u2013 right", "left right"),
    ("3 / 5", "3/5"), ("", "..."), ("- 5 HU", "-5 HU"), ("\u2013 5,5 HU", "-5.5 HU"),
    ("HU: - 5", "HU: -5"), ("liver (- 5 HU)", "liver (-5 HU)"), ("**- 5 HU**", "-5 HU"),
    ("- 5 mm\n- 3 mm", "5 mm, 3 mm"), ("- liver", "liver"), ("liver - 5 mm", "liver, 5 mm"),
    ("\u25a0 liver", "liver"), ("- .5", "-0.5"),
]  # fmt: skip
DIFFERENT = [
    ("不是", "是"), ("да", "нет"), ("नहीं", "हाँ"), ("לא", "כן"), ("< 5 cm", "> 5 cm"),
    ("<= 5", "< 5"), ("≥5", ">5"), ("= 5", "≠ 5"), ("± 3", "3"), ("~5", "5"), ("-5 HU", "5 HU"),
    ("4.5", "45"), ("4.5", "4 5"), ("4,5 cm", "45 cm"), (".5 cm", "5 cm"), ("3-5 mm", "35 mm"),
    ("3-5 mm", "3.5 mm"), ("3-5 mm", "3 -5 mm"), ("5 %", "5"), ("5 %", "5 ‰"), ("3/5", "3-5"),
    ("3/5", "35"), ("1:2", "12"), ("Contrast +", "Contrast -"), ("(+)", "(-)"), ("ER+", "ER-"),
    ("ER-", "ER"), ("signal ↑", "signal ↓"), ("10\u00b2", "102"), ("½", "1"), ("Größe", "Grosse"),
    ("Öl", "Ol"), ("é", "e"), ("CT", "MR"), ("L4", "L5"), ("क", "का"), ("5 €", "5 $"), ("-", ""),
    ("- 5 HU", "5 HU"), ("HU: - 5", "HU: 5"), ("(- 5 HU)", "(5 HU)"), ("\u25a0", "\u25a1"),
    ("\u25cb", "\u25cf"), ("\u25a0", ""), ("\u25a0 \u25a1", "\u25a1 \u25a0"),
    ("< -5", "< 5"), ("30\u00b0", "30"), ("2 x 3 cm", "23 cm"), ("5+", "5"),
]  # fmt: skip


@pytest.mark.parametrize("a, b", SAME)
def test_another_way_of_writing_is_the_same_answer(a, b):
    assert words.plain(a) == words.plain(b)


@pytest.mark.parametrize("a, b", DIFFERENT)
def test_another_answer_stays_another(a, b):
    assert words.plain(a) != words.plain(b)


@given(st.text(max_size=40))
def test_the_form_of_unicode_says_nothing(text):
    text = unicodedata.normalize("NFC", text)
    apart = unicodedata.normalize("NFD", text)
    for clean in (words.plain, words.published, words.squad, words.content):
        assert clean(apart) == clean(text)


@given(st.lists(st.sampled_from("liver Öffnung 5 4.5 < ≥ % 不是 печень mm".split()), max_size=6))
def test_case_and_punctuation_around_words_say_nothing(parts):
    text = " ".join(parts)
    assert words.plain(f"({text.upper()})!") == words.plain(f'"{text.lower()}."')
    assert words.content(f"the {text}") == words.content(text)


def test_the_published_clean_up_is_the_released_one():
    kept = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789äöüÄÖÜß")
    for text in [t for pair in SAME + DIFFERENT for t in pair]:
        text = unicodedata.normalize("NFC", text)
        want = "".join(c if c in kept else " " for c in text).lower().split()
        assert words.published(text).split() == want
