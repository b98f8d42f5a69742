"""Tests that label volumes are matched to images by their position in the patient, or rejected."""

import itertools

import nibabel as nib
import numpy as np
import pytest
from nibabel import orientations
from pydicom import Dataset

from big_rad.dicom import labels
from big_rad.dicom.errors import FrameError, GeometryError, GridError
from big_rad.dicom.read import read
from tests.helpers.dicom_files import content, dataset, npy

SHAPE = (8, 6, 5)
AFFINE = np.array([[-0.8, 0, 0, 10], [0, -0.9, 0, 20], [0, 0, 2.5, -30], [0, 0, 0, 1.0]])
LABELS = np.zeros(SHAPE, np.uint8)
LABELS[1:4, 2:3, 1:3], LABELS[5, 4, 3] = 5, 7
ORDERS = [
    (order, flips)
    for order in itertools.permutations(range(3))
    for flips in itertools.product([1, -1], repeat=3)
]


def save(path, volume, affine, *extensions):
    image = nib.Nifti1Image(volume, affine)
    for code, text in extensions:
        image.header.extensions.append(nib.nifti1.Nifti1Extension(code, text))
    nib.save(image, path)
    return path


def reordered(order, flips):
    """Returns the labels in another order of voxels, with the affine of that order."""
    ornt = np.array([[order.index(a), flips[a]] for a in range(3)])
    inverse = orientations.inv_ornt_aff(ornt, SHAPE)
    return orientations.apply_orientation(LABELS, ornt), AFFINE @ inverse


def dicom(k, *, columns=1, rows=1, **fields):
    """Returns the k-th axial slice of the labels as a DICOM file, stored in one of four ways."""
    pixels = LABELS[:, :, k].T.astype(np.int16)[::rows, ::columns]
    x, y, z = AFFINE[:3, :3] @ [7 * (columns < 0), 5 * (rows < 0), k] + AFFINE[:3, 3]
    fields = {
        "ImageOrientationPatient": [columns, 0, 0, 0, rows, 0], "PixelSpacing": [0.9, 0.8],
        "ImagePositionPatient": [-x, -y, z], "RescaleIntercept": 0,
    } | fields  # fmt: skip
    return content(dataset(np.ascontiguousarray(pixels), **fields))


def test_the_same_grid_in_any_order_gives_the_slice_of_a_nifti_image(tmp_path):
    path = save(tmp_path / "image.nii", LABELS.astype(np.int16), AFFINE)
    for plane, k in (("axial", 2), ("coronal", 2), ("sagittal", 3)):
        image = read(path, frame=k, plane=plane, modality="MR")
        assert image.pixels.any()
        for order, flips in ORDERS:
            mask = save(tmp_path / "mask.nii", *reordered(order, flips))
            found = labels.read_labels(mask, image)
            np.testing.assert_array_equal(found.values, image.pixels, f"{plane} {order} {flips}")
            assert found.warnings == ()


@pytest.mark.parametrize(("columns", "rows"), [(1, 1), (-1, 1), (1, -1), (-1, -1)])
def test_a_dicom_slice_finds_its_slice_in_a_volume_of_any_order(tmp_path, columns, rows):
    image = read(dicom(3, columns=columns, rows=rows))
    for order, flips in ORDERS[::5]:
        mask = save(tmp_path / "mask.nii.gz", *reordered(order, flips))
        np.testing.assert_array_equal(labels.read_labels(mask, image).values, image.pixels)


def multi_frame():
    """Returns a file of frames from the head down, each with its position."""
    pixels = np.ascontiguousarray(LABELS.transpose(2, 1, 0)[::-1].astype(np.int16))
    ds = dataset(
        pixels, NumberOfFrames=5, RescaleIntercept=0, PixelSpacing=[0.9, 0.8],
        ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
    )  # fmt: skip
    groups = []
    for k in range(4, -1, -1):
        place, group = Dataset(), Dataset()
        place.ImagePositionPatient = [-10, -20, -30 + 2.5 * k]
        group.PlanePositionSequence = [place]
        groups.append(group)
    ds.PerFrameFunctionalGroupsSequence = groups
    return content(ds)


def test_frames_of_a_multi_frame_dicom_find_theirs(tmp_path):
    mask, data = save(tmp_path / "mask.nii", LABELS, AFFINE), multi_frame()
    for frame in range(5):
        image = read(data, frame=frame)
        np.testing.assert_array_equal(labels.read_labels(mask, image).values, image.pixels)


def moved(**changes):
    affine = AFFINE.copy()
    for place, value in changes.items():
        affine["xyz".index(place), 3] += value
    return affine


@pytest.mark.parametrize(
    ("affine", "says"),
    [
        (moved(z=1.25), "between the image's pixels, up to 1.2 mm off"),
        (moved(z=25), "lies elsewhere: the image ends"),
        (moved(x=0.4), "between the image's pixels"),
        (moved(y=-0.9), "lies elsewhere"),
        (AFFINE @ np.diag([2, 1, 1, 1]), "has voxels of 0.9 x 1.6 mm"),
        (np.eye(4), "has voxels of 1 x 1 mm"),
        (nib.affines.from_matvec(nib.eulerangles.euler2mat(z=0.1)) @ AFFINE, "lies askew"),
    ],
)
def test_a_volume_that_lies_elsewhere_is_refused(tmp_path, affine, says):
    mask = save(tmp_path / "mask.nii", LABELS, affine)
    nifti = save(tmp_path / "image.nii", LABELS.astype(np.int16), AFFINE)
    for image in (read(nifti, frame=2, modality="MR"), read(dicom(2))):
        with pytest.raises(GeometryError, match=says):
            labels.read_labels(mask, image)


