"""Maps the names of organs and diseases in SLAKE to anatomy classes.

A name has a class only if it means the same organ. A part of a class (femoral head), an organ
without its side (kidney) and a disease have no class; they serve questions only. But an image with
such a name may show the organ, so the organ must not be called absent there (see `unsure`).

Sides are those of the patient, and pictures are shown as usual in radiology, with the patient's
left on the viewer's right. The answers of the dataset confirm this: the organ on the left of the
image is the right lung or the liver, and the rightmost organ is the left lung or the spleen.
"""

import hashlib

from big_rad.grounding import classes

CLASS_NAMES: dict[str, str | None] = {
    "bladder": "urinary_bladder",
    "brain": "brain",
    "colon": "colon",
    "duodenum": "duodenum",
    "esophagus": "esophagus",
    "gallbladder": "gallbladder",
    "heart": "heart",
    "large bowel": "colon",
    "left kidney": "kidney_left",
    "left lung": "lung_left",
    "liver": "liver",
    "pancreas": "pancreas",
    "prostate": "prostate",
    "right kidney": "kidney_right",
    "right lung": "lung_right",
    "small bowel": "small_bowel",
    "spinal cord": "spinal_cord",
    "spleen": "spleen",
    "stomach": "stomach",
    "trachea": "trachea",
    # Organs that are not a class, or only a part of one.
    "brain stem": None,
    "larynx": None,
    "rectum": None,
    "tooth": None,
    **{
        f"{side}{part}": None
        for side in ("", "left ", "right ")
        for part in ("ear", "eye", "femoral head", "humerus head", "mandible", "parotid")
    },
    "left temporal lobe": None,
    "right temporal lobe": None,
    # Organs without their side.
    "kidney": None,
    "lung": None,
    # Diseases.
    "atelectasis": None,
    "brain edema": None,
    "brain enhancing tumor": None,
    "brain non-enhancing tumor": None,
    "brain tumor": None,
    "cardiomegaly": None,
    "effusion": None,
    "infiltration": None,
    "kidney cancer": None,
    "liver cancer": None,
    "lung cancer": None,
    "mass": None,
    "nodule": None,
    "pleural effusion": None,
    "pneumonia": None,
    "pneumothorax": None,
    "pulmonary infiltration": None,
    "pulmonary mass": None,
    "pulmonary nodule": None,
}


_LUNGS, _KIDNEYS = ("lung_left", "lung_right"), ("kidney_left", "kidney_right")
# For names without a class: the classes that an image with such a name may show.
_WITHIN: dict[str, tuple[str, ...]] = {
    "kidney": _KIDNEYS,
    "kidney cancer": _KIDNEYS,
    "liver cancer": ("liver",),
    "rectum": ("colon",),
    "cardiomegaly": ("heart",),
    **dict.fromkeys(
        (
            "brain stem", "left temporal lobe", "right temporal lobe", "brain edema",
            "brain enhancing tumor", "brain non-enhancing tumor", "brain tumor",
        ),
        ("brain",),
    ),
    **dict.fromkeys(
        (
            "lung", "lung cancer", "atelectasis", "effusion", "infiltration", "mass", "nodule",
            "pleural effusion", "pneumonia", "pneumothorax", "pulmonary infiltration",
            "pulmonary mass", "pulmonary nodule",
        ),
        _LUNGS,
    ),
}  # fmt: skip
# The classes that the masks and boxes of SLAKE mark wherever they are visible.
LABELLED = tuple(sorted({classes.by_name(n).id for n in CLASS_NAMES.values() if n}))


def key(name: str) -> str:
    """Returns a name in the form of the table: in lower case, with single spaces."""
    return " ".join(name.lower().replace("_", " ").split())


def is_known(name: str) -> bool:
    """Returns whether a name is in the table, in upper or lower case."""
    return key(name) in CLASS_NAMES


def unsure(name: str) -> frozenset[int]:
    """Returns the classes that an image may show if it has this name, apart from the name's own.

    For example, an image with "liver cancer" may show the liver. For a name that is not in the
    table, these are all classes that SLAKE labels.
    """
    if not is_known(name):
        return frozenset(LABELLED)
    return frozenset(classes.by_name(n).id for n in _WITHIN.get(key(name), ()))


def digest() -> str:
    """Returns a digest of the tables, because the content of the records depends on them."""
    return hashlib.sha256(repr((CLASS_NAMES, _WITHIN)).encode()).hexdigest()[:16]


def class_id(name: str) -> int | None:
    """Returns the class of a name, or None if it has no class or is not in the table."""
    found = CLASS_NAMES.get(key(name))
    return classes.by_name(found).id if found else None
