"""P8: hostile files end in a typed error, in bounded memory and time, and the rest goes on.

The corpus has files of all kinds that were seen to break readers, at full size, and 200 mutations
of real DICOM files. One process reads them all, and its peak memory is checked after every file.
"""

import gzip
import io
import json
import os
import pathlib
import pickle
import random
import subprocess
import sys
import zipfile
import zlib

import numpy as np
import pydicom
import pytest
import zstandard
from PIL import Image
from pydicom import uid as uids
from pydicom.data import get_testdata_file

from tests.helpers import dicom_files as files

ROOT = pathlib.Path(__file__).parents[2]
READ_EACH = pathlib.Path(__file__).parents[1] / "helpers" / "read_each.py"
SECONDS, BYTES = 5, 1 << 30
MUTANTS = 200
ZEROS = 600 << 20  # The number of bytes that a bomb unpacks to.
linux = pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
SEEDS = """
    CT_small.dcm MR_small.dcm MR_small_RLE.dcm MR_small_bigendian.dcm MR_small_implicit.dcm
    J2K_pixelrep_mismatch.dcm MR_small_jpeg_ls_lossless.dcm SC_rgb_jpeg_dcmtk.dcm image_dfl.dcm
    examples_overlay.dcm
""".split()


class Bomb:
    """An object that writes a file when it is unpickled."""

    def __init__(self, mark):
        self._mark = str(mark)

    def __reduce__(self):
        return open, (self._mark, "w")


def zeros_packed(packer):
    piece = b"\0" * (1 << 20)
    parts = [packer.compress(piece) for _ in range(ZEROS >> 20)]
    return b"".join([*parts, packer.flush()])


def deflated(body):
    ds = files.dataset()
    ds.file_meta.TransferSyntaxUID = uids.DeflatedExplicitVRLittleEndian
    data = files.content(ds)
    return data[: 144 + int.from_bytes(data[140:144], "little")] + body


def archive(name, data):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as f:
        f.writestr(name, data)
    return out.getvalue()


def black(fmt, **kwargs):
    """Returns a picture of few bytes and many pixels."""
    out = io.BytesIO()
    Image.new("L", (5000, 5000)).save(out, fmt, **kwargs)
    return out.getvalue()


def vast():
    """Returns the header of an array of 80 GB."""
    out = io.BytesIO()
    header = {"descr": "<f8", "fortran_order": False, "shape": (99999, 99999)}
    np.lib.format.write_array_header_1_0(out, header)
    return out.getvalue()


