"""Canonical volumes for tests, written by hand."""

import nibabel as nib
import numpy as np

from big_rad.annotate.canonical import Stored

_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def write(path, voxels, affine=None, modality="CT"):
    """Writes voxels [i, j, k] with an affine in DICOM's coordinates, the identity by default."""
    affine = np.eye(4) if affine is None else np.asarray(affine, float)
    nib.save(nib.Nifti1Image(voxels, _TO_RAS @ affine), path)
    about = {"modality": modality, "plane": "", "kept": {}, "instances": None, "warnings": []}
    return Stored(path, affine, voxels.shape, about)
