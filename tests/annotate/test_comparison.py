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
        ("de", "Verglichen mit 05/2022 zunehmende Hirnatrophie.", "Hirnatrophie."),
        ("de", "Kardiomegalie, zum Voraufnahmezeitpunkt weniger ausgeprägt.", "Kardiomegalie."),
        (
            *("de", "Im Verlauf zum PET-CT vom 22.11.2021 Regredienz der Lungenmetastasen links."),
            "Lungenmetastasen links.",
        ),
        (
            *("de", "Lymphknoten mediastinal bis 12 mm (vorher 8 mm)."),
            "Lymphknoten mediastinal bis 12 mm.",
        ),
        ("de", "Keine Metastasen mehr nachweisbar.", "Keine Metastasen nachweisbar."),
        # A list of organs is no list of clauses.
        (
            *("en", "The lesions in the cerebellum and pons show no change since last year."),
            "The lesions in the cerebellum and pons.",
        ),
        # What was so then is not so now.
        ("en", "A formerly patent portal vein is occluded.", "A portal vein is occluded."),
        ("en", "The right kidney, formerly dilated, is slim.", "The right kidney is slim."),
        (
            *("en", "Tracheal narrowing, width 7 mm as opposed to 10 mm in the last study."),
            "Tracheal narrowing, width 7 mm.",
        ),
        ("en", "The aneurysm has grown (5.1 cm, previously 4.7 cm).", "The aneurysm (5.1 cm)."),
        ("en", "Axillary nodes remain prominent.", "Axillary nodes are prominent."),
        ("en", "Spleen smaller than on the previous scan, now 12 cm.", "Spleen, 12 cm."),
        (
            *("de", "Der Rundherd hat seit der letzten CT von 8 auf 12 mm zugenommen."),
            "Der Rundherd misst 12 mm.",
        ),
        (
            *("de", "Hygrom links, heute 6 mm breit, im Vor-CT 11 mm."),
            "Hygrom links, 6 mm breit.",
        ),
        # The A. is an artery, not an article.
        (
            *("de", "Zunahme der Aufweitung der linken A. iliaca: 22 mm, am 5.1. noch 19 mm."),
            "Aufweitung der linken A. iliaca: 22 mm.",
        ),
        ("de", "Persistenz der kleinen Blutung rechts.", "Kleine Blutung rechts."),
        ("de", "Keine Größenzunahme der bekannten Lymphknoten.", "Bekannte Lymphknoten."),
        ("de", "Die Herde sind zunehmend sklerosiert.", "Die Herde sind sklerosiert."),
        # Several respects are one comparison.
        ("de", "Lebermetastasen in Zahl und Größe konstant.", "Lebermetastasen."),
        (
            *("de", "Metastasen in Größe und Anzahl konstant, neu aufgetretener Nierenherd."),
            "Metastasen, Nierenherd.",
        ),
        ("de", "Nierenzyste in Form und Kontur unverändert.", "Nierenzyste."),
        ("en", "The renal cyst is stable in size and contour.", "The renal cyst."),
        ("en", "Liver stable in number and size of lesions.", "Liver with lesions."),
        (
            *("en", "The cyst is stable in size and shows no wall thickening."),
            "The cyst shows no wall thickening.",
        ),
        ("de", "Die Zyste ist konstant und zeigt Septen.", "Die Zyste zeigt Septen."),
        ("de", "Lymphknoten größen- und zahlkonstant.", "Lymphknoten."),
        # What is seen now stays, with its unit.
        (
            *("de", "Milz mit 15 cm vergrößert, zur VU vom 12.03.2020 unverändert."),
            "Milz mit 15 cm vergrößert.",
        ),
        ("de", "Prostata mit 60 ml vergrößert, zur VU konstant.", "Prostata mit 60 ml vergrößert."),
        ("de", "Herd von 8 auf 12 mm vergrößert.", "Herd 12 mm."),
        (
            *("en", "Minimal decrease in the left adrenal mass (2.1 vs 2.4 cm)."),
            "The left adrenal mass (2.1 cm).",
        ),
        (
            *("de", "Geringe Abnahme der Raumforderung der linken Nebenniere (2,1 vs. 2,4 cm)."),
            "Raumforderung der linken Nebenniere (2,1 cm).",
        ),
        ("en", "The mass has grown (2.4 cm vs. 2.1 cm).", "The mass (2.4 cm)."),
        ("en", "Lesion in the liver 2.4 cm vs. 2.1 cm.", "Lesion in the liver 2.4 cm."),
        ("de", "Leberherd von 2,4 cm (3/2020) auf 3,1 cm progredient.", "Leberherd 3,1 cm."),
        (
            *("en", "The size of the nodule in the lung has increased from 4 to 6 mm."),
            "The size of the nodule in the lung is 6 mm.",
        ),
        ("de", "Aortenaneurysma, aktuell 4,2 cm, vormals 3,9 cm.", "Aortenaneurysma, 4,2 cm."),
        # The article suits the word that now follows.
        ("en", "In the lung there is a new 8 mm nodule.", "In the lung there is an 8 mm nodule."),
        ("en", "A new 11 mm nodule.", "An 11 mm nodule."),
        ("en", "A stable aneurysm of the aorta.", "An aneurysm of the aorta."),
        ("en", "An unchanged nodule and a new ulcer.", "A nodule and an ulcer."),
        ("en", "An increased hydronephrosis.", "A hydronephrosis."),
        ("en", "An unchanged unilateral effusion.", "A unilateral effusion."),
        # No half clause and no stray comma.
        (
            *("en", "The right nodule is unchanged, while that in the left lung has grown."),
            "The right nodule.",
        ),
        ("en", "The right nodule has grown, whereas the left is unchanged.", "The right nodule."),
        (
            *("de", "Der Herd rechts ist konstant, während der im linken Lappen gewachsen ist."),
            "Der Herd rechts.",
        ),
        (
            *("en", "Fracture of L1, unchanged, and new fracture of T12."),
            "Fracture of L1 and fracture of T12.",
        ),
        ("de", "Der Leberherd, zuvor 2 cm, misst nun 3 cm.", "Der Leberherd misst 3 cm."),
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
        ("en", "The opacities in both lungs have largely faded, leaving fine reticulation."),
        ("en", "Abscess has recurred after drainage; on the last scan it had been empty."),
        ("en", "Prior CT 03/2022: liver lesion 22 mm, today 30 mm."),
        ("en", "No interval development of hydrocephalus."),
        ("de", "Eine Größenprogredienz der Läsionen in BWK 6 und BWK 8 besteht nicht."),
        ("de", "Voruntersuchung: CT Thorax vom 08.11.2022."),
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
