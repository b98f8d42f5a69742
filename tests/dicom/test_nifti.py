import gzip
import io
import itertools

import nibabel as nib
import numpy as np
import pytest
from nibabel import orientations

from big_rad.datasets.phantom import export
from big_rad.dicom import nifti as nifti_file
from big_rad.dicom import read as reader
from big_rad.dicom.read import read
from tests.helpers.dicom_files import SECRET, nifti

# The letter as a radiologist would see it. It has more rows than columns, so that an exchange of
# rows and columns is noticed.
LETTER = np.array([
    [0, 0, 0, 0, 0],
    [0, 9, 9, 9, 0],
    [0, 9, 0, 0, 0],
    [0, 9, 9, 0, 0],
    [0, 9, 0, 0, 0],
    [0, 9, 0, 0, 0],
    [1, 0, 0, 0, 2],
], np.int16)  # fmt: skip
ALL_ORIENTATIONS = [
    (order, flips)
    for order in itertools.permutations(range(3))
    for flips in itertools.product([1, -1], repeat=3)
]
LIVER = 5


def stored(plane, order, flips):
    """Makes a volume that has the letter in a slice of `plane`, with its voxels in any order.

    Returns:
        The voxels, the affine to mm in RAS, and the index of the slice along the stored axis.
    """
    # At first x rises to the left, y to the back and z to the head.
    volume = np.zeros((8, 9, 10), np.int16)
    middle = 3
    if plane == "axial":
        volume[:5, :7, middle] = LETTER.T
    elif plane == "coronal":
        volume[:5, middle, :7] = LETTER[::-1].T
    else:
        volume[middle, :5, :7] = LETTER[::-1].T
    affine = np.diag([-2.0, -3.0, 4.0, 1.0])  # RAS
    affine[:3, 3] = 50, 60, -70
    axis = {"axial": 2, "coronal": 1, "sagittal": 0}[plane]
    ornt = np.array([[order.index(a), flips[a]] for a in range(3)])
    turned = orientations.apply_orientation(volume, ornt)
    affine = affine @ orientations.inv_ornt_aff(ornt, volume.shape)
    k = middle if flips[axis] == 1 else volume.shape[axis] - 1 - middle
    return turned, affine, k


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_the_letter_reads_as_a_letter_however_the_volume_is_stored(plane):
    shape = {"axial": (9, 8), "coronal": (10, 8), "sagittal": (10, 9)}[plane]
    spacing = {"axial": (3, 2), "coronal": (4, 2), "sagittal": (4, 3)}[plane]
    want = np.zeros(shape, np.int16)
    rows = slice(0, 7) if plane == "axial" else slice(shape[0] - 7, shape[0])
    want[rows, :5] = LETTER
    assert len(ALL_ORIENTATIONS) == 48
    for i, (order, flips) in enumerate(ALL_ORIENTATIONS):
        voxels, affine, k = stored(plane, order, flips)
        data = nifti(voxels, affine, packed=i % 2, big=i % 3 == 0)
        found = read(data, frame=k, plane=plane)
        np.testing.assert_array_equal(found.pixels, want, err_msg=f"{order} {flips}")
        assert found.pixels.flags.c_contiguous
        assert found.plane == plane and found.spacing == pytest.approx(spacing)
        assert found.orientation == {"axial": "LP", "coronal": "LF", "sagittal": "PF"}[plane]


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    export.export(folder, patients=2, size=72, thickness=12.0)
    return folder


