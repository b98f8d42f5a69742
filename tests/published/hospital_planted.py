"""Plants invented identifiers in the files of a hospital's export (see `hospital.plant`)."""

from pathlib import Path
from typing import Any

import nibabel as nib
import pydicom
from pydicom import Dataset, Sequence

SURNAME, FIRST = "Müßig-Öztürkov", "Zebulonia"
# Each identifier with the place where it is, and no other identifier contains it.
_TAGS = {
    "PatientBirthDate": "19370213", "PatientTelephoneNumbers": "0761/9988771",
    "PatientAddress": "Kanariengasse 17b", "ReferringPhysicianName": "Prillwitzka",
    "PerformingPhysicianName": "Hagedornsky", "InstitutionName": "Klinikum Quellwaldtal",
    "AccessionNumber": "ACC99123765", "StudyID": "ST88113", "DeviceSerialNumber": "Zq7Kanariaa",
    "AdmissionID": "7788991", "StudyDescription": "Zq7Kanariab", "StudyDate": "19970729",
    "PatientComments": "z.kanari@quellwald.example",
}  # fmt: skip
_GREETING = {
    "de": "Sehr geehrter Herr Dr. Prillwitzka,\nwir berichten über Frau {} {}.",
    "en": "Dear Dr. Prillwitzka,\nthank you for referring Mrs {} {}.",
}
_VARIANTS = {
    "MUESSIG-OEZTUERKOV": "report: a target sentence, upper case with umlauts written out",
    f"{SURNAME}, {FIRST}": "report: the clinical information, surname first",
    f"{SURNAME}s": "report: the genitive in the body",
    "0761 / 99 88 771": "report: the question, a number with blanks",
    "13.02.1937": "report: the clinical information, birth date",
}


def plant(export: Any, series: int, strings: list[str]) -> dict[str, str]:
    """Plants in the first DICOM and the first NIfTI patient; returns {identifier: where}."""
    found: dict[str, str] = {}
    for kind, one in (("dicom", _dicom), ("nifti", _nifti)):
        patient = next((p for p in export.patients if export.sources[p] == kind), None)
        if patient is not None:
            number = export.patients.index(patient)
            rows = [r for r in export.rows if r["_number"] == number]
            found |= one(export, patient, rows, strings)
    return found


def _dicom(
    export: Any, patient: str, rows: list[dict[str, Any]], strings: list[str]
) -> dict[str, str]:
    old = export.root / rows[0]["image"]
    folder = old.with_name("Zq7Kanariac")
    old.rename(folder)
    for file in sorted(folder.iterdir()):
        ds = pydicom.dcmread(file)
        _headers(ds, strings)
        ds.save_as(file.with_name(f"Zq7Kanariad_{file.name}"), enforce_file_format=True)
        file.unlink()
    mask = export.root / rows[0]["mask"]
    if mask.suffix == ".dcm":
        ds = pydicom.dcmread(mask)
        ds.PatientName, ds.PatientID = f"{SURNAME}^{FIRST}", "X937465182"
        ds.StudyDate, ds.AccessionNumber = _TAGS["StudyDate"], _TAGS["AccessionNumber"]
        ds.save_as(mask, enforce_file_format=True)
    found = {SURNAME: "PatientName, report, manifest", FIRST: "PatientName, report, manifest"}
    found |= {value: f"DICOM {tag}" for tag, value in _TAGS.items()}
    found |= {s: "DICOM ImageComments" for s in strings}
    found |= {
        "Zq7Kanariac": "name of the DICOM folder", "Zq7Kanariad": "names of the DICOM files",
        "X937465182": "DICOM nested sequence, PatientID and manifest: insurance number",
        "Zq7Kanariae": "DICOM private element", "Zq7Kanariaf": "DICOM private sequence",
        "Zq7Kanariag": "DICOM overlay comments", "Zq7Kanariah": "DICOM curve label",
        "Zq7Kanariai": "DICOM file meta", "Zq7Kanariaj": "manifest: study",
        "1997-07-29": "manifest: date",
    }  # fmt: skip
    _rows(export, patient, rows, {
        "image": f"images/{folder.name}", "patient": "X937465182", "study": "Zq7Kanariaj",
        "patient_name": f"{SURNAME}, {FIRST}", "date": "1997-07-29",
    })  # fmt: skip
    return found | (_text(export, patient, rows) if rows[0].get("report") else {})