def corpus(mark):
    """Yields (name, bytes) of files that must all be rejected.

    Args:
        mark: the path of a file that is written if a pickle is opened.
    """
    sound = files.content(files.dataset())
    small = zstandard.compress(sound)
    bomb = pickle.dumps(Bomb(mark))
    objects = np.empty((2, 2), object)
    objects[:] = Bomb(mark)
    yield "declared.dcm.zst", zeros_packed(zstandard.ZstdCompressor().compressobj(size=ZEROS))
    yield "undeclared.dcm.zst", zeros_packed(zstandard.ZstdCompressor().compressobj())
    yield "second.dcm.zst", small + zeros_packed(zstandard.ZstdCompressor().compressobj())
    yield "cut.dcm.zst", small[: len(small) // 2]
    yield "second_cut.dcm.zst", small + small[:-3]
    yield "deflated.dcm", deflated(zeros_packed(zlib.compressobj(9, zlib.DEFLATED, -15)))
    volume = np.zeros((64, 64, 4), np.int16)
    head = files.nifti(volume, np.eye(4), dim=[3, 5000, 5000, 40, 1, 1, 1, 1])
    yield "gzip.nii.gz", gzip.compress(head) + zeros_packed(zlib.compressobj(9, zlib.DEFLATED, 31))
    yield "dims.nii", files.nifti(volume, np.eye(4), dim=[3, 32767, 32767, 32767, 1, 1, 1, 1])
    for share in (0.02, 0.3, 0.6, 0.99):
        yield f"cut{share}.dcm", sound[: int(share * len(sound))]
    for keyword in ("BitsAllocated", "Rows", "Columns", "PixelData"):
        yield f"no_{keyword}.dcm", files.content(files.dataset(**{keyword: None}))
    yield "truncated.dcm", pathlib.Path(get_testdata_file("MR_truncated.dcm")).read_bytes()
    yield "huge.dcm", files.content(files.dataset(Rows=65535, Columns=65535))
    yield "short.dcm", files.content(files.dataset(Rows=4000, Columns=4000))
    yield "frames.dcm", files.content(files.dataset(NumberOfFrames=2_000_000_000))
    grey = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "PixelRepresentation": 0}
    for syntax, frame in (
        (uids.JPEGBaseline8Bit, black("JPEG")),
        (uids.JPEG2000Lossless, black("JPEG2000", no_jp2=True)),
        (uids.RLELossless, np.array([1, 64, *[0] * 14], "<u4").tobytes() + b"\x81\0" * 9),
    ):
        data = files.encapsulated([frame], syntax, Rows=9, Columns=4000, **grey)
        yield f"{uids.UID(syntax).keyword}.dcm", data
    sides = (20000).to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0])
    lines = zlib.compressobj(9)
    yield "bomb.png", b"".join([
        b"\x89PNG\r\n\x1a\n", files.png_chunk(b"IHDR", sides),
        files.png_chunk(b"IDAT", lines.compress(b"\0" * (300 << 20)) + lines.flush()),
        files.png_chunk(b"IEND", b""),
    ])  # fmt: skip
    for name, data in (
        ("objects.npy", files.npy(objects, allow_pickle=True)), ("pickle.npy", bomb),
        ("pickle.ckpt", bomb), ("pickle.dcm", bomb), ("torch.bin", archive("a/data.pkl", bomb)),
        ("arrays.npz", archive("a.npy", files.npy(objects, allow_pickle=True))),
        ("vast.npy", vast()),
        ("text.txt", b"Liver, spleen.\n" * 99), ("empty.dcm", b""), ("page.html", b"<html>" * 99),
    ):  # fmt: skip
        yield name, data


def mutants(count=MUTANTS):
    """Yields (name, bytes) of real DICOM files with bytes changed, cut out, doubled or cut off."""
    sound = [pathlib.Path(get_testdata_file(name)).read_bytes() for name in SEEDS]
    for number in range(count):
        rng = random.Random(number)
        data = bytearray(sound[number % len(sound)])
        front = min(len(data), rng.choice([400, 2000, len(data)]))  # Most changes hit headers.
        for _ in range(rng.choice([1, 3, 10, 60])):
            at = rng.randrange(128, front)
            kind = rng.randrange(6)
            if kind == 0:
                data[at] = rng.randrange(256)
            elif kind == 1:
                data[at : at + 4] = rng.choice([b"\xff" * 4, b"\0" * 4, b"\xff\xff\xff\x7f"])
            elif kind == 2:
                del data[at : at + rng.randrange(1, 40)]
            elif kind == 3:
                start = rng.randrange(len(data))
                data[at:at] = data[start : start + rng.randrange(1, 200)]
            elif kind == 4:
                data[at] ^= 1 << rng.randrange(8)
            elif rng.random() < 0.2:
                del data[at:]
            data += bytes(max(0, 400 - len(data)))
            front = min(front, len(data))
        packed = rng.random() < 0.2
        yield f"mutant{number}.dcm", zstandard.compress(bytes(data)) if packed else bytes(data)


