"""The words by which reports compare with earlier studies, as plain data.

`comparison` reads them as regular expressions on a text in plain spelling and lower case, so that
umlauts are "ae", "oe", "ue" and "ss" here. Names in braces stand for the expressions of `PARTS`.
The larger tables have modules of their own: `comparison_find` (what compares), `comparison_keep`
(what only looks like it) and `comparison_remove` (what is left out). This one has what they share.
"""

# A date that is no fraction and no level ("4/5"), and the months, which are dates after "in".
_YEAR = r"(?:19|20)\d{2}(?!\s?(?:ml|mg|mm|cm|he|hu|m)(?!\w))"
_MONTH_EN = (
    r"(?:(?:january|february|march|april|june|july|august|september|october|november|december|jan|"
    r"feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec|(?:mon|tues|wednes|thurs|fri|satur|sun)day|spring|"
    r"summer|autumn|winter)(?!\w)\.?|"
    r"may(?! (?:be|have|represent|correspond|also|not|indicate|reflect|suggest|well)(?!\w))(?!\w))"
)
_MONTH_DE = (
    r"(?:januar|jaenner|februar|maerz|april|mai|juni|juli|august|september|oktober|november|"
    r"dezember|montag|dienstag|mittwoch|donnerstag|freitag|samstag|sonntag|fruehjahr|sommer|"
    r"herbst|winter|jan|feb|apr|jun|jul|aug|sept?|okt|nov|dez)(?!\w)\.?"
)
_DAY = (
    r"(?:\d{1,2}\.\s?\d{1,2}\.(?:\s?\d{2,4})?|\d{1,2}/(?:\d{1,2}/)?(?:19|20)\d{2}|"
    r"\d{4}-\d{2}(?:-\d{2})?|" + _YEAR + ")"
)
_DAY_EN = (
    rf"(?:{_DAY}|(?:\d{{1,2}}(?:st|nd|rd|th)? (?:of )?)?{_MONTH_EN}"
    r"(?: \d{1,2}(?:st|nd|rd|th)?(?!\d))?(?:,? \d{4})?)"
)
_DAY_DE = rf"(?:{_DAY}|(?:\d{{1,2}}\.\s?)?{_MONTH_DE}(?: \d{{4}})?)"
_COUNT_EN = (
    r"(?:\d+|an?|one|two|three|four|five|six|seven|eight|nine|ten|twelve|a few|few|several|some|"
    r"many|a couple of|half an?)"
)
_COUNT_DE = (
    r"(?:\d+|ein\w*|wenig\w*|mehrer\w*|viel\w*|zwei|drei|vier|fuenf|sechs|sieben|acht|neun|zehn|"
    r"zwoelf)(?: halben)?"
)
_AGO_EN = (
    rf"(?:about |approximately |some )?{_COUNT_EN} (?:minute|hour|day|week|month|year)s? "
    r"(?:ago|earlier|before|prior)"
)
_AGO_DE = (
    rf"vor (?:etwa |ca\.? |rund |circa |knapp |gut )?{_COUNT_DE} "
    r"(?:minute|stunde|tag|woche|monat|jahr)\w*"
)
_VISIT_EN = (
    r"(?:year|month|week|time|visit|night|evening|spring|summer|autumn|fall|winter|control|check|"
    r"check-?up|follow-?up|appointment|admission|session|staging|restaging|consultation|day)"
)
_WHEN_EN = (
    r"(?:(?:on|in|at|from|of|during|by|it was|those of|that of|the one of|was|seen|noted|already|"
    r"still|the|early|late|mid|end of|beginning of) )*"
    rf"(?:{_DAY_EN}|{_AGO_EN}|yesterday|this (?:morning|afternoon)|"
    rf"(?:day|night|evening|week|month|year) before(?! (?:the )?\w+ing)|"
    rf"(?:last|previous|prior|earlier|initial|first) {_VISIT_EN}|baseline|admission|discharge|"
    rf"presentation|before|previously|"
    r"formerly|initially|back then)(?!\w)"
)
_WHEN_DE = (
    r"(?:(?:am|im|in|vom|von|bei|zu|zum|zur|aus|noch|bereits|schon|der|dem|den|denen|jahre?|anfang|"
    r"mitte|ende|es|war|waren) )*"
    rf"(?:{_DAY_DE}|{_AGO_DE}|vor(?:tag|jahr|monat|woche|abend|wert)\w*|gestern|zuletzt|zuvor|"
    rf"vorher|"
    r"damals|frueher|initial|heute morgen|"
    r"(?:letzte|vorige|vorherige|vergangene|fruehere)[nmrs]? (?:jahr|monat|woche|mal|kontrolle|"
    r"termin|"
    r"vorstellung|staging|scan|aufnahme|untersuchung)\w*|"
    r"aufnahme|entlassung|vorstellung|diagnosestellung|therapiebeginn|(?:erst|vor)(?:aufnahme|"
    r"untersuchung|kontrolle|diagnose|vorstellung)\w*)(?!\w)"
)

