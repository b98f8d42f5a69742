"""What SLAKE calls its organs and diseases, and which of the anatomy classes each one is.

A name has a class only if it is the same organ: a part of a class (femoral head), a whole of which
the side is not said (kidney), and a disease have none and serve questions only. But where they are
shown, the organ may be, and cannot be called absent. Knows no files.

Sides are the patient's, and pictures are shown as in radiology, the patient's left on the viewer's
right: the set's own answers say so (asked for the organ on the left of the image, they say right
lung or liver; for the rightmost one, left lung or spleen).
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
    # Organs that are none of the classes, or only part of one.
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
    # No side said.
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
# Names without a class -> the classes that an image may show where it shows these.
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
# The classes that SLAKE's masks and boxes show wherever they are visible.
LABELLED = tuple(sorted({classes.by_name(n).id for n in CLASS_NAMES.values() if n}))


def key(name: str) -> str:
    """Returns a name as the table has it: lower case, single spaces."""
    return " ".join(name.lower().replace("_", " ").split())


def is_known(name: str) -> bool:
    """Whether a name is in the table, in whatever case."""
    return key(name) in CLASS_NAMES


def unsure(name: str) -> frozenset[int]:
    """Returns the classes that may be shown where a name is, though it is no name of theirs.

    Of a name that is not in the table, these are all that SLAKE labels.
    """
    if not is_known(name):
        return frozenset(LABELLED)
    return frozenset(classes.by_name(n).id for n in _WITHIN.get(key(name), ()))


def digest() -> str:
    """Returns a digest of the tables: what is built depends on them."""
    return hashlib.sha256(repr((CLASS_NAMES, _WITHIN)).encode()).hexdigest()[:16]


def class_id(name: str) -> int | None:
    """Returns the class that is the same organ, or None; also for names not in the table."""
    found = CLASS_NAMES.get(key(name))
    return classes.by_name(found).id if found else None