def judged(paths):
    done = subprocess.run(
        [sys.executable, str(READ_EACH), *map(str, paths)],
        capture_output=True, text=True, timeout=500,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [f["file"] for f in found] == [p.name for p in paths]
    return found


def written(where, made):
    paths = []
    for name, data in made:
        paths.append(where / name)
        paths[-1].write_bytes(data)
    return paths


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    mark = tmp_path_factory.mktemp("mark") / "opened"
    paths = written(tmp_path_factory.mktemp("hostile"), corpus(mark))
    yield paths
    assert not mark.exists()


@linux
@pytest.mark.slow
def test_p8_every_hostile_file_is_a_typed_error_in_bounded_memory_and_time(hostile):
    assert len(hostile) > 30
    assert max(p.stat().st_size for p in hostile) < 2 << 20  # The files are small.
    for line in judged(hostile):
        assert line["outcome"].endswith("Error") and "untyped" not in line["outcome"], line
        assert line["seconds"] < SECONDS and line["peak"] < BYTES, line
        assert line["file"] in line["says"], line


@linux
@pytest.mark.slow
def test_p8_mutated_dicom_files_are_read_or_a_typed_error(tmp_path):
    found = judged(written(tmp_path, mutants()))
    assert len(found) == MUTANTS
    for line in found:
        assert line["outcome"] == "Slice" or "untyped" not in line["outcome"], line
        assert line["seconds"] < SECONDS and line["peak"] < BYTES, line
    outcomes = {line["outcome"] for line in found}
    # Some mutants are read, and others are rejected for different reasons, so that the mutations
    # reach different parts of the reader.
    assert {"Slice", "NotAnImageError", "MissingElementError", "UnsupportedError"} <= outcomes


@pytest.mark.slow
def test_p8_hostile_files_are_listed_and_the_rest_is_built_and_trained(hostile, tmp_path, capsys):
    # Imported here, because the other tests also run where only prediction is installed.
    from big_rad import train
    from big_rad.datasets import core
    from configs import radgrounder_det
    from tests.published import folder
    from tools import build_dataset, validate_data

    root = tmp_path / "source"
    sound = folder.write(root)
    lines = folder.read_lines(root)
    for number, path in enumerate(hostile):
        (root / path.name).write_bytes(path.read_bytes())
        line = {"id": f"h{number}", "image": path.name, "report": "Liver.", "split": "train"}
        lines.append(line | {"modality": "CT", "frame": 0})
    folder.write_lines(root, lines)
    with pytest.raises(SystemExit) as ended:
        validate_data.main(["folder", f"--source={root}", "--workers=1"])
    assert ended.value.code == 1
    said = capsys.readouterr().out
    assert all(f": {path.name}: " in said for path in hostile)
    build_dataset.main([
        "folder", f"--source={root}", f"--data_dir={tmp_path}", "--workers=1",
        "--max_reject_share=1",
    ])  # fmt: skip
    rejects = next(tmp_path.glob("folder/default/*/rejects.jsonl")).read_text().splitlines()
    listed = [json.loads(r) for r in rejects]
    assert all(any(path.name in r["message"] for r in listed) for path in hostile)
    built = [e["id"] for s in ("train", "validation", "test")
             for e in core.load_source("folder", s, tmp_path)]  # fmt: skip
    assert sorted(built) == sorted(sound)
    config = radgrounder_det.get_config("variant=tiny,size=28,data=folder")
    config.total_epochs, config.total_steps = None, 3
    config.input.batch_size, config.grad_accum, config.evals = 4, 1, {}
    train.train(config, tmp_path / "run", str(tmp_path), log=lambda line: None)
    rows = (tmp_path / "run/metrics.jsonl").read_text().splitlines()
    assert json.loads(rows[-1])["step"] == 3


@linux
def test_p8_a_sound_file_beside_them_is_read(tmp_path):
    ds = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    out = io.BytesIO()
    ds.save_as(out)
    (line,) = judged(written(tmp_path, [("sound.dcm.zst", zstandard.compress(out.getvalue()))]))
    assert line["outcome"] == "Slice" and line["peak"] < BYTES
