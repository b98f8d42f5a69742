"""SNOMED CT codes of the anatomy classes, for DICOM SEG and SR.

    >>> codes = of_class(3)
    >>> codes.type.meaning, codes.side.meaning
    ('Kidney', 'Left')

A class is one structure, so its category is "Anatomical Structure" (91723000). TotalSegmentator's
file gives 123037004 with that meaning, but 123037004 is SNOMED's "Body structure", and the category
that DICOM lists (context group 7150) is 91723000. A cyst of a kidney is no structure of the body:
its type is "Cyst", and the kidney with its side is the region in which it lies.
"""

import dataclasses

from big_rad.dicom import code_table as table
from big_rad.grounding import classes

SCHEME = "SCT"  # How DICOM names SNOMED CT.


@dataclasses.dataclass(frozen=True)
class Code:
    """One coded concept.

    Attributes:
        value: the code, such as "64033007".
        meaning: its meaning in English, such as "Kidney".
        scheme: the coding scheme, as DICOM names it.
    """

    value: str
    meaning: str
    scheme: str = SCHEME


@dataclasses.dataclass(frozen=True)
class ClassCodes:
    """The codes of one class.

    Attributes:
        category: the category of the property, such as "Anatomical Structure".
        type: the property type, such as "Kidney" or "Cyst".
        side: `LEFT` or `RIGHT`; None if the class has no side, or if the type says the side.
        region: the anatomic region in which the finding lies; None if the type itself is anatomy.
        colour: the colour (red, green, blue) for its display, 0..255.
    """

    category: Code
    type: Code
    side: Code | None
    region: Code | None
    colour: tuple[int, int, int]

    @property
    def site(self) -> Code:
        """The anatomy at which the finding lies: the region if there is one, else the type."""
        return self.region or self.type


LEFT = Code("7771000", "Left")
RIGHT = Code("24028007", "Right")
ANATOMY = Code("91723000", "Anatomical Structure")
ALTERED = Code("49755003", "Morphologically Altered Structure")
KIDNEY = Code("64033007", "Kidney")
# The type of a phrase whose class is unknown. It is SNOMED's root of all parts of the body.
BODY_STRUCTURE = Code("123037004", "Body structure")
_CYST = "367643001"
_SIDES = {"L": LEFT, "R": RIGHT, "": None}
_UNKNOWN = ClassCodes(ANATOMY, BODY_STRUCTURE, None, None, (255, 159, 28))


def of_class(class_id: int) -> ClassCodes:
    """Returns the codes of a class.

    Args:
        class_id: the class id, 1..121, or 0 for a phrase whose class is unknown.

    Raises:
        KeyError: the id is not in 0..121.
    """
    if class_id == 0:
        return _UNKNOWN
    return _BY_ID[classes.by_id(class_id).id]


def _codes(value: str, meaning: str, side: str, colour: tuple[int, int, int]) -> ClassCodes:
    kind = Code(value, meaning)
    if value == _CYST:
        return ClassCodes(ALTERED, kind, _SIDES[side], KIDNEY, colour)
    return ClassCodes(ANATOMY, kind, _SIDES[side], None, colour)


_BY_ID = {row[0]: _codes(*row[2:]) for row in table.ROWS}
