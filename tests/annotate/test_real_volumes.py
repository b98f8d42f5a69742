"""Real volumes go through the engine, as NIfTI and as DICOM, and left stays left."""

import csv
import json
import shutil
import subprocess

import nibabel as nib
import numpy as np
import pytest
import zstandard

from big_rad.annotate import match, run
from big_rad.annotate.settings import Settings, Source
from big_rad.dicom import read as dicom_read
from tests.helpers import real_volumes

COLUMNS = (
    "patient study image modality language report sentence slice plane mask mask_names".split()
)


def engine(folder, rows, name="out", **options):
    """Runs the engine on rows, and returns its items with their files."""
    manifest = folder / f"{name}.csv"
    with manifest.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows(rows)
    out = folder / name
    settings = Settings(Source(manifest), out, folder / "secret.key", **options)
    made = run.run(settings, log=lambda line: None)
    assert made.failed == 0
    items = []
    for path in sorted((out / "stage" / "items").rglob("items.jsonl")):
        for line in path.read_text().splitlines():
            item = json.loads(line)
            item["segmap"] = np.load(path.parent / f"{item['id']}.npy")
            packed = (path.parent / f"{item['id']}.dcm.zst").read_bytes()
            item["dicom"] = zstandard.ZstdDecompressor().decompressobj().decompress(packed)
            items.append(item)
    return items


def pixels(item):
    return dicom_read.to_display(dicom_read.read(item["dicom"]))[0].pixels


@pytest.fixture(scope="module")
def head(tmp_path_factory):
    """The head CT as NIfTI and as a series, and its skull, by a threshold, as a mask."""
    folder = tmp_path_factory.mktemp("head")
    values, affine = real_volumes.head_ct()
    real_volumes.write_nifti(folder / "ct.nii.gz", values, affine)
    real_volumes.write_dicom(folder / "series", values, affine, "CT")
    skull = np.where(values > 300, 91, 0).astype(np.uint8)
    real_volumes.write_nifti(folder / "skull.nii.gz", skull, affine)
    return folder, values, affine


def rows_of_head(image):
    row = dict(
        patient="p",
        study="s",
        image=image,
        modality="CT",
        mask="skull.nii.gz",
        mask_names="class_ids",
    )
    return [
        row | dict(language="de", report="Befund: Schädel unauffällig. Kein Hirnödem."),
        row | dict(language="en", sentence="The skull is intact.", slice=128, plane="coronal"),
    ]


@pytest.mark.slow
def test_the_head_as_nifti_and_as_dicom_gives_the_same_slices(head):
    folder, values, affine = head
    found = [
        engine(folder, rows_of_head(image), name, matching=match.Options(min_area_mm2=0))
        for image, name in (("ct.nii.gz", "n"), ("series", "d"))
    ]
    for nifti, dicom in zip(*found, strict=True):
        np.testing.assert_array_equal(pixels(nifti), pixels(dicom))
        np.testing.assert_array_equal(nifti["segmap"], dicom["segmap"])
        # The mask lies where the bone is, and nowhere else.
        np.testing.assert_array_equal(nifti["segmap"] == 91, pixels(nifti) > 300)
        assert nifti["spacing"] == pytest.approx(dicom["spacing"])
    planes = {item["plane"] for item in found[0]}
    assert planes == {"axial", "coronal"}


@pytest.fixture(scope="module")
def brain(tmp_path_factory):
    """The MR template with AAL's left and right as two classes, and as a series."""
    folder = tmp_path_factory.mktemp("brain")
    values, labels, names, affine = real_volumes.brain_mr()
    # The classes stand for "left" and "right" only: AAL has no class of TotalSegmentator.
    sides = np.zeros(labels.shape, np.uint8)
    for number, name in names.items():
        if name.endswith(("_L", "_R")):
            sides[labels == number] = 3 if name.endswith("_L") else 2
    real_volumes.write_nifti(folder / "mr.nii.gz", values.astype(np.int16), affine)
    real_volumes.write_nifti(folder / "sides.nii.gz", sides, affine)
    real_volumes.write_dicom(folder / "series", values.astype(np.int16), affine, "MR")
    return folder, affine


