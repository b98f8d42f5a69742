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
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np

from big_rad.dicom import headers, positions, walk
from big_rad.dicom.errors import ReadError
from big_rad.dicom.image import PLANES, Place
from big_rad.grounding.unicode import nfc

KEEP = ("localiser", "secondary capture", "projection")
_SCOUT = "a single slice across the others of its series, as in a localiser"
_FAR = 1e6  # In mm. No slice lies farther from the origin.
_SAME_WAY, _SAME_SIZE = 5e-3, 1e-3  # The differences of unit vectors and of spacings (relative).
_ENDS = re.compile(r"(\.dcm|\.nii|\.png|\.jpe?g|\.npy)?(\.zst|\.gz)?$", re.IGNORECASE)
_LIKE_UID = re.compile(r"[0-9]+(\.[0-9]+){4}")
_OUTPUT = re.compile(r"(.+)(_overlay\.png|_masks\.npy|_mask[0-9]+\.png)")


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
            there is none. It must not be shown.
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
            the file, without its ending, if there is none. No two series of a call have the same.
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


@dataclasses.dataclass(frozen=True)
class _Item:
    # A slice with everything that decides where it belongs. `order` is that of files and frames.
    path: pathlib.Path
    frame: int
    order: int
    info: headers.Info

    @property
    def about(self) -> headers.Frame:
        return self.info.frames[self.frame]

    @property
    def located(self) -> bool:
        place = self.about.place
        return place is not None and place.origin is not None and max(map(abs, place.origin)) < _FAR


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
    groups: dict[Any, list[_Item]] = {}
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
        group += [_Item(path, k, order, info) for k in range(len(info.frames))]
    series, taken = [], set()
    for items in groups.values():
        parts, scouts = _parts(items, "localiser" in keep)
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


def _key(item: _Item) -> str:
    uid = item.info.series_uid
    if uid:
        return f"series-{hashlib.sha256(uid.encode()).hexdigest()[:12]}"
    stem = _ENDS.sub("", nfc(item.path.name)) or item.path.name
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


def _parts(items: Sequence[_Item], scouts_too: bool) -> tuple[list[list[_Item]], list[_Item]]:
    """Splits a series into parts of one size and orientation; also returns its localisers."""
    parts: list[list[_Item]] = []
    for item in sorted(items, key=lambda i: (i.order, i.frame)):
        part = next((p for p in parts if _alike(p[0], item)), None)
        if part is None:
            parts.append([item])
        else:
            part.append(item)
    scouts = [] if scouts_too or items[0].info.format != "dicom" else _scouts(parts)
    return [p for p in parts if p[0] not in scouts], scouts


def _scouts(parts: list[list[_Item]]) -> list[_Item]:
    """Returns the single slices that are perpendicular to others, if no slice lies askew to them.

    A localiser has slices in two or three planes; slices around an axis lie at many angles.
    """
    if len(parts) == 1 or any(part[0].about.place is None for part in parts):
        return []
    normals = np.array([positions.normal(part[0].about.place) for part in parts])
    found = []
    for part, normal in zip(parts, normals, strict=True):
        cosines = np.abs(normals @ normal)
        across = cosines < 0.26  # Within about 15 degrees.
        if len(part) == 1 and across.any() and (across | (cosines > 0.97)).all():
            found.append(part[0])
    return found


def _alike(a: _Item, b: _Item) -> bool:
    if (a.info.shape, a.info.space, a.located) != (b.info.shape, b.info.space, b.located):
        return False
    pairs = [(a.about.spacing, b.about.spacing, _SAME_SIZE * (a.about.spacing or (0,))[0])]
    for which in ("columns", "rows"):
        pairs.append((_direction(a, which), _direction(b, which), _SAME_WAY))
    return all(
        x is y if x is None or y is None else all(abs(p - q) <= most for p, q in zip(x, y))
        for x, y, most in pairs
    )


def _direction(item: _Item, which: str) -> tuple[float, ...] | None:
    return item.about.place and getattr(item.about.place, which)


def _series(key: str, part: list[_Item], parts: int, every: int, plane: str) -> Series:
    first, warnings = part[0], []
    if parts > 1:
        warnings.append(
            f"the series has slices of {parts} sizes, orientations or kinds; each is a part of its "
            f"own, and this one has {len(part)}"
        )
    for item in part:
        warnings += [w for w in item.info.warnings if w not in warnings]
    part, places = _sorted(part, warnings)
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
        warnings.append(f"{len(refs)} of {count} slices are used: each one of {every}")
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


def _sorted(part: list[_Item], warnings: list[str]) -> tuple[list[_Item], list[float] | None]:
    """Returns the slices in their order, each position once, and their positions in mm."""
    if not part[0].located:
        if len(part) > 1:
            warnings.append(
                "it is unknown where the slices lie (in DICOM, ImagePositionPatient), so they are "
                "in the order of file names and frames, and distances and volumes are unknown"
            )
        uids = [uid for uid in {(i.path, i.info.sop_uid) for i in part} if uid[1]]
        if twice := len(uids) - len({uid for _, uid in uids}):
            warnings.append(f"files that are the same object as another (SOPInstanceUID): {twice}")
        return part, None
    normal = positions.normal(part[0].about.place)
    at = {id(item): float(np.dot(item.about.place.origin, normal)) for item in part}
    # Only among slices at the same position, the numbers of acquisition and instance decide.
    ordered = sorted(part, key=lambda i: (at[id(i)], i.info.repeat, i.order, i.frame))
    kept: list[_Item] = []
    repeats: list[list[_Item]] = []
    for item in ordered:
        if kept and at[id(item)] - at[id(kept[-1])] <= positions.SAME:
            repeats[-1].append(item)
            kept[-1] = min(repeats[-1], key=lambda i: (i.info.repeat, i.order, i.frame))
        else:
            kept.append(item)
            repeats.append([item])
    places = [at[id(item)] for item in kept]
    if len(kept) < len(part):
        warnings.append(_repeated(repeats, places, len(part) - len(kept)))
    warnings += positions.irregular(places)
    return kept, places


def _repeated(repeats: list[list[_Item]], places: list[float], left_out: int) -> str:
    twice = [p for p, group in zip(places, repeats, strict=True) if len(group) > 1]
    span = f"from {twice[0]:.1f} to {twice[-1]:.1f} mm"
    if len(twice) == 1:
        span = f"at {twice[0]:.1f} mm"
    return (
        f"positions with more than one slice: {len(twice)} of {len(places)} ({span}), as in "
        "several echoes or phases or a repeated export; the first slice at each position is used, "
        f"slices left out: {left_out}"
    )


def _rounded(x: float | None) -> float | None:
    return None if x is None else round(x, 3)
