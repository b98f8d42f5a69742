"""What is left out of a comparison with an earlier study, as rules that are tried in order.

Each rule is a pattern, for a text as `comparison_table` describes it, and the text that takes the
place of the match.
"""

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
