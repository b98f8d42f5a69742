"""What rows, series, masks and files of one study mean together, and what is remembered of it."""

import errno
import json
import os

import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom import uid

from big_rad.annotate import links, match, studies, volumes
from tests.helpers import series_studies as made
from tests.helpers.series_studies import body, go, manifest, write_mask, write_series

LABELS, VALUES = body()


def two_series(root, same_mask=False):
    """Series 4 and 5 of one study, which show different things in the same places."""
    write_series(root / "dcm", VALUES, 4)
    write_series(root / "dcm", body(1)[1][:, :, :7], 5)
    write_mask(root / "m4.nii.gz", LABELS)
    write_mask(root / "m5.nii.gz", np.ascontiguousarray(LABELS[:, :, :7]))


def test_a_sentence_about_another_series_takes_neither_slice_nor_mask_of_its_row(tmp_path):
    two_series(tmp_path)
    table = manifest(
        tmp_path,
        dict(series="4", slice="7", mask="m4.nii.gz",
             report="The liver is normal. The spleen is normal (series 5, image 6)."),
        dict(series="5", mask="m5.nii.gz", report="The liver is clear."),
    )  # fmt: skip
    found, left_out, _ = go(table, tmp_path / "out")
    ties = [(line, index, link) for line, _, index, link, _ in found]
    assert (2, 6, "given") in ties  # InstanceNumber 7 of series 4
    assert (2, 5, "reference") in ties  # image 6 of series 5
    assert len(found) == 3 and len({volume for *_, volume in found}) == 2
    assert [r for r in left_out if r[1] == "study"] == []


def test_an_image_number_without_a_series_is_not_used_if_there_are_several(tmp_path):
    two_series(tmp_path)
    table = manifest(tmp_path, dict(mask="m4.nii.gz", report="Normal spleen (image 6)."))
    found, left_out, _ = go(table, tmp_path / "out")
    assert [link for *_, link, _ in found] == ["proposed"]
    assert (2, "link", links.AMBIGUOUS) in left_out


def test_a_series_that_is_not_there_is_counted_for_each_sentence(tmp_path):
    two_series(tmp_path)
    table = manifest(
        tmp_path,
        dict(
            series="4", mask="m4.nii.gz", report="Normal liver. Normal spleen (series 9 image 2)."
        ),
        dict(series="7", mask="m4.nii.gz", report="Normal liver."),
    )
    found, left_out, _ = go(table, tmp_path / "out")
    assert [line for line, *_ in found] == [2]
    assert left_out == [(2, "sentence", links.NO_SERIES), (3, "sentence", links.NO_SERIES)]


def test_a_number_that_two_series_have_names_none_of_them(tmp_path):
    two_series(tmp_path)
    write_series(tmp_path / "dcm", body(3, 12)[1], 6, SeriesNumber=4)
    table = manifest(
        tmp_path,
        dict(series="4", mask="m4.nii.gz", report="Normal liver. Normal spleen (series 5)."),
        dict(series="5", mask="m5.nii.gz", report="Normal liver. Normal spleen (series 4)."),
    )
    found, left_out, _ = go(table, tmp_path / "out")
    assert len({volume for *_, volume in found}) == 1 and {line for line, *_ in found} == {2, 3}
    assert left_out.count((2, "sentence", volumes.SHARED)) == 1
    assert left_out.count((3, "sentence", volumes.SHARED)) == 1


def test_a_nifti_file_of_a_named_series_refuses_another_one(tmp_path):
    write_mask(tmp_path / "mr.nii.gz", VALUES)
    write_mask(tmp_path / "m.nii.gz", LABELS)
    row = dict(image="mr.nii.gz", mask="m.nii.gz")
    table = manifest(
        tmp_path,
        row | dict(series="4", report="Normal spleen (series 4, image 6). "
                   "Normal liver (series 5 image 6)."),
        row | dict(study="T", report="Normal spleen (series 4, image 6)."),
    )  # fmt: skip
    found, left_out, _ = go(table, tmp_path / "out", nifti_image_numbers="ascending")
    assert [(line, link) for line, _, _, link, _ in found] == [(2, "reference"), (3, "proposed")]
    assert (2, "sentence", links.NO_SERIES) in left_out
    assert (3, "link", links.AMBIGUOUS) in left_out


