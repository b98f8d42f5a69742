import numpy as np
import pytest
from PIL import Image

from big_rad.datasets import records
from big_rad.datasets.folder import builder
from tests.helpers.dicom_files import content, dataset
from tests.helpers.folder_records import records_of, save_dicom, validated
from tests.published import folder as published

HU = np.linspace(-1000, 1500, 24 * 20).reshape(24, 20).astype(np.int16)
WAYS = {
    "usual.dcm": (HU, [1, 0, 0, 0, 1, 0]),
    "mirrored.dcm": (HU[:, ::-1], [-1, 0, 0, 0, 1, 0]),
    "flipped.dcm": (HU[::-1], [1, 0, 0, 0, -1, 0]),
    "turned.dcm": (HU.T, [0, 1, 0, 1, 0, 0]),
}
# The box of the same rectangle of the patient, in the stored pixels of each file.
BOXES = {
    "usual.dcm": [2, 3, 8, 10], "mirrored.dcm": [12, 3, 18, 10],
    "flipped.dcm": [2, 14, 8, 21], "turned.dcm": [3, 2, 10, 8],
}  # fmt: skip


@pytest.mark.parametrize("name", WAYS)
def test_image_boxes_and_mask_are_turned_together(tmp_path, name):
    pixels, orientation = WAYS[name]
    save_dicom(tmp_path / name, np.ascontiguousarray(pixels), ImageOrientationPatient=orientation)
    x1, y1, x2, y2 = BOXES[name]
    mask = np.zeros(pixels.shape, np.uint8)
    mask[y1:y2, x1:x2] = 5
    np.save(tmp_path / "mask.npy", mask)
    line = {"id": "a", "image": name, "mask": "mask.npy", "boxes": [[*BOXES[name], 5]]}
    found, problems = records_of(tmp_path, line)
    np.testing.assert_array_equal(found["a"]["image"], HU)
    assert found["a"]["boxes"] == [[2, 3, 8, 10, 5]]
    want = np.zeros(HU.shape, np.uint8)
    want[3:10, 2:8] = 5
    np.testing.assert_array_equal(found["a"]["segmap"], want)
    assert [p.level for p in problems] == ["warning"] * (name != "usual.dcm")
    stored, problems = records_of(tmp_path, line, as_stored=True)
    np.testing.assert_array_equal(stored["a"]["image"], pixels)
    np.testing.assert_array_equal(stored["a"]["segmap"], mask)
    assert stored["a"]["boxes"] == [[*BOXES[name], 5]]
    assert ["--as_stored" in p.message for p in problems] == [True] * (name != "usual.dcm")


def test_a_sagittal_slice_is_turned_too_and_said(tmp_path):
    save_dicom(tmp_path / "a.dcm", HU, ImageOrientationPatient=[0, -1, 0, 0, 0, -1])
    found, (problem,) = records_of(tmp_path, {"id": "a", "image": "a.dcm"})
    np.testing.assert_array_equal(found["a"]["image"], HU[:, ::-1])
    assert "mirrored left to right" in problem.message and problem.level == "warning"


def test_an_image_that_does_not_say_how_the_patient_lies_is_warned_of(tmp_path):
    save_dicom(tmp_path / "a.dcm", HU)
    _, (problem,) = records_of(tmp_path, {"id": "a", "image": "a.dcm"})
    assert "does not say how the patient lies" in problem.message


def test_the_build_says_how_many_images_were_turned(tmp_path):
    for name, (pixels, orientation) in WAYS.items():
        save_dicom(
            tmp_path / name, np.ascontiguousarray(pixels), ImageOrientationPatient=orientation
        )
    lines = [
        {"id": n, "patient": n, "image": n, "split": "train", "report": "Liver."} for n in WAYS
    ]
    published.write_lines(tmp_path, lines)
    built = builder.build(tmp_path, tmp_path / "out", workers=1)
    said = [n for n in built.notes if "usual display" in n]
    assert len(said) == 3 and "1 images were mirrored left to right, to their usual display" in said
    assert len([n for n in built.notes if n.startswith("1 warnings: ")]) == 3
    assert not built.rejects
    with pytest.raises(ValueError, match="overwrite"):
        builder.build(tmp_path, tmp_path / "out", workers=1, as_stored=True)


# CT values that are not HU

