"""Reading the image that a user gives: everything guessed or doubtful becomes a warning."""

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from big_rad.dicom import reader
from big_rad.dicom.series import find
from big_rad.inference import inputs
from tests.helpers.dicom_files import content, dataset, nifti


def test_the_plane_in_which_an_oblique_volume_was_sliced_is_not_called_unused(tmp_path):
    c, path = np.sqrt(0.5), tmp_path / "a.nii"
    affine = np.array([[c, 0, c, 0], [0, 1, 0, 0], [-c, 0, c, 0], [0, 0, 0, 1]])
    nib.save(nib.Nifti1Image(np.arange(64, dtype=np.int16).reshape(4, 4, 4), affine), path)
    found = inputs.read(path, modality="MR", frame=1, plane="sagittal")
    assert found.plane == "" and not any("--plane" in w for w in found.warnings)


@pytest.mark.parametrize("kind", ["grey.png", "colour.png", "a.jpg", "a.npy", "a.dcm"])
def test_a_picture_given_as_ct_is_said_to_hold_no_hu(tmp_path, kind):
    path, grey = tmp_path / kind, np.arange(600, dtype=np.uint8).reshape(30, 20)
    colour = np.stack([grey] * 3, axis=-1)
    if kind == "a.npy":
        np.save(path, colour)
    elif kind == "a.dcm":
        fields = {"Rows": 30, "Columns": 20, "SamplesPerPixel": 3, "PlanarConfiguration": 0}
        fields |= {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "PixelRepresentation": 0}
        path.write_bytes(content(dataset(colour, PhotometricInterpretation="RGB", **fields)))
    else:
        Image.fromarray(grey if kind == "grey.png" else colour).save(path)
    warnings = inputs.read(path, modality="CT").warnings
    assert sum("picture of 8 bits, not HU" in w for w in warnings) == 1
    assert not any("not HU" in w for w in inputs.read(path, modality="OT").warnings)
    with pytest.raises(ValueError, match="--offset .* picture of 8 bits"):
        inputs.read(path, modality="CT", offset=-1024)


def test_the_slices_of_a_volume_are_read_from_memory_under_the_name_of_its_file(tmp_path):
    volume = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    (tmp_path / "v.nii.gz").write_bytes(nifti(volume, np.eye(4), packed=True))
    (series,) = find(tmp_path, plane="coronal").series
    read = reader.Reader(inputs.read, modality="MR")
    for ref in series.slices:
        want = inputs.read(ref.path, modality="MR", frame=ref.frame, plane="coronal")
        found = read(ref)
        np.testing.assert_array_equal(found.pixels, want.pixels)
        assert found.place == want.place and found.warnings == want.warnings
    with pytest.raises(ValueError, match="^v.nii.gz: .*--modality"):
        reader.Reader(inputs.read)(series.slices[0])
