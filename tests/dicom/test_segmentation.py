import copy
import dataclasses
import itertools

import numpy as np
import pytest

from big_rad.dicom import codes
from big_rad.dicom.errors import SourceError, WriteError
from big_rad.dicom.segmentation import Segment, segmentation
from tests.helpers import dicom_objects as made

highdicom = pytest.importorskip("highdicom", reason="pip install 'big_rad[dicom]'")
CLASSES = (2, 3, 5, 52)
CT = made.sample("CT_small.dcm")


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    return made.phantom(tmp_path_factory.mktemp("phantom"))


def shape(ds=CT, rows=slice(3, 9), columns=slice(5, 20)):
    mask = np.zeros((ds.Rows, ds.Columns), bool)
    mask[rows, columns] = True
    return mask


def write(headers, segments, origin=made.ORIGIN):
    return segmentation(headers, segments, origin)


@pytest.mark.parametrize("order, flips", made.TURNS[::9])
def test_each_pixel_lies_where_its_label_lies_in_the_patient(phantom, order, flips):
    upright, labels = phantom
    back = np.linalg.inv(made.matrix_of(upright))
    headers, turned = made.turned(upright, labels, order, flips)
    found = {c: np.zeros(labels.shape, bool) for c in CLASSES}
    ds = made.read(write(headers, made.segments_of(turned, CLASSES)))
    for number, reference, matrix, mask in made.frames_of(ds):
        k = int(reference.ReferencedSOPInstanceUID.rsplit(".")[-1]) - 1
        assert (mask == (turned[k] == CLASSES[number - 1])).all()
        rows, columns = np.nonzero(mask)
        points = matrix @ [0 * rows, rows, columns, 1 + 0 * rows]
        indices = (back @ points)[:3]
        assert np.abs(indices - np.rint(indices)).max() < 1e-3
        found[CLASSES[number - 1]][tuple(np.rint(indices).astype(int))] = True
    for c in CLASSES:
        assert (found[c] == (labels == c)).all() and found[c].any()


def test_the_geometry_is_that_of_the_source_to_the_letter():
    ds = made.read(write([CT], [Segment(5, "liver", "a", {0: shape()})]))
    sizes = ds.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    orientation = ds.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0]
    position = ds.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0]
    for item, keyword in (
        (sizes, "PixelSpacing"),
        (sizes, "SliceThickness"),
        (orientation, "ImageOrientationPatient"),
        (position, "ImagePositionPatient"),
    ):
        assert item[keyword].value == CT[keyword].value
    for keyword in ("FrameOfReferenceUID", "StudyInstanceUID", "PatientID", "StudyDate"):
        assert ds[keyword].value == CT[keyword].value
    assert (ds.Rows, ds.Columns) == (CT.Rows, CT.Columns)


def test_highdicom_reads_the_masks_back(phantom):
    headers, labels = phantom
    written = write(headers, made.segments_of(labels, CLASSES))
    seg = highdicom.seg.Segmentation.from_dataset(made.read(written))
    uids = [h.SOPInstanceUID for h in headers]
    masks = seg.get_pixels_by_source_instance(uids, assert_missing_frames_are_empty=True)
    for n, c in enumerate(CLASSES):
        assert (masks[..., n] == (labels == c)).all()


def test_masks_may_overlap_and_touch():
    one, two, three = shape(), shape(rows=slice(5, 12)), shape(rows=slice(12, 14))
    for chosen in ((one, two, three), (one, three)):  # With an overlap, and without one.
        segments = [Segment(n + 1, "x", f"{n}", {0: m}) for n, m in enumerate(chosen)]
        ds = made.read(write([CT], segments))
        found = {number: mask for number, _, _, mask in made.frames_of(ds)}
        for n, mask in enumerate(chosen):
            assert (found[n + 1] == mask).all()
        assert ds.SegmentsOverlap == ("YES" if len(chosen) == 3 else "NO")
        assert ds.SegmentationType == "BINARY"


def test_overlapping_segments_are_numbered_by_where_they_end(phantom):
    """Cornerstone loses pixels of a segment that lies in a gap of an earlier, longer one."""
    headers, labels = phantom
    whole = np.ones(labels.shape[1:], bool)
    ends = {"late": (0, 5), "early": (2, 3), "middle": (3, 4)}
    segments = [Segment(5, n, n, dict.fromkeys(at, whole)) for n, at in ends.items()]
    for images in (headers, headers[::-1]):
        last = len(images) - 1
        given = segments
        if images is not headers:
            given = [
                dataclasses.replace(s, masks={last - i: m for i, m in s.masks.items()})
                for s in segments
            ]
        ds = made.read(write(images, given))
        assert [s.SegmentLabel for s in ds.SegmentSequence] == ["early", "middle", "late"]
    apart = [
        Segment(5, "late", "l", {5: whole}), Segment(5, "early", "e", {1: whole})
    ]  # fmt: skip
    ds = made.read(write(headers, apart))
    assert [s.SegmentLabel for s in ds.SegmentSequence] == ["late", "early"]


