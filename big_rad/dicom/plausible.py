"""Checks whether the values of a CT image can be HU, and guesses what they are if not.

The guess, a `Look`, comes from the values of one image. It is for warnings; this module rejects no
image.
"""

import dataclasses

import numpy as np
from jaxtyping import Num

# If all values are above the first limit, they are HU + 32768. The highest value of HU + 1024 is
# above the second limit, because soft tissue is.
_ALIKE, _SOFT = 20_000, 900


@dataclasses.dataclass(frozen=True)
class Look:
    """A guess at the kind of values that are not HU.

    Attributes:
        name: the kind in words, such as "HU + 1024".
        remedy: a clause that says what the user can do.
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

    Almost every slice holds air, which has about -1000 HU, so a slice without low values is
    suspect. An image of soft tissue alone may therefore be judged wrongly. An image with one single
    value is not judged.

    Args:
        pixels: the values that were taken for HU.
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
    # The percentile allows for a few negative values, which interpolation may have made.
    if low > -200 and high >= _SOFT and np.percentile(pixels, 1) >= 0:
        return PLUS_1024
    return None


def doubt(found: Look, pixels: Num[np.ndarray, "height width"]) -> str:
    """Returns a warning about an image whose values do not look like HU.

    Args:
        found: the result of `look` for the image.
        pixels: the values of the image.
    """
    return (
        f"its values, {pixels.min()} to {pixels.max()}, are not like HU but like {found.name}; "
        f"{found.remedy}"
    )


def picture(modality: str, units: str, offset: float | None) -> str:
    """Returns a warning if a CT slice is a picture, whose values are not HU; "" otherwise.

    Args:
        modality: the modality of the slice, from the file or the user.
        units: the units of the slice, see `image.Slice`.
        offset: the offset that the user gave for the values of CT, or None.
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
    """Returns a clause that says why the values of a slice are not HU.

    Args:
        modality: the modality of the slice.
        units: the units of the slice, other than "HU".
    """
    return "a picture of 8 bits has no HU" if units == "rgb" else f"this is {modality}"
