"""Whether a CT image has values that can be HU, and what it looks like if not.

A look is a guess from one image and refuses nothing by itself.
"""

import dataclasses

import numpy as np
from jaxtyping import Num

_ALIKE, _SOFT = 20_000, 900  # above these: HU + 32768; soft tissue in HU + 1024


@dataclasses.dataclass(frozen=True)
class Look:
    """What values look like that are no HU.

    Attributes:
        name: in words, such as "HU + 1024".
        remedy: what to do, a clause.
    """

    name: str
    remedy: str


_SHIFT = "if they are, give the offset {} (field `offset`, option --offset)"
SCALED = Look("values scaled to 0..1 or -1..1", "give the original HU; they cannot be restored")
EIGHT_BITS = Look("grey values of 0 to 255", 'give the original HU, or the modality "OT"')
PLUS_1024 = Look("HU + 1024", _SHIFT.format(-1024))
PLUS_32768 = Look("HU + 32768", _SHIFT.format(-32768))


def look(pixels: Num[np.ndarray, "height width"]) -> Look | None:
    """Returns what the values of a CT image look like, or None if they can be HU.

    Almost every slice holds air, of about -1000 HU; an image of soft tissue alone may be taken for
    something else. An image of one value alone tells nothing.

    Args:
        pixels: taken for HU, as read.
    """
    low, high = int(pixels.min()), int(pixels.max())
    if low == high:
        return None
    if low > _ALIKE:
        return PLUS_32768
    if -4 <= low and high <= 4:
        return SCALED
    if low >= 0 and high <= 255:
        return EIGHT_BITS
    # Interpolation may have pushed a few values below.
    if low > -200 and high >= _SOFT and np.percentile(pixels, 1) >= 0:
        return PLUS_1024
    return None


def doubt(found: Look, pixels: Num[np.ndarray, "height width"]) -> str:
    """Returns a sentence about an image that has a look."""
    return (
        f"its values, {pixels.min()} to {pixels.max()}, are not like HU but like {found.name}; "
        f"{found.remedy}"
    )


def picture(modality: str, units: str, offset: float | None) -> str:
    """Returns a sentence about CT that is a picture, whose values are no HU; "" for all else.

    Args:
        modality: of a slice, as the file says or the user gives.
        units: of the slice.
        offset: that was to be added to CT, or None.
    """
    if modality != "CT" or units != "rgb":
        return ""
    unused = f"; the offset {offset:g} is not used" if offset else ""
    return (
        "it is CT by its modality, but a picture of 8 bits, not HU: no CT window is applied, and "
        f"its colours or grey values are shown as they are{unused}. Give the original slice if "
        "there is one"
    )


def why_not_hu(modality: str, units: str) -> str:
    """Returns why a slice has no HU, a clause.

    Args:
        modality: of the slice.
        units: of it, not "HU".
    """
    return "a picture of 8 bits has no HU" if units == "rgb" else f"this is {modality}"
