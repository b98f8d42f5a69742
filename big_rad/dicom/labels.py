"""Finds the slice of a label volume (NIfTI) that lies on an image, and reads its label names.

`read_labels` finds the slice by where the image and the volume lie in the patient, and
`read_in_order` by the order in which their voxels are stored. Nothing is interpolated: the volume
must have its voxels where the image has its pixels.
"""

import dataclasses
import html
import io
import pathlib
import re
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import Integer

from big_rad.dicom import nifti, unpack
from big_rad.dicom.errors import (
    FrameError,
    GeometryError,
    GridError,
    NotAnImageError,
    ReadError,
    UnsupportedError,
)
from big_rad.dicom.image import Place, Slice, compact, in_blocks

# Headers are rounded, so image and volume may differ a little. The first two limits are distances
# in voxels, in the plane of the image and across it. The third is the relative difference of the
# voxel sizes, and the fourth the sine of the angle between the axes.
_IN_PLANE, _ACROSS = 0.25, 0.35
_SAME_SIZE, _SAME_WAY = 0.01, 0.05
_MAX_NAMES = 10_000
_LABEL = re.compile(rb"<Label\b([^>]*)>(.*?)</Label>", re.DOTALL)
_KEY = re.compile(rb"""\bKey\s*=\s*["'](\d{1,9})["']""")
_CDATA = re.compile(r"^\s*<!\[CDATA\[(.*?)\]\]>\s*$", re.DOTALL)


@dataclasses.dataclass(frozen=True)
class Labels:
    """The labels of the pixels of an image.

    Attributes:
        values: the label of each pixel, in the order of the image as it was given.
        table: the names of the labels from the table in the file, {} if the file has no table.
        warnings: sentences that each say what was assumed.
    """

    values: Integer[np.ndarray, "height width"]
    table: dict[int, str]
    warnings: tuple[str, ...] = ()


def read_labels(
    path: str | pathlib.Path, image: Slice, *, frame: int | None = None, plane: str = "axial"
) -> Labels:
    """Reads the slice of a label volume that lies on an image.

    Args:
        path: the path of a NIfTI file, compressed or not.
        image: the image as `read.read` returns it, not turned.
        frame: the index of the slice, from 0, along the stored axis that is perpendicular to the
            image. If the positions disagree with it, that is a warning and not an error. Directions
            are still compared, and voxel sizes if the image has a `spacing`. If the image has no
            `place`, only the shape is compared.
        plane: the plane of the image, used only if the image does not state its own.

    Raises:
        GeometryError: the volume lies elsewhere, or the volume or the image does not say where it
            lies.
        ReadError: the file cannot be used; see the other subclasses.
    """

    def placed(volume: nifti.Volume) -> Labels:
        if volume.contradiction:
            raise GridError(f"{volume.name}: {volume.contradiction}")
        found = _labels_on(volume, image, frame, image.plane or plane)
        said = tuple(f"{volume.name}: {warning}" for warning in volume.warnings)
        return dataclasses.replace(found, warnings=said + found.warnings)

    return _reading(path, placed)


def read_in_order(
    path: str | pathlib.Path,
    image: Slice,
    image_path: str | pathlib.Path,
    *,
    frame: int | None = None,
    plane: str = "axial",
) -> Labels:
    """Reads a slice of a label volume whose voxels are stored in the same order as the image.

    The affine of the volume is ignored. If the image is NIfTI, voxel (i, j, k) of the volume lies
    on voxel (i, j, k) of the image's volume. Otherwise i is the column, j the row and k the frame
    of the stored pixels.

    Args:
        path: the path of a NIfTI file, compressed or not.
        image: the image as `read.read` returns it, not turned.
        image_path: the path of the image's own file.
        frame: the index of the slice, from 0; None if there is only one.
        plane: the plane in which a NIfTI image was sliced.

    Raises:
        ReadError: the file cannot be used, or its shape differs from the shape of the image.
    """
    if image.format == "nifti":
        shape, affine = _reading(image_path, lambda volume: (volume.shape, volume.affine))

    def ordered(volume: nifti.Volume) -> Labels:
        table = table_of(volume)
        if image.format == "nifti":
            if volume.shape != shape:
                raise GridError(
                    f"{volume.name}: has {_shape_text(volume.shape)} voxels, the image "
                    f"{_shape_text(shape)}"
                )
            values = volume.slice(plane, frame, affine)[0]
        else:
            values = volume.across(2, _index(volume, 2, frame)).T
        _check_shape(values, image, volume.name)
        return Labels(_rescaled(values, volume), table)

    return _reading(path, ordered)


