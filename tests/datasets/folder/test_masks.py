import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from tests.helpers.folder_records import records_of, save_dicom

SHAPE = (12, 10, 6)
AFFINE = np.array([[-0.8, 0, 0, 10], [0, -0.9, 0, 20], [0, 0, 2.5, -30], [0, 0, 0, 1.0]])
ORGAN = np.zeros(SHAPE, np.uint8)
ORGAN[2:5, 3:7, 1:3] = 5
FLIP = np.diag([1.0, 1, -1, 1])
FLIP[2, 3] = SHAPE[2] - 1


def save(root, name, volume, affine=AFFINE, table=None):
    image = nib.Nifti1Image(volume, affine)
    if table:
        labels = "".join(f'<Label Key="{k}"><![CDATA[{n}]]></Label>' for k, n in table.items())
        xml = f"<CaretExtension><LabelTable>{labels}</LabelTable></CaretExtension>"
        image.header.extensions.append(nib.nifti1.Nifti1Extension(0, xml.encode()))
    (root / name).parent.mkdir(exist_ok=True)
    nib.save(image, root / name)
    return name


@pytest.fixture
def volume(tmp_path):
    """The fields of a line for slice 2 of an MR volume whose organ is bright."""
    image = save(tmp_path, "image.nii.gz", (ORGAN * 30).astype(np.int16))
    return {"id": "a", "image": image, "frame": 2, "modality": "MR"}


def shown(found, id_="a"):
    """Whether the mask is exactly where the organ is."""
    return (found[id_]["segmap"] == 5).tolist() == (found[id_]["image"] > 75).tolist()


def test_the_same_grid_in_another_order_of_slices_is_the_same_mask(tmp_path, volume):
    save(tmp_path, "mask.nii", ORGAN[:, :, ::-1], AFFINE @ FLIP)
    found, problems = records_of(tmp_path, volume | {"mask": "mask.nii"})
    assert shown(found) and found["a"]["segmap"].any() and problems == []


def test_a_dicom_stored_turned_finds_its_slice(tmp_path):
    pixels = (ORGAN[:, :, 2].T * 30).astype(np.int16)[::-1, ::-1]
    corner = AFFINE @ [SHAPE[0] - 1, SHAPE[1] - 1, 2, 1]
    save_dicom(
        tmp_path / "a.dcm", np.ascontiguousarray(pixels), PixelSpacing=[0.9, 0.8],
        ImageOrientationPatient=[-1, 0, 0, 0, -1, 0], Modality="MR",
        ImagePositionPatient=[-corner[0], -corner[1], corner[2]],
    )  # fmt: skip
    save(tmp_path, "mask.nii", ORGAN[:, :, ::-1], AFFINE @ FLIP)
    found, _ = records_of(tmp_path, {"id": "a", "image": "a.dcm", "mask": "mask.nii"})
    assert shown(found) and found["a"]["segmap"].any()


def test_a_mask_elsewhere_is_refused_and_the_remedies_work(tmp_path, volume):
    save(tmp_path, "mask.nii", ORGAN, np.eye(4))
    line = volume | {"mask": "mask.nii"}
    found, (problem,) = records_of(tmp_path, line)
    assert found["a"] is None and (problem.field, problem.level) == ("mask", "error")
    assert "mask_frame" in problem.message and "--trust_mask_order" in problem.message
    found, problems = records_of(tmp_path, line, trust_mask_order=True)
    assert shown(found) and problems == []
    moved = AFFINE.copy()
    moved[2, 3] += 100
    save(tmp_path, "mask.nii", ORGAN, moved)
    assert records_of(tmp_path, line)[0]["a"] is None
    found, (problem,) = records_of(tmp_path, line | {"mask_frame": 2})
    assert shown(found) and problem.level == "warning" and "lies elsewhere" in problem.message


def test_an_image_without_geometry_is_refused_beside_a_volume(tmp_path):
    np.save(tmp_path / "a.npy", (ORGAN[:, :, 2].T * 30).astype(np.int16))
    save(tmp_path, "mask.nii", ORGAN)
    line = {"id": "a", "image": "a.npy", "modality": "MR", "mask": "mask.nii"}
    found, (problem,) = records_of(tmp_path, line)
    assert found["a"] is None and "mask_frame" in problem.message
    assert shown(records_of(tmp_path, line | {"mask_frame": 2})[0])
    assert shown(records_of(tmp_path, line | {"mask_frame": 2}, trust_mask_order=True)[0])


def test_the_label_table_of_the_file_decides(tmp_path, volume):
    labels = ORGAN.copy()
    labels[ORGAN == 5] = 22  # 22 is the heart in the task total_mr, the prostate in total.
    labels[8:10, 3:5, 2] = 16
    table = {22: "heart", 16: "urinary_bladder", 3: "no_organ"}
    save(tmp_path, "mask.nii", labels, table=table)
    found, problems = records_of(tmp_path, volume | {"mask": "mask.nii"})
    assert set(np.unique(found["a"]["segmap"])) == {0, 51, 21}
    assert all(p.field == "report" for p in problems)