_SIZE = r"\d+(?:[.,]\d+)?(?:\s*(?:x|mal)\s*\d+(?:[.,]\d+)?)*\s*(?:mm|cm|ml|m|%|he|hu)?"
# Two sizes, of which the first is of today. It may share the unit of the second.
_NUMBERS = r"\d+(?:[.,]\d+)?(?:\s*x\s*\d+(?:[.,]\d+)?)*"
_VERSUS = (
    rf"(?P<kept>(?<![\d.,x]){_NUMBERS}(?:\s*(?:mm|cm|ml))?)\s*(?:vs\.?|versus)\s*"
    rf"{_NUMBERS}\s*(?P<unit>mm|cm|ml)(?!\w)"
)

PARTS = {
    "date": r"(?:\d{1,2}\.\s?\d{1,2}\.(?:\s?\d{2,4})?|\d{1,4}[/-]\d{1,4}(?:[/-]\d{1,4})?|"
    r"(?:\d{1,2}\.?\s+)?(?:jan|feb|mar|maerz|apr|may|mai|jun|jul|aug|sep|okt|oct|nov|dez|dec)\w*\.?"
    r"(?:\s+\d{1,2},?)?\s+\d{4}|(?:19|20)\d{2})",
    "day_en": _DAY_EN,
    "day_de": _DAY_DE,
    "ago_de": _AGO_DE,
    "when_en": _WHEN_EN,
    "when_de": _WHEN_DE,
    "size": _SIZE,
    "versus": _VERSUS,
    # What of a finding is said to have stayed or changed ("stable in size and contour").
    "respect_en": r"(?:the )?(?:overall )?(?:size|number|extent|contour|shape|form|appearance|"
    r"width|length|volume|thickness|position|location|configuration|morphology|distribution|"
    r"density|signal|attenuation|diameter|caliber|structure|quantity|degree|prominence)s?(?!\w)",
    "respect_de": r"(?:der |ihrer |seiner |ihrem |seinem )?(?:groesse|zahl|anzahl|kontur|form|lage|"
    r"ausdehnung|umfang|volumen|weite|breite|dichte|morphologie|signal|signalverhalten|"
    r"konfiguration|struktur|verteilung|stellung|position|durchmesser|kaliber|menge|auspraegung|"
    r"dicke|laenge|hoehe|gestalt|textur)(?!\w)",
    "study_en": r"(?:studies|study|exams?|examinations?|ct|cts|mri|mris|mr|scans?|imaging|"
    r"tomograms?|"
    r"radiographs?|x-?rays?|reports?|images?|investigations?|ultrasound|pet(?:[/-]ct)?|comparison|"
    r"tomography|priors?|film|films|angiogram)(?!\w)",
    "prior": r"(?:most recent|prior|previous|last|earlier|recent|outside|baseline|initial|"
    r"preceding|"
    r"former|old|antecedent|external|reference|index|original|pre-?operative|pre-?treatment|"
    r"pre-?interventional|preoperative|pretreatment|older)(?!\w)",
    # Findings that grow and shrink. Increased density or enhancement compares nothing.
    "fluctuates_en": r"(?:atelecta\w+|"
    r"effusions?|consolidations?|infiltrates?|o?edema|ha?ematomas?|collections?|ascites|"
    r"nodul\w+|metasta\w+|lesions?|mass(?:es)?|lymphadenopathy|adenopathy|pneumothora\w+|"
    r"swelling|tumou?rs?|disease burden|tumou?r (?:load|burden)|congestion|hydronephrosis|"
    r"mass effect|midline shift|herniation|pneumoperitoneum|pneumomediastinum|displacement|"
    r"angulation|callus|cavitation|ha?emorrhage|haemothorax|hemothorax|thromb\w+|"
    r"abscess\w*|cysts?|osteolys\w+|ground[- ]glass opacit\w+|opacities|conspicuity|"
    r"component|involvement|prominence|distension|loosening|lymph nodes|inflammat\w+|wall "
    r"thickening|dilatation|"
    r"dilation)(?!\w)",
    "study_de": r"(?:voruntersuchung(?:en)?|voraufnahmen?|vorbefund(?:e|en|es)?|vorstudien?|"
    r"vor-?(?:ct|mrt|mr)s?|"
    r"vu|vus|voruntersuchungs\w*|vorbilder\w*|vorserien?|"
    r"vor-?(?:sono|pet|roentgen|szinti|scan|kontroll|status|aufnahm|befund|bericht|"
    r"studie|bildgebung)\w*|vergleichs-?(?:untersuch|aufnahm|ct|mrt|bild|studie)\w*|altbefund\w*|"
    r"(?:erst|ausgangs|index|referenz|primaer)-?(?:aufnahm|untersuch|ct|mrt|befund|bildgebung|"
    r"staging)"
    r"\w*|"
    r"(?:letzte[nrs]?|vorherige[nrs]?|"
    r"frueheren?|"
    r"auswaertige[nrs]?|externe[nrs]?|alte[nrs]?|vorangegangene[nrs]?|vorliegende[nrs]?|"
    r"aeltere[nrs]?|"
    r"vorige[nrs]?|juengste[nrs]?|initiale[nrs]?)\s+"
    r"(?:vor)?(?:\w+-)?(?:ct|mrt|mr|untersuchung(?:en)?|aufnahmen?|befund(?:e|es|en)?|bilder\w*|"
    r"kontrolle|"
    r"studie|bildgebung|ct-untersuchung|staging|sonographie|sono|szintigraphie|pet(?:-ct)?|"
    r"roentgen\w*|(?:ct|mrt)\w*)|ausgangsbefund(?:es)?|"
    r"ausgangsuntersuchung|baseline|bildgebung\s+vom|(?:ct|mrt|mr|untersuchung|"
    r"aufnahme)(?=\s+vom\s+\d))(?!\w)",
    "degree_en": r"(?:(?:slightly|mildly|moderately|markedly|significantly|substantially|"
    r"essentially|"
    r"grossly|largely|overall|minimally|clearly|relatively|otherwise|also|mild|slight|marked|"
    r"moderate|"
    r"significant|further|somewhat|again|interval|relevant|definite|appreciable|minimal|obvious|"
    r"generally|completely|almost|nearly|very|in the interval|partially|much|progressively|partly|"
    r"mostly|slowly|steadily|gradually|rapidly|interim|noticeably|visibly|considerably|entirely|"
    r"hardly|since|a little|a bit|slow but steady|slow|steady|gradual|continuous|rapid)\s+)*",
    "degree_de": r"(?:(?:weitere[rs]?|langsame[rs]?|geringe|maessige[rs]?|deutlicher|"
    r"partielle[rs]?|ueberwiegend|groesstenteils|gering|geringgradig|geringfuegig|leicht|leichte|"
    r"deutlich|"
    r"deutliche|"
    r"maessig|"
    r"wesentlich|wesentliche|relevant|relevante|signifikant|signifikante|weitgehend|im "
    r"wesentlichen|"
    r"insgesamt|gesamthaft|etwas|diskret|minimal|eindeutig|eindeutige|deutlicher|leichter|"
    r"geringer|nahezu|annaehernd|weiter|partiell|teilweise|teils|komplett|vollstaendig|stark|"
    r"massiv)\s+)*",
}

