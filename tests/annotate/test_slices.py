import gc
import itertools
import weakref

import nibabel as nib
import numpy as np
import pytest

from big_rad.annotate.slices import Stack, without_specks
from tests.helpers import stored

SHAPE = (9, 11, 7)
LIVER, SPLEEN, HEART = 5, 1, 51


def body():
    """Voxels [x, y, z] in DICOM's directions: something at the patient's right, front and feet."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[1:3, 4:7, 2:5] = LIVER  # right
    labels[6:8, 4:7, 2:5] = SPLEEN  # left
    labels[4, 1:3, 3] = HEART  # front
    return labels


def turned(labels, axes, signs, spacing=(1.0, 2.0, 3.0)):
    """The same body with its voxels stored along other axes; returns voxels and the affine."""
    affine = np.diag([*spacing, 1.0])
    for axis, sign in enumerate(signs):
        if sign < 0:
            affine[:3, 3] += affine[:3, axis] * (labels.shape[axis] - 1)
            affine[:3, axis] *= -1
            labels = np.flip(labels, axis)
    order = np.array(axes)
    affine[:, :3] = affine[:, order]
    return np.ascontiguousarray(labels.transpose(axes)), affine


EVERY = list(
    itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3))
)


@pytest.mark.parametrize("axes, signs", EVERY)
def test_left_is_left_however_the_voxels_are_stored(tmp_path, axes, signs):
    labels, affine = turned(body(), axes, signs)
    volume = stored.write(tmp_path / "v.nii", labels.astype(np.int16) * 10, affine)
    stack = Stack(volume, labels)
    for plane, across in (("axial", 2), ("coronal", 1)):
        index = int(
            stack.areas(plane)[:, HEART].argmax()
            if across == 2
            else stack.areas(plane)[:, LIVER].argmax()
        )
        cut = stack.cut(plane, index)
        np.testing.assert_array_equal(cut.pixels, cut.segmap.astype(np.int16) * 10)
        columns = {c: np.flatnonzero((cut.segmap == c).any(0)).mean() for c in (LIVER, SPLEEN)}
        assert columns[LIVER] < columns[SPLEEN]  # The patient's right is on the viewer's left.
        assert cut.place.columns[0] == pytest.approx(1)
    axial = stack.cut("axial", int(stack.areas("axial")[:, HEART].argmax()))
    assert np.flatnonzero((axial.segmap == HEART).any(1)).max() < 4  # The front is at the top.
    assert axial.spacing == (2.0, 1.0)
    assert axial.pixels.shape == (11, 9)
    sagittal = stack.cut("sagittal", int(stack.areas("sagittal")[:, HEART].argmax()))
    assert np.flatnonzero((sagittal.segmap == HEART).any(0)).max() < 4  # and on the viewer's left
    assert sagittal.pixels.shape == (7, 11)


@pytest.mark.parametrize("plane, pixel", [("axial", 2.0), ("coronal", 3.0), ("sagittal", 6.0)])
def test_areas_are_in_mm2_in_every_plane(tmp_path, plane, pixel):
    labels, affine = turned(body(), (2, 0, 1), (1, -1, 1))
    stack = Stack(stored.write(tmp_path / "v.nii", labels.astype(np.int16), affine), labels)
    for k in range(stack.count(plane)):
        counts = np.bincount(stack.cut(plane, k).segmap.ravel(), minlength=122)
        np.testing.assert_allclose(stack.areas(plane)[k], counts * pixel)


def test_a_place_is_where_the_affine_puts_the_first_pixel(tmp_path):
    rng = np.random.default_rng(0)
    values = rng.integers(-1000, 1000, SHAPE).astype(np.int16)
    labels, affine = turned(values, (1, 2, 0), (-1, 1, -1))
    stack = Stack(
        stored.write(tmp_path / "v.nii", labels, affine), np.zeros(labels.shape, np.uint8)
    )
    image = nib.Nifti1Image(labels, affine)
    for plane in ("axial", "coronal", "sagittal"):
        cut = stack.cut(plane, 3)
        for row, column in ((0, 0), (2, 5), (-1, -1)):
            r, c = row % cut.pixels.shape[0], column % cut.pixels.shape[1]
            at = (
                np.array(cut.place.origin)
                + np.array(cut.place.rows) * r * cut.spacing[0]
                + np.array(cut.place.columns) * c * cut.spacing[1]
            )
            voxel = np.rint(np.linalg.inv(image.affine) @ [*at, 1.0]).astype(int)[:3]
            assert labels[tuple(voxel)] == cut.pixels[r, c]


def test_components_below_the_least_area_leave_the_map():
    segmap = np.zeros((8, 8), np.uint8)
    segmap[0:2, 0:2] = LIVER
    segmap[2, 2] = LIVER  # It touches at a corner, so it belongs to the component.
    segmap[6, 6] = LIVER
    segmap[4:6, 0:2] = SPLEEN
    kept = without_specks(segmap, (2.0, 1.0), 9.0)
    assert (kept == LIVER).sum() == 5 and kept[6, 6] == 0
    assert not (kept == SPLEEN).any()  # four pixels of 2 mm2
    np.testing.assert_array_equal(without_specks(segmap, (2.0, 1.0), 0), segmap)
    np.testing.assert_array_equal(without_specks(segmap, (2.0, 1.0), 2.0), segmap)


def test_a_stack_is_forgotten_with_its_labels(tmp_path):
    labels = body()
    stack = Stack(stored.write(tmp_path / "v.nii", labels.astype(np.int16)), labels)
    assert stack.areas("axial") is stack.areas("axial") and stack.classes
    held = weakref.ref(stack)
    del stack
    gc.collect()
    assert held() is None