def test_masks_that_are_exchanged_make_new_items(tmp_path):
    two_series(tmp_path)
    other = LABELS.copy()
    other[LABELS == made.LIVER] = made.SPLEEN
    write_mask(tmp_path / "a" / "mask.nii.gz", LABELS)
    write_mask(tmp_path / "b" / "mask.nii.gz", other)
    rows = [dict(series="4", mask="a/mask.nii.gz", report="Normal liver."),
            dict(series="4", study="T", mask="b/mask.nii.gz", report="Normal spleen.")]  # fmt: skip
    first = go(manifest(tmp_path, *rows), tmp_path / "out")[0]
    os.rename(tmp_path / "a", tmp_path / "c")
    os.rename(tmp_path / "b", tmp_path / "a")
    os.rename(tmp_path / "c", tmp_path / "b")
    with_other = go(manifest(tmp_path, *rows), tmp_path / "out")
    assert len(first) == 2 and [line for line, *_ in with_other[0]] == [3]
    assert with_other[1] == [(2, "sentence", match.NOWHERE)]


def test_ct_and_mr_in_one_folder_are_two_images(tmp_path):
    write_series(tmp_path / "dcm", VALUES, 4, "MR")
    write_series(tmp_path / "dcm", VALUES + 700, 5, "CT")
    write_mask(tmp_path / "m.nii.gz", LABELS)
    table = manifest(
        tmp_path,
        dict(modality="CT", mask="m.nii.gz", report="Normal liver."),
        dict(modality="MR", mask="m.nii.gz", report="Normal spleen."),
    )
    go(table, tmp_path / "out")
    lines = (tmp_path / "out/dataset/provenance.jsonl").read_text().splitlines()
    held = {x["texts"]["en"]["line"]: x["modality"] for x in map(json.loads, lines)}
    assert held == {2: "CT", 3: "MR"}


def test_a_folder_with_two_patients_is_refused(tmp_path):
    two_series(tmp_path)
    write_series(tmp_path / "dcm", body(2, 12)[1], 6, patient="P2")
    write_series(tmp_path / "ok", VALUES, 4)
    table = manifest(
        tmp_path,
        dict(mask="m4.nii.gz", report="Normal liver."),
        dict(study="T", image="ok", mask="m4.nii.gz", report="Normal liver."),
    )
    found, left_out, _ = go(table, tmp_path / "out")
    assert [line for line, *_ in found] == [3]
    ((line, what, reason),) = left_out
    assert (line, what) == (2, "study") and "2 patients" in reason and "P2" not in reason


def test_a_mask_beside_the_images_of_a_folder_is_not_taken_for_the_image(tmp_path):
    write_series(tmp_path / "dcm", VALUES, 4)
    long = np.zeros((20, 18, 30), np.uint8)
    long[:, :, 20:] = 5
    write_mask(tmp_path / "dcm" / "liver_seg.nii.gz", long)
    write_mask(tmp_path / "m.nii.gz", LABELS)
    table = manifest(tmp_path, dict(series="4", mask="m.nii.gz", report="Normal liver."))
    found, _, _ = go(table, tmp_path / "out")
    assert len(found) == 1
    card = json.loads((tmp_path / "out/dataset/card.json").read_text())
    assert card["deidentification"]["files_left_out"] == {
        "is NIfTI, and beside other files it may be a mask; give the file itself": 1
    }


def test_frames_are_counted_as_they_are_stored_and_not_by_their_place(tmp_path):
    depth = VALUES.shape[2]
    ds = pydicom.Dataset()
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = uid.EnhancedMRImageStorage
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = "1.2.3.4.5"
    ds.Modality, ds.PatientID, ds.ImageType = "MR", "P1", ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SeriesNumber = "1.2.3", "1.2.3.4", 4
    ds.InstanceNumber, ds.NumberOfFrames, ds.FrameOfReferenceUID = 1, depth, "1.2.9"
    shared, sizes, turn = (pydicom.Dataset() for _ in range(3))
    sizes.PixelSpacing, sizes.SliceThickness = [2, 2], 4
    turn.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [sizes], [turn]
    frames = []
    for k in range(depth)[::-1]:  # from the head to the feet
        item, place = pydicom.Dataset(), pydicom.Dataset()
        place.ImagePositionPatient = [0, 0, 4 * k]
        item.PlanePositionSequence = [place]
        frames.append(item)
    ds.SharedFunctionalGroupsSequence, ds.PerFrameFunctionalGroupsSequence = [shared], frames
    ds.Rows, ds.Columns = VALUES.shape[1], VALUES.shape[0]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
    ds.PixelData = np.ascontiguousarray(VALUES[:, :, ::-1].T).astype("<i2").tobytes()
    (tmp_path / "dcm").mkdir()
    ds.save_as(tmp_path / "dcm" / "multi.dcm", enforce_file_format=True)
    write_mask(tmp_path / "m.nii.gz", LABELS)
    table = manifest(tmp_path, dict(mask="m.nii.gz", report="Normal liver (image 2)."))
    found, _, _ = go(table, tmp_path / "out")
    # The second frame is the second slice from the head.
    assert [(index, link) for _, _, index, link, _ in found] == [(depth - 2, "reference")]


