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
        "findings; finding; description; report; radiologist report; radiology report; addendum; "
        "addenda; Nachtrag; Ergänzung; Bericht; Radiologischer Bericht; "
        "results; observations; body of report; imaging "
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
        "Kurzbeurteilung; Epikrise"
    ),
    "recommendation": (
        "recommendation; recommendations; advice; plan; follow-up; follow-up recommendation; "
        "further management; Empfehlung; Empfehlungen; Procedere; Prozedere; Weiteres Vorgehen; "
        "Weiteres Procedere; Therapieempfehlung; Kontrollempfehlung"
    ),
}
# Sections whose sentences describe the images; only these may become targets.
TARGETS = ("findings", "impression")
# A first line of the words in these rows, which begins with an examination, is a title.
EXAMINATIONS = (
    "ct cta xr cxr mrt mri mr mra mrcp pet spect computertomographie computertomografie "
    "magnetresonanztomographie kernspintomographie röntgen roentgen xray x radiograph sonographie "
    "sono ultraschall ultrasound us mammographie mammography angiographie angio computed magnetic "
    "szintigraphie ganzkörper"
)
TITLE = (
    "of the and with without und mit ohne von vom am der des dem den on from dated date in or w o "
    "wo plus nach iv i v po contrast km kontrastmittel kontrast native nativ enhanced unenhanced "
    "non nonenhanced post pre gd gadolinium dual phase multiphase biphasisch triphasisch "
    "tomography tomographie resonance imaging imagery scan study examination exam untersuchung "
    "ray aufnahme angiography angiographie venography perfusion spectral low dose protocol "
    "protokoll staging kontrolle follow up verlaufskontrolle abdomen abdominal pelvis pelvic chest "
    "thorax thoracic head brain neck skull spine cervical lumbar sacral cranium cranial whole body "
    "becken hals schädel schädels kopf gehirn hirn neurokranium neurocranium lws hws bws hwk bwk "
    "lwk wirbelsäule lendenwirbelsäule halswirbelsäule brustwirbelsäule ganzkörper oberbauch "
    "unterbauch upper lower leber liver prostata prostate knie knee kniegelenk schulter shoulder "
    "schultergelenk hüfte hip hüftgelenk hand wrist handgelenk fuß foot ankle sprunggelenk "
    "ellenbogen elbow mamma breast herz cardiac heart pulmonary aorta nnh sinus sinuses orbit "
    "orbita hypophyse pituitary felsenbein temporal bone nieren kidneys kub urogramm urography "
    "enterography dünndarm rectum rektum rechts links right left bds beidseits bilateral ap pa "
    "lateral ebenen two views view cct"
)
# A salutation, to the end of its line.
LETTER = (
    r"(?im)^[ \t]*(?:sehr geehrte|liebe[rs]? (?:frau|herr|kolleg)|dear (?:dr|colleague|sir|madam|"
    r"mr|ms|mrs|prof)|to whom it may concern)[^\n]*?(?:,(?=[ \t]+wir\b)|[,!:.]?[ \t\r]*$)|"
    r"^[ \t]*(?:vielen |herzlichen |besten )?dank für (?:die|ihre) (?:freundliche )?"
    r"(?:über|zu)weisung[^\n.]*\.?|"
    r"(?:^|(?<=,))[ \t]*wir (?:danken (?:ihnen )?für|bedanken uns|berichten (?:ihnen )?über)"
    r"[^\n.]*\.?|"
    r"^[ \t]*thank you for (?:referring|the referral|your referral)[^\n.]*\.?"
)
# Greetings, which close a report to the next header, and signatures, which take their line.
LAST_WORDS = (
    *("mit ", "freundliche ", "kollegiale ", "beste ", "viele ", "mfg", "mfkg", "hochachtungsvoll"),
    *("kind ", "best ", "warm ", "with ", "yours ", "sincerely", "dr", "prof", "pd"),
)
SIGNED = (
    r"(?i)(?:^|(?<=\n)|(?<=[.!?]))[ \t]*(?:mit (?:\w+ ){0,2}?"
    r"(?:kollegialen |freundlichen |besten )+(?:\w+ )?grü(?:ß|ss)en|"
    r"(?:freundliche|kollegiale|beste|viele) grü(?:ß|ss)e|mfg\b|mfkg\b|"
    r"hochachtungsvoll|(?:kind|best|warm|with (?:kind|best)) regards|(?:yours )?sincerely\b|"
    r"(?:electronically |digitally )?(?:signed|dictated|transcribed|finali[sz]ed|verified|"
    r"approved|reported|interpreted|read|reviewed)(?: and \w+)? (?:electronically )?by\b|"
    r"electronically signed|(?:elektronisch|digital) (?:signiert|unterschrieben|freigegeben|"
    r"validiert|unterzeichnet)|(?:dieser|der) befund wurde (?:elektronisch|digital)|"
    r"(?:befundet|diktiert|geschrieben|freigegeben|validiert|signiert) (?:von|durch)\b|gez\.)|"
    # A doctor's name on a line of its own, close to the end.
    r"(?<=\n)[ \t]*(?:(?:pd|prof\.|dr\.)[ \t]*)+(?:med\.[ \t]*)?(?-i:[A-ZÄÖÜ][\w.-]*[ \t]*){1,3}"
    r"(?=(?:\r?\n[^\n.]{0,40}){0,3}\s*\Z)"
)
# A point after these never ends a sentence, in either language.
ABBREVIATIONS = (
    "ca vgl z b v a m d h u dr prof bzw ggf inkl max min evtl n sog approx vs fig st e g i aa vv "
    "mm nn o s bd bds re li lt rt lig ligg art artt proc procc tub prox dist lat med ant post sup "
    "inf abd thorak lumb zerv kont kontr konv klin path pat mind ges ggfs insb insbes etc no nr "
    "abb tab seg segm subseg resp usw urspr vermutl wahrsch wg zw zn st p f l r c k w t susp "
    "postop preop präop intraop differentialdiagn dd ddg incl exkl excl lk mrs mr ms jr sr asc "
    "desc transv axial cran caud kaud kran ventr dors sag cor koron diam circ entspr bek chron ak "
    "rez mult div vereinz mäßig geringgr mittelgr hochgr sec ser img im vol dm durchm gr wk wks mo "
    "yrs yr hx ddx eg ie lfd erw unauff path ggü ggue vs j q y geg"
)
