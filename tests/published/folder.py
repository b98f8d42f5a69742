"""Writes a small dataset in the format of docs/data.md, from phantom slices.

It has every kind of image and mask, both languages, boxes with ids, names and words, several lines
for one image, and the CT and the MR slice of pydicom. It follows the description of the format and
does not use the reader. `write` returns the content, so that a build can be compared to the last
pixel.
"""

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pydicom
import zstandard
from PIL import Image
from pydicom import uid
from pydicom.data import get_testdata_file

from big_rad.datasets.phantom.body import slices
from big_rad.datasets.phantom.builder import FULL_CLASSES
from big_rad.datasets.phantom.words import text

Line = dict[str, Any]


def write(
    root: str | Path, *, folder: str = "images", canary: str = "", size: int = 48, seed: int = 0
) -> dict[str, dict[str, Any]]:
    """Writes root/data.jsonl and its files.

    Args:
        root: the folder, which is created if necessary.
        folder: the name of the folder of images, which may have parts such as "a/b".
        canary: a text that is put into every identifying DICOM element.
        size: the height and width of phantom slices in pixels.
        seed: the seed of all random draws.

    Returns:
        {id: {"image", "modality", "plane", "patient", "split", and perhaps "segmap", "boxes",
        "reports" ({language: sentence}) and "questions"}}.
    """
    root = Path(root)
    (root / folder).mkdir(parents=True, exist_ok=True)
    made = _Writer(root, folder, canary)
    kinds = ("dcm", "dcm.zst", "npy", "nii.gz", "png16", "png8", "jpg")
    wanted = {"dcm": "CT", "dcm.zst": "MR", "npy": "CT", "nii.gz": "CT", "png16": "MR"}
    number = 0
    for k, kind in enumerate(kinds):
        while (piece := _piece(seed, number, size)).facts.modality != wanted.get(kind, "CT"):
            number += 1
        split = ("train", "train", "train", "validation", "test", "train", "train")[k]
        made.phantom(kind, piece, seed, number, split)
        number += 1
    made.real("CT_small.dcm", "CT")
    made.real("MR_small.dcm", "MR")
    lines = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in made.lines)
    (root / "data.jsonl").write_text(lines, encoding="utf-8")
    return made.truth


