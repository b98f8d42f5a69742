"""The wordings of template sentences and names that only they use, as plain data.

`templates` writes the sentences. In a wording, {x} is the list of structures with their articles,
{X} the same at the start of a sentence, {bare} the list without articles, and {acc} the list in the
German accusative. {is} and {lies} agree with the list in number. {plane} is the plane, to which a
German wording adds the ending, and {modality} the modality. A wording and its translation have the
same place in both languages. No wording says anything about a finding, or that something is normal.
"""

SENTENCES = (
    ("This {plane} slice shows {x}.", "Diese {plane}e Schicht zeigt {acc}."),
    ("{X} {is} visible in this slice.", "{X} {is} in dieser Schicht zu sehen."),
    ("{X} can be seen in this {plane} image.", "In diesem {plane}en Bild {is} {x} zu sehen."),
    ("Shown here {is} {x}.", "Hier {is} {x} dargestellt."),
    (
        "The {plane} {modality} image shows {x}.",
        "Das {plane}e {modality}-Bild zeigt {acc}.",
    ),
    ("The {plane} section runs through {x}.", "Der {plane}e Schnitt verläuft durch {acc}."),
    ("In this slice, {x} {is} depicted.", "In dieser Schicht {is} {x} abgebildet."),
    (
        "{X} {is} shown in this {modality} image.",
        "{X} {is} in diesem {modality}-Bild dargestellt.",
    ),
    ("{Plane} {modality} slice through {x}.", "{Plane}e {modality}-Schicht durch {acc}."),
    ("Structures in this slice: {bare}.", "Strukturen in dieser Schicht: {bare}."),
    ("{X} {lies} in this {plane} section.", "{X} {lies} in diesem {plane}en Schnitt."),
    ("Here we see {x}.", "Man sieht hier {acc}."),
    ("The image includes {x}.", "Das Bild erfasst {acc}."),
    (
        "{X} {is} recognisable in this {modality} slice.",
        "{X} {is} in dieser {modality}-Schicht erkennbar.",
    ),
)
# The question that a sentence answers. It names the structures, because a sentence that names some
# of what a slice shows could not be foreseen from the image alone.
INDICATIONS = (
    ("Where {is} {x}?", "Wo {is} {x}?"),
    ("Where {is} {x} shown?", "Wo {is} {x} zu sehen?"),
    ("Please locate {x}.", "Bitte {acc} lokalisieren."),
)
WORDS = {
    "en": {
        "and": " and ", "is": ("is", "are"), "lies": ("lies", "lie"),
        "plane": {"axial": "axial", "coronal": "coronal", "sagittal": "sagittal"},
        "modality": {"CT": "CT", "MR": "MR"},
    },
    "de": {
        "and": " und ", "is": ("ist", "sind"), "lies": ("liegt", "liegen"),
        "plane": {"axial": "axial", "coronal": "koronar", "sagittal": "sagittal"},
        "modality": {"CT": "CT", "MR": "MRT"},
    },
}  # fmt: skip
# Classes that no template names, and why.
NOT_NAMED = {
    "kidney_cyst_left": "a cyst is a finding",
    "kidney_cyst_right": "a cyst is a finding",
}
# Pairs: name without a side, English singular and plural, and German nouns as (singular, gender,
# plural). A plural "" is not used, because it is unusual or names no class.
PAIRS = {
    "kidney": ("kidney", "kidneys", (("Niere", "f", "Nieren"),)),
    "adrenal_gland": ("adrenal gland", "adrenal glands", (("Nebenniere", "f", "Nebennieren"),)),
    "lung_upper_lobe": (
        "upper lobe", "upper lobes",
        (("Oberlappen", "m", "Oberlappen"), ("Lungenoberlappen", "m", "Lungenoberlappen")),
    ),
    "lung_lower_lobe": (
        "lower lobe", "lower lobes",
        (("Unterlappen", "m", "Unterlappen"), ("Lungenunterlappen", "m", "Lungenunterlappen")),
    ),
    "subclavian_artery": (
        "subclavian artery", "subclavian arteries",
        (("Arteria subclavia", "f", ""), ("Schlüsselbeinarterie", "f", "Schlüsselbeinarterien")),
    ),
    "common_carotid_artery": (
        "common carotid artery", "common carotid arteries",
        (("Arteria carotis communis", "f", ""), ("Halsschlagader", "f", "Halsschlagadern")),
    ),
    "brachiocephalic_vein": (
        "brachiocephalic vein", "brachiocephalic veins", (("Vena brachiocephalica", "f", ""),),
    ),
    "iliac_artery": (
        "iliac artery", "iliac arteries",
        (("Beckenarterie", "f", "Beckenarterien"), ("Arteria iliaca", "f", "")),
    ),
    "iliac_vena": (
        "iliac vein", "iliac veins",
        (("Beckenvene", "f", "Beckenvenen"), ("Vena iliaca", "f", "")),
    ),
    "humerus": (
        "humerus", "humeri", (("Humerus", "m", ""), ("Oberarmknochen", "m", "Oberarmknochen")),
    ),
    "scapula": (
        "scapula", "scapulae", (("Skapula", "f", ""), ("Schulterblatt", "n", "Schulterblätter")),
    ),
    "clavicula": (
        "clavicle", "clavicles",
        (("Klavikula", "f", ""), ("Schlüsselbein", "n", "Schlüsselbeine")),
    ),
    "femur": (
        "femur", "femora",
        (("Femur", "m", ""), ("Oberschenkelknochen", "m", "Oberschenkelknochen")),
    ),
    "hip": ("hip bone", "hip bones", (("Hüftbein", "n", "Hüftbeine"),)),
    "gluteus_maximus": (
        "gluteus maximus muscle", "gluteus maximus muscles",
        (("Musculus gluteus maximus", "m", ""),),
    ),
    "gluteus_medius": (
        "gluteus medius muscle", "gluteus medius muscles",
        (("Musculus gluteus medius", "m", ""),),
    ),
    "gluteus_minimus": (
        "gluteus minimus muscle", "gluteus minimus muscles",
        (("Musculus gluteus minimus", "m", ""),),
    ),
    "autochthon": (
        "erector spinae muscle", "erector spinae muscles",
        (("autochthone Rückenmuskulatur", "f", ""),),
    ),
    "iliopsoas": (
        "iliopsoas muscle", "iliopsoas muscles",
        (("Musculus iliopsoas", "m", ""), ("Lendendarmbeinmuskel", "m", "Lendendarmbeinmuskeln")),
    ),
    "lung": ("lung", "lungs", (("Lunge", "f", "Lungen"),)),
}  # fmt: skip
# Names of single classes that `question_terms` does not have, or that say more than is shown:
# (English, German noun, gender).
SINGLE = {
    # The class is two vessels, of which a slice may show one.
    "portal_vein_and_splenic_vein": (("portal venous system", "Pfortadersystem", "n"),),
    "vertebrae": (
        ("spine", "Wirbelsäule", "f"), ("vertebral column", "Wirbelsäule", "f"),
    ),
}  # fmt: skip
# Classes of which there are several: the name of one and of several, which stand without "the", as
# other ones are not in the slice.
SEVERAL = {
    "pulmonary_vein": (
        ("pulmonary vein", "Pulmonalvene", "f"), ("pulmonary veins", "Pulmonalvenen"),
    ),
    "costal_cartilages": (
        ("costal cartilage", "Rippenknorpel", "m"), ("costal cartilages", "Rippenknorpel"),
    ),
    "intervertebral_discs": (
        ("intervertebral disc", "Bandscheibe", "f"), ("intervertebral discs", "Bandscheiben"),
    ),
}  # fmt: skip
