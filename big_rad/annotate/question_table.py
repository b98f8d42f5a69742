"""The wordings of questions, and the words that questions are made from, as plain data.

`questions` writes the questions, and `findings` reads the facts from sentences. In a wording, {0}
is an organ (see `phantom.words.lexicon.Organ`), {f} a finding with its indefinite article ("a
cyst", German accusative), {F} the same with its definite article ("the cyst", German nominative),
and {w} a word. The wordings of a kind have the same order in both languages.
"""

# Questions with the answer yes or no, by kind.
YESNO = {
    "modality": {
        "en": ("Is the modality of this image {w}?", "Was this image taken by {w}?"),
        "de": ("Ist die Modalität dieses Bildes {w}?", "Wurde dieses Bild mit {w} aufgenommen?"),
    },
    "plane": {
        "en": ("Is this slice {w}?", "Is the plane of this image {w}?"),
        "de": ("Ist diese Schicht {w}?", "Ist die Ebene dieses Bildes {w}?"),
    },
    "region": {
        "en": ("Is this an image of the {w}?", "Was the region {w} examined?"),
        "de": ("Ist dies ein Bild der Region {w}?", "Wurde die Region {w} untersucht?"),
    },
    "shown": {
        "en": ("Is the {0.en} visible in this image?", "Does this slice show the {0.en}?"),
        "de": ("Ist {0.nom} in diesem Bild zu sehen?", "Zeigt diese Schicht {0.acc}?"),
    },
    "has": {
        "en": ("Is there {f} in the {0.en}?", "Does the {0.en} show {f}?"),
        "de": ("Gibt es {f} {0.into}?", "Zeigt {0.nom} {f}?"),
    },
    "normal": {
        "en": ("Is the {0.en} normal?", "Does the {0.en} look normal?"),
        "de": ("Ist {0.nom} unauffällig?", "Sieht {0.nom} normal aus?"),
    },
    "side": {
        "en": ("Is {F} in the {0.en} on the {w} side?", "Does {F} in the {0.en} lie on the {w}?"),
        "de": ("Ist {F} {0.into} auf der {w}en Seite?", "Liegt {F} {0.into} {w}s?"),
    },
}
# Questions whose answer is written out, or chosen among several.
OPEN = {
    "modality": {
        "en": ("Which modality is this?", "How was this image taken?"),
        "de": ("Welche Modalität ist das?", "Wie wurde dieses Bild aufgenommen?"),
    },
    "plane": {
        "en": ("Which plane is shown?", "In which plane is this slice?"),
        "de": ("Welche Ebene ist dargestellt?", "In welcher Ebene liegt diese Schicht?"),
    },
    "region": {
        "en": ("Which body region is shown?", "Which region was examined?"),
        "de": ("Welche Körperregion ist dargestellt?", "Welche Region wurde untersucht?"),
    },
    "organ": {
        "en": ("In which structure is {F}?", "Which structure shows {f}?"),
        "de": ("In welcher Struktur liegt {F}?", "Welche Struktur zeigt {f}?"),
    },
    "side": {
        "en": ("On which side is {F} in the {0.en}?", "On which side does the {0.en} show {f}?"),
        "de": ("Auf welcher Seite liegt {F} {0.into}?", "Auf welcher Seite zeigt {0.nom} {f}?"),
    },
    "finding": {
        "en": ("What is found in the {0.en}?", "Which finding does the {0.en} show?"),
        "de": ("Was findet sich {0.into}?", "Welchen Befund zeigt {0.nom}?"),
    },
    "which": {
        "en": ("Which of these structures is visible?", "Which of these does this slice show?"),
        "de": ("Welche dieser Strukturen ist zu sehen?", "Was davon zeigt diese Schicht?"),
    },
}
NO_YES = {"en": ("no", "yes"), "de": ("nein", "ja")}
# The answers and choices, by what they say: {key: word}.
WORDS = {
    "modality": {
        "en": {"CT": "CT", "MR": "MRI", "XR": "X-ray", "US": "ultrasound"},
        "de": {"CT": "CT", "MR": "MRT", "XR": "Röntgen", "US": "Ultraschall"},
    },
    "plane": {
        "en": {"axial": "axial", "coronal": "coronal", "sagittal": "sagittal"},
        "de": {"axial": "axial", "coronal": "koronar", "sagittal": "sagittal"},
    },
    "region": {
        "en": {
            "head": "head", "neck": "neck", "chest": "chest", "abdomen": "abdomen",
            "pelvis": "pelvis", "spine": "spine", "arm": "upper limb", "leg": "lower limb",
        },
        "de": {
            "head": "Kopf", "neck": "Hals", "chest": "Thorax", "abdomen": "Abdomen",
            "pelvis": "Becken", "spine": "Wirbelsäule", "arm": "obere Extremität",
            "leg": "untere Extremität",
        },
    },
    "side": {
        "en": {"left": "left", "right": "right", "both": "both sides"},
        "de": {"left": "links", "right": "rechts", "both": "beidseits"},
    },
}  # fmt: skip
# The word for a side in a question with the answer yes or no.
ASKED_SIDE = {"en": {"left": "left", "right": "right"}, "de": {"left": "link", "right": "recht"}}
# Only these may be asked about with yes or no; the other modalities are mere choices.
ASKED = {
    "modality": ("CT", "MR"),
    "plane": ("axial", "coronal", "sagittal"),
    "region": ("head", "neck", "chest", "abdomen", "pelvis", "spine"),
}
# Patterns of a region in the free text of `body_part`, in lower case and plain spelling. They are
# also found in words such as CHESTABDPELVIS.
REGIONS = {
    "head": r"head|brain|skull|kopf|schaedel|gehirn|cranium|kranium|\bccr?t\b|neuro",
    "neck": r"\bneck|\bhals(?!wirb)|collum",
    "chest": r"chest|thorax(?!wirb)|thora[kc]al(?!wirb)|lunge?\b|lungs|herz|heart",
    "abdomen": r"abd|\w*bauch|leber|liver|niere|kidney",
    "pelvis": r"pelvi|becken",
    "spine": r"spine|wirbel|\b[hbl]ws\b|lumbal|lumbar|sacrum|sakrum",
    "arm": r"shoulder|schulter|\barm|elbow|ellenbogen|\bhand|wrist|extremitaet_?obere|upperext",
    "leg": r"\bhip\b|huefte|knee|knie|\bleg\b|\bbein|\bfoot|fuss|ankle|thigh|oberschenkel|lowerext",
}
# Findings: id, (English, with its indefinite article, pattern of a word), (German noun, gender,
# pattern of a word in plain spelling). German patterns also fit the ends of compounds.
FINDINGS = (
    ("lesion", ("a lesion", r"lesions?"), ("Läsion", "f", r".*laesion(?:en)?")),
    ("cyst", ("a cyst", r"(?:micro)?cysts?"), ("Zyste", "f", r".*zysten?")),
    ("mass", ("a mass", r"mass(?:es)?"), ("Raumforderung", "f", r".*raumforderung(?:en)?")),
    (
        "nodule",
        ("a nodule", r"(?:micro)?nodules?"),
        ("Rundherd", "m", r".*rundherde?[ns]?|noduli?|noduls"),
    ),
    ("metastasis", ("a metastasis", r"metastas[ei]s"), ("Metastase", "f", r".*metastasen?")),
    (
        "tumour",
        ("a tumour", r"tumou?rs?|carcinomas?"),
        ("Tumor", "m", r".*tumor(?:en|e|s)?|.*karzinom(?:e|en|s)?"),
    ),
    ("fracture", ("a fracture", r"fractures?"), ("Fraktur", "f", r".*fraktur(?:en)?")),
    (
        "stone",
        ("a stone", r"(?:gall)?stones?|calcul(?:us|i)"),
        ("Stein", "m", r"(?:gallen|nieren|harn)?steine?[ns]?|.*konkremente?[ns]?"),
    ),
    ("abscess", ("an abscess", r"abscess(?:es)?"), ("Abszess", "m", r".*abszess(?:e|en|es)?")),
    ("haematoma", ("a haematoma", r"ha?ematomas?"), ("Hämatom", "n", r".*haematome?[ns]?")),
    (
        "haemorrhage",
        ("a haemorrhage", r"(?:micro)?ha?emorrhages?|bleeding"),
        ("Blutung", "f", r".*blutung(?:en)?"),
    ),
    (
        "thrombus",
        ("a thrombus", r"thromb(?:us|i|os[ei]s)"),
        ("Thrombus", "m", r".*thromb(?:us|en)"),
    ),
    ("aneurysm", ("an aneurysm", r"aneurysms?"), ("Aneurysma", "n", r".*aneurysm(?:a|as|en|ata)")),
    ("infarct", ("an infarct", r"infarct(?:s|ions?)?"), ("Infarkt", "m", r".*infarkte?[ns]?")),
    (
        "calcification",
        ("a calcification", r"calcifications?"),
        ("Verkalkung", "f", r".*verkalkung(?:en)?"),
    ),
    ("stenosis", ("a stenosis", r"stenos[ei]s"), ("Stenose", "f", r".*stenosen?")),
    (
        "consolidation",
        ("a consolidation", r"consolidations?"),
        ("Konsolidierung", "f", r".*konsolidierung(?:en)?"),
    ),
    ("atelectasis", ("an atelectasis", r"atelectas[ei]s"), ("Atelektase", "f", r".*atelektasen?")),
)
# An organ is called normal by these words.
NORMAL = (
    "normal unremarkable inconspicuous clear unauffällig unauffällige unauffälliger "
    "unauffälliges unauffälligen normale normaler normales normalen regelrecht regelrechte "
    "regelrechter regelrechtes regelrechten ob"
)
# Beside these words and those of grammar, nothing else may stand in the clause, so that they do not
# speak of a size ("normal in size") or of something else ("a haemangioma in the normal liver").
NORMAL_FILLERS = (
    "appearance appears appear imaging entirely completely otherwise visualized depicted shown "
    "left right both bilateral bilaterally side sides darstellung dargestellt darstellbar "
    "erscheinungsbild befund links rechts linke linker linkes linken rechte rechter rechtes "
    "rechten beide beiden beider bds beidseits soweit sich stellen"
)
# In a name of a class, these stand for a part of it only.
PARTIAL = (
    "wall wand lumen arch bogen aortenbogen ascending descending ascendens descendens transversum "
    "transverse thoracic thorakale abdominal abdominale abdominalis thoracica bauchaorta bauchaort "
    "brustaorta brustaort infrarenal infrarenale sigmoid sigmoideum sigma cecum caecum zäkum zökum "
    "jejunum ileum "
    "silhouette herzschatten spinalkanal canal myokard myocardium herzmuskel rahmen contour kontur "
    "margin rand region dünndarmschlinge dünndarmschlingen kortikal cortical"
)
# So do these beside the name of an organ ("the upper pole of the left kidney").
PARTS = (
    "pole head tail segment segments apex base hilum neck dome tip portion part parts aspect third "
    "half cortex lobe lumen surface quadrant region area level oberpol unterpol pol kopf schwanz "
    "segmente spitze basis hilus kuppel anteil anteile abschnitt abschnitte drittel hälfte kortex "
    "lappen höhe bereich oberfläche quadrant schaft shaft"
)
# Adjectives that name a whole organ; the German ones without their endings.
WHOLE_ADJECTIVES = (
    "splenic renal hepatic pancreatic pulmonary gastric cardiac aortic adrenal thyroid prostatic "
    "sternal clavicular scapular sacral vertebral esophageal oesophageal tracheal intracerebral "
    "cerebral intrahepatic intrapulmonary hepatisch hepatal lienal pulmonal intrapulmonal "
    "intrahepatisch pankreatisch kardial zerebral intrazerebral"
)
# With one of these, a sentence says nothing certain about what is there now.
DOUBT = (
    "possible; possibly; probable; probably; likely; suspected; suspicious; suspicion; may; might; "
    "could; questionable; equivocal; uncertain; indeterminate; differential; versus; vs; cannot; "
    "rule out; to exclude; history of; status post; post; former; prior; resected; resection; if; "
    "limited; not assessable; not evaluable; further; risk; biopsy; drainage; puncture; protocol; "
    "screening; surveillance; wall; biopsie; punktion; "
    "verdacht; v a; va; vermutlich; möglich; möglicherweise; wahrscheinlich; fraglich; fragliche; "
    "fraglicher; fragliches; unklar; unklare; dd; differentialdiagnostisch; am ehesten; eher; z n; "
    "zn; zustand nach; status nach; reseziert; resektion; eingeschränkt; beurteilbar; "
    "auszuschließen; ausschluss; könnte; kann; falls; weitere; weiteren"
)
# These are doubt too, unless they are denied ("no sign of", `kein Hinweis auf`).
SIGN = (
    "sign of; signs of; evidence of; suggestion of; suggestive of; indicative of; hinweis auf; "
    "hinweise auf; anhalt für"
)
# A denial with one of these leaves room for others ("no significant stenosis", `keine größere
# Läsion`).
QUALIFIED = (
    "significant relevant large larger greater bigger major gross acute fresh displaced new "
    "typical obvious definite clear clearly malignant measurable high grade suspicious suspekter "
    "suspekte suspekten verdächtige verdächtigen verdächtiger "
    "signifikante signifikanten signifikanter relevante relevanten relevanter wesentliche "
    "wesentlichen wesentlicher große größere größeren größerer großer akute akuten akuter frische "
    "frischen frischer dislozierte dislozierten neue neuen neuer eindeutige eindeutigen "
    "eindeutiger sichere sicheren sicherer höhergradige höhergradigen höhergradiger maligne "
    "malignen typische typischen abgrenzbare messbare grobe groben"
)
# What stands beside an organ is not in it.
BESIDE = (
    "near; adjacent; next; beside; above; below; behind; abutting; compressing; displacing; "
    "towards; toward; between; around; along; outside; invading; into; inferior to; superior to; "
    "anterior to; posterior to; medial to; lateral to; distal to; proximal to; caudal to; cranial "
    "to; ventral to; dorsal to; close to; extending to; neben; angrenzend; benachbart; oberhalb; "
    "unterhalb; hinter; vor; zwischen; um; außerhalb; komprimiert; komprimierend; verlagert; "
    "kontakt; bis; nahe; am; kaudal der; kranial der; dorsal der; ventral der; medial der; lateral "
    "der; kaudal des; kranial des; dorsal des; ventral des; medial des; lateral des"
)
# The clause goes on to something that the denial before does not reach.
EXCEPT = (
    "except; apart; aside; besides; other; exception; bis auf; außer; ausgenommen; abgesehen; "
    "sonst; ansonsten; otherwise; sonstige; sonstigen"
)
# Words behind "not" and "nicht" with which a finding before them is denied.
NOT_SEEN = (
    "seen visible visualized visualised identified detected present evident found demonstrated "
    "noted nachweisbar nachgewiesen sichtbar erkennbar abgrenzbar zu sehen gesehen vorhanden "
    "darstellbar"
)
# German names of classes that the phantom does not name: {id: (English, stem of the German
# adjective, German noun, gender)}. Names of pairs, ribs and vertebrae come from `class_table`.
ORGANS = {
    53: ("pulmonary vein", "", "Pulmonalvene", "f"),
    54: ("brachiocephalic trunk", "", "Truncus brachiocephalicus", "m"),
    61: ("left atrial appendage", "link", "Herzohr", "n"),
    80: ("left gluteus maximus", "link", "Gluteus maximus", "m"),
    81: ("right gluteus maximus", "recht", "Gluteus maximus", "m"),
    82: ("left gluteus medius", "link", "Gluteus medius", "m"),
    83: ("right gluteus medius", "recht", "Gluteus medius", "m"),
    84: ("left gluteus minimus", "link", "Gluteus minimus", "m"),
    85: ("right gluteus minimus", "recht", "Gluteus minimus", "m"),
}
# These have a plural name, or are no organ, and are never asked about.
NOT_ASKED = (
    "costal_cartilages", "intervertebral_discs", "kidney_cyst_left", "kidney_cyst_right",
    "autochthon_left", "autochthon_right",
    # This class is two vessels, and neither words nor pixels say which of them is meant.
    "portal_vein_and_splenic_vein",
)  # fmt: skip
# A finding in the spinal canal is one of the class of the cord, but not in the cord.
NOT_FOUND_IN = (("stenosis", "spinal_cord"), ("cyst", "sacrum"), ("cyst", "spinal_cord"))
# A finding of these classes is one of the organ: {class: (organ, finding)}.
FINDING_CLASSES = {
    "kidney_cyst_left": ("kidney_left", "cyst"),
    "kidney_cyst_right": ("kidney_right", "cyst"),
}
# Classes that consist of others: whoever sees a part sees some of the whole.
WHOLES = {
    "lung_left": ("lung_upper_lobe_left", "lung_lower_lobe_left"),
    "lung_right": (
        "lung_upper_lobe_right", "lung_middle_lobe_right", "lung_lower_lobe_right",
    ),
}  # fmt: skip
# Classes at about the same height of the body, without their sides; and the regions of each height.
# A slice at a height may well lack one of them, so that it is worth a question.
LEVELS = (
    ("head", "brain skull"),
    (
        "neck",
        "thyroid_gland trachea esophagus common_carotid_artery spinal_cord brachiocephalic_vein",
    ),
    (
        "chest",
        "lung_upper_lobe trachea esophagus aorta superior_vena_cava brachiocephalic_vein "
        "brachiocephalic_trunk subclavian_artery common_carotid_artery clavicula scapula humerus "
        "sternum thyroid_gland lung",
    ),
    (
        "chest",
        "lung_upper_lobe lung_lower_lobe lung_middle_lobe heart aorta esophagus pulmonary_vein "
        "superior_vena_cava sternum scapula atrial_appendage spinal_cord trachea lung",
    ),
    (
        "chest abdomen",
        "lung_lower_lobe lung_middle_lobe heart liver spleen stomach esophagus aorta "
        "inferior_vena_cava adrenal_gland lung",
    ),
    (
        "abdomen",
        "liver spleen stomach pancreas gallbladder adrenal_gland kidney duodenum colon aorta "
        "inferior_vena_cava portal_vein_and_splenic_vein small_bowel",
    ),
    (
        "abdomen",
        "kidney small_bowel colon duodenum pancreas aorta inferior_vena_cava iliopsoas "
        "iliac_artery iliac_vena liver gallbladder",
    ),
    (
        "pelvis",
        "urinary_bladder prostate sacrum hip colon small_bowel iliac_artery iliac_vena "
        "gluteus_maximus gluteus_medius gluteus_minimus femur iliopsoas",
    ),
    ("leg", "femur gluteus_maximus hip prostate urinary_bladder"),
)
