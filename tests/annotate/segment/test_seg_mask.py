import copy
import dataclasses

import numpy as np
import pydicom
import pytest

from big_rad.annotate import volumes
from big_rad.annotate.canonical import Stored
from big_rad.annotate.faults import Rejected
from big_rad.annotate.segment import precomputed
from big_rad.dicom.segmentation import segmentation
from big_rad.grounding import classes
from tests.helpers import dicom_objects as made

pytest.importorskip("highdicom", reason="pip install 'big_rad[dicom]'")
CLASSES = (2, 3, 5, 52)
SECRET = "Mustermann"


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    return made.phantom(tmp_path_factory.mktemp("phantom"))


def volume_of(headers, labels, path):
    """The volume of a series, with axes (column, row, slice), and the labels on it."""
    affine = made.matrix_of(headers)[:, [2, 1, 0, 3]]
    shape = labels.shape[::-1]
    return Stored(path / "volume.nii", affine, shape, {"modality": "CT"}), labels.T


def seg(headers, segments, path, change=None):
    ds = segmentation(headers, segments, made.ORIGIN).dataset
    ds = copy.deepcopy(ds)
    if change:
        change(ds)
    file = path / f"{SECRET}.dcm"
    ds.save_as(file, enforce_file_format=True)
    return file


def named(labels, ids=CLASSES):
    segments = made.segments_of(labels, ids)
    return [dataclasses.replace(s, label=classes.by_id(s.class_id).en) for s in segments]


def rejected(file, volume, source=None):
    with pytest.raises(Rejected) as e:
        precomputed.read(file, volume, None, source)
    assert SECRET not in str(e.value)
    assert e.value.__context__ is None or SECRET not in str(e.value.__context__)
    return str(e.value)


def only(labels, ids=CLASSES):
    return np.where(np.isin(labels, ids), labels, 0)


@pytest.mark.parametrize("order, flips", made.TURNS[::5])
def test_what_we_write_comes_back_exactly(phantom, tmp_path, order, flips):
    volume, expected = volume_of(*phantom, tmp_path)
    headers, turned = made.turned(*phantom, order, flips)
    found = precomputed.read(seg(headers, named(turned), tmp_path), volume)
    assert (found.labels == only(expected)).all()
    assert found.labels.dtype == np.uint8
    assert found.about["kind"] == "seg" and not found.warnings


def test_codes_decide_where_the_label_names_no_class(phantom, tmp_path):
    volume, expected = volume_of(*phantom, tmp_path)
    headers, labels = phantom
    found = precomputed.read(seg(headers, made.segments_of(labels, CLASSES), tmp_path), volume)
    assert (found.labels == only(expected)).all()


def test_the_codes_of_every_class_are_read_back(phantom, tmp_path):
    headers, labels = phantom
    ids = range(1, 122)
    maps = np.zeros_like(labels)
    maps[1].ravel()[:121] = ids
    volume, expected = volume_of(headers, maps, tmp_path)
    found = precomputed.read(seg(headers, made.segments_of(maps, ids), tmp_path), volume)
    assert (found.labels == expected).all()


def test_frames_may_be_missing_and_in_any_order(phantom, tmp_path):
    headers, labels = phantom
    labels = labels.copy()
    labels[1::2] = 0
    volume, expected = volume_of(headers, labels, tmp_path)

    def shuffled(ds):
        count = int(ds.NumberOfFrames)
        order = np.random.default_rng(0).permutation(count)
        size = ds.Rows * ds.Columns
        bits = np.unpackbits(np.frombuffer(ds.PixelData, np.uint8), bitorder="little")
        frames = bits[: count * size].reshape(count, size)[order]
        packed = np.packbits(frames, bitorder="little").tobytes()
        ds.PixelData = packed + bytes(len(packed) % 2)
        groups = list(ds.PerFrameFunctionalGroupsSequence)
        ds.PerFrameFunctionalGroupsSequence = [groups[n] for n in order]

    found = precomputed.read(seg(headers, named(labels), tmp_path, shuffled), volume)
    assert (found.labels == only(expected)).all() and found.labels.any()


