"""The names of the 121 anatomy classes, English and German, as plain data.

`classes.py` builds the classes from these data, and looks phrases up. The ids 1..117 and their
snake-case names are those of TotalSegmentator's `total` task. The last four classes exist only in
its `total_mr` task.

All names are singular and without inflection. The lookup ignores case, the spelling of umlauts,
hyphens, word order, plural and genitive endings, and the choice among the words for left and right,
so none of these needs a synonym.
"""

# Each row: id, name, English name, German name, more English names, more German names.
SINGLE = (
    (1, "spleen", "spleen", "Milz", ("splenic parenchyma",), ("Lien", "Splen")),
    (4, "gallbladder", "gallbladder", "Gallenblase", ("gall bladder",), ("Vesica biliaris",)),
    (5, "liver", "liver", "Leber", ("hepatic parenchyma",), ("Hepar",)),
    (6, "stomach", "stomach", "Magen", ("gastric wall", "gastric lumen"), ("Gaster",)),
    (7, "pancreas", "pancreas", "Pankreas", ("pancreatic gland",), ("Bauchspeicheldrüse",)),
    (
        13,
        "lung_middle_lobe_right",
        "right middle lobe",
        "rechter Mittellappen",
        ("middle lobe of the right lung", "right middle lung lobe", "middle lobe", "RML"),
        (
            "Mittellappen",
            "Mittellappen der rechten Lunge",
            "Lungenmittellappen rechts",
            "ML rechts",
            "ML",
        ),
    ),
    (15, "esophagus", "esophagus", "Speiseröhre", ("oesophagus", "gullet"), ("Ösophagus",)),
    (16, "trachea", "trachea", "Trachea", ("windpipe",), ("Luftröhre",)),
    (17, "thyroid_gland", "thyroid gland", "Schilddrüse", ("thyroid",), ("Glandula thyreoidea",)),
    (
        18,
        "small_bowel",
        "small bowel",
        "Dünndarm",
        ("small intestine", "jejunum", "ileum"),
        ("Jejunum", "Ileum", "Dünndarmschlinge", "Dünndarmkonvolut"),
    ),
    (19, "duodenum", "duodenum", "Duodenum", (), ("Zwölffingerdarm",)),
    (
        20,
        "colon",
        "colon",
        "Kolon",
        ("large bowel", "large intestine", "sigmoid colon", "ascending colon", "transverse colon")
        + ("descending colon", "sigmoid", "cecum", "caecum"),
        ("Dickdarm", "Colon", "Sigma", "Colon ascendens", "Colon transversum", "Zökum")
        + ("Colon descendens", "Colon sigmoideum", "Dickdarmrahmen", "Kolonrahmen", "Zäkum"),
    ),
    (
        21,
        "urinary_bladder",
        "urinary bladder",
        "Harnblase",
        ("bladder", "bladder wall"),
        ("Blase", "Vesica urinaria"),
    ),
    (22, "prostate", "prostate", "Prostata", ("prostate gland",), ("Vorsteherdrüse",)),
    (25, "sacrum", "sacrum", "Kreuzbein", ("sacral bone",), ("Sakrum", "Os sacrum")),
    (
        51,
        "heart",
        "heart",
        "Herz",
        ("cardiac silhouette", "myocardium"),
        ("Cor", "Herzschatten", "Myokard", "Herzmuskel"),
    ),
    (
        52,
        "aorta",
        "aorta",
        "Aorta",
        ("thoracic aorta", "abdominal aorta", "aortic arch", "ascending aorta")
        + ("descending aorta", "infrarenal aorta"),
        ("Hauptschlagader", "Bauchaorta", "Brustaorta", "Aortenbogen", "Aorta abdominalis")
        + ("Aorta thoracica", "Aorta ascendens", "Aorta descendens", "infrarenale Aorta")
        + ("thorakale Aorta", "abdominale Aorta"),
    ),
    (53, "pulmonary_vein", "pulmonary vein", "Pulmonalvene", (), ("Lungenvene", "Vena pulmonalis")),
    (
        54,
        "brachiocephalic_trunk",
        "brachiocephalic trunk",
        "Truncus brachiocephalicus",
        ("brachiocephalic artery", "innominate artery"),
        ("Arteria brachiocephalica",),
    ),
    # Only the left atrial appendage is a class.
    (
        *(61, "atrial_appendage_left", "left atrial appendage", "linkes Herzohr"),
        ("left auricle", "LAA"),
        ("linkes Vorhofohr",),
    ),
    (
        62,
        "superior_vena_cava",
        "superior vena cava",
        "obere Hohlvene",
        ("SVC",),
        ("Vena cava superior", "V. cava superior", "VCS"),
    ),
    (
        63,
        "inferior_vena_cava",
        "inferior vena cava",
        "untere Hohlvene",
        ("IVC",),
        ("Vena cava inferior", "V. cava inferior", "VCI"),
    ),
    (
        64,
        "portal_vein_and_splenic_vein",
        "portal and splenic vein",
        "Pfortader und Milzvene",
        ("portal vein", "splenic vein", "lienal vein"),
        ("Pfortader", "Milzvene", "Vena portae", "V. portae", "Vena lienalis", "V. lienalis")
        + ("Vena splenica",),
    ),
    (
        79,
        "spinal_cord",
        "spinal cord",
        "Rückenmark",
        ("spinal canal", "myelon"),
        ("Myelon", "Spinalkanal", "Medulla spinalis", "Conus medullaris"),
    ),
    (90, "brain", "brain", "Gehirn", ("cerebrum", "brain parenchyma"), ("Hirn", "Cerebrum")),
    (91, "skull", "skull", "Schädel", ("calvaria", "cranium"), ("Kalotte", "Schädelknochen")),
    (116, "sternum", "sternum", "Brustbein", ("breastbone",), ("Sternum", "Os sternum")),
    (
        117,
        "costal_cartilages",
        "costal cartilages",
        "Rippenknorpel",
        ("rib cartilage",),
        ("Cartilago costalis",),
    ),
    (
        120,
        "intervertebral_discs",
        "intervertebral discs",
        "Bandscheiben",
        ("disc", "disk", "intervertebral disk", "intervertebral disc space"),
        ("Zwischenwirbelscheibe", "Discus intervertebralis", "Bandscheibenfach", "Diskus")
        + ("Zwischenwirbelraum",),
    ),
    (
        121,
        "vertebrae",
        "vertebrae",
        "Wirbel",
        ("vertebral body", "spine", "vertebral column", "spinal column"),
        ("Wirbelkörper", "Wirbelsäule"),
    ),
)

