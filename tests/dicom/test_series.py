import dataclasses
import itertools
import json
import random
import shutil

import numpy as np
import pytest

from big_rad.datasets.phantom import export
from big_rad.dicom import series as series_lib
from big_rad.dicom.image import to_display
from big_rad.dicom.reader import Reader
from big_rad.dicom.series import find
from tests.helpers import dicom_files
from tests.helpers import series_files as helper
from tests.helpers.series_files import (
    AXIAL,
    CORONAL,
    SAGITTAL,
    SERIES,
    numbers,
    one,
    places,
    series_files,
    slice_file,
)

CLASS = "1.2.840.10008.5.1.4.1.1"


def test_slices_are_sorted_by_position_and_not_by_number_or_name(tmp_path):
    series_files(tmp_path, [30, 0, 20, 10])
    found = one([tmp_path])
    assert places(found) == [0, 10, 20, 30] and numbers(found) == [2, 4, 3, 1]
    assert [ref.index for ref in found.slices] == [0, 1, 2, 3]
    assert (found.kind, found.plane, found.modality) == ("dicom", "axial", "CT")
    assert found.spacing == 10 and found.thickness is None and not found.warnings


def test_the_order_of_the_paths_and_the_folders_change_nothing(tmp_path):
    files = series_files(tmp_path / "all", [5, 0, 10, 10, 25], SliceThickness=5)
    files += [slice_file(tmp_path / "all/b.dcm", 3, SeriesInstanceUID="1.2.9")]
    files += [tmp_path / "all/notes.txt", tmp_path / "all/p.png"]
    files[-2].write_text("no image")
    files[-1].write_bytes(dicom_files.picture())
    want = find([tmp_path / "all"])
    assert [s.count for s in want.series] == [4, 1, 1] and len(want.skipped) == 1
    for seed in range(5):
        mixed = [*files, files[0]]
        random.Random(seed).shuffle(mixed)
        assert find(mixed) == want
    for k, path in enumerate(files):
        target = tmp_path / "nested" / ["a", "b/c", ""][k % 3] / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    nested = find([tmp_path / "nested"])
    assert {s.key for s in nested.series} == {s.key for s in want.series}
    by_key = {s.key: s for s in nested.series}
    for series in want.series:
        again = by_key[series.key]
        assert places(again) == places(series) and again.warnings == series.warnings
        assert [r.path.name for r in again.slices] == [r.path.name for r in series.slices]


@pytest.mark.parametrize("orientation", [AXIAL, CORONAL, SAGITTAL])
def test_the_order_does_not_depend_on_how_the_slices_are_stored(tmp_path, orientation):
    right, down = np.array(orientation[:3]), np.array(orientation[3:])
    ways = [(right, down), (-right, down), (right, -down), (-right, -down), (down, right)]
    for k, pair in enumerate(ways):
        series_files(tmp_path / str(k), [4, -4, 0], orientation=(*pair[0], *pair[1]))
        found = one(tmp_path / str(k))
        assert places(found) == [-4, 0, 4] and numbers(found) == [2, 3, 1]
    assert found.plane == {AXIAL: "axial", CORONAL: "coronal", SAGITTAL: "sagittal"}[orientation]


