"""Reads a mask that exists: a NIfTI file of labels, one binary file per class, or a DICOM SEG.

    >>> made = read(Path("mask.nii.gz"), volume)
    >>> made.labels.shape == volume.shape
    True

Names are mapped to classes, and never numbers: a file of labels without names is refused unless the
caller says which table its numbers are of. No message gives the name of a file, because it may be
that of a patient.
"""

from pathlib import Path

from big_rad.annotate.canonical import Stored
from big_rad.annotate.faults import Failed, Rejected, cannot_open
from big_rad.annotate.segment import harmonised, nifti_mask, result, seg_mask
from big_rad.annotate.segment.result import Canvas, Segmented
from big_rad.annotate.volumes import Volume
from big_rad.datasets import label_tables

_ENDINGS = (".nii.gz", ".nii")
_RANK = {class_id: rank for rank, class_id in enumerate(harmonised.ORDER)}
_UNUSED = "mask_names was not used, because the mask names its classes itself"
_EMPTY = "the mask is empty; leave out the study, or correct its mask"


def read(
    mask: Path, volume: Stored, names: Path | str | None = None, source: Volume | None = None
) -> Segmented:
    """Reads a mask onto the grid of a volume.

    Args:
        mask: a NIfTI file of labels, a DICOM SEG file, or a folder with a binary NIfTI file for
            each class, such as liver.nii.gz.
        volume: the volume.
        names: what names the labels of a NIfTI file that has no table of its own: a names file, see
            `label_tables.read_names`, or the table that its numbers are of, a key of
            `harmonised.NUMBERS`.
        source: the same volume as its source has it, for which a DICOM SEG must have been made.

    Raises:
        Rejected: the mask cannot be used.
        Failed: the mask could not be read, for a reason that may pass.
    """
    kind = _kind(mask)
    if kind == "labels":
        return _checked(_of_labels(mask, volume, names))
    made = _of_folder(mask, volume) if kind == "folder" else _of_seg(mask, volume, source)
    return _checked(made, (_UNUSED,) if names else ())


def check(
    mask: Path, volume: Stored, names: Path | str | None = None, source: Volume | None = None
) -> tuple[str, ...]:
    """Checks a mask by its headers alone: whether `read` would accept its kind, names and place.

    Args:
        mask: as in `read`.
        volume: the volume; only its grid is used.
        names, source: as in `read`.

    Returns:
        Warnings: sentences about what would be guessed or left out.

    Raises:
        Rejected: the mask cannot be used.
        Failed: the mask could not be read, for a reason that may pass.
    """
    kind = _kind(mask)
    warnings = (_UNUSED,) if names and kind != "labels" else ()
    if kind == "seg":
        warnings += seg_mask.check(mask, volume, source)
    elif kind == "folder":
        found, others = _classes_in(mask)
        for _, path in found:
            _, _, said = nifti_mask.of_same_grid(path, volume)
            warnings += tuple(w for w in said if w not in warnings)
        warnings += result.not_used(others)
    else:
        _, own, said = nifti_mask.of_same_grid(mask, volume)
        warnings += said
        table = {**own, **_table(names)}
        if not table:
            raise Rejected(nifti_mask.NO_NAMES)
        if not any(label_tables.class_of(name) for name in table.values()):
            raise Rejected("no name of a label of the mask is a class; docs/data.md lists them")
    return warnings


def _kind(mask: Path) -> str:
    """Returns "folder", "seg" or "labels"."""
    try:
        if mask.is_dir():
            return "folder"
        with mask.open("rb") as file:
            return "seg" if file.read(132)[128:] == b"DICM" else "labels"
    except (FileNotFoundError, PermissionError, NotADirectoryError) as e:
        raise Rejected(cannot_open("the mask", e)) from None
    except OSError as e:
        raise Failed(f"the mask could not be read ({type(e).__name__})") from None


