"""Writes phantom patients as the files of a hospital: NIfTI volumes, DICOM series and reports.

    out/nifti/P000000.nii.gz            image (HU, or MR units)
    out/nifti/P000000_labels.nii.gz     TotalSegmentator class ids, same grid
    out/dicom/P000000/IM0001.dcm        axial series, one uncompressed frame per file, from the feet
    out/reports.json                    one report per patient, in English and German
    out/labels/P000000/IM0001.npy       class ids of the slices that the reports describe
    out/data.jsonl                      sentences, slices and labels for the dataset `folder`

Volumes are axial stacks. Their grid is parallel to the scanner's axes, while the patient may lie in
it at an angle. Names, dates and identifiers are invented.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pydicom
from pydicom import uid

from big_rad.datasets.phantom.body import render, slices
from big_rad.datasets.phantom.body.anatomy import DEMO_CLASSES, DEMO_LABELS, Patient, make_patient
from big_rad.datasets.phantom.words import text

# For each region, the lowest and the highest z that a volume covers, in body mm.
_EXTENT = {"chest": (70, 330), "abdomen": (-150, 130), "pelvis": (-340, -150), "head": (450, 640)}
_FOV = {"chest": 440.0, "abdomen": 440.0, "pelvis": 440.0, "head": 280.0}
_CENTER_Y = {"chest": 5.0, "abdomen": 5.0, "pelvis": 10.0, "head": 5.0}
_CLASS_UID = {"CT": uid.CTImageStorage, "MR": uid.MRImageStorage}
_BODY_PART = {"chest": "CHEST", "abdomen": "ABDOMEN", "pelvis": "PELVIS", "head": "HEAD"}


@dataclass
class Volume:
    """An axial stack of slices; the lowest slice comes first.

    Attributes:
        image: the pixels, int16 [slices, rows, columns].
        labels: the TotalSegmentator class ids, uint8 of the same shape.
        tissue: the tissue numbers, uint8 of the same shape; each lesion has its own number.
        planes: the position of each slice in scanner mm.
        thickness: the distance between slices in mm.
    """

    image: np.ndarray
    labels: np.ndarray
    tissue: np.ndarray
    planes: list[render.Plane]
    thickness: float


def export(
    out: str | Path, patients: int, seed: int = 0, size: int = 160, thickness: float = 5.0
) -> list[dict[str, Any]]:
    """Writes the patients 0, 1, ... of a seed.

    Args:
        out: the folder, which is created if necessary; files of the same name are replaced.
        patients: the number of patients.
        seed: the seed of all random draws.
        size: the number of rows and of columns of a slice.
        thickness: the distance between slices in mm.

    Returns:
        the reports, as written to reports.json.
    """
    out = Path(out)
    (out / "nifti").mkdir(parents=True, exist_ok=True)
    reports, lines = [], []
    for number in range(patients):
        patient = make_patient(seed, number)
        volume = make_volume(patient, seed, size, thickness)
        write_nifti(volume, out / "nifti", patient.id)
        write_dicom(volume, patient, out / "dicom" / patient.id)
        reports.append(make_report(volume, patient, seed))
        lines += make_lines(volume, reports[-1], out)
    (out / "reports.json").write_text(json.dumps(reports, ensure_ascii=False, indent=1) + "\n")
    (out / "data.jsonl").write_text(
        "".join(json.dumps(x, ensure_ascii=False) + "\n" for x in lines)
    )
    return reports


def make_volume(patient: Patient, seed: int, size: int, thickness: float) -> Volume:
    """Paints the axial volume of a patient over the examined region."""
    rng = np.random.default_rng([seed, patient.number, 17])
    look = render.draw_look(patient, rng)
    low, high = _EXTENT[patient.region]
    y = _CENTER_Y[patient.region]
    bottom, top = (render.to_scanner(patient, np.array([0, y, z])) for z in (low, high))
    x, y, _ = (bottom + top) / 2
    heights = np.arange(bottom[2], top[2], thickness)
    planes = [
        render.Plane("axial", (float(x), float(y), float(z)), _FOV[patient.region], size)
        for z in heights
    ]
    painted = [render.labels(patient, p) for p in planes]
    image = np.stack([render.image(patient, tissue, rng, look) for _, tissue in painted])
    labels, tissue = (np.stack(part) for part in zip(*painted))
    return Volume(image, labels, tissue, planes, thickness)


def affine(volume: Volume) -> np.ndarray:
    """Returns the NIfTI affine [4, 4] from voxels (column, row, slice) to RAS+ mm.

    The x and y axes of DICOM point to the patient's left and back, those of NIfTI to the right and
    front.
    """
    spacing = volume.planes[0].spacing
    matrix = np.diag([-spacing, -spacing, volume.thickness, 1.0])
    matrix[:3, 3] = volume.planes[0].origin * (-1, -1, 1)
    return matrix


def write_nifti(volume: Volume, folder: Path, name: str) -> None:
    """Writes `<name>.nii.gz` and `<name>_labels.nii.gz`."""
    for suffix, data in (("", volume.image), ("_labels", volume.labels)):
        picture = nib.Nifti1Image(np.ascontiguousarray(data.transpose(2, 1, 0)), affine(volume))
        picture.header.set_xyzt_units("mm")
        picture.set_qform(affine(volume), code=1)
        if suffix:
            picture.header.set_intent("label")  # So it is not taken for an image.
        nib.save(picture, folder / f"{name}{suffix}.nii.gz")


def write_dicom(volume: Volume, patient: Patient, folder: Path) -> None:
    """Writes the series as IM0001.dcm and so on; the instance numbers increase with z."""
    folder.mkdir(parents=True, exist_ok=True)
    for k in range(len(volume.image)):
        dataset = _slice_dataset(volume, patient, k)
        dataset.save_as(folder / f"IM{k + 1:04d}.dcm", enforce_file_format=True)


def make_report(volume: Volume, patient: Patient, seed: int) -> dict[str, Any]:
    """Writes a report about the slices that show the most lesions, and then the most organs.

    Returns:
        a dict that JSON can store: patient, modality, body_part, and for "en" and "de" the
        `clinical` information, the `question`, the `findings` (each with its sentence, keywords
        and the instance number of its image) and the whole `text`. The class ids of keywords are
        those of the configuration "demo" (118 is the left lung).
    """
    rng = np.random.default_rng([seed, patient.number, 19])
    facts = [
        slices.facts_of(patient, p, DEMO_LABELS[lab], tis, DEMO_CLASSES, 0)
        for p, lab, tis in zip(volume.planes, volume.labels, volume.tissue)
    ]
    order = sorted(range(len(facts)), key=lambda k: (-len(facts[k].lesions), -len(facts[k].shown)))
    chosen: list[int] = []
    for k in order:
        if all(abs(k - other) > len(facts) // 8 for other in chosen):
            chosen.append(k)
    report: dict[str, Any] = {
        "patient": patient.id, "modality": patient.modality, "body_part": patient.region,
        "en": {"findings": []}, "de": {"findings": []},
    }  # fmt: skip
    for k in sorted(chosen[:4], reverse=True):
        statements = [t for t in text.reports(facts[k], rng, DEMO_CLASSES) if t["keywords"]]
        for statement in statements[:4]:
            part = report[statement["lang"]]
            part.setdefault("clinical", statement["clinical"])
            part.setdefault("question", statement["question"])
            part["findings"].append({
                "sentence": statement["sentence"], "keywords": statement["keywords"],
                "instance": k + 1,
            })  # fmt: skip
    for lang, word in (("en", "image"), ("de", "Bild")):
        findings = report[lang]["findings"]
        report[lang]["text"] = " ".join(
            f"{f['sentence']} ({word} {f['instance']})" for f in findings
        )
    return report


def make_lines(volume: Volume, report: dict[str, Any], out: Path) -> list[dict[str, Any]]:
    """Writes the label maps of a report's findings, and returns the findings for data.jsonl."""
    lines, patient = [], report["patient"]
    (out / "labels" / patient).mkdir(parents=True, exist_ok=True)
    for lang in ("en", "de"):
        for finding in report[lang]["findings"]:
            name = f"{patient}/IM{finding['instance']:04d}"
            labels = DEMO_LABELS[volume.labels[finding["instance"] - 1]]
            np.save(out / "labels" / f"{name}.npy", labels.astype(np.uint8))
            lines.append({
                "id": name.replace("/", "-"), "patient": patient, "image": f"dicom/{name}.dcm",
                "mask": f"labels/{name}.npy", "report": finding["sentence"], "language": lang,
                "clinical": report[lang]["clinical"], "indication": report[lang]["question"],
                "keywords": finding["keywords"],
            })  # fmt: skip
    return lines


