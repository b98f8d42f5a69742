import pytest

from big_rad.annotate import comparison, sentences
from big_rad.annotate.deidentify import identifiers, texts

NOBODY = texts.Scrubber(identifiers.Identifiers())


def of(report, lang="de", scrubber=NOBODY):
    return sentences.of_report(report, lang, scrubber)


@pytest.mark.parametrize(
    "text, rest, series, images",
    [
        ("Zyste in der Leber (Serie 4, Bild 57/120).", "Zyste in der Leber.", "4", (57,)),
        ("Cyst in the liver (series 4 image 57).", "Cyst in the liver.", "4", (57,)),
        ("Se. 4, IMA 57: Zyste.", "Zyste.", "4", (57,)),
        ("Rundherd links, Bild 57-61.", "Rundherd links.", "", (59,)),
        ("See series 3, images 12 and 15: cyst.", "Cyst.", "3", (12, 15)),
        ("Zyste von 5 mm (S. 4 Bild 12).", "Zyste von 5 mm.", "4", (12,)),
        ("Bild 57 der Serie 4 zeigt eine Zyste.", "Eine Zyste.", "4", (57,)),
        ("Noduli (Se 3/45) im Unterlappen", "Noduli im Unterlappen", "3", (45,)),
        ("Cyst (5 mm, image 7) in the liver.", "Cyst (5 mm) in the liver.", "", (7,)),
        ("Auf Bild 12 zeigt sich eine Zyste.", "Eine Zyste.", "", (12,)),
        ("in segment 4, image 30 (series 2).", "in segment 4.", "2", (30,)),
        ("(Se 4 / Im 57) Zyste.", "Zyste.", "4", (57,)),
        ("Serie 2 Bild 3 und Serie 4 Bild 5: Zyste.", "Zyste.", "several", ()),
        ("Zyste (series/image 4/57).", "Zyste.", "4", (57,)),
        ("Zyste (Series: 4, Image: 57).", "Zyste.", "4", (57,)),
        ("Zyste (Bild-Nr. 57).", "Zyste.", "", (57,)),
        ("Zyste, Bild 57, Größe 3 cm.", "Zyste, Größe 3 cm.", "", (57,)),
        ("Cyst (image 12 of 80).", "Cyst.", "", (12,)),
        ("Zyste (Bild 57 ff.).", "Zyste.", "", (57,)),
        ("In series 5 the spleen is normal.", "The spleen is normal.", "5", ()),
    ],
)  # fmt: skip
def test_references_to_images_leave_the_sentence(text, rest, series, images):
    assert sentences.reference(text) == (rest, series, images)


@pytest.mark.parametrize(
    "text",
    ["Im 4. Segment der Leber", "Image quality is good.", "images 5 cm apart", "Im 3 cm Abstand",
     "Sl 4 mm", "An image 12 mm nodule", "Wirbel S1", "Im 5 mm dicken Schichtbild", "L4/5 frei",
     "T2 SE 3/4 Sequenz", "4. Rippe rechts", "Größe 3/4 cm", "3 series of images",
     "Serie von Bildern"],
)  # fmt: skip
def test_what_only_looks_like_a_reference_stays(text):
    assert sentences.reference(text) == (text, "", ()) or "SE 3/4" in text


def test_a_reference_behind_a_full_stop_belongs_to_the_sentence_before_it():
    made = of("Befund: Leber o. B. (Serie 4, Bild 57) Zyste in der linken Niere. (Bild 12)\n"
              "(Bild 3) Milz frei.")  # fmt: skip
    assert [(s.text, s.series, s.images) for s in made.sentences] == [
        ("Leber o. B.", "4", (57,)), ("Zyste in der linken Niere.", "", (12,)),
        ("Milz frei.", "", (3,)),
    ]  # fmt: skip


def test_the_reference_at_the_end_survives_the_comparison_and_that_of_the_prior_does_not():
    made = of("Findings: Hepatic cyst, 12 mm, previously 5 mm (image 41/60). Spleen unchanged "
              "compared with the prior study (series 2, image 5 of the prior).", "en")  # fmt: skip
    assert made.sentences[0].text == "Hepatic cyst, 12 mm." and made.sentences[0].images == (41,)
    assert made.sentences[0].rewritten
    assert all(5 not in s.images for s in made.sentences[1:])


def test_every_sentence_is_used_or_counted_with_its_reason():
    made = of(
        "Sehr geehrte Frau Kollegin,\nKlinische Angaben: Schmerz.\nFragestellung: Stein?\n"
        "Technik: CT nativ.\nBefund: Leber frei. Z. n. Splenektomie. Bitte um Kontrolle. "
        "Unverändert zur VU. Niere frei.\nBeurteilung: Keine Metastase der Leber."
    )
    assert [s.text for s in made.sentences] == ["Leber frei.", "Keine Metastase der Leber."]
    assert made.clinical == "Schmerz." and made.indication == "Stein?"
    assert made.dropped == {
        "is in the section 'letter'": 1, "is in the section 'technique'": 1,
        "names only an organ that was removed": 1, "names no anatomy": 1,
        "nothing remains without the comparison": 1,
        "names no organ of a known side, or too many organs": 1,
    }  # fmt: skip
    assert [s.number for s in made.sentences] == [1, 6]


