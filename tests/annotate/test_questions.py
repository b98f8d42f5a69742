import collections
import re

import numpy as np
import pytest

from big_rad.annotate import question_table as table
from big_rad.annotate import question_terms, questions
from big_rad.annotate.questions import Image
from big_rad.datasets.phantom.body.slices import Facts, SeenLesion
from big_rad.datasets.phantom.words import lexicon, text
from big_rad.grounding import classes
from tests.helpers import imports

ORGANS = {
    (name, lang): c.id
    for c in classes.CLASSES
    if (organ := question_terms.organ(c.id))
    for lang, name in (("en", organ.en), ("de", organ.bare))
}
HOSTS = (5, 1, 7, 3, 2)  # Organs of the phantom that may have lesions.
ABDOMEN = (5, 1, 2, 3, 4, 6, 7, 52, 63, 20)


def slices(count=90):
    """{id: (facts of the phantom, image)} of slices with reports in both languages, not drawn."""
    made = {}
    for n in range(count):
        rng = np.random.default_rng(n)
        order = rng.permutation(ABDOMEN).tolist()
        shown, absent = sorted(order[:7], key=order.index), tuple(order[7:])
        sick = [c for c in HOSTS if c in shown][: int(rng.integers(3))]
        facts = Facts(
            ("CT", "MR")[n % 2], ("axial", "coronal", "sagittal")[n % 3], "abdomen",
            {c: 1.0 / k for k, c in enumerate(shown, start=2)}, absent,
            [SeenLesion(c, bool(c % 2), "") for c in sick],
        )  # fmt: skip
        reports = text.reports(facts, rng, lexicon.SPOKEN)
        for k, (en, de) in enumerate(zip(reports[::2], reports[1::2])):
            sentences = {"en": en["sentence"], "de": de["sentence"]}
            part = facts.region if n % 4 else "Kopf"
            made[f"{n}-{k}"] = (
                facts,
                Image(f"{n}-{k}", facts.modality, facts.plane, part, sentences, shown),
            )
    return made


@pytest.fixture(scope="module")
def made():
    return slices()


@pytest.fixture(scope="module")
def asked(made):
    return questions.ask([image for _, image in made.values()])


def every(asked, lang="en"):
    return [(i, q) for i, some in asked.questions.items() for q in some if q.lang == lang]


def kind(question):
    return question.template.split(".")[1]


def named(question):
    """The class that an English question names."""
    found = [n for n, lang in ORGANS if lang == "en" and re.search(rf"\b{n}\b", question.question)]
    return ORGANS[max(found, key=len), "en"] if found else None


def test_answers_are_those_of_the_phantom(made, asked):
    seen = collections.Counter()
    for i, q in every(asked):
        facts = made[i][0]
        hosts = {lesion.host for lesion in facts.lesions}
        truth = {
            "has": named(q) in hosts,
            "normal": named(q) not in hosts,
            "shown": named(q) in facts.shown,
            "modality": table.WORDS["modality"]["en"][facts.modality] in q.question,
            "plane": facts.plane in q.question,
        }
        if q.question_type == "yesno" and kind(q) in truth:
            assert q.answer == ("yes" if truth[kind(q)] else "no"), q
        if kind(q) == "organ":
            assert ORGANS[q.answer, "en"] in hosts
        if kind(q) == "side" and q.question_type != "yesno":
            sides = {"left": {3}, "right": {2}, "both sides": {2, 3}}
            assert sides[q.answer] <= hosts
        if kind(q) == "which":
            assert [ORGANS[c, "en"] in facts.shown for c in q.choices].count(True) == 1
            assert ORGANS[q.answer, "en"] in facts.shown
        seen[kind(q)] += 1
    assert set(seen) == set(table.OPEN) | set(table.YESNO)


def test_yes_and_no_are_equally_frequent_for_each_wording_and_subject(asked):
    counts = collections.defaultdict(collections.Counter)
    for lang in questions.LANGS:
        for _, q in every(asked, lang):
            if q.question_type == "yesno":
                counts[q.template, lang][q.answer] += 1
                counts[q.question, lang][q.answer] += kind(q) == "shown"
    for (what, lang), answers in counts.items():
        no, yes = table.NO_YES[lang]
        assert answers[no] == answers[yes], what
    assert len(counts) > 20 and sum(asked.left_out.values()) > 0


def test_three_questions_from_metadata_and_several_from_the_finding(asked):
    for some in asked.questions.values():
        sources = collections.Counter(q.source for q in some if q.lang == "de")
        assert sources["metadata"] == 3 and 1 <= sources["finding"] <= 5
    forms = {q.question_type for _, q in every(asked)}
    assert forms == {"open", "yesno", "multiple"}
    assert {q.source for _, q in every(asked) if kind(q) in table.WORDS} == {"metadata", "finding"}


def test_both_languages_ask_the_same(asked):
    for some in asked.questions.values():
        for en, de in zip(some[::2], some[1::2], strict=True):
            assert (en.lang, de.lang, en.template) == ("en", "de", de.template)
            assert len(en.choices) == len(de.choices)
            if en.choices:
                assert en.choices.index(en.answer) == de.choices.index(de.answer)
            if en.question_type == "yesno":
                assert table.NO_YES["en"].index(en.answer) == table.NO_YES["de"].index(de.answer)


def test_choices_differ_hold_the_answer_and_have_no_fixed_order(asked):
    places = collections.Counter()
    for lang in questions.LANGS:
        for _, q in every(asked, lang):
            assert bool(q.choices) == (q.question_type == "multiple")
            if q.choices:
                assert len(set(q.choices)) == len(q.choices) and q.choices.count(q.answer) == 1
                places[q.choices.index(q.answer)] += 1
    assert len(places) == 4 and max(places.values()) < 2 * min(places.values())


