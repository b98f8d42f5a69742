"""Finds files of the same patient, study or series without revealing who the patient is.

Only keyed digests of the identifiers in a DICOM file leave this module. The caller makes a random
key and never stores it, so digests of different runs cannot be compared.
"""

import io
import pathlib

from big_rad.dicom import dicom_file, unpack
from big_rad.dicom.errors import ReadError

_HEAD = 1 << 17  # In bytes. The identifiers of almost every file lie in its first _HEAD bytes.


def digests(path: str | pathlib.Path, key: bytes) -> dict[str, bytes]:
    """Returns keyed digests of the identifiers of patient, study and series in a DICOM file.

    Args:
        path: the path of a file of any format.
        key: the key of the digests, random bytes.

    Returns:
        A dict from "PatientID", "StudyInstanceUID" and "SeriesInstanceUID", in this order, to
        digests. It has only the identifiers that the file has, and is empty if the file is not
        DICOM or cannot be read.
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
            except ReadError:  # The identifiers lie further on, or the file is deflated.
                found = {}
            if found or len(head) < _HEAD:
                return found
            stream.seek(0)
            return dicom_file.digests(unpack.read_capped(stream, name), name, key)
    except Exception:  # The error appears, with its reason, when the image itself is read.
        return {}
