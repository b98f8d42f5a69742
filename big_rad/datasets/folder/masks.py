"""Reads the mask of an item as a map of class ids on the stored pixels of its image.

A mask is one file of labels, or a binary file for each class. A NIfTI mask is placed on the image
by the positions of both in the patient. A flat file (PNG, NPY) has the same pixels as the stored
image.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from big_rad.datasets import label_tables
from big_rad.datasets.folder import paths
from big_rad.datasets.folder.fields import Bad
from big_rad.datasets.folder.source import Item
from big_rad.dicom import labels
from big_rad.dicom import read as reader
from big_rad.dicom.errors import FrameError, GeometryError
from big_rad.grounding.classes import NUM_CLASSES

_NIFTI = (".nii", ".nii.gz", ".nii.zst", ".nii.gz.zst")
_MASKS = (".npy", ".png", ".nii", ".nii.gz")
_NAME_SLICE = "name its slice with mask_frame"
_TRUST = "pass --trust_mask_order if both are stored alike"
_SAVE_ON_GRID = "save it on the image's grid"


def read(item: Item, root: Path, image: reader.Slice, trust: bool) -> tuple[np.ndarray, list[str]]:
    """Reads the mask of an item.

    Args:
        item: the item, which must have a mask.
        root: the folder of data.jsonl.
        image: the image as it was read, not turned.
        trust: whether NIfTI masks are taken to be stored in the same order as their images,
            whatever their affines say.

    Returns:
        uint8 [H, W] of class ids, and warnings.

    Raises:
        Bad: The mask cannot be used.
    """
    parts = _parts(item, root)
    if parts is not None:
        known = [(class_id, path) for class_id, path in parts if class_id is not None]
        segmap, warnings = _of_classes(item, root, known, image, trust)
        if len(known) < len(parts):
            others = len(parts) - len(known)
            count = "1 file is" if others == 1 else f"{others} files are"
            warnings.append(f"{count} not named after a class and not used")
        return segmap, warnings
    path = paths.resolve(root, item.mask)
    check_name(item.mask)
    values, table, warnings = _labels(item, root, item.mask, image, trust)
    _check_whole(values, path.name)
    if names := _names(item, root):
        if clash := sorted(k for k in table.keys() & names.keys() if table[k] != names[k]):
            raise Bad(
                f"{path.name}: label {clash[0]} has another name in the file's own table than in "
                "mask_names; leave out the wrong one"
            )
        table = {**table, **names}
    if not table:
        if values.max() > NUM_CLASSES:
            raise Bad(
                f"{path.name}: values must be class ids, whole numbers from 0 to {NUM_CLASSES}, or "
                "have names (mask_names)"
            )
        return values.astype(np.uint8), warnings
    try:
        segmap, others = label_tables.to_classes(values, table)
    except label_tables.TableError as e:
        raise Bad(f"{path.name}: {e}") from None
    if others:
        shown = ", ".join(map(str, others[:5]))
        warnings.append(f"{path.name}: labels {shown} are no class by their names and not used")
    return segmap, warnings


def files_of(item: Item, root: Path) -> Iterator[str]:
    """Yields the paths of a mask's files and of its names file, relative to data.jsonl.

    Raises:
        Bad: The mask is a folder that cannot be used.
    """
    parts = _parts(item, root) if item.mask is not None else []
    yield from [item.mask] if parts is None else [path for _, path in parts]
    if isinstance(item.mask_names, str):
        yield item.mask_names


def check_name(name: str) -> None:
    """Raises `Bad` if the ending of a file name is not that of a mask."""
    if not name.lower().endswith(_MASKS):
        raise Bad(f"{name.split('/')[-1]}: a mask is a file ending in {', '.join(_MASKS)}")


def _parts(item: Item, root: Path) -> list[tuple[int | None, str]] | None:
    """Returns (class, path) of each file of a mask with several files, or None for one file.

    The class is None if the file is not named after a class.
    """
    if not isinstance(item.mask, str):
        return list(item.mask)
    if item.mask.lower().endswith(_MASKS):
        return None
    folder = paths.folder(root, item.mask)
    if folder is None:
        return None
    found = []
    for path in sorted(folder.iterdir(), key=lambda p: p.name):
        name = path.name.lower()
        ending = next((e for e in sorted(_MASKS, key=len)[::-1] if name.endswith(e)), None)
        if ending and not name.startswith("."):
            class_id = label_tables.class_of(path.name[: -len(ending)])
            found.append((class_id, f"{item.mask.rstrip('/')}/{path.name}"))
    if not any(class_id for class_id, _ in found):
        raise Bad(
            f"{folder.name}: no file in the folder is named after a class, such as liver.nii.gz"
        )
    return found


def _of_classes(
    item: Item,
    root: Path,
    parts: Sequence[tuple[int, str]],
    image: reader.Slice,
    trust: bool,
) -> tuple[np.ndarray, list[str]]:
    """Joins binary masks into one map; if two overlap, the smaller one is on top."""
    made, warnings = [], []
    for class_id, name in parts:
        paths.resolve(root, name)
        check_name(name)
        values, _, said = _labels(item, root, name, image, trust)
        file = name.split("/")[-1]
        _check_whole(values, file)
        if len(np.unique(values[values != 0])) > 1:
            raise Bad(f"{file}: holds several labels; the mask of one class is 0 and one number")
        inside = values != 0
        made.append((int(inside.sum()), class_id, inside))
        warnings += [w for w in said if w not in warnings]
    segmap, shared = np.zeros(image.pixels.shape[:2], np.uint8), 0
    for _, class_id, inside in sorted(made, key=lambda m: (-m[0], m[1])):
        shared += int((segmap[inside] != 0).sum())
        segmap[inside] = class_id
    if shared:
        warnings.append(f"the masks of two classes overlap in {shared} pixels; the smaller counts")
    return segmap, warnings


def _labels(
    item: Item, root: Path, name: str, image: reader.Slice, trust: bool
) -> tuple[np.ndarray, dict[int, str], list[str]]:
    """Returns the values of a file on the image's pixels, its own table of names, and warnings."""
    path, plane = paths.resolve(root, name), item.plane or "axial"
    try:
        if name.lower().endswith(_NIFTI):
            if trust:
                frame = item.frame if item.mask_frame is None else item.mask_frame
                picture = paths.resolve(root, item.image)
                found = labels.read_in_order(path, image, picture, frame=frame, plane=plane)
            else:
                found = labels.read_labels(path, image, frame=item.mask_frame, plane=plane)
            return found.values, found.table, list(found.warnings)
        flat = reader.read(path, frame=item.mask_frame, modality="OT", labels=True)
    except GeometryError as e:
        remedies = [_NAME_SLICE] * e.frame_helps + [_SAVE_ON_GRID if trust else _TRUST]
        raise Bad(f"{e}; {', or '.join(remedies)}") from None
    except FrameError as e:
        raise Bad(f"{e} (mask_frame)") from None
    except reader.ReadError as e:
        raise Bad(str(e)) from None
    if flat.exif not in (1, image.exif):
        raise Bad(
            f"{path.name}: its EXIF orientation is not that of the image; save it on the image's "
            "stored pixels, without EXIF"
        )
    values = flat.pixels
    if values.ndim == 3:
        if not (values == values[..., :1]).all():
            raise Bad(f"{path.name}: a mask in colour; save it as grey values, one a class id")
        values = values[..., 0]
    if values.shape != image.pixels.shape[:2]:
        shape = image.pixels.shape
        raise Bad(
            f"{path.name}: {values.shape[0]} x {values.shape[1]} pixels (rows x columns), but the "
            f"image has {shape[0]} x {shape[1]}"
        )
    return values, {}, [f"{path.name}: {w}" for w in flat.warnings]


def _names(item: Item, root: Path) -> dict[int, str]:
    if not isinstance(item.mask_names, str):
        return dict(item.mask_names or ())
    path = paths.resolve(root, item.mask_names)
    try:
        return label_tables.read_names(path)
    except label_tables.TableError as e:
        raise Bad(str(e)) from None


def _check_whole(values: np.ndarray, name: str) -> None:
    if not np.isfinite(values).all() or (values != np.rint(values)).any() or values.min() < 0:
        raise Bad(f"{name}: values must be class ids, whole numbers from 0 to {NUM_CLASSES}")
