"""Writes a small RefRad2D in its published on-disk format, from phantom slices.

It follows the description of the format and does not use the reader of this project. It has the
peculiarities of the real dataset: both modalities, sentences with several images of different
patients, images without boxes, empty clinical fields, missing German keywords, rows that are not in
any split, columns that are not needed, and label maps as the public pipeline stores them (float32
for CT, int64 for MR, both column-major).
"""

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pydicom
import zstandard
from pydicom import uid

from big_rad.datasets.phantom import builder
from big_rad.datasets.phantom.body import slices
from big_rad.grounding import classes

SPLITS = ("train", "val", "test")
_LANGS = {"en": "english", "de": "german"}
_SHAPE = (64, 56)  # The images are not square, so that a test notices swapped axes.
_QA = pa.list_(
    pa.struct({
        "question": pa.string(), "answer": pa.string(), "question_type": pa.string(),
        "choices": pa.list_(pa.string()),
    })
)  # fmt: skip
_LANGUAGE = pa.struct({
    "dicom_vqa": _QA, "snippet_vqa": _QA, "ReportFragestellungCleaned": pa.string(),
    "ReportKlinischeAngabenCleaned": pa.string(), "CleanedSentence": pa.string(),
})  # fmt: skip
_ORIENTATION = {
    "axial": [1, 0, 0, 0, 1, 0],
    "coronal": [1, 0, 0, 0, 0, -1],
    "sagittal": [0, 1, 0, 0, 0, -1],
}


