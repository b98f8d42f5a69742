"""Which files are of one patient, without knowing who it is.

Only keyed digests of DICOM's identifiers leave this module; the key is the caller's, random and
never stored, so that no digest can be compared with one of another run. Knows no other format.
"""

import io
import pathlib

from big_rad.dicom import dicom_file, unpack
from big_rad.dicom.errors import ReadError

_HEAD = 1 << 17  # bytes in which the identifiers of almost every file lie


def digests(path: str | pathlib.Path, key: bytes) -> dict[str, bytes]:
    """Returns keyed digests of what says whose image a DICOM file is.

    Args:
        path: any file.
        key: of the digests, random.

    Returns:
        Digests by "PatientID", "StudyInstanceUID", "SeriesInstanceUID", in this order, of those
        that the file has; {} if it is no DICOM file or cannot be read.
    """
    name = pathlib.Path(path).name
    try:
        with open(path, "rb") as stream:
            head = stream.read(_HEAD)
            if head.startswith(unpack.ZSTD_MAGIC):
                stream.seek(0)
                packed = unpack.read_capped(stream, name)
                stream = io.BytesIO(unpack.unzstd(packed, name))
                head = stream.read(_HEAD)
            if head[128:132] != dicom_file.MAGIC:
                return {}
            try:
                found = dicom_file.digests(head, name, key)
            except ReadError:  # Cut off too early, or deflated.
                found = {}
            if found or len(head) < _HEAD:
                return found
            stream.seek(0)
            return dicom_file.digests(unpack.read_capped(stream, name), name, key)
    except Exception:  # Reading the image says what is wrong with the file.
        return {}
