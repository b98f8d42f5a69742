import unicodedata

import numpy as np
import pytest
import sacrebleu
from hypothesis import given
from hypothesis import strategies as st
from pycocoevalcap.cider.cider import Cider
from rouge_score import rouge_scorer
from torchmetrics.functional.text import squad

from big_rad.metrics import text

WORDS = st.lists(st.sampled_from(["liver", "Leber", "the", "a", "groß", "5", "cm", "."])).map(
    " ".join
)
TAG = "<p bbox=<loc0064><loc0128><loc0256><loc0384> id=<seg005>>"


# By hand, with the definition of SQuAD: 2 x overlap / (words of one text + words of the other).
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


def test_what_f1_does_not_see():
    assert text.f1("A", "the") == text.f1("< 5 cm", "> 5 cm") == text.f1("4.5", "45") == 1


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
    assert text.accuracy(pred, ref) == text.accuracy_published(pred, ref) == accuracy


@pytest.mark.parametrize("pred, ref", [("不是", "是"), ("< 5 cm", "> 5 cm"), ("-5 HU", "5 HU")])
def test_other_answers_are_wrong_and_only_the_published_forms_call_them_right(pred, ref):
    assert text.accuracy(pred, ref) == 0 and text.recall(pred, ref) < 1
    assert text.accuracy_published(pred, ref) == text.recall_published(pred, ref) == 1
    assert text.accuracy(ref, ref) == text.recall(ref, ref) == 1


@pytest.mark.parametrize(
    "score",
    [
        text.f1, text.recall, text.accuracy, text.recall_published, text.accuracy_published,
        lambda p, r: text.bleu([p], [r], 1), lambda p, r: text.rouge_l([p], [r])[0],
        lambda p, r: text.cider([p, "x"], [r, "y"])[1][0] / 10,
    ],
)  # fmt: skip
def test_decomposed_umlauts_are_umlauts(score):
    reference = f"Die Größe der {TAG}Öffnung</p> ist übermäßig"
    assert score(unicodedata.normalize("NFD", reference), reference) == pytest.approx(1)


@given(WORDS, WORDS)
def test_f1_is_symmetric_and_in_range(a, b):
    assert 0 <= text.f1(a, b) <= 1
    assert text.f1(a, b) == text.f1(b, a)
    assert 0 <= text.recall(a, b) <= 1


@given(st.text(max_size=60))
def test_a_text_equals_itself(t):
    assert text.f1(t, t) == text.recall(t, t) == text.accuracy(t, t) == 1
    assert text.recall_published(t, t) == text.accuracy_published(t, t) == 1


@pytest.mark.parametrize(
    "metric",
    [text.f1, text.recall, text.accuracy, text.recall_published, text.accuracy_published],
)
def test_markup_is_stripped_first(metric):
    assert metric(f"Die {TAG}Leber</p> ist groß", "die <seg>Leber</seg> ist groß") == 1
    assert metric("<seg>Leber", "Leber") == 1


def sentences(n, seed=0):
    """Returns random pairs (prediction, reference), English and German, many nearly the same."""
    rng = np.random.default_rng(seed)
    words = (
        "the a an liver kidney left right is not enlarged without lesion , . cyst 1.2 cm (T2) "
        "die der Leber Niere linke rechte ist nicht vergrößert ohne Läsion Zyste groß Überall ß-"
    ).split()
    pairs = []
    for _ in range(n):
        ref = list(rng.choice(words, rng.integers(0, 14)))
        pred = [w if rng.random() < 0.75 else str(rng.choice(words)) for w in ref]
        pred = pred[: rng.integers(len(pred) + 1)] if rng.random() < 0.3 else pred
        if rng.random() < 0.3:
            pred = [w.upper() for w in pred] + ["Ende."]
        pairs.append((" ".join(pred), " ".join(ref)))
    return pairs


