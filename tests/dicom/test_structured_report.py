import copy
import dataclasses

import numpy as np
import pytest

from big_rad.dicom import structured_report as sr
from big_rad.dicom.errors import WriteError
from big_rad.dicom.structured_report import Box
from tests.helpers import dicom_objects as made
from tests.helpers.dicom_objects import content, groups, only

highdicom = pytest.importorskip("highdicom", reason="pip install 'big_rad[dicom]'")
CT = made.sample("CT_small.dcm")
GERMAN = dataclasses.replace(made.ORIGIN, language="de")
LIVER = Box(5, "liver", (1.25, 2.5, 30.0, 40.125), 0, confidence=0.806)


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    return made.phantom(tmp_path_factory.mktemp("phantom"))[0]


def write(headers, boxes, origin=made.ORIGIN):
    return sr.structured_report(headers, boxes, origin)


def test_the_edges_of_a_box_are_written_as_they_are():
    boxes = [
        LIVER,
        Box(1, "all", (0, 0, CT.Columns, CT.Rows), 0),
        Box(2, "x", (0.3, 7.7, 99.9, 64), 0),
    ]
    found = groups(made.read(write([CT], boxes)))
    for box, group in zip(boxes, found, strict=True):
        region = only(group, "Image Region")
        x1, y1, x2, y2 = np.float32(box.box)
        assert region.GraphicType == "POLYLINE" and region.ValueType == "SCOORD"
        assert list(region.GraphicData) == [x1, y1, x2, y1, x2, y2, x1, y2, x1, y1]
        [image] = region.ContentSequence
        assert image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == CT.SOPInstanceUID
        assert only(group, "Geometric purpose of region").ConceptCodeSequence[0].CodeValue == (
            "75958009"
        )


def test_a_confidence_is_text_and_never_a_number():
    """Cornerstone shows no box whose group has a number."""
    [group] = groups(made.read(write([CT], [dataclasses.replace(LIVER, region=2)])))
    assert only(group, "Comment").TextValue == (
        "liver, confidence 0.81 (uncalibrated), region 2, AI, unverified"
    )
    assert "NUM" not in {item.ValueType for item in group.ContentSequence}


@pytest.mark.parametrize(
    "box, language, expected",
    [
        (Box(5, "liver", (0, 0, 1, 1), 0), "en", "liver, AI, unverified"),
        (
            Box(5, "liver", (0, 0, 1, 1), 0, 0.5, calibrated=True),
            "en",
            "liver, confidence 0.50, AI, unverified",
        ),
        (
            Box(3, "linke  Niere", (0, 0, 1, 1), 0, 0.5, region=1),
            "de",
            "linke Niere, Konfidenz 0.50 (nicht kalibriert), Region 1, KI, ungeprüft",
        ),
    ],
)
def test_the_comment_says_how_sure_the_model_is(box, language, expected):
    assert box.comment(language) == expected


def test_the_finding_has_the_code_of_the_class_with_its_side():
    boxes = [Box(c, "x", (0, 0, 5, 5), 0) for c in (3, 24, 52, 0)]
    expected = [("Kidney", "Kidney", "Left"), ("Cyst", "Kidney", "Right"), ("Aorta", "Aorta", None)]
    *known, unknown = groups(made.read(write([CT], boxes)))
    for group, (kind, place, side) in zip(known, expected, strict=True):
        assert only(group, "Finding").ConceptCodeSequence[0].CodeMeaning == kind
        site = only(group, "Finding Site")
        assert site.ConceptCodeSequence[0].CodeMeaning == place
        sides = [i.ConceptCodeSequence[0].CodeMeaning for i in content(site, "Laterality")]
        assert sides == ([side] if side else [])
    assert only(unknown, "Finding").ConceptCodeSequence[0].CodeMeaning == "Body structure"
    assert not list(content(unknown, "Finding Site"))


def test_each_box_has_a_tracking_uid_of_its_own():
    found = groups(made.read(write([CT], [LIVER, LIVER])))
    uids = {only(g, "Tracking Unique Identifier").UID for g in found}
    assert len(uids) == 2 and all(uid.startswith("2.25.") for uid in uids)
    names = {only(g, "Tracking Identifier").TextValue for g in found}
    assert names == {"Cornerstone3DTools@^0.1.0:RectangleROI"}


