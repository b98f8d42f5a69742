"""P21: DICOM objects written are valid and their geometry is exact.

dciodvfy, a checker that knows nothing of the library that writes them, finds no error in them, and
dcmqi, another reader, finds the masks where they are. The same input gives the same bytes. Values
of the source's header that name the patient are in the objects, and nowhere else.
"""

import copy
import dataclasses
import datetime
import io
import json
import logging
import sys
import traceback
import warnings

import nibabel
import numpy as np
import pydicom
import pytest

from big_rad.dicom import objects, sources
from big_rad.dicom.capture import secondary_capture
from big_rad.dicom.errors import MissingPackageError, WriteError
from big_rad.dicom.segmentation import Segment, segmentation
from big_rad.dicom.structured_report import Box, structured_report
from tests.helpers import dicom_objects as made

pytest.importorskip("highdicom", reason="pip install 'big_rad[dicom]'")
SAMPLES = ["CT_small.dcm", "MR_small.dcm", "J2K_pixelrep_mismatch.dcm", "MR_small_bigendian.dcm"]
CANARY = "Zq7Canary"
CLASSES = (5, 3, 24, 120, 0)


def everything(headers, shape=None, classes=CLASSES):
    """A SEG with all kinds of classes and overlaps, and an SR, of a few slices."""
    height, width = shape or (headers[0].Rows, headers[0].Columns)
    count = int(headers[0].get("NumberOfFrames") or len(headers))
    segments, boxes = [], []
    for n, c in enumerate(classes):
        mask = np.zeros((height, width), bool)
        mask[2 + n : 9 + n, n:9] = True
        segments.append(Segment(c, f"Läsion {c}", f"{c}", {n % count: mask, (n + 1) % count: mask}))
        boxes.append(Box(c, f"Läsion {c}", (n, 2 + n, 9, 9.5 + n), n % count, 0.5, region=n))
    origin = dataclasses.replace(made.ORIGIN, language="de")
    return segmentation(headers, segments, origin), structured_report(headers, boxes, origin)


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    return made.phantom(tmp_path_factory.mktemp("phantom"), thickness=15.0)


@pytest.mark.parametrize("name", SAMPLES)
def test_p21_objects_of_real_images_are_valid(name, tmp_path):
    for written in everything([made.sample(name)]):
        assert made.errors(written, tmp_path) == []


def test_p21_objects_of_a_series_in_any_orientation_are_valid(phantom, tmp_path):
    for order, flips in made.TURNS[11::24]:
        for written in everything(made.turned(*phantom, order, flips)[0]):
            assert made.errors(written, tmp_path) == []


def test_p21_objects_of_a_multi_frame_image_are_valid(phantom, tmp_path):
    for written in everything([made.multiframe(phantom[0])]):
        assert made.errors(written, tmp_path) == []


@pytest.mark.parametrize("shape, kind", [((30, 20), "u1"), ((30, 20), "u2"), ((30, 20, 3), "u1")])
def test_p21_objects_of_a_picture_are_valid(shape, kind, tmp_path):
    pixels = np.arange(np.prod(shape)).astype(kind).reshape(shape)
    picture = secondary_capture(pixels, made.ORIGIN)
    assert made.errors(picture, tmp_path) == []
    assert (made.read(picture).pixel_array == pixels).all()
    for written in everything([picture.dataset]):
        assert made.errors(written, tmp_path) == []
        ds = made.read(written)
        assert ds.StudyInstanceUID == picture.dataset.StudyInstanceUID
    assert secondary_capture(pixels, made.ORIGIN).content() == picture.content()
    with pytest.raises(WriteError, match="uint8"):
        secondary_capture(pixels.astype(np.float32), made.ORIGIN)


def test_p21_a_source_with_little_in_its_header_gives_valid_objects(tmp_path):
    ds = made.sample("CT_small.dcm")
    needed = """SOPClassUID SOPInstanceUID StudyInstanceUID SeriesInstanceUID Modality Rows Columns
        FrameOfReferenceUID ImagePositionPatient ImageOrientationPatient PixelSpacing
        SliceThickness""".split()
    for element in list(ds):
        if element.keyword not in needed:
            del ds[element.tag]
    ds.PatientIdentityRemoved = "YES"
    for written in everything([ds]):
        assert made.errors(written, tmp_path) == []
        assert any("PatientID" in remark for remark in written.remarks)
        assert any("DeidentificationMethod" in remark for remark in written.remarks)


