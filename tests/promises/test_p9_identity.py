"""P9: planted patient identifiers appear in no artefact.

Thirty identifiers are written into the tags of every DICOM file, and some of them into the names of
folders. Sound and broken files then go through every command, and everything that is printed or
written is searched for them.
"""

import os
import pathlib
import pickle
import shutil
import subprocess
import sys

import pydicom
import pytest
import zstandard

from big_rad.datasets import core
from big_rad.datasets.phantom import export
from tests.helpers import tiny_run, towers
from tests.published import folder, refrad2d

ROOT = pathlib.Path(__file__).parents[2]
CANARY = "Zq7Canary"
TAGS = """
    PatientName PatientID OtherPatientIDs PatientBirthName PatientMotherBirthName PatientAddress
    PatientTelephoneNumbers PatientComments AdditionalPatientHistory MilitaryRank EthnicGroup
    Occupation AccessionNumber StudyID StudyDescription SeriesDescription ProtocolName
    InstitutionName InstitutionAddress InstitutionalDepartmentName ReferringPhysicianName
    PerformingPhysicianName OperatorsName NameOfPhysiciansReadingStudy StationName
    RequestingPhysician AdmissionID ImageComments
""".split()
STRINGS = [f"{CANARY}{n:02d}" for n in range(30)]


