"""P21 through the command: what a model marks in the image that it sees is marked in the patient.

The model of these tests marks what is bright in its input. So a SEG or an SR is right if it marks
the bright pixels of the source, however the source was read, turned and resized. The SEG and SR are
read by the standard alone, by dcmqi, and checked by dciodvfy.
"""

import json
import os

import nibabel
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.data import get_testdata_file

from big_rad import predict
from big_rad.inference import jobs
from tests.helpers import dicom_objects as made
from tests.helpers import radgrounders

pytest.importorskip("highdicom", reason="pip install 'big_rad[dicom]'")
# In the suite three of the 48 orientations, and in `make prove` all.
STEP = int(os.environ.get("BIG_RAD_TURN_STEP", "17"))
SIZE = 20
# The HU of organs, and the levels between which the model marks them in the widest window.
HU = {"liver": 300, "spleen": 700}
CLASS = {"liver": 5, "spleen": 1}
MARKS = {"liver": (0.2, 0.5), "spleen": (0.5, 0.9)}


@pytest.fixture
def run(monkeypatch, tmp_path, capfd):
    """Runs the command with a model that looks; returns the folder of the series and errors."""
    monkeypatch.setattr(jobs.dicom_results.weights, "check", lambda path: None)
    monkeypatch.setattr(jobs.dicom_results.calibration, "digest_of", lambda path: "digest")

    def command(source, *options, marks=MARKS, size=SIZE, masks=True):
        model = radgrounders.looking(marks, size, masks=masks)
        monkeypatch.setattr(predict.RadGrounder, "load", lambda _: model)
        out = tmp_path / "out"
        code = predict.main(
            [f"--checkpoint={tmp_path}", str(source), f"--out={out}", "--dicom=seg,sr", *options]
        )
        printed, said = capfd.readouterr()
        assert code == 0, said
        [place] = out.iterdir()
        return place, printed + said

    return command


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    """A patient in a cube, as (headers, labels)."""
    headers, labels = made.phantom(tmp_path_factory.mktemp("phantom"), 1, SIZE, 280 / SIZE - 1e-6)
    assert labels.shape == (SIZE, SIZE, SIZE), "choose a patient whose abdomen is examined"
    return headers, np.where(np.isin(labels, list(CLASS.values())), labels, 0)


def with_pixels(ds, labels):
    """Adds the pixels of label maps to a header: air, and organs of their own brightness."""
    pixels = np.full(labels.shape, -1000, np.int32)
    for name, value in HU.items():
        pixels[labels == CLASS[name]] = value
    ds.PixelData = (pixels + 1024).astype("<u2").tobytes()
    ds["PixelData"].VR = "OW"
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    return ds


def write(headers, labels, folder):
    """Writes the files of a series in an order that is not that of its positions."""
    folder.mkdir()
    for k, ds in enumerate(headers):
        ds = with_pixels(ds, labels[k])
        ds.InstanceNumber = (7 * k) % len(headers) + 1
        ds.save_as(folder / f"IM{ds.InstanceNumber}.dcm", enforce_file_format=True)
    return folder


def check_files(place):
    """The written objects, which dciodvfy finds right."""
    for name in ("seg.dcm", "sr.dcm"):
        assert made.errors_of_file(place / name) == []
    return pydicom.dcmread(place / "seg.dcm"), pydicom.dcmread(place / "sr.dcm")


def masks_of(seg):
    """The masks of a SEG by the image or frame that they are about and by class name."""
    names = {s.SegmentNumber: s.SegmentLabel for s in seg.SegmentSequence}
    found = {}
    for number, reference, matrix, mask in made.frames_of(seg):
        frame = reference.get("ReferencedFrameNumber")
        key = (reference.ReferencedSOPInstanceUID, frame, names[number].split(" (")[0])
        seen = found.setdefault(key, (np.zeros_like(mask), matrix))
        found[key] = seen[0] | mask, matrix
    return found