def test_a_tilted_gantry_costs_the_other_planes_only(tmp_path):
    write_series(tmp_path / "dcm", VALUES + 700, 4, "CT", shear=1.0)
    affine = np.array([[-2.0, 0, 0, 0], [0, -2, -1, 0], [0, 0, 4, 0], [0, 0, 0, 1]])
    nib.save(nib.Nifti1Image(LABELS, affine), tmp_path / "m.nii.gz")
    row = dict(modality="CT", mask="m.nii.gz")
    table = manifest(
        tmp_path, row | dict(report="Normal liver."),
        row | dict(sentence="Normal spleen.", plane="sagittal"),
    )  # fmt: skip
    found, left_out, _ = go(table, tmp_path / "out")
    assert [line for line, *_ in found] == [2]
    assert left_out == [(3, "sentence", match.TILTED)]


@pytest.mark.parametrize("date", ["00010101", "20210000", "x"])
def test_an_impossible_date_costs_the_date_only(tmp_path, date):
    write_series(tmp_path / "dcm", VALUES, 4, StudyDate=date if date != "x" else "20211399")
    write_mask(tmp_path / "m.nii.gz", LABELS)
    table = manifest(tmp_path, dict(mask="m.nii.gz", report="Normal liver."))
    assert len(go(table, tmp_path / "out")[0]) == 1


def simple(root, *rows):
    write_series(root / "dcm", VALUES, 4)
    write_mask(root / "m.nii.gz", LABELS)
    return manifest(root, *(dict(mask="m.nii.gz") | row for row in rows))


def test_a_row_that_says_nothing_about_the_images_is_counted(tmp_path):
    table = simple(
        tmp_path, dict(report="Normal liver."), dict(report="Clinical information: pain."),
        dict(report="Findings:"),
    )  # fmt: skip
    _, left_out, _ = go(table, tmp_path / "out")
    assert left_out == [(3, "report", studies.NO_SENTENCE), (4, "report", studies.NO_SENTENCE)]


def test_a_row_that_is_inserted_above_makes_nothing_again(tmp_path):
    rows = [dict(report="Normal liver."), dict(study="T", report="Normal spleen.")]
    go(simple(tmp_path, *rows), tmp_path / "out")
    stage = tmp_path / "out" / "stage" / "items"
    before = {p: p.stat().st_mtime_ns for p in stage.rglob("items.jsonl")}
    new = dict(study="U", report="Normal left kidney.")
    found, _, _ = go(simple(tmp_path, new, *rows), tmp_path / "out")
    assert [line for line, *_ in found] == [2, 3, 4]
    after = {p: p.stat().st_mtime_ns for p in stage.rglob("items.jsonl")}
    assert len(before) == 2 and before.items() < after.items() and len(after) == 3


def test_a_file_that_changed_is_noticed_though_size_and_time_are_the_same(tmp_path):
    table = simple(tmp_path, dict(report="Normal liver."))
    go(table, tmp_path / "out")
    key = next((tmp_path / "out/stage/items").rglob("items.jsonl"))
    path = tmp_path / "dcm" / "s4MR003.dcm"
    held = path.stat()
    data = bytearray(path.read_bytes())
    data[-2] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(held.st_atime_ns, held.st_mtime_ns))
    go(table, tmp_path / "out")
    assert len(set((tmp_path / "out/stage/items").rglob("items.jsonl")) - {key}) == 1


def test_a_disk_that_is_not_there_is_tried_again_and_costs_no_dataset(tmp_path):
    table = simple(tmp_path, dict(report="Normal liver."))
    go(table, tmp_path / "out")
    before = (tmp_path / "out/dataset/provenance.jsonl").read_bytes()
    os.rename(tmp_path / "dcm", tmp_path / "away")
    with pytest.raises(ValueError, match="nothing was written.*does not exist"):
        go(table, tmp_path / "out")
    assert (tmp_path / "out/dataset/provenance.jsonl").read_bytes() == before
    os.rename(tmp_path / "away", tmp_path / "dcm")
    assert go(table, tmp_path / "out")[2].failed == 0
    assert (tmp_path / "out/dataset/provenance.jsonl").read_bytes() == before


