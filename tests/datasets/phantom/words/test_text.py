import re

import numpy as np
import pytest

from big_rad.datasets.phantom import builder
from big_rad.datasets.phantom.body import slices
from big_rad.datasets.phantom.body.anatomy import DEMO_CLASSES
from big_rad.datasets.phantom.words import corpus, lexicon, text
from big_rad.grounding import classes

NEGATIVE = re.compile(r"not\b|\bno\b|neither|outside|nicht|\bkein|\bweder\b|außerhalb", re.I)


def whole_word(phrase, sentence):
    return re.search(rf"(?<!\w){re.escape(phrase)}(?!\w)", sentence) is not None


@pytest.fixture(scope="module", params=["demo", "full"])
def written(request):
    """[(slice, its texts)] for 120 slices."""
    demo = request.param == "demo"
    spoken = DEMO_CLASSES if demo else builder.FULL_CLASSES
    out = []
    for number in range(120):
        piece = slices.make_slices(8, number, 1, 56, spoken, demo)[0]
        out.append((piece, builder.texts_of(piece, 8, number, 0, demo)))
    return out


def test_every_keyword_is_a_whole_word_of_its_sentence_and_in_the_label_map(written):
    count = 0
    for piece, texts in written:
        for t in texts:
            for phrase, label in t.get("keywords", []):
                assert whole_word(phrase, t.get("sentence") or t["answer"])
                assert (piece.segmap == label).any()
                count += 1
    assert count > 1000


def test_organs_that_are_not_shown_are_never_keywords(written):
    for piece, texts in written:
        for t in texts:
            for _, label in t.get("keywords", []):
                assert label in piece.facts.shown


def test_reports_that_name_an_absent_organ_say_so(written):
    for piece, texts in written:
        for t in texts:
            if t["task"] == "report":
                named = {
                    c
                    for c in lexicon.SPOKEN
                    for v in range(lexicon.variants(c))
                    for f in lexicon.organ(c, v).forms(t["lang"])
                    if whole_word(f, t["sentence"])
                }
                if named - set(piece.facts.shown):
                    assert NEGATIVE.search(t["sentence"])


def test_about_a_tenth_of_the_subjects_are_absent(written):
    status = [t for _, texts in written for t in texts if t["template"].startswith("status")]
    share = np.mean([t["template"].endswith("absent") for t in status])
    assert 0.04 < share < 0.2


def test_english_and_german_alternate_and_say_the_same(written):
    for _, texts in written:
        for en, de in zip(texts[::2], texts[1::2], strict=True):
            assert (en["lang"], de["lang"]) == ("en", "de")
            assert en["task"] == de["task"] and en["template"] == de["template"]
            if en["task"] == "vqa":
                assert en["question_type"] == de["question_type"]
                assert len(en["choices"]) == len(de["choices"])
                if en["choices"]:
                    assert en["choices"].index(en["answer"]) == de["choices"].index(de["answer"])
                if en["question_type"] == "yesno":
                    assert (en["answer"] == "yes") == (de["answer"] == "ja")
            else:
                assert [k[1] for k in en["keywords"]] == [k[1] for k in de["keywords"]]


@pytest.mark.parametrize("prompt", ["clinical", "question"])
def test_a_report_follows_from_either_prompt_and_the_image(written, prompt):
    for _, texts in written:
        answers = {}
        for t in texts:
            if t["task"] == "report":
                key = (t["lang"], t[prompt])
                assert answers.setdefault(key, t["sentence"]) == t["sentence"]


def test_different_wordings_of_a_prompt_are_different():
    for table in (text.STATUS, text.PAIR, text.LARGEST, text.SEARCH):
        for lang in text.LANGS:
            for column in (0, 1):
                assert len({row[column] for row in table[lang]}) == len(table[lang])
                everywhere = [
                    row[column]
                    for other in (text.STATUS, text.PAIR, text.LARGEST, text.SEARCH)
                    for row in other[lang]
                ]
                assert len(set(everywhere)) == len(everywhere)


def test_at_least_25_sentence_templates_a_language():
    for lang in text.LANGS:
        sentences = [
            s for table in (text.STATUS, text.PAIR, text.SEARCH) for r in table[lang] for s in r[2:]
        ]
        assert len(set(sentences)) >= 25


def test_sentences_are_short(written):
    for _, texts in written:
        for t in texts:
            assert len((t.get("sentence") or t["answer"]).split()) <= 25
            assert len(t["question"].split()) <= 25


def test_the_class_table_knows_every_phrase():
    for c in lexicon.SPOKEN:
        for v in range(lexicon.variants(c)):
            for lang in text.LANGS:
                for form in lexicon.organ(c, v).forms(lang):
                    assert classes.lookup(form, lang).id == c, form


def test_german_articles_and_endings():
    femur, kidney, hip = (lexicon.organ(c) for c in (75, 2, 77))
    assert (femur.nom, femur.acc, femur.into) == (
        "der linke Femur",
        "den linken Femur",
        "im linken Femur",
    )
    assert (kidney.Nom, kidney.into, kidney.none) == (
        "Die rechte Niere",
        "in der rechten Niere",
        "keine rechte Niere",
    )
    assert (hip.acc, hip.bare, hip.dat) == (
        "das linke Hüftbein",
        "linkes Hüftbein",
        "dem linken Hüftbein",
    )


def test_the_largest_organs_are_named_only_where_their_order_is_clear():
    def facts(*shares):
        return slices.Facts("CT", "axial", "chest", dict(enumerate(shares, 1)), ())

    assert text.largest(facts(0.5, 0.3, 0.1, 0.05)) == [1, 2, 3]
    assert text.largest(facts(0.5, 0.3, 0.29)) == [1]
    assert text.largest(facts(0.3, 0.29)) is None
    assert text.largest(facts()) == []


def test_the_corpus_covers_what_is_written(written):
    def words(lines):
        return set(re.findall(r"\w+", " ".join(lines)))

    known = words(corpus.lines())
    for _, texts in written:
        for t in texts:
            lines = [t["question"], t.get("answer", ""), t.get("sentence", "")]
            lines += [t.get("clinical", ""), *t.get("choices", [])]
            assert words(lines) <= known


def test_the_corpus_is_deterministic():
    assert corpus.lines() == corpus.lines()
