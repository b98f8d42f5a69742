"""Real volumes from Debian's packages, as NIfTI, as DICOM series and with masks.

head_ct()     the head CT of invesalius-examples
brain_mr()    the template of mricron-data, with the labels of AAL
"""

import pathlib
import plistlib
import tarfile
from functools import cache

import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom import uid

_CRANIUM = pathlib.Path("/usr/share/doc/invesalius-examples/examples/Cranium.inv3")
_TEMPLATES = pathlib.Path("/usr/share/mricron/templates")
_TO_DICOM = np.diag([-1.0, -1.0, 1.0, 1.0])


@cache
def head_ct():
    """HU [i, j, k] and the affine in RAS; the test is skipped where the package is missing.

    The matrix of the project has its rows from back to front, and its slices from the feet."""
    if not _CRANIUM.is_file():
        pytest.skip("no head CT: install Debian's package invesalius-examples")
    with tarfile.open(_CRANIUM) as archive:
        names = {pathlib.Path(n).name: n for n in archive.getnames()}
        about = plistlib.load(archive.extractfile(names["main.plist"]))
        depth, rows, columns = about["matrix"]["shape"]
        raw = archive.extractfile(names[about["matrix"]["filename"]]).read()
    values = np.frombuffer(raw, about["matrix"]["dtype"]).reshape(depth, rows, columns)
    values = np.ascontiguousarray(values[:, ::-1].transpose(2, 1, 0))
    x, y, z = about["spacing"]
    return values, np.array([[-x, 0, 0, 120], [0, -y, 0, 130], [0, 0, z, -40], [0, 0, 0, 1.0]])


@cache
def brain_mr():
    """Values [i, j, k], the labels of AAL, {label: name} and the affine in RAS."""
    if not (_TEMPLATES / "aal.nii.gz").is_file():
        pytest.skip("no MR template: install Debian's package mricron-data")
    image, labels = (nib.load(_TEMPLATES / f"{name}.nii.gz") for name in ("ch2", "aal"))
    lines = (_TEMPLATES / "aal.nii.txt").read_text().splitlines()
    names = {int(line.split()[0]): line.split()[1] for line in lines if line.strip()}
    return np.asarray(image.dataobj), np.asarray(labels.dataobj), names, image.affine


def write_nifti(path, values, affine):
    """Writes a NIfTI file."""
    image = nib.Nifti1Image(values, affine)
    image.header.set_xyzt_units("mm")
    nib.save(image, path)


def write_dicom(folder, values, affine, modality):
    """Writes a volume as a series, a slice for each k in the order of their positions."""
    folder.mkdir(parents=True)
    lps = _TO_DICOM @ affine
    steps = np.linalg.norm(lps[:3, :3], axis=0)
    across, down = lps[:3, 0] / steps[0], lps[:3, 1] / steps[1]
    study, series, space = (uid.generate_uid() for _ in range(3))
    kind = uid.CTImageStorage if modality == "CT" else uid.MRImageStorage
    for k in range(values.shape[2]):
        ds = pydicom.Dataset()
        ds.file_meta = pydicom.dataset.FileMetaDataset()
        ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = kind
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = uid.generate_uid()
        ds.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = study, series, space
        ds.PatientName, ds.PatientID, ds.StudyDate = "Doe^Jane", "4711", "20210503"
        ds.Modality, ds.ImageType = modality, ["ORIGINAL", "PRIMARY", "AXIAL"]
        ds.SeriesNumber, ds.InstanceNumber = 4, k + 1
        ds.ImageOrientationPatient = [f"{v:.10g}" for v in (*across, *down)]
        ds.ImagePositionPatient = [f"{v:.10g}" for v in lps[:3, 3] + k * lps[:3, 2]]
        ds.PixelSpacing = [f"{steps[1]:.10g}", f"{steps[0]:.10g}"]
        ds.SliceThickness = f"{steps[2]:.10g}"
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.Rows, ds.Columns = values.shape[1], values.shape[0]
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
        if modality == "CT":
            ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = 1, 0, "HU"
        ds.PixelData = np.ascontiguousarray(values[:, :, k].T).astype("<i2").tobytes()
        ds.save_as(folder / f"IM{k + 1:04d}.dcm", enforce_file_format=True)