def _headers(ds: Dataset, strings: list[str]) -> None:
    ds.PatientName, ds.PatientID = f"{SURNAME}^{FIRST}", "X937465182"
    for tag, value in _TAGS.items():
        setattr(ds, tag, value)
    ds.SeriesDate = _TAGS["StudyDate"]
    if strings:
        ds.ImageComments = " ".join(strings)
    inner = Dataset()
    inner.RequestedProcedureDescription = "Zq7Kanariab"
    other = Dataset()
    other.PatientID, other.TypeOfPatientID = "X937465182", "TEXT"
    inner.OtherPatientIDsSequence = Sequence([other])
    ds.RequestAttributesSequence = Sequence([inner])
    block = ds.private_block(0x0029, "SECRET VENDOR", create=True)
    block.add_new(0x01, "LO", "Zq7Kanariae")
    item = Dataset()
    item.private_block(0x0029, "SECRET VENDOR", create=True).add_new(0x02, "LO", "Zq7Kanariaf")
    block.add_new(0x03, "SQ", Sequence([item]))
    ds.add_new(0x60004000, "LT", "Zq7Kanariag")
    ds.add_new(0x50002500, "LO", "Zq7Kanariah")
    ds.file_meta.SourceApplicationEntityTitle = "Zq7Kanariai"


def _nifti(
    export: Any, patient: str, rows: list[dict[str, Any]], strings: list[str]
) -> dict[str, str]:
    path = export.root / rows[0]["image"]
    picture = nib.load(path)
    picture = nib.Nifti1Image(picture.dataobj, picture.affine, picture.header)
    header = picture.header
    header["descrip"], header["aux_file"] = b"Zq7Kanariba", b"Zq7Kanaribb"
    header["db_name"], header["intent_name"] = b"Zq7Kanaribc", b"Zq7Kanaribd"
    header.extensions.append(nib.nifti1.Nifti1Extension(6, b"Zq7Kanaribe"))
    inner = Dataset()
    inner.PatientName = "Zq7Kanaribf"
    header.extensions.append(nib.nifti1.Nifti1DicomExtension(2, inner))
    image = path.with_name("Zq7Kanaribg.nii.gz")
    nib.save(picture, image)
    path.unlink()
    found = {
        "Zq7Kanariba": "NIfTI descrip", "Zq7Kanaribb": "NIfTI aux_file",
        "Zq7Kanaribc": "NIfTI db_name", "Zq7Kanaribd": "NIfTI intent_name",
        "Zq7Kanaribe": "NIfTI comment extension", "Zq7Kanaribf": "DICOM extension of the NIfTI",
        "Zq7Kanaribg": "name of the NIfTI file", "Zq7Kanaribi": "manifest: patient",
    }  # fmt: skip
    _rows(export, patient, rows, {"image": f"images/{image.name}", "patient": "Zq7Kanaribi"})
    mask = export.root / rows[0]["mask"]
    for file in sorted(mask.iterdir()) if mask.is_dir() else [mask]:
        picture = nib.load(file)
        picture = nib.Nifti1Image(picture.get_fdata().astype("u1"), None, picture.header)
        picture.header["descrip"] = b"Zq7Kanaribh"
        nib.save(picture, file)
        found["Zq7Kanaribh"] = "descrip of the mask"
    return found


def _rows(export: Any, patient: str, rows: list[dict[str, Any]], new: dict[str, str]) -> None:
    for row in rows:
        row.update(new)
    for truth in export.truth:
        if truth.patient == patient:
            truth.study = rows[0]["study"]


def _text(export: Any, patient: str, rows: list[dict[str, Any]]) -> dict[str, str]:
    for row in rows:
        old = export.root / row["report"]
        german = row["language"] == "de"
        text = old.read_text(encoding="utf-8")
        target = next(
            t for t in export.truth
            if t.patient == patient and t.language == row["language"] and t.classes
        )  # fmt: skip
        marked = target.sentence[:-1] + ", Pat. MUESSIG-OEZTUERKOV."
        text = text.replace(target.sentence, marked, 1)
        target.sentence = marked
        clinical = f"{row['clinical']} {SURNAME}, {FIRST}, geb. 13.02.1937."
        question = f"{row['indication']} Tel. 0761 / 99 88 771"
        text = text.replace(row["clinical"], clinical, 1).replace(row["indication"], question, 1)
        greeting = _GREETING[row["language"]]
        body = f"{SURNAME}s Voruntersuchung fehlt." if german else f"{SURNAME}s priors are missing."
        text = greeting.format(FIRST, SURNAME) + "\n\n" + text
        text = text.replace("\nBeurteilung:", f"\n{body}\n\nBeurteilung:")
        text = text.replace("\nImpression:", f"\n{body}\n\nImpression:")
        text += "Dr. Hagedornsky, Klinikum Quellwaldtal, Fall 7788991\n"
        row["clinical"], row["indication"] = clinical, question
        path = Path(row["report"]).with_name(f"Zebulonia_{row['language']}.txt")
        (export.root / path).write_text(text, encoding="utf-8")
        old.unlink()
        row["report"] = str(path)
    return dict(_VARIANTS)