@pytest.mark.parametrize(
    ("table", "level", "says"),
    [
        ({5: "growth", 2: "liver"}, "warning", "labels 5 are no class by their names"),
        ({5: "growth"}, "error", "no name in its table of labels is a class"),
        ({2: "liver"}, "error", "label 5 has no name"),
    ],
)
def test_names_that_are_no_class_are_said_and_not_quoted(tmp_path, volume, table, level, says):
    save(tmp_path, "mask.nii", ORGAN, table=table)
    found, problems = records_of(tmp_path, volume | {"mask": "mask.nii"})
    (problem,) = [p for p in problems if p.field == "mask"]
    assert problem.level == level and says in problem.message and "growth" not in problem.message
    assert (found["a"] is None) == (level == "error")


@pytest.mark.parametrize(
    "names",
    [
        {"7": "heart"}, {"heart": 7}, {"labels": {"background": 0, "heart": 7}},
        "7 heart\n", "label,name\n7,heart\n", '7 255 0 0 1 1 1 "heart"', "7 heart 255 0 0 255",
        '{"7": "heart_myocardium"}', "7\tHeart",
    ],
)  # fmt: skip
def test_a_names_file_or_names_on_the_line_are_taken(tmp_path, names):
    np.save(tmp_path / "a.npy", np.arange(120).reshape(10, 12))
    np.save(tmp_path / "mask.npy", (ORGAN[:, :, 2].T == 5) * np.uint8(7))
    line = {"id": "a", "image": "a.npy", "modality": "MR", "mask": "mask.npy"}
    if isinstance(names, str):
        (tmp_path / "names.txt").write_text(names)
        line["mask_names"] = "names.txt"
    else:
        line["mask_names"] = names
    found, _ = records_of(tmp_path, line)
    assert set(np.unique(found["a"]["segmap"])) == {0, 51}


def test_two_tables_that_contradict_each_other_are_refused(tmp_path, volume):
    save(tmp_path, "mask.nii", ORGAN, table={5: "liver"})
    line = volume | {"mask": "mask.nii", "mask_names": {"5": "spleen"}}
    _, (problem,) = records_of(tmp_path, line)
    assert problem.level == "error" and "label 5 has another name" in problem.message


def binary_files(root):
    stomach = np.zeros(SHAPE, np.uint8)
    stomach[4:9, 5:9, 2] = 1
    save(root, "seg/liver.nii.gz", (ORGAN == 5).astype(np.uint8))
    save(root, "seg/stomach.nii.gz", stomach)
    save(root, "seg/face.nii.gz", stomach)
    return stomach[:, :, 2].T > 0


def test_a_folder_of_binary_files_named_after_classes_is_a_mask(tmp_path, volume):
    stomach = binary_files(tmp_path)
    found, problems = records_of(tmp_path, volume | {"mask": "seg"})
    segmap = found["a"]["segmap"]
    assert set(np.unique(segmap)) == {0, 5, 6}
    overlap = stomach & (ORGAN[:, :, 2].T == 5)
    assert overlap.any() and (segmap[overlap] == 5).all()  # The liver is the smaller one here.
    said = " ".join(p.message for p in problems)
    assert "1 file is not named after a class" in said and f"overlap in {overlap.sum()}" in said
    two = {"liver": "seg/liver.nii.gz", "6": "seg/stomach.nii.gz"}
    both, _ = records_of(tmp_path, volume | {"mask": two})
    np.testing.assert_array_equal(both["a"]["segmap"], segmap)


@pytest.mark.parametrize(
    ("mask", "says"),
    [
        ("empty", "named after a class"),
        ({"liver": "seg/labels.nii"}, "holds several labels"),
        ({"liver": "../x.nii"}, "inside the folder"),
        ({"kidneys": "seg/liver.nii.gz"}, "names 2 classes"),
        ({}, None),
    ],
)
def test_bad_masks_of_several_files_are_named(tmp_path, volume, mask, says):
    binary_files(tmp_path)
    save(tmp_path, "seg/labels.nii", ORGAN + (np.indices(SHAPE)[0] > 8).astype(np.uint8))
    (tmp_path / "empty").mkdir()
    _, problems = records_of(tmp_path, volume | {"mask": mask})
    errors = [p for p in problems if p.level == "error"]
    assert [says in p.message for p in errors] == [True] * bool(says)


def test_fields_of_a_mask_without_one_are_warned_of(tmp_path, volume):
    for field, value in (("mask_frame", 1), ("mask_names", {"1": "liver"})):
        _, (problem,) = records_of(tmp_path, volume | {field: value})
        assert (problem.field, problem.level) == (field, "warning")


def test_a_flat_mask_of_four_bits_holds_what_is_stored(tmp_path):
    Image.fromarray(np.full((10, 12), 5, np.uint8)).save(tmp_path / "mask.png", bits=4)
    np.save(tmp_path / "a.npy", np.arange(120).reshape(10, 12))
    line = {"id": "a", "image": "a.npy", "modality": "MR", "mask": "mask.png"}
    assert set(np.unique(records_of(tmp_path, line)[0]["a"]["segmap"])) == {5}


def test_the_remedy_for_a_mask_without_an_affine_is_one_that_helps(tmp_path, volume):
    image = nib.Nifti1Image(ORGAN, None)
    image.header.set_sform(None, 0)
    image.header.set_qform(None, 0)
    image.to_filename(tmp_path / "mask.nii")
    line = volume | {"mask": "mask.nii"}
    _, (problem, *_) = records_of(tmp_path, line)
    assert "--trust_mask_order" in problem.message and "mask_frame" not in problem.message
    found, _ = records_of(tmp_path, line, trust_mask_order=True)
    assert found["a"] is not None
