import gzip
import io
import tracemalloc
import zlib

import numpy as np
import pytest
import zstandard
from pydicom import uid as uids

from big_rad.dicom import read as reader
from big_rad.dicom import unpack
from big_rad.dicom.read import read
from tests.helpers.dicom_files import PIXELS, content, dataset, peak_memory

# Files that unpack to a huge size end in a typed error, and use little memory


LIMIT = 1 << 20


def unzstd(data):
    return unpack.unzstd(data, "x", max_bytes=LIMIT)


def inflate(data):
    return unpack.inflate(data, "x", max_bytes=LIMIT)


@pytest.mark.parametrize("sizes_known", [True, False])
def test_zstd_bombs_are_stopped(sizes_known):
    compressor = zstandard.ZstdCompressor(write_content_size=sizes_known)
    data = compressor.compress(b"\x00" * (64 << 20))
    assert len(data) < 10_000
    assert peak_memory(data, unzstd) < 24 << 20


def test_a_bomb_in_the_second_zstd_frame_is_stopped():
    pack = zstandard.ZstdCompressor().compress
    data = pack(content(dataset())) + pack(b"\x00" * (64 << 20))
    assert peak_memory(data, unzstd) < 24 << 20


def test_a_file_is_read_under_the_limit():
    bomb = zstandard.ZstdCompressor().compress(b"\x00" * (unpack.MAX_BYTES + 1))
    assert peak_memory(bomb) < 1 << 20


@pytest.mark.parametrize("size, refused", [(LIMIT, False), (LIMIT + 1, True)])
def test_a_stream_is_read_up_to_the_limit(size, refused):
    stream = io.BytesIO(b"\x00" * size)
    if refused:
        with pytest.raises(reader.TooLargeError):
            unpack.read_capped(stream, "x", max_bytes=LIMIT)
    else:
        assert len(unpack.read_capped(stream, "x", max_bytes=LIMIT)) == size


def test_deflated_bombs_are_stopped():
    ds = dataset()
    ds.file_meta.TransferSyntaxUID = uids.DeflatedExplicitVRLittleEndian
    data = content(ds)
    np.testing.assert_array_equal(read(data).pixels, PIXELS - 1024)
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    bomb = packer.compress(b"\x00" * (64 << 20)) + packer.flush()
    assert peak_memory(bomb, inflate) < 16 << 20


@pytest.mark.parametrize("sizes_known", [True, False])
def test_zstd_frames_are_unpacked_whole_or_refused(sizes_known):
    compressor = zstandard.ZstdCompressor(write_content_size=sizes_known)
    plain = np.random.default_rng(0).bytes(300_000)
    packed = compressor.compress(plain)
    assert unpack.unzstd(packed, "x") == plain
    assert unpack.unzstd(packed + compressor.compress(b"ab") + packed, "x") == plain + b"ab" + plain
    for bad in (packed[:-1], packed[:1000], packed + packed[:-1], packed + b"rest", packed[:4]):
        with pytest.raises(reader.NotAnImageError, match="x: .* zstd"):
            unpack.unzstd(bad, "x")


def test_a_zstd_frame_that_lies_about_its_size_is_refused():
    packed = bytearray(zstandard.ZstdCompressor().compress(b"\0" * 100_000))
    assert zstandard.frame_content_size(packed) == 100_000
    for size in (100, 1 << 20):  # The size field of the frame header.
        packed[5:9] = size.to_bytes(4, "little")
        assert zstandard.frame_content_size(packed) == size
        with pytest.raises(reader.NotAnImageError):
            unpack.unzstd(bytes(packed), "x")


def test_a_truncated_deflated_file_is_refused():
    ds = dataset(np.zeros((64, 64), np.int16))
    ds.file_meta.TransferSyntaxUID = uids.DeflatedExplicitVRLittleEndian
    data = content(ds)
    assert read(data).pixels.shape == (64, 64)
    with pytest.raises(reader.ReadError):
        read(data[:-10])


@pytest.mark.parametrize("size", [1, 7, 1000, 1 << 17])
def test_gzip_of_several_members_reads_like_one(size):
    plain = np.random.default_rng(0).integers(0, 3, 300_000).astype(np.uint8).tobytes()
    members = [plain[:100], b"", plain[100:250_000], plain[250_000:]]
    packed = b"".join(gzip.compress(m) for m in members) + b"\0" * 100
    stream, parts = unpack.GzipStream(io.BytesIO(packed), "x"), []
    while part := stream.read(size):
        assert len(part) <= size
        parts.append(part)
        if size < 100 and len(parts) > 1000:
            break
    assert plain.startswith(b"".join(parts)) and (size < 100 or b"".join(parts) == plain)


def test_gzip_bombs_cost_no_more_than_what_is_asked_for():
    packed = gzip.compress(b"\0" * (64 << 20))
    tracemalloc.start()
    try:
        assert unpack.GzipStream(io.BytesIO(packed), "x").read(1000) == b"\0" * 1000
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_damaged_gzip_is_refused():
    packed = bytearray(gzip.compress(np.random.default_rng(0).bytes(1000)))
    packed[30:60] = b"\xff" * 30
    for bad in (bytes(packed), gzip.compress(b"a") + b"rubbish behind it"):
        with pytest.raises(reader.NotAnImageError, match="gzip"):
            unpack.GzipStream(io.BytesIO(bad), "x").read(5000)
