"""Small studies for the data engine: MR volumes whose voxels are class ids, masks and reports."""

import csv
import hashlib
import os
import pathlib
import subprocess
import sys

import nibabel as nib
import numpy as np

ROOT = pathlib.Path(__file__).parents[2]
SHAPE = (20, 18, 8)
LIVER, SPLEEN, KIDNEY_RIGHT, KIDNEY_LEFT, PANCREAS = 5, 1, 2, 3, 7
COLUMNS = "patient study image modality language report mask mask_names".split()
TEXTS = {
    "de": "Befund: Leber und Milz unauffällig. Zyste in der linken Niere (Bild {n}). Rechte Niere "
    "unverändert zur VU. Herz normal. Magen o. B.\nBeurteilung: Kein Tumor.",
    "en": "Findings: The liver and the spleen are normal. Cyst in the left kidney (image {n}). "
    "The heart is normal.\nImpression: No change since 2019 in the right kidney.",
}


def volume(number, marked=False):
    """Returns class ids [x, y, z] in RAS; the patient's left has the low x of DICOM reversed."""
    rng = np.random.default_rng(number)
    ids = np.zeros(SHAPE, np.int16)
    ids[12:18, 4:12, 4:8] = LIVER
    ids[2:5, 4:9, 4:8] = SPLEEN
    ids[13:17, 2:4, 1:4] = KIDNEY_RIGHT
    ids[3:7, 2:4, 1 : 4 - number % 2] = KIDNEY_LEFT
    if marked:
        ids[9:11, 9:11, 2:5] = PANCREAS
    return ids, ids + rng.integers(130, 400, SHAPE).astype(np.int16) * (ids == 0)


def write(root, count=6, marked=(), masks=True):
    """Writes studies and their manifest.csv, and returns its path.

    `marked` are the numbers of studies that show a pancreas."""
    root = pathlib.Path(root)
    root.mkdir(parents=True, exist_ok=True)
    rows = []
    affine = np.diag([2.0, 2.0, 4.0, 1.0])
    for number in range(count):
        ids, image = volume(number, number in marked)
        nib.save(nib.Nifti1Image(image, affine), root / f"i{number}.nii.gz")
        nib.save(nib.Nifti1Image(ids.astype(np.uint8), affine), root / f"m{number}.nii.gz")
        for lang, text in TEXTS.items():
            rows.append([
                f"P{number // 2}", f"S{number}", f"i{number}.nii.gz", "MR", lang,
                text.format(n=2 + number % 2), f"m{number}.nii.gz" if masks else "",
                "class_ids" if masks else "",
            ])  # fmt: skip
    path = root / "manifest.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    return path


def command(manifest, out, *options, segment="precomputed"):
    """Returns the command line of a run."""
    recipe = f"configs/annotate.py:manifest={manifest},out={out},segment={segment}"
    fields = ("--config.nifti_image_numbers=ascending", "--config.match.min_area_mm2=0.0")
    return [sys.executable, "-m", "big_rad.annotate", f"--config={recipe}", *fields, *options]


def run(*args, **options):
    """Runs the engine to its end, and returns the finished process."""
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command(*args, **options), capture_output=True, text=True, cwd=ROOT, env=env, timeout=300
    )


def lines_of(manifest):
    """Returns {line of the file: row}; the text of a report may have several lines."""
    found, line = {}, 2
    with manifest.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        for row in reader:
            found[line], line = row, reader.line_num + 1
    return found


def digests(out):
    """Returns {name: digest} of the dataset, of the rejects and of the remembered splits."""
    paths = [p for p in sorted((out / "dataset").rglob("*")) if p.is_file()]
    return {
        str(p.relative_to(out)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in [*paths, out / "rejects.jsonl", out / "splits.json"]
    }
