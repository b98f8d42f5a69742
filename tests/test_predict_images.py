"""`predict` on images that are rotated, lack metadata or have doubtful metadata.

The model writes a fixed text, so nothing is compiled.
"""

import json
import math
import unicodedata

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset

from big_rad import predict
from big_rad.dicom.read import read
from big_rad.pp import tokenizer as tokenizers
from tests.helpers import radgrounders
from tests.helpers.dicom_files import content, dataset

# A box around the upper left quarter of the image that the model sees.
TEXT = "The <p bbox=<loc0000><loc0000><loc0256><loc0256> id=<seg005>>liver</p>."
HU = np.linspace(-1000, 1500, 64 * 48).reshape(64, 48).astype(np.int16)


def model(seen):
    """Returns a stand-in for the model that writes TEXT and adds the images it sees to `seen`."""
    tokenizer = tokenizers.load("tiny")

    def answer_batch(params, batch, *, max_new_tokens):
        seen.append(batch["image"][0])
        ids = tokenizer.encode(TEXT, eos=True, specials=True)
        tokens = np.zeros((1, max_new_tokens), np.int32)
        tokens[0, : len(ids)] = ids
        return {"tokens": tokens, "logprob": np.array([math.log(0.5)]), "length": [len(ids)]}

    return radgrounders.build(None, {}, tokenizer, generate_fn=answer_batch)


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs the command line; returns exit code, JSON by image, errors and what the model saw."""
    seen = []
    monkeypatch.setattr(predict.RadGrounder, "load", lambda _: model(seen))

    def command(*args):
        code = predict.main(["--checkpoint=x", *map(str, args)])
        out, err = capsys.readouterr()
        several = out.count("\n") if out.startswith('{"') else 0
        lines = out.splitlines() if several else [out] if out else []
        return code, [json.loads(line) for line in lines], err, seen

    return command


def dicom(path, pixels=HU, columns=1, rows=1, exchanged=False, **fields):
    pixels = np.ascontiguousarray(pixels[::rows, ::columns]).astype(np.int16)
    vectors = [columns, 0, 0], [0, rows, 0]
    if exchanged:
        pixels, vectors = np.ascontiguousarray(pixels.T), vectors[::-1]
    fields = {"RescaleIntercept": 0, "ImageOrientationPatient": [*vectors[0], *vectors[1]]} | fields
    path.write_bytes(content(dataset(pixels, **fields)))
    return path


@pytest.mark.parametrize(
    ("stored", "box", "turned"),
    [
        ({}, [0, 0, 24, 32], ""),
        ({"columns": -1}, [24, 0, 48, 32], "mirrored left to right"),
        ({"rows": -1}, [0, 32, 24, 64], "mirrored top to bottom"),
        ({"columns": -1, "rows": -1}, [24, 32, 48, 64], "turned by 180 degrees"),
        ({"exchanged": True}, [0, 0, 32, 24], "rows and columns exchanged"),
    ],
)
def test_the_model_sees_the_usual_display_and_boxes_come_back(run, tmp_path, stored, box, turned):
    usual, other = dicom(tmp_path / "usual.dcm"), dicom(tmp_path / "other.dcm", **stored)
    code, plain, err, seen = run(usual, other)
    assert (code, err) == (0, "")
    np.testing.assert_array_equal(seen[0], seen[1])
    assert plain[1]["entities"][0]["box"] == box
    assert (plain[1]["width"], plain[1]["height"]) == (
        (64, 48) if "exchanged" in stored else (48, 64)
    )
    assert plain[1]["orientation"]["turned"] == turned
    assert plain[1]["orientation"]["seen"] == "LP"
    assert plain[1]["orientation"]["stored"] == read(other).orientation


def test_as_stored_shows_the_stored_pixels_and_says_so(run, tmp_path):
    code, plain, _, seen = run(
        dicom(tmp_path / "usual.dcm"), dicom(tmp_path / "other.dcm", columns=-1), "--as_stored"
    )
    assert code == 0 and not np.array_equal(seen[0], seen[1])
    assert plain[1]["orientation"] == {"stored": "RP", "seen": "RP", "turned": ""}
    assert plain[1]["entities"][0]["box"] == [0, 0, 24, 32]
    assert "left and right are not as usually shown" in plain[1]["warnings"][0]
    assert plain[0]["warnings"] == []


def test_an_unknown_or_oblique_orientation_is_said(run, tmp_path):
    unknown = dicom(tmp_path / "a.dcm", ImageOrientationPatient=None)
    oblique = dicom(tmp_path / "b.dcm", ImageOrientationPatient=[1, 0, 0, 0, 0.74, 0.67])
    code, plain, _, _ = run(unknown, oblique)
    assert code == 0
    assert "does not say how the patient lies" in plain[0]["warnings"][0]
    assert plain[0]["orientation"] == {"stored": None, "seen": None, "turned": ""}
    assert "oblique" in plain[1]["warnings"][0]


def silent(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    if kind == "npy":
        np.save(path, HU)
    elif kind == "png":
        Image.fromarray((HU + 1024).astype(np.uint16)).save(path)
    else:
        volume = np.stack([HU.T] * 3, axis=-1)
        nib.save(nib.Nifti1Image(volume, np.diag([-1, -1, 1, 1.0])), path)
    return path


@pytest.mark.parametrize("kind", ["npy", "png", "nii", "nii.gz"])
def test_grey_values_of_unknown_modality_are_refused_and_the_option_named(run, tmp_path, kind):
    path = silent(tmp_path, kind)
    frame = ["--frame=1"] * kind.startswith("nii")
    code, plain, err, _ = run(path, *frame)
    assert (code, plain) == (2, []) and path.name in err and "--modality" in err
    code, plain, err, _ = run(path, "--modality=CT", *frame)
    assert code == 0 and plain[0]["modality"] == "CT", err
    with pytest.raises(ValueError, match="--modality" if kind in ("npy", "png") else "--frame"):
        model([]).report(path)


def test_a_volume_is_a_series_and_a_frame_of_it_a_slice_in_any_plane(run, tmp_path):
    path = silent(tmp_path, "nii.gz")
    code, plain, err, _ = run(path, "--modality=CT")
    assert code == 0, err
    assert [p["slice"] for p in plain] == [0, 1, 2] and {p["plane"] for p in plain} == {"axial"}
    code, plain, _, _ = run(path, "--modality=CT", "--plane=coronal", "--frame=9")
    assert code == 0 and (plain[0]["plane"], plain[0]["height"]) == ("coronal", 3)


def test_a_plane_that_the_file_contradicts_is_said_and_any_other_is_taken(run, tmp_path):
    axial, oblique, silent = (tmp_path / f"{n}.dcm" for n in ("axial", "oblique", "silent"))
    dicom(axial)
    dicom(oblique, ImageOrientationPatient=[0.7071, 0, 0.7071, 0, 1, 0])
    silent.write_bytes(content(dataset(HU)))
    for path, plane in ((axial, "axial"), (oblique, "")):
        (read,) = run(path, "--plane=coronal")[1]
        assert read["plane"] == plane
        assert any("--plane=coronal is not used" in w for w in read["warnings"])
    np.save(tmp_path / "a.npy", HU)
    Image.fromarray(np.full((30, 20), 99, np.uint8)).save(tmp_path / "a.png")
    for path in (silent, tmp_path / "a.npy", tmp_path / "a.png"):
        (read,) = run(path, "--plane=coronal", "--modality=OT")[1]
        assert read["plane"] == "coronal" and not any("--plane" in w for w in read["warnings"])
    assert not any("--plane" in w for w in run(axial, "--plane=axial")[1][0]["warnings"])


def test_pictures_of_8_bits_are_ot_and_say_so(run, tmp_path):
    path = tmp_path / "a.jpg"
    Image.fromarray(np.full((30, 20, 3), 99, np.uint8)).save(path)
    code, plain, _, _ = run(path)
    assert code == 0 and plain[0]["modality"] == "OT" and "--modality" in plain[0]["warnings"][0]
    assert run(path, "--modality=OT")[1][0]["warnings"] == []


def test_ct_that_is_no_hu_is_warned_of_and_an_offset_mends_it(run, tmp_path):
    np.save(tmp_path / "shifted.npy", HU + 1024)
    np.save(tmp_path / "hu.npy", HU)
    shifted, hu = tmp_path / "shifted.npy", tmp_path / "hu.npy"
    code, plain, _, seen = run(shifted, "--modality=CT")
    assert code == 0 and "like HU + 1024" in plain[0]["warnings"][0]
    code, plain, _, seen = run(shifted, "--modality=CT", "--offset=-1024")
    assert code == 0 and plain[0]["warnings"] == []
    run(hu, "--modality=CT")
    np.testing.assert_array_equal(seen[-1], seen[-2])
    code, _, err, _ = run(hu, "--modality=MR", "--offset=-1024")
    assert code == 2 and "--offset" in err


def test_one_bad_file_does_not_stop_the_others(run, tmp_path):
    good = [dicom(tmp_path / f"{n}.dcm") for n in range(2)]
    bad = tmp_path / "broken.dcm"
    bad.write_bytes(good[0].read_bytes()[:300])
    code, plain, err, _ = run(good[0], bad, tmp_path / "gone.dcm", good[1], f"--out={tmp_path}/o")
    assert code == 2
    assert [p["file"] for p in plain] == ["0", "1"]
    assert [line.split(": ")[1] for line in err.splitlines()] == ["broken.dcm", "gone.dcm"]
    assert sorted(p.name for p in (tmp_path / "o").glob("*.json")) == ["0.json", "1.json"]


def test_a_name_in_another_unicode_form_is_the_same_name(run, tmp_path):
    dicom(tmp_path / unicodedata.normalize("NFD", "Müller.dcm"))
    code, plain, err, _ = run(tmp_path / unicodedata.normalize("NFC", "Müller.dcm"))
    assert code == 0 and len(plain) == 1, err


def test_frames_of_one_file_are_turned_by_their_own_orientation(run, tmp_path):
    ds = dataset(np.stack([HU, HU[:, ::-1]]), NumberOfFrames=2, RescaleIntercept=0)
    groups = []
    for columns in (1, -1):
        plane, group = Dataset(), Dataset()
        plane.ImageOrientationPatient = [columns, 0, 0, 0, 1, 0]
        group.PlaneOrientationSequence = [plane]
        groups.append(group)
    ds.PerFrameFunctionalGroupsSequence = groups
    (tmp_path / "a.dcm").write_bytes(content(ds))
    assert run(tmp_path / "a.dcm")[0] == 2
    for frame in (0, 1):
        code, plain, err, seen = run(tmp_path / "a.dcm", f"--frame={frame}")
        assert code == 0, err
    np.testing.assert_array_equal(seen[-1], seen[-2])
    assert plain[0]["orientation"]["turned"] == "mirrored left to right"
