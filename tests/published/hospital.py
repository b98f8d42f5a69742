"""Writes the export of a small hospital: volumes, masks and free-text reports of phantom patients.

    root/images/P000000.nii.gz or root/images/P000001/IM0001.dcm
    root/masks/...            multi-label NIfTI, folders of binary files, or a DICOM SEG
    root/reports/P000000_de.txt
    root/manifest.csv

Each study has a German and an English report. `Export.truth` says what each sentence names. The
fixture follows the description of the manifest and does not use the engine that reads it.
"""

import csv
import dataclasses
import datetime
import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pydicom

from big_rad.datasets.phantom import export as phantom
from big_rad.datasets.phantom.body.anatomy import DEMO_LABELS
from big_rad.grounding import classes
from tests.published import hospital_planted, hospital_words

SERIES = 4  # The number of every series, which the reports name.
COLUMNS = (
    "patient", "study", "image", "modality", "language", "report", "mask", "mask_names", "sentence",
    "series", "slice", "plane", "date", "clinical", "indication", "patient_name",
)  # fmt: skip
# The numbers of TotalSegmentator's task total_mr differ from those of total.
MR_NAMES = (
    "spleen kidney_right kidney_left gallbladder liver stomach pancreas adrenal_gland_right "
    "adrenal_gland_left lung_left lung_right esophagus small_bowel duodenum colon urinary_bladder "
    "prostate sacrum vertebrae intervertebral_discs spinal_cord heart aorta inferior_vena_cava "
    "portal_vein_and_splenic_vein iliac_artery_left iliac_artery_right iliac_vena_left "
    "iliac_vena_right humerus_left humerus_right scapula_left scapula_right clavicula_left "
    "clavicula_right femur_left femur_right hip_left hip_right gluteus_maximus_left "
    "gluteus_maximus_right gluteus_medius_left gluteus_medius_right gluteus_minimus_left "
    "gluteus_minimus_right autochthon_left autochthon_right iliopsoas_left iliopsoas_right brain"
).split()
_MASKS = ("extension", "seg", "folder", "names", "names", "folder")


@dataclasses.dataclass
class Truth:
    """One sentence of a report.

    Attributes:
        patient: the phantom's id of the patient.
        study: the study as in the manifest.
        language: "de" or "en".
        sentence: the sentence as the report has it.
        compares: whether it compares with an earlier study.
        instance: the InstanceNumber (from 1, upward with z) of its image, or None.
        referenced: whether the sentence itself names the image.
        classes: the demo class ids that it names and that its image shows.
        negated: whether it denies something.
    """

    patient: str
    study: str
    language: str
    sentence: str
    compares: bool
    instance: int | None
    referenced: bool
    classes: tuple[int, ...]
    negated: bool


@dataclasses.dataclass
class Export:
    """What was written; `labels` are demo label maps [slices, rows, columns] by patient."""

    root: Path
    manifest: Path
    patients: list[str]
    truth: list[Truth]
    rows: list[dict[str, Any]]
    labels: dict[str, np.ndarray]
    masks: dict[str, str]
    sources: dict[str, str]
    canaries: dict[str, str] = dataclasses.field(default_factory=dict)

    def image(self, patient: str) -> Path:
        """Returns the NIfTI file or DICOM folder of a patient."""
        number = self.patients.index(patient)
        return self.root / next(r["image"] for r in self.rows if r["_number"] == number)