def _checked(made: Segmented, warnings: tuple[str, ...] = ()) -> Segmented:
    if not made.labels.any():
        if made.about["labels_not_used"]:
            raise Rejected("the mask shows no class: the names of all its labels are unknown")
        raise Rejected(_EMPTY)
    if not warnings:
        return made
    return Segmented(made.labels, made.warnings + warnings, made.about)


def _about(kind: str, names: str, not_used: int, several: int) -> dict[str, object]:
    return {
        "source": "precomputed",
        "version": "",
        "task": "",
        "kind": kind,
        "names": names,
        "labels_not_used": not_used,
        "voxels_in_several_classes": several,
    }


def _of_labels(mask: Path, volume: Stored, names: Path | str | None) -> Segmented:
    found = nifti_mask.read_labels(mask, volume, _table(names) or None)
    warnings = found.warnings + result.not_used(len(found.not_used))
    origin = found.names
    if origin == "names file" and isinstance(names, str):
        origin = f"numbers of {names}"
    return Segmented(found.labels, warnings, _about("labels", origin, len(found.not_used), 0))


def _table(names: Path | str | None) -> dict[int, str]:
    """Returns {label: name} of a names file or of a known table, {} if there is none."""
    if names is None:
        return {}
    if isinstance(names, str):
        return harmonised.NUMBERS[names]
    try:
        return label_tables.read_names(names)
    except label_tables.TableError as e:
        reason = str(e).removeprefix(f"{names.name}: ")
        raise Rejected(f"the names file of the mask: {reason}") from None


_FOREIGN = (
    ".nrrd",
    ".nhdr",
    ".mha",
    ".mhd",
    ".mgz",
    ".hdr",
    ".img",
    ".npy",
    ".npz",
    ".dcm",
    ".stl",
)


def _classes_in(folder: Path) -> tuple[list[tuple[int, Path]], int]:
    """Returns the files of a folder with their classes, and the number of other masks."""
    try:
        files = sorted(folder.iterdir(), key=lambda p: p.name)
    except PermissionError as e:
        raise Rejected(cannot_open("the folder of masks", e)) from None
    except OSError as e:
        raise Failed(f"the folder of masks could not be read ({type(e).__name__})") from None
    found, others = [], 0
    foreign = sorted({e for p in files for e in _FOREIGN if p.name.lower().endswith(e)})
    if foreign:  # A mask that is passed over would be an organ that is not there.
        raise Rejected(
            f"the folder of masks has files of another format ({', '.join(foreign)}); convert them "
            "to NIfTI, or take them out"
        )
    for path in files:
        ending = next((e for e in _ENDINGS if path.name.lower().endswith(e)), None)
        if ending is None or path.name.startswith("."):
            continue
        class_id = label_tables.class_of(path.name[: -len(ending)])
        if class_id is None:
            others += 1
        else:
            found.append((class_id, path))
    if not found:
        raise Rejected(
            "no file in the folder of masks is named after a class, such as liver.nii.gz"
        )
    return found, others


def _of_folder(folder: Path, volume: Stored) -> Segmented:
    found, others = _classes_in(folder)
    canvas, warnings = Canvas(volume.shape), []
    for class_id, path in sorted(found, key=lambda f: _RANK[f[0]]):
        said = nifti_mask.paint_class(path, volume, class_id, canvas)
        warnings += [w for w in said if w not in warnings]
    if joined := len(found) - len({class_id for class_id, _ in found}):
        warnings.append(f"files that were joined with another of the same class: {joined}")
    return Segmented(
        canvas.labels,
        (*warnings, *result.not_used(others), *result.overlap(canvas.several)),
        _about("folder", "file names", others, canvas.several),
    )


def _of_seg(mask: Path, volume: Stored, source: Volume | None) -> Segmented:
    found = seg_mask.read(mask, volume, source)
    return Segmented(
        found.labels,
        (*found.warnings, *result.not_used(found.not_used), *result.overlap(found.several)),
        _about("seg", "segments", found.not_used, found.several),
    )
