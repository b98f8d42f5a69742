"""Finds the series of slices in files and folders, reading only headers.

    found = find(["study", "volume.nii.gz"], every=2)
    for series in found.series:
        images = map(Reader(), series.slices)  # See `reader`.
    for skipped in found.skipped:
        print(f"{skipped.path.name}: {skipped.reason}")

DICOM files of one SeriesInstanceUID are one series, in whatever folders they lie. A multi-frame
DICOM file is a series of its frames, a NIfTI volume a series of its slices, and a picture a series
of one. Slices are sorted by their position along the normal, see `positions`; never by the
InstanceNumber. The order of the paths that are given does not matter.
"""

import dataclasses
import hashlib
import pathlib
import re
from collections.abc import Collection, Iterable
from typing import Any

import numpy as np

from big_rad.dicom import headers, walk
from big_rad.dicom import parts as parts_lib
from big_rad.dicom.errors import ReadError
from big_rad.dicom.image import PLANES, Place
from big_rad.grounding.unicode import nfc

KEEP = ("localiser", "secondary capture", "projection")
_SCOUT = "a single slice across the others of its series, as in a localiser"
_ENDS = re.compile(r"(\.dcm|\.nii|\.png|\.jpe?g|\.npy)?(\.zst|\.gz)?$", re.IGNORECASE)
_LIKE_UID = re.compile(r"[0-9]+(\.[0-9]+){4}")
_OUTPUT = re.compile(r"(.+)(_overlay\.png|_masks\.npy|_mask[0-9]+\.png|_seen\.png)")


@dataclasses.dataclass(frozen=True)
class SliceRef:
    """A slice that can be read.

    Attributes:
        path: the file. Its folders may name a patient, so at most `path.name` may be shown.
        frame: the frame of the file, from 0; None if it has only one.
        plane: the plane in which a NIfTI volume is sliced; None for other files.
        index: the number of the slice in the sorted series, from 0. Slices that `every` leaves out
            are counted.
        position: where the slice lies along its normal in mm, see `positions`; None if unknown.
        place: where the stored pixels lie in the patient, or None if the file does not say.
        spacing: the distances (between rows, between columns) in mm, or None.
        sop_instance_uid: the identifier of the DICOM object, for objects that refer to it; "" if
            the file has no valid one. It must not be shown.
    """

    path: pathlib.Path = dataclasses.field(repr=False)
    frame: int | None = None
    plane: str | None = None
    index: int = 0
    position: float | None = None
    place: Place | None = None
    spacing: tuple[float, float] | None = None
    sop_instance_uid: str = dataclasses.field(default="", repr=False)


@dataclasses.dataclass(frozen=True)
class Series:
    """Slices of one size and orientation, in their order.

    Attributes:
        key: a name for outputs. It is made of a hash of the SeriesInstanceUID; or of the name of
            the file, without its ending, in other formats. No two series of a call have the same.
        kind: "dicom", "nifti" or "picture".
        slices: the slices, see `positions` for their order.
        plane: "axial", "coronal" or "sagittal"; "" if the slices are oblique or it is unknown.
        modality: "CT", "MR" or "OT"; "" if the files do not state it.
        count: the number of slices, including those that `every` leaves out.
        every: each `every`-th slice is in `slices`.
        spacing: the usual distance in mm between neighbours in `slices`; None if it is unknown.
        thickness: the thickness of a slice in mm; None if it is unknown or not always the same.
        warnings: sentences that each say what was guessed, left out or is irregular.
        series_instance_uid: the identifier of the DICOM series, or "". It must not be shown.
    """

    key: str
    kind: str
    slices: tuple[SliceRef, ...]
    plane: str = ""
    modality: str = ""
    count: int = 1
    every: int = 1
    spacing: float | None = None
    thickness: float | None = None
    warnings: tuple[str, ...] = ()
    series_instance_uid: str = dataclasses.field(default="", repr=False)

    def to_json(self) -> dict[str, Any]:
        """Returns the series as plain data, without names of files and without identifiers."""
        return {
            "key": self.key,
            "kind": self.kind,
            "plane": self.plane,
            "modality": self.modality or None,
            "count": self.count,
            "every": self.every,
            "spacing_mm": _rounded(self.spacing),
            "thickness_mm": _rounded(self.thickness),
            "slices": [
                {"index": ref.index, "frame": ref.frame, "position_mm": _rounded(ref.position)}
                for ref in self.slices
            ],
            "warnings": list(self.warnings),
        }


@dataclasses.dataclass(frozen=True)
class Skipped:
    """A file that is in no series.

    Attributes:
        path: the file. Its folders may name a patient, so at most `path.name` may be shown.
        reason: why it was skipped, without the name of the file.
        kind: "localiser", "secondary capture", "projection", "other object", "label map", "output",
            "no image", or "unreadable", which is the only one that is a fault of the file.
    """

    path: pathlib.Path = dataclasses.field(repr=False)
    reason: str
    kind: str


@dataclasses.dataclass(frozen=True)
class Found:
    """What can be predicted on, and what cannot.

    Attributes:
        series: the series, in the order of the names of their first files.
        skipped: the files that are in no series, in the order of their names.
    """

    series: tuple[Series, ...]
    skipped: tuple[Skipped, ...]


