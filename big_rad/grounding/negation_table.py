"""The words for negation and absence in reports, English and German, as plain data.

`negation` reads them. All words are in lower case; entries with several words are phrases. A word
that ends in `*` stands for all words that begin so.
"""

# They deny what follows them, or what stands before them in their clause ("liver without lesion").
DENY = {
    "en": "no; without; absence of; free of; free from; devoid of; lack of; negative for; neither; "
    "nor; none; no longer; nothing to suggest; nothing suggestive of; non dilated; nondilated; "
    "undilated; non enlarged; nonenlarged; non distended; nondistended; non thickened; "
    "nonthickened; non obstructed; nonobstructed; non aneurysmal; nonaneurysmal; non inflamed; "
    "non stenotic; non displaced; nondisplaced; undisplaced",
    "de": "kein; keine; keinen; keinem; keiner; keines; ohne; frei von; weder; ausschluss; "
    "ausschluss von; ausschluss einer; ausschluss eines; keinerlei; fehlender nachweis; negativ "
    "für; fehlen von; nirgends; keineswegs; nichts spricht für",
}
# They deny the clause that they stand in ("is not enlarged").
NOT = {"en": "not; never; nowhere; cannot; isn; aren", "de": "nicht; niemals; keinesfalls"}
# They deny what stands before them in their clause.
DENIED = {
    "en": "ruled out; excluded; negative; absent; has resolved; have resolved",
    "de": "ausgeschlossen; auszuschließen; negativ; ausschließbar; ausschließen",
}
# In these the words above deny nothing about an organ.
PSEUDO = {
    "en": "not as; not so; not only; not just; no "
    "change; no interval "
    "change; no significant change; no relevant change; no significant interval change; without "
    "relevant change; without any change; without substantial change; no substantial change; no "
    "appreciable change; no further change; not "
    "changed; not significantly changed; no comparison; no prior; no previous; not excluded; not "
    "ruled out; cannot be excluded; cannot be ruled out; not be excluded; not be ruled out; "
    "cannot exclude; cannot rule out; not exclude; not rule out; cannot be completely excluded; "
    "cannot be entirely excluded; not completely excluded; not be completely excluded; not be "
    "entirely excluded; not be definitely excluded; cannot be definitely excluded; cannot be "
    "reliably excluded; cannot be safely excluded; not definitely excluded; cannot be fully "
    "excluded; cannot be definitively excluded; not entirely excluded; not reliably excluded; not "
    "well seen; not well visualized; not well assessed; not fully visualized; not fully assessed; "
    "not fully included; not included; not imaged; not evaluated; not assessed; not assessable; "
    "not evaluable; not completely visualized; not completely imaged; not completely included; "
    "not fully imaged; not optimally visualized; not reliably assessed; not sufficiently "
    "assessed; not adequately assessed; not further characterized; not entirely included; not "
    "yet; not unusual; not uncommon; without contrast; without intravenous contrast; without iv "
    "contrast; without i v contrast; without gadolinium; without oral contrast; without sedation; "
    "no contrast; without comparison; without prior; without change; without interval change; "
    "without significant change; not further; no further evaluation; no further workup; no "
    "further work up; no further imaging; no "
    "further follow up; no further characterization; no follow up; no followup; no therapy; no "
    "treatment; "
    "no intervention; no biopsy; no need; no indication; not present in; not present on; not yet; "
    "no increase; no decrease; no "
    "progression; no growth; no interval growth; no adverse; no doubt; not certain; not "
    "unremarkable; not visualized adequately; no difference; no side "
    "difference; not specific; not performed; not administered; not given; lack of enhancement; "
    "lack of perfusion; lack of contrast; absence of enhancement; absence of perfusion; absence of "
    "flow; lack of flow; lack of opacification; not possible to exclude; not possible to rule out",
    "de": "nicht so; nicht nur; keine änderung; keine "
    "befundänderung; keine größenänderung; keine wesentliche änderung; keine relevante änderung; "
    "keine signifikante änderung; kein wesentlicher unterschied; keine wesentliche "
    "befundänderung; keine relevante befundänderung; keine veränderung; keine wesentliche "
    "veränderung; keine relevante veränderung; keine größenzunahme; keine progredienz; keine "
    "zunahme; keine befundprogredienz; kein progress; keine dynamik; ohne änderung; ohne "
    "befundänderung; ohne wesentliche änderung; ohne dynamik; ohne progress; ohne progredienz; "
    "ohne befund; ohne vergleich; keine voraufnahme; keine voraufnahmen; keine voruntersuchung; "
    "keine voruntersuchungen; keine vergleichsuntersuchung; nicht auszuschließen; nicht "
    "ausgeschlossen; nicht ausschließbar; nicht sicher auszuschließen; nicht sicher "
    "ausgeschlossen; nicht sicher ausschließbar; nicht auszuschliessen; nicht ganz "
    "auszuschließen; nicht völlig auszuschließen; nicht vollständig auszuschließen; nicht "
    "gänzlich auszuschließen; nicht sicher auszuschliessen; nicht mit sicherheit auszuschließen; "
    "nicht mit letzter sicherheit auszuschließen; nicht komplett auszuschließen; nicht mit "
    "sicherheit ausgeschlossen; nicht vollständig ausgeschlossen; nicht abschließend "
    "auszuschließen; nicht zuverlässig auszuschließen; nicht ausschließen; nicht sicher "
    "ausschließen; nicht beurteilbar; nicht sicher beurteilbar; nicht beurteilt; nicht "
    "vollständig beurteilbar; nicht vollständig erfasst; nicht vollständig abgebildet; nicht "
    "vollständig dargestellt; nicht mit abgebildet; nicht mit erfasst; nicht erfasst; nicht "
    "abgebildet; nicht miterfasst; nicht mitabgebildet; nicht eingesehen; nicht einsehbar; nicht "
    "komplett erfasst; nicht komplett abgebildet; nicht sicher einsehbar; nicht adäquat "
    "beurteilbar; nicht ausreichend beurteilbar; nicht suffizient beurteilbar; nicht konklusiv "
    "beurteilbar; eingeschränkt beurteilbar; nicht valide beurteilbar; ohne kontrastmittel; ohne "
    "km; ohne kontrast; ohne kontrastmittelgabe; ohne i v; ohne iv; ohne kontrastierung; keine "
    "kontrastmittelgabe; ohne gadolinium; kein kontrastmittel; nicht durchgeführt; nicht "
    "verabreicht; ohne seitendifferenz; kein seitenunterschied; keine seitendifferenz; kein "
    "zweifel; keine weitere abklärung; keine weiteren maßnahmen; keine weiteren kontrollen; keine "
    "weitere kontrolle; keine kontrolle; keine verlaufskontrolle; keine therapie; keine "
    "intervention; keine biopsie; keine indikation; nicht neu; nicht unauffällig; nicht sicher; "
    "nicht eindeutig; noch nicht; nicht geändert; nicht "
    "wesentlich geändert; nicht verändert; nicht wesentlich verändert; nicht größenprogredient",
}
# What cannot be seen is no finding that is denied, if the organ itself cannot be seen.
SEEN = {
    "en": "seen visualized visualised identified visible depicted delineated demonstrated "
    "appreciated identifiable distinguishable displayed shown evaluable assessable detected "
    "discernible found",
    "de": "abgrenzbar darstellbar dargestellt sichtbar erkennbar einsehbar beurteilbar "
    "nachweisbar identifizierbar abzugrenzen erkannt gesehen auffindbar abgegrenzt nachzuweisen "
    "differenzierbar abgrenzen darzustellen sicher eindeutig mehr",
}
# Beginnings of words for findings, and endings of German compounds for them.
FINDINGS = (
    "harnstau aufstau fraktur fractur lesion laesion mass masses nodul nodule rundherd herd "
    "stein stone zyste cyst tumor raumforderung metasta "
    "abszess abscess haematom hematom ruptur konkrement calcul verkalk "
    "calcif infarkt infarct blutung hemorrhag haemorrhag dilat erweiter stenos thromb aneurysm "
    "embol infiltrat konsolid consolid atelekt verdick thicken oedem edema erguss effusion defekt "
    "defect polyp karzinom carcinom hernie hernia vorfall protrus prolaps kompression compress "
    "enhanc anreicher signal entzuend inflamm dissek dissect obstruk obstruct stau congest ileus "
    "lympho luxation disloc destruk destruct osteoly auffaellig abnorm patholog verschattung "
    "verschluss occlus okklus nekros necros ektas ectas plaque kollaps collaps emphys fibros "
    "schwell kontus contus lazer lacer verschmaeler verengung narrowing arthros knoten "
    "opacit veraenderung degener wandverdick narb scar fremdk foreign luft air gas sklero sclero"
)
# The clause goes on to something else ("no lesion, but ..."); what follows is not denied.
ENDS = {
    "en": "but however except besides apart although though while whereas yet despite aside "
    "otherwise with which",
    "de": "aber jedoch hingegen dagegen außer ausgenommen abgesehen obwohl während wohingegen "
    "sondern allerdings dafür mit bei wobei lediglich nur welche welcher dennoch",
}
# Beginnings of words for a judgement. "Cannot be assessed" denies no finding.
JUDGED = (
    "assess evaluat judg interpret differentiat distinguish separa delimit apprais characteri "
    "mention describ reported erwähn beschrieb beurteil bewert einschätz trenn abzutrenn "
    "differenzier unterscheid"
)
# Beginnings of nouns after which "is not possible" denies no finding.
JUDGEMENT = "assess evaluat judg apprais differentiat beurteil bewert aussage einschätz abgrenz"
# Beginnings of words for changes; to deny one denies no finding ("no evidence of progression").
CHANGES = (
    "progress progred growth increas decreas regress zunahme abnahme größenzu größenab wachstum "
    "befundänder größenänder befundwandel befundprog größenprog "
    "befunddyn größendyn dynami differen unterschied"
)
# Beginnings of words before "that" with which a denial goes on ("no evidence that the liver ...").
ASSUMES = "assum believ suspect suggest evidence sign indicat reason anhalt hinweis zeichen"
# An exception, or something that is compared, begins with these; see `exceptions`.
EXCEPT = {
    "en": "apart from; except for; except; with the exception of; aside from; other than; besides",
    "de": "bis auf; mit ausnahme von; mit ausnahme der; mit ausnahme des; mit ausnahme einer; mit "
    "ausnahme eines; mit ausnahme; abgesehen von; außer; ausgenommen",
}
UNLIKE = {
    "en": "unlike; in contrast to; contrary to; in contradistinction to",
    "de": "im gegensatz zu; im gegensatz zur; im gegensatz zum; anders als; im unterschied zu; im "
    "unterschied zur; im unterschied zum",
}
# What may be denied although its organ was removed.
BACK = "recurr rezidiv residu lokalrez restherni relaps"
# An organ after these words is the place of something else: "the conus ends at L1".
PLACES = (
    "at behind near beside above below under between against toward towards along adjacent next to "
    "höhe hinter neben über unter oberhalb unterhalb gegenüber zwischen bis"
)
# Beginnings of words for findings that may lie in any organ, so that a clause after a semicolon may
# speak of the organ before it.
ANYWHERE = (
    "herd laesion lesion focal fokal raumford malign metast suspic suspekt tumor mass enhanc "
    "anreicher obstruct stau aufstau stone stein konkrement dilat erweiter rezidiv recurr nodul "
    "extension extracaps infiltr invas kapsel wall wand"
)
# Beginnings of words that state something of an organ, if no verb does.
STATES = (
    "normal unremark unauff regelrecht intact intakt frei free clear no kein keine patent enlarg "
    "vergrö atroph small schlank zart homogen inhomogen diffus verdick gestaut verschm ruptur"
)
# Beginnings of words for what lies outside the organ of the clause before ("heart normal, no
# pleural effusion").
ELSEWHERE = (
    "pleur perikard pericard lymph aszites ascites erguss ergues effusion effusions pneumothora "
    "gallenw gallengang gallengae bile biliary fluess fluid freie free pneumoperi peritone "
    "platte plates screw schraub osteosynthesemat implant prothes stent kathet cathet sonde drain "
    "elsewhere anderswo andernorts mediastin hilaer hilar paraaort retroperi weichteil soft "
    "adenopath embol hernia hernie "
    "pneumomediast inguin mesenter bauchw thoraxw"
)
# An organ before these words, or after them, is not there.
GONE = {
    "en": "absent; surgically absent; congenitally absent; been removed; was removed; were "
    "removed; surgically removed; removed; been resected; surgically resected; is missing; are "
    "missing; missing; agenesis; aplasia; not present; been surgically removed; been excised; "
    "been explanted; is no longer present; explanted; resected",
    "de": "fehlt; fehlen; fehlend; entfernt; operativ entfernt; chirurgisch entfernt; exstirpiert; "
    "nicht angelegt; nicht vorhanden; agenesie; aplasie; nicht mehr vorhanden; explantiert; "
    "wurde entfernt; reseziert; operativ reseziert; in toto reseziert; vollständig reseziert; "
    "fehlt operativ; komplett reseziert",
}
GONE_BEFORE = {
    "en": "absent; surgically absent; congenitally absent; absence of; surgical absence of; "
    "congenital absence of; removal of; lobectomy; lobectomy of; surgical removal of; resection "
    "of the entire; agenesis "
    "of; aplasia of; missing; explantation of; excision of; complete resection of; total "
    "resection of; exstirpation of; removed; surgically removed; resected",
    "de": "fehlende; fehlender; fehlendes; fehlenden; fehlendem; entfernung; entfernung von; "
    "entfernte; entfernter; entferntem; entferntes; entfernten; agenesie; aplasie; exstirpation; "
    "operativ entfernte; explantation; fehlen; abwesenheit; komplette resektion; vollständige "
    "resektion; totale resektion; exzision",
}