def test_an_oblique_series_is_sorted_along_its_normal(tmp_path):
    tilt = np.radians(20)
    down = np.array([0, np.cos(tilt), np.sin(tilt)])
    normal = np.cross([1, 0, 0], down)
    for k, step in enumerate([2, 0, 3, 1]):
        # The origins also move within the plane, more than from slice to slice.
        origin = normal * step * 4 + down * [30, -50, 9, 80][k]
        slice_file(
            tmp_path / f"{k}.dcm", None, number=k + 1, fill=k, orientation=(1, 0, 0, *down),
            place=origin.tolist(),
        )  # fmt: skip
    found = one(tmp_path)
    np.testing.assert_allclose(places(found), [0, 4, 8, 12], atol=1e-6)
    assert [p - 1 for p in numbers(found)] == [0, 2, -1, 1]
    assert found.spacing == pytest.approx(4)


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_positions_are_those_of_the_slices_that_are_read(tmp_path, plane):
    affine = np.array([[0, 0, -3, 9], [2, 0, 0, -4], [0, -1.5, 0, 30], [0, 0, 0, 1.0]])
    volume = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    (tmp_path / "v.nii.gz").write_bytes(dicom_files.nifti(volume, affine, packed=True))
    found = one(tmp_path, plane=plane)
    assert found.key == "v" and found.kind == "nifti" and found.plane == plane
    axis = {"sagittal": 0, "coronal": 1, "axial": 2}[plane]
    assert places(found) == sorted(places(found)) and len(places(found)) == (5, 3, 4)[axis]
    assert found.spacing == found.thickness == (3, 2, 1.5)[axis]
    for ref, image in zip(found.slices, map(Reader(), found.slices), strict=True):
        assert image.plane == plane and ref.spacing == image.spacing
        assert ref.place.columns == image.place.columns and ref.place.rows == image.place.rows
        assert ref.place.origin == pytest.approx(image.place.origin)
        assert image.place.origin[axis] == pytest.approx(ref.position)


@pytest.mark.parametrize("patient", ["P000000", "P000001"])
def test_a_phantom_gives_the_same_slices_as_dicom_and_as_nifti(phantom, patient):
    files = one(phantom / "dicom" / patient)
    volume = one(phantom / "nifti" / f"{patient}.nii.gz")
    assert places(files) == pytest.approx(places(volume), abs=1e-3) and files.count > 10
    assert files.spacing == pytest.approx(volume.spacing) == files.thickness
    pairs = zip(
        map(Reader(), files.slices), map(Reader(modality=files.modality), volume.slices)
    )  # fmt: skip
    for a, b in pairs:
        np.testing.assert_array_equal(to_display(a)[0].pixels, to_display(b)[0].pixels)


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    export.export(folder, patients=2, size=24, thickness=15.0)
    return folder


def test_every_keeps_each_nth_slice_of_the_sorted_order(tmp_path):
    series_files(tmp_path, [12, 9, 0, 3, 6, 15, 18])
    found = one(tmp_path, every=3)
    assert places(found) == [0, 9, 18] and [r.index for r in found.slices] == [0, 3, 6]
    assert (found.count, found.every, found.spacing) == (7, 3, 9)
    assert any("3 of 7 slices" in w for w in found.warnings)
    assert one(tmp_path, every=100).slices[0].position == 0
    for wrong in (0, -1, 1.5, "2", True):
        with pytest.raises(ValueError, match="every"):
            find(tmp_path, every=wrong)


def test_missing_slices_and_unequal_gaps_are_said(tmp_path):
    series_files(tmp_path / "hole", [0, 5, 10, 25, 30, 35])
    assert one(tmp_path / "hole").warnings == ("slices are missing: 2 between 10.0 and 25.0 mm",)
    series_files(tmp_path / "two", [0, 2, 4, 6, 9, 12])
    (warning,) = one(tmp_path / "two").warnings
    assert "3.00 mm from 6.0 to 12.0 mm" in warning


def test_of_several_slices_at_a_position_the_first_of_the_scan_is_kept(tmp_path):
    # Two echoes. The files of the second one are sometimes named first.
    rng = random.Random(0)
    for z, echo in itertools.product(range(6), (1, 2)):
        name = f"{rng.random()}.dcm"
        slice_file(
            tmp_path / name, z * 4.0, number=z * 2 + echo, fill=echo, EchoNumbers=echo,
            Modality="MR", RescaleIntercept=0,
        )  # fmt: skip
    found = one(tmp_path)
    assert places(found) == [0, 4, 8, 12, 16, 20]
    assert {int(i.pixels[0, 0]) for i in map(Reader(), found.slices)} == {1}
    (warning,) = found.warnings
    assert "6 of 6 (from 0.0 to 20.0 mm)" in warning and "left out: 6" in warning


