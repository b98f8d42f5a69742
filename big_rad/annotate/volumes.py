"""Canonical volumes: what every later stage of the data engine reads instead of the source.

`catalogue` lists the volumes of an image (a NIfTI file, or a folder of DICOM files) from headers
alone. `prepare` writes one of them as a NIfTI file in which nothing names a patient. It does so
slice by slice, so that a volume of any size needs little memory.

    found = catalogue(Path("study"), "CT")
    stored = prepare(found.volumes[0], folder)
"""

import collections
import dataclasses
import functools
import io
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pydicom
from jaxtyping import Float64

from big_rad import files
from big_rad.annotate.deidentify import allowed
from big_rad.annotate.faults import Failed, Rejected, cannot_open
from big_rad.dicom import nifti, plausible, unpack
from big_rad.dicom import reader as reader_lib
from big_rad.dicom import series as series_lib
from big_rad.dicom.errors import ReadError
from big_rad.dicom.image import hu, in_blocks

VERSION = 1  # Part of the keys of stages; a new number makes volumes and label maps again.
_ABOUT, _VOXELS = "about.json", "volume.nii"
_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_TAGS = (
    "SOPClassUID ImageType BurnedInAnnotation Modality SeriesNumber InstanceNumber "
    "RecognizableVisualFeatures PatientID"
).split()
SHARED = (
    "refers to a series by a SeriesNumber that several series of the image have, so which one is "
    "meant is unknown; give the folder with the files of that series alone"
)
_NAN = "voxels that are no numbers (NaN) were taken for 0"
# A slice may lie this share of the distance between slices away from where it should lie.
_MAX_OFF = 0.1
_UNOPENED = "cannot be opened"  # What `dicom.unpack.cannot_open` says.
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


@dataclasses.dataclass(frozen=True)
class Volume:
    """A volume of a source, of which only headers were read.

    Attributes:
        number: the SeriesNumber as text; "" in NIfTI files or if the series has none.
        modality: "CT" or "MR".
        instances: the InstanceNumber (from 1) of each slice, or None.
        count: the number of slices.
        paths: the files.
        series: the DICOM series; None for NIfTI.
        warnings: sentences on what was guessed or is irregular.
    """

    number: str
    modality: str
    instances: tuple[int, ...] | None
    count: int
    paths: tuple[Path, ...] = dataclasses.field(repr=False)
    series: series_lib.Series | None = dataclasses.field(default=None, repr=False)
    warnings: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Catalogue:
    """The volumes of an image, and what was left out of it.

    Attributes:
        volumes: the volumes: the one with the most slices comes first, then by number.
        left_out: {reason: number of files}.
    """

    volumes: tuple[Volume, ...]
    left_out: dict[str, int]


def catalogue(image: Path, modality: str) -> Catalogue:
    """Lists the volumes of an image.

    Args:
        image: a NIfTI file, a DICOM file, or a folder of DICOM files.
        modality: the modality that the manifest states, "CT" or "MR".

    Raises:
        Rejected: it holds no volume of this modality, or files of several patients.
        Failed: there is no such file, or one cannot be opened.
    """
    try:
        there = image.exists()
    except OSError as e:
        raise Failed(cannot_open("the image", e)) from None
    if not there:  # A share that is not mounted looks like this.
        raise Failed(
            "the image does not exist; correct its path in the manifest, or mount its disk"
        )
    try:
        found = series_lib.find([image])
    except ValueError as e:
        raise Rejected(f"the image has too many files; give the folder of one study: {e}") from None
    if any(_UNOPENED in skipped.reason for skipped in found.skipped):
        raise Failed("a file of the image cannot be opened; check its permissions and its disk")
    left_out: collections.Counter[str] = collections.Counter(s.reason for s in found.skipped)
    volumes, people = [], set()
    for series in found.series:
        if series.kind == "nifti" and image.is_dir():
            left_out["is NIfTI, and beside other files it may be a mask; give the file itself"] += 1
        elif series.kind == "nifti":
            paths = tuple(dict.fromkeys(ref.path for ref in series.slices))
            volumes.append(Volume("", modality, None, series.count, paths, None, series.warnings))
        elif series.kind == "dicom" and series.modality == modality:
            volume = _of_series(series, left_out, people)
            if volume is not None:
                volumes.append(volume)
        else:
            what = series.modality or series.kind
            left_out[f"is {what}, and the manifest says {modality}"] += series.count
    if not volumes:
        reasons = "; ".join(f"{reason} ({n})" for reason, n in left_out.most_common(3))
        raise Rejected(f"no volume of {modality} can be used" + (f": {reasons}" if reasons else ""))
    if len(people) > 1:
        raise Rejected(
            f"the files name {len(people)} patients (PatientID); give each patient a folder"
        )
    volumes.sort(key=lambda v: (-v.count, _natural(v.number)))
    return Catalogue(tuple(volumes), dict(left_out))


