"""Canonical volumes: what every later stage of the data engine reads instead of the source.

`prepare` writes a volume as a NIfTI file in which nothing names a patient. It does so slice by
slice, so that a volume of any size needs little memory.
"""

import collections
import dataclasses
import functools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from jaxtyping import Float64

from big_rad import files
from big_rad.annotate.deidentify import allowed
from big_rad.annotate.faults import Failed, Rejected
from big_rad.annotate.volumes import UNOPENED, Volume, header, without_name
from big_rad.dicom import nifti, plausible
from big_rad.dicom import reader as reader_lib
from big_rad.dicom import series as series_lib
from big_rad.dicom.errors import ReadError
from big_rad.dicom.image import hu, in_blocks

_ABOUT, _VOXELS = "about.json", "volume.nii"
_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_NAN = "voxels that are no numbers (NaN) were taken for 0"
# A slice may lie this share of the distance between slices away from where it should lie.
_MAX_OFF = 0.1
_HEADER = 352  # Bytes before the voxels of a NIfTI-1 file without extensions.
_Values = Iterator[np.ndarray]  # Slices [j, i] along the third stored axis.


@dataclasses.dataclass(frozen=True)
class Stored:
    """A canonical volume on disk, in which nothing names a patient.

    Attributes:
        path: an uncompressed NIfTI-1 file with a rebuilt header and without extensions. Its voxels
            are int16 (HU in CT) or float32.
        affine: the matrix from voxels to mm in DICOM's coordinates (x to the left, y to the back,
            z to the head). It is more exact than the affine in the file, which has 32 bits.
        shape: the numbers of voxels along the three stored axes.
        about: what is known about the volume, as JSON has it: `modality`; `plane`, in which it was
            acquired ("" if it is oblique or unknown); `kept`, the attributes that DICOM objects
            made of it may have; `instances`, the InstanceNumber of each slice along the third axis
            (None if the source has none); `range`, the lowest and the highest value; and
            `warnings`.
    """

    path: Path = dataclasses.field(repr=False)
    affine: Float64[np.ndarray, "4 4"]
    shape: tuple[int, int, int]
    about: dict[str, Any]


def prepare(volume: Volume, folder: Path) -> Stored:
    """Writes a volume as a canonical one.

    Args:
        volume: a volume of `catalogue`.
        folder: an empty folder, which receives the file.

    Raises:
        Rejected: the volume cannot be used.
        OSError: the disk is full, or cannot be written to.
    """
    try:
        made = _of_nifti(volume) if volume.series is None else _of_dicom(volume)
        about, affine, shape, values = made
        _write(folder / _VOXELS, affine, shape, values, about)
    except ReadError as e:
        kind = Failed if UNOPENED in str(e) else Rejected
        raise kind(without_name(e, volume.paths)) from None
    about |= {"affine": affine.tolist(), "shape": list(shape)}
    files.write_whole(folder / _ABOUT, json.dumps(about, sort_keys=True, ensure_ascii=False))
    return opened(folder)


def grid(volume: Volume) -> Stored:
    """Returns where the voxels of a volume lie, without reading them.

    Args:
        volume: a volume of `catalogue`.

    Returns:
        The affine and the shape that `prepare` would write. Its path is that of a source file.

    Raises:
        Rejected: the volume cannot be used.
    """
    first = volume.paths[0]
    try:
        if volume.series is not None:
            ds = header(volume.series.slices[0].path, ["Rows", "Columns"])
            shape = int(ds.get("Columns") or 0), int(ds.get("Rows") or 0), volume.count
            return Stored(first, _affine(volume.series), shape, {})
        with open(first, "rb") as stream:
            opened = nifti.Volume(stream, first.name)
            return Stored(first, _known(opened), opened.shape, {})
    except ReadError as e:
        raise Rejected(without_name(e, volume.paths)) from None


def opened(folder: Path) -> Stored:
    """Returns the canonical volume that `prepare` wrote into a folder."""
    about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
    affine, shape = np.array(about.pop("affine")), tuple(about.pop("shape"))
    return Stored(folder / _VOXELS, affine, shape, about)


def _of_dicom(volume: Volume) -> tuple[dict[str, Any], np.ndarray, tuple, Callable[[], _Values]]:
    """Returns about, affine, shape and a function that reads the slices of a DICOM series."""
    series = volume.series
    first, affine = series.slices[0], _affine(series)
    read = reader_lib.Reader()
    rows, columns = read(first).pixels.shape[:2]
    about = {
        "modality": volume.modality,
        "plane": series.plane,
        "kept": allowed.kept(header(first.path)),
        "instances": None if volume.instances is None else list(volume.instances),
        "warnings": list(volume.warnings),
    }

    def values() -> _Values:
        read = reader_lib.Reader()
        for ref in series.slices:
            image = read(ref)
            if image.pixels.ndim != 2 or image.modality != volume.modality:
                raise Rejected("the series has images of several kinds; export one series")
            for warning in image.warnings:
                if warning not in about["warnings"]:
                    about["warnings"].append(warning)
            yield image.pixels

    return about, affine, (columns, rows, len(series.slices)), values


