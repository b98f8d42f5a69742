"""Volumes and masks for tests of the data engine's segmentation."""

import pathlib

import nibabel as nib
import numpy as np

from big_rad.annotate.canonical import Stored

TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
SHAPE = (5, 6, 7)


def oblique(degrees=20.0):
    """A matrix from voxels to mm (LPS) whose axes lie askew to the patient's."""
    a, b = np.deg2rad([degrees, degrees / 3])
    about_z = [[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]]
    about_x = [[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]]
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(about_x) @ about_z @ np.diag([0.7, 0.8, 2.5])
    matrix[:3, 3] = [-31.7, 12.3, 1800.4]
    return matrix


def stored(folder, values=None, affine=None, modality="CT"):
    """A canonical volume; its values are those of `values`."""
    values = np.zeros(SHAPE, np.int16) if values is None else np.asarray(values, np.int16)
    affine = oblique() if affine is None else affine
    path = pathlib.Path(folder) / "volume.nii"
    nib.save(nib.Nifti1Image(values, TO_RAS @ affine), path)
    return Stored(path, affine, values.shape, {"modality": modality})


def save(path, labels, affine, table=None, dtype=np.uint8, slope=None):
    """Writes a mask whose affine is in DICOM's coordinates, with the table of TotalSegmentator."""
    image = nib.Nifti1Image(np.asarray(labels).astype(dtype), TO_RAS @ affine)
    if slope is not None:
        image.header.set_slope_inter(slope, 0)
    if table is not None:
        body = "".join(f'<Label Key="{k}"><![CDATA[{n}]]></Label>' for k, n in table.items())
        xml = f"<CaretExtension><LabelTable>{body}</LabelTable></CaretExtension>"
        image.header.extensions.append(nib.nifti1.Nifti1Extension(0, xml.encode()))
    nib.save(image, path)
    return pathlib.Path(path)


def moved(labels, affine, order, flips):
    """The same labels with their axes in another order and reversed, as (labels, affine)."""
    transform = np.eye(4)[:, [*order, 3]]
    labels = np.transpose(labels, order)
    axes = [axis for axis in range(3) if flips[axis]]
    for axis in axes:
        flip = np.eye(4)
        flip[axis, axis], flip[axis, 3] = -1, labels.shape[axis] - 1
        transform = transform @ flip
    return np.flip(labels, axes), affine @ transform


def random_labels(ids, shape=SHAPE, seed=0):
    """A label map in which every one of `ids` occurs."""
    rng = np.random.default_rng(seed)
    labels = rng.choice([0, *ids], size=shape).astype(np.uint8)
    labels.ravel()[: len(ids)] = ids
    return labels
