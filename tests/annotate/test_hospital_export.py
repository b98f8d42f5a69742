"""Checks the made hospital export and the made public dataset that judge the data engine."""

import csv
import gzip
import json
import re

import nibabel as nib
import numpy as np
import pydicom
import pytest

from big_rad.datasets.phantom.body.anatomy import DEMO_LABELS
from big_rad.grounding import classes
from tests.published import hospital, totalsegmentator


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("hospital")
    return hospital.write(root, patients=4, size=48, thickness=10.0)


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    root = tmp_path_factory.mktemp("planted")
    return hospital.write(root, patients=2, size=32, thickness=20.0, canaries=True)


def test_the_classes_of_each_sentence_are_on_its_image(made):
    named = [t for t in made.truth if t.instance is not None]
    assert {t.language for t in named} == {"de", "en"}
    for t in named:
        assert set(t.classes) <= set(np.unique(made.labels[t.patient][t.instance - 1]))
    assert any(t.compares for t in named) and any(t.negated for t in named)
    share = np.mean([t.referenced for t in named])
    assert 0.35 < share < 0.65


def test_sentences_stand_in_their_reports_and_references_name_an_image(made):
    reports = {(r["study"], r["language"]): r for r in made.rows}
    for t in made.truth:
        row = reports[t.study, t.language]
        assert t.sentence in (made.root / row["report"]).read_text(encoding="utf-8")
        if t.referenced:
            assert f" {t.instance}" in t.sentence
        image = made.root / row["image"]
        if image.is_dir() and t.instance:
            ds = pydicom.dcmread(image / f"IM{t.instance:04d}.dcm", stop_before_pixels=True)
            assert (ds.SeriesNumber, ds.InstanceNumber) == (hospital.SERIES, t.instance)


def test_every_path_of_the_manifest_exists_and_masks_lie_on_their_images(made):
    with open(made.manifest, encoding="utf-8", newline="") as f:
        rows = list(csv.DictReader(f))
    assert len(rows) == 8
    for row in rows:
        for column in ("image", "report", "mask", "mask_names"):
            assert not row[column] or (made.root / row[column]).exists()
        image, mask = made.root / row["image"], made.root / row["mask"]
        if not image.is_dir():
            file = next(iter(mask.iterdir())) if mask.is_dir() else mask
            a, b = nib.load(image), nib.load(file)
            assert a.shape == b.shape
            np.testing.assert_allclose(a.affine, b.affine, atol=1e-4)


def _masks(made, patient):
    """Yields (class name, mask [slices, rows, columns]) from NIfTI masks, or nothing for a SEG."""
    path = made.root / next(r["mask"] for r in made.rows if r["patient"] == patient)
    if path.is_dir():
        for file in path.iterdir():
            yield file.name[:-7], np.asarray(nib.load(file).dataobj).T > 0
    elif path.suffix != ".dcm":
        picture = nib.load(path)
        values = np.asarray(picture.dataobj).T
        row = next(r for r in made.rows if r["patient"] == patient)
        if names := row.get("mask_names"):
            table = {int(k): v for k, v in json.loads((made.root / names).read_text()).items()}
        else:
            xml = picture.header.extensions[0].get_content()
            text = xml if isinstance(xml, str) else xml.decode()
            found = re.findall(r'Key="(\d+)".*?CDATA\[(\w+)\]', text)
            table = {int(k): v for k, v in found}
        assert set(np.unique(values)) - {0} == set(table)
        for k, name in table.items():
            yield name, values == k


def test_masks_have_the_names_and_the_pixels_of_the_phantom(made):
    checked = set()
    for patient in made.patients:
        for name, mask in _masks(made, patient):
            demo = DEMO_LABELS[classes.by_name(name).id]
            if demo:
                assert mask.any() and (made.labels[patient][mask] == demo).all()
                checked.add(made.masks[patient])
    assert checked >= {"extension", "folder", "names"}


def test_each_identifier_is_in_the_files_or_their_names(planted):
    assert len(planted.canaries) >= 30
    content = b""
    for path in sorted(planted.root.rglob("*")):
        content += str(path.relative_to(planted.root)).encode() + b"\n"
        if path.is_file():
            data = path.read_bytes()
            content += gzip.decompress(data) if path.suffix == ".gz" else data
    assert [c for c in planted.canaries if c.encode() not in content] == []


def test_a_planted_sentence_is_still_in_its_report(planted):
    texts = [(planted.root / r["report"]).read_text(encoding="utf-8") for r in planted.rows]
    assert all(any(t.sentence in text for text in texts) for t in planted.truth)


def test_the_public_dataset_has_all_classes_and_its_masks_lie_on_the_image(tmp_path):
    made = totalsegmentator.write(tmp_path, subjects=1, size=24)
    files = sorted((tmp_path / "s0000/segmentations").iterdir())
    image = nib.load(tmp_path / "s0000/ct.nii.gz")
    assert len(files) == 117 and nib.aff2axcodes(image.affine) == ("R", "A", "S")
    full = [f.name[:-7] for f in files if np.asarray(nib.load(f).dataobj).any()]
    assert full == made["s0000"]["names"]
    header = (tmp_path / "meta.csv").read_text(encoding="utf-8-sig").splitlines()[0]
    assert header.split(";") == list(totalsegmentator.COLUMNS)


def test_broken_files_are_broken(tmp_path):
    made = hospital.write(tmp_path, patients=2, size=24, thickness=25.0, source="nifti")
    broken = hospital.break_some(made)
    assert sorted(broken.values()) == ["corrupt", "latin1"]
    for patient, what in broken.items():
        if what == "corrupt":
            with pytest.raises((EOFError, ValueError, OSError)):
                np.asarray(nib.load(made.image(patient)).dataobj)
        else:
            row = next(r for r in made.rows if r["patient"] == patient and r["language"] == "de")
            with pytest.raises(UnicodeDecodeError):
                (made.root / row["report"]).read_text(encoding="utf-8")
