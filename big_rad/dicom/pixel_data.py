"""Reads the stored values of one frame from the pixel data of a DICOM file.

Compressed frames go through a decoder that pydicom calls. pydicom receives only the pixel data and
the numbers that say how they are stored.
"""

import dataclasses
import logging

import numpy as np
import pydicom
from jaxtyping import Integer, UInt8
from pydicom import encaps, pixels, uid

from big_rad.dicom import codestream
from big_rad.dicom.elements import DataSet, Source, pixel_fragments
from big_rad.dicom.errors import (
    MissingElementError,
    NotAnImageError,
    TooLargeError,
    UnsupportedError,
)

# pydicom logs the whole traceback of each decoder that fails, and its warnings quote values of the
# file, which may name the patient.
logging.getLogger("pydicom").setLevel(logging.CRITICAL)

_PLUGINS = {
    "JPEG": "python-gdcm",
    "JPEG-LS": "pyjpegls",
    "JPEG 2000": "pylibjpeg and pylibjpeg-openjpeg",
    "HTJ2K": "pylibjpeg and pylibjpeg-openjpeg",
}
_NATIVE = (uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian)
_KINDS = {
    **dict.fromkeys(uid.JPEGTransferSyntaxes, "JPEG"),
    **dict.fromkeys(uid.JPEGLSTransferSyntaxes, "JPEG-LS"),
    **dict.fromkeys(uid.JPEG2000TransferSyntaxes, "JPEG 2000"),
    **dict.fromkeys((uid.HTJ2K, uid.HTJ2KLossless, uid.HTJ2KLosslessRPCL), "HTJ2K"),
    uid.RLELossless: "RLE",
}


@dataclasses.dataclass(frozen=True)
class Header:
    """The elements of a file that say how its pixels are stored.

    Attributes:
        syntax: the transfer syntax UID.
        rows, columns: the height and the width in pixels.
        samples: the number of samples per pixel.
        frames: the number of frames.
        bits: BitsAllocated, the number of bits that a sample takes, 8 or 16.
        stored: BitsStored, the number of these bits that hold the value.
        signed: 1 if values are signed, otherwise 0.
        photometric: the PhotometricInterpretation, such as "MONOCHROME2".
        planar: the PlanarConfiguration, or None if the file has none or one sample per pixel.
    """

    syntax: str
    rows: int
    columns: int
    samples: int
    frames: int
    bits: int
    stored: int
    signed: int
    photometric: str
    planar: int | None

    @property
    def frame_bytes(self) -> int:
        """The number of bytes of an uncompressed frame."""
        size = self.rows * self.columns * self.samples * self.bits // 8
        return size * 2 // 3 if self.photometric == "YBR_FULL_422" else size


def decode(
    ds: DataSet, header: Header, frame: int, name: str
) -> Integer[np.ndarray, "height width"] | Integer[np.ndarray, "height width 3"]:
    """Decodes a frame.

    Args:
        ds: the elements of the file.
        header: how the pixels are stored.
        frame: the index of the frame, from 0.
        name: the name of the file, for messages.

    Returns:
        The words of a grey frame [H, W], which may hold other bits above BitsStored (see
        `used_bits`), or a colour frame as RGB [H, W, 3] of BitsAllocated bits.

    Raises:
        MissingElementError: the pixel data are truncated.
        NotAnImageError: the pixel data are damaged, or contradict the elements.
        TooLargeError: the compressed frame is too large to decode.
        UnsupportedError: the compression is not supported, or its plugin is missing.
    """
    check_size(ds, header, name)
    start, length = ds.span("PixelData")
    if header.syntax in _NATIVE:
        return _native(ds, start, length, header, frame)
    return _compressed(ds.source, start, header, frame, name)