def chosen(found: Catalogue, number: str) -> Volume:
    """Returns the volume of a series number; "" chooses the one with the most slices.

    A NIfTI file has no number, so it is the volume whatever number is given.

    Raises:
        Rejected: there is no series of this number, or there are several.
    """
    if not number or found.volumes[0].series is None:
        return found.volumes[0]
    if shared(found, number):
        raise Rejected(SHARED)
    same = [v for v in found.volumes if v.number == number]
    if not same:
        raise Rejected("the image has no series of the number that the manifest or the text gives")
    return same[0]


def shared(found: Catalogue, number: str) -> bool:
    """Returns whether several series have a number, so that it names none of them.

    The parts of one series, such as slices of two orientations, have the same number as well; of
    these the one with the most slices is meant.
    """
    series = [v.series for v in found.volumes if number and v.number == number]
    return len({one.series_instance_uid or one.key for one in series if one is not None}) > 1


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
        kind = Failed if _UNOPENED in str(e) else Rejected
        raise kind(_without_name(e, volume.paths)) from None
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
        raise Rejected(_without_name(e, volume.paths)) from None


def opened(folder: Path) -> Stored:
    """Returns the canonical volume that `prepare` wrote into a folder."""
    about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
    affine, shape = np.array(about.pop("affine")), tuple(about.pop("shape"))
    return Stored(folder / _VOXELS, affine, shape, about)


def header(path: Path, tags: Sequence[str] | None = None) -> pydicom.Dataset:
    """Returns the header of a DICOM file, which may be packed with zstd.

    Args:
        path: the file.
        tags: keywords of the elements that are needed; None reads all.

    Raises:
        Rejected: the file is damaged.
        Failed: the disk refuses to read it.
    """
    try:
        with open(path, "rb") as stream:
            source = stream
            if stream.read(4) == unpack.ZSTD_MAGIC:
                stream.seek(0)
                source = io.BytesIO(unpack.unzstd(unpack.read_capped(stream, ""), ""))
            source.seek(0)
            return pydicom.dcmread(source, stop_before_pixels=True, specific_tags=tags)
    except OSError as e:
        raise Failed(f"a DICOM file cannot be read ({type(e).__name__})") from None
    except Exception as e:  # The messages of libraries may quote the file.
        raise Rejected(
            f"a DICOM file cannot be read ({type(e).__name__}); export it again"
        ) from None


def _of_series(
    series: series_lib.Series, left_out: collections.Counter[str], people: set[str]
) -> Volume | None:
    """Returns the volume of a DICOM series, or None, with a reason, if it must not be used.

    The PatientIDs of its files are added to `people`.
    """
    instances, refused, number = [], collections.Counter(), ""
    warnings = list(series.warnings)
    for path in dict.fromkeys(ref.path for ref in series.slices):
        ds = header(path, _TAGS)
        number = number or _whole(ds.get("SeriesNumber"))
        instances.append(_whole(ds.get("InstanceNumber")))
        people |= {str(ds.get("PatientID") or "").strip().casefold()} - {""}
        if reason := allowed.refusal(ds):
            refused[reason] += 1
    if refused:
        left_out.update(refused)
        return None
    frames = len(instances) != len(series.slices)
    # Slices are sorted by their place, and frames are counted as they are stored.
    known = (
        [(ref.frame or 0) + 1 for ref in series.slices]
        if frames
        else [int(i) for i in instances if i]
    )
    if len(known) != series.count or len(set(known)) != len(known):
        warnings.append("its InstanceNumbers are missing or not unique, so images have no numbers")
        known = []
    paths = tuple(dict.fromkeys(ref.path for ref in series.slices))
    return Volume(
        number, series.modality, tuple(known) or None, series.count, paths, series, tuple(warnings)
    )


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


def _without_name(error: ReadError, paths: Sequence[Path]) -> str:
    """Returns the message of an error without the names of files, which may name a patient."""
    message = str(error)
    for path in paths:
        message = message.replace(path.name, "a file")
    return message


def _whole(value: object) -> str:
    text = str(value if value is not None else "").strip()
    return str(int(text)) if text.isdecimal() and len(text) < 10 else ""


def _natural(number: str) -> tuple[int, str]:
    return (int(number) if number.isdecimal() else 1 << 30, number)
