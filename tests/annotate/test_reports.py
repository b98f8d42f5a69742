import pytest
from hypothesis import given
from hypothesis import strategies as st

from big_rad.annotate import reports, section_table

GERMAN = """Klinische Angaben: Z. n. Sigmaresektion. Fragestellung: Rezidiv?
Technik: CT Abdomen mit 100 ml KM i.v. in portalvenöser Phase. Vergleich: CT vom 3.4.2021.
BEFUND:
Leber o. B. Milz ca. 11 cm groß, vgl. Serie 3. Fraktur der 4. Rippe links.
Die Zyste ist glatt
begrenzt. A. iliaca communis li. verkalkt. Z.n. Cholezystektomie.
Beurteilung
1. Kein Rezidiv.
2. Alte Fraktur der 4. Rippe."""
ENGLISH = """INDICATION: Abdominal pain.
TECHNIQUE: CT of the abdomen with i.v. contrast. COMPARISON: None.

FINDINGS:
Liver: Approx. 1.5 cm cyst in segment VII. No other lesion.
Kidneys: Normal.
Dr. Smith measured 3.5 x 2.1 cm vs. 2 cm. The spleen is normal, e.g. no infarct.

IMPRESSION:
- Hepatic cyst.
- No acute findings."""


@pytest.mark.parametrize(
    "report, names",
    [
        (GERMAN, "clinical indication technique comparison findings impression"),
        (ENGLISH, "indication technique comparison findings impression"),
        ("The liver is normal.", "findings"),
        ("**Befund**\nLeber frei.\n## Beurteilung:\nUnauffällig.", "findings impression"),
        ("Technique:\nCT.\nFindings:\n", "technique"),
        ("", ""),
    ],
)
def test_headers_of_both_languages_open_their_sections(report, names):
    found = reports.sections(report)
    assert [s.name for s in found] == names.split()
    assert all(report[s.start : s.start + len(s.text)] == s.text for s in found)


def test_only_findings_and_impression_are_targets():
    for report in (GERMAN, ENGLISH):
        for section in reports.sections(report):
            assert section.target == (section.name in ("findings", "impression"))


@pytest.mark.parametrize("name", section_table.HEADERS)
def test_every_header_of_the_table_opens_its_section_in_any_case(name):
    for header in section_table.HEADERS[name].split(";"):
        for written in (header.strip(), header.strip().upper()):
            (section,) = reports.sections(f"{written}:\nThe liver is normal.")
            assert section.name == name and section.header == written


def test_sentences_do_not_end_at_abbreviations_numbers_and_dates():
    said = {s.name: reports.sentences(s.text, "de") for s in reports.sections(GERMAN)}
    assert said["findings"] == [
        "Leber o. B.",
        "Milz ca. 11 cm groß, vgl. Serie 3.",
        "Fraktur der 4. Rippe links.",
        "Die Zyste ist glatt begrenzt.",
        "A. iliaca communis li. verkalkt.",
        "Z.n. Cholezystektomie.",
    ]
    assert said["impression"] == ["Kein Rezidiv.", "Alte Fraktur der 4. Rippe."]
    said = {s.name: reports.sentences(s.text, "en") for s in reports.sections(ENGLISH)}
    assert said["findings"] == [
        "Liver: Approx. 1.5 cm cyst in segment VII.",
        "No other lesion.",
        "Kidneys: Normal.",
        "Dr. Smith measured 3.5 x 2.1 cm vs. 2 cm.",
        "The spleen is normal, e.g. no infarct.",
    ]
    assert said["impression"] == ["Hepatic cyst.", "No acute findings."]


@pytest.mark.parametrize(
    "text",
    [
        "Re. Niere o. B., li. Niere mit Zyste.",
        "Voraufnahmen vom 12. 3. 2021 und 5. Mai.",
        "Z. B. Metastasen, u. a. in LWK 4, d. h. im 4. Lendenwirbel.",
        "V. cava inf. und Aa. iliacae comm. bds. offen.",
        "Zyste von ca. 1.5 cm im re. Unterlappen.",
    ],
)
def test_telegraphic_german_stays_one_sentence(text):
    assert reports.sentences(text, "de") == [text]


@given(st.text(max_size=80), st.sampled_from(["en", "de"]))
def test_no_word_of_a_text_is_lost(text, lang):
    kept = "".join(c for s in reports.sentences(text, lang) for c in s if c.isalpha())
    assert kept == "".join(c for c in " ".join(text.split()) if c.isalpha())