def check_size(ds: DataSet, header: Header, name: str) -> None:
    """Checks that the pixel data are as long as the header says, or compressed if it says so.

    Raises:
        MissingElementError: uncompressed pixel data are too short.
        NotAnImageError: the pixel data are not compressed, but should be.
    """
    length = ds.span("PixelData")[1]
    if header.syntax not in _NATIVE:
        if length >= 0:
            raise NotAnImageError(
                f"{name}: PixelData is not compressed as its transfer syntax says"
            )
        return
    needed = header.frame_bytes * header.frames
    if length < needed:
        raise MissingElementError(
            f"{name}: PixelData has {max(length, 0)} bytes, {needed} are needed: the file is "
            "truncated; copy or export it again"
        )


def _native(ds: DataSet, start: int, length: int, header: Header, frame: int) -> np.ndarray:
    """Returns an uncompressed frame. A grey frame is a view of the file where that is possible."""
    source = ds.source
    if header.samples > 1 or (header.bits == 8 and not source.little):
        data = source.data[start : start + length]
        return _by_pydicom(header, data, header.frames, frame, ds.vr("PixelData") == b"OW")
    kind = f"{'<' if source.little else '>'}{'i' if header.signed else 'u'}{header.bits // 8}"
    at = start + frame * header.frame_bytes
    values = np.frombuffer(source.data, kind, header.rows * header.columns, at)
    values = values.reshape(header.rows, header.columns)
    if not source.little:
        values = values.astype(values.dtype.newbyteorder("="))
    return values


def used_bits(
    words: Integer[np.ndarray, "height width"], header: Header
) -> Integer[np.ndarray, "height width"]:
    """Clears the bits above BitsStored, or fills them with the sign bit if values are signed.

    These bits may hold anything (PS3.5 8.1.1).

    Args:
        words: a decoded grey frame of BitsAllocated bits.
        header: how the frame is stored.
    """
    unused = header.bits - header.stored
    return (words << unused) >> unused if unused else words


def to_8_bits(
    colours: Integer[np.ndarray, "height width 3"], header: Header
) -> UInt8[np.ndarray, "height width 3"]:
    """Returns RGB as uint8; values of more than 8 bits keep the high 8 bits of BitsStored."""
    if header.bits == 8:
        return colours
    used = colours & np.uint16((1 << header.stored) - 1)
    if header.stored < 8:
        return (used.astype(np.float32) * (255 / ((1 << header.stored) - 1))).round().astype("u1")
    return (used >> (header.stored - 8)).astype(np.uint8)


def _compressed(source: Source, start: int, header: Header, frame: int, name: str) -> np.ndarray:
    kind = _KINDS.get(header.syntax)
    if kind is None:
        raise UnsupportedError(f"{name}: transfer syntax is not handled; convert to uncompressed")
    data = _frame_data(source, start, header, frame, name)
    if kind == "RLE":
        return _rle(data, header, name)
    if kind in ("JPEG", "JPEG-LS"):
        size = codestream.jpeg_size(data, name)
    else:
        data = codestream.bare_jpeg2000(data, name)
        size = codestream.jpeg2000_size(data, name)
    if header.photometric.startswith("YBR_FULL") and size.bits > 8:
        raise UnsupportedError(f"{name}: YBR of more than 8 bits a sample; convert it to RGB")
    remedy = _remedy(kind, header.syntax, size)
    if not can_decode(header.syntax):
        raise UnsupportedError(f"{name}: transfer syntax {kind} needs a plugin; {remedy}")
    stated_shape = (header.rows, header.columns, header.samples)
    if (size.rows, size.columns, size.samples) != stated_shape or size.bits > header.bits:
        raise NotAnImageError(
            f"{name}: compressed pixels are of another size or depth than Rows, Columns, "
            "SamplesPerPixel and BitsAllocated say; export it again"
        )
    # Decoders return bytes or words by the depth in the codestream, not by BitsAllocated. JPEG has
    # no signed values, and GDCM ends the whole process if BitsStored of bytes is below 8.
    bits = 8 if size.bits <= 8 else 16
    decoded_header = dataclasses.replace(header, bits=bits, stored=min(header.stored, bits))
    if kind == "JPEG":
        decoded_header = dataclasses.replace(decoded_header, stored=max(size.bits, 8), signed=0)
    try:
        values = _by_pydicom(decoded_header, encaps.encapsulate([data]), 1, 0)
    except RuntimeError:  # All installed plugins have failed.
        raise UnsupportedError(
            f"{name}: pixels in transfer syntax {kind} are damaged, or of a kind that the "
            f"installed plugins do not decode; {remedy}"
        ) from None
    if values.shape[:2] != stated_shape[:2]:
        raise NotAnImageError(f"{name}: compressed pixels are damaged; export it again")
    return values.astype(f"{'i' if header.signed else 'u'}{header.bits // 8}", copy=False)