# Each row: left id, right id, name without a side, English name, German name, the gender of the
# German name, more English names, more German names. Each name with a side names one class, and
# each name without a side names both.
PAIRED = (
    (3, 2, "kidney", "kidney", "Niere", "f", ("renal parenchyma",), ("Ren",)),
    (
        *(9, 8, "adrenal_gland", "adrenal gland", "Nebenniere", "f"),
        ("adrenal", "suprarenal gland"),
        ("Glandula suprarenalis",),
    ),
    (
        *(10, 12, "lung_upper_lobe", "upper lobe", "Oberlappen", "m"),
        ("upper lobe of the lung", "upper pulmonary lobe"),
        ("Lungenoberlappen", "Oberlappen der Lunge", "OL"),
    ),
    (
        *(11, 14, "lung_lower_lobe", "lower lobe", "Unterlappen", "m"),
        ("lower lobe of the lung", "lower pulmonary lobe"),
        ("Lungenunterlappen", "Unterlappen der Lunge", "UL"),
    ),
    (
        *(23, 24, "kidney_cyst", "kidney cyst", "Nierenzyste", "f"),
        ("renal cyst", "renal cortical cyst"),
        ("Zyste der Niere", "kortikale Nierenzyste"),
    ),
    (
        *(56, 55, "subclavian_artery", "subclavian artery", "Schlüsselbeinarterie", "f"),
        ("subclavian",),
        ("Arteria subclavia", "A. subclavia", "Subclavia"),
    ),
    (
        *(58, 57, "common_carotid_artery", "common carotid artery"),
        *("Halsschlagader", "f"),
        ("carotid artery", "common carotid", "carotid"),
        ("Arteria carotis communis", "A. carotis communis", "ACC", "Karotis", "Arteria carotis"),
    ),
    (
        *(59, 60, "brachiocephalic_vein", "brachiocephalic vein", "Vena brachiocephalica", "f"),
        ("innominate vein",),
        ("V. brachiocephalica",),
    ),
    (
        *(65, 66, "iliac_artery", "iliac artery", "Beckenarterie", "f"),
        ("common iliac artery",),
        ("Arteria iliaca", "A. iliaca", "Arteria iliaca communis", "A. iliaca communis")
        + ("Iliakalarterie", "AIC"),
    ),
    (
        *(67, 68, "iliac_vena", "iliac vein", "Beckenvene", "f"),
        ("common iliac vein",),
        ("Vena iliaca", "V. iliaca", "Vena iliaca communis", "V. iliaca communis", "Iliakalvene"),
    ),
    (69, 70, "humerus", "humerus", "Oberarmknochen", "m", ("humeral head",), ("Humerus",)),
    (71, 72, "scapula", "scapula", "Schulterblatt", "n", ("shoulder blade",), ("Skapula",)),
    (
        *(73, 74, "clavicula", "clavicle", "Schlüsselbein", "n"),
        ("collarbone", "collar bone"),
        ("Klavikula", "Clavicula"),
    ),
    (
        *(75, 76, "femur", "femur", "Oberschenkelknochen", "m"),
        ("thigh bone", "femoral head", "proximal femur"),
        ("Femur", "Femurkopf", "Hüftkopf", "proximaler Femur"),
    ),
    (
        *(77, 78, "hip", "hip bone", "Hüftbein", "n"),
        ("hip", "innominate bone", "hemipelvis", "pelvic bone", "ilium", "iliac bone"),
        ("Hüfte", "Hüftknochen", "Os coxae", "Beckenknochen", "Os ilium", "Beckenschaufel")
        + ("Darmbein", "Darmbeinschaufel"),
    ),
    (
        *(80, 81, "gluteus_maximus", "gluteus maximus muscle", "großer Gesäßmuskel", "m"),
        ("gluteus maximus",),
        (
            "Musculus gluteus maximus",
            "M. gluteus maximus",
            "M. glutaeus maximus",
            "Gluteus maximus",
        ),
    ),
    (
        *(82, 83, "gluteus_medius", "gluteus medius muscle", "mittlerer Gesäßmuskel", "m"),
        ("gluteus medius",),
        ("Musculus gluteus medius", "M. gluteus medius", "M. glutaeus medius", "Gluteus medius"),
    ),
    (
        *(84, 85, "gluteus_minimus", "gluteus minimus muscle", "kleiner Gesäßmuskel", "m"),
        ("gluteus minimus",),
        (
            "Musculus gluteus minimus",
            "M. gluteus minimus",
            "M. glutaeus minimus",
            "Gluteus minimus",
        ),
    ),
    (
        *(86, 87, "autochthon", "deep back muscles", "autochthone Rückenmuskulatur", "f"),
        ("erector spinae", "erector spinae muscle", "autochthonous back muscle")
        + ("paraspinal muscle", "paravertebral muscle"),
        ("Rückenstrecker", "paravertebrale Muskulatur", "Musculus erector spinae")
        + ("autochthone Muskulatur", "Rückenmuskulatur", "M. erector spinae"),
    ),
    (
        *(88, 89, "iliopsoas", "iliopsoas muscle", "Lendendarmbeinmuskel", "m"),
        ("iliopsoas", "psoas", "psoas muscle"),
        ("Musculus iliopsoas", "M. iliopsoas", "Musculus psoas", "M. psoas", "Psoasmuskel")
        + ("Psoas", "Iliopsoas"),
    ),
    (118, 119, "lung", "lung", "Lunge", "f", (), ("Lungenflügel", "Pulmo")),
)