@pytest.mark.parametrize(
    "name, headers",
    [
        (
            "findings",
            "Befund und Beurteilung:|Befund/Beurteilung:|BEFUND & BEURTEILUNG:|Findings and "
            "impression:|FINDINGS/IMPRESSION:|Befund - Beurteilung:|Bericht:|Befund vom 3.4.:|"
            "Findings (CT chest):|[Befund]|[Befund]:|== Findings ==|<b>Findings:</b>|"
            "<h2>Findings</h2>|__Findings__|(Befund)|"
            "Radiologist report:|Nachtrag:|ADDENDUM:|Technik und Befund:",
        ),
        (
            "impression",
            "Beurteilung/Zusammenfassung:|Beurteilung –|Beurteilung -|Impression and "
            "recommendation:|Epikrise:|Empfehlung und Beurteilung:",
        ),
        ("clinical", "Anamnese und Fragestellung:|Klinik/Fragestellung:"),
        ("indication", "Indication and history:"),
        ("technique", "Technik/KM:"),
        ("recommendation", "Empfehlung:|Recommendations:"),
    ],
)
def test_joined_dated_and_marked_headers_open_their_sections(name, headers):
    for header in headers.split("|"):
        found = reports.sections(f"Vergleich: CT.\n{header}\nLeber normal.")
        assert [(s.name, s.text) for s in found] == [
            ("comparison", "CT."),
            (name, "Leber normal."),
        ], header


@pytest.mark.parametrize(
    "report, targets",
    [
        ("Findings: Ok.\nConclusion - Normal brain MRI.", ["Ok.", "Normal brain MRI."]),
        ("Sehr geehrte Frau Kollegin,\nLeber frei.", ["Leber frei."]),
        ("Dear Dr. X,\nwir danken für die Zuweisung.\nLeber frei.", ["Leber frei."]),
        ("Leber frei.\n\nDr. med. A. Müller\nOberarzt", ["Leber frei."]),
        ("Reported by: Dr. X\nLeber frei.\nKind regards\nX", ["Leber frei."]),
        ("Liver ok.\nKind regards\nElectronically signed by X\nRadiology", ["Liver ok."]),
        ("RADIOLOGY REPORT\nCT HEAD\nNo bleeding.", ["No bleeding."]),
        ("Findings: Ok.\nConclusion - normal brain.", ["Ok.", "normal brain."]),
        ("Befund: Leber frei. Mit freundlichen kollegialen Grüßen Dr. Müller", ["Leber frei."]),
        ("Findings: Cyst.\nDictated by: J. Doe, M.D. Electronically signed 3/4.", ["Cyst."]),
        ("CT ABDOMEN AND PELVIS WITH CONTRAST\nLiver normal.", ["Liver normal."]),
        ("MRT Schädel nativ vom 03.05.2021\nBefund: Kein Infarkt.", ["Kein Infarkt."]),
        # A line with a finding is no title, and a known word in a sentence is no header.
        ("CT shows a fracture\nLiver normal.", ["CT shows a fracture\nLiver normal."]),
        ("Contrast - enhanced lesion. Dr. Smith read it.", None),
    ],
)
def test_titles_and_letters_are_no_targets(report, targets):
    found = [s.text for s in reports.sections(report) if s.target]
    assert found == ([report] if targets is None else targets)


@pytest.mark.parametrize(
    "text, count",
    [
        ("Anterolisthese LWK 4 ggü. LWK 5.", 1),
        ("Besprochen mit Dr. J. Doe.", 1),
        ("  - Colon: diverticulosis\nBONES: No aggressive lesion.", 2),
        ("Leber unauff. Kein Aszites.", 2),
        ("Leber unauff. Milz unauff. Pankreas frei.", 3),
        ("Unauff. Leber.", 1),
    ],
)
def test_abbreviations_and_items_end_where_they_should(text, count):
    assert len(reports.sentences(text, "de")) == count


def test_an_unknown_language_is_an_error_that_names_the_known_ones():
    with pytest.raises(ValueError, match="'fr'.*en, de"):
        reports.sentences("Foie normal.", "fr")


def test_a_long_row_of_marks_is_read_at_once():
    assert len(reports.sections("-" * 200 + "x" * 100)) == 1