def test_organs_that_are_denied_are_near_and_neither_shown_nor_mentioned(made, asked):
    for i, q in every(asked):
        choices = q.choices if kind(q) in ("organ", "which") else ()
        wrong = [ORGANS[c, "en"] for c in choices if c != q.answer]
        if kind(q) == "shown" and q.answer == "no":
            wrong = [named(q)]
        for organ in wrong:
            assert organ not in made[i][1].shown
            assert classes.by_id(organ).en not in made[i][1].sentences["en"]
            assert organ in question_terms.near(made[i][1].shown, ())
            assert organ in question_terms.of_modality(made[i][0].modality)


def test_the_order_of_images_changes_nothing_and_the_seed_does(made):
    images = [image for _, image in made.values()][:40]
    some = questions.ask(images).questions
    assert questions.ask(images[::-1]).questions == some
    assert questions.ask(images, seed=1).questions != some


def one(**kw):
    """The English questions about an image, without yes/no questions, which one image cannot
    balance."""
    return [q for _, q in every(questions.ask([Image("a", **kw)]))]


def test_one_image_has_no_yes_or_no_but_keeps_three_questions_from_metadata():
    for name in "abcdefgh":
        image = Image(name, "CT", "axial", "CHESTABDOMEN")
        found = questions.ask([image]).questions[name][::2]
        assert [q.source for q in found] == ["metadata"] * 3
        assert "yesno" not in {q.question_type for q in found}
        assert {q.answer for q in found if kind(q) == "region"} == {"chest and abdomen"}
        found = questions.ask([Image(name, "CT")]).questions[name][::2]
        assert len({(q.question, q.choices) for q in found}) == 3


def test_what_metadata_do_not_say_is_counted_and_not_asked():
    asked = questions.ask([Image("a", "OT", "", "Protocol 7"), Image("b", "CT", "axial", "Thorax")])
    assert asked.questions["a"] == []
    assert asked.unknown == {"modality": 1, "plane": 1, "region": 1, "finding": 2}
    empty = Image("c", body_part=None, sentences={"en": None, "de": " "})
    assert questions.ask([empty]).questions == {"c": []}


def test_sides_are_asked_of_pairs_only():
    found = one(modality="CT", sentences={"de": "Zyste in der linken Niere."})
    (side,) = [q for q in found if kind(q) == "side"]
    assert side.answer == "left" and "kidney" in side.question
    found = one(modality="CT", sentences={"en": "Cysts in both kidneys."})
    assert {q.answer for q in found if kind(q) == "side"} == {"both sides"}
    for sentence in ("Cyst in the liver.", "Fracture of the left 5th rib.", "Mittellappen."):
        assert not [q for q in one(sentences={"en": sentence}) if kind(q) == "side"]


def test_an_organ_that_the_label_map_lacks_is_not_asked_about():
    sentences = {"en": "Cyst in the liver."}
    assert one(modality="CT", sentences=sentences)
    found = one(modality="CT", sentences=sentences, shown=[1, 2, 3])
    assert not [q for q in found if "liver" in q.question + q.answer + str(q.choices)]
    # A map of an MR has no lobes, and one of a CT no whole lungs.
    lobe = {"en": "Nodule in the left upper lobe."}
    assert [q for q in one(modality="MR", sentences=lobe, shown=[118]) if kind(q) == "finding"]
    assert not [q for q in one(modality="MR", sentences=lobe, shown=[119]) if kind(q) == "finding"]


def test_a_removed_organ_is_not_visible_and_a_denied_finding_leaves_its_organ():
    images = [Image(f"r{n}", "CT", sentences={"de": "Z. n. Splenektomie."}) for n in range(8)]
    images += [
        Image(f"d{n}", "CT", sentences={"en": "No cyst in the spleen."}, shown=[1, 5])
        for n in range(30)
    ]
    asked = questions.ask(images)
    about = [(i[0], q) for i, q in every(asked) if kind(q) == "shown" and "spleen" in q.question]
    assert {(i, q.answer) for i, q in about} == {("r", "no"), ("d", "yes")}


def test_the_fields_of_a_row_are_those_of_the_published_format(asked):
    some = next(iter(asked.questions.values()))
    row = questions.columns(some, "de")
    assert list(row) == ["dicom_vqa", "snippet_vqa"]
    assert len(row["dicom_vqa"]) == 3
    assert sum(map(len, row.values())) == len(some) / 2
    for pair in row["dicom_vqa"] + row["snippet_vqa"]:
        assert list(pair) == ["question", "answer", "question_type", "choices"]
        assert (pair["choices"] is None) == (pair["question_type"] != "multiple")


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([Image("a"), Image("a")], "image 'a' occurs twice"),
        ([Image("a", sentences={"fr": "Foie."})], "no rules for the language 'fr'"),
        ([Image("a", shown=[0, 5, 122])], "image 'a': shown has class id 122"),
    ],
)
def test_impossible_images_are_errors(images, message):
    with pytest.raises(ValueError, match=message):
        questions.ask(images)


def test_names_of_organs_differ_and_every_level_has_some():
    organs = [o for c in classes.CLASSES if (o := question_terms.organ(c.id))]
    assert len(organs) > 110
    assert len({o.en for o in organs}) == len({o.bare for o in organs}) == len(organs)
    for _, row in table.LEVELS:
        for name in row.split():
            assert any(c.name in (name, f"{name}_left", f"{name}_right") for c in classes.CLASSES)


def test_questions_import_no_jax_and_no_model():
    found = imports.along_with("big_rad.annotate.questions")
    assert not [m for m in found if m.split(".")[0] in ("jax", "flax", "tensorflow")]
    assert not [m for m in found if m.startswith(("big_rad.models", "big_rad.inference"))]