# Synonyms that exist for one side only: class id, English names, German names.
EXTRA = (
    (10, ("LUL", "lingula", "lingula of the left lung"), ("Lingula", "Lingulasegment")),
    (11, ("LLL",), ()),
    (12, ("RUL",), ()),
    (14, ("RLL",), ()),
)

# Each row: the letter of the region, the id of its first vertebra, the number of vertebrae, the
# English adjective, the German stems, and the German short forms. The ids rise from S1 = 26 up the
# spine to C1 = 50.
VERTEBRAE = (
    ("S", 26, 1, "sacral", ("Sakral", "Kreuzbein"), ("SWK", "SW")),
    ("L", 31, 5, "lumbar", ("Lenden", "Lumbal"), ("LWK", "LW")),
    ("T", 43, 12, "thoracic", ("Brust", "Thorakal"), ("BWK", "BW", "Th")),
    ("C", 50, 7, "cervical", ("Hals", "Zervikal"), ("HWK", "HW")),
)
NAMED_VERTEBRAE = {50: ("atlas", "Atlas"), 49: ("axis", "Axis")}
# "T1" and "T2" alone are far more often MR weightings than vertebrae; "Th1" is a vertebra.
NOT_A_VERTEBRA = ("T1", "T2")

# The id of the first of the ribs 1..12 on each side.
RIBS = {"left": 92, "right": 104}