def test_nifti_and_dicom_of_a_volume_give_the_same_slice(phantom):
    units = set()
    for patient in ("P000000", "P000001"):
        series = sorted((phantom / "dicom" / patient).glob("*.dcm"))
        for k in (0, len(series) // 2, len(series) - 1):
            dicom = read(series[k])
            volume = read(phantom / "nifti" / f"{patient}.nii.gz", frame=k, modality=dicom.modality)
            np.testing.assert_array_equal(volume.pixels, dicom.pixels)
            assert volume.pixels.dtype == dicom.pixels.dtype == np.int16
            assert volume.spacing == pytest.approx(dicom.spacing, rel=1e-5)
            assert (volume.plane, volume.units) == (dicom.plane, dicom.units)
            assert volume.orientation == dicom.orientation == "LP"
            units.add(volume.units)
    assert units == {"HU", "raw"}


def test_the_liver_lies_on_the_viewers_left(phantom):
    seen = 0
    for patient in ("P000000", "P000001"):
        path = phantom / "nifti" / f"{patient}_labels.nii.gz"
        for plane, axis in (("axial", 2), ("coronal", 1)):
            for k in range(nib.load(path).shape[axis]):
                labels = read(path, frame=k, plane=plane).pixels
                body, liver = np.nonzero(labels)[1], np.nonzero(labels == LIVER)[1]
                if len(liver) > 100:
                    assert liver.mean() < body.mean()
                    seen += 1
    assert seen > 10


def test_an_oblique_volume_is_sliced_along_its_own_axes():
    turn = nib.eulerangles.euler2mat(x=np.deg2rad(20))
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([-1, -1, 1])
    found = read(nifti(np.zeros((4, 5, 6), np.int16), affine), frame=2)
    assert (found.plane, found.orientation) == ("axial", "LP")
    affine[:3, :3] = nib.eulerangles.euler2mat(x=np.deg2rad(40)) @ np.diag([-1, -1, 1])
    found = read(nifti(np.zeros((4, 5, 6), np.int16), affine), frame=2)
    assert (found.plane, found.orientation) == ("", "LP")


AFFINE = np.diag([-1.0, -1.0, 1.0, 1.0])
VOLUME = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)


@pytest.mark.parametrize("modality, units", [("CT", "HU"), ("MR", "raw"), (None, "raw")])
def test_values_are_rescaled_and_the_modality_is_the_callers(modality, units):
    found = read(nifti(VOLUME, AFFINE, slope=2, inter=-1000), frame=1, modality=modality)
    np.testing.assert_array_equal(found.pixels, VOLUME[:, :, 1].T * 2 - 1000)
    assert found.pixels.dtype == np.int16
    assert (found.modality, found.units) == (modality or "OT", units)
    found = read(nifti(VOLUME, AFFINE, slope=0.25, inter=0), frame=1, modality=modality)
    want = VOLUME[:, :, 1].T * 0.25
    np.testing.assert_array_equal(found.pixels, np.rint(want) if modality == "CT" else want)


@pytest.mark.parametrize("slope", [0, float("nan")])  # NaN is what nibabel writes
def test_a_slope_of_zero_or_nan_means_no_rescale(slope):
    found = read(nifti(VOLUME, AFFINE, slope=slope, inter=500), frame=0)
    np.testing.assert_array_equal(found.pixels, VOLUME[:, :, 0].T)


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "f4", "f8", "i8"])
def test_every_plain_datatype_is_read(dtype):
    found = read(nifti(VOLUME.astype(dtype), AFFINE, big=dtype == "f4"), frame=3)
    np.testing.assert_array_equal(found.pixels, VOLUME[:, :, 3].T)


def test_nibabels_own_files_are_read_as_nibabel_reads_them(tmp_path):
    for kind in (nib.Nifti1Image, nib.Nifti2Image):
        for name in ("a.nii", "a.nii.gz"):
            image = kind(VOLUME, AFFINE)
            image.header.extensions.append(nib.nifti1.Nifti1Extension(6, SECRET.encode() * 50))
            nib.save(image, tmp_path / name)
            found = read(tmp_path / name, frame=2)
            np.testing.assert_array_equal(found.pixels, VOLUME[:, :, 2].T)