def write(
    root: str | Path,
    sentences: int = 6,
    seed: int = 0,
    nested: str = "struct",
    identity: str = "",
    patients: bool = False,
) -> dict[str, Any]:
    """Writes the dataset.

    Args:
        root: the folder, which is created if necessary.
        sentences: the number of sentences of CT and of MR in train; val and test have half as many.
        seed: the seed of all random draws.
        nested: the type of the language columns of the parquet, "struct" or "json".
        identity: a text that is put into the identifying elements of every DICOM file.
        patients: whether the parquet has a column `patient`, which the published one does not have.
            Two consecutive images of a split and modality then are of one patient, so that the
            images of some sentences are of two patients.

    Returns:
        a dict with `items`: one dict for each sentence with split, modality, sentence and `images`.
        Each image is a dict with id, image [H, W] in HU or raw units, segmap [H, W] of class ids,
        plane, the `row` of the parquet and the `entry` of the box JSON (None without an entry).
    """
    root = Path(root)
    counts = {"train": sentences, "val": -(-sentences // 2), "test": -(-sentences // 2)}
    items = _items(counts, seed)
    images = [image for item in items for image in item["images"]]
    if patients:
        _name_patients(items)
    for number, image in enumerate(images):
        _place(root / "dicoms_anon", image["id"], ".dcm.zst").write_bytes(
            zstandard.compress(_dicom(image, number, identity))
        )
        if image["entry"]:
            # The two branches of the public pipeline save int64 and float32, both transposed.
            dtype = np.float32 if image["modality"] == "CT" else np.int64
            path = _place(root / "refrad2d_segment/segmented_slices_v3", image["id"], ".npy")
            np.save(path, np.asfortranarray(image["segmap"].astype(dtype)))
    _write_json(root, items)
    write_parquet(root, [i["row"] for i in images] + [_stray(images[0]["row"])], seed, nested)
    return {"items": items}


def write_parquet(
    root: str | Path, rows: list[dict[str, Any]], seed: int = 0, nested: str = "struct"
) -> None:
    """Writes refrad2d_vqa_dataset.parquet with its rows in random order, five in a row group."""
    language = _LANGUAGE if nested == "struct" else pa.string()
    columns = {
        "ProtocolName": pa.string(), "rsopid": pa.string(), "modality": pa.string(),
        "body_part": pa.string(), "english": language, "german": language,
    }  # fmt: skip
    if any("patient" in row for row in rows):
        columns["patient"] = pa.string()
    schema = pa.schema(columns)
    if nested == "json":
        rows = [r | {k: json.dumps(r[k]) for k in _LANGS.values()} for r in rows]
    order = np.random.default_rng(seed).permutation(len(rows))
    table = pa.Table.from_pylist([rows[i] for i in order], schema)
    pq.write_table(table, Path(root) / "refrad2d_vqa_dataset.parquet", row_group_size=5)


def split_file(root: str | Path, split: str, modality: str) -> Path:
    """Returns the path of a split JSON; split is "train", "val" or "test"."""
    m = modality.lower()
    folder = Path(root) / "split_v18/generated" / f"filtered_{m}_splits"
    return folder / f"snippet2rsopids_{split}_{m}_only.json"


def box_file(root: str | Path, modality: str) -> Path:
    """Returns the path of a box JSON."""
    return Path(root) / "refrad2d_segment" / f"rsopid_2_segment_v3_{modality.lower()}.json"


def dicom_file(root: str | Path, image_id: str) -> Path:
    """Returns the path of a DICOM file."""
    return Path(root) / "dicoms_anon" / image_id[:2] / f"{image_id}.dcm.zst"


def mask_file(root: str | Path, image_id: str) -> Path:
    """Returns the path of a label map."""
    folder = Path(root) / "refrad2d_segment/segmented_slices_v3"
    return folder / image_id[:2] / f"{image_id}.npy"


def _name_patients(items: list[dict[str, Any]]) -> None:
    counts: dict[tuple[str, str], int] = {}
    for item in items:
        key = (item["split"], item["modality"])
        for image in item["images"]:
            number = counts[key] = counts.get(key, -1) + 1
            image["row"]["patient"] = f"pseudonym-{'-'.join(key)}-{number // 2}"


def _place(folder: Path, image_id: str, ending: str) -> Path:
    path = folder / image_id[:2] / f"{image_id}{ending}"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _items(counts: dict[str, int], seed: int) -> list[dict[str, Any]]:
    """Draws slices until every split has enough sentences of CT and MR."""
    wanted = [(s, m, k) for s, n in counts.items() for m in ("CT", "MR") for k in range(n)]
    spare: dict[str, list[dict[str, Any]]] = {"CT": [], "MR": []}
    said: set[str] = set()
    items, number = [], 0
    for split, modality, k in wanted:
        several = 1 + (k % 3 == 1) * 1 + (k % 3 == 2) * 2
        while len(spare[modality]) < several:
            for image in _patient(seed, number):
                spare[image["modality"]].append(image)
            number += 1
        images = [spare[modality].pop(0) for _ in range(several)]
        reports = _choose(images[0]["reports"], said, grounded=k % 3 > 0)
        for j, image in enumerate(images):
            empty = (k + j) % 4 == 3
            image["row"] = _row(image, reports, empty)
            image["entry"] = _entry(image, reports, german=k % 4 != 2) if k % 3 else None
        items.append({
            "split": split, "modality": modality, "sentence": reports["en"]["sentence"],
            "images": images,
        })  # fmt: skip
    return items


def _patient(seed: int, number: int) -> list[dict[str, Any]]:
    """Returns the slices of one phantom patient that have a report."""
    out = []
    pieces = slices.make_slices(seed, number, 2, _SHAPE[0], builder.FULL_CLASSES, False)
    for k, piece in enumerate(pieces):
        texts = builder.texts_of(piece, seed, number, k, False)
        reports = [t for t in texts if t["task"] == "report"]
        if not reports:
            continue
        out.append({
            "id": hashlib.sha1(f"{seed} {number} {k}".encode()).hexdigest()[:20],
            "modality": piece.facts.modality, "plane": piece.plane.name,
            "body_part": piece.facts.region, "image": piece.image[:, : _SHAPE[1]],
            "segmap": piece.segmap[:, : _SHAPE[1]], "spacing": piece.plane.spacing,
            "reports": reports, "questions": [t for t in texts if t["task"] == "vqa"],
        })  # fmt: skip
    return out


def _choose(reports: list[dict[str, Any]], said: set[str], grounded: bool) -> dict[str, Any]:
    """Chooses a statement in both languages that no other item has."""
    pairs = list(zip(reports[::2], reports[1::2]))
    pairs.sort(key=lambda p: bool(p[0]["keywords"]) != grounded)
    en, de = next((p for p in pairs if p[0]["sentence"] not in said), pairs[0])
    if en["sentence"] in said:
        words = f"(again {len(said)})"
        en, de = (t | {"sentence": f"{t['sentence']} {words}"} for t in (en, de))
    said.add(en["sentence"])
    return {"en": en, "de": de}


def _row(image: dict[str, Any], reports: dict[str, Any], empty: bool) -> dict[str, Any]:
    row = {
        "ProtocolName": "a column that is not needed", "rsopid": image["id"],
        "modality": image["modality"], "body_part": image["body_part"],
    }  # fmt: skip
    for lang, column in _LANGS.items():
        pairs = [q for q in image["questions"] if q["lang"] == lang]
        made = {
            source: [
                {k: q[k] for k in ("question", "answer", "question_type")}
                | {"choices": q["choices"] or None}
                for q in pairs
                if q["source"] == source
            ]
            for source in ("metadata", "finding")
        }
        row[column] = {
            "dicom_vqa": made["metadata"],
            "snippet_vqa": made["finding"],
            "ReportFragestellungCleaned": None if empty else reports[lang]["question"],
            "ReportKlinischeAngabenCleaned": "" if empty else reports[lang]["clinical"],
            "CleanedSentence": reports[lang]["sentence"],
        }
    return row


def _entry(image: dict[str, Any], reports: dict[str, Any], german: bool) -> dict[str, Any] | None:
    """Returns the box JSON entry of an image, or None if the slice shows no keyword's class."""
    here = [int(c) for c in np.unique(image["segmap"]) if c]
    keywords = {
        lang: [
            [k, classes.by_id(c).name, c] for k, c in reports[lang]["keywords"] if c in here
        ]
        for lang in _LANGS
    }  # fmt: skip
    if not keywords["en"]:
        return None
    boxes = []
    for c in here:
        rows, columns = (np.flatnonzero((image["segmap"] == c).any(axis)) for axis in (1, 0))
        boxes.append([
            int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1, c,
        ])  # fmt: skip
    scan = hashlib.sha1(image["id"].encode()).hexdigest()[:12]
    return {
        "scan_rserid": scan, "scan_file": None, "slice_axis": 2, "slice_idx": 7,
        "segment_scan_path": f"/home/them/scans/{scan}/seg_scan_clean.nii.gz",
        "segment_slice_path":
            f"/home/them/data/segmented_slices_v3/{image['id'][:2]}/{image['id']}.npy",
        "keywords_eng": keywords["en"], "keywords_de": keywords["de"] if german else [],
        "bboxes": boxes,
    }  # fmt: skip


def _stray(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"rsopid": "00" + "f" * 18}


def _write_json(root: Path, items: list[dict[str, Any]]) -> None:
    for modality in ("CT", "MR"):
        mine = [item for item in items if item["modality"] == modality]
        for split in SPLITS:
            path = split_file(root, split, modality)
            path.parent.mkdir(parents=True, exist_ok=True)
            chosen = [item for item in mine if item["split"] == split]
            content = {i["sentence"]: [image["id"] for image in i["images"]] for i in chosen}
            path.write_text(json.dumps(content, indent=1))
        entries = {
            image["id"]: image["entry"]
            for item in mine
            for image in item["images"]
            if image["entry"]
        }
        path = box_file(root, modality)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(entries, indent=4))


def _dicom(image: dict[str, Any], number: int, identity: str) -> bytes:
    """Returns the content of a file with a CT or MR image object."""
    ct = image["modality"] == "CT"
    instance = uid.generate_uid(entropy_srcs=["refrad2d fixture", image["id"]])
    meta = pydicom.dataset.FileMetaDataset()
    meta.MediaStorageSOPClassUID = uid.CTImageStorage if ct else uid.MRImageStorage
    meta.MediaStorageSOPInstanceUID = instance
    meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    ds = pydicom.Dataset()
    ds.file_meta = meta
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID, ds.SOPInstanceUID = meta.MediaStorageSOPClassUID, instance
    ds.Modality = image["modality"]
    if identity:
        ds.PatientName = ds.PatientID = ds.AccessionNumber = identity
        ds.InstitutionName = ds.StudyDescription = ds.ReferringPhysicianName = identity
    ds.ImageOrientationPatient = _ORIENTATION[image["plane"]]
    ds.ImagePositionPatient = [0, 0, number]
    ds.PixelSpacing = [f"{image['spacing']:.6f}"] * 2
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = image["image"].shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 0
    if ct:
        ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = "1", "-1024", "HU"
        ds.WindowCenter, ds.WindowWidth = "40", "350"
    stored = image["image"].astype(np.int32) + (1024 if ct else 0)
    ds.PixelData = stored.astype("<u2").tobytes()
    content = io.BytesIO()
    ds.save_as(content, enforce_file_format=True)
    return content.getvalue()
