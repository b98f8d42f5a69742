"""Tests that the marked side is the side that the text names, with two tables of sentences."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from big_rad.grounding import candidates, classes, exchanged_sides, mentions, phrases
from tests.helpers import sided

ROWS = [(name, *row) for name in sided.TABLES for row in sided.table(name)]
# Parts of sentences that cannot be mirrored by exchanging "left" and "right": in some, the word is
# not a side, and only one side has a middle lobe or a lingula.
NO_MIRROR = (
    "residual", "fluid left", "left the scanner", "right at", "was left", "iddle", "ittellappen",
    "ingula",
)  # fmt: skip


def names(text, lang):
    return sorted({classes.by_id(c).name for _, c in phrases.find(text, lang)})


@pytest.mark.parametrize("table, lang, text, wanted", ROWS)
def test_a_phrase_has_the_side_that_its_clause_names(table, lang, text, wanted):
    assert names(text, lang) == wanted


def test_the_tables_are_as_large_as_they_should_be():
    counts = {t: len({r[1:3] for r in ROWS if r[0] == t}) for t in sided.TABLES}
    assert all(n >= 60 for n in counts.values()) and sum(counts.values()) >= 120
    assert {lang for _, lang, *_ in ROWS} == {"en", "de"}


@pytest.mark.parametrize(
    "lang, text",
    [(lang, text) for _, lang, text, _ in ROWS if not any(w in text for w in NO_MIRROR)],
)
def test_left_and_right_exchanged_gives_exchanged_classes(lang, text):
    other = [candidates.mirrored(c) or c for _, c in phrases.find(text, lang)]
    swapped = exchanged_sides.exchanged(text)
    assert sorted(c for _, c in phrases.find(swapped, lang)) == sorted(other)


PAIRED = [c for c in classes.CLASSES if candidates.mirrored(c.id)]
FRAMES = {
    "en": ("Lesion in the {}.", "On the {1}, lesion of the {0}.", "The {0} is large, {1}.",
           "{0} ({1}) normal.", "{1}-sided lesion with oedema of the {0}."),
    "de": ("{1} zeigt sich ein Herd, auch: {0}.", "{0}, {1}.", "{0} ({1}) unauffällig.",
           "{1} ist {0} vergrößert."),
}  # fmt: skip


@given(
    st.lists(st.sampled_from([r for r in ROWS if not any(w in r[2] for w in NO_MIRROR)]),
             min_size=1, max_size=4),
)  # fmt: skip
def test_sentences_of_a_report_do_not_change_each_others_sides(rows):
    lang = rows[0][1]
    texts = [text for _, its, text, _ in rows if its == lang]
    together = {classes.by_id(c).name for _, c in phrases.find("\n\n".join(texts), lang)}
    assert together == {n for text in texts for n in names(text, lang)}


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("lang", ["en", "de"])
def test_a_side_apart_from_its_noun_is_that_of_every_paired_organ(lang, side):
    word = {"en": {"left": "left", "right": "right"}, "de": {"left": "links", "right": "rechts"}}
    word = word[lang][side]
    for frame in FRAMES[lang][1:]:
        for c in PAIRED:
            bare = getattr(c, lang).split(" ", 1)[1]
            if c.name.split("_")[-1] != side or "rib" in c.name or "link" in bare:
                continue
            text = frame.format(bare, word)
            assert c.name in names(text, lang), text
            assert classes.by_id(candidates.mirrored(c.id)).name not in names(text, lang), text


@pytest.mark.parametrize(
    "lang, text, places",
    [
        (
            *("de", "Rechts im Unterlappen ein Rundherd, links ist der Unterlappen frei."),
            [
                ("Unterlappen", ("lung_lower_lobe_right",)),
                ("Unterlappen", ("lung_lower_lobe_left",)),
            ],
        ),
        (
            *("en", "The left kidney is small. The kidney on the right is large. No other kidney."),
            [("left kidney", ("kidney_left",)), ("kidney on the right", ("kidney_right",)),
             ("kidney", ())],
        ),
        ("de", "Lunge frei.", [("Lunge", ("lung_left", "lung_right"))]),
    ],
)  # fmt: skip
def test_mentions_have_their_place(lang, text, places):
    found = mentions.find(text, lang)
    said = [(m.phrase, tuple(classes.by_id(i).name for i in m.class_ids)) for m in found]
    assert [(p, tuple(sorted(n))) for p, n in said] == places
    assert all(text[m.start : m.end] == m.phrase for m in found)
    assert [m.start for m in found] == sorted(m.start for m in found)
    assert all(set(m.class_ids) <= set(m.possible_ids) for m in found)


@pytest.mark.parametrize(
    "lang, text, phrases_",
    [
        ("en", "Fracture of the right 7th and 8th ribs.", ["right 7th", "8th ribs"]),
        ("de", "Frakturen der 5.-7. Rippe links.", ["5.-7. Rippe links"]),
        ("en", "The left and right kidneys.", ["left", "right kidneys"]),
        ("de", "Im rechten Ober- und Unterlappen.", ["rechten Ober", "Unterlappen"]),
    ],
)
def test_what_a_coordination_leaves_out_is_a_phrase_of_its_own(lang, text, phrases_):
    assert list(dict.fromkeys(p for p, _ in phrases.find(text, lang))) == phrases_


@given(st.text(max_size=80), st.sampled_from(["en", "de"]))
def test_mentions_of_any_text_do_not_overlap(text, lang):
    found = mentions.find(text, lang)
    assert all(a.end <= b.start for a, b in zip(found, found[1:]))


WORDS = (
    "left right links rechts li re und and , . ; ( ) der die im in Niere Nieren kidney lobes upper "
    "lower Ober- Unterlappen Rippe 7. 8 5-7 ribs both beide > than als ist is Lunge lung with"
).split()


@given(st.lists(st.sampled_from(WORDS), max_size=25).map(" ".join), st.sampled_from(["en", "de"]))
def test_word_salad_is_read_and_mentions_stand_in_it(text, lang):
    found = mentions.find(text, lang)
    assert all(a.end <= b.start for a, b in zip(found, found[1:]))
    assert all(text[m.start : m.end] == m.phrase and m.phrase.strip() for m in found)


@pytest.mark.parametrize(
    ("lang", "text"),
    [
        *(
            ("de", f"Nieren{part}")
            for part in ("parenchym", "gewebe", "wand", "rand", "kontur", "region", "knochen")
        ),
        *(
            (lang, f"{noun} {part}")
            for part in ("parenchyma", "tissue", "wall", "margin", "contour", "bone", "muscle")
            for lang, noun in (("en", "kidney"), ("de", "Niere"))
        ),
    ],
)
def test_a_part_of_an_organ_is_no_plural(lang, text):
    (mention,) = mentions.find(text, lang)
    assert mention.possible_ids == (2, 3)
    assert mention.class_ids == () and not mention.several_organs
