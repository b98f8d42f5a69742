"""`Slice`, the result of reading an image file, and the arithmetic that the readers share.

`to_display` turns a slice to its usual display.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float32, Int16, Num

from big_rad.dicom.errors import NotAnImageError
from big_rad.dicom.turns import EXIF, Turn

MAX_PIXELS = 1 << 25  # The most pixels of an image. No CT, MR or radiograph has more.
MODALITIES = ("CT", "MR", "OT")
PLANES = ("sagittal", "coronal", "axial")  # In the order of their normals: x, y, z.
_MIN_AXIS = 0.8  # An oblique slice belongs to a plane that is up to about 37 degrees away.
_TOWARDS = ("LR", "PA", "HF")  # For DICOM's x, y and z: where the axis rises to, and comes from.
_USUAL = {"axial": "LP", "coronal": "LF"}
_DISPLAY = _USUAL | {"sagittal": "PF"}  # NIfTI volumes and the maps of RefRad2D lie like this too.
_SIDES = {side: pair for pair in _TOWARDS for side in pair}
_BLOCK = 1 << 16  # The pixels that are converted at a time, so that wide temporaries stay small.

Vector = tuple[float, float, float]


@dataclasses.dataclass(frozen=True)
class Place:
    """Where the pixels of a slice lie in the patient.

    The coordinates are those of DICOM: x rises to the patient's left, y to the back, z to the head.

    Attributes:
        columns: the unit vector of the direction in which the column index rises.
        rows: the unit vector of the direction in which the row index rises.
        origin: the centre of the first pixel in mm, or None if the file does not say.
    """

    columns: Vector
    rows: Vector
    origin: Vector | None = None


@dataclasses.dataclass(frozen=True)
class Slice:
    """One image with what its file says about it.

    Attributes:
        pixels: the values. CT in HU is int16 [H, W]; another grey image is [H, W], int16 if the
            values fit and otherwise float32; a colour image is uint8 [H, W, 3].
        modality: "CT", "MR" or "OT" (anything else).
        spacing: the distances (between rows, between columns) in mm, or None if the file does not
            say.
        plane: "axial", "coronal" or "sagittal"; "" if the slice is oblique or the file does not
            say.
        units: the unit of the pixels: "HU", "raw" or "rgb".
        orientation: two letters out of L R A P H F (left, right, anterior, posterior, head, feet).
            The first is the side of the patient to which the column index rises, the second the
            side to which the row index rises; in an oblique slice the nearest axes count. "LP" is
            an axial slice in its usual display. "" if the file does not say.
        stated: the modality that the file itself states: "CT", "MR" or "OT". "" if the file states
            none, or none that can be relied on; then `modality` was given by the user or guessed.
        exif: the EXIF orientation of a PNG or JPEG, 1 to 8. The pixels are as stored, and
            `to_display` turns them; 1 needs no turn.
        warnings: sentences that each say what the reader guessed, turned or ignored. They hold
            neither the name of the file nor values that could name a patient.
        place: where the pixels lie in the patient, or None if the file does not say.
        format: the format of the file: "dicom", "nifti", "png", "jpeg" or "npy"; "" if the slice
            was not read from a file.
    """

    pixels: Num[np.ndarray, "height width"] | Num[np.ndarray, "height width 3"]
    modality: str
    spacing: tuple[float, float] | None
    plane: str
    units: str
    orientation: str = ""
    stated: str = ""
    exif: int = 1
    warnings: tuple[str, ...] = ()
    place: Place | None = None
    format: str = ""


def to_display(image: Slice) -> tuple[Slice, Turn]:
    """Turns or mirrors a slice to its usual display.

    An axial slice shows the patient's left on the viewer's right and the front at the top; a
    coronal slice shows the patient's left on the viewer's right and the head at the top; a sagittal
    slice shows the front on the viewer's left and the head at the top. An oblique slice is treated
    as the plane nearest to it. A picture is turned as its EXIF orientation says. A slice stays as
    it is if its file gives neither the orientation in the patient nor an EXIF orientation.

    Args:
        image: a slice as it is stored.

    Returns:
        The slice in its usual display, and the inverse turn, which brings boxes and masks of the
        displayed slice back to the stored slice. `inverse.inverse().words` says in words how the
        stored slice was turned.

    Example:
        >>> shown, inverse = to_display(read("mirrored.dcm"))
        >>> stored_mask = inverse.array(mask_of_the_shown_slice)
        >>> stored_box = inverse.box(box_of_the_shown_slice, shown.pixels.shape)
    """
    turn, sides = EXIF[image.exif], image.orientation
    if sides and image.exif == 1:
        usual = _DISPLAY[PLANES[3 - sum(_TOWARDS.index(_SIDES[side]) for side in sides)]]
        exchanged = sides[0] not in _SIDES[usual[0]]
        right, down = sides[::-1] if exchanged else sides
        turn = Turn(exchanged, flip_rows=down != usual[1], flip_columns=right != usual[0])
        sides = usual
    if not turn.words:
        return image, turn
    shown = dataclasses.replace(
        image,
        pixels=turn.array(image.pixels),
        spacing=image.spacing[::-1] if turn.transpose and image.spacing else image.spacing,
        orientation=sides,
        exif=1,
        place=_turned(image, turn),
    )
    return shown, turn.inverse()


def _turned(image: Slice, turn: Turn) -> Place | None:
    if image.place is None:
        return None
    back = turn.inverse()
    right, down = np.asarray(image.place.columns), np.asarray(image.place.rows)
    # The first displayed pixel lies at the far end of each stored axis that was reversed.
    origin = image.place.origin
    if origin is not None and image.spacing is not None:
        height, width = image.pixels.shape[:2]
        across = right * (width - 1) * image.spacing[1] * back.flip_columns
        along = down * (height - 1) * image.spacing[0] * back.flip_rows
        origin = tuple(map(float, np.asarray(origin) + across + along))
    right, down = (-right if back.flip_columns else right), (-down if back.flip_rows else down)
    if turn.transpose:
        right, down = down, right
    return Place(tuple(map(float, right)), tuple(map(float, down)), origin)


def unusual(orientation: str, plane: str) -> str:
    """Says in which directions a slice differs from its usual display.

    The usual display has the patient's left on the viewer's right. It has the front at the top in
    an axial slice, and the head at the top in a coronal slice. Sagittal slices are commonly shown
    either way, so the result for them is always "".

    Args:
        orientation: the `orientation` of a `Slice`.
        plane: the `plane` of the same slice.

    Returns:
        The directions that are reversed, such as "left and right"; "rows and columns" if these are
        exchanged; "" if nothing differs.
    """
    usual = _USUAL.get(plane, "")
    if not usual or not orientation or orientation == usual:
        return ""
    if orientation[0] not in _SIDES[usual[0]] or orientation[1] not in _SIDES[usual[1]]:
        return "rows and columns"
    names = ("left and right", "up and down")
    return ", ".join(n for n, a, b in zip(names, orientation, usual) if a != b)


def hu(
    values: Num[np.ndarray, "height width"], slope: float, intercept: float, name: str
) -> Int16[np.ndarray, "height width"]:
    """Returns int16 HU [H, W]: `values` times `slope` plus `intercept`, rounded and clipped.

    Args:
        values: the stored values [H, W], integers or floats.
        slope: the RescaleSlope.
        intercept: the RescaleIntercept.
        name: the name of the file, for messages.

    Raises:
        NotAnImageError: a result is not finite.
    """
    if slope == 1 and values.dtype in (np.int16, np.uint16) and intercept == int(intercept):
        offset = int(intercept)
        if -32768 <= int(values.min()) + offset and int(values.max()) + offset <= 32767:
            # This adds modulo 2**16, which is by far the fastest way, and exact because all results
            # fit into int16.
            return (values.view(np.uint16) + np.uint16(offset % (1 << 16))).view(np.int16)

    def scaled(block: np.ndarray) -> np.ndarray:
        block = block * np.float64(slope) + np.float64(intercept)
        if not np.isfinite(block).all():
            raise NotAnImageError(
                f"{name}: HU are not finite; check the rescale slope and intercept, and the values"
            )
        return np.clip(np.rint(block), -32768, 32767)

    return in_blocks(values, scaled, np.int16)


def compact(
    values: Num[np.ndarray, "height width"], name: str
) -> Int16[np.ndarray, "height width"] | Float32[np.ndarray, "height width"]:
    """Returns the values as int16 if that changes none of them, otherwise as float32.

    Raises:
        NotAnImageError: a value is not finite, or too large for float32.
    """
    low, high = values.min(), values.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise NotAnImageError(
            f"{name}: pixels are not finite; check the rescale slope, and replace NaN by a number"
        )
    if -32768 <= low and high <= 32767:
        if values.dtype.kind in "iu":
            return values.astype(np.int16)
        small = values.astype(np.int16)
        if (small == values).all():
            return small
    result = values.astype(np.float32)
    if values.dtype == np.float64 and not np.isfinite(result).all():
        raise NotAnImageError(f"{name}: pixels beyond float32; check the rescale slope")
    return result


def in_blocks(
    values: Num[np.ndarray, "height width"],
    function: Callable[[np.ndarray], np.ndarray],
    dtype: type,
) -> Num[np.ndarray, "height width"]:
    """Applies a pointwise function to a few rows at a time; returns an array of `dtype`."""
    result = np.empty(values.shape, dtype)
    rows = max(1, _BLOCK // values.shape[1])
    with np.errstate(all="ignore"):
        for at in range(0, len(values), rows):
            result[at : at + rows] = function(values[at : at + rows])
    return result


def plane_of(columns: Sequence[float], rows: Sequence[float]) -> str:
    """Returns the plane that contains two unit vectors in DICOM's coordinates, "" if oblique."""
    with np.errstate(all="ignore"):
        normal = np.abs(np.cross(np.asarray(columns, float), np.asarray(rows, float)))
    if not np.isfinite(normal).all():
        return ""
    axis = int(np.argmax(normal))
    return PLANES[axis] if normal[axis] >= _MIN_AXIS else ""