@pytest.mark.slow
@pytest.mark.parametrize("image", ["mr.nii.gz", "series"])
def test_left_is_left_on_the_template_in_three_planes(brain, image):
    folder, affine = brain
    row = dict(
        patient="p",
        study="s",
        image=image,
        modality="MR",
        mask="sides.nii.gz",
        mask_names="class_ids",
    )
    rows = [
        row | dict(language="en", sentence="The left kidney and the right kidney.", plane=plane)
        for plane in ("axial", "coronal")
    ] + [row | dict(language="de", sentence="Linke Niere.", plane="sagittal")]
    items = engine(folder, rows, image.replace(".", "_"), matching=match.Options(min_area_mm2=50))
    assert {i["plane"] for i in items} == {"axial", "coronal", "sagittal"}
    for item in items:
        boxes = {b[4]: b[:4] for b in item["boxes"]}
        if item["plane"] == "sagittal":
            continue
        width = item["shape"][1]
        left, right = ((boxes[c][0] + boxes[c][2]) / 2 for c in (3, 2))
        # The patient's left is on the viewer's right, on its own half.
        assert right < width / 2 < left
        shown = dicom_read.read(item["dicom"])
        assert shown.place.columns[0] == pytest.approx(1)
        # The midline of the template is at x = 0.
        at = shown.place.origin[0] + (left - 0.5) * shown.spacing[1]
        assert at > 10
        # The brain is bright where the labels are, and the air around it is black.
        assert (pixels(item)[item["segmap"] > 0] > 10).mean() > 0.98
    sagittal = next(i for i in items if i["plane"] == "sagittal")
    assert dicom_read.read(sagittal["dicom"]).place.origin[0] > 0  # on the left of the midline


@pytest.mark.slow
def test_dcm2niix_finds_the_same_affine_and_voxels_in_our_objects(head, tmp_path):
    program = shutil.which("dcm2niix")
    if program is None:
        pytest.skip("no dcm2niix: pip install dcm2niix")
    folder, values, affine = head
    depth = 24
    sub = values[:, :, :depth]
    real_volumes.write_nifti(tmp_path / "ct.nii.gz", sub, affine)
    skull = np.where(sub > 300, 91, 0).astype(np.uint8)
    skull[0, 0] = 91  # So that each slice shows it.
    real_volumes.write_nifti(tmp_path / "skull.nii.gz", skull, affine)
    row = dict(
        patient="p",
        study="s",
        image="ct.nii.gz",
        modality="CT",
        mask="skull.nii.gz",
        mask_names="class_ids",
    )
    rows = [
        row | dict(language="en", sentence=f"The skull, slice {k}.", slice=k) for k in range(depth)
    ]
    items = engine(tmp_path, rows, matching=match.Options(min_area_mm2=0))
    assert len(items) == depth
    (tmp_path / "dicom").mkdir()
    for item in items:
        (tmp_path / "dicom" / f"{item['id']}.dcm").write_bytes(item["dicom"])
    (tmp_path / "nifti").mkdir()
    command = [
        program,
        "-b",
        "n",
        "-z",
        "n",
        "-o",
        str(tmp_path / "nifti"),
        str(tmp_path / "dicom"),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    (path,) = (tmp_path / "nifti").glob("*.nii")
    back = nib.as_closest_canonical(nib.load(path))
    mine = nib.as_closest_canonical(nib.Nifti1Image(sub, affine))
    np.testing.assert_allclose(back.affine, mine.affine, atol=1e-4)
    np.testing.assert_array_equal(np.asarray(back.dataobj), np.asarray(mine.dataobj))
