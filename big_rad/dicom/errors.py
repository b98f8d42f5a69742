"""Exceptions for image files that cannot be used, and for DICOM objects that cannot be written.

Each message names the file (without its folder), the field and the remedy. It never quotes a value
from the file, because headers hold the identity of the patient.
"""


class ReadError(ValueError):
    """The image file cannot be used; the subclasses say why."""


class NotAnImageError(ReadError):
    """The file is damaged, or is not in a known format."""


class MissingElementError(ReadError):
    """A required DICOM element is absent, empty or of the wrong size."""


class TooLargeError(ReadError):
    """The unpacked file or its image is larger than the limits allow."""


class UnsupportedError(ReadError):
    """The file is valid, but its kind is not supported, or it needs a plugin that is missing."""


class FrameError(ReadError):
    """The file has several frames and none was chosen, or the chosen frame does not exist."""


class GeometryError(ReadError):
    """A label volume cannot be laid on its image: it lies elsewhere, or its place is unknown.

    Attributes:
        frame_helps: Whether the volume can be used if its slice is named.
    """

    frame_helps = True


class GridError(GeometryError):
    """A label volume has another number of voxels than its image, or says nothing of its place."""

    frame_helps = False


class WriteError(ValueError):
    """A DICOM object cannot be written; the subclasses say why."""


class MissingPackageError(WriteError):
    """The optional package that writes DICOM objects is not installed."""


class SourceError(WriteError):
    """The headers of the source images do not say what a DICOM object has to say of them."""
