"""Small image files for tests, in every format that the reader knows."""

import gzip
import io
import struct
import tracemalloc
import warnings
import zlib

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom import uid as uids

from big_rad.dicom import read as reader

SECRET = "PLANTED^IDENTITY"
PIXELS = np.arange(12, dtype=np.int16).reshape(3, 4) * 100


def dataset(pixels=PIXELS, **fields):
    """A minimal file with an identity planted in it; fields set to None are left out."""
    ds = pydicom.Dataset()
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = uids.ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = uids.CTImageStorage
    ds.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    defaults = {
        "SOPClassUID": uids.CTImageStorage, "SOPInstanceUID": "1.2.3", "Modality": "CT",
        "PatientName": SECRET, "PatientID": SECRET, "Rows": pixels.shape[-2],
        "Columns": pixels.shape[-1], "SamplesPerPixel": 1, "BitsAllocated": 16, "BitsStored": 16,
        "HighBit": 15, "PixelRepresentation": 1, "PhotometricInterpretation": "MONOCHROME2",
        "RescaleSlope": 1, "RescaleIntercept": -1024, "PixelData": pixels.tobytes(),
    }  # fmt: skip
    for keyword, value in (defaults | fields).items():
        if value is not None:
            setattr(ds, keyword, value)
    if "PixelData" in ds:
        ds["PixelData"].VR = "OW"
    return ds


def content(ds):
    """The bytes of a data set's file."""
    out = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds.save_as(out, enforce_file_format=True)
    return out.getvalue()


def encapsulated(frames, syntax, **fields):
    """The bytes of a file with compressed frames as given."""
    ds = dataset(**fields)
    ds.file_meta.TransferSyntaxUID = syntax
    ds.PixelData = pydicom.encaps.encapsulate(frames)
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True
    if len(frames) > 1:
        ds.NumberOfFrames = len(frames)
    return content(ds)


def element(group, number, vr, value):
    """One element in explicit VR little endian."""
    head = struct.pack("<HH2s", group, number, vr)
    if vr in (b"OB", b"OW", b"SQ", b"UN"):
        return head + struct.pack("<HL", 0, len(value)) + value
    return head + struct.pack("<H", len(value)) + value


def raw_element(ds, keyword, value, vr=None):
    """Sets an element of a data set to bytes, even if the standard does not allow this value."""
    tag = pydicom.tag.Tag(keyword)
    vr = vr or pydicom.datadict.dictionary_VR(tag).split(" ")[0]
    value += b" " * (len(value) % 2 and vr in ("DS", "IS", "CS", "LO"))
    ds._dict[tag] = pydicom.dataelem.RawDataElement(tag, vr, len(value), value, 0, False, True)
    return ds


def before_pixels(data, extra):
    """The bytes of a file, with elements inserted before PixelData (which is written as OW)."""
    at = data.index(b"\xe0\x7f\x10\x00OW")
    return data[:at] + extra + data[at:]


def picture(mode="RGB", size=(6, 5), fmt="PNG", **kwargs):
    """A PNG, JPEG or other picture, as Pillow writes it."""
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 255, (*size[::-1], 3)).astype(np.uint8)).convert(mode)
    out = io.BytesIO()
    image.save(out, fmt, **kwargs)
    return out.getvalue()


def png_chunk(kind, body):
    """One chunk of a PNG."""
    return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")


def png(values, depth, colour_type, extra=b"", interlaced=False):
    """A PNG by its specification: Pillow writes neither 16-bit colour nor 2-bit grey.

    Args:
        values: [H, W], or [H, W, channels].
        depth: the number of bits per sample, 1 to 16.
        colour_type: 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGB and alpha.
        extra: the chunks before the pixels.
        interlaced: whether the pixels are written in the seven passes of Adam7.
    """
    passes = [(0, 0, 1, 1)]
    if interlaced:
        passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2),
                  (0, 1, 2, 2), (1, 0, 2, 1)]  # fmt: skip
    lines = []
    for y, x, dy, dx in passes:
        part = values[y::dy, x::dx]
        if part.size:
            lines += [b"\0" + _png_line(row.ravel(), depth) for row in part]
    sides = b"".join(n.to_bytes(4, "big") for n in values.shape[1::-1])
    return b"".join([
        b"\x89PNG\r\n\x1a\n",
        png_chunk(b"IHDR", sides + bytes([depth, colour_type, 0, 0, int(interlaced)])),
        extra,
        png_chunk(b"IDAT", zlib.compress(b"".join(lines))),
        png_chunk(b"IEND", b""),
    ])  # fmt: skip


