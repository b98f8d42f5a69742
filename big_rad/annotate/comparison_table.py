"""The words by which reports compare with earlier studies, as plain data.

`comparison` reads them as regular expressions on a text in plain spelling and lower case, so that
umlauts are "ae", "oe", "ue" and "ss" here. Names in braces stand for the expressions of `PARTS`.
The rules of `REMOVE` are tried in order; each has the text that takes the place of the match.
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

# What only looks like a comparison. The words stay as they are.
KEEP = {
    "en": (
        r"patients? (?:is|are|was|were|remains?|remained) (?:\w+ )?(?:un)?stable",
        r"stable (?:[\w-]+ ){0,2}?fractures?(?=[^.;]*(?:without (?:\w+ ){0,2}?(?:involvement|"
        r"displacement|retropulsion)|intact|posterior (?:wall|column|edge|margin)|\bao\b))",
        r"(?:right|left)(?!\w)(?=[^;]* (?:vs|versus)\.? \d)"
        r"(?:[^.;]|\.\d){0,90}?(?:left|right|contralateral|other side)(?!\w)"
        r"(?:[^.;]|\.\d){0,60}? (?:vs|versus)\.? \d",
        r"and,? (?:even |slightly |much )?(?:more|less) (?:advanced|pronounced|marked|severe)",
        r"intervals? (?:between|of \d)",
        r"(?:correlation|correlate|comparison) with (?:the )?(?:prior|previous|older|"
        r"outside)[^.;]{0,120}"
        r"(?:recommend|advis|suggest|helpful|useful|if available)\w*",
        r"enlarging (?:field|the image)",
        r"(?:short[- ])?interval follow[- ]?up",
        r"no (?:prior|previous|earlier|old|comparison|relevant prior|available "
        r"prior)s?\b[^.;]{0,120}"
        r"(?:available|comparison|\bstud\w+|\bexam\w*|\bimages?|\bimaging|provided|priors)[^.;]*",
        r"no (?:\w+ )?(?:priors?|comparisons?)\b[^.;,]*",
        r"(?:prior|previous|earlier|older|outside|external|comparison|old|any) (?:\w+ )?(?:priors?|"
        r"studies|study|exam\w*|images?|imaging|scans?|cts?|mris?|reports?|films?|mammograms?|"
        r"radiographs?)[^.;,:]{0,120}(?:pending|requested|awaited|outstanding|missing|lacking|lost|"
        r"on request|unknown|elsewhere|deleted|destroyed|inaccessible|unavailable)\b[^.;,]*",
        r"priors [^.;,:]{0,120}(?:\bnot|n't|unavailable|pending|requested|missing|lacking|awaited)"
        r"\b[^.;,]*",
        r"(?:unable|impossible|not possible|failed|attempt\w*|tried|waiting|await\w*) (?:to )?"
        r"[^.;,:]{0,120}(?:prior|previous|earlier|older|outside|comparison)[^.;,]*",
        r"(?:absence|unavailability|missing) (?:of )?[^.;,:]{0,120}(?:priors?|previous|earlier|"
        r"older|outside|comparison)\b[^.;,]*",
        r"comparison:? (?:is )?(?:none|not available|unavailable)\b",
        r"(?:prior|previous) (?:studies|examinations|images|imaging) (?:are |is |were |was "
        r")?(?:not available|unavailable)",
        r"none (?:available )?for comparison",
        r"compared (?:to|with) (?:the )?(?:left|right|contralateral|opposite|other|surrounding|"
        r"adjacent|"
        r"normal|muscle|liver|spleen|skeletal|background|rest|remaining|neighbou?ring|parenchyma|"
        r"native|"
        r"unenhanced|arterial|venous|delayed|upper|lower|renal|blood|aorta|cortex|white|gray|"
        r"grey)\w*",
        r"(?:in comparison|relative) (?:to|with) (?:the )?(?:left|right|contralateral|opposite|"
        r"other|"
        r"surrounding|adjacent|normal|muscle|liver|spleen|skeletal|background|rest|remaining|"
        r"parenchyma)\w*",
        r"(?<!than )(?:prior|previous|earlier|recent|last|old) (?:\w+ ){0,2}?(?:surg\w+|"
        r"operation\w*|"
        r"\w*ectom\w+|"
        r"fracture\w*|injur\w+|trauma\w*|infection\w*|resection\w*|sternotom\w+|radiation|"
        r"radiotherapy|"
        r"chemotherapy|infarct\w*|stroke\w*|hemorrhage\w*|bleed\w*|biops\w+|intervention\w*|"
        r"transplant\w*|"
        r"granulomatous|inflammation|therapy|treatment|pregnan\w+|history|repair\w*|fusion|"
        r"anastomosis|"
        r"bypass|stent\w*|pancreatitis|pneumonia|embolism|thrombosis|embolization|ablation|tb|"
        r"tuberculosis|"
        r"\w*stomy|\w*plasty|lumbar|procedure\w*)",
        r"(?:previously|formerly) (?:resected|operated|treated|irradiated|healthy|fractured|"
        r"removed|implanted)",
        r"(?<!than )(?:since|prior to|before|previous to) (?:the )?(?:surgery|operation|birth|"
        r"childhood|"
        r"trauma(?! ct| mri| scan)|accident|"
        r"therapy|chemotherapy|days?|weeks?|contrast|biopsy|intervention|\d+ (?:days?|"
        r"weeks?|months?|hours?|years?))",
        r"(?:clinically|hemodynamically|haemodynamically|mechanically|biomechanically) "
        r"(?:un)?stable",
        r"stable (?:fracture|angina|patient|vital|condition|pattern|pelvic|type|thoracolumbar|"
        r"spine injury)\w*",
        r"new (?:york|zealand|born)\w*|newborn\w*",
        r"(?:high|spatial|low|temporal|contrast|image|limited|thin|insufficient|isotropic)[- "
        r"]resolution\w*",
        # Advice. It ends at a comma or colon, because a comparison may follow there.
        r"(?:(?:short|long)[- ](?:interval|term) )?(?:follow[- ]?up|controls?|re-?evaluation|"
        r"reassessment|surveillance|monitoring|re-?imaging|re-?staging|check-?ups?|correlation|"
        r"comparison|(?:repeat(?:ed)?|interval|another|additional|subsequent|new|further|"
        r"continued|short[- ](?:interval|term)) (?:[\w-]+ ){0,3}?(?:imaging|mri|mr|ct|pet|scan|"
        r"ultrasound|sonograph\w+|radiographs?|x-?rays?|stud\w+|exam\w*|biops\w+|follow[- ]?up|"
        r"surveillance|monitoring|control|observation|mammogra\w+|\w*scopy|imag\w+))\b"
        r"[^.;:,]{0,120}?(?:recommended|advised|suggested|advisable|warranted|indicated|proposed|"
        r"prudent|helpful|useful|reasonable|desirable|necessary|could|should|may be|needed|"
        r"required|requested|planned|scheduled|appropriate|considered)\b[^.;:,]{0,120}"
        r"(?:, (?:in order |so |to |if |for |as |or )[^.;:,]*)*",
        r"(?:follow[- ]?up|controls?|re-?evaluation|reassessment|surveillance|re-?imaging|"
        r"re-?staging)(?: [\w-]+){0,3}? (?:in|after|within|at) (?:\w+ )?\d+(?: ?(?:-|to) ?\d+)? "
        r"(?:days?|weeks?|months?|years?)(?: (?:to|for|in order) [^.;:,]*)?",
        r"(?:recommend|advis|consider|propos)\w*\b[^.;:]{0,120}(?:follow[- ]?up|control|"
        r"re-?evaluation|comparison|correlation|surveillance|interval|stab\w+|prior|previous|"
        r"repeat\w*|new|earlier|imaging)\w*[^.;:,]*",
        r"(?:would|we|i|to) suggest\b[^.;:]{0,120}(?:follow[- ]?up|control|re-?evaluation|"
        r"comparison|"
        r"correlation|surveillance|repeat\w*|monitor\w*|interval)\w*[^.;:,]*",
        r"(?:correlation|correlate|comparison|compare) with[^.;:,]{0,120}(?:recommend|advis|"
        r"suggest|"
        r"helpful|useful|advisable|desirable|if available|needed|required)\w*",
        r"please (?!note)[^.;:]*",
        r"(?<!even )(?<!as )(?<!see )if (?!compared)[^.;:,]*",
        r"should (?:[\w-]+ ){1,4}?(?:persist|progress|worsen|change|recur|increase|grow|develop|"
        r"continue|remain|improve|deteriorate|resolve)\b",
        r"(?:in case of|in the event of|unless|until) [^.;:,]*",
        r"(?:to|for) (?:\w+ and )?(?:assess\w*|document\w*|confirm\w*|ensure|exclu\w+|evaluat\w*|"
        r"demonstrat\w*|verify|monitor\w*|establish|check|rule out|detect\w*|see|prove|show) "
        r"(?:[\w-]+ ){0,4}?(?:stab\w+|resol\w+|progress\w*|regress\w*|chang\w+|growth|"
        r"interval(?: \w+)?|clear\w+|persist\w+|response|evolution|improvement|recurr\w+|"
        r"remission|dynamics|increase|decrease)",
        # The examination before a therapy with which later ones will be compared.
        r"(?<!to )(?<!since )(?<!from )(?<!than )(?<!the )(?<!with )(?<!at )(?<!over )(?:new )?"
        r"baseline(?: [\w-]+){0,3}? (?:before|prior to|for|ahead of|pre\w*|in view of|as part|"
        r"preceding|in preparation)\b",
        r"^(?:(?:this is|this|the) (?:is )?)?(?:an? |the )?baseline(?: [\w-]+){0,2}(?=[.:]?$)",
        r"(?:(?:serv|act|us|establish|obtain|consider|regard)\w*|as|new|future) (?:as )?(?:an? |"
        r"the )?(?:new )?baseline\b",
        r"(?<!to )(?<!since )(?<!than )(?<!with )(?:initial|first|primary) (?:staging|"
        r"examination|study|presentation|imaging|visit|ct|mri)(?: \w+){0,2}? (?:at (?:our|this)|"
        r"in (?:our|this)|before|prior to|here|for)\b",
        # The apparatus may be new, or the patient may lie still, or the image be resolved.
        r"new (?:[\w-]+ ){0,3}?(?:scanner|system|machine|device|coil|detector|protocol|software|"
        r"version|tomograph|pacs|suite|unit|workstation|equipment|gantry|technique|tracer|"
        r"guidelines?|classification|standard)s?\b",
        r"(?:time|spatially|temporally|highly|finely|angle|energy|poorly|well|motion|phase|"
        r"individually)[- ]resolved",
        r"no longer(?:-| )?(?:segment|term|stretch|distance|axis|than|lasting|section|course)\w*",
        r"(?:unchanged|remain(?:s|ed)?|constant|stable|still|same|persist\w*)[^.;,]{0,40}? "
        r"(?:during|between|throughout|across|on|in|over|through) (?:the |both |all |two |three |"
        r"entire |whole |these |every )*(?:acquisitions?|phases?|sequences?|runs?|series|"
        r"delayed|late|later|portal|venous|arterial|equilibrium|hepatobiliary|excretory|"
        r"post-?contrast|breath-?holds?|planes|positions?|time ?points? of|in- and|opposed|"
        r"fat-?sat\w*|prone|supine|examination|b-?values?)\b",
        r"stationary (?:tissue|spin|phantom|anode|table|patient|gantry|detector|proton|fluid|"
        r"blood)\w*",
        r"stable (?:[\w-]+ ){0,4}?(?:on|in|under|during|with) (?:[\w-]+ )?(?:flexion|extension|"
        r"inclination|stress|varus|valgus|load\w*|traction|dynamic|functional|weight|motion|"
        r"provocation|abduction|rotation)",
        r"stable (?:[\w-]+ )?(?:joint|knee|ankle|shoulder|elbow|pelvis|ring|construct|fixation|"
        r"ligament|syndesmosis|rhythm|breathing|seating|positioning|plaque|circulation|gait|"
        r"coronary|heart rate|signal over)\w*",
        # The clinical course and what is asked of the examination.
        r"(?:clinical|clinically|symptomatic|symptomatically|biochemical(?:ly)?|laborator\w+|"
        r"neurological(?:ly)?|haematolog\w+|hematolog\w+) (?!and (?:radio|imag|morph))"
        r"(?:[\w-]+ ){0,3}?(?:progress\w*|regress\w*|improv\w*|worsen\w*|deteriorat\w*|stable|"
        r"unchanged|recur\w*|remission|response|course|resol\w*|new|persist\w*|stability)",
        r"^(?:clinical (?:indication|history|information|details|question|data|background)|"
        r"indication|history|reason for (?:the )?\w+|question|anamnesis|medical history|"
        r"past (?:medical|surgical) history|diagnosis)s? ?:(?:(?!compar|prior |previous)[^.;])*",
        r"(?:suspected|suspicion of|\?|query|questionable|concern for|concerning for|question of|"
        r"looking for|rule out|r/o|\bro|exclude|exclusion of) (?:clinical |disease |tumou?r |"
        r"local )*(?:progression|recurrence|relapse|remission)",
        r"(?:progression|response|regression|remission|recurrence) ?\?",
        r"(?:suffering|diabetic|known|ill|symptomatic|treated|anticoagulated|pregnant|operated|"
        r"immunosuppressed|on \w+) since",
        r"(?:interval (?:appendectomy|debulking|of \d)|intervals?(?= of \d))",
        r"still (?:image|frame|birth)\w*",
        r"larger than (?:the )?(?:left|right)\w*|smaller than (?:the )?(?:left|right)\w*",
        r"(?:previous|prior|last) (?:slice|slices|image slice|sequence|series|section|paragraph|"
        r"level|rib|vertebra)\w*",
        r"(?:what )?remains of|remains? (?:attached|a (?:variant|possibility|consideration))",
        r"old fractures?|old infarct\w*|old rib",
        r"(?:increas|decreas)(?:e|es|ed|ing) (?:in )?(?:signal|density|attenuation|uptake|echo\w*|"
        r"intensity|"
        r"enhancement|perfusion|diffusion|vascular\w*|caliber ratio|bone density|mineral\w*|"
        r"radiotracer|trabec\w*)\w*",
        r"since birth|ever since",
        r"(?:degenerat\w+|progressive) (?:supranuclear|multifocal|massive|familial)\w*",
        r"progressive(?:ly)? (?:enhanc|fill|centripetal|contrast|delayed|accumul|opacif)\w*",
        r"(?:increasing|decreasing) (?:in (?:size|caliber|width|diameter) )?(?:towards?|to the|"
        r"caudally|cranially|distally|proximally)",
        # Symptoms and values of the laboratory are no findings of an image.
        r"(?:new|new[- ]onset|increasing|increased|progressive|progressively|worsening|worsened|"
        r"persistent|persisting|persists|continued|continuing|again|still|now|ongoing|improving|"
        r"improved|resolving|stable|unchanged|previous|earlier|newly|since) (?:\w+[ -]){0,3}?"
        r"(?:pain\w*|dyspn\w+|shortness|cough\w*|fever\w*|headache\w*|weakness|nausea|vomiting|"
        r"jaundice|diarrh\w+|seizure\w*|\w*paresis|numbness|paresth\w+|weight loss|symptom\w*|"
        r"deficit\w*|complain\w*|crp|cea|psa|ldh|afp|creatinine|bilirubin|leuko\w+|lipase|"
        r"inflammatory markers|tumou?r markers?|hematuria|haematuria|claudication|hemopt\w+|"
        r"dysphagia|incontinence|vertigo|dizziness|aphasia|confusion|ataxia|fatigue|discomfort|"
        r"oxygen (?:demand|requirement)\w*|night sweats)",
        r"now (?:with )?(?:rising|elevated|present(?:s|ing)|suffer\w+|febrile|pregnant|scheduled|"
        r"referred|admitted)",
        r"(?:symptoms?|pain|fever|cough|dyspn\w+|headaches?|jaundice|weakness|dialysis|smoker|"
        r"smoking|therapy|treatment|medication|insulin|anticoagulation|cirrhosis|diabetes|hiv|"
        r"multiple sclerosis|hepatitis|transplant\w*|menopause|pacemaker) (?:known |present "
        r")?since",
        r"since (?:an? |the |his |her )?(?:fall|accident|trauma|injury|admission|diagnosis)\b"
        r"(?![- ](?:ct|mri|scan|study|exam|radiograph))",
        r"since (?:about |approximately |more than )?(?:\d+|two|three|four|five|six|seven|eight|"
        r"ten|several|many|a few|some|one) (?:hours?|days?|weeks?|months?|years?)",
        r"new[- ]onset|newly diagnosed|new diagnosis|new (?:bone|vessel|collateral) ?formation",
        r"persist\w* (?:(?:left|fetal|foetal|primitive|embryonic|open|patent) )*(?:svc|superior "
        r"vena|"
        r"vena cava|fetal|foetal|lobulation|ductus|foramen|trigeminal|hypoglossal|sciatic|thymus|"
        r"thymic|notochord\w*|metopic|urachus|vitelline|hyaloid|truncus|stapedial|proatlantal)\w*",
        r"(?:infiltrat\w+|invasive|exophytic|endophytic|expansile|lepidic|hair|intraductal|"
        r"extramural|extraluminal|destructive) growth|growth (?:plate|arrest|pattern|hormone|"
        r"factor|"
        r"disturb|retard|recovery)\w*|in-?growth|over-?growth",
        r"(?:r-?r|rotator(?: cuff)?|cuff|sl|scapholunate|lunotriquetral|\w*dental|dens|slice|time|"
        r"section|scan|qt|pr|cardiac|reconstruction|sampling|sl-) intervals?\b",
        r"interval (?:is|was|measures|of|width|widening|appendectomy|between|normal|not widened|"
        r"unremarkable|irregular)\b",
        r"growth (?:of )?(?:the |a )?\w+ (?:into|through|beyond|along|across)\b",
        r"(?:lie|keep|kept|hold|held|sit|lying) still",
        r"(?:haemo|hemo)dynamic\w* (?:is |are |and \w+ )?(?:un)?stable",
        r"still (?:\w+ )?(?:normal|within|just|acceptable|physiologic\w*|borderline|assessable|"
        r"tolerable|age|diagnostic|in the (?:normal|upper))\w*",
        r"(?:prior|previous|earlier|older|outside|external|comparison|old) (?:\w+ )?(?:priors|"
        r"studies|study|"
        r"exam\w*|images?|imaging|scans?|cts?|mris?|reports?|films?|"
        r"mammograms?)[^.;,]{0,120}(?:not|"
        r"un|no longer) ?(?:be |yet |currently )?(?:available|retriev\w+|obtain\w+|access\w+|"
        r"provided|found|loaded|exist|submitted)\w*[^.;,]*",
        r"(?:for|due to|in|because of|owing to)(?: the| a)? (?:lack|absence|want) "
        r"of[^.;]{0,120}(?:prior|"
        r"previous|comparison|earlier|older)[^.;]*",
        r"comparison[^.;,]{0,120}(?:not possible|impossible|cannot|not feasible)[^.;]*",
        r"without (?:prior|previous|comparison|older)\w* (?:images|studies|imaging|exam\w*|films?)",
        r"(?:in|de)creasing (?:[^.;,]* )?from [^.;,]* (?:to|towards?) [^.;,]{0,120}(?:caudal|"
        r"cranial|"
        r"distal|"
        r"proximal|peripher|bifurcation|level|apex|base)\w*",
        r"resolution of (?:the )?(?:\w+ )?(?:images?|scan|data|volume|sequences?|detector)",
        r"(?<!than )prior to\b",
        r"(?:prior|previous|earlier|recent|last|old|former) (?:\w+ ){0,2}?(?:cesarean|caesarean|"
        r"tur\w*|amputation|osteotomy|osteosynthesis|spondylodesis|injection|vaccination|fall|"
        r"accident|illness|hospital\w*|admission|delivery|menstrua\w+|puncture|whipple)\w*",
        r"(?:pre-?existing) (?:\w+ )?(?:condition|illness|insufficiency|comorbid)\w*",
        r"declined (?:the |an? )?(?:contrast|consent|further|iv|to)",
        r"new (?:staging|tnm|criteria|who|edition|lexicon|score|nomenclature|onset|moms?)\b",
        r"(?:fetus|fetal|foetal|foetus)[^.;,]{0,60}growth|growth (?:appropriate|restriction|curve|"
        r"chart|percentile|in childhood|spurt|lines?)\w*",
        r"remains? (?:[\w-]+ ){1,3}?(?:on|in|at) (?:the )?(?:high|low|b-?|t1|t2|flair|dwi|adc|"
        r"stir|subtract|fat|opposed|in-phase|inspirat|expirat|left|right|prone|supine)[\w-]*",
        r"(?:progression|stability|growth|interval|chronicity|dynamics|changes?|development|"
        r"course|evolution|novelty)[^.;:]{0,60}? (?:cannot|can not|could not|not possible|"
        r"impossible|difficult to|unable)[^.;:]{0,40}?(?:assess|judge|determin|evaluat|establish|"
        r"comment|document|stated|without|apprais)[^.;]*",
        r"(?:compare|compared|comparison|correlate|correlation) (?:with|to) (?:the )?(?:clinical|"
        r"lab|histo|patho|physical|endoscop|reference|age|standard|expected|literature)\w*",
        r"(?:as )?(?:compared|(?:in )?comparison|relative|in relation) (?:to|with) "
        r"(?![^.;,]{0,60}?\b"
        r"(?:prior|previous|last|earlier|former|older?|outside|external|baseline|initial|index|"
        r"original|recent|stud\w+|exam\w*|cts?|mris?|mr|scans?|imaging|images?|films?|"
        r"radiograph\w*|x-?rays?|reports?|ultrasound|pet\S*|tomogra\w+|before|then|yesterday|ago|"
        r"admission|\d+|jan\w*|feb\w*|march|april|may|june|july|aug\w*|sept?\w*|oct\w*|nov\w*|"
        r"dec\w*|\w+day|nadir|pre\w*|post\w*|years?|months?|weeks?|visit|first|spring|summer|"
        r"autumn|winter|fall|same|findings?|status|state|situation|appearance)\b)",
        r"growing (?:skelet|bone|child|patient|phys|spine|fetus|teratoma syndrome)\w*",
        r"ha(?:s|ve) grown (?:through|into|beyond|along|around|across|out)",
        r"(?:we|i|would|kindly) (?:[\w-]+ ){0,4}?(?:appreciate|grateful|welcome|request|ask|"
        r"like to (?:see|have|compare|review))\b[^.;:]*",
        r"no (?:\w+ )?changes? (?:in|of) (?:\w+ )?(?:cali\w+|diameter|width|signal|density|"
        r"attenuation|thickness|position|shape)[^.;,]{0,60}?(?:along|between|throughout|across|"
        r"during|valsalva|inspirat|respirat|expirat|cardiac)\w*",
        r"(?:pain|symptoms?|fever|cough|dyspn\w+|headaches?|weakness|complaints?|seizures|"
        r"jaundice|nausea|weight|crp|psa|cea|markers?) (?:has|have|had|is|are|was|were|which|that|"
        r"continu\w+|persist\w*|worsen\w*|progress\w*|increas\w*|unchanged|since)\b[^.;,]*",
        r"(?:increas|decreas|progress|worsen)\w* from (?:the )?(?!prior|previous|last|baseline|"
        r"\d)[a-z]\w+ (?:\w+ )?to(?:wards?)? (?:the )?(?!\d)\w+",
        r"newly (?:built|installed|purchased|established|introduced|(?:acquired|developed) "
        r"(?:sequence|software|protocol|method|scanner))",
        r"remains? (?:\w+ly )?(?:unassess|unclear|uncertain|indeterminate|unknown|non-?diagnostic|"
        r"obscured|limited|difficult|to be|open|speculative|elusive|possible|doubtful|"
        r"questionable|undetermined|unexplained|within|hidden|unexamined|equivocal|incompletely|"
        r"not assess|inconclusive|concealed)\w*",
        r"(?<!than )(?:prior|previous|earlier|recent|last|old|former) (?:[\w-]+ ){0,3}?"
        r"(?:replacement|prosthes\w+|graft\w*|implant\w*|catheter\w*|craniotomy|disease|"
        r"malignanc\w+|cancer|carcinoma|lymphoma|exposure|insult|episode|attack|bout|event|dvt|"
        r"perforation|clipping|coiling|shunt\w*|dissection|drainage|fixation|reconstruction|"
        r"nailing|plating|diverticulitis|hepatitis|myocarditis|pericarditis|pleurodesis|"
        r"irradiation|ulcer\w*|diagnosis|cholecystitis|appendicitis)",
        r"compared (?:to|with|against) (?:an? |the )?(?:normal|reference|age|healthy|standard|"
        r"control|peer|population|database)\w*",
        r"(?:resolved|persist\w*|new|stable|changing) (?:\w+ )?art[ei]fact\w*",
        r"art[ei]facts? (?:\w+ ){0,2}?(?:resolved|persist\w*|remain\w*|improv\w*|again)",
        r"(?<!the )(?<!with )(?<!to )(?<!since )(?<!than )(?<!on )(?:pre-?operative|"
        r"pre-?interventional|pre-?treatment) (?:[\w-]+ )?(?:planning|work-?up|assessment|"
        r"evaluation|mapping|staging|measure\w*|ct|mri|exam\w*|imaging|scan)(?: ct| mri)?"
        r"(?=[.:]|$| for| of| before| prior| was performed| requested)",
        r"(?:progressive(?:ly)?|gradual(?:ly)?|increasing(?:ly)?|decreasing(?:ly)?) [^.;,]{0,40}? "
        r"from (?:the )?(?!prior|previous|last|baseline)[a-z]\w* (?:\w+ )?to(?:wards?)? ",
        r"earlier than (?:scheduled|expected|planned|usual|the|in the)",
        r"(?:the )?(?:left|right)(?: (?:side|one|kidney|lung|lobe|hippocampus|ventricle))? (?:is "
        r"|are )?(?:\w+ly |a little |much )?(?:more|less) \w+(?=[.,;)]|$)",
        r"(?:the )?(?:left|right)(?: (?:side|one|kidney|lung|lobe|hippocampus|ventricle|adrenal|"
        r"hilum|atrium|ovary|vertebral artery))? (?:is |are )?(?:\w+ly |a little |much |somewhat )?"
        r"(?:smaller|larger|bigger|thinner|thicker|wider|narrower|better|worse)(?=[.,;)]|$)",
        r"neither now|prior (?:auth|consent|informed|agreement|knowledge|arrangement|approval)\w*",
        r"growth (?:along|into|through|beyond|around|towards|within)\b",
        r"stability (?:issues?|test|exam|of the (?:knee|joint|ankle|shoulder|elbow|pelvi|spin))\w*",
        r"(?:joint|ligament\w*|spinal|pelvic|mechanical|segmental|rotational|posterolateral|"
        r"anterior|posterior|scapholunate|patellar) stability",
        r"now (?:aged )?\d+(?:[ -]years?)?[ -](?:old|of age|year)|now aged",
        r"(?:improv|worsen|degrad|better|resolution)\w* (?:of |in )?(?:the )?(?:image|contrast|"
        r"resolution|quality|signal|visuali\w+|assess\w+|delineation|temporal|spatial|dose|"
        r"lesion detection|diagnostic)",
        r"progressive(?:ly)? [^.;,]{0,40}? (?:towards?|centrally|peripherally|with depth)\b",
        r"lack of (?:any )?(?:prior|previous|comparison|older|earlier|outside)\b[^.;]*",
        r"previously (?:placed|inserted|implanted|stented|administered|given|injected|swallowed|"
        r"ingested|applied|instilled)",
        r"continu\w+ (?:\w+ )?(?:treatment|therapy|monitoring|medication|anticoagulation|"
        r"observation|care|surveillance|feeding|ventilation|support|antibiotic\w*|chemo\w*)",
        r"(?:evaluation|assessment|monitoring|determination|measurement) of (?:the )?(?:\w+ ){0,2}?"
        r"(?:response|progression|stability|recurrence|change)\b",
        r"(?:prior|previous|old) (?:\w+ )?(?:c-?section|section|scars?|scarring|childbirth)",
        r"normal growth|growth of the (?:\w+ )?(?:epiphys|nail|hair|skelet|maxilla|mandible|physis|"
        r"child|femoral|tibial)\w*",
        r"(?:patient|he|she|woman|man|child|boy|girl)s? [^.;,]{0,60}?\b(?:since|previously|"
        r"formerly|still|recently|again)\b(?! (?:the )?(?:last|prior|previous|ct|mri|scan|study))"
        r"[^.;,]*",
        r"no (?:\w+ )?(?:prior|previous|earlier|older|outside|comparison) (?:films?|images?|"
        r"imaging|stud\w+|exam\w*|scans?|reports?|cts?|mris?|radiographs?|mammograms?)\b[^.;,]*",
        r"pre-?existing (?:\w+ )?(?:disease|disorder|diagnos|comorbid|heart failure|copd)\w*",
        r"(?:art[ei]fact|acquisition|sequence|imag|repeat|re-?acquir)\w*[^.;]{0,40}? (?:without|"
        r"no|little) improvement",
        r"previously (?:well|fit|independent|asymptomatic|unremarkable history|mobile)",
        r"remains? (?:\w+ly )?(?:confined|limited|restricted|separate|preserved|spared|"
        r"attached|in contact|in continuity)\w*",
        r"changes? (?:to|in|of) (?:the )?(?:management|therapy|treatment|medication|protocol|plan)",
        r"(?:time )?interval (?:from|to|until|after)\b",
        r"(?:in|de)creasing (?:fill|enhanc|opacif|centripetal|contrast|wash)[\w-]*",
        r"(?<!than )(?:prior|previous|earlier|recent|old) (?:[\w-]+ ){0,2}?\w+(?:otom|oscop|opex|"
        r"rrhaph|odes|plast)(?:y|is|ies)\b",
        r"remains? in (?:\w+ )?continuity",
    ),
    "de": (
        r"patient(?:in|en)?,? (?:ist |war |aktuell |derzeit |klinisch )*(?:kreislauf)?(?:in)?stabil"
        r"(?!\w)",
        r"(?:rechts|links|re\.|li\.|rechte\w*|linke\w*)(?!\w)(?=[^;]* (?:vs|versus)\.? \d)"
        r"(?:[^.;]|\.\d){0,90}?(?:links|rechts|linke\w*|rechte\w*|gegenseite)(?!\w)"
        r"(?:[^.;]|\.\d){0,60}? (?:vs|versus)\.? \d",
        r"(?:als )?letzte[rsmn]? (?:gefaess|seiten|teilungs|abgehend\w* )?(?:ast|aeste|abgang)\b",
        r"(?:narbig|fibrotisch|bindegewebig|postspezifisch|kongenital) (?:ge|ver)schrumpft",
        r"(?:keine?|ohne) (?:relevanten |externen |bildgebenden )?(?:vor\w+|vergleichs\w+|aelteren "
        r"aufnahmen)\b"
        r"[^.;,]{0,120}(?:vor(?=[.;,]|$)|vorliegend|verfuegbar|verfuegung|vergleich|vorhanden|"
        r"moeglich)?",
        r"(?:voraufnahmen?|voruntersuchung(?:en)?|vorbefunde?|vorbilder|vergleichsaufnahmen|"
        r"vergleichsuntersuchung(?:en)?)"
        r"\s+(?:(?:liegen|liegt|sind|ist|stehen|steht|lagen|lag|existieren)\s+(?:zum vergleich |"
        r"aktuell |hier )?nicht[^.;]*|nicht (?:vorliegend|verfuegbar|zur verf\w+|zum "
        r"vergleich)[^.;]*)",
        r"(?:ein )?vergleich (?:ist )?nicht moeglich|kein vergleich\w*[^.;,]*",
        r"(?:im|in) seitenvergleich",
        r"(?:im )?(?:direkten )?vergleich (?:zur|zum|mit der|mit dem|zu|mit) (?:kontralateralen?|"
        r"gegenseite|linken?|rechten?|"
        r"links|rechts|anderen|gesunden|uebrigen|umgebenden?|muskulatur|leber|milz|normal\w*|"
        r"restlichen|umliegenden?|parenchym|"
        r"nativ\w*|arterielle\w*|nierenparenchym|knochen|skelettmuskulatur|aorta|altersnorm|norm|"
        r"kollektiv|hirnrinde)\w*",
        r"im verlauf (?:der|des|von|eines|einer)\b(?! (?:letzten|vergangenen|therapie|behandlung|"
        r"zeit))",
        # Advice. It ends at a comma or colon, because a comparison may follow there.
        r"(?:verlaufs\w+|kontroll\w+|\w+-kontroll\w*|\w+kontrollen?|follow-up|nachsorge\w*|"
        r"re-?evaluation|re-?staging|(?:erneut|neuerlich|wiederholt|weiter|nochmalig|baldig|"
        r"zeitnah|kurzfristig|neu)\w* (?:[\w-]+ ){0,3}?[\w-]*(?:ct|mrt|mr|kontrollen?|bildgebung|"
        r"untersuchung|sono\w*|punktion|biopsie|aufnahmen?|vorstellung|staging|abklaerung|"
        r"diagnostik|szintigra\w+|\w+skopie|ultraschall\w*|pet|vergleich|messung|probe\w*))\b"
        r"[^.;:,]{0,120}?(?:empf\w+|angeraten|anzuraten|erwaeg\w*|ratsam|indiziert|sinnvoll|"
        r"erforderlich|anzustreben|vorgeschlagen|wuenschenswert|hilfreich|notwendig|geboten|"
        r"geplant|vorgesehen|angezeigt|veranlass\w*|durchzufuehren|noetig|erbeten|anberaumt|"
        r"nahegelegt|sollte\w*|koennte\w*|vorschlag\w*)\b[^.;:,]{0,120}"
        r"(?:, (?:um|ob|da|damit|falls|sofern|zum|zur|bzw|oder) [^.;:,]*)*",
        r"(?:verlaufs\w+|kontroll\w+|\w+-kontroll\w*|\w+kontrolle|follow-up|nachsorge\w*)"
        r"(?: [\w-]+){0,3}? (?:in|nach|binnen|innerhalb von) (?:\w+ )?\d+(?: ?(?:-|bis) ?\d+)? "
        r"(?:tag|woch|monat|jahr)\w*(?: (?:zum|zur|um) [^.;:,]*)?",
        r"(?:empf\w+|angeraten|ratsam|vorgeschlagen|zu erwaegen|erwaegen|anzuraten)\b[^.;:]{0,120}"
        r"(?:kontrolle|verlauf\w*|vergleich\w*|abgleich|befund\w*|progred\w*|erneut\w*|vor\w+|"
        r"bildgebung|dynamik|neu\w*)[^.;:,]*",
        r"(?:zum|zur|frage nach|die frage|fragestellung:?|frage:?|hinsichtlich|bezueglich|"
        r"bzgl\.?|auf) (?:ausschluss|beurteilung|kontrolle|dokumentation|frage|evaluation|"
        r"evaluierung|abklaerung|erfassung|nachweis|bestaetigung|sicherung|objektivierung|"
        r"einschaetzung|ueberpruefung|feststellung|\w*ueberwachung)?(?: (?:der|des|einer|eines|"
        r"von|auf|nach|ob|ein\w*))* ?(?:(?:\w+ ){0,2}?(?:\w*progress\w*|\w*progredienz|"
        r"\w*dynamik|\w*konstanz|regress\w*|regredienz|rueckbildung\w*|\w*zunahme|wachstum\w*|"
        r"\w*ansprechen\w*|neu\w*|\w*remission|stabilitaet|befundaenderung|persistenz))"
        r"(?=[^.;:,]{0,120}(?:kontroll|ratsam|empf|sinnvoll|indiziert|erwaeg|ct|mrt|untersuch|"
        r"bildgebung|erfolgt|\?|\x00)|\?|[.]?$)",
        r"(?:\w*progress|\w*progredienz|\w*ansprechen|remission|regress|dynamik|regredienz) ?\?",
        r"bitte\b[^.;:]*",
        r"(?:falls|sofern|soweit|wenn(?! auch)|solange) [^.;:,]*",
        # The examination before a therapy with which later ones will be compared.
        r"(?:erst|ausgangs|initial|basis|baseline)-?\s?(?:untersuchung|befund|staging|aufnahme|"
        r"bildgebung|ct|mrt|diagnostik|status)\w*(?: [\w-]+){0,2}? (?:im haus\w*|hier|in unsere\w+|"
        r"am hiesigen|am haus\w*|bei uns|vor (?:geplant|beginn|einleitung|start|\w*therapie|"
        r"\w*transplantation|der|dem|einer|einem|op|operation|\w+stellung)\w*|bei (?:v\. ?a|"
        r"verdacht|neu|erst)\w*|fuer|praetherapeutisch\w*|ohne)\b",
        r"^(?:\w+e?s? )?(?:erst|ausgangs|baseline-?)(?:untersuchung|befund|staging|aufnahme|"
        r"bildgebung|ct|mrt|status)(?=[.:,;]|$)",
        r"(?<!er )als (?:neuer |neue |kuenftige[rs]? |spaetere[rs]? )?(?:ausgangs|referenz|"
        r"vergleichs|basis)\w+(?= |[.,;]|$)(?! vom)|dien\w* als (?:\w+ )?(?:baseline|\w+befund|"
        r"\w+untersuchung)",
        r"baseline(?:-?\w+)? (?:vor|fuer|zum)\b",
        # The clinical course and what is asked of the examination.
        r"klin(?:isch|ische[rsnm]?|\.) (?!und (?:bild|radio|morph))(?:v\. ?a\.? "
        r")?[^.;,:]{0,50}?(?:progred\w*|"
        r"progress\w*|regred\w*|ruecklaeufig\w*|(?:in)?stabil\w*|gebessert\w*|verbesser\w*|"
        r"besserung|verschlechter\w*|unveraendert\w*|zunahme|zunehmend\w*|abnehmend\w*|"
        r"remission|ansprechen|persistier\w*|neu\w*|weiterhin|erneut\w*|verlauf)\b(?: seit \w+)?",
        r"^(?:anamnese|anamnestisch|indikation|klinik|klinische angaben?|klinische frage\w*|"
        r"vorgeschichte|fragestellung|rechtfertigende indikation|klinische information\w*|"
        r"diagnosen?|vorerkrankungen|angaben)\b ?:?"
        r"(?:(?!vergleich|voruntersuch|voraufnahm|vorbefund|\bvu\b)[^.;])*",
        r"(?:bei|nach) (?:seit )?(?:\d{4}|jahren) bekannt\w* (?:morbus|m\.|\w+erkrankung)",
        # The enhancement changes from phase to phase.
        r"(?:fuell\w*|reicher\w*|kontrastier\w*|demarkier\w*) (?:sich )?(?:\w+ ){0,3}?"
        r"zunehmend\w*",
        r"(?:zu|ab)nehmend\w* (?:[\w-]+ ){0,3}?(?:zentripetal\w*|von peripher|aufgefuellt|"
        r"auffuellend|kontrastier\w*|anreicher\w*|homogenisier\w*|auswasch\w*|iris\w*|"
        r"fuellend\w*|kontrastmittel\w*)",
        r"(?:unveraendert|konstant|stabil|persistier\w*|weiterhin|gleichbleibend|bleib\w*)\w* "
        r"[^.;,]{0,40}?(?:in|im|ueber|zwischen|waehrend|auf) (?:den |der |dem |allen |beiden |"
        r"saemtlichen )*(?:\w*sequenz\w*|\w*phasen?|serien|\w*akquisition\w*|messung\w*|"
        r"messdauer|aufnahmezeit|spaet\w*|gesamten (?:untersuchung|messung|aufnahme))",
        # The patient, the apparatus or a joint may be stable or new.
        r"(?:in)?stabile?[nrsm]? (?:\w+ )?(?:lagerung|patienten\w*|atem\w*|atmung|gelenk\w*|"
        r"kniegelenk|syndesmose|bandverh\w+|sinusrhythmus|frequenz|plaque\w*|allgemeinzustand|"
        r"vital\w*|signal\w*|kreislauf\w*|herz\w*|montage)",
        r"stabil\w* (?:[\w-]+ ){0,4}?(?:in|bei|unter|auf) (?:\w+ )?(?:inklination|reklination|"
        r"flexion|extension|stress|belastung|funktion|traktion|ante|varus|valgus)\w*",
        r"neue[nrms]? (?:[\w-]+ ){0,2}?[\w-]*(?:geraet|scanner|tomograph|tomographen|detektor|"
        r"spule|software|ct|mrt|tesla|sequenz|workstation|gantry|protokoll|version|system|"
        r"technik|leitlinie|klassifikation|untersuchungstisch|kontrastmittel|tracer)s?\b",
        # Places and phases, not times.
        r"(?:bereits|schon) (?:in|im|auf|bei|an|am) (?:der |dem |den )?(?:hoehe|bereich|segment|"
        r"proximal|distal|hilus|becken|hals|niveau|ober|unter|mittler|ruhe|stand|abgang|ursprung|"
        r"lumen|gering|leicht|normal|inspiration|exspiration|frueh|scout|topogramm|uebersicht|"
        r"localizer|planung|einstrom|aufzweig|bifurkation|karina|carina)\w*",
        r"fehlend\w* (?:\w+ )?(?:vor|vergleichs|fremd|alt|auswaertig|extern|aelter)\w*"
        r"(?: (?:aufnahm|bild|befund|untersuchung)\w*)?",
        r"(?:vor|fremd|vergleichs|alt)(?:aufnahm|untersuch|befund|bild|studie|ct|mrt)\w* "
        r"[^.;,:]{0,120}"
        r"(?:angefordert|ausstehend|fehlen|fehlend|unbekannt|archiviert|nachgereicht|"
        r"nachreich\w*|stehen aus|steht aus|vermisst)\b[^.;,]*",
        r"(?:auswaertig|extern|aelter|frueher|alt)\w* (?:vor\w+|bilder|aufnahmen|untersuchung\w*|"
        r"befunde?|ct|mrt|cts|mrts|bildgebung) [^.;,:]{0,120}(?:angefordert|ausstehend|fehlen|"
        r"fehlt|"
        r"unbekannt|nicht|nachgereicht|stehen aus|steht aus)\b[^.;,]*",
        r"abgleich mit (?:vor\w+|aelteren\w*)[^.;]{0,120}(?:empfohlen|ratsam|sinnvoll|"
        r"erforderlich)[^.;]*",
        r"(?:stabile?[nrs]?|instabile?[nrs]?) (?:fraktur|verletzung|bruch|seitenlage|kreislauf|"
        r"wirbel\w+fraktur|situation des kreislaufs|"
        r"angina|osteosynthese|fixat\w+|verankerung|beckenring\w*)\w*",
        r"(?:kreislauf|haemodynamisch|klinisch|kardiopulmonal|biomechanisch|mechanisch|"
        r"respiratorisch)\s?stabil\w*",
        r"station(?:ae)re?[nrsm]? (?:aufnahme|behandlung|patient|aufenthalt|therapie|"
        r"ueberwachung|einweisung|vorstellung|betreuung|"
        r"abklaerung)\w*|stationaer auf\w*",
        r"weder (?:(?!\w*(?:neu|progred|regred|veraend|zunehm|vergleich|vor|persist))[\w/-]+[ ,]+)*"
        r"noch",
        r"nach (?:kaudal|kranial|distal|proximal|dorsal|ventral|peripher|basal|apikal|lateral|"
        r"medial|oben|unten) (?:hin )?(?:zu|ab)nehmend\w*",
        r"(?:zunehmende?[nrs]?|abnehmende?[nrs]?) (?:verschmaelerung|weite|aufweitung|breite) nach",
        r"(?:zu|ab)nahme (?:der |des )?(?:signal|dichte|schwaechung|kontrast|echogen|diffusion|"
        r"perfusion|speicherung)\w*",
        r"progrediente?[nrs]? (?:kontrast\w*|anreicherung|enhancement|km-\w*|fuellung)\w*",
        r"mehr als|mehr oder weniger|nicht mehr als|mehr rechts|mehr links",
        r"(?:zu|ab)nehmende?[nrs]? (?:kontrast|km|anreicherung|fuellung|signal|enhancement)\w*",
        r"neu(?:ro|ral|ronal|rinom|rit|rom|rologisch|tral|geboren|gebor)\w*",
        r"wachstums(?:fuge|fugen|stoerung|hormon|zone|plan)\w*",
        r"neue[nrms]? (?:version|bundesland|protokoll|geraet)\w*",
        r"(?:vor|frueher)(?:bestrahl|operier|behandel)\w*",
        r"konstante?[nrs]? (?:winkel|abstand|schichtdicke|druck|weite ueber)\w*",
        r"wieder (?:verschluss|aufnahme|verschlossen werden)|wiederholt",
        r"(?:fruehere?[nrms]?|vorherige?[nrms]?|alte?[nrms]?|letzte?[nrms]?) "
        r"(?:\w+-)?(?:operation|op|fraktur|trauma|resektion|biopsie|bestrahlung|"
        r"infarkt|blutung|eingriff|chemotherapie|rippen\w*|entzuendung|pankreatitis|rippe|"
        r"menstruation|periode|lendenwirbel\w*|wirbel\w*)\w*",
        r"seit (?:geburt|kindheit|heute|dem unfall|dem sturz)",
        r"seit (?:(?:vielen|mehreren|einigen|langen|wenigen|\d+) )?(?:tagen?|wochen?|monaten?|"
        r"jahren?|stunden?)\b(?! (?:\w+ )?(?:bekannt|unveraendert|konstant|dokumentiert|stabil|"
        r"nachweisbar|beschrieben|sichtbar|vorhanden|bestehend)(?!\w| (?:diabetes|hypertonie)))",
        # Symptoms and values of the laboratory are no findings of an image.
        r"(?:neu|neue[rsnm]?|neu aufgetreten\w*|neuaufgetreten\w*|zunehmend\w*|progredient\w*|"
        r"persistier\w*|persistent\w*|erneut\w*|wieder|weiterhin|jetzt|nun|inzwischen|"
        r"unveraendert\w*|"
        r"zuletzt|frueher|bisher|seit \w+) (?:\w+[ -]){0,3}?(?:\w*schmerz\w*|dyspnoe|luftnot|"
        r"atemnot|"
        r"husten|fieber\w*|\w*parese\w*|schwaeche|uebelkeit|erbrechen|ikterus|diarrhoe|durchfall|"
        r"krampfanf\w+|synkop\w+|schwindel|gewichtsverlust|beschwerde\w*|symptom\w*|crp\w*|cea\w*|"
        r"psa\w*|entzuendungs(?:wert|parameter)\w*|kreatinin\w*|bilirubin\w*|leukozyt\w*|"
        r"tumormarker\w*|haematurie|haemoptys\w+|dysphagie|inkontinenz|gangstoerung|"
        r"sensibilitaets\w+|taubheit\w*|aphasie|sehstoerung\w*|verwirrtheit|vigilanz\w*|"
        r"sauerstoffbedarf|nachtschweiss|nikotin\w*|raucher\w*|alkohol\w*)",
        r"(?:diabetes|morbus \w+|m\. ?\w+|\w*insuffizienz|\w*hypertonie|copd|asthma\w*|"
        r"\w*erkrankung|"
        r"\w*arthritis|\w*sklerose|\w*leiden|\w*syndrom|epilepsie|\w*schmerz\w*)[^.;,]{0,12} seit "
        r"(?:\w+ ){0,2}(?:jahren?|monaten?|wochen?|\d{4}) (?:bekannt|bestehend)",
        r"seit (?:etwa |ca\.? |rund |mehr als |ueber |knapp )*(?:\d+|ein\w*|wenig\w*|mehrer\w*|"
        r"viel\w*|"
        r"zwei|drei|vier|fuenf|sechs|sieben|acht|neun|zehn|zwoelf) (?:tag|woch|monat|jahr|"
        r"stund)\w*(?!\w)(?! (?:\w+ )?(?:bekannt|unveraendert|konstant|dokumentiert|stabil|"
        r"nachweisbar|beschrieben|sichtbar|vorhanden|bestehend)(?!\w))",
        r"seit (?:einem |dem |der |seinem |ihrem )?(?:unfall|sturz|trauma|operation|op|eingriff|"
        r"geburt|kindheit|jugend|aufnahme|diagnose|menopause)(?![- ]?(?:ct|mrt|roentgen))\b",
        r"(?:dialyse\w*|\w*schmerz\w*|beschwerden|symptome|fieber|husten|nikotin\w*|raucher\w*|"
        r"\w*therapie|hiv\w*|diabetes\w*|leberzirrhose|herzkrankheit|khk|sklerose|hepatitis|"
        r"erkrankung|\w+pflichtig\w*|marcumar\w*|schrittmacher) (?:bekannt |bestehend )?seit",
        r"persistier\w* (?:(?:linke|obere|linksseitige|offene|embryonale|fetale)[rsnm]? "
        r")*(?:hohlvene|"
        r"vena cava|v\.? cava|foramen|ductus|lappung\w*|renkulierung|lobulierung|urachus|thymus\w*|"
        r"truncus|sutura|a\. hypo\w*)\w*",
        r"(?:infiltrativ|exophytisch|endophytisch|invasiv|lepidisch|expansiv|destruierend|"
        r"verdraengend|infiltrierend|intraduktal)\w* wachs\w*|wachstums(?:muster|richtung)\w*",
        r"(?:bereits|schon) (?:in|im|nach|bei|auf) (?:der |den |dem )?(?:\w+ )?(?:phase|nativ\w*|"
        r"arteriell\w*|"
        r"\w*phase|t1|t2|ruhe|km-\w*|kontrastmittel\w*)\w*",
        r"(?:vor|fremd|vergleichs)(?:aufnahm|untersuch|befund|bild|studie|ct|mrt)\w* (?:\w+ "
        r")?(?:waren|"
        r"sind|liegen|liegt|lagen|lag|konnten|wurden|stehen|standen|war|ist)[^.;,]*nicht[^.;]*",
        r"(?:mangels|in ermangelung|bei fehlenden|ohne) (?:\w+ )?(?:vor|fremd|vergleichs)"
        r"(?:aufnahm|untersuch|befund|bild|studie|ct|mrt|liegen)\w*[^.;]*",
        r"vergleich\w*[^.;,]{0,120}(?:nicht moeglich|unmoeglich|nicht durchfuehrbar|"
        r"entfaellt)[^.;,]*",
        r"(?:abgleich|vergleich|korrelation) mit[^.;]{0,120}(?:waere|empfohlen|hilfreich|sinnvoll|"
        r"wuenschenswert|ratsam|erforderlich|angeraten)\w*",
        r"wachstum (?:des |der |eines |einer )?\w+ (?:in|durch|entlang|ueber)\b(?! de[nr] letzten)",
        r"(?:haemodynamik|kreislauf\w*|vitalparameter) (?:ist |sind )?(?:in)?stabil\w*",
        r"(?:zu|ab)nehmend\w* (?:\w+ ){1,2}nach (?:kaudal|kranial|distal|proximal|dorsal|ventral|"
        r"peripher|basal|apikal)",
        r"konstante?[rsnm]? (?:wand\w*|kaliber|weite|breite|hoehe|lumen\w*|abstand)"
        r"(?=[^.;,]* (?:entlang|ueber|in allen|im gesamten|in der gesamten|auf ganzer|bis zu[mr])"
        r"(?!\w))",
        r"konstante?[rsnm]? (?:abstand|schichtdicke|wandstaerke)",
        r"(?:seit|in) (?:der )?(?:menarche|pubertaet)",
        r"(?:patient|patientin|pat\.?|sie|er|kind)s? [^.;,]{0,40}?(?:wieder|erneut|jetzt|nun|"
        r"inzwischen|weiterhin|hat sich[^.;,]{0,60}|seit \w+)\b",
        r"hat sich (?:\w+ ){0,4}?(?:vorgestellt|verletzt|bewegt|zugezogen|bewaehrt|verhoben|"
        r"gestossen|geschnitten|entschieden|entschlossen)",
        r"wieder (?:auf|in) (?:die |der )?(?:\w*station|stationaer|ambulan|haeuslich)\w*",
        r"(?:zu|ab)nahme [^.;,]{0,50}? nach (?:kaudal|kranial|distal|proximal|dorsal|ventral|"
        r"peripher|basal|apikal|lateral|medial|zentral|unten|oben)\w*",
        r"erneut\w* (?:(?:kontrastmittel|km-?)?(?:gabe|applikation|injektion)|akquisition|scan|"
        r"messung|punktion|lagerung|\w*sequenz|anlage|planung)\b",
        r"stabil\w* (?:\w+ )?verhaeltnisse (?:der|von|des) (?:haemo|kreislauf|atm|patient)\w*",
        r"(?:ein\w* |die |der |das )?(?:\w*progress\w*|progredienz|\w*dynamik|neuauftreten|"
        r"verlauf\w*|"
        r"stabilitaet|\w*aenderung\w*|\w*wachstum|\w*zunahme|alter) [^.;:]{0,80}?(?:nicht (?:\w+ )?"
        r"(?:beurteil|moeglich|einschaetz|einzuschaetz|mach|zu beurteil|festzulegen)\w*|(?:ohne|"
        r"mangels|(?:bei|wegen) fehlend\w*) (?:\w+ )?(?:vor|vergleichs)\w+|\x00+)[^.;]*",
        r"um (?:\w+ ){0,3}?(?:mm|cm|drittel|haelfte|%|prozent) \w+er als (?:die |der |das |auf "
        r"der |"
        r"am )*(?:link|recht|gegen|kontralateral|norm|ueblich)\w*",
        r"(?:\w*schmerz\w*|beschwerden|symptom\w*|fieber|husten|dyspnoe|luftnot|atemnot|ikterus|"
        r"schwindel|parese|hemiparese|crp|psa|cea|tumormarker|entzuendungswerte) (?:[\w\x00-]+ "
        r"){0,6}?"
        r"(?:seit|unveraendert|zunehmend|progredient|ruecklaeufig|persistier\w*|weiterhin|neu|"
        r"erneut|regredient|gebessert|verschlechtert|zugenommen|abgenommen|angestiegen|wieder|"
        r"stabil|konstant|verstaerkt|(?:ge|ver)\w+t|\x00+)\b[^.;,]*",
        r"im (?:(?:weiteren|gesamten|ganzen|\w+alen|\w+ellen) )?verlauf (?:der|des|von|eines|einer)"
        r" (?!letzten|vergangenen|\w*therapie|behandlung|zeit|beobachtung)",
        r"(?:im|in) (?:direkten )?vergleich (?:zu|zur|zum|mit)(?: der| dem| den)? "
        r"(?!\w*(?:vor|unters|aufnahm|befund|ct|mrt|mr|bild|studi|letzt|frueh|extern|ausw|alt|"
        r"aelt|gester|sono|roent|pet|vu|va|kontroll|damal|staging|scan|ausgang|erst|initial|"
        r"baseline|juengst|diagnos|therap|nadir|\d|jaen|januar|feb|maerz|april|mai|juni|juli|aug|"
        r"sept|okt|nov|dez|ersten|zweiten|zuletzt|jahr|tag|woche|monat))\w+",
        r"(?:kontrastmittel|km-|anreicherung|signal|enhancement|kurve|perfusion)\w* "
        r"[^.;,]{0,40}?im "
        r"(?:zeitlichen )?verlauf (?:ansteigend|abfallend|zunehmend|abnehmend|plateau\w*)",
        r"(?:wir )?bitten? (?:um|wir|daher|hoeflich)\b[^.;:]*",
        r"(?:die |der |das )?(?:linke|rechte)[rsn]? (?:niere|lunge|nebenniere|seite|hippocampus|"
        r"\w*ventrikel|vorhof|\w*lappen|hoden|ovar|mamma|lungenfluegel|thoraxhaelfte|a\. "
        r"vertebralis|\w*arterie|\w*vene|hilus|zwerchfell\w*|kieferhoehle|psoas\w*) (?:ist |stellt "
        r"sich |erscheint )?(?:\w+ )?(?:groesser|kleiner|schmaler|breiter|dicker|"
        r"duenner|kraeftiger|laenger|kuerzer|schlanker|plumper|dichter|enger|staerker|schwaecher|"
        r"heller|dunkler|geringer|hoeher|tiefer|besser|schlechter|ausgepraegter)(?=[.,;)]|$)",
        r"(?:zunehmend|progredient|neu|persistierend|anhaltend|ruecklaeufig|unveraendert)\w* "
        r"(?:muedigkeit|appetit\w*|abgeschlagenheit|schlappheit|leistungs\w+|vergesslichkeit|"
        r"gangunsicherheit|schluck\w+|heiserkeit|stuhl\w+|unterbauch\w+|oberbauch\w+|sturz\w*|"
        r"juckreiz|tinnitus|hoermind\w+|dysurie|kraftmind\w+|laehmung\w*|unruhe|spastik)",
        r"klin(?:isch|\.) (?:\w+ ){0,2}?(?:bislang|bisher|seit|wieder|jetzt|derzeit)",
        r"erneut (?:gemessen|durchgefuehrt|akquiriert|aufgenommen|gestartet|angefertigt|"
        r"wiederholt|gescannt|injiziert|punktiert|vorgestellt|einbestellt|erfolgt)",
        r"neue[rnms]? (?:patient|kolleg|praxis|jahr|abteilung|raeum|standort|zuweis|team|ueberweis|"
        r"personal|adresse|anschrift)\w*",
        r"(?:vormals|ehemals|ehemalig\w*|frueher\w*|bislang|bisher) (?:\w+ )?(?:\w*raucher|nikotin|"
        r"alkohol|sportler|gesund|beschwerdefrei|asymptomatisch|unbehandelt)\w*",
        r"ha(?:t|ben) sich [^.;,]{0,40}?(?:serie|phase|km-|kontrastm|sequenz)\w*[^.;,]*",
        r"(?:verbesser|verschlechter|zunahme|abnahme)\w* (?:der |des )?(?:bild|aufloes|beurteil|"
        r"kontrast|signal|qualit|sensitiv|untersuchungsqual|aussage)\w*",
        r"(?:\w*niere|lunge|hippocampus|\w*ventrikel|vorhof|hoden|ovar|mamma|schilddruese|"
        r"\w*lappen) (?:ist |erscheint )?(?:links|rechts) (?:ist |erscheint )?(?:\w+ "
        r")?(?:groesser|kleiner|schmaler|breiter|dicker|"
        r"duenner|kraeftiger|laenger|kuerzer|schlanker|plumper|dichter|enger|staerker|schwaecher|"
        r"heller|dunkler|geringer|hoeher|tiefer|besser|schlechter|ausgepraegter)(?=[.,;)]|$)",
        r"bei (?:\w+ )?(?:persist\w*|progred\w*|verschlechter\w*|zunahme|fortbestehen\w*|"
        r"anhalten\w*|besserung) (?:der |von |des )?(?:\w+ )?(?:symptom|beschwerd|schmerz|"
        r"klinik)\w*",
        r"konstante?[rsnm]? (?:atem|bildqual|geschwindigkeit|flussrate|temperatur)\w*",
        r"(?:zunehmend|progredient|neu|persistierend|anhaltend)\w* (?:\w*kribbel|\w*paraesthes|"
        r"\w*schwaeche|\w*krampf|medikation|dosis)\w*",
        r"unveraenderte[rsnm]? (?:klinik|symptomatik|beschwerd|medikation|therapie|dosis|"
        r"klinisch)\w*|stabilisierung (?:mittels|durch|mit|der wirbel|des kreis)\b|"
        r"wachstums(?:bedingt|alter|potenz|phase|schub)\w*",
        r"(?:verdacht auf|v\. ?a\.?|ausschluss) (?:\w+ )?(?:\w*progress\w*|\w*progredienz)"
        r"(?=[.,;?]|$| bei| unter)",
        r"wachsende[rsnm]? (?:skelett|knochen|kind|organismus)\w*",
        r"neu (?:installier|beschafft|angeschafft|eingefuehrt|aufgebaut|zugewiesen|"
        r"diagnostizier)\w*",
        r"(?:weiterhin|erneut) (?:[\w-]+ ){0,3}?(?:empfohlen|indiziert|ratsam|erforderlich|"
        r"notwendig|angeraten)",
        r"(?:progred\w*|progress|verschlechterung|besserung|stabil\w*|regredien\w*) klinisch",
        r"zum vergleich [^.;]{0,60}?(?:kein|nicht|fehl)\w*[^.;]*",
        r"(?:erfolgt\w*|durchgefuehrt|geplant) (?:jetzt|nun|nunmehr)",
        r"unveraendert\w* (?:beurteilbarkeit|bildqualitaet|untersuchungs|artefakt|technik)\w*",
    ),
}

# Any of these is a comparison with an earlier study.
FIND = {
    "en": (
        r"{size} (?:vs\.?|versus) \d+(?:[.,]\d+)? ?(?:mm|cm|ml)(?=[.,;)]|$)|"
        r"(?:absent|not (?:present|seen|visible|there)|missing) "
        r"(?:on|at) (?:admission|presentation|discharge|baseline)|"
        r"compared (?:to|with)|in comparison|comparison(?: is)? made|comparison (?:to|with)|by "
        r"comparison|"
        r"{prior} (?:\w+ ){{0,3}}?{study_en}\b|priors?\b|previous\b|previously|formerly|earlier|"
        r"since (?:the )?(?:{prior}|{study_en}|{date}|then)|\bsince\b|"
        r"unchanged|unaltered|(?:no|without) (?:(?:any|significant|relevant|interval|appreciable|"
        r"substantial|definite|further|major|essential|notable|size|clear|obvious|marked|real|"
        r"overall|measurable|important|noticeable|visible) ){{0,3}}(?:changes?\b(?! of| in (?:"
        r"signal|density|caliber|calibre))|alterations?(?= in size| since|[.,;]|$)|progress\w*|"
        r"growth)|"
        r"not (?:\w+ )?changed|changed\b|no (?:\w+ ){{0,2}}?(?:interval|progression|progress|"
        r"growth|regression)|"
        r"stable\b|stability|stably|interval\b|in the interim|interim|baseline|"
        r"again\b|re-?demonstrat\w+|re-?identified|persist\w*|persistence|continu(?:ed|es|ing) "
        r"(?:to )?\w+|still\b|"
        r"ha(?:s|ve) (?:\w+ ){{0,3}}?(?:increased|decreased|enlarged|grown|progressed|regressed|"
        r"improved|worsened|"
        r"resolved|developed|appeared|disappeared|shrunk|diminished|become|evolved|changed|"
        r"cleared|reduced|declined)|"
        r"(?:increas|decreas|diminish|reduc)(?:ed|ing) (?:in )?(?:size|number|extent|volume|"
        r"diameter|amount)|"
        r"(?:increase|decrease|reduction) (?:in|of) (?:the )?(?:size|number|extent|volume|"
        r"diameter|amount|\w+ effusion|effusion)|"
        r"(?:increas|decreas)(?:ed|ing) (?:from|since)|(?:increasing|decreasing|enlarging|growing|"
        r"shrinking)\b|"
        r"(?:progression|regression)\b|progress(?:ed|ing)\b|regress(?:ed|ing)\b|progressive\b|"
        r"improv(?:ed|ing|ement)\b|worsen(?:ed|ing)?\b|resolv(?:ed|ing)\b|resolution of|complete "
        r"resolution|"
        r"(?:larger|smaller|more \w+|less \w+|better|worse|bigger) than (?:before|previously|on "
        r"the|in the (?:{prior}))|"
        r"\bgrown\b|\bgrew\b|\bgrowth\b|as before|than before|like before|"
        r"\bnow\b|\bnew(?:ly|er)?\b|no longer|not any ?more|any ?more\b|"
        r"(?:remain|remains|remained)\b|from {size} to {size}|in the meantime|meanwhile|"
        r"last (?:{study_en})|follow[- ]?up (?:shows|demonstrates|reveals)|on follow[- ]?up\b|for "
        r"the first time|old "
        r"(?:ct|mri|study)"
        r"|than (?:on|in) (?:the |a )?(?!t1|t2|flair|dwi|diffusion|arterial|venous|portal|delayed|"
        r"native|"
        r"unenhanced|coronal|axial|sagittal|contrast|lung|bone|other|out)(?:\w+ ){{0,1}}{study_en}|"
        r"status quo|deteriorat(?:ed|ing|ion)|aggravat(?:ed|ing|ion)|ameliorat(?:ed|ing|ion)|"
        r"lessen(?:ed|"
        r"ing)|"
        r"(?:newly )?emerged|re-?grown|re-?growth|became (?:\w+ )?\w+er|slow(?:ly)?[- ]growing|"
        r"as (?:already |previously )?known|(?:the|than in|since|in) first {study_en}|at that "
        r"time|"
        r"{day_en}:? (?:it was|they were|there were|was|were|measured)|then {size}|"
        r"(?:no|without) (?:\w+ ){{0,2}}dynamics|(?:versus|vs\.?|against) (?:the |an? "
        r")*(?:{study_en}|"
        r"{prior})|ha(?:s|ve) \w+(?:ed|en) further|(?:slight|mild|marked|moderate|clear|"
        r"significant|"
        r"minimal|interval|relevant|substantial) (?:increase|decrease)|(?:increase|decrease|"
        r"reduction) "
        r"in (?:width|length|thickness|prominence|conspicuity|calib\w+)|"
        r"at (?:the time of )?(?:first |initial |primary )?(?:diagnosis|presentation|admission):? "
        r"(?:still )?{size}|than (?:it|they) (?:was|were|used)|than at (?:first|the first|"
        r"baseline)|"
        r"re-?(?:inflated|aerated|ventilated|expanded|expansion|aeration)|evolution of|"
        r"(?:relative to|against|over|compared with|with respect to|in contrast to) {when_en}|"
        r"(?:yesterday|last (?:year|month|week|time))'?s|"
        r"(?:increase|decrease|growth|reduction|gain|rise|drop|decline|shrinkage) (?:of|by) "
        r"(?:about |"
        r"approximately |up to )?(?:{size}|half|a third)|"
        r"(?:increas|decreas|enlarg|shr[aiu]nk|grow|grew|larger|smaller|wider|thicker|bigger)\w* "
        r"by "
        r"(?:about |approximately )?(?:\d|half|a third|one|two|three)\S*|"
        r"(?:smaller|larger|bigger|fewer|less|better|improved) (?:\w+ )?(?:under|on|after|"
        r"following|"
        r"with) (?:\w+ )?(?:\w*therapy|treatment|antibiotic\w*|steroids?|anticoagulation|"
        r"diuretic\w*|"
        r"drainage)|(?:ct|mri|mr|study|exam\w*|scan|than|as) (?:of|from|dated|on) "
        r"\d{{1,2}}/\d{{1,2}}"
        r"(?:/\d{{2,4}})?|than {when_en}|(?:as|like|same as|identical to|similar to|comparable to|"
        r"comparable with|"
        r"different from|differen(?:ce|t) to|unlike|versus|vs\.?|from|since) {when_en}|"
        r"than (?:before|prior to)|"
        r"(?:not|never|already|also|first|still|only|barely|hardly|yet) (?:yet )?(?:present|seen|"
        r"visible|there|noted|detect\w+|appreciat\w+|identif\w+|existing|known|described|"
        r"demonstrated|visuali[sz]ed|apparent|documented|found) {when_en}|"
        r"(?:already|first|not yet) (?:present|seen|visible|there|noted|known|described|existing|"
        r"evident|apparent|demonstrated|visuali[sz]ed|identified|documented|reported|detected)|"
        r"(?:present|seen|visible|noted|described|found|reported|detected|demonstrated|documented|"
        r"known) (?:already |only |first )?(?:on|in|at|by|from)?(?: the)? ?{day_en}|"
        r"(?:measured|was|were) (?:\w+ )?{size} (?:in|on|at|by) {day_en}|measured {size}|"
        r"\((?:it )?(?:was|were|prev\w*\.?|prior|before|earlier|formerly|initially|originally|from|"
        r"then|at that time|last):? (?:about |ca\.? |approx\w*\.? |only |still )*{size}|"
        r"(?:up|down) from {size}|(?:initially|originally|formerly) (?:measur\w+ |up to |about "
        r")*{size}|{size} (?:in|on) {day_en}|{size} last (?:year|month|week|time)|"
        r"(?:at|since|from|in|during|to) (?:the )?last (?:visit|control|check-?up|follow-?up|"
        r"staging|"
        r"appointment|time)|"
        r"reced(?:e|es|ed|ing)|abat(?:ed|ing)|subsid(?:ed|ing|es)|dwindl(?:ed|ing)|regressive|"
        r"dissipat(?:ed|ing)|vanish(?:ed|ing)?|disappear(?:ed|ing|ance)?|shrank|shrinkage|"
        r"clearing|halved|halving|(?:has|have|nearly|almost|more than) (?:\w+ )?(?:doubled|"
        r"tripled)|"
        r"(?:doubled|tripled) (?:in|its|their|the|since|within|over)|doubling (?:of|in|time)|"
        r"ha(?:s|ve|d) (?:\w+ ){{0,2}}?(?:recurred|risen|dropped|returned|reappeared|receded|"
        r"subsided|shrunken|progressed|advanced|normali[sz]ed|resorbed)|re-?appear\w*|"
        r"re-?accumulat\w*|de novo|"
        r"constant(?=[.,;)]|$| (?:for|since|in size|over time|findings?|size|appearance|compared|"
        r"to|"
        r"with)\b)|size-constant|constancy of|known (?:for|since) (?:\w+ ){{0,2}}(?:years|months|"
        r"weeks|{day_en})|known (?:from|by) (?:the |an? )?(?:{prior}|{study_en})|"
        r"(?:identical|comparable|equal|equivalent) (?:to|with) (?:the |those of |that of )*"
        r"(?:{prior}|before)|(?:no different|differen(?:ce|t)) (?:from|to) (?:the )?(?:{prior}|"
        r"before)|over time|"
        r"response (?:of|to)|(?:partial|complete|mixed|good|excellent|treatment|therapeutic|"
        r"metabolic|poor|favou?rable|partially|no) response|respond(?:ed|ing) (?:\w+ )?to|ha(?:s|"
        r"ve) responded|"
        r"(?:partial|complete|in) remission|pre-?existing|pre-?described|"
        r"in (?:resolution|regression|progression)|"
        r"(?:lesions?|nodul\w*|mass(?:es)?|cysts?|effusions?|collections?|abscess\w*|"
        r"h(?:a)?ematomas?|"
        r"metasta\w+|nodes?|aneurysms?|thromb\w+|tumou?rs?|infiltrates?|opacit\w+|consolidations?|"
        r"pneumothorax|o?edema|herniations?|finding|findings)[^.,;:]{{0,40}}? (?:is|are|become|"
        r"became|appears?|looks?) {degree_en}(?:\w+ly |a little |a bit )?(?:larger|smaller|bigger|"
        r"better|worse|denser|thicker|thinner|wider|less \w+|more \w+)(?=[.,;)]|$| today| and)|"
        r"(?:larger|smaller|thinner|thicker|better|worse|bigger|less \w+|more \w+|{size}|visible|"
        r"seen|only) today|"
        r"(?:returned|back) to (?:normal|baseline)|normali[sz]ation of|has normali[sz]ed|"
        r"comparison: ?(?!none|no\b|not\b|n/a)\w+|progress\b|compared? (?:to|with|against)|"
        r"(?:on|in|than|as|from|with|to|by|per) (?:the |an? )?(?:\w+ )?{study_en} (?:of|from|in|on|"
        r"dated|at) (?:the )?{day_en}|"
        r"further (?:increase|decrease|progress\w*|regress\w*|reduction|growth|consolidat\w+|"
        r"improvement|decline|enlargement|healing|worsening|shrink\w+)|"
        r"fad(?:ed|ing)(?! (?:out|into))|wan(?:ed|ing)\b|melted away|died down|"
        r"(?:is|are|has|have|now|almost|nearly|completely|largely) (?:\w+ )?gone(?!\w)|"
        r"ha(?:s|ve) (?:\w+ly |since |also |almost |nearly ){{0,2}}(?:eased|settled|widened|"
        r"narrowed|thickened|"
        r"shortened|lengthened|lost (?:\w+ )?(?:size|volume|height|in)|gained|reverted|"
        r"recovered|reversed|"
        r"re-?formed|fallen|lessened|expanded|come down|gone|cleared|faded|waned)|"
        r"evolving|(?:expected|normal|usual|natural|typical|temporal) evolution|"
        r"stationary|static (?:disease|appearances?|findings?|lesions?|size|in|since)|"
        r"(?:is|are|remain\w*|appears?|largely|essentially|overall|quite|completely) "
        r"static(?=[.,;]|$)|"
        r"idem|unch\.|(?:no|without|w/o) (?:sig\.? |signif\.? |interval )*(?:chg|chng|change)\b|"
        r"identical (?:appearances?|findings?|size|extent|picture|position)|"
        r"already (?:\w+ )?(?:showed|shown|demonstrated|revealed|depicted|evident|mentioned|"
        r"reported|diagnosed|appreciated|displayed)|"
        r"{study_en} (?:\(?[^()]{{0,12}}\)? )?(?:from|by|of|at|performed at|done at) (?:the |an? "
        r"|another )*(?:referring|outside|other|external|local|another|previous)? ?(?:hospital|"
        r"institution|clinic|practice|centre|center|facility)|"
        r"(?:increased|decreased|reduced|diminished|lessened) (?:[\w-]+ ){{0,3}}?{fluctuates_en}|"
        r"(?:increase|decrease|reduction|rise|drop|decline) (?:of|in) (?:the )?"
        r"(?:[\w-]+ ){{0,2}}?{fluctuates_en}|"
        r"{size} (?:instead of|rather than) (?:\w+ )?{size}|{size} ?(?:->|=>|→|⇒) ?{size}|"
        r"in the intervening|(?:over|during|within|in) the (?:last|past|course of|preceding|"
        r"previous|intervening) (?:\w+ )?(?:days?|weeks?|months?|years?|decade|time|period|"
        r"treatment|therapy)|over (?:the )?(?:years|months|weeks)|since we last|"
        r"(?:it|they|this|which|that) (?:was|were) (?:not )?(?:already |still |only |barely )*"
        r"(?:seen|noted|there|present|visible|described|reported|absent) (?:then|before|earlier)|"
        r"(?:came|come|comes|coming) (?:back|up again|down)|(?:not|never) (?:returned|recurred)|"
        r"recurred|reappeared|"
        r"further (?:loss|collapse|compression|subsidence|displacement|dislocation|migration|"
        r"dilatation|dilation|widening|narrowing|thickening|destruction|spread|deterioration|"
        r"clearing|resolution|resorption|descent|expansion|extension|shift|drop|rise|new)\b|"
        r"ha(?:s|ve) (?:\w+ly |since |also |not )*(?:sprung up|cropped up|popped up|turned up|"
        r"arisen(?! from)|formed|multiplied|doubled|spread further|moved (?:up|down|further|back)|"
        r"opened up|closed|normali[sz]ed)|"
        r"(?:slow|steady|gradual|rapid|continuous|ongoing|mild|clear|definite|marked|visible) "
        r"(?:(?:but|and) \w+ )?(?:enlargement|expansion|shrinkage|reduction|rise|growth|"
        r"improvement|resorption|resolution|increase(?! in (?:cali|width|diam))|"
        r"decrease(?! in (?:cali|width|diam)))(?: of| in| since|[.,;]|$)|"
        r"first (?!diagnosed with)(?:\w+ ){{1,3}}(?:in|on) (?:the )?{day_en}|"
        r"(?:closing|settling|lessening|diminishing|retracting|filling in|drying up|dying down)"
        r"(?=[.,;]|$)|hold(?:s|ing)? (?:steady|constant)|(?:is|are|remain\w*|kept|stays?|stayed) "
        r"(?:steady|put)|"
        r"{size} (?:on|at|in|from|as of) (?:the )?(?:{prior}|admission|discharge|presentation|"
        r"diagnosis|referral)|{size} (?:before|earlier|previously|formerly|initially|yesterday|"
        r"then|originally|\d+ \w+ ago)(?=[).,;]|$)|"
        r"(?:absent|missing|intact|clear|smaller|larger|thinner|thicker|wider|normal|invisible) "
        r"(?:in|on|at) (?:the )?(?:{day_en}|{prior})|back (?:down |up )?to {size}|"
        r"{day_en} ?[:=] ?(?:about )?{size}|"
        r"(?:as|than) (?:it|they|those|these) (?:did|was|were|had|used)|"
        r"re-?(?:fill|expand|inflat|accumul|collaps|appear|open|dilat|occlud|bleed|narrow|"
        r"enlarg)(?:ed|ing|s|ation)?|re-?formed|"
        r"recurren(?:ce of|t) (?:the |an? )?(?:left |right |bilateral |\w+-sided )?(?:\w+ )?"
        r"(?:effusions?|pneumothorax|hydrothorax|ha?ematoma|ascites|atelectasis|collection|"
        r"abscess|bleeding|ha?emorrhage|hydronephrosis|stenosis|congestion|o?edema)|"
        r"(?:up|down) (?:by|from) {size}|"
        r"(?:tubes?|drains?|catheters?|lines?|picc|stents?|pigtail|port|wires?|probe|cannula|"
        r"balloon pump|electrodes?) (?:[\w-]+ ){{0,3}}?(?:has|have) (?:since |also )?been "
        r"(?:removed|"
        r"pulled|withdrawn|advanced|placed|inserted|exchanged|replaced|repositioned|retracted|"
        r"changed)|ha(?:s|ve) (?:since )?been (?:relieved|evacuated|decompressed)|"
        r"(?:is|are|appears?|looks?) (?:\w+ly |a little |a bit |much |somewhat )?(?:(?:more|less) "
        r"(?:advanced|extensive|conspicuous|prominent|pronounced|marked|dense|apparent|evident|"
        r"visible|swollen|distended|dilated|severe)|fewer)(?=[.,;)]|$| today)|"
        r"fewer(?! than)|less (?:\w+ )?(?:thickening|effusion|o?edema|fluid|air|gas|atelectasis|"
        r"consolidation|swelling|stranding|opacification|congestion|ascites|mass effect|"
        r"displacement|ha?emorrhage|blood)|continue to \w+|"
        r"ha(?:s|ve) (?:\w+ly |since |now )*(?:passed|dissolved|lysed|abated|softened|"
        r"cavitated|liquefied|coalesced|migrated further|stabili[sz]ed)|"
        r"under way|underway|on the (?:wane|rise|increase|decrease|decline|mend)|"
        r"resorption of (?:the )?(?:[\w-]+ ){{0,2}}?(?:blood|ha?ematoma|effusion|collection|"
        r"ascites|"
        r"ha?emorrhage|fluid|air|gas|o?edema|graft|contusion)|"
        r"(?:in|from|since) '\d\d(?!\d)|(?<=, )(?:was|were|had been|prev\w*) {size}|than in the "
        r"past|"
        r"(?:looks?|appears?|is|are|measures?) (?:much |exactly |about |largely |essentially )*the "
        r"same(?=[.,;]|$)|serial (?:imaging|ct|scans|exam\w*|radiographs|studies|mri|follow\S*)|"
        r"over (?:several|multiple|serial|successive|consecutive) (?:exam\w*|studies|scans|"
        r"years|months|weeks|mris|cts)|"
        r"(?:more|less) (?:pronounced|conspicuous|prominent|marked|extensive|dense|visible|"
        r"swollen|dilated|distended|severe|apparent|evident|advanced|intense|avid)(?=[.,;)]|$)|"
        r"(?:much|slightly|somewhat|clearly|considerably|markedly|significantly|a little|a bit|"
        r"marginally|minimally|mostly|partly) (?:smaller|larger|bigger|thinner|thicker|wider|"
        r"narrower|denser|shorter|longer|better|worse)(?=[.,;)]|$)|"
        r"(?:seen|noted|described|known|reported|documented|visible|present|identified) (?:before|"
        r"earlier|already|in the past)(?=[.,;)]|$)|over (?:a period of |about |the )*(?:\d+|two|"
        r"three|four|five|six|eight|ten|twelve|several|many) (?:day|week|month|year)s?|"
        r"[+-] ?\d+(?:[.,]\d+)? ?(?:mm|cm|ml|%) (?:in|over|since|within|compared|vs)|"
        r"re-?(?:ossif|calcif|minerali[sz])\w*|"
        r"nadir|(?:smaller|larger|bigger)(?=[.;)]|$)|"
        r"(?:some|others|several|most|many|the rest|the others?) (?:are |is |have become "
        r")?(?:larger|"
        r"smaller|bigger|new|unchanged)|"
        r"(?:no|without) (?:\w+ )?(?:expansion|increase|re-?bleeding)(?=[.,;]|$| of the ha?em| "
        r"since)|"
        r"not (?:\w+ly )?different(?=[.,;]|$)|ha(?:s|ve) (?:\w+ly )?(?:(?:moved|shifted|slipped) "
        r"(?:distally|proximally|cranially|caudally|further|back|up|down|upwards|downwards|"
        r"towards)|"
        r"migrated (?:distally|proximally|further))|involution of (?:the )?(?!thym)\w+|"
        r"development of (?:(?:a|an|the|new) )?(?:[\w-]+ ){{0,2}}?{fluctuates_en}|intervally|"
        r"(?:appears?|looks?) (?:very |broadly |grossly )?similar(?=[.,;]|$)|"
        r"(?<=, )(?:now )?(?:smaller|larger|bigger|thinner|thicker)(?=,)|"
        r"(?:than|as) on day \d+|increasingly (?!towards|caudal|distal|cranial|proximal)\w+|"
        r"gone(?=[.,;]|$)|than yesterday|since yesterday|"
        r"(?:similar|identical|comparable|equal) (?:in \w+ )?(?:to|with) (?:the |that |those |on |"
        r"of )*(?:\w+ )?{study_en}|down-?siz(?:ed|ing)|down-?stag(?:ed|ing)|"
        r"\d (?:mm|cm|ml) (?:\w+ ){{1,3}}ago|not (?:seen|visible|present|there|apparent|noted|"
        r"detected|"
        r"identified|described) (?:on|in|at) (?:the )?(?:trauma|admission|emergency|outside|first|"
        r"initial|planning|staging|screening) {study_en}|ha(?:s|ve) (?:extended|propagated)"
    ),
    "de": (
        r"{size} (?:vs\.?|versus) \d+(?:[.,]\d+)? ?(?:mm|cm|ml)(?=[.,;)]|$)|"
        r"{study_de}|vergleich\b(?=[^.;]*(?:vor|vom|{date}))|verglichen|vergleichsweise|im "
        r"vergleich\b|"
        r"vor(?:bestehend|bekannt|beschrieben|diagnostiziert)\w*|zur vu\b|\bvu\b|"
        r"unveraendert\w*|\bidem\b|\w*konstant\w*|\bstabil\w*|groessenstabil\w*|(?:groessen|"
        r"befund)?stationaer\w*|"
        r"(?:keine|ohne|kein) (?:\w+ ){{0,2}}?(?:aenderung|befundaenderung|groessenaenderung|"
        r"dynamik|befunddynamik|progress|"
        r"befundwandel|groessendynamik|befundveraenderung)\w*|"
        r"nicht (?:\w+ )?(?:veraendert|geaendert)|befundaenderung\w*|"
        r"\w*(?:progredien|regredien)\w*|"
        r"rueckl(?:ae)ufig\w*|"
        r"(?:groessen|befund|volumen|dichte|erguss|laengen)?(?:zu|ab)nahme\b(?! (?:der |des "
        r")?signal)|zugenommen\w*|abgenommen\w*|"
        r"groessenzuwachs|zuwachs\b|"
        r"(?:zu|ab)nehmend\w*|gewachsen\w*|groessenwachstum\w*|\bwachstum\w*|(?:groessen|"
        r"befund)?rueckgang\w*|"
        r"(?:zu)?rueckgebildet\w*|rueckbildung\w*|verschwunden|verbessert\w*|verbesserung\w*|"
        r"gebessert\w*|befundbesserung\w*|\bbesserung\w*|"
        r"verschlechter\w*|aufgeloest\w*|groesser geworden|kleiner geworden|verkleinert sich|"
        r"vergroessert sich|"
        r"hat sich\b[^.;]*(?:ver|ge|auf)\w+t\b|"
        r"persistier\w*|\bpersistent\w*|persistenz|befundpersistenz|fortbestehen\w*|unveraenderte?|"
        r"weiterbestehen\w*|"
        r"\berstmal(?:s|ig\w*)|weiterhin|nach wie vor|immer noch|noch immer|erneut\w*|\bwieder\b|"
        r"wiederum|"
        r"nicht mehr|kein\w*\b[^.;,]{{0,60}}?\bmehr\b|"
        r"\bneu(?:e|er|es|en|em)?\b|neuauftreten|neu aufgetreten\w*|neuaufgetreten\w*|neu "
        r"abgrenzbar|\bneuerlich\w*|"
        r"zwischenzeitlich\w*|mittlerweile|inzwischen|nunmehr|\bjetzt\b|\bnun\b|"
        r"\bzuvor\b|vormals|\bvorher(?:ig\w*)?|ehemals|\bfrueher\b|bisher\w*|\bseit\b|"
        r"im (?:weiteren |kurzfristigen |zeitlichen )?verlauf\b|verlaufsbeurteilung|"
        r"(?:wie|als) (?:zuvor|vorher|bereits)|bereits (?:in|im|bei|vor\w+|bekannt|zuvor|am|"
        r"nachweisbar|sichtbar|vorhanden|abgrenzbar|erkennbar|beschrieben)\b|"
        r"von {size} auf {size}|vom {date}(?=[^.;]*vergleich)"
        r"|(?:als|wie|gegenueber|seit|verglichen mit|vergleich (?:zu|zum|zur|mit)|identisch (?:mit|"
        r"zu|wie)|aehnlich(?: wie)?|vergleichbar(?: mit| zu)|unterschied (?:zu|zum|zur)|vs\.?|"
        r"versus|noch|bereits|schon|erstmals|zum) {when_de}|zuletzt|vorjahr\w*|vormonat\w*|"
        r"vortag\w*|"
        r"(?:im|am|seit|aus|anfang|mitte|ende) (?:{day_de}) (?:\w+ )?(?:noch|nicht|bereits|schon|"
        r"kein\w*|{size})|(?:war|waren|mass|massen) (?:(?:im|am|in|anfang|ende|mitte|jahr|jahre) )*"
        r"(?:{day_de}|{ago_de})|{size} (?:im jahr |im |am |in )?{day_de}|"
        r"(?:befund|untersuchung|ct|mrt|aufnahme|bild|kontrolle|studie|sonographie|sono|"
        r"roentgen\w*|"
        r"pet-ct|mr)\w* (?:\w+ )?{ago_de}|"
        r"(?:unterschied|differenz|aenderung|befundaenderung) (?:zu|zum|zur|gegenueber) (?:der |"
        r"dem |"
        r"den )?(?:{study_de}|befund|aufnahme|untersuchung)\w*|"
        r"(?:in|im|auf|zum|zur|als) (?:der |den |dem |einer )?(?:\w+en )?(?:sono\w*|ct\w*|mrt\w*|"
        r"mr|"
        r"roentgen\w*|pet\w*|szinti\w*|aufnahme|untersuchung) (?:vom|von|aus|im) {when_de}|"
        r"(?:auswaertig|extern|fremd)\w* (?:sono\w*|ct|mrt|mr|roentgen\w*|pet\w*|szinti\w*|"
        r"\w*untersuchung|aufnahmen?)\w*|fremd(?:befund|ct|mrt)\w*|"
        r"(?:damals|seinerzeit|dazumal|anfangs|bislang|bis dato)|initial (?:noch )?(?:ca\.? "
        r")?{size}|"
        r"hinzugekommen\w*|hinzugetreten\w*|dazugekommen\w*|neu hinzu\w*|"
        r"(?:nur|kaum|allenfalls|lediglich) noch|nurmehr|nur mehr|"
        r"(?:groessen)?gleich(?:bleibend|geblieben)\w*|groessengleich\w*|groessenident\w*|"
        r"\bidente?[rsnm]?|\w*konstanz|vergleich:? ?(?=\w+[^.;]*{day_de})|"
        r"ansprechen|\w*therapieansprechens?|tumoransprechen|\w*remission\w*|therapieerfolg|"
        r"normalisiert\w*|normalisierung|halbiert\w*|verdoppelt\w*|verdreifacht\w*|"
        r"\w+er geworden|weniger geworden|geschrumpft|zurueckgegangen|rueckgaengig\w*|"
        r"sich (?:\w+ ){{0,3}}?(?:verringert|vermindert|reduziert|verkleinert|vergroessert)|"
        r"angestiegen\w*|angewachsen\w*|abgeklungen\w*|abgeschwollen\w*|resorbiert\w*|"
        r"befundwandel|(?:befund|groessen|tumor|wachstums|erguss)?dynamik|"
        r"status quo|verkleinerung|schon (?:im|in|am|auf|bei|vor\w+|bekannt)|nachgelaufen\w*|"
        r"verschlimmert\w*|abklingend\w*|nachlassend\w*|fortschreitend\w*|"
        r"fortschreiten|vorangeschritten\w*|seitdem|seither|wachsend\w*|"
        r"noch (?:\w+ )?(?:nachweisbar|sichtbar|abgrenzbar|vorhanden|erkennbar|bestehend)\w*|"
        r"(?:\w*herde?|laesion|\w*metastasen?|tumor|\w*erguss|lymphknoten|\w*zyste|\w*haematom|"
        r"\w*thrombus|aneurysma|raumforderung)[^.,;:]{{0,40}} (?:ist|sind|erscheint|erscheinen) "
        r"(?:\w+ )?(?:groesser|kleiner|breiter|dichter|ausgedehnter|dicker|duenner)(?=[.,;]|$)|"
        r"weiter (?:gesintert|eingebrochen|aufgeweitet|abgesunken|ausgedehnt|"
        r"ausgebreitet|verkleinert|verdichtet|verschmaelert)|wie (?:vor)?bekannt|gestrig\w*|bei "
        r"(?:der )?(?:erst)?(?:diagnose|diagnosestellung|vorstellung|"
        r"aufnahme) (?:noch )?{size}|bekanntermassen|anhaltend\w*|im intervall(?! von)|neuerdings|"
        r"{day_de}(?: noch)? (?:war|waren|mass|massen|betrug|betrugen|noch)|(?:war|betrug|"
        r"mass)(?:en)? "
        r"(?:noch )?{day_de}|wieder(?:belueft|entfalt|aufgetret|eroeffn)\w*|"
        r"(?:als|wie) vor (?:der |dem |\w+em |\w+er )?(?:\w*therapie|behandlung|op|operation|"
        r"intervention|stent\w*|drainage\w*|chemo\w*|punktion|\w*wechsel|anlage|beginn)|"
        r"weiter (?:bestehend|nachweisbar|erkennbar|abgrenzbar|sichtbar|vorhanden|persist\w*|"
        r"ruecklaeufig|zunehm\w*|abnehm\w*|vergroessert)\w*|"
        r"(?:kleiner|groesser|weniger|besser|geringer|gebessert) (?:unter|nach) (?:\w+ "
        r")?(?:\w*therapie|"
        r"behandlung|antibio\w*|antikoag\w*|steroid\w*|drainage\w*|diuretik\w*)|"
        r"um (?:etwa |ca\.? |rund |circa )?(?:{size}|die haelfte|ein drittel|ein viertel|das "
        r"doppelte) "
        r"(?:groesser|kleiner|laenger|breiter|dicker|geringer|weiter|gewachsen|\w+genommen|"
        r"geschrumpft|reduziert|progredient|regredient|mehr|weniger)|"
        r"(?:besser|schlechter|groesser|kleiner|{size}|deutlicher|geringer|weniger|mehr|nur) heute|"
        r"heute (?:\w+ )?(?:{size}|groesser|kleiner|besser|schlechter|wieder|nicht mehr|nur|noch|"
        r"weniger|deutlicher|geringer)|in (?:rueckbildung|regression|progression|resorption)|"
        r"erneut aufgetreten|wiederaufgetreten\w*|im vergleich|"
        r"(?:in|zu|auf|aus|seit|gegenueber|mit) der va|zur va|z\.? ?va|(?:wie|als) va|vas?(?= vom)|"
        r"ggue\.? (?:{study_de}|va|{day_de}|vom)|i\.? ?vgl\.? z\w*|i\. ?v\. ?z\.|vgl\.? (?:zu|zur|"
        r"zum|"
        r"mit|vu|va|vom|{day_de})\b|z\. ?vu|unv\.|unveraend\.|"
        r"(?:bereits|schon) (?:auf|an|aus|durch) (?:den |der |dem |einem |einer )?(?:\w+ )?"
        r"(?:\w*bild\w*|\w*aufnahm\w*|\w*ct|\w*mrt|\w*roentgen\w*|vor\w+|studie|"
        r"\w*untersuchung)|"
        r"seit (?:etwa |ca\.? |rund |mehr als |ueber |langem|laengerem|\d+|\w+)? ?(?:\w*jahren?|"
        r"monaten?|wochen?|tagen?)? ?(?:\w+ )?(?:bekannt|unveraendert|konstant|dokumentiert|"
        r"stabil|nachweisbar|"
        r"vorhanden|bestehend)(?!\w)|"
        r"(?:in der|in dieser) zwischenzeit|unterdessen|(?:im laufe|im verlauf) (?:der|des|von) "
        r"(?:letzten|zeit|jahre|monate|wochen|behandlung|therapie|vergangenen)\w*|mit der zeit|"
        r"wieder(?:auftret|auftauch|anstieg|zunahme|zunehmend|vollgelaufen|gekommen|angestiegen|"
        r"vergroesser|nachgelaufen)\w*|"
        r"neu(?:entwicklung|manifestation|entstanden|entsteh)\w*|"
        r"(?:groessen|befund|verlaufs)?stabilitaet|stabilisierung|stabilisiert\w*|"
        r"groessen(?:reduktion|minderung|veraenderung|regression|progression|schwankung)\w*|"
        r"befund(?:konstan|stabil|besser|verschlechter)\w*|"
        r"an (?:groesse|umfang|volumen|ausdehnung|dichte|intensitaet|zahl|durchmesser|dicke|"
        r"laenge|"
        r"breite|hoehe|deutlichkeit|schaerfe) (?:\w+ ){{0,2}}?(?:verloren|gewonnen|eingebuesst|"
        r"verlier\w*|gewinn\w*|zugelegt|zugenommen|abgenommen)|zugelegt|eingebuesst|"
        r"(?:{size})? ?(?:statt|anstatt|anstelle von|nach) (?:\w+ )?{size}(?= |[.,;)]|$)"
        r"(?<=mm|cm)|{size} (?:statt|anstatt) (?:\w+ )?{size}|"
        r"(?:statt|anstatt) (?:bisher|zuvor|vorher|vormals|frueher|damals|ehemals|initial)|"
        r"{size} ?(?:->|=>|→|⇒) ?{size}|"
        r"abgeblasst\w*|verblasst\w*|verkleinert hat|abgebaut|geschwunden|entschwunden|"
        r"nachgelassen|zusammengeschmolzen|eingeschmolzen seit|abgeheilt seit|aufgehellt|"
        r"aufgeklart|zurueckgezogen|geschwunden|weggefallen|ausgeheilt seit|"
        r"um (?:(?:etwa|ca\.?|rund|circa|knapp|gut|fast|ungefaehr|mehr als|bis zu|nur|ueber) )*"
        r"(?:{size}|\d+ ?prozent|die haelfte|das doppelte|(?:ein|zwei|drei) (?:drittel|viertel|"
        r"fuenftel)|mehrere \w+|einige \w+) (?:groesser|kleiner|laenger|kuerzer|breiter|"
        r"schmaler|dicker|duenner|geringer|weiter|hoeher|niedriger|gewachsen|\w+genommen|"
        r"geschrumpft|reduziert|\w*progredient|\w*regredient|mehr|weniger|ruecklaeufig|"
        r"verkleinert|vergroessert|gesintert|geschrumpft|gesunken|gestiegen)|"
        r"weitere[rsn]? (?:\w*sinterung|\w*zunahme|\w*abnahme|hoehenminderung|dislokation|"
        r"verlagerung|rueckbildung|ausdehnung|ausbreitung|verkleinerung|vergroesserung|"
        r"verdichtung|aufweitung|resorption|reduktion|entfaltung|schrumpfung|absenkung|"
        r"annaeherung|normalisierung|regeneration|aufklarung|dilatation)|"
        r"groessen(?:aenderung|entwicklung)\w*|befundentwicklung|"
        r"ha(?:t|ben) sich [^.;,]{{0,60}}?\w+(?:t|en)(?=[.,;]|$)|"
        r"(?:fast|nahezu|nun|ist|sind|vollstaendig|komplett|ganz|praktisch) weg(?!\w)|"
        r"{day_de} ?[:=] ?(?:noch |ca\.? )?{size}|geworden|"
        r"(?:{ago_de}|im vorjahr) (?:\w+ )?(?:noch|nicht|kein\w*|{size}|intakt|unauffaellig|normal|"
        r"(?:bereits|schon)(?! (?:oper|resez|bestrahl|behandel)))|"
        r"besteh\w* (?:\w+ )?(?:fort|weiter)(?!\w)|(?:fort|weiter)dauer\w*|haelt an|halten an|"
        r"dauer\w* (?:fort|an)(?!\w)|bleib(?:t|en) (?:\w+ )?(?:vergroessert|erweitert|nachweisbar|"
        r"sichtbar|bestehen|abgrenzbar|gleich|verdickt|erhoeht|dilatiert|gestaut|auffaellig|"
        r"aktiv|verbreitert|erkennbar)|"
        r"(?:als|wie|seit|gegenueber) (?:bei |in |auf )?(?:der |dem )?(?:letzte|vorige|vorherige|"
        r"vorangegangene|juengste|vergangene|fruehere)[nrms]? \w+|"
        r"(?:ist|sind|war|waren) [^.;,]{{0,60}}?(?:entstanden|aufgetaucht|nachgewachsen|"
        r"hinzugetreten)|(?<!weit )fortgeschritten(?=[.,;]|$)|"
        r"(?:im|in|in der) (?:\w+er )?(?:abheil\w*|abklingen|aufloesung|rueckgang)|"
        r"(?:zurueck|wieder)gekehrt|wiedergekommen|ausgeblieben|"
        r"wie gehabt|(?:in|mit|von) (?:weiter )?(?:bekannte[rmn]|unveraenderte[rmn]|gleiche[rmn]|"
        r"derselben|gewohnte[rmn]) (?:auspraegung|groesse|form|weise|lage|ausdehnung|"
        r"konfiguration|menge|verteilung|position|weite)|"
        r"\w*(?:progress|regress)(?:es|ion|ionen)?|"
        r"(?:am|bei|vor|in) (?:\w+ )?(?:aufnahmetag|vortag|op-tag|entlassungstag|aufnahme|"
        r"entlassung|diagnose|erstvorstellung|diagnosestellung|therapiebeginn) (?:noch )?"
        r"(?:bei |mit )?{size}|"
        r"(?:weniger|mehr) (?:luft|fluessigkeit|erguss|oedem|atelektase|stauung|aszites|blut|"
        r"infiltrat|verschattung|einblutung|schwellung|gas|raumforderungswirkung|masseneffekt)\w*|"
        r"(?:deutlich|etwas|leicht|minimal|geringfuegig|gering|wesentlich|merklich|diskret|"
        r"jetzt|aktuell|teils|eher|sichtbar|erheblich|insgesamt|allenfalls) (?:kleiner|groesser|"
        r"breiter|schmaler|dicker|duenner|dichter|laenger|kuerzer|weniger|geringer|ausgedehnter|"
        r"flauer|blasser|transparenter|schlanker|weiter)(?=[.,;)]|$)|verringert(?=[.,;)]|$)|"
        r"anstieg (?:der|des|von) (?!crp|psa|cea|tumorm|leuko|entz|krea|bili|chol|trans|leberw|"
        r"lip|ldh|temp|hirndr|signal|dicht)\w+|"
        r"(?:in|aus|von|seit) '\d\d(?!\d)|(?<=, )(?:war|waren) {size}|"
        r"(?:groessen|volumen|mengen)(?:zu|ab)nehmend\w*|bis auf (?:\w+ ){{1,3}}?(?:ausgeraeumt|"
        r"entleert|drainiert|zurueck\w+)|(?:sprech|sprich)\w* (?:\w+ ){{0,2}}?auf (?:\w+ ){{0,2}}?"
        r"\w*(?:therapie|behandlung|chemo|gabe|schema)\w*|"
        r"(?:geringer|kleiner|groesser|weniger|schmaler|blasser|flauer|transparenter|kuerzer|"
        r"laenger|duenner|dichter)(?=[.;)]|$)|noch (?:\w+ ){{0,2}}?(?:zu (?:sehen|erkennen|finden)|"
        r"nachzuweisen|abzugrenzen|nachvollziehbar)|geblieben|blieb(?:en)? (?:\w+ )?(?:gleich|"
        r"bestehen|stabil|unveraendert|konstant|nachweisbar|sichtbar|aus)|"
        r"(?:stetig|langsam|kontinuierlich|immer|nochmals|nochmal|deutlich) (?:kleiner|groesser|"
        r"breiter|dicker|duenner|weniger|geringer|dichter)|"
        r"(?:\w*sonde|\w*drainage\w*|tubus|\w*katheter|zvk|\w*kanuele|\w*stent|\w*draht|\w*zugang) "
        r"(?:\w+ ){{0,2}}?(?:entfernt|gezogen|zurueckgezogen|gewechselt|vorgeschoben|umgelegt|"
        r"korrigiert|umpositioniert|neu)|re(?:kalzifizier|ossifizier|mineralisier|expandier|"
        r"formier)\w*|"
        r"nadir|(?:gegenueber|seit|als (?:in|auf|bei)|wie (?:in|auf|bei)|vergleich (?:zu|zur|zum|"
        r"mit)) (?:der |dem |den )*(?:\w+en )?(?:\w+-)?(?:ct|mrt|mr|untersuchung|aufnahmen?|"
        r"bildgebung|sonographie|studie|kontrolle|staging)(?!\w)|"
        r"(?:in|im|auf) (?:den |der |dem )?(?:\w+en )?(?:bildern|aufnahmen|schnittbildern|"
        r"bildmaterial) (?:vom|von|aus|im) {when_de}|"
        r"(?:im|am|in|vom|seit) {day_de} (?:\w+ )?(?:beschrieben|gesehen|diagnostiziert|"
        r"nachgewies|sichtbar|festgestellt|entdeckt|bekannt|aufgefallen|dokumentiert)\w*|"
        r"im (?:kurzfristigen|kurzen|zeitlichen) abstand|"
        r"noch (?:\w+ )?(?:residuell|rest|flau|einzelne|diskret)\w*|nicht laenger|"
        r"(?:weitgehend|fast|vollstaendig|komplett|nahezu) abgeheilt|abgeheilt(?=[.,;]|$)|"
        r"(?:\w*erguss|\w*erguesse|aszites|\w*oedem|\w*herde|\w*metastasen|fluessigkeit) (?:\w+ )"
        r"{{0,2}}?(?:vermehrt|vermindert)(?=[.,;]|$)|seit gestern|"
        r"(?:durchmesser|groesse|form|lage|weite) (?:\w+ )?(?:behalten|beibehalten)|beibehalten"
    ),
}

REMOVE = {
    "en": (
        (r"{versus}", ""),
        (
            r"(?:\b(?:is|are|was|were|appears?|remains?) )?{degree_en}(?:stable|unchanged|constant|"
            r"stationary|similar) in {respect_en}(?:,? (?:and|or) {respect_en})* of (?:the )?"
            r"(?=(?:lesions|nodules|metastases|lymph nodes|nodes|cysts|foci)(?:[.,;]|$))",
            "with",
        ),
        (
            r"(?:\b(?:is|are|was|were|appears?|remains?) )?{degree_en}(?:stable|unchanged|constant|"
            r"stationary|similar|progressive|increasing|decreasing) in {respect_en}"
            r"(?:, {respect_en})*,? (?:and|or) (?:in )?{respect_en}(?! (?:of|to|from)(?!\w))",
            "",
        ),
        (
            r"\b(?:is|are|was|were|remains?|has remained|have remained) {degree_en}(?:stable|"
            r"unchanged|constant|stationary)(?: in {respect_en})?,? and "
            r"(?=(?:shows?|has|have|measures?|contains?|demonstrates?|is|are|lies|lie|enhances?|"
            r"extends?|compress\w*|displaces?)(?!\w))",
            "",
        ),
        # "That" says nothing if the clause loses its verb.
        (
            r",?\s*(?:while|whereas|but|and) (?:(?:that|those|the ones?) (?:in|of|on|at) [^,;.]*?|"
            r"the (?:left|right|others?|former|latter)(?: ones?)?) "
            r"(?:has|have|is|are|appears?|remains?) {degree_en}(?:increased|decreased|grown|"
            r"enlarged|unchanged|stable|constant|smaller|larger|new|shrunk|changed|regressed|"
            r"progressed|improved|worsened|resolved)(?: in {respect_en})?(?=[,;.]|$)",
            "",
        ),
        (
            r"(?:\b(?:has|have) )?\b(?:increased|decreased|grown|enlarged|shrunk|grew|shrank|"
            r"progressed|regressed) (?:in \w+ )?from {size}\s*\([^()]*\) to (?={size})",
            "measures",
        ),
        (r", {degree_en}(?:unchanged|stable|constant|stationary),? (?=and )", ""),
        (
            r"\bha(?:s|ve) (?:not )?{degree_en}(?:increased|decreased|changed|progressed|reduced|"
            r"diminished) in (?:size|number|extent|width|length|volume|thickness) and (?:size|"
            r"number|extent|width|length|volume|thickness)\b",
            "",
        ),
        (
            r"\b(?:has|have) {degree_en}(?:increased|decreased|grown|enlarged|shrunk|dropped|"
            r"fallen|risen) to (?:about )?(?={size})",
            "measures",
        ),
        (
            r"(?:\b(?:is|are|was|were) )?(?:already |also |first )?(?:present|seen|visible|noted|"
            r"described|found|known) (?:on|in|at|by) (?:the )?{day_en} {study_en}",
            "",
        ),
        (r"\bof (?:unchanged|stable|constant) (?:size|extent|appearance|width|shape)\b", ""),
        (
            r"\bha(?:s|ve) (?:not )?{degree_en}(?:increased|decreased|enlarged|grown|progressed|"
            r"regressed|improved|worsened|diminished|shrunk|changed|reduced|declined)"
            r"\b(?! (?:in (?:size|diameter) )?from )(?: (?:in|over|within) (?:size|"
            r"width|length|extent|number|volume|diameter|thickness|depth|prominence|(?:the (?:last|"
            r"past) )?(?:\w+ )?(?:years?|months?|weeks?|days?)))?(?: by (?:about )?\d+"
            r"(?:[.,]\d+)? ?(?:%|\w+))?(?: to an? \w+)?(?: (?:mildly|slightly|markedly|"
            r"moderately|significantly|further|a little|somewhat)\b)*",
            "",
        ),
        (
            r",?\s*(?:(?:as|when|if) )?(?:compared|in comparison) (?:to|with) (?:the )?{when_en},?",
            "",
        ),
        (r"\b(?:remain|continue to be)\b(?= \w+(?:ed|al|able|ic|ent|ous|ear)\b)", "are"),
        (
            r"\b(?:has|have) {degree_en}(?:increased|decreased|grown|enlarged|shrunk) by (?:about |"
            r"approximately )?\d+(?:[.,]\d+)? ?(?:%|\w+)",
            "",
        ),
        (
            r"\bshows? {degree_en}(?:interval )?(?:increase|decrease|improvement|progression|"
            r"regression|worsening|growth|reduction|enlargement)\b(?: in \w+)?(?! of)",
            "",
        ),
        (
            r",?\s*(?:stable|unchanged|constant) over (?:\w+ ){{0,3}}(?:scans|studies|"
            r"examinations|exams)",
            "",
        ),
        (r"(?:\band )?(?:appears?|is|are|looks?) (?:very |broadly )?similar(?=[.,;]|$)", ""),
        (
            r",?\s*(?:as a sign of|in keeping with|consistent with|indicating|suggesting) "
            r"(?:\w+ )?(?:response|progression|regression)(?: to \w+)?",
            "",
        ),
        (r"(?:,|\band)?\s*\bunchanged in (?:alignment|position|shape|contour|morphology)", ""),
        (r"^comparison:? [^:;]*:", ""),
        (r",\s*first (?:\w+ ){{1,3}}(?:in|on) (?:the )?{day_en},?", ""),
        (r",\s*which (?:was|were|had been) [^,]*,(?= (?:is|are|has|have) now)", ""),
        (
            r"(?:,\s*|\b)(?:(?:is|are|looks?|appears?) )?(?:no |not )?{degree_en}(?:\w+er|(?:more|"
            r"less) \w+) than (?:on |in |at )?{when_en}(?:'s)?(?: {study_en})?",
            "",
        ),
        (
            r",?\s*(?:stable|unchanged|constant) (?:for|over|since) (?:\w+ ){{1,3}}(?:years|"
            r"months|weeks|days)",
            "",
        ),
        (r",?\s*(?:growth|increase|decrease) of {size}(?: per \w+)?", ""),
        # What was so then is not so now.
        (
            r"(?<!, )\b(?:formerly|previously) (?!seen|noted|described|known|identified|mentioned|"
            r"found|"
            r"demonstrated|reported|visuali|measur|up to|about|\d)\w+ (?=\w)",
            "",
        ),
        (
            r"\b(?:keeps?|is|are) (?:growing|shrinking|enlarging|increasing|decreasing|clearing|"
            r"regressing|progressing|improving|worsening|receding|resolving)\b(?! (?:in|of|to|from|"
            r"along|the))(?: (?:slowly|further|well|nicely|gradually|steadily|again|slightly))?",
            "",
        ),
        (r"\bno longer with\b", "without"),
        # A list of earlier studies, and how something was then.
        (
            r"^(?:comparison|priors?|(?:{prior} )+{study_en}(?: from| of| dated)?[\d ./-]{{0,14}}|"
            r"comparison {study_en}):[^;]*;?",
            "",
        ),
        (
            r",\s*(?:previously|formerly|initially|originally|earlier|before that)\b"
            r"(?! (?:seen|noted|described|known))(?:[^,;.]|[.,]\d)*"
            r"(?:,(?= (?:now|has|have|is|are|measures|shows|remains|appears)\b)|(?=[,;.]|$))",
            "",
        ),
        (
            r",?\s*(?:as opposed to|instead of|rather than|versus|vs\.?|against|as against|"
            r"compared (?:to|with)) "
            r"(?:the )?{size}(?: (?:in|on|at) (?:the )?(?:{prior} )*{study_en}| {when_en})?",
            "",
        ),
        (
            r"(?:,\s*|\b)(?:(?:is|are|appears?|looks?) )?{degree_en}(?:\w+er|(?:more|less) \w+|"
            r"fewer) than (?:(?:on|in|at|from) )?(?:the |an? |her |his )*(?:{prior}[ ,]+)+"
            r"(?:\w+ ){{0,2}}?{study_en}(?: (?:from|of|dated|on) (?:the )?{day_en})?",
            "",
        ),
        (
            r"(?:has |have )?(?:went|goes|gone|came down|dropped|fell|fallen|rose|risen|changed|"
            r"shr[au]nk|grew|grown|diminished|decreased|increased|dwindled) (?:in \w+ )?from "
            r"{size} to (?={size})",
            "measures",
        ),
        (
            r"(?:there (?:is|has been|was) )?(?:no|without) {degree_en}(?:growth|progress\w*)"
            r"(?: over (?:\w+ )+years)?(?: (?:in|of))?\b",
            "",
        ),
        (
            r"\b(?:shows?|showed|demonstrates?|with) no {degree_en}change(?:[^,;.]|[.,]\d)*",
            "",
        ),
        (
            r",?\s*(?:as |when )?(?:compared|in comparison) (?:to|with) (?:the |an? )?(?:\w+ )?"
            r"{study_en} (?:of|from|dated|on) (?:the )?{day_en},?",
            "",
        ),
        (
            r"\b(?:is|are|remains?) {degree_en}(?:constant|static|stationary|idem|steady|"
            r"identical(?! to| with))(?: in (?:size|appearance|extent))?\b",
            "",
        ),
        (
            r"\b{degree_en}(?:stationary|static|identical(?! to| with)) (?:(?:appearances?|"
            r"findings?|size|"
            r"extent|position)\b ?)?(?:of (?:the )?)?",
            "",
        ),
        (r",?\s*\bevolving(?: as (?:expected|anticipated))?(?=[.,;]|$)", ""),
        (
            r"\b{degree_en}(?:increased|decreased|reduced|diminished|lessened) "
            r"(?=(?:[\w-]+ ){{0,3}}?{fluctuates_en})",
            "",
        ),
        (r"(?<= mm| cm| ml) today\b|\btoday (?=(?:only |about )*{size})", ""),
        (r"\bnewly (?:appeared|developed|detected|occurred|emerged|formed|arisen|visible)\b", ""),
        (
            r"(?:,\s*|\b)(?:(?:is|are|has become|have become) )?(?:(?:slightly|much|"
            r"clearly|markedly|somewhat) )?(?:\w+er(?: \w+ed)?|"
            r"(?:more|less|fewer)(?: \w+)?) than {when_en}(?: {study_en})?",
            "",
        ),
        (r"{degree_en}(?:larger|smaller|bigger|wider|thicker) (?=\w+ than {when_en})", ""),
        (r"\bthan {when_en}(?: {study_en})?", ""),
        (
            r",?\s*(?:formerly|previously) (?:one|two|three|four|five|six|seven|eight|nine|ten|"
            r"twelve)\b",
            "",
        ),
        (
            r",?\s*(?:the )?(?:same )?(?:as|like|identical to|similar to|comparable to) "
            r"(?:(?:on|in) the )?(?:{prior}|{when_en}|known)(?=[.,;)]|$)",
            "",
        ),
        (r",?\s*(?:up|down) from {size}", ""),
        (
            r",?\s*(?:already |also |first )?(?:present|seen|visible|noted|described|found|known|"
            r"documented) (?:already )?(?:on|in|at|by|from)?(?: the)? ?(?:{day_en}|(?:{prior} )+"
            r"{study_en})",
            "",
        ),
        (r",?\s*constant(?: for (?:\w+ )?years)?(?=[.,;]|$)", ""),
        (
            r"(?:,\s*|(?:is|are) (?:\w+ly )?)(?:receding|subsiding|clearing|regressive|abating|"
            r"regressing|progressing|shrinking|growing|enlarging|improving|worsening|resolving|"
            r"increasing|decreasing|fading|closing|settling)\b(?! (?:the|in|of|to|from|along))",
            "",
        ),
        (
            r"(?:without|no) (?:(?:significant|relevant|further) )?(?:growth|progress\w*)(?: over "
            r"(?:\w+ )+years)?",
            "",
        ),
        (r"\bpre-?existing\b", ""),
        (r"\bsince (?:the |an? )?(?:\w+ ){{0,2}}{study_en}", ""),
        (r",?\s*vs\.? {size}(?: last \w+| in {day_en})", ""),
        (r"(?:slow )?growth of (?:the )?|over the past (?:\w+ )?(?:years|months|weeks)", ""),
        (
            r"\(\s*(?:previously|formerly|prior|before|was|previous|earlier|compared|unchanged|"
            r"stable|"
            r"new|now|vs\.?|interval)\b[^()]*\)",
            "",
        ),
        (
            r",?\s*(?:previously|formerly|before that)\s+(?:(?:measuring|measured|was|up to|"
            r"about)\s+)*{size}\b,?",
            "",
        ),
        (
            r"(?:has|have|is|are) {degree_en}(?:increas|decreas|enlarg|grow|diminish|reduc|"
            r"shr[ui]nk)\w*"
            r"(?: in (?:size|diameter))? from {size} to (?={size})",
            "measures",
        ),
        (
            r"{degree_en}(?:increas|decreas|enlarg|grow|diminish|reduc)\w*(?: in (?:size|"
            r"diameter))?"
            r" from {size} to (?={size})",
            "",
        ),
        (r"\bfrom {size} to (?={size})", ""),
        (
            r",?\s*(?:(?:as|when|if) )?(?:compared|comparison is made|in comparison|comparison|"
            r"relative|similar|"
            r"identical|unchanged|with respect|in relation|with reference) (?:to|with|from) "
            r"(?:the |a |her |his |an )*"
            r"(?:(?:{prior}|{study_en})[ ,]*(?:and )?)+(?:\w+ "
            r"){{0,2}}?(?:{study_en})?(?:\s*(?:from|of|dated|on|performed on) "
            r"(?:the )?{date})*(?: and {date})*,?",
            "",
        ),
        (r",?\s*(?:(?:as|when) )?(?:compared|in comparison) (?:to|with) {date},?", ""),
        (
            r",?\s*(?:as (?:seen|described|noted|shown) )?(?:since|from|on|in|than (?:on|in)?|as "
            r"(?:on|in)|at|of) "
            r"(?:the |a |her |his )*(?:{prior}[ ,]+)+(?:\w+ ){{0,2}}?{study_en}(?:\s*(?:from|of|"
            r"dated|on) (?:the )?{date})*,?",
            "",
        ),
        (r",?\s*(?:since|from) (?:the )?(?:{study_en} )?(?:(?:from|of|dated) )?{date},?", ""),
        (r"\b(?:since|than) (?:previously|before|then|the prior|prior|the previous)\b", ""),
        (
            r",?\s*\b(?:is|are|appears?|has become|have become|was|were) {degree_en}"
            r"(?:larger|smaller|bigger|better|worse)\b(?! than)",
            "",
        ),
        (r"\bfor the first time\b", ""),
        (r"\bno longer\b(?= \w+(?:ed|ble)\b)", "not"),
        (r"\bno longer\b", "not"),
        (
            r"(?:there (?:is|has been) )?\bno {degree_en}(?:interval )?(?:change|changes|growth|"
            r"progression|increase|decrease|regression)"
            r"(?: in (?:the )?(?:size|appearance|extent|number|volume)(?: (?:and|or) \w+)?)?(?: "
            r"(?:of|in))?\b",
            "",
        ),
        (r"(?:has|have|is|are) not (?:been )?{degree_en}changed(?: in \w+)?", ""),
        (
            r"(?:there (?:is|has been) )?(?:an? )?{degree_en}\b(?:interval )?(?:increase|decrease|"
            r"reduction|improvement|worsening|"
            r"progression|regression|resolution|growth|development|enlargement|appearance|"
            r"clearing|stability|persistence)"
            r"(?: (?:in|of) (?:the )?(?:size|number|extent|volume|diameter|amount)(?: (?:and|or) "
            r"\w+)?)?(?: (?:of|in))\b",
            "",
        ),
        (
            r"(?:\b(?:has|have|had|is|are|was|were|appears?|remains?|remained))?\s*(?:been "
            r")?{degree_en}"
            r"(?:not )?{degree_en}\b(?:unchanged|unaltered|stable|improved|worsened|progressed|"
            r"regressed|resolved|grown|"
            r"(?:increas|decreas|diminish|reduc)(?:ed|ing)(?= in (?:size|number|extent|volume|"
            r"diameter|amount)| since|[.,;]|$)|"
            r"(?:ha(?:s|ve) )?(?:increased|decreased)(?= in))"
            r"(?: in (?:size|number|extent|volume|diameter|amount|appearance|position|"
            r"configuration|caliber)"
            r"(?:,? (?:and|or) (?:size|number|extent|volume|diameter|amount|appearance|"
            r"configuration))*)?\b",
            "",
        ),
        (
            r"\b{degree_en}(?:increased|decreased|reduced|diminished|increasing|decreasing) (?:in "
            r")?(?:size|number|extent|"
            r"volume|diameter|amount)(?: of)?\b",
            "",
        ),
        (
            r"\bha(?:s|ve) {degree_en}(?:increased|decreased|enlarged|grown|progressed|regressed|"
            r"improved|worsened|resolved|"
            r"developed|appeared|disappeared|shrunk|diminished|evolved|changed|cleared|reduced|"
            r"declined)\b",
            "",
        ),
        (
            r"\b(?:persist(?:s|ed)?|continue[sd]? to be|remains?|remained)\b(?= \w+(?:ed|al|able|"
            r"ic|ent|ous|ear)\b)",
            "is",
        ),
        (r"\b(?:persist(?:s|ed)?|remains?|remained)\b", ""),
        (
            r"\b(?:is|are) (?:once )?(?:again|still) (?=(?:seen|noted|demonstrated|visualized|"
            r"identified|present|shown|visible)\b)",
            "is ",
        ),
        (
            r"\b{degree_en}(?:new|newly|stable|unchanged|persistent|persisting|again|still|now|"
            r"previously (?:seen|described|noted|known|"
            r"identified|mentioned|demonstrated|reported|visualized)|previously|formerly|interval|"
            r"in the interim|"
            r"in the meantime|meanwhile|re-?demonstrated|redemonstration of|progressive|"
            r"increasing|decreasing|enlarging|growing|"
            r"worsening|improving|resolving|improved|worsened|resolved|continued|as before|any "
            r"?more|increasingly|earlier|"
            r"in the interval)\b",
            "",
        ),
    ),
    "de": (
        (r"{versus}", ""),
        (
            r"(?:\b(?:ist|sind|war|waren|bleibt|bleiben) )?(?:\b(?:in|an) )?{respect_de}"
            r"(?:, {respect_de})*(?: (?:und|sowie|oder) (?:in |an )?{respect_de})+ {degree_de}"
            r"(?:groessen)?(?:unveraendert|konstant|stabil|stationaer|gleichbleibend|idem|"
            r"progredient|regredient|zunehmend|abnehmend|ruecklaeufig)(?:e[rnsm]?)?(?!\w)",
            "",
        ),
        (
            r"(?:\b(?:ist|sind|war|waren|bleibt|bleiben) )?\b(?:in|an) {respect_de} {degree_de}"
            r"(?:unveraendert|konstant|stabil|stationaer|gleichbleibend|idem)(?:e[rnsm]?)?(?!\w)",
            "",
        ),
        (
            r",?\s*(?:waehrend|wohingegen) (?:der|die|das|jene[rs]?) (?:(?:im|in|am|an|"
            r"links|rechts)(?!\w)[^,;.]*?|(?:linke|rechte|andere)n? {degree_de})(?:gewachsen|"
            r"zugenommen|abgenommen|unveraendert|konstant|stabil|progredient|regredient|groesser|kleiner|ruecklaeufig)"
            r"(?: (?:ist|sind|hat|haben|erscheint|erscheinen|geworden))*(?=[,;.]|$)",
            "",
        ),
        (
            r"\b(?:ist|sind|bleibt|bleiben) {degree_de}(?:groessen)?(?:unveraendert|konstant|"
            r"stabil|stationaer) und (?=(?:zeigt|zeigen|hat|haben|misst|messen|enthaelt|liegt|"
            r"liegen|ist|sind|komprimiert|verdraengt|reicht)(?!\w))",
            "",
        ),
        (
            r"\b(?:groessen|zahl|anzahl|form|lage|befund)- und (?:groessen|zahl|anzahl|form|lage|"
            r"befund)(?:konstant|stabil|progredient|regredient)(?:e[nrsm]?)?(?!\w)",
            "",
        ),
        (r"\bvon {size}\s*\([^()]*\) auf (?={size})", ""),
        (r"\b(?:aktuell|derzeit|gegenwaertig) (?=(?:ca\. |etwa |noch )*{size})", ""),
        (r", {degree_de}(?:unveraendert|konstant|stabil|idem),? (?=(?:und|sowie) )", ""),
        (
            r",?\s*\b(?:im vergleich|verglichen) (?:zu[mr]?|mit) (?:de[mrn] )?"
            r"(?:{day_de}|\d{{1,2}}/(?:19|20)?\d{{2}}|erst\w+|vor\w+|letzte\w* \w+)"
            r"(?: vom {day_de})?",
            "",
        ),
        (
            r"\bim (?:weiteren |kurzen )?verlauf zu[mr]? (?:\w+-)*(?:ct|mrt|mr|pet|untersuchung|"
            r"aufnahme)(?: vom {day_de})?(?!\w)",
            "",
        ),
        (
            r"\b{degree_de}(?:regredienz|progredienz|rueckgang|regression) (?:der|des|von|einer|"
            r"eines)\b(?= \w)(?![^.;]* um )",
            "",
        ),
        (
            r"\b(?:groessen)?(?:regredient|progredient|zunehmend|abnehmend|ruecklaeufig) auf "
            r"(?={size})",
            "",
        ),
        (
            r"(?:,\s*|\b(?:ist|sind) )?\b{degree_de}(?:\w+er|(?:weniger|mehr) \w+) als (?:in|auf|"
            r"bei) (?:der |dem |den )*(?:\w+en )?(?:\w+-)?(?:ct|mrt|mr|untersuchung|aufnahmen?|"
            r"bildgebung|sonographie|studie|kontrolle|staging|entlassung)(?!\w)"
            r"(?: (?:vom|von|aus) (?:{day_de}|\w+))?",
            "",
        ),
        (
            r",?\s*\bals (?:in|auf|bei) (?:der |dem |den )*(?:ct|mrt|untersuchung|aufnahme|"
            r"kontrolle) (?:vom|von) (?:{day_de}|\w+)",
            "",
        ),
        (
            r",?\s*(?:\b(?:ist|hat|sind|haben) (?:sich )?)?\b(?:seit {day_de} )?um (?:etwa |ca\. )?"
            r"{size} (?:geschrumpft|verkleinert|vergroessert|gesunken|angestiegen|gewachsen|"
            r"zugenommen|abgenommen)(?!\w)",
            "",
        ),
        (
            r",\s*(?:vorher|zuvor|vormals|frueher|damals|ehemals|initial|bisher|anfangs)\b"
            r"(?! (?:beschrieb|bekannt|genannt))(?:[^,;.]|[.,]\d)*",
            "",
        ),
        (
            r"\b(?:hat|haben|ist|sind) (?:sich )?{degree_de}auf (?={size} (?:\w*genommen|"
            r"gewachsen|geschrumpft|verkleinert|vergroessert|gesunken|angestiegen|zurueckgegangen|"
            r"reduziert|angewachsen)(?!\w))",
            "misst",
        ),
        (
            r"\bbleib(?:t|en) (?:in (?:ihrer|seiner|der) \w+ )?{degree_de}(?:unveraendert|"
            r"konstant|stabil|gleich)\b",
            "",
        ),
        (
            r",?\s*(?:ist |sind )?\bin unveraenderter (?:stellung|lage|position|groesse|weise|form|"
            r"auspraegung|ausdehnung)",
            "",
        ),
        (
            r",?\s*(?:seit {day_de} )?um (?:etwa |ca\. )?{size} (?:gewachsen|groesser|kleiner|"
            r"zugenommen|abgenommen|progredient|regredient)(?: geworden)?(?!\w)",
            "",
        ),
        (
            r"\b(?:hat|haben) {degree_de}an (?:zahl|groesse|anzahl) (?:und|sowie) \w+ "
            r"(?:zugenommen|abgenommen)",
            "",
        ),
        (
            r",?\s*(?:als zeichen|im sinne|als ausdruck) (?:des|eines|einer) (?:\w+ )?\w*"
            r"(?:ansprechens?|progress\w*|regress\w*)",
            "",
        ),
        (r"\b(?:ist|sind) (?:konstant|unveraendert|gleichbleibend|stabil) gross\b", ""),
        (r"\bnoch (?=(?:\w+ )?(?:residuell|rest|flau|einzelne|diskret))", ""),
        (r"^[^:;]*\bzum vergleich\b[^:;]*:", ""),
        (r"\bim (?:kurzfristigen|kurzen|zeitlichen) abstand\b", ""),
        (
            r",?\s*seit (?:\w+ ){{1,3}}(?:jahren?|monaten?|wochen?|tagen?) (?:stabil|konstant|"
            r"unveraendert|bekannt)(?=[.,;]|$)",
            "",
        ),
        (
            r",?\s*\b(?:groessen)?(?:stabil|konstant|unveraendert) (?:ueber|seit) (?:\w+ ){{1,3}}"
            r"(?:jahren?|monaten?|wochen?|tagen?)\b",
            "",
        ),
        (
            r"\b(?:hat|haben|zeigt|zeigen) (?:die|eine|den|das) (?:gleiche|selbe|identische)n? \w+ "
            r"wie {when_de}",
            "",
        ),
        (r",?\s*nach (?:zuvor|vorher|initial|vormals) (?:ca\. )?{size}", ""),
        (
            r",?\s*entsprechend eine[mr] (?:\w+ )?(?:\w*wachstum|\w*zunahme|\w*abnahme|"
            r"\w*progredienz)(?:[^,;.]|[.,]\d)*",
            "",
        ),
        (r",\s*(?:die|der|das) (?:vorher|zuvor|damals|frueher) (?:[^,;.]|[.,]\d)*", ""),
        # What was so then is not so now.
        (
            r"\b(?:vormals|zuvor|ehemals) (?!beschrieb|gesehen|bekannt|nachgew|sichtbar|abgrenzb|"
            r"dokument|diagnost|genannt|erwaehnt)\w+e[rnsm]? (?=\w)",
            "",
        ),
        (
            r"\b(?:im|i\.) ?vgl\.? ?(?:zur|zum|zu|z\.|mit)? ?(?:der |dem )?(?:{study_de}|\w*ct|"
            r"\w*mrt)?(?: (?:vom|von) {day_de})?,?",
            "",
        ),
        (r"\bgroessenmaessig\b", ""),
        (r"\bbleib(?:t|en) {degree_de}(?:unveraendert|konstant|stabil|gleich)\b", ""),
        (r"\bbleibt\b(?= (?:\w+ )?(?:vergr|erweit|verdick|dilat|gestaut|verbreit))", "ist"),
        (r"\bbleiben\b(?= (?:\w+ )?(?:vergr|erweit|verdick|dilat|gestaut|verbreit))", "sind"),
        (
            r"\b(?:hat|haben) {degree_de}an (?:groesse|umfang|volumen|ausdehnung|dichte|zahl|"
            r"durchmesser|dicke|laenge|breite|hoehe) (?:\w+ )?(?:zugenommen|abgenommen|verloren|"
            r"gewonnen|eingebuesst|zugelegt)",
            "",
        ),
        (
            r"\bunveraendert zu[rm]? (?:\w+en )?\w*(?:aufnahme|untersuchung|ct|mrt|befund|"
            r"kontrolle)\w*(?: (?:vom )?{day_de})?",
            "",
        ),
        # A list of earlier studies, and how something was then.
        (
            r"^(?:(?=vor|vu|va|alt|letzt|frueher|ausw|extern|erst){study_de}[^:;]{{0,20}}|"
            r"vergleich):[^;]*;?",
            "",
        ),
        (
            r",\s*(?:im|in der|in dem|auf den|auf der|am|bei|in den) (?:{study_de}|{day_de})"
            r"(?: (?:vom|von|aus) {day_de})? ?(?:noch|nicht|bereits|schon|kein\w*|nur|{size})"
            r"(?:[^,;.]|[.,]\d)*",
            "",
        ),
        (
            r"(?:(?:in|im|auf|bei) (?:der |dem |den )?)?{study_de}(?: (?:vom|von|aus) {day_de})?:? "
            r"(?:noch |nur |ca\. )*{size}",
            "",
        ),
        (
            r"\b(?:hat|haben|ist|sind) (?:sich )?(?:[^,;.]{{0,60}}? )?von {size} auf (?={size} "
            r"(?:\w*genommen|gewachsen|angewachsen|geschrumpft|verkleinert|vergroessert|gesunken|"
            r"angestiegen|zurueckgegangen|reduziert|vergroessert)(?!\w))",
            "misst",
        ),
        (
            # "Milz mit 15 cm vergrößert" says what is seen now.
            r"\b(?P<kept>(?:misst|auf|um) (?:ca\. |etwa |nun |jetzt |aktuell )*{size}) "
            r"(?:angewachsen|geschrumpft|verkleinert|vergroessert|gesunken|angestiegen|"
            r"zurueckgegangen|reduziert)(?!\w)",
            "",
        ),
        (
            r",?\s*(?:bereits|schon) (?:auf|in|im|am|an) (?:der |den |dem )?(?:\w+ )?(?:bild|"
            r"aufnahm|ct|mrt|untersuchung)\w*(?: (?:von|vom|aus|im) {when_de})?(?: (?:erkennbar|"
            r"sichtbar|nachweisbar|abgrenzbar|vorhanden|zu sehen))?",
            "",
        ),
        (
            r"\b(?:im|am|in|vom|seit) {day_de} (?:\w+ )?(?:beschrieben|gesehen|diagnostiziert|"
            r"nachgewies|festgestellt|entdeckt|bekannt|dokumentiert)\w*",
            "",
        ),
        (
            r",?\s*(?:gegenueber|seit|als (?:in|auf|bei)|wie (?:in|auf|bei)|im vergleich (?:zu|zur|"
            r"zum|mit)) (?:der |dem |den )*(?:\w+en )?(?:\w+-)?(?:ct|mrt|mr|untersuchung|"
            r"aufnahmen?|bildgebung|sonographie|studie|kontrolle|staging)(?!\w)"
            r"(?: (?:vom|von|aus) {day_de}| {ago_de})?,?",
            "",
        ),
        (r",?\s*(?:groesse )?gleich wie (?:in|bei|auf) (?:der |dem )?{study_de}", ""),
        (
            r"\bist {degree_de}(?:zunehmend|abnehmend|unveraendert|weiterhin|stabil|konstant) "
            r"(?=\w+(?:t|en|bar|ig)(?:[.,;]|$))",
            "ist",
        ),
        (
            r"\bsind {degree_de}(?:zunehmend|abnehmend|unveraendert|weiterhin|stabil|konstant) "
            r"(?=\w+(?:t|en|bar|ig)(?:[.,;]|$))",
            "sind",
        ),
        # "Persistenz der kleinen Blutung" leaves "kleine Blutung".
        (
            r"\b(?:kein\w* )?{degree_de}(?:groessen|befund|volumen|erguss)?(?:zunahme|abnahme|"
            r"progredienz|"
            r"regredienz|rueckgang|rueckbildung|besserung|persistenz|progress|regression) der "
            r"(?P<kept>\w*(?:ig|lich|isch|iv|al|aer|oes|iert|end|bar|klein|gross|bekannt)e)n "
            r"(?=\w)",
            "",
        ),
        (r"\b(?:gleichbleibende?\w*|vordiagnostizierte?\w*|stetig)\b", ""),
        (r"\bheute (?=(?:noch |nur |ca\. )*{size})", ""),
        (
            r"(?:,\s*|\b)(?:(?:ist|sind) )?(?:(?:deutlich|etwas|leicht|gering|minimal|viel) "
            r")?(?:\w+er|mehr|weniger) (?:\w+ )?(?:als|wie) "
            r"{when_de}(?: {study_de})?",
            "",
        ),
        (r",?\s*(?:wie|als|aehnlich|identisch mit) (?:{when_de}|bekannt)(?=[.,;)]|$)", ""),
        (r"\bin rueckbildung\b", ""),
        (
            r",?\s*(?:bereits |schon |erstmals )(?:\w+ )?{day_de}(?: (?:vorhanden|beschrieben|"
            r"diagnostiziert|nachweisbar|bekannt|sichtbar))?",
            "",
        ),
        (r",?\s*aus (?:der|dem) {study_de}(?: {study_de})? bekannt\w*", ""),
        (r",?\s*seit (?:\w+ )?jahren konstant\w*", ""),
        (r",?\s*vs\.? {size} im vorjahr", ""),
        (r",?\s*(?:vergleichbar|identisch) mit (?:der |dem )?{study_de}", ""),
        (r"\bunveraendert zu {day_de}", ""),
        (r"\bseit (?:dem |der )?\w+-(?:ct|mrt)\b", ""),
        (
            r"\(\s*(?:vorher|zuvor|vormals|vu|vor|ehemals|damals|frueher|unveraendert|neu|bisher|"
            r"im vergleich|zuletzt)\b[^()]*\)",
            "",
        ),
        (
            r",?\s*(?:vorher|zuvor|vormals|ehemals|bisher|frueher|zuletzt|in der vu|in der "
            r"voruntersuchung)\s+(?:ca\.?\s+)?{size}(?!\w),?",
            "",
        ),
        (r"(?:\b(?:ist|hat|haben|sind) (?:sich )?)?\bvon {size} auf (?={size})", ""),
        (
            r",?\s*(?:im|in|unter) (?:direkten? |zeitlichen? )?vergleich (?:zur|zum|zu|mit|mit "
            r"der|mit dem|zu der|zu den|mit den)\s+"
            r"(?:der |den |dem )?{study_de}(?:\s*(?:vom|von|aus|am) (?:{date}))?(?: (?:und|sowie) "
            r"(?:vom )?{date})?,?",
            "",
        ),
        (
            r",?\s*(?:im|in) (?:direkten? )?vergleich (?:zur?|zum|mit)(?: dem| der)? (?:{date}|"
            r"vom {date})?,?",
            "",
        ),
        (
            r",?\s*(?:wie )?(?:bereits )?(?:gegenueber|zur|zum|seit|zu|in|bei|auf|aus|verglichen "
            r"mit|wie in|wie bei|als in|als bei|laut|entsprechend)\s+(?:der |dem |den )?"
            r"{study_de}(?: (?:vom|von|aus|am) (?:{day_de}|{date}))?,?(?: (?:bereits "
            r")?(?:beschrieben\w*|"
            r"bekannt\w*))?",
            "",
        ),
        (r",?\s*(?:seit|gegenueber)(?: dem| der)? (?:vom )?{date},?", ""),
        (r"(?:{study_de})(?: vom {date})?", ""),
        (r"\b(?:wie )(?:bereits )?(?:vorbeschrieben|vorbekannt|zuvor|bisher)\w*,?", ""),
        (r"\berstmal(?:s|ig\w*)\b", ""),
        (r"\bim vergleich\b,?", ""),
        (r"\bim (?:weiteren |kurzfristigen |zeitlichen )?verlauf\b,?", ""),
        (r"\bnicht (?:mehr|laenger)\b", "nicht"),
        (r"(?<=\w )mehr(?= (?:nachweis|abgrenz|sicht|erkenn|dar|vor|zu))", ""),
        (r"\bmehr(?=[ .,;]|$)", ""),
        (
            r"\b(?:keine|ohne|kein|keinerlei) {degree_de}(?:aenderung|befundaenderung|"
            r"groessenaenderung|dynamik|befunddynamik|progress|"
            r"progression|progredienz|groessenprogredienz|befundprogredienz|zunahme|"
            r"groessenzunahme|abnahme|groessenabnahme|"
            r"befundwandel|wachstum|groessenwachstum|veraenderung|befundveraenderung|regredienz|"
            r"groessendynamik)\w*"
            r"(?: (?:in|bei|an|von|der|des|im))*",
            "",
        ),
        (
            r"\b(?:ist |sind |hat |haben )?(?:sich )?(?:in |an )?(?:(?:der )?(?:groesse|zahl|"
            r"anzahl|ausdehnung|umfang|volumen) )?"
            r"(?:nicht )?{degree_de}(?:nicht )?\b(?:unveraendert|groessenkonstant|befundkonstant|"
            r"konstant|"
            r"stabil|groessenstabil|groessenprogredient|progredient|befundprogredient|"
            r"groessenregredient|regredient|ruecklaeufig|"
            r"verbessert|gebessert|verschlechtert|zugenommen|abgenommen|gewachsen|rueckgebildet|"
            r"aufgeloest|veraendert|geaendert|stationaer|"
            r"zunehmend|abnehmend|groesser geworden|kleiner geworden|groessenkonstanz)"
            r"(?: (?:und|sowie) (?:groessen)?(?:konstant|progredient|regredient|stabil))?\b(?! "
            r"\w+(?:en|er|e|es)\b(?! ))",
            "",
        ),
        (
            r"\b{degree_de}(?:groessen|befund|volumen|erguss|laengen)?(?:zunahme|abnahme|"
            r"progredienz|regredienz|rueckgang|"
            r"zuwachs|wachstum|rueckbildung|verbesserung|besserung|verschlechterung|progress|"
            r"progression|regression|konstanz|persistenz)(?! (?:des|eines)\b)"
            r"(?: (?:der|von|einer|an|in|am))?\b",
            "",
        ),
        (
            r"\b{degree_de}(?:\w*progrediente?\w*|\w*regrediente?\w*|\w*konstante?\w*|stabile?\w*|"
            r"unveraenderte?\w*|persistierende?\w*|persistente?\w*|"
            r"vorbestehende?\w*|vorbekannte?\w*|vorbeschriebene?\w*|ruecklaeufige?\w*|"
            r"zunehmende?\w*|abnehmende?\w*|neu aufgetretene?\w*|neuaufgetretene?\w*|"
            r"neu abgrenzbare?|neuerliche?\w*|erneute?\w*|wieder|wiederum|weiterhin|nach wie vor|"
            r"immer noch|noch immer|neu(?:e|er|es|en|em)?|"
            r"neuauftreten (?:von|einer|eines)?|zwischenzeitliche?\w*|zwischenzeitlich|"
            r"mittlerweile|inzwischen|nunmehr|jetzt|nun|zuvor|"
            r"vormals|vorherig\w*|vorher|ehemals|frueher|bisherig\w*|bisher|stationaere?\w*|idem|"
            r"fortbestehende?\w*|gewachsene?\w*|"
            r"gebesserte?\w*|verbesserte?\w*|verschlechterte?\w*|verglichen|vergleichsweise|"
            r"bereits)\b",
            "",
        ),
    ),
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
