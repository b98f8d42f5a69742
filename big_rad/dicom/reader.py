"""Reads the slices of a series one after the other, and unpacks each file only once.

read = Reader(modality="MR")
images = [read(ref) for ref in series.slices]
"""

import pathlib
from collections.abc import Callable
from typing import Any

from big_rad.dicom import nifti, unpack
from big_rad.dicom import read as dicom_read
from big_rad.dicom.errors import ReadError
from big_rad.dicom.image import Slice
from big_rad.dicom.series import SliceRef


class Reader:
    """Reads slices; the content of the last file with several slices is kept in memory.

    It is kept unpacked if it is packed, and only if it has at most `unpack.MAX_BYTES`; a larger
    volume is unpacked again for each slice.

    Args:
        reader: `dicom.read.read`, or another function of its arguments, such as
            `inference.inputs.read`.
        **options: further arguments of the reader, such as `modality` and `offset`. `plane` counts
            for files that are no volumes.
    """

    def __init__(self, reader: Callable[..., Slice] = dicom_read.read, **options: Any):
        self._reader, self._options = reader, options
        self._path: pathlib.Path | None = None
        self._content: bytes | None = None

    def __call__(self, ref: SliceRef) -> Slice:
        """Returns a slice with its pixels.

        Raises:
            ReadError: the file cannot be used, see the reader.
        """
        options = self._options if ref.plane is None else {**self._options, "plane": ref.plane}
        if ref.frame is None:
            return self._reader(ref.path, frame=None, **options)
        if ref.path != self._path:
            self._path, self._content = ref.path, None  # Before the next file needs memory.
            self._content = _unpacked(ref.path)
        if self._content is None:
            return self._reader(ref.path, frame=ref.frame, **options)
        return self._reader(self._content, frame=ref.frame, name=ref.path.name, **options)


def _unpacked(path: pathlib.Path) -> bytes | None:
    """Returns the content of a file, or None if it is better read from the file each time."""
    try:
        with open(path, "rb") as stream:
            head = stream.read(nifti.HEAD)
            stream.seek(0)
            if head.startswith(nifti.GZIP_MAGIC):
                unpacked = unpack.GzipStream(stream, path.name)
                return unpack.read_capped(unpacked, path.name)
            if nifti.is_nifti(head):  # Only the bytes of the slice are read.
                return None
            return unpack.unzstd(unpack.read_capped(stream, path.name), path.name)
    except (OSError, ReadError, MemoryError):
        return None  # The reader says what is wrong.