@pytest.mark.parametrize("frames", [False, True])
def test_p21_another_reader_finds_the_masks_where_they_are(phantom, tmp_path, frames):
    headers, labels = phantom
    order, flips = made.TURNS[13]
    turned, turned_labels = made.turned(headers, labels, order, flips)
    source = [made.multiframe(turned)] if frames else turned
    classes = (2, 3, 5)
    written = segmentation(source, made.segments_of(turned_labels, classes), made.ORIGIN)
    written.save(tmp_path / "seg.dcm")
    points = made.by_dcmqi(tmp_path / "seg.dcm", tmp_path)
    back = np.linalg.inv(made.matrix_of(headers))
    about = json.loads((tmp_path / "meta.json").read_text())["segmentAttributes"]
    found = {int(s["labelID"]): s for group in about for s in group}
    volume = {n: nibabel.affines.apply_affine(back, at) for n, at in points.items()}
    for n, c in enumerate(classes, start=1):
        indices = np.rint(volume[n]).astype(int)
        assert np.abs(volume[n] - indices).max() < 1e-3
        assert {*map(tuple, indices)} == {*map(tuple, np.argwhere(labels == c))}
        side = found[n].get("SegmentedPropertyTypeModifierCodeSequence", {}).get("CodeMeaning")
        assert side == {2: "Right", 3: "Left", 5: None}[c]


def test_p21_the_same_input_gives_the_same_bytes():
    now = datetime.datetime.now()
    for first, second in zip(*(everything([made.sample("CT_small.dcm")]) for _ in range(2))):
        assert first.content() == second.content()
        # The dates are those of the content: nothing is taken from the clock.
        assert now.strftime("%Y%m%d").encode() not in first.content()


def test_p21_umlauts_survive_a_source_with_another_character_set():
    ds = made.sample("CT_small.dcm")
    ds.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
    ds.PatientName = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    ds.StudyDescription = "腹部"
    code = pydicom.Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "1", "99X", "検査"
    ds.ProcedureCodeSequence = [code]
    out = io.BytesIO()
    ds.save_as(out)
    out.seek(0)
    source = pydicom.dcmread(out)
    seg, sr = (made.read(written) for written in everything([source]))
    for found in (seg, sr):
        assert found.SpecificCharacterSet == "ISO_IR 192"
        assert str(found.PatientName) == "Yamada^Tarou=山田^太郎=やまだ^たろう"
        assert found.StudyDescription == "腹部"
        assert found.ProcedureCodeSequence[0].CodeMeaning == "検査"
    assert seg.SegmentSequence[0].SegmentLabel == "Läsion 5"
    # Some viewers do not know the character set of the object in the items of sequences.
    assert seg.SegmentSequence[0].SpecificCharacterSet == "ISO_IR 192"
    assert made.only(made.groups(sr)[0], "Comment").SpecificCharacterSet == "ISO_IR 192"
    assert "SpecificCharacterSet" not in sr.ConceptNameCodeSequence[0]
    comment = "Läsion 5, Konfidenz 0.50 (nicht kalibriert), Region 0, KI, ungeprüft"
    assert comment in json.dumps(sr.to_json_dict(), ensure_ascii=False)
    assert str(source.PatientName).startswith("Yamada")  # The source stays as it was.


def test_p21_values_of_the_header_are_in_the_objects_and_nowhere_else(caplog, capfd):
    """Names of one part, for which highdicom prints a warning, and values that break it."""
    caplog.set_level(logging.DEBUG)
    ds = made.sample("CT_small.dcm")
    ds.PatientName = ds.PatientID = ds.AccessionNumber = ds.ReferringPhysicianName = CANARY
    ds.SOPInstanceUID = "1.2.777.1234"
    broken = [
        made.raw(copy.deepcopy(ds), keyword, CANARY.encode())
        for keyword in ("PatientSex", "PatientBirthDate", "StudyDate", "PatientSize", "SOPClassUID",
                        "ImagePositionPatient", "Rows", "Modality")
    ]  # fmt: skip
    told, silent = [], []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for n, source in enumerate([ds, *broken]):
            said = []
            try:
                for written in everything([source], (ds.Rows, ds.Columns), (3,)):
                    assert CANARY.encode() in written.content()
                    said += written.remarks
                    told.append(repr(written))
                told.append(repr(sources.check([source], "SEG")))
            except WriteError:
                said.append(traceback.format_exc())
            told += said
            silent += [] if said else [n]
        warnings.warn("other warnings are heard", stacklevel=1)
        logging.getLogger("highdicom.base").info("other logs are kept")
    assert [str(w.message) for w in caught] == ["other warnings are heard"]
    assert [r.getMessage() for r in caplog.records if "highdicom" in r.name] == [
        "other logs are kept"
    ]
    printed = capfd.readouterr()
    everywhere = "\n".join([*told, caplog.text, printed.out, printed.err])
    assert CANARY not in everywhere and "1.2.777" not in everywhere
    # Each broken source is said to be broken. An odd modality is allowed, and is not copied.
    assert silent == [0, len(broken)]


def test_p21_without_highdicom_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "highdicom", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'big_rad\[dicom\]'"):
        everything([made.sample("CT_small.dcm")])
    with pytest.raises(MissingPackageError):
        objects.package("seg")