@pytest.mark.parametrize("turn", range(5, len(made.TURNS), STEP))
def test_p21_what_the_model_sees_is_marked_in_a_series_of_any_orientation(
    run, phantom, turn, tmp_path
):
    headers, labels = made.turned(*phantom, *made.TURNS[turn])
    place, _ = run(write(headers, labels, tmp_path / "series"))
    seg, sr = check_files(place)
    expected, boxes = {}, []
    for ds, label in zip(headers, labels, strict=True):
        for name, class_id in CLASS.items():
            if (label == class_id).any():
                expected[ds.SOPInstanceUID, None, name] = label == class_id
                boxes.append((ds.SOPInstanceUID, None, radgrounders.box_of(label == class_id)))
    found = masks_of(seg)
    assert len(expected) > SIZE / 4 and found.keys() == expected.keys()
    whole = made.matrix_of(headers)
    for k, ds in enumerate(headers):
        for name in CLASS:
            key = (ds.SOPInstanceUID, None, name)
            if key in expected:
                mask, matrix = found[key]
                assert (mask == expected[key]).all()
                start = whole @ [k, 0, 0, 1]
                assert np.abs(matrix[:, 3] - start).max() < 1e-4
                assert np.abs(matrix[:, 1:3] - whole[:, 1:3]).max() < 1e-6
    assert sorted(made.boxes_of(sr)) == sorted(boxes)
    points = made.by_dcmqi(place / "seg.dcm", tmp_path)
    for segment in seg.SegmentSequence:
        got = nibabel.affines.apply_affine(np.linalg.inv(whole), points[segment.SegmentNumber])
        voxels = np.argwhere(labels == CLASS[segment.SegmentLabel.split(" (")[0]])
        if "(" not in segment.SegmentLabel:
            assert len(got) == len(voxels)
        assert np.abs(got - np.rint(got)).max() < 1e-3
        assert {*map(tuple, np.rint(got).astype(int))} <= {*map(tuple, voxels)}


def test_p21_boxes_as_tokens_come_back_to_the_stored_pixels(run, phantom, tmp_path):
    """A box model writes no SEG, and its boxes are exact to a bin."""
    headers, labels = made.turned(*phantom, *made.TURNS[22])
    place, said = run(write(headers, labels, tmp_path / "series"), masks=False)
    assert not (place / "seg.dcm").exists() and "a box is never drawn as a mask" in said
    assert made.errors_of_file(place / "sr.dcm") == []
    expected = {
        (ds.SOPInstanceUID, class_id): radgrounders.box_of(label == class_id)
        for ds, label in zip(headers, labels, strict=True)
        for class_id in CLASS.values()
        if (label == class_id).any()
    }
    sr = pydicom.dcmread(place / "sr.dcm")
    boxes = sorted((name, box) for name, _, box in made.boxes_of(sr))
    wanted = sorted((key[0], box) for key, box in expected.items())
    assert [name for name, _ in boxes] == [name for name, _ in wanted]
    far = np.subtract([box for _, box in boxes], [box for _, box in wanted])
    assert np.abs(far).max() <= SIZE / 512 + 1e-6


def test_p21_a_multi_frame_mr_is_marked_in_its_frames(run, phantom, tmp_path):
    headers, labels = made.turned(*phantom, *made.TURNS[13])
    ds = with_pixels(made.multiframe(headers), labels)
    ds.Modality = "MR"
    for keyword in ("RescaleSlope", "RescaleIntercept", "RescaleType", "WindowCenter"):
        if keyword in ds:
            delattr(ds, keyword)
    path = tmp_path / "enhanced.dcm"
    ds.save_as(path, enforce_file_format=True)
    # An MR is shown from its lowest to its highest values, so each bright organ is near 1.
    place, _ = run(path, marks={"liver": (0.5, 2.0)})
    seg, _ = check_files(place)
    plain = json.loads((place / "series.json").read_text())
    assert plain["predicted"] == SIZE
    for (name, frame, _), (mask, matrix) in masks_of(seg).items():
        assert name == ds.SOPInstanceUID
        assert mask.any() and not (mask & (labels[frame - 1] == 0)).any()
        place_of = headers[frame - 1].ImagePositionPatient
        assert np.abs(matrix[:3, 3] - np.array(place_of, float)).max() < 1e-4


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small.dcm", "J2K_pixelrep_mismatch.dcm"])
def test_p21_masks_of_real_images_are_those_of_the_prediction(run, name, tmp_path):
    source = get_testdata_file(name)
    place, _ = run(source, marks={"liver": (0.0, 0.4), "spleen": (0.3, 1.0)}, size=28)
    seg, sr = check_files(place)
    [path] = (place / "slices").glob("*.json")
    plain = json.loads(path.read_text())
    ds = pydicom.dcmread(source, stop_before_pixels=True)
    found = masks_of(seg)
    assert len(found) == len(plain["entities"]) > 0
    for entity in plain["entities"]:
        with Image.open(path.parent / entity["mask"]) as picture:
            drawn = np.asarray(picture)
        assert drawn.shape == (ds.Rows, ds.Columns)
        assert (found[ds.SOPInstanceUID, None, entity["class_name"]][0] == drawn).all()
    boxes = [tuple(e["box"]) for e in plain["entities"]]
    assert sorted(box for _, _, box in made.boxes_of(sr)) == sorted(boxes)
