"""Planted identifiers do not come out (promise P9): 20 in folder names, 10 in DICOM elements."""

import contextlib
import json
import random
import warnings

import pydicom
import pytest

from big_rad.datasets import core
from tests.published import folder
from tools import build_dataset, validate_data

FOLDERS = [f"Kanarek{n:02d}" for n in range(20)]
TAG = "Zeisig"


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A source in which half of the lines are bad, each in a different way."""
    root = tmp_path_factory.mktemp(FOLDERS[0]) / FOLDERS[1] / "own"
    inside = "/".join(FOLDERS[2:])
    folder.write(root, folder=inside, canary=TAG)
    for path in root.glob("**/CT_small.dcm"):
        data = path.read_bytes()
        assert data.count(TAG.encode()) == 10
        for name, cut in (("cut.dcm", len(data) // 2), ("head.dcm", 700), ("stub.dcm", 140)):
            path.with_name(name).write_bytes(data[:cut])
        ds = pydicom.dcmread(path)
        ds.Rows = 60000
        ds.save_as(path.with_name("rows.dcm"))
        del ds.Rows, ds.Columns
        ds.save_as(path.with_name("norows.dcm"))
        rng = random.Random(0)
        for n in range(12):
            damaged = bytearray(data)
            for _ in range(40):
                damaged[rng.randrange(132, 3000)] = rng.randrange(256)
            path.with_name(f"damaged{n}.dcm").write_bytes(damaged)
    bad = [{"image": f"{inside}/{name}"} for name in (
        "cut.dcm", "head.dcm", "stub.dcm", "rows.dcm", "norows.dcm", "gone.dcm", "", "../x.dcm",
        *(f"damaged{n}.dcm" for n in range(12)),
    )]  # fmt: skip
    bad += [
        {"image": f"/{inside}/x.dcm"}, {"image": f"C:\\{FOLDERS[5]}\\x.dcm"},
        {"image": f"{inside}/CT_small.dcm", "modality": "MR"},
        {"image": f"{inside}/CT_small.dcm", "plane": "sagittal"},
        {"image": f"{inside}/CT_small.dcm", "frame": 9},
        {"image": f"{inside}/CT_small.dcm", "mask": f"{inside}/png8.png"},
        {"image": f"{inside}/CT_small.dcm", "mask": f"{inside}/gone.npy"},
        {"image": f"{inside}/CT_small.dcm", "mask": f"{inside}/jpg.jpg"},
    ]  # fmt: skip
    lines = folder.read_lines(root)
    lines += [{"id": f"b{n}", "report": "Liver.", "split": "train", **b} for n, b in enumerate(bad)]
    folder.write_lines(root, lines)
    return root


def run(main, *args):
    """Runs a command; returns the warnings that it would print."""
    with warnings.catch_warnings(record=True) as caught, contextlib.suppress(SystemExit):
        warnings.simplefilter("always")
        main(list(args))
    return " ".join(str(w.message) for w in caught)


def test_30_planted_identifiers_are_in_no_record_file_or_printed_line(source, tmp_path, capfd):
    where, out = f"--source={source}", f"--data_dir={tmp_path / 'data'}"
    warned = run(validate_data.main, "folder", where, f"--json={tmp_path / 'found.json'}")
    warned += run(validate_data.main, "folder", where, "--no_pixels")
    warned += run(validate_data.main, "folder", where + "/gone")
    warned += run(build_dataset.main, "folder", where, out, "--workers=1")
    failed = capfd.readouterr()
    assert "max_reject_share" in failed.err and "error: data.jsonl:" in failed.out
    share = "--max_reject_share=1"
    warned += run(build_dataset.main, "folder", where, out, "--workers=1", share)
    printed = capfd.readouterr()
    assert "left out" in printed.out
    examples = [
        {**core.unpacked(e), "image": None}
        for split in ("train", "validation", "test")
        for e in core.load_source("folder", split, tmp_path / "data")
    ]
    assert len(examples) >= 9
    rejects = next(tmp_path.glob("data/folder/default/*/rejects.jsonl")).read_text()
    assert len(rejects.splitlines()) > 10
    files = [p for p in tmp_path.glob("**/*") if p.is_file()]
    assert len(files) > 5
    everything = [warned, *failed, *printed, json.dumps(examples, default=str)]
    everything += [str(p) + p.read_bytes().decode("latin-1") for p in files]
    text = "\n".join(everything).lower()
    assert [c for c in (*FOLDERS, TAG) if c.lower() in text] == []