def plant(ds):
    for tag, canary in zip(TAGS, STRINGS):
        setattr(ds, tag, canary)
    block = ds.private_block(0x0011, STRINGS[28], create=True)
    block.add_new(1, "LO", STRINGS[29])


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Source data in a folder that is named after a patient; a tenth of the images is broken."""
    assert len(TAGS) == 28
    base = tmp_path_factory.mktemp("p9")
    source = base / f"{STRINGS[0]}^Jane"
    refrad2d.write(source / "refrad2d", sentences=8)
    for n, path in enumerate(sorted((source / "refrad2d").rglob("*.dcm.zst"))):
        plain = zstandard.ZstdDecompressor().decompressobj().decompress(path.read_bytes())
        ds = pydicom.dcmread(pydicom.filebase.DicomBytesIO(plain))
        plant(ds)
        out = pydicom.filebase.DicomBytesIO()
        ds.save_as(out)
        data = out.getvalue()
        if n % 10 == 3:
            data = [data[: len(data) // 2], data.replace(b"ISO_IR", b"XSO_IR"), b"x"][n // 10 % 3]
        path.write_bytes(zstandard.compress(data))
    folder.write(source / "folder", folder=STRINGS[1], canary=CANARY)
    return base, source


def printed(*command):
    done = subprocess.run(
        [sys.executable, "-m", *map(str, command)],
        capture_output=True, text=True, cwd=ROOT, timeout=500,
        env={**os.environ, "PYTHONPATH": tiny_run.PATH},
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def search(base, source):
    """Yields each file outside the source folder, with its name and its content."""
    for path in base.rglob("*"):
        if source in (path, *path.parents):
            continue
        assert CANARY not in path.name
        if path.is_file():
            yield path, path.read_bytes()


@pytest.mark.slow
def test_p9_planted_identifiers_appear_in_no_artefact(places):
    base, source = places
    data, out = base / "data", base / "out"
    config = "--config=configs/radgrounder_det.py:variant=tiny,size=28,data=internal"
    small = [
        "--config.total_epochs=0.5", "--config.input.batch_size=4",
        "--config.grad_accum=1", "--config.evals.refrad2d_en.limit=2",
        "--config.evals.refrad2d_de.limit=2", "--config.evals.refrad2d_en.max_new_tokens=4",
        "--config.evals.refrad2d_de.max_new_tokens=4",
    ]  # fmt: skip
    dicom = next(p for p in sorted((source / "folder").rglob("*.dcm")))
    broken = next(p for p in (source / "refrad2d").rglob("*.dcm.zst") if p.stat().st_size < 99)
    commands = {
        "validate": ["tools.validate_data", "refrad2d", f"--source={source / 'refrad2d'}"],
        "validate folder": ["tools.validate_data", "folder", f"--source={source / 'folder'}"],
        "build": ["tools.build_dataset", "refrad2d", f"--source={source / 'refrad2d'}"],
        "build folder": ["tools.build_dataset", "folder", f"--source={source / 'folder'}"],
        "inspect": ["tools.inspect_data", config, f"--data_dir={data}", f"--out={out}/page.html"],
        "train": ["big_rad.train", config, *small, f"--data_dir={data}", f"--workdir={out}/run"],
        "predict": ["big_rad.predict", f"--checkpoint={out}/run", dicom, f"--out={out}/predicted"],
        "predict broken": ["big_rad.predict", f"--checkpoint={out}/run", broken],
    }
    searched = [f"--data_dir={data}", "--data=folder:train", "--query=liver"]
    for name, image in {"search": dicom, "search broken": broken}.items():
        asked = [f"--checkpoint={towers.write_run(base / 'towers')}", f"--image={image}"]
        commands[name] = ["tools.retrieve", *asked, *searched, f"--out={out}/search.html"]
    codes = {}
    for name, command in commands.items():
        if name.startswith("build"):
            command = [*command, f"--data_dir={data}", "--max_reject_share=0.5"]
        codes[name], text = printed(*command)
        assert CANARY not in text, name
    fails = {"validate": 1, "predict broken": 2, "search broken": 2}
    assert {k: v for k, v in codes.items() if v} == fails
    seen = 0
    for path, content in search(base, source):
        assert CANARY.encode() not in content, path
        seen += 1
    assert seen > 20 and (out / "search.html").exists() and (out / "search.parquet").exists()
    rejects = next(data.glob("refrad2d/default/*/rejects.jsonl")).read_text().splitlines()
    assert rejects
    for name in ("refrad2d", "folder"):
        for example in core.load_source(name, "train", data):
            images = [core.unpacked(i) for i in core.images_of(example)]
            assert CANARY.encode() not in pickle.dumps((example, images))


def test_p9_a_series_names_its_patient_in_its_dicom_objects_alone(tmp_path):
    """Also folders and files of series are named after patients."""
    pytest.importorskip("highdicom")
    planted, source = "1.2.777.1234", tmp_path / f"{STRINGS[0]}^Jane"
    export.export(tmp_path / "phantom", 2, size=32, thickness=60.0)
    series = source / STRINGS[1]
    series.mkdir(parents=True)
    for n, path in enumerate(sorted((tmp_path / "phantom/dicom/P000001").iterdir())):
        ds = pydicom.dcmread(path)
        plant(ds)
        ds.StudyInstanceUID, ds.SeriesInstanceUID = f"{planted}.1", f"{planted}.2"
        ds.FrameOfReferenceUID = f"{planted}.3"
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{planted}.4.{n}"
        ds.save_as(series / f"{CANARY}_{n}.dcm")
    shutil.rmtree(tmp_path / "phantom")
    (series / "broken.dcm").write_bytes(b"\0" * 128 + b"DICM" + CANARY.encode())
    out = tmp_path / "out"
    code, text = printed(
        "tests.helpers.predict_looking", f"--checkpoint={tmp_path}", source, f"--out={out}",
        "--dicom=seg,sr",
    )  # fmt: skip
    assert code == 2 and text.count("\n") > n  # Of the broken file.
    assert CANARY not in text and planted not in text
    objects = []
    for path, content in search(tmp_path, source):
        if path.name in ("seg.dcm", "sr.dcm"):
            assert STRINGS[0].encode() in content and f"{planted}.1".encode() in content
            objects.append(path)
        else:
            assert CANARY.encode() not in content and planted.encode() not in content, path
    assert len(objects) == 2
    assert len(list(out.glob("*/slices/*.json"))) == n + 1 and list(out.glob("*/series.html"))
