"""Turns the stored values of a grey DICOM image into HU, or into grey values for display.

The steps are padding, rescale, lookup tables, window and inversion, in this order.
"""

import dataclasses
import math

import numpy as np
import pydicom
from jaxtyping import Bool, Float32, Int16, Num
from pydicom import pixels
from pydicom.valuerep import DSfloat

from big_rad.dicom import image, tables
from big_rad.dicom.errors import MissingElementError, NotAnImageError
from big_rad.dicom.fields import Fields
from big_rad.dicom.pixel_data import Header, used_bits
from big_rad.dicom.tables import Descriptor

AIR = -1000  # HU
_LEAST_WIDTHS = {"LINEAR": 1.0, "LINEAR_EXACT": math.ulp(0.0), "SIGMOID": math.ulp(0.0)}


@dataclasses.dataclass(frozen=True)
class Stored:
    """The stored values of a frame.

    Attributes:
        values: the values without the bits above BitsStored.
        padding: True at the pixels that are not part of the image; None if there are no such
            pixels.
    """

    values: Num[np.ndarray, "height width"]
    padding: Bool[np.ndarray, "height width"] | None


def stored(words: Num[np.ndarray, "height width"], header: Header, fields: Fields) -> Stored:
    """Clears the unused bits of a frame and finds its padding.

    A pixel is padding if its value is PixelPaddingValue, or lies between PixelPaddingValue and
    PixelPaddingRangeLimit (PS3.3 C.7.5.1.1.2). Both limits are read as bit patterns, because they
    are often written with the wrong sign. If a limit needs bits above BitsStored, the pixels are
    compared with these bits too.

    Args:
        words: the decoded frame [H, W].
        header: how the frame is stored.
        fields: the elements of the frame; warnings are added to it.
    """
    values = used_bits(words, header)
    if _has_more(words, values, header):
        fields.warn("bits above BitsStored are not zero (an overlay, perhaps) and were cleared")
    ends = [fields.optional(k) for k in ("PixelPaddingValue", "PixelPaddingRangeLimit")]
    if ends[0] is None:
        if ends[1] is not None:
            fields.warn("PixelPaddingRangeLimit without PixelPaddingValue was ignored")
        return Stored(values, None)
    given = [int(end[0]) for end in ends if end is not None]
    limits = [_value_of(word, header) for word in given]
    compared = values
    if None in limits:
        limits = [word - (1 << 16) if header.signed and word >> 15 else word for word in given]
        compared = words
    low, high = min(limits), max(limits)
    padding = compared == low if low == high else (compared >= low) & (compared <= high)
    if padding.all():
        fields.warn("every pixel is padding (PixelPaddingValue): the image is blank")
    return Stored(values, padding if padding.any() else None)


def to_hu(frame: Stored, fields: Fields, name: str) -> Int16[np.ndarray, "height width"]:
    """Returns int16 HU [H, W], in which padding is air: -1000 HU or lower.

    Raises:
        MissingElementError: the file has no rescale slope or no intercept.
        NotAnImageError: the slope or the intercept is not finite, or the slope is 0.
    """
    slope, intercept = fields.number("RescaleSlope"), fields.number("RescaleIntercept")
    if slope is None or intercept is None:
        raise MissingElementError(
            f"{name}: CT without RescaleSlope and RescaleIntercept, so its HU are unknown; export "
            'the original slice, not a derived one, or give the modality "OT"'
        )
    if not math.isfinite(slope) or not math.isfinite(intercept):
        raise NotAnImageError(f"{name}: RescaleSlope, RescaleIntercept are not finite")
    if slope == 0:
        raise NotAnImageError(
            f"{name}: RescaleSlope is 0, which gives every pixel of the CT the same HU; correct "
            'it, export the slice again, or give the modality "OT"'
        )
    result = image.hu(frame.values, slope, intercept, name)
    if frame.padding is None:
        return result
    return _filled(result, frame, np.minimum(result, np.int16(AIR)), fields)


def to_shown(
    frame: Stored, header: Header, fields: Fields, windowed: bool, name: str
) -> Int16[np.ndarray, "height width"] | Float32[np.ndarray, "height width"]:
    """Returns grey values [H, W] for display: int16 if they fit, otherwise float32.

    Padding gets the lowest value of the other pixels. It is therefore black in the result, also
    where MONOCHROME1 is inverted.

    Args:
        frame: the stored values.
        header: how the frame is stored.
        fields: the elements of the frame; warnings are added to it.
        windowed: whether the VOI lookup table or window of the file is applied.
        name: the name of the file, for messages.

    Raises:
        ReadError: an element that is needed is damaged.
    """
    values = _transformed(frame.values, header, fields, windowed, name)
    inside = None if frame.padding is None or frame.padding.all() else ~frame.padding
    shown = values if inside is None else values[inside]
    low, high = shown.min(), shown.max()
    if header.photometric == "MONOCHROME1":
        values = np.float32(high) + np.float32(low) - values.astype(np.float32)
    return image.compact(_filled(values, frame, values.dtype.type(low), fields), name)