def test_a_repeated_export_adds_no_slices(tmp_path):
    for path in series_files(tmp_path / "a", [0, 5, 10]):
        (tmp_path / "b").mkdir(exist_ok=True)
        shutil.copy(path, tmp_path / "b" / path.name)
    found = one([tmp_path / "b", tmp_path / "a"])
    assert places(found) == [0, 5, 10] and {r.path.parent.name for r in found.slices} == {"a"}
    assert "left out: 3" in found.warnings[0]


def test_slices_side_by_side_are_no_repeats(tmp_path):
    # Both knees in one series, in turns; the table also moves a little from slice to slice.
    for z in range(4):
        for k, x in enumerate((-150.0, 150.0)):
            place = [x + 2 * z, 0, 5.0 * z]
            slice_file(tmp_path / f"{z}{k}.dcm", None, number=2 * z + k, place=place, fill=k)
    found = find(tmp_path)
    assert [places(s) for s in found.series] == [[0, 5, 10, 15]] * 2
    assert [set(numbers(s)) for s in found.series] == [{0}, {1}]
    assert all("2 sizes, orientations, places" in s.warnings[0] for s in found.series)


def test_files_without_geometry_keep_the_order_of_their_names(tmp_path):
    for n in (10, 9, 1, 2):
        slice_file(tmp_path / f"IM{n}.dcm", None, number=50 - n, orientation=None, fill=n)
    found = one(tmp_path)
    assert numbers(found) == [1, 2, 9, 10] and places(found) == [None] * 4
    assert found.spacing is None and "order of file names" in found.warnings[0]
    shutil.copy(tmp_path / "IM1.dcm", tmp_path / "IM11.dcm")
    assert any("same object" in w for w in one(tmp_path).warnings)


def test_mixed_sizes_and_orientations_are_split_into_parts(tmp_path):
    series_files(tmp_path / "a", [0, 5, 10])
    series_files(tmp_path / "b", [0, 5], orientation=CORONAL)
    series_files(tmp_path / "c", [0, 5, 10, 15], PixelSpacing=[1, 1])
    series_files(tmp_path / "d", [2, 7], FrameOfReferenceUID="1.2.3.4")
    slice_file(tmp_path / "e/1.dcm", None, orientation=None)
    found = find(tmp_path)
    assert [s.count for s in found.series] == [3, 2, 4, 2, 1] and not found.skipped
    keys = [s.key for s in found.series]
    assert [k.removeprefix(keys[0][:-1]) for k in keys] == list("12345")
    assert all("5 sizes, orientations, places or kinds" in s.warnings[0] for s in found.series)
    # Values that differ only by rounding are the same.
    series_files(tmp_path / "f", [0, 5], SeriesInstanceUID="1.2.5")
    slice_file(
        tmp_path / "f/x.dcm", 10, SeriesInstanceUID="1.2.5", PixelSpacing=[2.0000004, 1.5],
        orientation=(0.99999, 0, 0.0001, 0, 1, 0),
    )  # fmt: skip
    assert one(tmp_path / "f").count == 3


def test_a_single_slice_across_the_others_is_a_localiser(tmp_path):
    series_files(tmp_path / "stack", [0, 5, 10])
    slice_file(tmp_path / "stack/scout.dcm", 3, orientation=CORONAL)
    found = find(tmp_path / "stack")
    assert [places(s) for s in found.series] == [[0, 5, 10]]
    assert [(s.path.name, s.kind) for s in found.skipped] == [("scout.dcm", "localiser")]
    for k, orientation in enumerate((AXIAL, CORONAL, SAGITTAL)):
        slice_file(tmp_path / f"planes/{k}.dcm", 3, orientation=orientation)
    assert len(find(tmp_path / "planes").skipped) == 3
    assert len(find(tmp_path / "planes", keep=["localiser"]).series) == 3
    # Slices around an axis are no localiser, though some are perpendicular to others.
    for k, angle in enumerate(np.radians([0, 30, 60, 90, 120])):
        way = (float(np.cos(angle)), float(np.sin(angle)), 0, 0, 0, -1)
        slice_file(tmp_path / f"radial/{k}.dcm", 0, orientation=way, place=[0, 0, 0])
    assert len(find(tmp_path / "radial").series) == 5