def test_rounded_headers_are_the_same_place(tmp_path):
    rounded = AFFINE + 1e-3 * np.array([[1], [-1], [1], [0]])
    mask = save(tmp_path / "mask.nii", LABELS, rounded)
    image = read(dicom(2))
    np.testing.assert_array_equal(labels.read_labels(mask, image).values, image.pixels)


@pytest.mark.parametrize("missing", ["ImagePositionPatient", "PixelSpacing"])
def test_an_image_without_position_needs_a_frame_but_is_turned_by_its_directions(tmp_path, missing):
    image = read(dicom(3, columns=-1, rows=-1, **{missing: None}))
    mask = save(tmp_path / "mask.nii", LABELS, AFFINE)
    with pytest.raises(GeometryError, match="which of the 5 slices"):
        labels.read_labels(mask, image)
    found = labels.read_labels(mask, image, frame=3)
    np.testing.assert_array_equal(found.values, image.pixels)
    assert "position is not compared" in found.warnings[0]
    single = save(tmp_path / "single.nii", LABELS[:, :, 3:4], AFFINE)
    np.testing.assert_array_equal(labels.read_labels(single, image).values, image.pixels)


def test_a_named_frame_replaces_the_position_and_says_so(tmp_path):
    image, mask = read(dicom(3)), save(tmp_path / "mask.nii", LABELS, moved(z=60))
    found = labels.read_labels(mask, image, frame=3)
    np.testing.assert_array_equal(found.values, image.pixels)
    assert "lies elsewhere" in found.warnings[0]
    same = save(tmp_path / "same.nii", LABELS, AFFINE)
    assert labels.read_labels(same, image, frame=3).warnings == ()
    assert "is not where the image lies" in labels.read_labels(same, image, frame=2).warnings[0]
    with pytest.raises(FrameError, match="no slice 9"):
        labels.read_labels(mask, image, frame=9)


def test_an_image_that_says_nothing_is_refused_or_taken_as_shown(tmp_path):
    image = read(npy(LABELS[:, :, 3].T), modality="MR")
    mask = save(tmp_path / "mask.nii", LABELS, AFFINE)
    with pytest.raises(GeometryError, match="does not say where it lies in the patient"):
        labels.read_labels(mask, image)
    found = labels.read_labels(mask, image, frame=3)
    np.testing.assert_array_equal(found.values, image.pixels)
    assert "usually displayed" in found.warnings[0]


def test_an_affine_that_is_missing_is_said(tmp_path):
    header = nib.Nifti1Image(LABELS, None)
    header.header["sform_code"] = header.header["qform_code"] = 0
    nib.save(header, tmp_path / "mask.nii")
    with pytest.raises(GeometryError, match="has no affine"):
        labels.read_labels(tmp_path / "mask.nii", read(dicom(2)))


def test_the_stored_order_is_trusted_where_that_is_asked_for(tmp_path):
    mask = save(tmp_path / "mask.nii", LABELS, np.eye(4))
    nifti = save(tmp_path / "image.nii", LABELS.astype(np.int16), AFFINE)
    for plane, k in (("axial", 2), ("coronal", 2), ("sagittal", 3)):
        image = read(nifti, frame=k, plane=plane, modality="MR")
        found = labels.read_in_order(mask, image, nifti, frame=k, plane=plane)
        np.testing.assert_array_equal(found.values, image.pixels)
    picture = read(npy(LABELS[:, :, 3].T), modality="MR")
    found = labels.read_in_order(mask, picture, "unused", frame=3)
    np.testing.assert_array_equal(found.values, picture.pixels)
    with pytest.raises(FrameError, match="5 slices; name one"):
        labels.read_in_order(mask, picture, "unused")
    with pytest.raises(GeometryError, match=r"8 x 6 x 4 voxels, the image 8 x 6 x 5"):
        other = save(tmp_path / "other.nii", LABELS[..., :4], np.eye(4))
        labels.read_in_order(other, image, nifti, frame=2)


def test_the_table_of_the_file_is_read_among_other_extensions(tmp_path):
    xml = (
        '<?xml version="1.0"?><CaretExtension><LabelTable><Label Key="0"><![CDATA[???]]></Label>'
        '<Label Key="22" Red="0.1"><![CDATA[heart]]></Label>'
        '<Label Red="0" Key="16">urinary&amp;bladder</Label></LabelTable></CaretExtension>'
    )
    extensions = ((6, b"a comment"), (0, xml.encode()), (2, b"\0" * 40))
    mask = save(tmp_path / "mask.nii.gz", LABELS, AFFINE, *extensions)
    found = labels.read_labels(mask, read(dicom(3)))
    assert found.table == {22: "heart", 16: "urinary&bladder"}
    plain = save(tmp_path / "plain.nii", LABELS, AFFINE)
    assert labels.read_labels(plain, read(dicom(3))).table == {}


def test_a_mask_whose_sform_and_qform_name_other_sides_is_refused(tmp_path):
    volume = nib.Nifti1Image(LABELS, AFFINE)
    volume.set_qform(np.diag([-1.0, 1, 1, 1]) @ AFFINE, 1)
    for code in (1, 2):
        volume.set_sform(AFFINE, code)
        nib.save(volume, tmp_path / "mask.nii")
        if code == 1:
            with pytest.raises(GridError, match="which of them is right is unknown"):
                labels.read_labels(tmp_path / "mask.nii", read(dicom(3)))
        else:
            found = labels.read_labels(tmp_path / "mask.nii", read(dicom(3)))
            assert "the sform is used" in found.warnings[0]