def test_f1_and_published_accuracy_equal_an_independent_squad_implementation_on_2000_pairs():
    pairs = sentences(2000)

    def theirs(pred, ref):
        answers = {"answer_start": [0], "text": [ref]}
        given = {"prediction_text": pred, "id": "0"}, {"answers": answers, "id": "0"}
        return float(squad(*given)["f1"]) / 100

    scores = [text.f1(p, r) for p, r in pairs]
    np.testing.assert_allclose(scores, [theirs(p, r) for p, r in pairs], atol=1e-6)
    assert 0.1 < np.mean(scores) < 0.9 and {0.0, 1.0} < set(scores)
    # Accuracy is compared with a version that keeps or drops one character at a time.
    kept = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789äöüÄÖÜß")

    def plain(x):
        return "".join(c if c in kept else " " for c in x).lower().split()

    exact = [text.accuracy_published(p, r) for p, r in pairs]
    assert exact == [float(plain(p) == plain(r)) for p, r in pairs]
    assert 0.02 < np.mean(exact) < 0.9


def test_cider_equals_pycocoevalcap_on_500_sentences():
    pairs = [(p or "x", r or "y") for p, r in sentences(500, seed=1)]
    preds, refs = zip(*pairs, strict=True)
    ids = range(len(pairs))
    mean, each = Cider().compute_score({i: [refs[i]] for i in ids}, {i: [preds[i]] for i in ids})
    got_mean, got = text.cider(preds, refs)
    np.testing.assert_allclose(got, each, rtol=0, atol=1e-9)
    assert got_mean == pytest.approx(mean, abs=1e-9) and 1 < mean < 9


def test_cider_depends_on_the_set_and_normalized_forgives_case_and_points():
    preds, refs = ["Die Leber ist groß.", "no lesion"], ["die Leber ist groß", "no lesion"]
    strict, forgiving = (text.cider(preds, refs, normalized=n)[1] for n in (False, True))
    assert strict[0] < 5 < forgiving[0] == pytest.approx(10)
    assert text.cider(preds[1:], refs[1:])[0] == 0  # In a set of one, no word is rare.
    tagged = [f"{TAG}Die Leber</p> ist groß.", "no lesion"]
    assert text.cider(tagged, refs)[1] == strict


def test_bleu_and_rouge_equal_their_libraries():
    preds, refs = zip(*sentences(200, seed=2), strict=True)
    for order in (1, 4):
        want = sacrebleu.BLEU(max_ngram_order=order).corpus_score(list(preds), [list(refs)])
        assert text.bleu(preds, refs, order) == pytest.approx(want.score / 100, abs=1e-12)
    ascii_only = [(p, r) for p, r in zip(preds, refs, strict=True) if (p + r).isascii()]
    scorer = rouge_scorer.RougeScorer(["rougeL"])
    want = [scorer.score(r, p)["rougeL"].fmeasure for p, r in ascii_only]
    assert len(want) > 20
    np.testing.assert_allclose(text.rouge_l(*zip(*ascii_only, strict=True))[1], want)


def test_bleu_and_rouge_by_hand():
    # 3 of 4 words and 2 of 3 pairs of words are right, and the lengths are equal: sqrt(3/4 x 2/3).
    preds, refs = ["the liver is large"], ["the liver is small"]
    assert text.bleu(preds, refs, 1) == pytest.approx(0.75)
    assert text.bleu(preds, refs, 2) == pytest.approx((3 / 4 * 2 / 3) ** 0.5)
    assert text.bleu([f"{TAG}the liver</p> is large"], refs, 1) == pytest.approx(0.75)
    # "Läsion" is one word. The common subsequence has 2 words, and the texts have 3 and 4.
    assert text.rouge_l(["keine Läsion sichtbar"], ["Keine Läsion ist da"])[0] == pytest.approx(
        4 / 7
    )


@pytest.mark.parametrize("metric", [text.cider, text.bleu, text.rouge_l])
@pytest.mark.parametrize("preds, refs", [([], []), (["x"], [])])
def test_sets_that_do_not_fit_are_an_error(metric, preds, refs):
    with pytest.raises(ValueError, match="references"):
        metric(preds, refs)
