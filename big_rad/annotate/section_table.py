"""The headers of sections in radiology reports, English and German, as plain data.

A header is matched without case, umlauts or a closing colon. Add the headers of your own hospital
to the row of the section that they open.
"""

HEADERS = {
    "clinical": (
        "clinical information; clinical history; history; clinical details; clinical data; "
        "clinical context; clinical background; reason for exam; reason for examination; reason "
        "for study; relevant history; patient history; anamnesis; clinical presentation; past "
        "medical history; Klinische Angaben; Klinische Angabe; Klinik; Anamnese; Klinische "
        "Information; Klinische Informationen; Klinischer Hintergrund; Vorgeschichte; Klin. "
        "Angaben; Klinische Daten; Angaben; Diagnosen; Diagnose; Klinik und Fragestellung; "
        "Zuweisungsdiagnose; Vorerkrankungen; Angaben zur Klinik; Klinische Angaben und "
        "Fragestellung; Klinische Angaben/Fragestellung"
    ),
    "indication": (
        "indication; indications; clinical question; question; clinical indication; exam "
        "indication; indication for exam; reason for request; reason for referral; request; "
        "Fragestellung; Indikation; Rechtfertigende Indikation; Klinische Fragestellung; Frage; "
        "Indikationsstellung; Fragestellungen; Anforderung; Untersuchungsgrund; Rechtf. Indikation"
    ),
    "technique": (
        "technique; techniques; protocol; procedure; exam technique; examination technique; scan "
        "technique; technical information; contrast; examination; exam; study; methods; method; "
        "imaging technique; procedure and technique; contrast medium; dose; radiation dose; "
        "technical details; acquisition; Technik; Untersuchungstechnik; Methode; Methodik; "
        "Protokoll; Untersuchung; Untersuchungsprotokoll; Kontrastmittel; KM; Durchführung; "
        "Untersuchungsmethode; Technische Angaben; Technische Durchführung; Dosis; Dosisangaben; "
        "Applikation; Sequenzen; Untersuchungsart; Geräteangaben; Strahlendosis; DLP"
    ),
    "comparison": (
        "comparison; comparisons; comparison studies; comparison study; comparison exams; prior "
        "studies; prior study; previous studies; previous examinations; priors; compared with; "
        "comparison imaging; Vergleich; Voruntersuchung; Voruntersuchungen; Voraufnahmen; "
        "Voraufnahme; Vergleichsuntersuchung; Vergleichsuntersuchungen; Vergleichsaufnahmen; "
        "Vorbefund; Vorbefunde; VU; Zum Vergleich; Vergleichsbilder; Vergleich mit"
    ),
    "findings": (
        "findings; finding; description; report; results; observations; body of report; imaging "
        "findings; detailed findings; ct findings; mri findings; mr findings; radiological "
        "findings; Befund; Befunde; Beschreibung; Befundbeschreibung; Befundbericht; Bildgebung; "
        "CT-Befund; MRT-Befund; Ergebnis; Detailbefund; Radiologischer Befund; Befundtext"
    ),
    "impression": (
        "impression; impressions; conclusion; conclusions; summary; assessment; opinion; "
        "interpretation; diagnosis; overall impression; final impression; summary and "
        "recommendation; impression and plan; Beurteilung; Zusammenfassung; Zusammenfassende "
        "Beurteilung; Fazit; Bewertung; Schlussfolgerung; Gesamtbeurteilung; Resümee; "
        "Befundbeurteilung; Einschätzung; Kommentar; Konklusion; Diagnosen und Beurteilung; "
        "Kurzbeurteilung"
    ),
}
# Sections whose sentences describe the images; only these may become targets.
TARGETS = ("findings", "impression")
# A point after these never ends a sentence, in either language.
ABBREVIATIONS = (
    "ca vgl z b v a m d h u dr prof bzw ggf inkl max min evtl n sog approx vs fig st e g i aa vv "
    "mm nn o s bd bds re li lt rt lig ligg art artt proc procc tub prox dist lat med ant post sup "
    "inf abd thorak lumb zerv kont kontr konv klin path pat mind ges ggfs insb insbes etc no nr "
    "abb tab seg segm subseg resp usw urspr vermutl wahrsch wg zw zn st p f l r c k w t susp "
    "postop preop präop intraop differentialdiagn dd ddg incl exkl excl lk mrs mr ms jr sr asc "
    "desc transv axial cran caud kaud kran ventr dors sag cor koron diam circ entspr bek chron ak "
    "rez mult div vereinz mäßig geringgr mittelgr hochgr sec ser img im vol dm durchm gr wk wks mo "
    "yrs yr hx ddx eg ie lfd erw unauff path"
)