def test_a_new_key_beside_an_old_dataset_is_refused(tmp_path):
    table = simple(tmp_path, dict(report="Normal liver."))
    go(table, tmp_path / "out")
    (tmp_path / "out" / "secret.key").unlink()
    with pytest.raises(ValueError, match="the key of the dataset that is there is gone"):
        go(table, tmp_path / "out")


def test_earlier_splits_need_the_earlier_key(tmp_path):
    table = simple(tmp_path, dict(report="Normal liver."))
    go(table, tmp_path / "out")
    earlier = tmp_path / "out" / "dataset"
    with pytest.raises(ValueError, match="pseudonyms of another key"):
        go(table, tmp_path / "new", splits_from=earlier)
    made_again = go(table, tmp_path / "new2", splits_from=earlier, key=tmp_path / "out/secret.key")
    assert made_again[2].items == 1
    with pytest.raises(ValueError, match="splits_from: card.json"):
        go(table, tmp_path / "new3", splits_from=tmp_path)


def test_a_scrubber_that_changed_makes_new_items(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "own_scrubber.py").write_text("def find(text, lang):\n    return []\n")
    table = simple(tmp_path, dict(report="The liver of Bogdanowitsch is normal. Normal spleen."))
    assert len(go(table, tmp_path / "out", scrubber="own_scrubber:find")[0]) == 2
    from big_rad.annotate import settings

    source = "import re\ndef find(text, lang):\n    return [(*m.span(), 'name') for m in re.finditer('Bogdanowitsch', text)]\n"  # noqa: E501
    (tmp_path / "own_scrubber.py").write_text(source)
    settings.source_of.cache_clear()  # Another process would read it again.
    studies._model.cache_clear()
    import importlib

    importlib.invalidate_caches()
    import own_scrubber

    importlib.reload(own_scrubber)
    assert len(go(table, tmp_path / "out", scrubber="own_scrubber:find")[0]) == 1


def test_a_scrubber_or_earlier_dataset_that_is_not_there_is_said_before_the_work(tmp_path):
    table = simple(tmp_path, dict(report="Normal liver."))
    with pytest.raises(ValueError, match="scrubber 'no_module:f' cannot be loaded"):
        go(table, tmp_path / "out", scrubber="no_module:f")
    assert not (tmp_path / "out").exists()


def test_one_image_under_two_spellings_of_its_path_is_one_image(tmp_path):
    table = simple(
        tmp_path, dict(report="Normal liver."),
        dict(image="./dcm/", language="de", report="Leber unauffällig."),
    )  # fmt: skip
    go(table, tmp_path / "out")
    lines = (tmp_path / "out/dataset/provenance.jsonl").read_text().splitlines()
    assert [sorted(json.loads(line)["texts"]) for line in lines] == [["de", "en"]]


def failing(monkeypatch, module, name, error):
    def fail(*args, **options):
        raise error

    monkeypatch.setattr(module, name, fail)


@pytest.mark.parametrize(
    "module, name, error, said",
    [
        (studies.canonical, "prepare", MemoryError(), "the memory was not enough for the image;"),
        (studies.precomputed, "read", MemoryError(), "the memory was not enough for the mask;"),
        (studies.match, "items", MemoryError(), "not enough for the slices of the image;"),
        (studies.canonical, "prepare", OSError(errno.EIO, "x"),
         "the disk refused the image (Input/output error); look at the disk"),
        (studies.precomputed, "read", OSError(errno.EIO, "x"), "the disk refused the mask ("),
        (studies.canonical, "prepare", OSError(errno.ENOSPC, "x"),
         "the disk refused the folder of the results (No space left on device); free some space"),
    ],
)  # fmt: skip
def test_a_fault_of_the_machine_says_what_it_concerns(
    tmp_path, monkeypatch, module, name, error, said
):
    table = simple(tmp_path, dict(report="Normal liver."))
    failing(monkeypatch, module, name, error)
    with pytest.raises(ValueError) as raised:
        go(table, tmp_path / "out")
    assert said in str(raised.value)


@pytest.mark.parametrize(
    "name, what",
    [("dcm/Bogdanowitsch.dcm", studies.IMAGE), ("m.nii.gz", studies.MASK),
     ("out/stage/items", studies.RESULTS)],
)  # fmt: skip
def test_a_file_that_is_refused_is_told_by_its_part_and_never_by_its_name(
    tmp_path, monkeypatch, name, what
):
    table = simple(tmp_path, dict(report="Normal liver."))
    error = PermissionError(errno.EACCES, "Permission denied", str(tmp_path / name))
    failing(monkeypatch, studies.digests, "of", error)
    with pytest.raises(ValueError) as raised:
        go(table, tmp_path / "out")
    said = f"{what} may not be read; give yourself the permission, also of its folders"
    if what == studies.RESULTS:
        said = f"the disk refused {what} (Permission denied); check the permissions"
    assert said in str(raised.value) and "Bogdan" not in str(raised.value)


