"""Small DICOM series and manifests for the data engine, and what a run of them gives."""

import csv
import json

import nibabel as nib
import numpy as np
import pydicom
from pydicom import uid

from big_rad.annotate import match, run
from big_rad.annotate.settings import Settings, Source

COLUMNS = (
    "patient study image modality language report mask mask_names sentence series slice plane date"
).split()
LIVER, SPLEEN, KIDNEY_RIGHT, KIDNEY_LEFT = 5, 1, 2, 3
ROW = dict(patient="P", study="S", image="dcm", modality="MR", language="en")


def body(seed=0, depth=8):
    """Labels and values [x, y, z] in DICOM's directions; each slice has values of its own."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((20, 18, depth), np.uint8)
    labels[2:8, 4:12, depth // 2 :] = LIVER
    labels[15:18, 4:9, depth // 2 :] = SPLEEN
    labels[3:7, 12:14, 1:4] = KIDNEY_RIGHT
    labels[13:17, 12:14, 1:4] = KIDNEY_LEFT
    return labels, (rng.integers(150, 400, labels.shape) + 200 * (labels > 0)).astype(np.int16)


def write_mask(path, labels, dz=4.0):
    """Writes labels as NIfTI on the grid of `write_series`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(labels, np.diag([-2.0, -2.0, dz, 1.0])), path)


def write_series(folder, values, number=4, modality="MR", patient="P1", dz=4.0, shear=0.0, **more):
    """Writes a series, a file for each slice."""
    folder.mkdir(parents=True, exist_ok=True)
    name = f"1.2.3.{number}.{modality == 'CT' and 1 or 2}"
    kind = uid.CTImageStorage if modality == "CT" else uid.MRImageStorage
    for k in range(values.shape[2]):
        ds = pydicom.Dataset()
        ds.file_meta = pydicom.dataset.FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
        ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = kind
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = f"{name}.{k + 1}"
        ds.Modality, ds.PatientID, ds.PatientName = modality, patient, f"Name^{patient}"
        ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.3", name
        ds.FrameOfReferenceUID, ds.StudyDate = "1.2.9", "20210503"
        ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        ds.SeriesNumber, ds.InstanceNumber = number, k + 1
        ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        ds.ImagePositionPatient = [0, shear * k, dz * k]
        ds.PixelSpacing, ds.SliceThickness = [2, 2], dz
        ds.Rows, ds.Columns = values.shape[1], values.shape[0]
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
        if modality == "CT":
            ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = -1024, 1, "HU"
        for keyword, value in more.items():
            setattr(ds, keyword, value)
        ds.PixelData = np.ascontiguousarray(values[:, :, k].T).astype("<i2").tobytes()
        ds.save_as(folder / f"s{number}{modality}{k:03d}.dcm", enforce_file_format=True)


def manifest(root, *rows):
    """Writes manifest.csv. NIfTI masks have class ids, unless a row says something else."""
    root.mkdir(parents=True, exist_ok=True)
    path = root / "manifest.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        for row in rows:
            named = {"mask_names": "class_ids"} if ".nii" in row.get("mask", "") else {}
            writer.writerow(ROW | named | row)
    return path


def settings(table, out, **options):
    """Returns settings that keep components of any size."""
    options.setdefault("matching", match.Options(min_area_mm2=0.0))
    key = options.pop("key", out / "secret.key")
    return Settings(Source(table), out, key, **options)


def go(table, out, log=lambda line: None, **options):
    """Runs the engine; returns (items with their `pixels`, rejects, what the run returned)."""
    made = run.run(settings(table, out, **options), log=log)
    return items(out), rejects(out), made


def items(out):
    """Returns what each sentence was tied to: (line, language, slice, link, volume)."""
    lines = (out / "dataset" / "provenance.jsonl").read_text(encoding="utf-8").splitlines()
    return sorted(
        (text["line"], lang, one["slice"], text["link"], one["volume"])
        for one in map(json.loads, lines)
        for lang, text in one["texts"].items()
    )


def rejects(out):
    """Returns (line, what, reason) of what was left out."""
    lines = (out / "rejects.jsonl").read_text(encoding="utf-8").splitlines()
    return [(one["line"], one["what"], one["reason"]) for one in map(json.loads, lines)]
