"""The command `predict` from an archive and back to it: fetched, predicted, sent, found again."""

import json

import numpy as np
import pydicom
import pytest

from big_rad import predict
from big_rad.datasets.phantom import export
from big_rad.dicom import web
from big_rad.inference import jobs
from tests.helpers import orthanc, radgrounders
from tests.helpers.dicomweb_calls import ACCESS, PASSWORD

pytest.importorskip("dicomweb_client", reason="pip install 'big_rad[dicom]'")
pytest.importorskip("highdicom", reason="pip install 'big_rad[dicom]'")
pytestmark = pytest.mark.skipif(not (orthanc.PROGRAM and orthanc.PLUGIN), reason=orthanc.MISSING)
TEXT = "The <seg>liver</seg> and the <seg>spleen</seg>."


@pytest.fixture
def url(tmp_path):
    with orthanc.running(tmp_path, "alice", PASSWORD) as found:
        yield found


@pytest.fixture
def model(monkeypatch, tmp_path):
    """Lets the command load a model that marks two places; returns its checkpoint."""
    size = radgrounders.SIZE
    logits = np.full((2, size, size), -1.0)
    logits[0, 2:12, 3:10], logits[1, 15:24, 16:26] = 1, 1
    made = radgrounders.with_masks(TEXT, logits)
    monkeypatch.setattr(predict.RadGrounder, "load", lambda _: made)
    monkeypatch.setattr(jobs.dicom_results.weights, "check", lambda path: None)
    monkeypatch.setattr(jobs.dicom_results.calibration, "digest_of", lambda path: "digest")
    return tmp_path / "checkpoint"


def test_a_study_is_fetched_predicted_and_its_results_are_found(
    url, model, tmp_path, monkeypatch, capfd
):
    export.export(tmp_path / "phantom", 1, size=48, thickness=60.0)
    files = sorted((tmp_path / "phantom" / "dicom").rglob("*.dcm"))
    header = pydicom.dcmread(files[0], stop_before_pixels=True)
    web.send(url, files, access=ACCESS)
    monkeypatch.setenv("DICOMWEB_USER", "alice")
    monkeypatch.setenv("DICOMWEB_PASSWORD", PASSWORD)
    capfd.readouterr()
    out = tmp_path / "out"
    code = predict.main(
        [
            f"--checkpoint={model}", f"--wado={url}", f"--study={header.StudyInstanceUID}",
            f"--out={out}", "--dicom=seg,sr", f"--stow={url}", "--now=2026-01-02T03:04:05",
        ]
    )  # fmt: skip
    printed, said = capfd.readouterr()
    assert code == 0, said
    assert len(printed.splitlines()) == len(files)
    assert "sent 2 DICOM objects" in said
    (place,) = (p for p in out.iterdir() if p.name != "fetched")
    found = web.find(url, study=header.StudyInstanceUID, access=ACCESS)
    assert {(x.modality, x.count) for x in found} == {
        (header.Modality, len(files)), ("SEG", 1), ("SR", 1),
    }  # fmt: skip
    segments = pydicom.dcmread(place / "seg.dcm")
    assert [s.SegmentLabel for s in segments.SegmentSequence] == ["spleen", "liver"]
    assert segments.NumberOfFrames == 2 * len(files)
    plain = json.loads((place / "series.json").read_text())
    assert plain["dicom"] == {"seg": "written to seg.dcm", "sr": "written to sr.dcm"}
    # The patient is named in the DICOM objects alone.
    texts = [
        p.read_text() for p in out.rglob("*") if p.suffix in (".json", ".jsonl", ".csv", ".html")
    ]
    for value in (str(header.PatientName), header.PatientID, header.StudyInstanceUID, PASSWORD):
        assert value and not any(value in text for text in (printed, said, *texts))
    assert str(segments.PatientName) == str(header.PatientName)