def test_it_is_preliminary_and_unverified():
    ds = made.read(write([CT], [LIVER]))
    flags = ds.CompletionFlag, ds.PreliminaryFlag, ds.VerificationFlag
    assert flags == ("COMPLETE", "PRELIMINARY", "UNVERIFIED")
    assert "AI output, unverified; not for diagnostic use" in ds.SeriesDescription
    assert only(ds, "Device Observer Name").TextValue == "RadGrounder 3B"
    assert only(ds, "Algorithm Version").TextValue == "0.1.0"
    assert ds.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    assert ds.SOPClassUID.name == "Comprehensive 3D SR Storage"


@pytest.mark.parametrize(
    "origin, code, meaning", [(made.ORIGIN, "en", "English"), (GERMAN, "de", "German")]
)
def test_the_language_is_that_of_the_phrases(origin, code, meaning):
    [language] = made.read(write([CT], [LIVER], origin)).ContentSequence[:1]
    [found] = language.ConceptCodeSequence
    assert (found.CodeValue, found.CodeMeaning) == (code, meaning)
    with pytest.raises(WriteError, match="'fr'"):
        dataclasses.replace(origin, language="fr")


@pytest.mark.parametrize(
    "modality, code", [("CT", "25045-6"), ("MR", "25056-3"), ("CR", "363679005")]
)
def test_the_procedure_is_that_of_the_modality(modality, code):
    ds = copy.deepcopy(CT)
    ds.Modality = modality
    reported = only(made.read(write([ds], [LIVER])), "Procedure reported")
    assert reported.ConceptCodeSequence[0].CodeValue == code


def test_the_image_library_has_each_image_with_a_box_once(phantom):
    ds = made.read(write(phantom, [Box(5, "x", (0, 0, 5, 5), k) for k in (4, 1, 4)]))
    found = [
        i.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        for i in content(only(ds, "Image Library"), "Source")
    ]
    assert found == [phantom[k].SOPInstanceUID for k in (1, 4)]
    [study] = ds.CurrentRequestedProcedureEvidenceSequence
    [series] = study.ReferencedSeriesSequence
    evidence = [i.ReferencedSOPInstanceUID for i in series.ReferencedSOPSequence]
    assert sorted(evidence) == sorted(found)


def test_boxes_of_a_multi_frame_source_name_their_frames(phantom):
    source = made.multiframe(phantom)
    ds = made.read(write([source], [Box(5, "x", (0, 0, 5, 5), k) for k in (3, 0)]))
    for group, number in zip(groups(ds), (4, 1), strict=True):
        [image] = only(group, "Image Region").ContentSequence
        [reference] = image.ReferencedSOPSequence
        assert reference.ReferencedFrameNumber == number
        assert reference.ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert len(list(content(only(ds, "Image Library"), "Source"))) == 1


def test_a_radiograph_without_geometry_is_enough():
    ds = copy.deepcopy(CT)
    ds.SOPClassUID, ds.Modality = "1.2.840.10008.5.1.4.1.1.1", "CR"
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing",
                    "SliceThickness", "FrameOfReferenceUID"):  # fmt: skip
        delattr(ds, keyword)
    [group] = groups(made.read(write([ds], [LIVER])))
    assert only(group, "Image Region").GraphicData[0] == 1.25


@pytest.mark.parametrize("change", [{"created": None}, {"version": " "}, {"fingerprint": ""}])
def test_an_origin_that_says_nothing_is_an_error(change):
    with pytest.raises(WriteError, match=next(iter(change))):
        dataclasses.replace(made.ORIGIN, **change)


def test_no_box_means_no_report():
    assert write([CT], []) is None


@pytest.mark.parametrize(
    "change, words",
    [
        ({"box": (0, 0, 129, 5)}, "leaves its image of 128 x 128"),
        ({"box": (-0.5, 0, 5, 5)}, "leaves its image"),
        ({"box": (5, 0, 5, 5)}, "empty"),
        ({"box": (0, 0, float("nan"), 5)}, "empty or leaves"),
        ({"class_id": 122}, "class id 122"),
        ({"confidence": 1.5}, "confidence 1.5"),
    ],
)
def test_impossible_boxes_are_errors(change, words):
    with pytest.raises(WriteError, match=words):
        write([CT], [dataclasses.replace(LIVER, **change)])


def test_highdicom_reads_the_boxes_back():
    report = highdicom.sr.Comprehensive3DSR.from_dataset(made.read(write([CT], [LIVER])))
    [group] = report.content.get_planar_roi_measurement_groups()
    assert np.allclose(group.roi.value, sr.polygon(LIVER.box))
    assert group.finding_type.meaning == "Liver"