def _filled(
    values: np.ndarray, frame: Stored, background: np.ndarray | np.number, fields: Fields
) -> np.ndarray:
    """Returns the values with `background` at the padding; warns if that changes any value."""
    if frame.padding is None:
        return values
    result = np.where(frame.padding, background, values)
    if not np.array_equal(result, values):
        fields.warn("padding (PixelPaddingValue) was replaced by background")
    return result


def _has_more(words: np.ndarray, values: np.ndarray, header: Header) -> bool:
    """Returns whether bits above BitsStored are neither zero nor a copy of the sign bit."""
    if header.bits == header.stored or np.array_equal(words, values):
        return False
    above = words.view(f"u{words.dtype.itemsize}") >> header.stored
    more = above != 0
    if header.signed:
        more &= (values >= 0) | (above != (1 << (header.bits - header.stored)) - 1)
    return bool(more.any())


def _value_of(word: int, header: Header) -> int | None:
    """Returns the stored value of a word of 16 bits, or None if it needs more than BitsStored."""
    value, above = word & ((1 << header.stored) - 1), word >> header.stored
    if header.signed and value >> (header.stored - 1):
        extended = above == (1 << (16 - header.stored)) - 1
        return value - (1 << header.stored) if extended or not above else None
    return None if above else value


def _transformed(
    values: np.ndarray, header: Header, fields: Fields, windowed: bool, name: str
) -> np.ndarray:
    """Applies the modality table or rescale, and then the VOI table or window."""
    modality = _table("ModalityLUTSequence", header, fields, name)
    slope, intercept = fields.number("RescaleSlope"), fields.number("RescaleIntercept")
    rescaled = modality is None and slope is not None and intercept is not None
    if modality is None and (slope is None) != (intercept is None):
        fields.warn("RescaleSlope and RescaleIntercept need each other; the one given was ignored")
    if rescaled and slope == 0:
        fields.warn("RescaleSlope is 0, which would leave nothing to see; the rescale was ignored")
        rescaled = False
    voi = _table("VOILUTSequence", header, fields, name) if windowed else None
    window = _window(fields, name) if windowed and voi is None else None
    flat = pydicom.Dataset()  # The elements that `apply_windowing` of pydicom reads.
    flat.PhotometricInterpretation, flat.BitsStored = "MONOCHROME2", header.stored
    flat.PixelRepresentation = header.signed
    if rescaled:
        flat.RescaleSlope = DSfloat(slope, auto_format=True)
        flat.RescaleIntercept = DSfloat(intercept, auto_format=True)
    if window is not None:
        center, width, flat.VOILUTFunction = window
        flat.WindowCenter = DSfloat(center, auto_format=True)
        flat.WindowWidth = DSfloat(width, auto_format=True)
    if modality is not None:
        entries, table = modality
        values = tables.look_up(values, entries, table.first)
        if window is not None:  # pydicom takes the range of the windowed values from these bits.
            item = pydicom.Dataset()
            item.LUTDescriptor = [table.count % (1 << 16), 0, table.bits]
            flat.ModalityLUTSequence = [item]

    def shown(block: np.ndarray) -> np.ndarray:
        if rescaled:
            block = block.astype(np.float64) * slope + intercept
        return block if window is None else pixels.apply_windowing(block, flat)

    if rescaled or window is not None:
        values = image.in_blocks(values, shown, np.float32)
    return values if voi is None else tables.look_up(values, voi[0], voi[1].first)


def _table(
    keyword: str, header: Header, fields: Fields, name: str
) -> tuple[np.ndarray, Descriptor] | None:
    """Returns the entries and the descriptor of a lookup table, or None if there is no table."""
    item = fields.item(keyword)
    if item is None:
        return None
    if not item.span("LUTDescriptor") or not item.span("LUTData"):
        fields.warn(f"{keyword} without LUTDescriptor or LUTData was ignored")
        return None
    table = tables.descriptor(item, "LUTDescriptor", bool(header.signed), name)
    return tables.entries(item, "LUTData", table, name), table


def _window(fields: Fields, name: str) -> tuple[float, float, str] | None:
    """Returns centre, width and function of the first window that the standard allows.

    The result is None if the file has no window.

    Raises:
        NotAnImageError: the file has windows, and the standard allows none of them.
    """
    centers, widths = fields.get("WindowCenter"), fields.get("WindowWidth")
    if centers is None or widths is None:
        if centers is not None or widths is not None:
            fields.warn("WindowCenter and WindowWidth need each other; the one given was ignored")
        return None
    function = (fields.get("VOILUTFunction") or "LINEAR").upper()
    least = _LEAST_WIDTHS.get(function)
    if least is None:
        raise NotAnImageError(
            f"{name}: VOILUTFunction is not LINEAR, LINEAR_EXACT or SIGMOID; correct it, or remove "
            "it for LINEAR"
        )
    for number, (center, width) in enumerate(zip(centers, widths)):
        if math.isfinite(center) and least <= width < math.inf:
            if number:
                fields.warn(
                    f"WindowWidth: the standard allows window {number + 1} first; it is used"
                )
            return center, width, function
    raise NotAnImageError(
        f"{name}: WindowCenter or WindowWidth is impossible (a width is at least 1 with "
        "VOILUTFunction LINEAR, above 0 with others, and a finite number); correct both, or remove "
        "them to see the full range"
    )
