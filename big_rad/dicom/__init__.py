"""Medical image files in, and DICOM objects out."""
