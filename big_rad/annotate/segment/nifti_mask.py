"""Reads NIfTI masks slab by slab onto the grid of a volume.

Axes may be exchanged or reversed, and nothing is interpolated.
"""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Integer, UInt8

from big_rad.annotate.canonical import Stored
from big_rad.annotate.faults import Failed, Rejected, cannot_open
from big_rad.annotate.segment import harmonised
from big_rad.annotate.segment.result import Canvas, turn, turned
from big_rad.datasets import label_tables
from big_rad.dicom import labels, nifti
from big_rad.dicom.errors import NotAnImageError, ReadError

MASK = "the mask"  # Messages do not give the name of a file, which may hold that of a patient.
TURNED = "a mask was turned, because its axes are stored in another order than the volume's"
NO_NAMES = (
    "the mask has no names for its numbers, and the same numbers mean other organs in other "
    "tables; fill in mask_names: a names file, or one of the words "
    f"{', '.join(harmonised.NUMBERS)} if the numbers are of that table"
)
_MAX_LABEL = 1 << 20
_NO_CLASS, _UNKNOWN = 254, 255


class Damaged(Rejected):
    """The file of a mask is damaged, or was not written whole."""


@dataclasses.dataclass(frozen=True)
class Read:
    """What was read from one file of labels.

    Attributes:
        labels: the class ids.
        names: "own table" or "names file": what the numbers were mapped by.
        not_used: the labels whose names are no class.
        warnings: sentences about what was turned or guessed.
    """

    labels: UInt8[np.ndarray, "i j k"]
    names: str
    not_used: tuple[int, ...]
    warnings: tuple[str, ...]


def read_labels(path: Path, volume: Stored, names: Mapping[int, str] | None) -> Read:
    """Reads a file of labels.

    Args:
        path: the file.
        volume: the volume on whose grid the labels shall lie.
        names: {label: name} for a file without a table of its own. They may add labels to such a
            table, and must not contradict it.

    Raises:
        Rejected: the file cannot be used.
        Failed: the file could not be read, for a reason that may pass.
    """
    with opened(path) as mask:
        own = labels.table_of(mask)
        names = names or {}
        if clash := sorted(k for k in own.keys() & names if not _same(own[k], names[k])):
            raise Rejected(
                f"label {clash[0]} has another name in the mask's own table than mask_names gives "
                "it; leave out the wrong one"
            )
        table = {**own, **names}
        orientation, moved = _placed(mask, volume)
        if not table:
            raise Rejected(NO_NAMES)
        lookup = _lookup(table)
        result = np.zeros(volume.shape, np.uint8, order="F")  # The order in which slabs are stored.
        view, not_used = turned(result, orientation), set()
        for index, values in _slabs(mask):
            view[:, :, index] = _mapped(values, lookup, not_used)
        warnings = (*mask.warnings, *((TURNED,) if moved else ()))
    return Read(result, "own table" if own else "names file", tuple(sorted(not_used)), warnings)


def paint_class(path: Path, volume: Stored, class_id: int, canvas: Canvas) -> tuple[str, ...]:
    """Paints the mask of one class; returns warnings.

    Args:
        path: the file, which is 0 outside the class and has one other number inside.
        volume: the volume on whose grid the mask shall lie.
        class_id: the class.
        canvas: the label map.

    Raises:
        Rejected: the file cannot be used.
        Failed: the file could not be read, for a reason that may pass.
    """
    with opened(path) as mask:
        orientation, moved = _placed(mask, volume)
        number = 0
        for index, values in _slabs(mask):
            high = int(values.max())
            if not high:
                continue
            inside = values != 0
            if number not in (0, high) or (values == high).sum() != inside.sum():
                raise Rejected(
                    "a mask of one class holds several numbers; it must be 0 and one other number"
                )
            number = high
            # Most masks are small, and painting is the slowest part.
            where = (*_box(inside), slice(index, index + 1))
            canvas.paint(where, inside[where[:2]][:, :, None], class_id, orientation)
        return (*mask.warnings, *((TURNED,) if moved else ()))


def of_same_grid(path: Path, volume: Stored) -> tuple[bool, dict[int, str], tuple[str, ...]]:
    """Reads the header of a mask.

    Returns:
        Whether it is stored in the same order as the volume, its own table of names, and warnings.

    Args:
        path: the file.
        volume: the volume.

    Raises:
        Rejected: the file is damaged, or does not have its voxels where the volume has them.
        Failed: the file could not be read, for a reason that may pass.
    """
    with opened(path) as mask:
        own = labels.table_of(mask)
        return not _placed(mask, volume)[1], own, mask.warnings