def find(
    paths: Iterable[str | pathlib.Path],
    *,
    plane: str = "axial",
    every: int = 1,
    keep: Collection[str] = (),
) -> Found:
    """Finds the series in files and folders.

    Args:
        paths: files, and folders, which are searched with all folders in them. Links to folders
            are not followed.
        plane: the plane in which NIfTI volumes are sliced.
        every: only each `every`-th slice of the sorted order is kept, the first one included.
        keep: kinds of images that are kept, with a warning, though they are no slices of the
            patient; a selection of `KEEP`.

    Returns:
        The series, and the skipped files with the reasons. A file that cannot be read is one of the
        skipped, and no error.

    Raises:
        ValueError: an argument has an unknown value, or there are more files than
            `walk.MAX_FILES`.
    """
    if plane not in PLANES:
        raise ValueError(f"plane is {plane!r}; give one of {', '.join(PLANES)}")
    if isinstance(every, bool) or not isinstance(every, int) or every < 1:
        raise ValueError(f"every is {every!r}; give a whole number from 1")
    if isinstance(keep, str) or not set(keep) <= set(KEEP):
        raise ValueError(f"keep is {keep!r}; give a list of {', '.join(KEEP)}")
    skipped: list[Skipped] = []
    groups: dict[Any, list[parts_lib.Item]] = {}
    listed, refused = walk.files([paths] if isinstance(paths, str | pathlib.Path) else paths)
    skipped += [Skipped(*one) for one in refused]
    for order, path in enumerate(listed):
        try:
            if _is_output(path):
                raise headers.NoSliceError("an output of an earlier prediction", "output")
            info = headers.read_info(path, plane, frozenset(keep))
        except ReadError as e:
            kind = getattr(e, "kind", "unreadable")
            skipped.append(Skipped(path, str(e).removeprefix(f"{path.name}: "), kind))
            continue
        own = len(info.frames) > 1 or not info.series_uid
        group = groups.setdefault(order if own else info.series_uid, [])
        group += [parts_lib.Item(path, k, order, info) for k in range(len(info.frames))]
    series, taken = [], set()
    for items in groups.values():
        try:
            parts, scouts = parts_lib.split(items, localisers="localiser" in keep)
        except ReadError as e:
            each = dict.fromkeys(item.path for item in items)
            skipped += [Skipped(path, str(e), "unreadable") for path in each]
            continue
        skipped += [Skipped(item.path, _SCOUT, "localiser") for item in scouts]
        key = _key(items[0])
        for number, part in enumerate(parts):
            name = _unique(key if len(parts) == 1 else f"{key}-{number + 1}", taken)
            series.append(_series(name, part, len(parts), every, plane))
    skipped.sort(key=lambda s: walk.natural(s.path))
    return Found(tuple(series), tuple(skipped))


def _is_output(path: pathlib.Path) -> bool:
    match = _OUTPUT.fullmatch(path.name)
    return bool(match) and path.with_name(f"{match[1]}.json").is_file()


def _key(item: parts_lib.Item) -> str:
    uid = item.info.series_uid
    if uid:
        return f"series-{hashlib.sha256(uid.encode()).hexdigest()[:12]}"
    return key_of_file(item.path)


def key_of_file(path: pathlib.Path) -> str:
    """Returns the `key` of a series that has no SeriesInstanceUID, from the name of its file."""
    stem = _ENDS.sub("", nfc(path.name)) or path.name
    if _LIKE_UID.search(stem):  # Archives name files after the SOPInstanceUID.
        return f"image-{hashlib.sha256(stem.encode()).hexdigest()[:12]}"
    return re.sub(r"[^\w.-]", "_", stem).lstrip(".") or "image"


def _unique(key: str, taken: set[str]) -> str:
    # File systems may ignore case, so keys differ without it.
    name, number = key, 2
    while name.casefold() in taken:
        name, number = f"{key}_{number}", number + 1
    taken.add(name.casefold())
    return name


def _series(key: str, part: list[parts_lib.Item], parts: int, every: int, plane: str) -> Series:
    first, warnings = part[0], []
    if parts > 1:
        warnings.append(
            f"the series has slices of {parts} sizes, orientations, places or kinds; each is a "
            f"part of its own, and this one has {len(part)}"
        )
    for item in part:
        warnings += [w for w in item.info.warnings if w not in warnings]
    part, places, more = parts_lib.ordered(part)
    warnings += more
    count = len(part)
    kind = first.info.format if first.info.format in ("dicom", "nifti") else "picture"
    refs = tuple(
        SliceRef(
            item.path,
            item.frame if len(item.info.frames) > 1 else None,
            plane if kind == "nifti" else None,
            index,
            None if places is None else places[index],
            item.about.place,
            item.about.spacing,
            item.info.sop_uid,
        )
        for index, item in enumerate(part)
    )[::every]
    if every > 1 and count > 1:
        warnings.append(f"{len(refs)} of {count} slices are used (every={every})")
    gaps = np.diff([ref.position for ref in refs]) if places is not None else []
    thick = {item.about.thickness for item in part}
    modalities = {item.info.modality for item in part}
    if len(modalities) > 1:
        warnings.append("the slices state different modalities")
    return Series(
        key=key,
        kind=kind,
        slices=refs,
        plane=first.about.plane,
        modality=modalities.pop() if len(modalities) == 1 else "",
        count=count,
        every=every,
        spacing=float(np.median(gaps)) if len(gaps) else None,
        thickness=thick.pop() if len(thick) == 1 else None,
        warnings=tuple(warnings),
        series_instance_uid=first.info.series_uid,
    )


def _rounded(x: float | None) -> float | None:
    return None if x is None else round(x, 3)