def test_spacing_is_in_mm_whatever_the_unit():
    assert read(nifti(VOLUME, AFFINE * 0.001, xyzt_units=1), 0).spacing == pytest.approx((1, 1))
    assert read(nifti(VOLUME, AFFINE, xyzt_units=3), 0).spacing == pytest.approx((0.001, 0.001))


def forms(tmp_path, sform, qform, codes):
    """Writes a volume whose codes are (sform_code, qform_code), and returns its path."""
    image = nib.Nifti1Image(VOLUME, sform)
    image.set_sform(sform, codes[0])
    image.set_qform(qform, codes[1])
    nib.save(image, tmp_path / "a.nii")
    return tmp_path / "a.nii"


def opened(path):
    with open(path, "rb") as stream:
        return nifti_file.Volume(stream, path.name)


MIRRORED = np.diag([1.0, -1.0, 1.0, 1.0])
MOVED = AFFINE + np.eye(4, k=3) * 0.5


@pytest.mark.parametrize("other", [MIRRORED, MOVED], ids=["mirrored", "moved"])
@pytest.mark.parametrize("codes", [(1, 1), (2, 1), (4, 1)])
def test_a_qform_that_differs_from_the_sform_is_said(tmp_path, other, codes):
    path = forms(tmp_path, AFFINE, other, codes)
    volume = opened(path)
    (warning,) = volume.warnings
    assert "the sform is used" in warning and read(path, frame=0).warnings == (warning,)
    assert ("same code" in volume.contradiction) == (codes[0] == codes[1])
    ours = np.diag([*nifti_file.TO_DICOM, 1.0]) @ nib.load(path).affine
    np.testing.assert_allclose(volume.affine, ours)