# "No new lesion" says nothing about old ones, and what has resolved is not there any more. Such a
# clause is left out as a whole, because without the word it would say something else.
WHOLE_CLAUSE = {
    "en": r"\b(?:on|in|at) (?:the |that |an? )?(?:prior|previous|last|earlier|first|initial) "
    r"[\w ]*?(?:had been|was|were|had|showed|measured)\b|"
    r"\b(?:no|without) (?:\w+ ){0,2}?(?:development|appearance|emergence|occurrence)\b|"
    r"\b(?:growth|progression|change|increase|enlargement|decrease|regression)\b[^,;.]*\b(?:not|"
    r"nor)\b|"
    r"\bno (?:\w+ )?differen(?:ce|t) (?:from|to|compared)\b|"
    r"\b(?:no|without|not|nor) (?:\w+ ){0,4}?(?:new|newly|progressive|increasing|enlarging|"
    r"worsening|persistent|persisting)\b|"
    r"^no longer\b|\bno longer(?=[.,;]|$)|\bcomplete(?:ly)? (?:regress|clear)\w*|"
    r"\b(?:resolved|disappeared|cleared|vanished|subsided|faded|gone|dissolved|dissipated)\b|"
    r"\bresolution of\b|\b(?:complete|interval) "
    r"resolution\b",
    "de": r"\b(?:\w*progredienz|\w*progress\w*|\w*zunahme|\w*abnahme|\w*wachstum|\w*aenderung|"
    r"\w*regredienz|dynamik)\b[^,;.]*\b(?:nicht|kein\w*)\b|"
    r"\bohne (?:\w+ )?\w*(?:zunahme|abnahme|progredienz|regredienz|besserung) der\b|"
    r"\b(?:kein\w*|ohne) (?:\w+ )?\w*(?:progredienz|zunahme|abnahme|wachstum|progress|aenderung) "
    r"(?:des|"
    r"eines)\b|\bkein\w* (?:\w+ )?(?:neu|wieder)auftreten\b|"
    r"\b(?:vollstaendig|komplett)\w* (?:rueckgang|regredienz|remission|resorption|aufloesung)\b|"
    r"\bbefund(?:konstanz|stabilitaet)\b|\b(?:stabile|konstante) verhaeltnisse\b|"
    r"\bkein\w* (?:\w+ )?unterschied (?:zu|zum|zur|gegenueber)\b|"
    r"\b(?:kein\w*|ohne|nicht) (?:\w+ ){0,3}?(?:neu(?:e|er|es|en|em)?|neu aufgetreten\w*|"
    r"neuaufgetreten\w*|"
    r"(?:groessen)?progredient\w+|zunehmend\w*|persistierend\w*|erneut\w*)\b|"
    r"^nicht mehr\b|\bnicht mehr(?=[.,;]|$)|\b(?:vollstaendig|komplett)\w* (?:\w+ )?(?:regredient|"
    r"ruecklaeufig|"
    r"resorbiert)\w*|"
    r"\b(?:zu)?rueckgebildet\b|\baufgeloest\b|\b(?:verschwunden|abgeklungen|abgeheilt|"
    r"geschwunden)\b|\bvollstaendige?r? rueckbildung\b",
}
# Words that are no statement if they are all that remains.
EMPTY = {
    "en": "there disease finding findings appearance otherwise also overall study exam examination "
    "ct mri "
    "change changes noted seen evidence interval however likewise compared comparison size in not "
    "significant significantly slightly known previous status image images as well prior today "
    "mm cm ml width size appearances situation",
    "de": "befund befunde befundlage nachweis untersuchung übrigen sonst ansonsten zudem auch "
    "ebenfalls insgesamt ct mrt veränderung veränderungen änderung änderungen größe deutlich "
    "gering leicht geringgradig wesentlich wesentliche relevante bekannt bekannte bekannter nicht "
    "sich wie zum unverändert bild gesamtbild lage status vergleich aktuell damit somit daher so "
    "als heute identischer erkrankung mm cm ml verhältnisse",
}