def test_a_sentence_with_an_identifier_is_left_out_and_the_context_is_blacked_out():
    known = identifiers.Identifiers(names=frozenset({"Müller-Lüdenscheidt^Erika"}))
    made = of(
        "Klinische Angaben: Frau Müller-Lüdenscheidt klagt über Schmerzen.\n"
        "Befund: Die Leber von Frau Mueller ist frei. Milz frei.",
        scrubber=texts.Scrubber(known),
    )
    assert [s.text for s in made.sentences] == ["Milz frei."]
    assert made.dropped == {sentences.IDENTIFIER: 1}
    assert "ller" not in made.clinical and "[name]" in made.clinical
    assert sum(made.removed.values()) == 2


def test_a_sentence_of_the_manifest_is_treated_like_one_of_a_report():
    made = sentences.of_sentence("Zyste in der linken Niere, neu (Bild 7).", "de", NOBODY)
    (one,) = made.sentences
    assert one.images == (7,) and one.rewritten and "neu" not in one.text
    gone = sentences.of_sentence("Unverändert.", "de", NOBODY)
    assert gone.sentences == () and sum(gone.dropped.values()) == 1


@pytest.mark.parametrize(
    "text",
    ["Zyste in der Leber (Bild 4.57).", "Zyste in der Leber (4/57).", "Zyste der Leber (Im. 1-9).",
     "Leberherd (Ser. 1 Bild 12 u. 1/13).", "Liver cyst (image 4:57)."],
)  # fmt: skip
def test_a_reference_that_is_not_understood_costs_the_sentence_and_is_counted(text):
    made = of(text, "en" if text.startswith("Liver") else "de")
    assert not made.sentences and made.dropped == {sentences.UNREAD: 1}


@pytest.mark.parametrize("text", ["Leberzyste, Bild 8 bzw. 9.", "Leberzyste (Bilder 8 oder 9)."])
def test_images_may_be_joined_by_other_words(text):
    (sentence,) = of(text).sentences
    assert (sentence.text, sentence.images) == ("Leberzyste.", (8, 9))


@pytest.mark.parametrize(
    "text",
    ["Leberzyste (Bild 12), in der VU Bild 10.", "Zyste linke Niere, Vorbefund Serie 2 Bild 11.",
     "Leberherd, Bild 12, VU: Bild 10.", "Leberherd (VU Bild 10), aktuell Bild 12."],
)  # fmt: skip
def test_an_image_of_an_earlier_study_is_no_reference(text):
    made = of(text)
    assert not [s for s in made.sentences if 10 in s.images or 11 in s.images or "10" in s.text]
    assert sum(made.dropped.values()) + len(made.sentences) == 1


@pytest.mark.parametrize(
    "text",
    ["Milz unverändert groß.", "Die Aorta ist unverändert weit.", "Leberzyste unverändert groß.",
     "Die Milz ist im Vergleich unverändert groß.", "Leber im Verlauf stabil groß.",
     "Die Milz ist unverändert.", "Leber und Milz unverändert.", "The spleen is unchanged."],
)  # fmt: skip
def test_what_is_only_as_before_says_nothing_of_this_image(text):
    made = of(text, "en" if text.startswith("The") else "de")

    assert not made.sentences and made.dropped == {comparison.NOTHING_LEFT: 1}


def test_soft_hyphens_leave_the_text():
    assert of("Milz\xadzyste.").sentences[0].text == "Milzzyste."


TITLES = """Fr.;Frau;Hr.;Hrn.;Herrn;Fam.;Dr.;Dr. med. univ.;Prof. Dr. med. habil.;Dr. rer. nat.;
Dr. h. c.;Univ.-Prof. Dr.;Priv.-Doz. Dr.;Fr. Dr.;Frau Dr. A.-B.;OA;Koll.;Der Pat.;Ass.-Arzt;Mr.;
Mrs.;Ms.;Mx.;Miss;Dr. med.;Prof.;Mr. van der;Attending;Schwester"""


@pytest.mark.parametrize("title", TITLES.replace("\n", "").split(";"))
@pytest.mark.parametrize(
    "lang, form",
    [
        ("de", "Leber o. B. {} Yildirim sah die Milz. Niere links o. B."),
        ("de", "Leber o. B. Die Milz wurde mit {} Yildirim besprochen. Niere links o. B."),
        ("de", "Leber o. B. Milz o. B. ({} Yildirim). Niere links o. B."),
        ("en", "Normal liver. {} Yildirim has a normal spleen. Normal left kidney."),
    ],
)
def test_a_name_goes_with_its_title_before_the_report_is_cut_into_sentences(title, lang, form):
    made = of(form.format(title), lang)
    texts = [s.text for s in made.sentences]
    assert not [t for t in texts if "Yildirim" in t or "ilz" in t or "spleen" in t], texts
    assert len(texts) == 2 and made.removed["name"] >= 1
