"""Writes a small public TotalSegmentator dataset in its format on disk, from phantom patients.

root/meta.csv                                   semicolons, UTF-8 with a byte order mark
root/s0000/ct.nii.gz or mri.nii.gz              int16, RAS, 1.5 mm in the published set
root/s0000/segmentations/<class>.nii.gz         uint8, one binary file for each class
root/AbdomenAtlasRadiologistsNotes.csv          TotalSegmentator_id, Notes, BDMAP ID
"""

import csv
import gzip
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from big_rad.datasets.phantom import export as phantom
from big_rad.grounding import classes
from tests.published import hospital

COLUMNS = (
    "image_id", "age", "gender", "institute", "study_type", "split", "manufacturer",
    "scanner_model", "kvp", "pathology", "pathology_location",
)  # fmt: skip
_NOTES = (
    "Liver: no focal lesion. Spleen normal.",
    "Both kidneys without lesion.\nPancreas unremarkable.",
    "Cyst in the right kidney, 12 mm.",
)


def write(
    root: str | Path,
    subjects: int = 4,
    seed: int = 0,
    modality: str = "CT",
    notes: bool = True,
    size: int = 48,
) -> dict[str, Any]:
    """Writes the dataset.

    Args:
        root: the folder, which is created if necessary.
        subjects: the number of subjects.
        seed: the seed of all random draws.
        modality: "CT" (117 classes) or "MR" (50 classes).
        notes: whether to write the notes of at most three subjects.
        size: the number of rows and columns; voxels are isotropic, about 440 mm / size.

    Returns:
        {subject: {"phantom", "split", "names" (classes that are not empty), "notes"}}.
    """
    root, made, rows = Path(root), {}, []
    root.mkdir(parents=True, exist_ok=True)
    names = (hospital.MR_NAMES if modality == "MR"
             else [classes.by_id(i).name for i in range(1, 118)])  # fmt: skip
    number = 0
    while len(made) < subjects:
        patient = phantom.make_patient(seed, number)
        number += 1
        if patient.modality != modality:
            continue
        k = len(made)
        subject, split = f"s{k:04d}", ("train", "train", "val", "test")[k % 4]
        volume = phantom.make_volume(patient, seed, size, 440.0 / size)
        found = _write_subject(root / subject, volume, modality, names)
        made[subject] = {"phantom": patient.id, "split": split, "names": found, "notes": ""}
        rows.append({
            "image_id": subject, "age": str(40 + k), "gender": "m" if patient.male else "f",
            "institute": "A", "study_type": f"{modality.lower()} {patient.region}", "split": split,
            "manufacturer": "siemens", "scanner_model": "", "pathology": "no_pathology",
            "kvp": "120.0" if modality == "CT" else "", "pathology_location": "",
        })  # fmt: skip
    with open(root / "meta.csv", "w", newline="", encoding="utf-8-sig") as f:
        writer = csv.DictWriter(f, COLUMNS, delimiter=";")
        writer.writeheader()
        writer.writerows(rows)
    if notes:
        _write_notes(root, made)
    return made


def _write_notes(root: Path, made: dict[str, Any]) -> None:
    with open(root / "AbdomenAtlasRadiologistsNotes.csv", "w", newline="", encoding="utf-8") as f:
        writer = csv.writer(f)
        writer.writerow(("TotalSegmentator_id", "Notes", "BDMAP ID"))
        for k, (subject, note) in enumerate(zip(made, _NOTES)):
            made[subject]["notes"] = note
            writer.writerow((subject, note, f"BDMAP_{k:08d}"))


def _write_subject(
    folder: Path, volume: phantom.Volume, modality: str, names: list[str]
) -> list[str]:
    (folder / "segmentations").mkdir(parents=True, exist_ok=True)
    named = {}
    for label in map(int, np.unique(volume.labels[volume.labels > 0])):
        name = hospital.label_name(label, modality)
        if name in names:
            here = volume.labels == label
            named[name] = named[name] | here if name in named else here
    _save(volume, volume.image, folder / ("ct.nii.gz" if modality == "CT" else "mri.nii.gz"))
    blank = np.zeros(volume.labels.shape, np.uint8)
    for name in names:
        _save(
            volume, named.get(name, blank).astype(np.uint8), folder / f"segmentations/{name}.nii.gz"
        )
    return sorted(named)


def _save(volume: phantom.Volume, data: np.ndarray, path: Path) -> None:
    grid = nib.Nifti1Image(data.transpose(2, 1, 0), phantom.affine(volume))
    grid = nib.as_closest_canonical(grid)
    path.write_bytes(gzip.compress(grid.to_bytes(), 1, mtime=0))