def test_blank_masks_are_left_out_and_this_is_said():
    blank = np.zeros_like(shape())
    made_of = [Segment(5, "liver", "a", {0: blank}), Segment(1, "spleen", "b", {0: shape()})]
    written = write([CT], made_of)
    ds = made.read(written)
    assert [s.SegmentLabel for s in ds.SegmentSequence] == ["spleen"]
    assert any("'liver' is blank" in remark for remark in written.remarks)
    assert write([CT], made_of[:1]) is None
    assert write([CT], []) is None


def test_empty_frames_are_dropped_and_the_distance_of_slices_stays(phantom):
    headers, labels = phantom
    for header in headers:
        header.pop("SpacingBetweenSlices", None)
    blank = np.zeros(labels.shape[1:], bool)
    mask = ~blank
    segments = [Segment(5, "a", "a", {0: mask, 1: blank, 2: mask, 4: mask})]
    ds = made.read(write(headers, segments))
    assert ds.NumberOfFrames == 3
    sizes = ds.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert sizes.SpacingBetweenSlices == 40
    assert "DimensionOrganizationType" not in ds  # "3D" would promise frames without gaps.
    ds = made.read(write(headers, [Segment(5, "a", "a", {0: mask, 1: mask, 2: mask})]))
    assert ds.DimensionOrganizationType == "3D"


def test_the_order_of_the_headers_does_not_matter(phantom):
    headers, labels = phantom
    backwards = write(headers[::-1], made.segments_of(labels[::-1], CLASSES))
    assert backwards.content() == write(headers, made.segments_of(labels, CLASSES)).content()


def test_the_side_of_an_organ_is_written():
    for class_id, side in ((2, codes.RIGHT), (3, codes.LEFT), (5, None)):
        item = made.read(write([CT], [Segment(class_id, "x", "x", {0: shape()})])).SegmentSequence[
            0
        ]
        [kind] = item.SegmentedPropertyTypeCodeSequence
        found = kind.get("SegmentedPropertyTypeModifierCodeSequence")
        assert (found and (found[0].CodeValue, found[0].CodeMeaning)) == (
            side and (side.value, side.meaning)
        )
        assert kind.CodingSchemeDesignator == "SCT"
        assert item.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "91723000"


def test_a_cyst_lies_in_the_kidney_of_its_side():
    for class_id, side in ((23, "Left"), (24, "Right")):
        item = made.read(write([CT], [Segment(class_id, "x", "x", {0: shape()})])).SegmentSequence[
            0
        ]
        assert item.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Cyst"
        [region] = item.AnatomicRegionSequence
        assert region.CodeMeaning == "Kidney"
        assert region.AnatomicRegionModifierSequence[0].CodeMeaning == side


def test_regions_of_one_class_are_segments_of_their_own():
    segments = [
        Segment(3, "left kidney 1", "kidney 1", {0: shape()}),
        Segment(3, "left kidney 2", "kidney 2", {0: shape(rows=slice(20, 22))}),
    ]
    items = made.read(write([CT], segments)).SegmentSequence
    assert [i.SegmentLabel for i in items] == ["left kidney 1", "left kidney 2"]
    assert [i.TrackingID for i in items] == ["kidney 1", "kidney 2"]
    assert items[0].TrackingUID != items[1].TrackingUID
    with pytest.raises(WriteError, match="occurs twice"):
        write([CT], [segments[0], dataclasses.replace(segments[1], tracking_id="kidney 1")])


def test_it_is_marked_as_the_unverified_work_of_a_program():
    ds = made.read(write([CT], [Segment(5, "liver", "a", {0: shape()})]))
    [item] = ds.SegmentSequence
    assert item.SegmentAlgorithmType == "AUTOMATIC"
    [algorithm] = item.SegmentationAlgorithmIdentificationSequence
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("RadGrounder 3B", "0.1.0")
    assert algorithm.AlgorithmFamilyCodeSequence[0].CodeMeaning == "Artificial Intelligence"
    for text in (ds.SeriesDescription, ds.ContentDescription):
        assert "AI output, unverified; not for diagnostic use" in text
    assert ds.ContentLabel == "AI_UNVERIFIED"