def table_of(volume: nifti.Volume) -> dict[int, str]:
    """Returns the names of the labels of a volume, {} if the file has no table.

    The table is the one that TotalSegmentator and Connectome Workbench write into the header. Call
    this before voxels are read, because the file is read forwards only.

    Args:
        volume: a label volume.

    Raises:
        UnsupportedError: a label has two names.
    """
    found: dict[int, str] = {}
    for label, name in _names(volume):
        if found.setdefault(label, name) != name:
            raise UnsupportedError(
                f"{volume.name}: label {label} has two names in the table of the file; correct it"
            )
    return found


def _reading(path: str | pathlib.Path, use: Callable[[nifti.Volume], Any]) -> Any:
    name = pathlib.Path(path).name
    try:
        with open(path, "rb") as stream:
            return use(nifti.Volume(_unpacked(stream, name), name))
    except ReadError:
        raise
    except OSError as e:
        raise unpack.cannot_open(name, e) from None
    except Exception as e:
        raise NotAnImageError(
            f"{name}: damaged or non-standard ({type(e).__name__} while reading it); save it again"
        ) from None


def _unpacked(stream: BinaryIO, name: str) -> BinaryIO:
    if stream.read(4) != unpack.ZSTD_MAGIC:
        stream.seek(0)
        return stream
    stream.seek(0)
    return io.BytesIO(unpack.unzstd(unpack.read_capped(stream, name), name))


def _labels_on(volume: nifti.Volume, image: Slice, frame: int | None, plane: str) -> Labels:
    table, place, name = table_of(volume), image.place, volume.name
    if volume.affine is None:
        raise GridError(f"{name}: has no affine, so where it lies is unknown")
    if place is None:
        if frame is None:
            raise GeometryError(
                f"{name}: the image's file does not say where it lies in the patient, so the slice "
                "of the volume that belongs to it is unknown"
            )
        values = volume.slice(plane, frame)[0]
        _check_shape(values, image, name)
        warning = (
            f"{name}: the image's file does not say how the patient lies: the image is assumed to "
            "be stored as it is usually displayed"
        )
        return Labels(_rescaled(values, volume), table, (warning,))
    warnings = []
    known = place.origin is not None and image.spacing is not None
    if known:
        fit = _fit(volume, image)
        # A fit at `frame` needs no warning; any other use of `frame` does.
        if isinstance(fit, _Fit) and frame in (None, fit.index):
            return Labels(_rescaled(fit.values(volume), volume), table)
        if frame is None:
            raise GeometryError(f"{name}: {fit}")
        where = "is not where the image lies" if isinstance(fit, _Fit) else fit
        warnings.append(f"{name}: mask_frame is used, though the mask {where}")
    fit = _fit_by_directions(volume, image, frame)
    if not known:
        warnings.append(
            f"{name}: its position is not compared, because the image's file does not give position"
            " and pixel spacing"
        )
    return Labels(_rescaled(fit.values(volume), volume), table, tuple(warnings))


@dataclasses.dataclass(frozen=True)
class _Fit:
    """Which voxels of a volume lie on the pixels of an image.

    Attributes:
        axis, index: the voxel axis perpendicular to the image, and the index of the slice on it.
        rows, columns: for each of the two, (the voxel axis along which the image's row or column
            index runs, the voxel index of the first pixel on it, and 1 or -1 for the direction).
        shape: the shape (H, W) of the image.
    """

    axis: int
    index: int
    rows: tuple[int, int, int]
    columns: tuple[int, int, int]
    shape: tuple[int, int]

    def values(self, volume: nifti.Volume) -> np.ndarray:
        values = volume.across(self.axis, self.index)
        if self.columns[0] < self.rows[0]:
            values = values.T
        rows, columns = (
            first + sign * np.arange(count)
            for (_, first, sign), count in zip((self.rows, self.columns), self.shape)
        )
        return values[np.ix_(rows, columns)]


def _fit(volume: nifti.Volume, image: Slice) -> _Fit | str:
    """Returns which voxels lie on the image's pixels, or a clause that says why none do."""
    affine, place = volume.affine, image.place
    inverse = np.linalg.inv(affine[:3, :3])
    down = inverse @ (np.asarray(place.rows) * image.spacing[0])
    right = inverse @ (np.asarray(place.columns) * image.spacing[1])
    first = inverse @ (np.asarray(place.origin) - affine[:3, 3])
    axes = [int(np.argmax(np.abs(v))) for v in (down, right)]
    if wrong := _other_grid(volume, image, axes):
        return wrong
    across = 3 - sum(axes)
    lattice, steps = np.rint(first), np.zeros((2, 3))
    for k, (axis, vector) in enumerate(zip(axes, (down, right))):
        steps[k, axis] = np.sign(vector[axis])
    ends = np.array([[0, 0], [1, 0], [0, 1], [1, 1]]) * (np.array(image.pixels.shape[:2]) - 1)
    exact, whole = first + ends @ np.array([down, right]), lattice + ends @ steps
    limits = np.full(3, _IN_PLANE)
    limits[across] = _ACROSS
    apart = exact - whole
    if (np.abs(apart) > limits).any():
        worst = affine[:3, :3] @ apart[np.abs(apart).max(axis=1).argmax()]
        return f"lies between the image's pixels, up to {np.linalg.norm(worst):.2g} mm off"
    outside = np.maximum(0 - whole, whole - (np.array(volume.shape) - 1)).max(axis=0)
    if (outside > 0).any():
        far = max(o * s for o, s in zip(outside, np.linalg.norm(affine[:3, :3], axis=0)))
        return f"lies elsewhere: the image ends {far:.3g} mm outside of it"
    rows, columns = ((axis, int(lattice[axis]), int(steps[k, axis])) for k, axis in enumerate(axes))
    return _Fit(across, int(lattice[across]), rows, columns, image.pixels.shape[:2])


