"""The objects in answers of an archive: taken out of their envelope, and checked to be whole."""

import itertools
import mmap
import pathlib
from collections.abc import Iterator

from pydicom import filereader, uid

from big_rad.dicom import dicom_file, unpack
from big_rad.dicom.elements import DataSet, Source, pixel_fragments, starts_with_vr
from big_rad.dicom.errors import MissingElementError, NotAnImageError, ReadError

_MAX_HEAD = 1 << 16  # The most bytes before the content of a part.


class EnvelopeError(ValueError):
    """An answer does not hold exactly one object. The message says why, and quotes nothing.

    Attributes:
        truncated: Whether the answer ends too early.
    """

    def __init__(self, message: str, truncated: bool = False):
        super().__init__(message)
        self.truncated = truncated


def only_part(pieces: Iterator[bytes], boundary: bytes) -> Iterator[bytes]:
    r"""Yields the content of the only part of a multipart answer, piece by piece.

    An answer with the boundary `b` looks like this; the first line break may be absent:

        \r\n--b\r\nContent-Type: application/dicom\r\n\r\nCONTENT\r\n--b--

    The end is looked for, because without a length of the answer a broken connection looks like
    its end.

    Args:
        pieces: the answer.
        boundary: the boundary in its content type.

    Raises:
        EnvelopeError: there is no part, there are several, or the answer ends too early.
    """
    pieces = iter(pieces)
    mark = b"\r\n--" + boundary
    rest = _after_head(pieces, mark)
    held = b""
    for piece in itertools.chain([rest], pieces):
        held += piece
        at = held.find(mark)
        if at >= 0:
            if at:
                yield held[:at]
            tail = held[at + len(mark) :]
            break
        keep = len(mark) - 1
        if len(held) > keep:
            yield held[:-keep]
            held = held[-keep:]
    else:
        raise EnvelopeError("the answer broke off", truncated=True)
    for piece in pieces:
        tail = (tail + piece)[:2]
    if len(tail) < 2:
        raise EnvelopeError("the answer broke off", truncated=True)
    if not tail.startswith(b"--"):
        raise EnvelopeError("the answer has more than one object")


def _after_head(pieces: Iterator[bytes], mark: bytes) -> bytes:
    # Returns what was read behind the headers of the first part.
    held = b"\r\n"
    for piece in pieces:
        held += piece
        start = held.find(mark)
        end = held.find(b"\r\n\r\n", start + len(mark)) if start >= 0 else -1
        if start >= 0 and held[start + len(mark) :].startswith(b"--"):
            raise EnvelopeError("the answer has no object")
        if end >= 0:
            return held[end + 4 :]
        if len(held) > _MAX_HEAD:
            raise EnvelopeError("the answer has no object at its start")
    raise EnvelopeError("the answer broke off", truncated=True)


def check_whole(path: pathlib.Path, sop_instance_uid: str = "") -> None:
    """Checks that a file is a whole DICOM object.

    All elements are stepped over, to the end of the pixel data, and none of them is decoded. The
    file is not read into memory, unless it is deflated.

    Args:
        path: the file.
        sop_instance_uid: the object that it must be, or "".

    Raises:
        ReadError: the file is not DICOM, is truncated, or is another object.
        OSError: the file cannot be read.
    """
    name = path.name
    with path.open("rb") as file:
        head = file.read(132)
        if head[128:] != dicom_file.MAGIC:
            raise NotAnImageError(f"{name}: not a DICOM file; fetch it again")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            try:
                _walk(data, name)
            except (ReadError, OSError):
                raise
            except Exception:  # Whatever a damaged file leads to.
                raise NotAnImageError(f"{name}: damaged; fetch it again") from None
    if sop_instance_uid and sop_instance(path) not in ("", sop_instance_uid):
        raise NotAnImageError(f"{name}: another object than the one that was asked for")


def sop_instance(path: pathlib.Path) -> str:
    """Returns the MediaStorageSOPInstanceUID of a DICOM file, or "" if it has none.

    Raises:
        ReadError: the file is not DICOM.
    """
    try:
        found = filereader.read_file_meta_info(path).get("MediaStorageSOPInstanceUID")
    except OSError:
        raise
    except Exception:  # The errors of pydicom may quote the file.
        found = None
        damaged = True
    else:
        damaged = False
    if damaged:
        raise NotAnImageError(f"{path.name}: not a DICOM file; give the file of an object")
    return str(found or "")


def _walk(data: mmap.mmap, name: str) -> None:
    meta = DataSet(Source(data, name), 132, len(data), implicit=False, group=2)
    syntax, start = meta.get("TransferSyntaxUID"), meta.end
    if not syntax:
        raise MissingElementError(f"{name}: no TransferSyntaxUID; export the file again")
    body = data
    if syntax == uid.DeflatedExplicitVRLittleEndian:
        body, start = unpack.inflate(data[start:], name), 0
    source = Source(body, name, little=syntax != uid.ExplicitVRBigEndian)
    found = DataSet(source, start, len(body), not starts_with_vr(body, start))
    pixels = found.span("PixelData")
    if pixels and pixels[1] < 0:
        pixel_fragments(source, pixels[0])