@contextlib.contextmanager
def opened(path: Path) -> Iterator[nifti.Volume]:
    """Opens a mask. Faults while it is read become `Rejected` or `Failed`.

    Args:
        path: the file.
    """
    try:
        with open(path, "rb") as stream:
            yield nifti.Volume(stream, MASK)
    except (Rejected, Failed):
        raise
    except NotAnImageError as e:
        raise Damaged(str(e)) from None
    except ReadError as e:
        raise Rejected(str(e)) from None
    except (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError) as e:
        raise Rejected(cannot_open(MASK, e)) from None
    except (OSError, MemoryError) as e:
        raise Failed(f"{MASK} could not be read ({type(e).__name__})") from None
    except Exception as e:
        raise Damaged(
            f"{MASK} is damaged or not standard ({type(e).__name__} while reading it); save it "
            "again"
        ) from None


def _placed(mask: nifti.Volume, volume: Stored) -> tuple[np.ndarray | None, bool]:
    if mask.affine is None:
        raise Rejected(
            f"{MASK} does not say where it lies (neither sform_code nor qform_code is set); save "
            "it with the affine of its image"
        )
    if mask.contradiction:
        raise Rejected(f"{MASK}: {mask.contradiction}")
    orientation, moved = turn(mask.shape, mask.affine, volume.shape, volume.affine)
    return (orientation if moved else None), moved


def _slabs(mask: nifti.Volume) -> Iterator[tuple[int, Integer[np.ndarray, "first second"]]]:
    """Yields (index on the last axis, whole numbers from 0)."""
    slope, inter = mask.rescale
    for index in range(mask.shape[2]):
        values = mask.across(2, index)
        if (slope, inter) != (1, 0):
            values = values * np.float64(slope) + inter
        if values.dtype.kind == "f":
            if not np.isfinite(values).all() or (values != np.rint(values)).any():
                raise Rejected(
                    f"{MASK} holds fractions or numbers that are not finite; save it as whole "
                    "numbers, without interpolation"
                )
        low, high = values.min(), values.max()
        if low < 0 or high > _MAX_LABEL:
            raise Rejected(f"{MASK} holds numbers outside 0..{_MAX_LABEL}; labels lie within")
        yield index, values if values.dtype.kind in "iu" else values.astype(np.int32)
    mask.check_end()


def _box(inside: Bool[np.ndarray, "first second"]) -> tuple[slice, slice]:
    """Returns the slices of the smallest box that holds all true elements."""
    ends = (np.flatnonzero(inside.any(axis=other))[[0, -1]] for other in (1, 0))
    return tuple(slice(int(first), int(last) + 1) for first, last in ends)


def _same(one: str, other: str) -> bool:
    """Returns whether two names are the same or name the same class."""
    ids = label_tables.class_of(one), label_tables.class_of(other)
    return one == other or (ids[0] is not None and ids[0] == ids[1])


def _lookup(table: Mapping[int, str]) -> UInt8[np.ndarray, " labels"]:
    """Returns the class id for each label, `_NO_CLASS` or `_UNKNOWN`."""
    known = {label: label_tables.class_of(name) for label, name in table.items()}
    if not any(known.values()):
        raise Rejected(
            "no name in the mask's table of labels is a class; docs/data.md lists the names"
        )
    lookup = np.full(max(known) + 1, _UNKNOWN, np.uint8)
    lookup[list(known)] = [class_id or _NO_CLASS for class_id in known.values()]
    lookup[0] = 0
    return lookup


def _mapped(
    values: Integer[np.ndarray, "first second"],
    lookup: UInt8[np.ndarray, " labels"],
    not_used: set[int],
) -> UInt8[np.ndarray, "first second"]:
    result = lookup.take(values, mode="clip")
    result[values >= len(lookup)] = _UNKNOWN
    if result.max() < _NO_CLASS:
        return result
    if (strange := values[result == _UNKNOWN]).size:
        raise Rejected(
            f"label {strange.min()} of the mask has no name in its table; add it to mask_names"
        )
    beside = result == _NO_CLASS
    not_used.update(int(v) for v in np.unique(values[beside]))
    result[beside] = 0
    return result