# Words that name several classes at once, for `lookup_all`. Paired names without a side are added
# to these.
GROUPS = (
    ((10, 11, 12, 13, 14), ("lung lobe", "pulmonary lobe"), ("Lungenlappen",)),
    (tuple(range(27, 32)), ("lumbar spine", "lumbar vertebra"), ("Lendenwirbelsäule", "LWS")),
    (tuple(range(32, 44)), ("thoracic spine", "thoracic vertebra"), ("Brustwirbelsäule", "BWS")),
    (tuple(range(44, 51)), ("cervical spine", "cervical vertebra"), ("Halswirbelsäule", "HWS")),
    (tuple(range(27, 32)), ("lumbar vertebral body",), ("Lendenwirbelkörper", "Lendenwirbel")),
    (tuple(range(32, 44)), ("thoracic vertebral body",), ("Brustwirbelkörper", "Brustwirbel")),
    (tuple(range(44, 51)), ("cervical vertebral body",), ("Halswirbelkörper", "Halswirbel")),
    (tuple(range(92, 116)), ("rib", "rib cage", "bony thorax"), ("Rippe", "Brustkorb")),
    (tuple(range(92, 104)), ("left rib",), ("linke Rippe",)),
    (tuple(range(104, 116)), ("right rib",), ("rechte Rippe",)),
    ((77, 78), ("pelvis", "bony pelvis"), ("Becken", "knöchernes Becken")),
    (
        tuple(range(80, 86)),
        ("gluteal muscle", "gluteal musculature"),
        ("Gesäßmuskel", "Glutealmuskulatur", "Gesäßmuskulatur"),
    ),
    ((62, 63), ("vena cava",), ("Hohlvene",)),
)

# The class names in the order of the `total_mr` task, whose indices begin at 1.
MR_NAMES = (
    *("spleen", "kidney_right", "kidney_left", "gallbladder", "liver", "stomach", "pancreas"),
    *("adrenal_gland_right", "adrenal_gland_left", "lung_left", "lung_right", "esophagus"),
    *("small_bowel", "duodenum", "colon", "urinary_bladder", "prostate", "sacrum", "vertebrae"),
    *("intervertebral_discs", "spinal_cord", "heart", "aorta", "inferior_vena_cava"),
    *("portal_vein_and_splenic_vein", "iliac_artery_left", "iliac_artery_right"),
    *("iliac_vena_left", "iliac_vena_right", "humerus_left", "humerus_right", "scapula_left"),
    *("scapula_right", "clavicula_left", "clavicula_right", "femur_left", "femur_right"),
    *("hip_left", "hip_right", "gluteus_maximus_left", "gluteus_maximus_right"),
    *("gluteus_medius_left", "gluteus_medius_right", "gluteus_minimus_left"),
    *("gluteus_minimus_right", "autochthon_left", "autochthon_right", "iliopsoas_left"),
    *("iliopsoas_right", "brain"),
)
