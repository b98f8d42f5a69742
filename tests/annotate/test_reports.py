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