def _affine(series: series_lib.Series) -> np.ndarray:
    """Returns the affine of a stack of slices, in DICOM's coordinates.

    Raises:
        Rejected: the slices do not lie at equal distances on a line.
    """
    places = [ref.place for ref in series.slices]
    spacing = series.slices[0].spacing
    if spacing is None or any(p is None or p.origin is None for p in places):
        raise Rejected(
            "the images do not say where they lie in the patient, or their pixel spacing"
        )
    origins = np.array([p.origin for p in places])
    if len(places) > 1:
        step = (origins[-1] - origins[0]) / (len(places) - 1)
    else:
        thick = series.thickness or 1.0
        step = np.cross(places[0].columns, places[0].rows) * thick
    off = np.linalg.norm(origins - (origins[0] + np.arange(len(places))[:, None] * step), axis=1)
    apart = float(np.linalg.norm(step))
    if apart < 1e-3 or off.max() > _MAX_OFF * apart:
        raise Rejected(
            f"the distance between slices is not the same everywhere (up to {off.max():.1f} mm off "
            f"a distance of {apart:.2f} mm); slices are missing, or several series are mixed"
        )
    affine = np.eye(4)
    affine[:3, 0] = np.array(places[0].columns) * spacing[1]
    affine[:3, 1] = np.array(places[0].rows) * spacing[0]
    affine[:3, 2], affine[:3, 3] = step, origins[0]
    if abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise Rejected("the slices do not lie one above the other; the series is no volume")
    return affine


def _of_nifti(volume: Volume) -> tuple[dict[str, Any], np.ndarray, tuple, Callable[[], _Values]]:
    """Returns about, affine, shape and a function that reads the slices of a NIfTI file."""
    path = volume.paths[0]
    with open(path, "rb") as stream:
        opened = nifti.Volume(stream, path.name)
        affine, shape = _known(opened), opened.shape
        slope, inter = opened.rescale
        warnings = [*volume.warnings, *(w for w in opened.warnings if w not in volume.warnings)]
    about = {
        "modality": volume.modality, "plane": "", "kept": {}, "instances": None,
        "warnings": warnings,
    }  # fmt: skip

    def values() -> _Values:
        with open(path, "rb") as stream:
            source = nifti.Volume(stream, path.name)
            for k in range(shape[2]):
                piece = source.across(2, k).T
                if volume.modality != "CT" and piece.dtype.kind == "f" and np.isnan(piece).any():
                    piece = np.nan_to_num(piece, nan=0.0)  # A usual mark of what lies outside.
                    if _NAN not in warnings:
                        warnings.append(_NAN)
                if volume.modality == "CT":
                    yield hu(piece, slope, inter, path.name)
                elif (slope, inter) != (1, 0):
                    scaled = functools.partial(_rescaled, slope=slope, inter=inter)
                    yield in_blocks(piece, scaled, np.float32)
                else:
                    yield piece

    return about, affine, shape, values


def _known(opened: nifti.Volume) -> np.ndarray:
    """Returns the affine of a NIfTI file, in DICOM's coordinates.

    Raises:
        Rejected: the file does not say where its voxels lie, or says it in two ways.
    """
    if opened.affine is None:
        raise Rejected(
            "neither sform_code nor qform_code of the NIfTI file is set, so left and right are "
            "unknown; save it with its affine"
        )
    if opened.contradiction:
        raise Rejected(opened.contradiction)
    return opened.affine


def _rescaled(block: np.ndarray, slope: float, inter: float) -> np.ndarray:
    return block * np.float64(slope) + inter


def _write(
    path: Path,
    affine: np.ndarray,
    shape: tuple[int, int, int],
    values: Callable[[], _Values],
    about: dict[str, Any],
) -> None:
    """Writes the voxels as int16, or as float32 if one of them does not fit."""
    for dtype in (np.int16, np.float32):
        head = nib.Nifti1Header()
        head.set_data_shape(shape)
        head.set_data_dtype(dtype)
        head.set_xyzt_units("mm")
        head.set_sform(_TO_RAS @ affine, code=1)
        head["vox_offset"], head["magic"] = _HEADER, b"n+1"
        low, high, looks = np.inf, -np.inf, collections.Counter()
        fits = True
        with path.open("wb") as file:
            file.write(head.binaryblock.ljust(_HEADER, b"\0"))
            for piece in values():
                if piece.shape != (shape[1], shape[0]):
                    raise Rejected("the slices of the image have several sizes; export one series")
                if not np.isfinite(piece).all():
                    raise Rejected("a voxel is not a finite number; save the volume again")
                small = np.ascontiguousarray(piece, dtype)
                fits = dtype == np.float32 or bool((small == piece).all())
                if not fits:
                    break
                low, high = min(low, piece.min()), max(high, piece.max())
                if about["modality"] == "CT":
                    looks[plausible.look(piece)] += 1
                file.write(small.tobytes())
        if fits:
            break
    about["range"] = [float(low), float(high)]
    if low == high:
        raise Rejected("all voxels have the same value; the volume is empty")
    look, count = looks.most_common(1)[0] if looks else (None, 0)
    if look is not None and count > shape[2] / 2:
        raise Rejected(
            f"the values, {low:g} to {high:g}, are not HU but look like {look.name}; save the CT "
            "in HU"
        )
