import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from big_rad.annotate import comparison
from big_rad.grounding import side_words
from tests.helpers import anatomy

ROWS = list(anatomy.comparisons())
NUMBER = re.compile(r"\d+(?:[.,]\d+)?")


def test_comparisons_are_found_and_look_alikes_are_not():
    assert [t for lang, had, t in ROWS if comparison.remove(t, lang).had != had] == []


def test_a_sentence_without_a_comparison_stays_as_it_is():
    for lang, had, text in ROWS:
        if not had:
            assert comparison.remove(text, lang) == comparison.Removal(text, had=False)


def test_no_comparison_is_left_in_what_remains():
    for lang, had, text in ROWS:
        removal = comparison.remove(text, lang)
        assert not comparison.found(removal.text, lang) or not had, text
        assert bool(removal.reason) == (not removal.text), text


def test_numbers_and_sides_of_what_remains_stand_in_the_sentence():
    for lang, _, text in ROWS:
        left = comparison.remove(text, lang).text
        numbers = NUMBER.findall(text)
        assert all(NUMBER.findall(left).count(n) <= numbers.count(n) for n in NUMBER.findall(left))
        assert side_words.sides(left) <= side_words.sides(text)


@pytest.mark.parametrize(
    "lang, text, left",
    [
        (
            *("en", "The nodule in the left lung, previously 5 mm, now measures 8 mm."),
            "The nodule in the left lung measures 8 mm.",
        ),
        ("en", "Unchanged hepatic cyst in segment VII.", "Hepatic cyst in segment VII."),
        ("en", "The effusion is no longer seen.", "The effusion is not seen."),
        ("en", "The heart remains enlarged.", "The heart is enlarged."),
        ("de", "Zur VU vom 3.4. unveränderte Zyste der rechten Niere.", "Zyste der rechten Niere."),
        ("de", "Die Milz ist weiterhin vergrößert.", "Die Milz ist vergrößert."),
        (
            *("de", "Lymphknoten mediastinal bis 12 mm (vorher 8 mm)."),
            "Lymphknoten mediastinal bis 12 mm.",
        ),
        ("de", "Keine Metastasen mehr nachweisbar.", "Keine Metastasen nachweisbar."),
    ],
)
def test_what_remains_says_what_is_seen_now(lang, text, left):
    assert comparison.remove(text, lang).text == left


@pytest.mark.parametrize(
    "lang, text",
    [
        ("en", "Unchanged."),
        ("en", "No significant interval change."),
        # Without "new" or "resolved" these would say something else.
        ("en", "No new pulmonary nodules."),
        ("en", "The pneumothorax has resolved."),
        ("de", "Unveränderter Befund."),
        ("de", "Kein neu aufgetretener Rundherd."),
        ("de", "Das Infiltrat hat sich vollständig zurückgebildet."),
    ],
)
def test_a_sentence_of_which_nothing_remains_is_dropped_with_a_reason(lang, text):
    removal = comparison.remove(text, lang)
    assert removal.had and removal.text == "" and removal.reason == comparison.NOTHING_LEFT


@settings(deadline=None, max_examples=50)
@given(st.text(max_size=60), st.sampled_from(["en", "de"]))
def test_any_text_is_read(text, lang):
    removal = comparison.remove(text, lang)
    assert removal.had or removal.text == text


def test_the_spelling_changes_nothing():
    for lang, had, text in ROWS[::8]:
        for written in anatomy.SPELLINGS.values():
            assert comparison.remove(written(text), lang).had == had, text