def orientation_of(columns: Sequence[float], rows: Sequence[float]) -> str:
    """Returns the two letters of `Slice.orientation`, or "" if the directions are impossible.

    The plane nearest to the slice is found first. Its two axes are then assigned to columns and
    rows in the way that fits best, so that the two letters never name the same axis.

    Args:
        columns: the direction in which the column index rises, in DICOM's coordinates (x to the
            left, y to the back, z to the head).
        rows: the direction in which the row index rises.
    """
    pair = np.array([columns, rows], float)
    with np.errstate(all="ignore"):
        normal = np.abs(np.cross(*pair))
        lengths = np.linalg.norm(pair, axis=1)
    if not np.isfinite(normal).all() or normal.max() < 0.1 * lengths.max() ** 2 or not normal.any():
        return ""
    # A slice that lies exactly between two planes counts as axial first, then as coronal.
    across = max((2, 1, 0), key=lambda axis: round(float(normal[axis]), 6))
    first, second = (axis for axis in range(3) if axis != across)
    straight = abs(pair[0, first]) + abs(pair[1, second])
    crossed = abs(pair[0, second]) + abs(pair[1, first])
    axes = (first, second) if straight >= crossed else (second, first)
    return "".join(_TOWARDS[a][0 if v[a] > 0 else 1] for a, v in zip(axes, pair))


def place_of(
    columns: Sequence[float], rows: Sequence[float], origin: Sequence[float] | None
) -> Place | None:
    """Returns the `Place` for two directions of any length, or None if they are impossible.

    Args:
        columns: the direction in which the column index rises, in DICOM's coordinates.
        rows: the direction in which the row index rises.
        origin: the centre of the first pixel in mm, or None if it is unknown.
    """
    pair = np.array([columns, rows], float)
    lengths = np.linalg.norm(pair, axis=1)
    if not np.isfinite(pair).all() or not lengths.all():
        return None
    right, down = pair / lengths[:, None]
    if abs(right @ down) > 0.05:
        return None
    if origin is not None and not (len(origin) == 3 and np.isfinite(origin).all()):
        origin = None
    point = None if origin is None else tuple(map(float, origin))
    return Place(tuple(map(float, right)), tuple(map(float, down)), point)