def _slice_dataset(volume: Volume, patient: Patient, k: int) -> pydicom.Dataset:
    """Returns one slice as a CT or MR image object (DICOM PS3.3 A.3, A.4)."""
    plane, image = volume.planes[k], volume.image[k]
    ct = patient.modality == "CT"
    ids = {what: _uid(patient, what) for what in ("study", "series", "frame")}
    meta = pydicom.dataset.FileMetaDataset()
    meta.MediaStorageSOPClassUID = _CLASS_UID[patient.modality]
    meta.MediaStorageSOPInstanceUID = _uid(patient, f"image {k}")
    meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    ds = pydicom.Dataset()
    ds.file_meta = meta
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"] if ct else ["ORIGINAL", "PRIMARY", "M"]
    ds.SOPClassUID, ds.SOPInstanceUID = (
        meta.MediaStorageSOPClassUID,
        meta.MediaStorageSOPInstanceUID,
    )
    ds.StudyInstanceUID, ds.SeriesInstanceUID = ids["study"], ids["series"]
    ds.FrameOfReferenceUID, ds.PositionReferenceIndicator = ids["frame"], ""
    ds.StudyDate = ds.SeriesDate = "20200101"
    ds.StudyTime = ds.SeriesTime = "120000"
    ds.AccessionNumber, ds.StudyID = f"A{patient.number:06d}", "1"
    ds.ReferringPhysicianName, ds.Manufacturer = "", "Phantom"
    ds.PatientName, ds.PatientID = f"Phantom^{patient.id}", patient.id
    ds.PatientBirthDate, ds.PatientSex = "", "M" if patient.male else "F"
    ds.Modality, ds.BodyPartExamined = patient.modality, _BODY_PART[patient.region]
    ds.PatientPosition, ds.SeriesNumber, ds.InstanceNumber = "HFS", "1", str(k + 1)
    ds.AcquisitionNumber = "1"
    if ct:
        ds.KVP, ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = "120", "1", "-1024", "HU"
        ds.WindowCenter, ds.WindowWidth = "40", "350"
    else:
        ds.ScanningSequence, ds.SequenceVariant, ds.ScanOptions = "SE", "NONE", ""
        ds.MRAcquisitionType, ds.EchoTrainLength = "2D", "1"
        ds.RepetitionTime, ds.EchoTime = "500", "15"
    ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    ds.ImagePositionPatient = [f"{v:.6f}"[:16] for v in plane.origin]
    ds.PixelSpacing = [f"{plane.spacing:.6f}"] * 2
    ds.SliceThickness, ds.SpacingBetweenSlices = str(volume.thickness), str(volume.thickness)
    ds.SliceLocation = f"{plane.origin[2]:.6f}"[:16]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = image.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 0
    stored = image.astype(np.int32) + (1024 if ct else 0)
    ds.PixelData = stored.astype("<u2").tobytes()
    return ds


def _uid(patient: Patient, what: str) -> str:
    """Returns an identifier that depends only on the patient and its purpose."""
    return uid.generate_uid(
        entropy_srcs=["big_rad phantom", str(patient.seed), str(patient.number), what]
    )
