import pytest
from hypothesis import given
from hypothesis import strategies as st

from big_rad.metrics import text

WORDS = st.lists(st.sampled_from(["liver", "Leber", "the", "a", "groß", "5", "cm", "."])).map(
    " ".join
)
TAG = "<p bbox=<loc0064><loc0128><loc0256><loc0384> id=<seg005>>"


# By hand, after SQuAD's definition: 2 x overlap / (words + words).
@pytest.mark.parametrize(
    "pred, ref, f1",
    [
        ("yes", "Yes.", 1.0),
        ("the liver", "liver", 1.0),
        ("left lung", "right lung", 0.5),
        ("lung lung", "lung", 2 / 3),
        ("an enlarged heart", "heart", 2 / 3),
        ("no", "yes", 0.0),
        ("", "", 1.0),
        ("", "yes", 0.0),
        ("yes", "", 0.0),
        ("the", "", 1.0),
        ("T2-weighted", "T2 weighted", 0.0),
        ("die Leber", "Leber", 2 / 3),
        ("Die Leber ist groß", "die leber ist GROSS", 0.75),
    ],
)
def test_f1_goldens(pred, ref, f1):
    assert text.f1(pred, ref) == pytest.approx(f1)


@pytest.mark.parametrize(
    "pred, ref, recall",
    [
        ("the left lung is clear", "left lung", 1.0),
        ("left", "left lung", 0.5),
        ("T2-weighted", "T2 weighted", 1.0),
        ("lung", "lung lung", 0.5),
        ("", "", 1.0),
        ("", "yes", 0.0),
        ("yes", "", 0.0),
    ],
)
def test_recall_goldens(pred, ref, recall):
    assert text.recall(pred, ref) == pytest.approx(recall)


@pytest.mark.parametrize(
    "pred, ref, accuracy",
    [
        ("Yes.", "yes", 1),
        ("T2-weighted ", "t2 weighted", 1),
        ("the liver", "liver", 0),
        ("Größe", "größe", 1),
        ("Größe", "Grosse", 0),
        ("1.2 cm", "1,2 cm", 1),
        ("", "...", 1),
        ("", "no", 0),
    ],
)
def test_accuracy_goldens(pred, ref, accuracy):
    assert text.accuracy(pred, ref) == accuracy


@given(WORDS, WORDS)
def test_f1_is_symmetric_and_in_range(a, b):
    assert 0 <= text.f1(a, b) <= 1
    assert text.f1(a, b) == text.f1(b, a)
    assert 0 <= text.recall(a, b) <= 1


@given(st.text(max_size=60))
def test_a_text_equals_itself(t):
    assert text.f1(t, t) == text.recall(t, t) == text.accuracy(t, t) == 1


@pytest.mark.parametrize("metric", [text.f1, text.recall, text.accuracy])
def test_markup_is_stripped_first(metric):
    assert metric(f"Die {TAG}Leber</p> ist groß", "die <seg>Leber</seg> ist groß") == 1
    assert metric("<seg>Leber", "Leber") == 1