def test_pictures_are_series_of_one_with_names_of_their_own(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "x.png").write_bytes(dicom_files.picture())
    (tmp_path / "b/X.jpg").write_bytes(dicom_files.picture(fmt="JPEG"))
    (tmp_path / "x y.npy").write_bytes(dicom_files.npy(np.zeros((3, 4), np.int16)))
    (tmp_path / "1.2.840.113.5.77.dcm").write_bytes(dicom_files.content(dicom_files.dataset()))
    found = find(tmp_path)
    keys = [s.key for s in found.series]
    assert keys[0].startswith("image-") and keys[1:] == ["X", "x_y", "x_2"]
    assert all(s.count == 1 and Reader()(s.slices[0]).pixels.size for s in found.series)


def test_nothing_shown_holds_an_identifier(tmp_path):
    folder = tmp_path / dicom_files.SECRET
    series_files(folder, [0, 5, 5, 20, 25, 30])
    series_files(folder / "x", [0, 4], orientation=CORONAL, ImageType=["A", "B", "PLANTED"])
    slice_file(folder / "IM8.dcm", 0, ImageType=["A", "B", "LOCALIZER", "PLANTED"])
    slice_file(folder / "IM9.dcm", 0, SOPClassUID=f"{CLASS}.88.33", PixelData=None)
    path = slice_file(folder / "IMA.dcm", 0)
    path.write_bytes(path.read_bytes()[:-3])
    damaged = dicom_files.dataset(SeriesInstanceUID="1.2.44")
    dicom_files.raw_element(damaged, "Modality", dicom_files.SECRET.encode())
    dicom_files.raw_element(damaged, "SliceThickness", dicom_files.SECRET.encode())
    dicom_files.raw_element(damaged, "ImagePositionPatient", dicom_files.SECRET.encode())
    (folder / "IMB.dcm").write_bytes(dicom_files.content(damaged))
    found = find(tmp_path)
    assert len(found.series) == 3 and len(found.skipped) == 3
    shown = repr(found) + json.dumps([s.to_json() for s in found.series])
    shown += "".join(s.key + "".join(s.warnings) for s in found.series)
    for secret in ("PLANTED", SERIES, helper.OBJECT, str(tmp_path)):
        assert secret not in shown
    with_uids = next(s for s in found.series if s.count == 5)
    assert with_uids.series_instance_uid == SERIES
    assert with_uids.slices[0].sop_instance_uid == f"{helper.OBJECT}.1"


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="plane"):
        find([], plane="oblique")
    for keep in (["scouts"], "localiser"):
        with pytest.raises(ValueError, match="keep"):
            find([], keep=keep)
    assert find([]) == series_lib.Found((), ())
    assert dataclasses.is_dataclass(series_lib.SliceRef)


def test_an_unpacked_volume_reads_like_the_packed_one(tmp_path):
    volume = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    for name, packed in (("a.nii", False), ("b.nii.gz", True)):
        (tmp_path / name).write_bytes(dicom_files.nifti(volume, np.eye(4), packed=packed))
    a, b = find(tmp_path).series
    for x, y in zip(map(Reader(), a.slices), map(Reader(), b.slices), strict=True):
        np.testing.assert_array_equal(x.pixels, y.pixels)
    (tmp_path / "b.nii.gz").write_bytes((tmp_path / "b.nii.gz").read_bytes()[:-20])
    with pytest.raises(dicom_files.reader.ReadError, match="^b.nii.gz: "):
        Reader()(b.slices[-1])
