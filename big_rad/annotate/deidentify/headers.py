"""Reads the headers of files whole, within limits, to find what names the patient in them."""

import io
import pathlib
import warnings

import nibabel as nib
import pydicom
from pydicom import uid

from big_rad.dicom import dicom_file, nifti, objects, unpack
from big_rad.dicom.elements import DataSet, Source, starts_with_vr
from big_rad.dicom.errors import NotAnImageError

_HEADS = (1 << 17, 1 << 21, unpack.MAX_BYTES)
_PIXELS = 0x7FE00008
_TEXTS = ("descrip", "aux_file", "intent_name", "db_name", "data_type")


def read_dicom(path: pathlib.Path) -> pydicom.Dataset | None:
    """Returns the header of a DICOM file without its pixels; None if it is not DICOM.

    Raises:
        ReadError: the file is damaged or too large.
        OSError: the file cannot be read.
    """
    with path.open("rb") as stream:
        data = stream.read(_HEADS[0])
        if data.startswith(unpack.ZSTD_MAGIC):
            data += unpack.read_capped(stream, "a file")
            data = unpack.unzstd(data, "a file")
            size = len(data)
        else:
            size = stream.seek(0, io.SEEK_END)
        if data[128:132] != dicom_file.MAGIC:
            return None
        for length in _HEADS:
            if len(data) < min(length, size):
                stream.seek(0)
                data = stream.read(length)
            try:
                return _parsed(data, size)
            except Exception:
                if len(data) >= min(size, _HEADS[-1]):
                    raise
    return None


def embedded(content: bytes) -> pydicom.Dataset | None:
    """Returns the DICOM header in an extension of a NIfTI file, or None if it is no DICOM."""
    if content[128:132] == dicom_file.MAGIC:
        return _parsed(content, len(content))
    # A data set without a preamble begins with its lowest group.
    if content[1:2] == b"\0" and content[:1] in b"\x02\x08\x10" and len(content) > 16:
        return _dataset(content, 0, not starts_with_vr(content, 0), True, len(content))
    return None


def read_nifti(path: pathlib.Path) -> tuple[list[str], list[bytes]]:
    """Returns the texts in the header of a NIfTI file, and its extensions.

    Raises:
        ReadError: the file is no NIfTI file or is damaged.
        OSError: the file cannot be read.
    """
    name = "the volume"
    with path.open("rb") as stream:
        packed = stream.read(2) == nifti.GZIP_MAGIC
        stream.seek(0)
        body = unpack.GzipStream(stream, name) if packed else stream
        head = body.read(nifti.HEAD)
        if len(head) < nifti.HEAD or not nifti.is_nifti(head):
            raise NotAnImageError(f"{name}: is not NIfTI")
        kind = nib.Nifti1Header
        if head[344:348] != b"n+1\0":
            kind = nib.Nifti2Header
            head += body.read(kind.template_dtype.itemsize - len(head))
        header = kind(head, check=False)
        fields = [bytes(header[f]) for f in _TEXTS if f in header.keys()]
    texts = [f.split(b"\0")[0].decode("latin-1").strip() for f in fields]
    # Bytes behind the end of a text are not shown by programs, but they are in the file.
    texts += [f.replace(b"\0", b" ").decode("latin-1").strip() for f in fields]
    with path.open("rb") as stream:
        return [t for t in dict.fromkeys(texts) if t], nifti.Volume(stream, name).extensions()


def _parsed(data: bytes, size: int) -> pydicom.Dataset:
    meta = DataSet(Source(data, "a file"), 132, len(data), implicit=False, group=2)
    syntax, start = meta.get("TransferSyntaxUID"), meta.end
    if syntax == uid.DeflatedExplicitVRLittleEndian:
        if len(data) < size:
            raise NotAnImageError("a file: its deflated part is not whole")
        data, start = unpack.inflate(data[start:], "a file"), 0
        size = len(data)
    little = syntax != uid.ExplicitVRBigEndian
    return _dataset(data, start, not starts_with_vr(data, start), little, size)


def _dataset(data: bytes, start: int, implicit: bool, little: bool, size: int) -> pydicom.Dataset:
    # Our own reader checks the number and the depth of the elements, which pydicom does not.
    source = Source(data, "a file", little=little, size=size)
    DataSet(source, start, len(data), implicit)
    stream = io.BytesIO(data)
    stream.seek(start)
    with objects.guarded("a header"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pydicom.filereader.read_dataset(
            stream, implicit, little, stop_when=lambda tag, vr, length: tag >= _PIXELS
        )