LOOKS = {
    "HU + 1024": HU.astype(int) + 1024,
    "HU + 32768": (HU.astype(int) + 32768).astype(np.uint16),
    "values scaled to 0..1": ((HU + 1000) / 2500).astype(np.float32),
    "grey values of 0 to 255": ((HU + 1000) // 10).astype(np.int16),
}


@pytest.mark.parametrize("look", LOOKS)
def test_one_implausible_image_is_warned_of_and_an_offset_is_the_remedy(tmp_path, look):
    np.save(tmp_path / "a.npy", LOOKS[look])
    line = {"id": "a", "image": "a.npy", "modality": "CT"}
    found, (problem,) = records_of(tmp_path, line)
    assert found["a"] is not None and problem.level == "warning"
    assert f"like {look}" in problem.message
    if look.startswith("HU"):
        offset = -int(look.split()[-1])
        assert str(offset) in problem.message
        for field, options in (({"offset": offset}, {}), ({}, {"offset": offset})):
            found, problems = records_of(tmp_path, line | field, **options)
            np.testing.assert_array_equal(found["a"]["image"], HU)
            assert problems == []


def test_a_picture_that_is_listed_as_ct_is_said_to_hold_no_hu(tmp_path):
    Image.fromarray(np.arange(480, dtype=np.uint8).reshape(24, 20)).save(tmp_path / "a.png")
    line = {"id": "a", "image": "a.png", "modality": "CT"}
    found, (problem,) = records_of(tmp_path, line)
    assert found["a"] is not None and problem.level == "warning"
    assert "a.png: " in problem.message and "not HU" in problem.message
    assert "offset" not in problem.message
    _, (problem,) = records_of(tmp_path, line, offset=-1024)
    assert "the offset -1024 is not used" in problem.message
    _, (problem,) = records_of(tmp_path, line | {"offset": -1024})
    assert problem.level == "error" and "offset" in problem.message
    assert records_of(tmp_path, line | {"modality": "OT"}, offset=-1024)[1] == []


def test_an_offset_is_for_ct_alone(tmp_path):
    np.save(tmp_path / "a.npy", HU)
    line = {"id": "a", "image": "a.npy", "modality": "MR", "offset": -1024}
    _, (problem,) = records_of(tmp_path, line)
    assert problem.level == "error" and "offset" in problem.message


def many(root, alike, others):
    np.save(root / "shifted.npy", HU + 1024)
    np.save(root / "hu.npy", HU)
    names = ["shifted.npy"] * alike + ["hu.npy"] * others
    published.write_lines(root, [
        {"id": str(n), "patient": "p", "split": "train", "image": name, "modality": "CT",
         "report": "Liver."} for n, name in enumerate(names)
    ])  # fmt: skip
    return root


@pytest.mark.parametrize(("alike", "others"), [(19, 0), (20, 3), (1, 30)])
def test_some_implausible_images_are_warnings(tmp_path, alike, others):
    problems, _ = validated(many(tmp_path, alike, others))
    assert [p.level for p in problems] == ["warning"] * alike


def test_a_source_that_is_implausible_as_a_whole_is_refused(tmp_path):
    many(tmp_path, 20, 2)
    problems, _ = validated(tmp_path)
    (error,) = [p for p in problems if p.level == "error"]
    assert "20 of 22 CT images" in error.message and "HU + 1024" in error.message
    with pytest.raises(records.BuildError, match="20 of 22 CT images"):
        builder.build(tmp_path, tmp_path / "out", workers=1)
    assert not (tmp_path / "out/folder").exists()
    assert builder.build(tmp_path, tmp_path / "out", workers=1, offset=-1024).counts["train"] == 22


def test_a_picture_is_turned_by_exif_with_its_boxes(tmp_path):
    picture = np.zeros((10, 20, 3), np.uint8)
    picture[0:4, 0:6] = 255
    image = Image.fromarray(picture)
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "a.png", exif=exif)
    line = {"id": "a", "image": "a.png", "boxes": [[0, 0, 6, 4, 5]]}
    found, problems = records_of(tmp_path, line)
    x1, y1, x2, y2, _ = (int(v) for v in found["a"]["boxes"][0])
    assert found["a"]["image"].shape == (20, 10, 3)
    assert (found["a"]["image"][y1:y2, x1:x2] == 255).all() and (x2 - x1, y2 - y1) == (4, 6)
    assert any("clockwise" in p.message for p in problems)


def test_a_ct_without_a_rescale_can_be_listed_as_ot_as_its_error_says(tmp_path):
    plain = dataset(HU, RescaleSlope=None, RescaleIntercept=None)
    (tmp_path / "a.dcm").write_bytes(content(plain))
    line = {"id": "a", "image": "a.dcm"}
    found, (problem,) = records_of(tmp_path, line)
    assert found["a"] is None and '"OT"' in problem.message
    found, problems = records_of(tmp_path, line | {"modality": "OT"})
    assert found["a"] is not None
    assert any("OT was given, though the file says CT" in p.message for p in problems)
    found, problems = records_of(tmp_path, line | {"modality": "MR"})
    assert found["a"] is None and "not that of the file" in problems[0].message
