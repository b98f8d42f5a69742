"""Readers of medical image files: DICOM, NIfTI, PNG, JPEG and NPY."""