def test_a_multi_frame_source_is_referred_to_by_the_right_frames(phantom):
    headers, labels = phantom
    source = made.multiframe(headers)
    segments = [Segment(5, "liver", "a", {k: labels[k] == 5 for k in range(len(labels))})]
    frames = list(made.frames_of(made.read(write([source], segments))))
    assert 1 < len(frames) < len(labels)
    for _, reference, matrix, mask in frames:
        k = reference.ReferencedFrameNumber - 1
        assert reference.ReferencedSOPInstanceUID == source.SOPInstanceUID
        assert (mask == (labels[k] == 5)).all()
        assert np.allclose(matrix[:3, 3], np.float64(headers[k].ImagePositionPatient))


def test_of_several_frames_at_one_place_the_one_that_was_segmented_is_meant(phantom):
    headers, labels = phantom
    source = made.multiframe(headers, [*headers[:3], *headers[:3]])  # Two time points.
    [(_, reference, _, _)] = made.frames_of(
        made.read(write([source], [Segment(5, "liver", "a", {4: labels[1] > 0})]))
    )
    assert reference.ReferencedFrameNumber == 5


def test_slices_of_different_thickness_claim_none(phantom):
    headers = copy.deepcopy(phantom[0])
    headers[1].SliceThickness = "39"
    mask = np.ones(phantom[1].shape[1:], bool)
    ds = made.read(write(headers, [Segment(5, "a", "a", {0: mask, 1: mask})]))
    assert "SliceThickness" not in ds.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]


def test_directions_that_differ_by_rounding_are_the_same(phantom):
    headers = copy.deepcopy(phantom[0])
    headers[1].ImageOrientationPatient = ["0.999999", "0.00001", "0", "0", "1", "0"]
    mask = np.ones(phantom[1].shape[1:], bool)
    ds = made.read(write(headers, [Segment(5, "a", "a", {0: mask, 1: mask})]))
    orientation = ds.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0]
    assert orientation.ImageOrientationPatient == headers[0].ImageOrientationPatient


@pytest.mark.parametrize(
    "change, words",
    [
        ({"class_id": 122}, "class id 122"),
        ({"label": " "}, "no label"),
        ({"tracking_id": ""}, "tracking identifier"),
        ({"masks": {0: shape()[:, :-1]}}, "needs bool"),
        ({"masks": {0: shape().astype(np.uint8)}}, "needs bool"),
    ],
)
def test_impossible_segments_are_errors(change, words):
    with pytest.raises(WriteError, match=words):
        write([CT], [dataclasses.replace(Segment(5, "liver", "a", {0: shape()}), **change)])


def test_a_mask_of_an_image_that_is_not_there_is_an_error():
    with pytest.raises(SourceError, match="no image or frame 1"):
        write([CT], [Segment(5, "liver", "a", {1: shape()})])


def test_a_long_label_is_shortened_and_this_is_said():
    label = "\\".join(["ein sehr langer Name einer Läsion"] * 3)
    written = write([CT], [Segment(0, label, "a", {0: shape()})])
    [item] = made.read(written).SegmentSequence
    assert len(item.SegmentLabel) == 64 and item.SegmentLabel.startswith("ein sehr langer Name")
    assert any("shortened" in remark for remark in written.remarks)
    assert item.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Body structure"


@pytest.mark.parametrize("keyword", ["PatientWeight", "PatientAge", "PatientBirthTime"])
def test_an_impossible_value_of_the_source_is_left_out_and_not_quoted(keyword):
    source = made.raw(copy.deepcopy(CT), keyword, b"Planted ")
    written = write([source], [Segment(5, "liver", "a", {0: shape()})])
    assert keyword not in made.read(written)
    [remark] = [r for r in written.remarks if keyword in r]
    assert "Planted" not in remark


def test_uids_depend_on_everything_that_the_masks_depend_on(phantom):
    headers, labels = phantom
    origins = [
        made.ORIGIN,
        dataclasses.replace(made.ORIGIN, fingerprint="e" * 64),
        dataclasses.replace(made.ORIGIN, options="task=detect"),
    ]
    uids = set()
    for origin, series in itertools.product(origins, (headers, headers[:-1])):
        ds = write(series, [Segment(5, "liver", "a", {2: labels[2] > 0})], origin).dataset
        uids |= {ds.SOPInstanceUID, ds.SeriesInstanceUID, ds.SegmentSequence[0].TrackingUID}
    assert len(uids) == 3 * 2 * 3
    assert all(uid.startswith("2.25.") and len(uid) <= 44 for uid in uids)
