"""Lists the volumes of an image (a NIfTI file, or a folder of DICOM files) from headers alone.

found = catalogue(Path("study"), "CT")
stored = canonical.prepare(found.volumes[0], folder)
"""

import collections
import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path

import pydicom

from big_rad.annotate.deidentify import allowed
from big_rad.annotate.faults import Failed, Rejected, cannot_open
from big_rad.dicom import series as series_lib
from big_rad.dicom import unpack
from big_rad.dicom.errors import ReadError

VERSION = 1  # Part of the keys of stages; a new number makes volumes and label maps again.
_TAGS = (
    "SOPClassUID ImageType BurnedInAnnotation Modality SeriesNumber InstanceNumber "
    "RecognizableVisualFeatures PatientID"
).split()
SHARED = (
    "refers to a series by a SeriesNumber that several series of the image have, so which one is "
    "meant is unknown; give the folder with the files of that series alone"
)
UNOPENED = "cannot be opened"  # What `dicom.unpack.cannot_open` says.


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
    if any(UNOPENED in skipped.reason for skipped in found.skipped):
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


def without_name(error: ReadError, paths: Sequence[Path]) -> str:
    """Returns the message of an error without the names of files, which may name a patient.

    Args:
        error: the error.
        paths: the files.
    """
    message = str(error)
    for path in paths:
        message = message.replace(path.name, "a file")
    return message


def _whole(value: object) -> str:
    text = str(value if value is not None else "").strip()
    return str(int(text)) if text.isdecimal() and len(text) < 10 else ""


def _natural(number: str) -> tuple[int, str]:
    return (int(number) if number.isdecimal() else 1 << 30, number)