def _remedy(kind: str, syntax: str, size: codestream.Size) -> str:
    convert = "convert the file to uncompressed"
    if syntax == uid.JPEGExtended12Bit and size.bits > 8:
        return (
            f"{convert}, with dcmdjpeg of DCMTK or gdcmconv --raw of GDCM; or pip install "
            "pylibjpeg pylibjpeg-libjpeg (GPL), because python-gdcm reads 8 bits only here"
        )
    return f"pip install {_PLUGINS[kind]}, or {convert}"


def _frame_data(source: Source, start: int, header: Header, frame: int, name: str) -> bytes:
    """Returns the compressed bytes of a frame (PS3.5 A.4)."""
    (table, table_length), *fragments = pixel_fragments(source, start) or [(0, 0)]
    frames = header.frames
    if frames == 1:
        chosen = fragments
    elif len(fragments) == frames:
        chosen = fragments[frame : frame + 1]
    elif table_length == 4 * frames and fragments:
        offsets = np.frombuffer(source.data, "<u4", frames, table).astype(np.int64)
        low = offsets[frame]
        high = offsets[frame + 1] if frame + 1 < frames else len(source.data)
        begin = fragments[0][0]  # Offsets count from the first fragment.
        chosen = [f for f in fragments if low <= f[0] - begin < high]
    else:
        chosen = []
    size = sum(length for _, length in chosen)
    if not size:
        raise MissingElementError(
            f"{name}: PixelData does not say where its frames are; export it again, uncompressed"
        )
    if size > 2 * header.frame_bytes + (1 << 20):
        raise TooLargeError(f"{name}: PixelData is larger than uncompressed; export it again")
    return b"".join(source.data[at : at + length] for at, length in chosen)


def _rle(data: bytes, header: Header, name: str) -> np.ndarray:
    values = codestream.rle_frame(
        data, header.rows, header.columns, header.samples, header.bits, name
    )
    if header.samples == 3:
        ybr = header.photometric.startswith("YBR_FULL")
        return pixels.convert_color_space(values, "YBR_FULL", "RGB") if ybr else values
    return values.view(f"<i{header.bits // 8}") if header.signed else values


def in_words(syntax: str) -> bool:
    """Returns whether a transfer syntax stores words of BitsAllocated: uncompressed or RLE."""
    return _KINDS.get(syntax, "RLE") == "RLE"


def can_decode(syntax: str) -> bool:
    """Returns whether pydicom has a plugin for a transfer syntax."""
    try:
        return pixels.get_decoder(uid.UID(syntax)).is_available
    except NotImplementedError:
        return False


def _by_pydicom(
    header: Header, data: bytes, frames: int, frame: int, words: bool = False
) -> np.ndarray:
    """Decodes a frame with pydicom, which receives only how the pixels are stored."""
    ds = pydicom.Dataset()
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = uid.UID(header.syntax)
    ds.Rows, ds.Columns, ds.NumberOfFrames = header.rows, header.columns, frames
    ds.SamplesPerPixel, ds.PhotometricInterpretation = header.samples, header.photometric
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = header.bits, header.stored, header.stored - 1
    ds.PixelRepresentation = header.signed
    if header.samples > 1:
        ds.PlanarConfiguration = header.planar or 0
    ds.PixelData = data
    ds["PixelData"].VR = "OW" if words else "OB"
    return pixels.pixel_array(ds, index=frame)