def write(
    root: str | Path,
    patients: int = 6,
    seed: int = 0,
    size: int = 96,
    thickness: float = 5.0,
    source: str = "mixed",
    canaries: bool = False,
    reports: str = "free",
    merged: bool = False,
) -> Export:
    """Writes the export.

    Args:
        root: the folder, which is created if necessary.
        patients: the number of patients.
        seed: the seed of all random draws.
        size: the number of rows and columns of a slice.
        thickness: the distance between slices in mm.
        source: "nifti", "dicom" or "mixed" (the patients alternate, NIfTI first).
        canaries: whether to plant invented identifiers, see `plant`.
        reports: "free", or "sentences" for one row per sentence with series and slice.
        merged: whether the masks have the demo's classes (whole lungs, the spine) in CT and MR,
            instead of those of TotalSegmentator's tasks.

    Returns:
        the export with its truth.

    Raises:
        ValueError: the source or the kind of reports is unknown.
    """
    if source not in ("nifti", "dicom", "mixed") or reports not in ("free", "sentences"):
        raise ValueError(f"unknown source {source!r} or reports {reports!r}")
    root = Path(root)
    for folder in ("images", "masks", "reports"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    made = Export(root, root / "manifest.csv", [], [], [], {}, {}, {})
    for number in range(patients):
        kind = ("nifti", "dicom")[number % 2] if source == "mixed" else source
        patient = phantom.make_patient(seed, number)
        volume = phantom.make_volume(patient, seed, size, thickness)
        made.patients.append(patient.id)
        made.sources[patient.id] = kind
        made.labels[patient.id] = DEMO_LABELS[volume.labels]
        base = _image(made, patient, volume, kind, number)
        base |= _mask(made, patient, volume, kind, number, merged)
        _reports(made, patient, volume, base, seed, reports)
    write_manifest(made)
    if canaries:
        made.canaries = plant(made)
    return made


def plant(export: Export, strings: Iterable[str] = ()) -> dict[str, str]:
    """Plants invented identifiers wherever a hospital's files may have them.

    Args:
        export: a free-text export with source "mixed"; its files and rows are changed.
        strings: further identifiers, written into the image comments of the DICOM patient.

    Returns:
        {identifier as it stands in the files: where}, with the variants in spelling.
    """
    found = hospital_planted.plant(export, SERIES, list(strings))
    write_manifest(export)
    return found


def break_some(export: Export, corrupt: int = 1, latin1: int = 1) -> dict[str, str]:
    """Cuts volumes of the last patients in half, and rewrites reports of those before as Latin-1.

    Returns:
        {patient: "corrupt" or "latin1"}.
    """
    order, broken = export.patients[::-1], {}
    for patient in order[:corrupt]:
        path = export.image(patient)
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        for file in files:
            data = file.read_bytes()
            file.write_bytes(data[: len(data) // 2])
        broken[patient] = "corrupt"
    for patient in order[corrupt : corrupt + latin1]:
        number = export.patients.index(patient)
        row = next(r for r in export.rows if r["_number"] == number and r["language"] == "de")
        path = export.root / row["report"]
        text = path.read_text(encoding="utf-8") + "Außenstelle für Röntgendiagnostik\n"
        path.write_bytes(text.encode("latin-1", errors="replace"))
        broken[patient] = "latin1"
    return broken


def write_manifest(export: Export) -> None:
    """Writes the rows as manifest.csv."""
    with open(export.manifest, "w", newline="", encoding="utf-8") as f:
        writer = csv.DictWriter(f, COLUMNS, extrasaction="ignore", restval="")
        writer.writeheader()
        writer.writerows(export.rows)


def write_spreadsheet(export: Export) -> tuple[Path | None, Path]:
    """Writes the manifest as Excel (None without openpyxl) and as JSON lines."""
    rows = [{c: r[c] for c in COLUMNS if r.get(c, "") != ""} for r in export.rows]
    lines = export.root / "manifest.jsonl"
    lines.write_text(
        "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), encoding="utf-8"
    )
    try:
        import openpyxl
    except ImportError:
        return None, lines
    book = openpyxl.Workbook()
    book.active.append(COLUMNS)
    for row in rows:
        book.active.append([row.get(c) for c in COLUMNS])
    path = export.root / "manifest.xlsx"
    book.save(path)
    return path, lines


def label_name(number: int, modality: str) -> str | None:
    """Returns TotalSegmentator's name of one of the phantom's labels, or None without one."""
    name = classes.by_id(number).name
    if modality != "MR":
        return name
    name = {10: "lung_left", 11: "lung_left", 12: "lung_right", 13: "lung_right",
            14: "lung_right"}.get(number, name)  # fmt: skip
    name = "vertebrae" if name.startswith("vertebrae_") else name
    return name if name in MR_NAMES else None


def _image(
    made: Export, patient: Any, volume: phantom.Volume, kind: str, number: int
) -> dict[str, Any]:
    name = patient.id
    folder = made.root / "images"
    if kind == "nifti":
        phantom.write_nifti(volume, folder, name)
        (folder / f"{name}_labels.nii.gz").unlink()
        image = f"images/{name}.nii.gz"
    else:
        phantom.write_dicom(volume, patient, folder / name)
        for file in (folder / name).iterdir():
            ds = pydicom.dcmread(file)
            ds.SeriesNumber = SERIES
            ds.StudyDate = ds.SeriesDate = "20210503"  # Later than the compared studies.
            ds.save_as(file)
        image = f"images/{name}"
    return {
        "_number": number, "patient": name, "study": f"ST{number:04d}", "image": image,
        "modality": patient.modality, "date": "2021-05-03", "series": str(SERIES),
        "plane": "axial", "patient_name": f"Phantom^{name}",
    }  # fmt: skip


def _mask(
    made: Export, patient: Any, volume: phantom.Volume, kind: str, number: int, merged: bool
) -> dict[str, str]:
    how = _MASKS[number % len(_MASKS)]
    if how == "seg" and merged:
        how = "extension"
    if how == "seg" and (kind != "dicom" or not _seg(made, patient, volume)):
        how = "extension"
    made.masks[patient.id] = how
    if how == "seg":
        return {"mask": f"masks/{patient.id}_seg.dcm"}
    named: dict[str, np.ndarray] = {}
    labels = made.labels[patient.id] if merged else volume.labels
    modality = "CT" if merged else patient.modality
    for label in np.unique(labels[labels > 0]):
        if name := label_name(int(label), modality):
            here = labels == label
            named[name] = named[name] | here if name in named else here
    order = MR_NAMES if modality == "MR" else [classes.by_id(i).name for i in range(1, 122)]
    if how == "folder":
        folder = made.root / "masks" / patient.id
        folder.mkdir(exist_ok=True)
        for name, here in named.items():
            save(here, volume, folder / f"{name}.nii.gz")
        return {"mask": f"masks/{patient.id}"}
    values = np.zeros(volume.labels.shape, np.uint8)
    for name, here in named.items():
        values[here] = order.index(name) + 1
    table = {order.index(name) + 1: name for name in sorted(named)}
    path = made.root / "masks" / f"{patient.id}.nii.gz"
    save(values, volume, path, table if how == "extension" else None)
    if how == "extension":
        return {"mask": f"masks/{patient.id}.nii.gz"}
    names = made.root / "masks" / f"{patient.id}_names.json"
    names.write_text(json.dumps({str(k): v for k, v in table.items()}))
    return {"mask": f"masks/{patient.id}.nii.gz", "mask_names": f"masks/{names.name}"}


def save(
    data: np.ndarray, volume: phantom.Volume, path: Path, table: dict[int, str] | None = None
) -> None:
    """Saves labels [slices, rows, columns] as NIfTI, with a label table as TotalSegmentator's."""
    grid = np.ascontiguousarray(data.astype(np.uint8).transpose(2, 1, 0))
    picture = nib.Nifti1Image(grid, phantom.affine(volume))
    picture.set_qform(phantom.affine(volume), code=1)
    picture.header.set_xyzt_units("mm")
    if table:
        labels = "".join(
            f'<Label Key="{k}" Red="1" Green="0" Blue="0" Alpha="1"><![CDATA[{v}]]></Label>'
            for k, v in table.items()
        )
        xml = (
            '<?xml version="1.0" encoding="UTF-8"?><CaretExtension><VolumeInformation Index="0">'
            f"<LabelTable>{labels}</LabelTable><StudyMetaDataLinkSet></StudyMetaDataLinkSet>"
            "<VolumeType><![CDATA[Label]]></VolumeType></VolumeInformation></CaretExtension>"
        )
        picture.header.extensions.append(nib.nifti1.Nifti1Extension(0, xml.encode()))
    # A fast compression, because tests write many files.
    path.write_bytes(gzip.compress(picture.to_bytes(), 1, mtime=0))


def _seg(made: Export, patient: Any, volume: phantom.Volume) -> bool:
    """Writes a DICOM SEG; returns whether highdicom is installed."""
    try:
        import highdicom  # noqa: F401
    except ImportError:
        return False
    from big_rad.dicom import objects, segmentation

    files = sorted((made.root / "images" / patient.id).iterdir())
    headers = [pydicom.dcmread(f, stop_before_pixels=True) for f in files]
    segments = []
    for label in map(int, np.unique(volume.labels[volume.labels > 0])):
        here = volume.labels == label
        masks = {int(k): here[k] for k in np.flatnonzero(here.any((1, 2)))}
        name = classes.by_id(label).name
        segments.append(segmentation.Segment(label, name, f"{name} 1", masks))
    origin = objects.Origin(
        "phantom", "1", "0" * 64, "masks of the phantom", datetime.datetime(2020, 1, 1, 12)
    )
    written = segmentation.segmentation(headers, segments, origin)
    assert written is not None
    written.save(made.root / "masks" / f"{patient.id}_seg.dcm")
    return True


def _reports(
    made: Export, patient: Any, volume: phantom.Volume, base: dict[str, Any], seed: int, how: str
) -> None:
    content = phantom.make_report(volume, patient, seed)
    labels = made.labels[patient.id]
    for language in ("de", "en"):
        rng = np.random.default_rng([seed, patient.number, language == "de", 23])
        part, sentences = content[language], []
        fields = {
            "clinical": part.get("clinical", ""), "indication": part.get("question", ""),
            "language": language,
        }  # fmt: skip
        for style, finding in enumerate(part["findings"]):
            visible = set(np.unique(labels[finding["instance"] - 1]).tolist()) - {0}
            new = hospital_words.rewrite(
                finding, language, visible, rng, style + patient.number, SERIES, len(labels)
            )
            if new["sentence"] in sentences:
                continue
            sentences.append(new["sentence"])
            truth = Truth(patient.id, base["study"], language, instance=finding["instance"], **new)
            made.truth.append(truth)
            if how == "sentences":
                index = finding["instance"] - (made.sources[patient.id] == "nifti")
                row = {"sentence": new["sentence"], "slice": index}
                made.rows.append(base | fields | row)
        if how != "sentences":
            for filler in hospital_words.FILLERS[language]:
                made.truth.append(Truth(
                    patient.id, base["study"], language, filler, False, None, False, (),
                    "no " in filler.lower() or "keine " in filler.lower(),
                ))  # fmt: skip
            path = f"reports/{patient.id}_{language}.txt"
            text = hospital_words.report(
                language, sentences, title=f"{patient.modality} {patient.region}",
                date="03.05.2021" if language == "de" else "3 May 2021",
                modality=patient.modality, thickness=volume.thickness,
                clinical=fields["clinical"], question=fields["indication"],
            )  # fmt: skip
            (made.root / path).write_text(text, encoding="utf-8")
            made.rows.append(base | fields | {"report": path})