def test_forms_that_agree_or_are_not_both_set_need_no_word(tmp_path):
    tilted = nib.affines.from_matvec(nib.eulerangles.euler2mat(0.3, 0.2, 0.1) * 0.7, [-90, 40, 9])
    sheared = tilted @ np.array([[1, 0, 0, 0], [0, 1, 0.3, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    for sform, qform in ((tilted, tilted), (sheared, sheared)):
        assert opened(forms(tmp_path, sform, qform, (1, 1))).warnings == ()
    for codes in ((0, 1), (1, 0)):
        assert opened(forms(tmp_path, AFFINE, MIRRORED, codes)).warnings == ()


def test_a_slice_must_be_named_and_exist():
    data = nifti(VOLUME, AFFINE)
    for frame in (None, -1, 4):
        with pytest.raises(reader.FrameError, match="4 axial slices|frame"):
            read(data, frame=frame)
    with pytest.raises(reader.FrameError, match="2 sagittal slices"):
        read(data, plane="sagittal")
    assert read(nifti(VOLUME[:, :, :1], AFFINE)).pixels.shape == (3, 2)


def test_left_and_right_must_be_known():
    with pytest.raises(reader.UnsupportedError, match="sform_code"):
        read(nifti(VOLUME, AFFINE, codes=(0, 0)), frame=0)


@pytest.mark.parametrize(
    "fields, error, says",
    [
        ({"dim": [3, 32767, 32767, 32767, 1, 1, 1, 1]}, reader.TooLargeError, "dim"),
        ({"dim": [3, 32767, 1, 32767, 1, 1, 1, 1]}, reader.TooLargeError, "dim"),
        ({"dim": [4, 2, 3, 4, 2, 1, 1, 1]}, reader.UnsupportedError, "dim"),
        ({"dim": [2, 2, 3, 1, 1, 1, 1, 1]}, reader.UnsupportedError, "dim"),
        ({"dim": [3, 2, -3, 4, 1, 1, 1, 1]}, reader.ReadError, None),
        ({"dim": [3, 2, 3, 5, 1, 1, 1, 1]}, None, None),  # The file is truncated after the slice.
        ({"dim": [9999, 2, 3, 4, 1, 1, 1, 1]}, reader.ReadError, None),
        ({"datatype": 128}, reader.UnsupportedError, "datatype"),
        ({"datatype": 32}, reader.UnsupportedError, "datatype"),
        ({"datatype": 999}, reader.ReadError, None),
        ({"vox_offset": -5}, reader.NotAnImageError, "vox_offset"),
        ({"vox_offset": 1e30}, reader.NotAnImageError, "vox_offset"),
        ({"vox_offset": float("nan")}, reader.NotAnImageError, None),
        ({"vox_offset": 390}, reader.NotAnImageError, "truncated"),
        ({"magic": b"ni1\0"}, reader.UnsupportedError, "pair"),
        ({"slope": 1e38, "inter": 1e38}, reader.ReadError, "beyond float32|not finite"),
    ],
)
def test_impossible_headers_are_refused(fields, error, says):
    data = nifti(VOLUME, AFFINE, **fields)
    if error is None:
        assert read(data, frame=0).pixels.shape == (3, 2)
        with pytest.raises(reader.NotAnImageError, match="truncated"):
            read(data, frame=4)
        return
    with pytest.raises(error, match=says):
        read(data, frame=2, plane="coronal" if fields.get("dim", [0, 0])[1] == 32767 else "axial")


@pytest.mark.parametrize("affine", [np.zeros((4, 4)), np.full((4, 4), np.nan)])
def test_impossible_affines_are_refused(affine):
    with pytest.raises(reader.NotAnImageError, match="affine"):
        read(nifti(VOLUME, affine), frame=0)


def test_voxels_that_are_no_numbers_are_refused_in_their_slice_only():
    volume = VOLUME.astype(np.float32)
    volume[0, 0, 0] = np.nan
    assert read(nifti(volume, AFFINE), frame=1).pixels.dtype == np.int16
    for modality in ("CT", None):
        with pytest.raises(reader.NotAnImageError, match="finite"):
            read(nifti(volume, AFFINE), frame=0, modality=modality)


def test_truncated_and_other_gzip_files_are_refused():
    data = nifti(VOLUME, AFFINE, packed=True)
    for n in range(3, len(data) - 12, 5):
        with pytest.raises(reader.ReadError):
            read(data[:n], frame=3)
    with pytest.raises(reader.NotAnImageError, match="not NIfTI"):
        read(gzip.compress(b"\0" * 1000), frame=0)


def test_a_slice_of_a_plain_file_is_read_without_the_others(tmp_path):
    path = tmp_path / "large.nii"
    head = nifti(np.zeros((1, 1, 1), np.int16), AFFINE, dim=[3, 512, 512, 1000, 1, 1, 1, 1])[:352]
    with path.open("wb") as f:
        f.write(head)
        f.truncate(352 + 512 * 512 * 1000 * 2)  # Half a gigabyte of zeros, as a sparse file.
        f.seek(352 + 512 * 512 * 2 * 777)
        f.write(np.full(512 * 512, 7, "<i2").tobytes())
    assert 512 * 512 * 1000 * 2 > 1 << 28 and nifti_file.MAX_VOLUME > 1 << 29
    np.testing.assert_array_equal(read(path, frame=777).pixels, np.full((512, 512), 7))


def test_arguments_are_checked():
    for kwargs in ({"plane": "oblique"}, {"modality": "PT"}):
        with pytest.raises(ValueError, match="give one of") as e:
            read(nifti(VOLUME, AFFINE), frame=0, **kwargs)
        assert not isinstance(e.value, reader.ReadError)


def test_a_wrong_checksum_after_the_voxels_is_noticed():
    data = nifti(np.zeros((2, 3, 4), np.uint8), np.eye(4), packed=True)

    def read_all(content):
        volume = nifti_file.Volume(io.BytesIO(content), "volume.nii.gz")
        for k in range(4):
            volume.across(2, k)
        volume.check_end()

    read_all(data)
    with pytest.raises(reader.ReadError, match="damaged gzip"):
        read_all(data[:-8] + b"\1" * 8)