def test_overlapping_segments_have_a_fixed_order_and_are_counted(phantom, tmp_path):
    headers, labels = phantom
    volume, _ = volume_of(headers, labels, tmp_path)
    area = np.zeros(labels.shape[1:], bool)
    area[4:9, 5:12] = True
    wide = np.zeros_like(area)
    wide[4:12, 5:12] = True
    kidney, cyst = (
        dataclasses.replace(s, label=s.label) for s in made.segments_of(labels, (3, 23))
    )
    kidney = dataclasses.replace(kidney, masks={0: wide, 2: wide})
    cyst = dataclasses.replace(cyst, masks={0: area})
    results = [
        precomputed.read(seg(headers, segments, tmp_path), volume)
        for segments in ([kidney, cyst], [cyst, kidney])
    ]
    for found in results:
        assert (found.labels[..., 0] == np.where(area, 23, np.where(wide, 3, 0)).T).all()
        assert (found.labels[..., 2] == np.where(wide, 3, 0).T).all()
        assert found.about["voxels_in_several_classes"] == area.sum()
        assert "overlap" in found.warnings[0]


def test_segments_of_one_class_are_joined(phantom, tmp_path):
    headers, labels = phantom
    volume, expected = volume_of(headers, labels, tmp_path)
    [liver] = made.segments_of(labels, (5,))
    parts = [
        dataclasses.replace(
            liver, tracking_id=f"{n}", masks={k: m for k, m in liver.masks.items() if k % 2 == n}
        )
        for n in range(2)
    ]
    found = precomputed.read(seg(headers, parts, tmp_path), volume)
    assert (found.labels == only(expected, (5,))).all() and not found.warnings


def test_segments_that_are_no_class_are_counted_and_not_named(phantom, tmp_path):
    headers, labels = phantom
    volume, expected = volume_of(headers, labels, tmp_path)
    segments = named(labels, (3, 5))
    segments[1] = dataclasses.replace(segments[1], class_id=0, label=SECRET)
    found = precomputed.read(seg(headers, segments, tmp_path), volume)
    assert (found.labels == only(expected, (3,))).all()
    assert found.about["labels_not_used"] == 1
    assert SECRET not in " ".join(found.warnings) and found.warnings
    assert "shows no class" in rejected(seg(headers, segments[1:], tmp_path), volume)


def test_a_label_and_codes_of_different_sides_are_refused(phantom, tmp_path):
    headers, labels = phantom
    volume, _ = volume_of(headers, labels, tmp_path)
    [kidney] = made.segments_of(labels, (3,))
    wrong = dataclasses.replace(kidney, label="right kidney")
    assert "different classes" in rejected(seg(headers, [wrong], tmp_path), volume)


def labelmap(ds, headers, labels):
    """Makes of a SEG a LABELMAP of the same slices."""
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.66.7"
    ds.SegmentationType, ds.BitsAllocated, ds.BitsStored, ds.HighBit = "LABELMAP", 8, 8, 7
    first, frames, values = ds.PerFrameFunctionalGroupsSequence[0], [], []
    for k, header in enumerate(headers):
        item = copy.deepcopy(first)
        item.pop("SegmentIdentificationSequence", None)
        item.PlanePositionSequence[0].ImagePositionPatient = header.ImagePositionPatient
        frames.append(item)
        numbers = np.zeros(labels[k].shape, np.uint8)
        for number, c in enumerate(CLASSES, start=1):
            numbers[labels[k] == c] = number
        values.append(numbers.tobytes())
    ds.PerFrameFunctionalGroupsSequence, ds.NumberOfFrames = frames, len(frames)
    ds.PixelData = b"".join(values)
    ds["PixelData"].VR = "OB"


def test_label_maps_are_read(phantom, tmp_path):
    headers, labels = phantom
    volume, expected = volume_of(headers, labels, tmp_path)
    file = seg(headers, named(labels), tmp_path, lambda ds: labelmap(ds, headers, labels))
    found = precomputed.read(file, volume)
    assert (found.labels == only(expected)).all() and found.labels.any()

    def strange(ds):
        labelmap(ds, headers, labels)
        ds.PixelData = b"\x09" + ds.PixelData[1:]

    assert "does not describe" in rejected(seg(headers, named(labels), tmp_path, strange), volume)


def test_objects_that_cannot_be_used_are_refused(phantom, tmp_path):
    headers, labels = phantom
    volume, _ = volume_of(headers, labels, tmp_path)

    def fractional(ds):
        ds.SegmentationType = "FRACTIONAL"

    def other(ds):
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"

    def nowhere(ds):
        del ds.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence

    def short(ds):
        ds.PixelData = ds.PixelData[:20]

    def fewer(ds):
        ds.NumberOfFrames = int(ds.NumberOfFrames) - 1

    def named_wrongly(ds):
        item = ds.PerFrameFunctionalGroupsSequence[0].SegmentIdentificationSequence[0]
        item.ReferencedSegmentNumber = 77

    def shifted(ds):
        for item in ds.PerFrameFunctionalGroupsSequence:
            place = item.PlanePositionSequence[0].ImagePositionPatient
            place[0] += 0.4 * float(headers[0].PixelSpacing[1])

    def far(ds):
        for item in ds.PerFrameFunctionalGroupsSequence:
            place = item.PlanePositionSequence[0].ImagePositionPatient
            place[0] += 10 * float(headers[0].PixelSpacing[1])

    def askew(ds):
        way = ds.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0]
        way.ImageOrientationPatient = [0.8, 0.6, 0, -0.6, 0.8, 0]

    for change, reason in (
        (fractional, "BINARY or LABELMAP"),
        (other, "no segmentation"),
        (nowhere, "where it lies"),
        (short, "damaged"),
        (fewer, "number of frames"),
        (named_wrongly, "does not have"),
        (shifted, "voxels off"),
        (far, "outside"),
        (askew, "off"),
    ):
        assert reason in rejected(seg(headers, named(labels), tmp_path, change), volume)


