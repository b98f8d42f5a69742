"""Exceptions for image files that cannot be used.

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
    """A label volume does not fit its image, or one of the two does not say where it lies."""
