"""What only looks like a comparison with an earlier study; these words stay as they are.

The patterns are for a text as `comparison_table` describes it.
"""

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