def test_damaged_and_deflated_files_are_refused(phantom, tmp_path):
    headers, labels = phantom
    volume, _ = volume_of(headers, labels, tmp_path)
    file = seg(headers, named(labels), tmp_path)
    whole = file.read_bytes()
    file.write_bytes(whole[:800])
    rejected(file, volume)
    ds = pydicom.dcmread(pydicom.filebase.DicomBytesIO(whole))
    ds.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    ds.save_as(file, enforce_file_format=True)
    assert "deflated" in rejected(file, volume)


def source_of(headers, folder, **other):
    """The same images as files, with other UIDs; returns their volume as `catalogue` lists it."""
    folder.mkdir()
    for k, ds in enumerate(headers):
        ds = copy.deepcopy(ds)
        for keyword, value in other.items():
            setattr(ds, keyword, value)
        if "SeriesInstanceUID" in other:  # Another series has other images.
            ds.SOPInstanceUID = f"{ds.SeriesInstanceUID}.{k + 1}"
            ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        ds.add_new("PixelData", "OW", bytes(ds.Rows * ds.Columns * ds.BitsAllocated // 8))
        ds.save_as(folder / f"{k}.dcm", enforce_file_format=True)
    (found,) = volumes.catalogue(folder, headers[0].Modality).volumes
    return found


ELSE = {"FrameOfReferenceUID": "1.2.3.8", "SeriesInstanceUID": "1.2.3.9"}


def silent(ds):
    """Removes what says for which images a SEG was made."""
    shared, *frames = *ds.SharedFunctionalGroupsSequence, *ds.PerFrameFunctionalGroupsSequence
    for holder in (ds, shared, *frames):
        for name in ("ReferencedSeriesSequence", "DerivationImageSequence", "SourceImageSequence"):
            if name in holder:
                del holder[name]
    del ds.FrameOfReferenceUID


def test_a_seg_that_was_made_for_other_images_is_refused(phantom, tmp_path):
    headers, labels = phantom
    volume, _ = volume_of(headers, labels, tmp_path)
    file = seg(headers, named(labels), tmp_path)
    other = source_of(headers, tmp_path / "other", **ELSE)
    assert "made for other images" in rejected(file, volume, other)
    with pytest.raises(Rejected, match="made for other images"):
        precomputed.check(file, volume, None, other)


@pytest.mark.parametrize("keyword", [None, *ELSE])
def test_a_seg_of_the_series_or_of_its_frame_of_reference_is_used(phantom, tmp_path, keyword):
    headers, labels = phantom
    volume, _ = volume_of(headers, labels, tmp_path)
    file = seg(headers, named(labels), tmp_path)
    source = source_of(headers, tmp_path / "same", **{keyword: ELSE[keyword]} if keyword else {})
    assert not precomputed.read(file, volume, None, source).warnings
    assert not precomputed.check(file, volume, None, source)


def test_a_seg_that_names_no_images_is_used_with_a_warning(phantom, tmp_path):
    headers, labels = phantom
    volume, _ = volume_of(headers, labels, tmp_path)
    file = seg(headers, named(labels), tmp_path, silent)
    source = source_of(headers, tmp_path / "same")
    for found in (
        precomputed.read(file, volume, None, source).warnings,
        precomputed.check(file, volume, None, source),
    ):
        assert "does not say for which series" in found[0]


def test_a_seg_beside_a_nifti_image_is_used_with_a_warning(phantom, tmp_path):
    headers, labels = phantom
    volume, _ = volume_of(headers, labels, tmp_path)
    file = seg(headers, named(labels), tmp_path)
    source = volumes.Volume("", "CT", None, volume.shape[2], (volume.path,))
    (said,) = precomputed.check(file, volume, None, source)
    assert "does not say of which series" in said
    assert precomputed.read(file, volume, None, source).warnings == (said,)
