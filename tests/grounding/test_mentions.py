"""Tests of the whole finder: classes, negation and absence, on a table of sentences."""

import functools

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from big_rad.grounding import candidates, classes, exchanged_sides, mentions
from tests.helpers import anatomy

ROWS = list(anatomy.table())
# Only one side has a middle lobe, a lingula and an atrial appendage among the classes.
ONE_SIDE = ("iddle", "ittel", "ingula", "ML", "ppendage")


@functools.cache
def judgements():
    return [anatomy.found(text, lang) for lang, text, *_ in ROWS]


def wrong(kind, rows=ROWS):
    """The rows for which the finder says something else than the table, with both."""
    place = {"classes": 0, "negated": 1, "absent": 2}[kind]
    return [
        (text, found[place] ^ said[place])
        for (_, text, *said), found in zip(rows, judgements(), strict=True)
        if found[place] != said[place]
    ]


def test_the_table_is_as_large_as_it_should_be():
    assert min(sum(r[0] == lang for r in ROWS) for lang in ("en", "de")) >= 350
    named = {name for r in ROWS for name in r[2]}
    stems = {n.rsplit("_", 1)[0] if n.endswith(("left", "right")) else n for n in named}
    assert len(stems) >= 90


def test_the_classes_of_a_sentence_are_those_that_a_radiologist_would_want_a_mask_of():
    assert [text for text, _ in wrong("classes")] == []


def test_findings_are_negated_where_the_sentence_denies_them():
    assert wrong("negated") == []


def test_organs_are_absent_where_they_were_removed_or_never_were():
    assert wrong("absent") == []


@pytest.mark.parametrize("spelling", anatomy.SPELLINGS)
def test_the_spelling_of_a_sentence_changes_nothing(spelling):
    written = anatomy.SPELLINGS[spelling]
    assert [
        text
        for lang, text, *_ in ROWS
        if anatomy.judged(written(text), lang) != anatomy.judged(text, lang)
    ] == []


def test_left_and_right_exchanged_gives_exchanged_classes():
    for lang, text, *_ in ROWS[::2]:
        if any(word in text for word in ONE_SIDE):
            continue
        mirrored = [
            (tuple(sorted(candidates.mirrored(i) or i for i in ids)), *rest)
            for ids, *rest in anatomy.judged(text, lang)
        ]
        assert anatomy.judged(exchanged_sides.exchanged(text), lang) == mirrored, text


@settings(deadline=None)
@given(st.sampled_from(ROWS), st.data())
def test_an_appended_sentence_changes_nothing_before_it(row, data):
    lang, text, *_ = row
    assume(not text.endswith(("li.", "bds.")))  # Such a point need not end the sentence.
    more = data.draw(st.sampled_from([r[1] for r in ROWS if r[0] == lang]))
    before = anatomy.judged(text, lang)
    assert anatomy.judged(f"{text} {more}", lang)[: len(before)] == before


@settings(deadline=None)
@given(st.sampled_from(ROWS), st.sampled_from(sorted(anatomy.SPELLINGS)))
def test_places_are_those_of_the_text_as_it_is_written(row, spelling):
    lang, text, *_ = row
    text = anatomy.SPELLINGS[spelling](text)
    found = mentions.find(text, lang)
    assert all(text[m.start : m.end] == m.phrase and m.phrase.strip() for m in found)
    assert all(a.end <= b.start for a, b in zip(found, found[1:]))


@pytest.mark.parametrize(
    "lang, text",
    [
        ("en", "short axis view, axis deviation"),
        ("en", "Atlas view."),
        ("en", "thyroid cartilage, optic disc, heart rate, bladder catheter"),
        ("en", "From the skull base to the thighs."),
        ("en", "T1 and T2 weighted images, T2 hyperintense."),
        ("en", "Left renal artery, hepatic artery, pulmonary embolism, femoral nerve."),
        ("de", "Cor pulmonale, kleines Becken, Leberfleck, Herzschrittmacher, Herzfrequenz"),
        ("de", "Nebenmilz, Nierenarterie links, Lungenembolie, Hüft-TEP rechts"),
        ("de", "Harnleiter links, Magensonde, Leber-CT, Lungenfenster"),
    ],
)
def test_look_alikes_name_nothing(lang, text):
    assert [m for m in mentions.find(text, lang) if m.class_ids] == []


@pytest.mark.parametrize(
    "word, name",
    [
        ("Nebennierenmetastase links", "adrenal_gland_left"),
        ("Gallenblasenhydrops", "gallbladder"),
        ("Nierenbecken rechts", "kidney_right"),
        ("Wirbelkörperfraktur", "vertebrae"),
        ("Darmbeinschaufel links", "hip_left"),
        ("Milz-Infarkt", "spleen"),
    ],
)
def test_a_german_compound_names_the_organ_that_it_begins_with(word, name):
    (mention,) = mentions.find(word, "de")
    assert [classes.by_id(i).name for i in mention.class_ids] == [name]


@pytest.mark.parametrize(
    "lang, text, names",
    [
        ("de", "LWK 4/5", "L4 L5"),
        ("de", "BWK XII", "T12"),
        ("de", "HWK 3 bis 5", "C3 C4 C5"),
        ("de", "LWK 3, 4 und 5", "L3 L4 L5"),
        ("de", "4. und 5. Lendenwirbelkörper", "L4 L5"),
        ("de", "BWK 12 bis LWK 2", "T12 L1 L2"),
        ("de", "LWK4", "L4"),
        ("en", "T12 to L2", "T12 L1 L2"),
        ("en", "the third and fourth lumbar vertebrae", "L3 L4"),
        ("en", "C7/T1 facet", "C7 T1"),
        ("en", "L4, 5 mm retrolisthesis", "L4"),
        ("en", "T1 and T2", ""),
        ("en", "C9, L6, T13", ""),
    ],
)
def test_numbers_of_vertebrae_are_read_in_all_notations(lang, text, names):
    found, *_ = anatomy.found(text, lang)
    assert found == {f"vertebrae_{n}" for n in names.split()}