def read_lines(root: str | Path) -> list[Line]:
    """Returns the lines of root/data.jsonl."""
    content = (Path(root) / "data.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in content.splitlines()]


def write_lines(root: str | Path, lines: list[Line]) -> None:
    """Replaces root/data.jsonl."""
    content = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    (Path(root) / "data.jsonl").write_text(content, encoding="utf-8")


class _Writer:
    def __init__(self, root: Path, folder: str, canary: str):
        self.root, self.folder, self.canary = root, folder, canary
        self.lines: list[Line] = []
        self.truth: dict[str, dict[str, Any]] = {}

    def phantom(self, kind: str, piece: slices.Slice, seed: int, number: int, split: str) -> None:
        """Adds an image with a report in each language, and a question."""
        key = kind.replace(".", "-")
        pixels, line = self._image(kind, piece, f"{self.folder}/{key}")
        line = {"id": f"s-{key}", "patient": f"p{number}", "split": split, **line}
        truth = {"patient": f"p{number}", "split": split, "plane": line.get("plane", "")}
        truth |= {"image": pixels, "modality": line.get("modality", piece.facts.modality)}
        if kind in ("png8", "jpg"):
            truth["modality"] = "OT"
        reports = [t for t in _reports(piece, seed, number) if t["keywords"]]
        by_lang = {lang: next(t for t in reports if t["lang"] == lang) for lang in ("en", "de")}
        where = self._where(kind, piece, by_lang["en"], line, truth)
        for lang, written in by_lang.items():
            self.lines.append({
                **line, **(where if lang == "en" else {}), "report": written["sentence"],
                "language": lang, "clinical": written["clinical"],
                "indication": written["question"],
            })  # fmt: skip
        question = {"question": "Which plane?", "answer": "axial", "question_type": "multiple"}
        question["choices"] = ["axial", "coronal", "sagittal"]
        self.lines.append({"id": line["id"], **question})
        truth["reports"] = {lang: t["sentence"] for lang, t in by_lang.items()}
        truth["questions"] = ["Which plane?"]
        self.truth[line["id"]] = truth

    def real(self, name: str, modality: str) -> None:
        """Adds a file that comes with pydicom, with a yes/no question in German."""
        ds = pydicom.dcmread(get_testdata_file(name))
        pixels = ds.pixel_array.astype(np.int32)
        if modality == "CT":
            pixels = pixels * int(ds.RescaleSlope) + int(ds.RescaleIntercept)
        path = f"{self.folder}/{name}"
        self._save(ds, self.root / path)
        id_ = name.removesuffix(".dcm")
        question = {"question": "Ist dies eine CT?", "question_type": "yesno", "language": "de"}
        self.lines.append({
            "id": id_, "image": path, "split": "train", **question,
            "answer": "ja" if modality == "CT" else "nein",
        })  # fmt: skip
        self.truth[id_] = {
            "patient": id_, "split": "train", "plane": "axial", "modality": modality,
            "image": pixels.astype(np.int16), "reports": {}, "questions": [question["question"]],
        }  # fmt: skip

    def _image(self, kind: str, piece: slices.Slice, stem: str) -> tuple[np.ndarray, Line]:
        """Writes an image; returns the pixels that a reader should give, and fields of the line."""
        path = self.root / stem
        image, modality = piece.image, piece.facts.modality
        if kind in ("dcm", "dcm.zst"):
            plain = self.root / f"{stem}.{kind}"
            self._save(_dicom(image, modality), plain)
            if kind == "dcm.zst":
                plain.write_bytes(zstandard.compress(plain.read_bytes()))
            return image, {"image": f"{stem}.{kind}", "plane": "axial"}
        if kind == "npy":
            np.save(f"{path}.npy", image)
            return image, {"image": f"{stem}.npy", "modality": modality}
        if kind == "nii.gz":
            volume = np.stack([image[::-1], image, image[:, ::-1]])
            _save_nifti(volume, f"{path}.nii.gz")
            fields = {"modality": modality, "frame": 1, "plane": "axial"}
            return image, {"image": f"{stem}.nii.gz", **fields}
        if kind == "png16":
            assert image.min() >= 0
            Image.fromarray(image.astype(np.uint16)).save(f"{path}.png")
            return image, {"image": f"{stem}.png", "modality": modality}
        grey = np.clip((image + 200.0) / 600 * 255, 0, 255).astype(np.uint8)
        if kind == "png8":
            Image.fromarray(grey).save(f"{path}.png")
            return np.repeat(grey[..., None], 3, -1), {"image": f"{stem}.png"}
        colour = np.stack([grey, 255 - grey, grey // 2], -1)
        Image.fromarray(colour).save(f"{path}.jpg", quality=95)
        return np.asarray(Image.open(f"{path}.jpg")), {"image": f"{stem}.jpg"}

    def _where(self, kind: str, piece: slices.Slice, report: Line, line: Line, truth: Line) -> Line:
        """Returns the fields with the places of the organs: a mask or boxes."""
        stem = f"{self.folder}/{kind.replace('.', '-')}_mask"
        segmap = piece.segmap
        if kind in ("dcm", "npy"):
            np.save(self.root / f"{stem}.npy", segmap)
            truth["segmap"], fields = segmap, {"mask": f"{stem}.npy"}
        elif kind == "png16":
            Image.fromarray(segmap).save(self.root / f"{stem}.png")
            truth["segmap"], fields = segmap, {"mask": f"{stem}.png"}
        elif kind == "nii.gz":
            _save_nifti(np.stack([segmap * 0, segmap, segmap]), self.root / f"{stem}.nii.gz")
            truth["segmap"], fields = segmap, {"mask": f"{stem}.nii.gz"}
        else:
            phrase, class_id = report["keywords"][0]
            truth["boxes"] = [[4, 6, 20, 30, 5], [8, 2, 40, 44, class_id]]
            if class_id == 5:
                truth["boxes"] = [[4, 2, 40, 44, 5]]
            named = {"box": [8, 2, 40, 44], "class": class_id, "phrase": phrase}
            fields = {"boxes": [[4, 6, 20, 30, "Leberparenchym"], named]}
            truth["boxes"].sort(key=lambda b: b[4])
        return fields

    def _save(self, ds: pydicom.Dataset, path: Path) -> None:
        if self.canary:
            for keyword in ("PatientID", "PatientName", "AccessionNumber", "StudyID",
                            "InstitutionName", "ReferringPhysicianName", "StudyDescription",
                            "SeriesDescription", "PatientComments", "ImageComments"):  # fmt: skip
                value = f"{self.canary}{keyword.upper()}"
                setattr(ds, keyword, value[:16] if keyword.endswith(("Number", "ID")) else value)
        ds.save_as(path, enforce_file_format=True)


def _piece(seed: int, number: int, size: int) -> slices.Slice:
    return slices.make_slices(seed, number, 1, size, FULL_CLASSES, False)[0]


def _reports(piece: slices.Slice, seed: int, number: int) -> list[Line]:
    return text.reports(piece.facts, np.random.default_rng([seed, number]), FULL_CLASSES)


def _dicom(image: np.ndarray, modality: str) -> pydicom.Dataset:
    """Returns an axial slice as a scanner stores it (DICOM PS3.3 A.3, A.4)."""
    ct = modality == "CT"
    ds = pydicom.Dataset()
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    ds.SOPClassUID = uid.CTImageStorage if ct else uid.MRImageStorage
    ds.SOPInstanceUID = uid.generate_uid(entropy_srcs=["big_rad folder fixture"])
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.Modality, ds.PatientName, ds.PatientID = modality, "", ""
    ds.ImageOrientationPatient, ds.PixelSpacing = [1, 0, 0, 0, 1, 0], ["2.0", "2.0"]
    if ct:
        ds.RescaleSlope, ds.RescaleIntercept = "1", "-1024"
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = image.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 0
    ds.PixelData = (image.astype(np.int32) + 1024 * ct).astype("<u2").tobytes()
    return ds


def _save_nifti(volume: np.ndarray, path: str | Path) -> None:
    """Writes slices [k, row, column] whose rows go to the back and whose columns go to the left.

    The first axes of NIfTI point to the right and to the front, so there are two minus signs.
    """
    affine = np.diag([-2.0, -2.0, 5.0, 1.0])
    nib.save(nib.Nifti1Image(np.ascontiguousarray(volume.transpose(2, 1, 0)), affine), path)