def _png_line(row, depth):
    if depth >= 8:
        return row.astype(f">u{depth // 8}").tobytes()
    bits = row.astype(np.uint8)[:, None] >> np.arange(depth)[::-1] & 1
    return np.packbits(bits.ravel()).tobytes()


def tiff(orientation, order="<", kind=3, before=()):
    """An EXIF block with an orientation, after other entries (tag, kind, count, value)."""
    entries = [*before, (0x0112, kind, 1, orientation)]
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}LH", 8, len(entries))
    body = [struct.pack(f"{order}HHLHH", *entry, 0) for entry in entries]
    return head + b"".join(body) + bytes(4)


def with_exif(data, block):
    """A JPEG or PNG with an EXIF block put in."""
    if data.startswith(b"\xff\xd8"):
        body = b"Exif\0\0" + block
        return data[:2] + b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body + data[2:]
    return data[:33] + png_chunk(b"eXIf", block) + data[33:]


def npy(array, **kwargs):
    """The bytes of numpy's file of an array."""
    out = io.BytesIO()
    np.save(out, array, **kwargs)
    return out.getvalue()


def nifti(volume, affine, *, slope=0.0, inter=0.0, codes=(0, 1), big=False, packed=False, **fields):
    """A NIfTI-1 file by its specification, not by nibabel.

    Args:
        volume: [i, j, k] or more axes.
        affine: the matrix [4, 4] from indices to RAS in mm, which is stored as sform.
        slope, inter: the values of scl_slope and scl_inter.
        codes: the values of qform_code and sform_code.
        big: whether the file is big endian.
        packed: whether the file is compressed with gzip.
        fields: other values for dim, datatype, vox_offset, magic and sizeof_hdr.
    """
    order = ">" if big else "<"
    types = {
        "u1": 2,
        "i2": 4,
        "i4": 8,
        "f4": 16,
        "f8": 64,
        "c8": 32,
        "u2": 512,
        "u4": 768,
        "i8": 1024,
    }
    volume = np.asarray(volume)
    dim = [volume.ndim, *volume.shape] + [1] * (7 - volume.ndim)
    head = bytearray(352)
    kind = volume.dtype.str[1:]
    put = struct.pack_into
    put(f"{order}i", head, 0, fields.get("sizeof_hdr", 348))
    put(f"{order}8h", head, 40, *fields.get("dim", dim))
    put(f"{order}hh", head, 70, fields.get("datatype", types[kind]), volume.dtype.itemsize * 8)
    put(f"{order}8f", head, 76, 1, *np.linalg.norm(np.asarray(affine)[:3, :3], axis=0), 0, 0, 0, 0)
    put(f"{order}3f", head, 108, fields.get("vox_offset", 352), slope, inter)
    head[123] = fields.get("xyzt_units", 2)
    put(f"{order}2h", head, 252, *codes)
    put(f"{order}12f", head, 280, *np.asarray(affine, float)[:3].ravel())
    head[148:164] = SECRET.encode()  # descrip
    head[344:348] = fields.get("magic", b"n+1\0")
    body = volume.astype(volume.dtype.newbyteorder(order)).tobytes(order="F")
    data = bytes(head) + body
    return gzip.compress(data, mtime=0) if packed else data


def peak_memory(data, read=reader.read):
    """The bytes that Python allocates while `read` refuses data as too large."""
    tracemalloc.start()
    try:
        with pytest.raises(reader.TooLargeError):
            read(data)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