def _fit_by_directions(volume: nifti.Volume, image: Slice, frame: int | None) -> _Fit:
    """Returns which voxels lie on the image's pixels, by directions and not by positions.

    The slice is the one at `frame`, or the only slice of the volume.
    """
    unit = volume.affine[:3, :3] / np.linalg.norm(volume.affine[:3, :3], axis=0)
    inverse = np.linalg.inv(unit)
    down, right = (inverse @ np.asarray(v) for v in (image.place.rows, image.place.columns))
    axes = [int(np.argmax(np.abs(v))) for v in (down, right)]
    if wrong := _other_grid(volume, image, axes):
        raise GeometryError(f"{volume.name}: {wrong}")
    across = 3 - sum(axes)
    if frame is None and volume.shape[across] > 1:
        raise GeometryError(
            f"{volume.name}: the image's file does not give position and pixel spacing, so which "
            f"of the {volume.shape[across]} slices belongs to it is unknown"
        )
    index = _index(volume, across, frame)
    found = tuple(volume.shape[axis] for axis in axes)
    _check_shape(np.empty(found, bool), image, volume.name)
    rows, columns = (
        (axis, 0 if vector[axis] > 0 else volume.shape[axis] - 1, int(np.sign(vector[axis])))
        for axis, vector in zip(axes, (down, right))
    )
    return _Fit(across, index, rows, columns, image.pixels.shape[:2])


def _other_grid(volume: nifti.Volume, image: Slice, axes: list[int]) -> str:
    """Returns a clause on how axes or voxel sizes differ from the image's, "" if they do not."""
    columns = volume.affine[:3, :3]
    sizes = np.linalg.norm(columns, axis=0)
    place: Place = image.place
    turned = [
        np.linalg.norm(np.cross(columns[:, axis] / sizes[axis], vector))
        for axis, vector in zip(axes, (place.rows, place.columns))
    ]
    if axes[0] == axes[1] or max(turned) > _SAME_WAY:
        return "lies askew to the image"
    spacing = image.spacing
    if spacing is not None:
        found = sizes[axes[0]], sizes[axes[1]]
        if any(abs(a / b - 1) > _SAME_SIZE for a, b in zip(found, spacing)):
            return (
                f"has voxels of {found[0]:.4g} x {found[1]:.4g} mm, the image pixels of "
                f"{spacing[0]:.4g} x {spacing[1]:.4g} mm (rows x columns)"
            )
    return ""


def _index(volume: nifti.Volume, axis: int, frame: int | None) -> int:
    count = volume.shape[axis]
    if frame is None and count > 1:
        raise FrameError(
            f"{volume.name}: has {count} slices; name one, mask_frame 0 to {count - 1}"
        )
    if not 0 <= (frame or 0) < count:
        raise FrameError(f"{volume.name}: there is no slice {frame}, it has {count} of them")
    return frame or 0


def _check_shape(values: np.ndarray, image: Slice, name: str) -> None:
    shape = image.pixels.shape[:2]
    if values.shape != shape:
        raise GridError(
            f"{name}: {values.shape[0]} x {values.shape[1]} pixels (rows x columns), but the image "
            f"has {shape[0]} x {shape[1]}"
        )


def _rescaled(values: np.ndarray, volume: nifti.Volume) -> np.ndarray:
    slope, inter = volume.rescale
    if (slope, inter) != (1, 0):
        values = in_blocks(values, lambda x: x * np.float64(slope) + inter, np.float32)
    return np.ascontiguousarray(compact(values, volume.name))


def _names(volume: nifti.Volume) -> Iterator[tuple[int, str]]:
    """Yields (label, name) of the table that TotalSegmentator and Connectome Workbench write."""
    for content in volume.extensions():
        if b"<LabelTable" not in content:
            continue
        for n, (attributes, text) in enumerate(_LABEL.findall(content)):
            key = _KEY.search(attributes)
            if n >= _MAX_NAMES:
                return
            if key and int(key[1]):
                name = text.decode("utf-8", "replace")
                cdata = _CDATA.match(name)
                yield int(key[1]), (cdata[1] if cdata else html.unescape(name)).strip()


def _shape_text(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
