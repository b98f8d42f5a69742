"""What can be wrong with an image file, as exceptions.

A message names the file (without its folder), the field and what to do; it never quotes a value
from the file, because headers hold patient identity.
"""


class ReadError(ValueError):
    """An image file that cannot be used; the subclasses say why."""


class NotAnImageError(ReadError):
    """The file is none of the known formats, or is damaged."""


class MissingElementError(ReadError):
    """A required DICOM element is absent, empty or of the wrong size."""


class TooLargeError(ReadError):
    """The file, once unpacked, or its image is larger than the limits."""


class UnsupportedError(ReadError):
    """A valid file of a kind that is not handled; also a compressed one that needs a plugin."""


class FrameError(ReadError):
    """A multi-frame file without a chosen frame, or a frame that it does not have."""


class GeometryError(ReadError):
    """A label volume cannot be laid on its image: it lies elsewhere, or its place is unknown.

    Attributes:
        frame_helps: Whether the volume can be used if its slice is named.
    """

    frame_helps = True


class GridError(GeometryError):
    """A label volume has another number of voxels than its image, or says nothing of its place."""

    frame_helps = False