def test_an_organ_that_is_shown_in_place_of_its_cyst_counts_as_shown(tmp_path):
    table = simple(tmp_path, dict(report="Cyst of the left kidney and normal pancreas."))
    go(table, tmp_path / "out")
    (line,) = (tmp_path / "out/dataset/provenance.jsonl").read_text().splitlines()
    mentions = json.loads(line)["texts"]["en"]["mentions"]
    assert [(m["kept"], m["shown"]) for m in mentions] == [(True, [3]), (False, [])]
    page = (tmp_path / "out/dataset/page.html").read_text()
    assert "named, but without a mark: pancreas" in page


def test_patients_with_given_splits_that_share_an_image_stay_where_they_are(tmp_path):
    rows = [
        dict(patient=f"P{n}", study=f"S{n}", image=f"d{n}", report="Normal liver.")
        for n in range(6)
    ]
    for n in range(6):
        write_series(tmp_path / f"d{n}", body(n)[1], 4, patient=f"Q{n}")
    write_mask(tmp_path / "m.nii.gz", LABELS)
    table = manifest(tmp_path, *(dict(mask="m.nii.gz") | row for row in rows))
    go(table, tmp_path / "out")
    path = tmp_path / "out" / "dataset" / "provenance.jsonl"
    splits = {x["patient"]: x["split"] for x in map(json.loads, path.read_text().splitlines())}
    lines = {
        x["texts"]["en"]["line"]: x["split"] for x in map(json.loads, path.read_text().splitlines())
    }
    train, test = (next(k for k, v in lines.items() if v == name) for name in ("train", "test"))
    # The image of a patient of train comes once more, under the patient of test.
    more = rows[test - 2] | dict(study="again", image=rows[train - 2]["image"])
    table = manifest(tmp_path, *(dict(mask="m.nii.gz") | row for row in [*rows, more]))
    os.rename(tmp_path / "out" / "dataset", tmp_path / "earlier")
    go(table, tmp_path / "out", splits_from=tmp_path / "earlier")
    now = {x["patient"]: x["split"] for x in map(json.loads, path.read_text().splitlines())}
    assert now == splits
    card = json.loads((tmp_path / "out" / "dataset" / "card.json").read_text())
    assert card["leaks"]["leaks"] == 1
    assert any("count as leaks" in w for w in card["warnings"])


@pytest.mark.parametrize("numbers, from_feet", [("ascending", 5), ("descending", 2)])
@pytest.mark.parametrize("head_first", [False, True])
def test_image_numbers_of_a_nifti_count_in_the_patient_and_not_in_the_file(
    tmp_path, numbers, from_feet, head_first
):
    affine = np.diag([-2.0, -2.0, 4.0, 1.0])
    turn = slice(None, None, -1 if head_first else 1)
    if head_first:
        affine[2, 2], affine[2, 3] = -4.0, 4.0 * (LABELS.shape[2] - 1)
    for name, values in (("mr", VALUES), ("m", LABELS)):
        nib.save(
            nib.Nifti1Image(np.ascontiguousarray(values[..., turn]), affine),
            tmp_path / f"{name}.nii.gz",
        )
    report = "Normal spleen (image 6). Normal right kidney (image 6)."
    table = manifest(tmp_path, dict(image="mr.nii.gz", mask="m.nii.gz", report=report))
    found, left_out, _ = go(table, tmp_path / "out", nifti_image_numbers=numbers)
    last = LABELS.shape[2] - 1
    ((_, _, index, link, _),) = found
    assert link == "reference" and index == (last - from_feet if head_first else from_feet)
    assert len([x for x in left_out if x[1] == "sentence"]) == 1


def test_image_numbers_of_a_sagittal_nifti_are_not_used(tmp_path):
    to_sagittal = [1, 2, 0]
    affine = np.diag([-2.0, -2.0, 4.0, 1.0])[:, [*to_sagittal, 3]]
    for name, values in (("mr", VALUES), ("m", LABELS)):
        nib.save(nib.Nifti1Image(values.transpose(to_sagittal), affine), tmp_path / f"{name}.nii")
    row = dict(image="mr.nii", mask="m.nii", report="Normal spleen (image 6).")
    found, left_out, _ = go(
        manifest(tmp_path, row), tmp_path / "out", nifti_image_numbers="ascending"
    )
    assert [link for *_, link, _ in found] == ["proposed"]
    assert (2, "link", studies.NOT_USED) in left_out
