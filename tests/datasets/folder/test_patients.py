"""Images without a patient are grouped by their files, and the user is informed of it."""

import json

import nibabel as nib
import numpy as np
import pytest
import zstandard

from big_rad.datasets.folder import builder, source
from big_rad.dicom import identity
from tests.helpers.folder_records import records_of, save_dicom, validated

PIXELS = np.linspace(-1000, 1000, 12).reshape(3, 4).astype(np.int16)


def lines(root, *lines):
    text = "".join(json.dumps({"report": "Liver.", **line}) + "\n" for line in lines)
    (root / "data.jsonl").write_text(text)
    return root


def dicoms(root, *identities):
    """Files d0.dcm, d1.dcm ... with (PatientID, StudyInstanceUID, SeriesInstanceUID)."""
    for n, (patient, study, series) in enumerate(identities):
        save_dicom(
            root / f"d{n}.dcm", PIXELS, PatientID=patient, StudyInstanceUID=study,
            SeriesInstanceUID=series, ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
        )  # fmt: skip
    return [{"id": f"i{n}", "image": f"d{n}.dcm"} for n in range(len(identities))]


def patients_of(root):
    return {i.id: i.patient for i in builder.listing_of(root).items}


def test_slices_of_one_volume_are_in_one_split_and_it_is_said(tmp_path):
    volume = np.random.default_rng(0).integers(0, 99, (4, 4, 40)).astype(np.int16)
    nib.save(nib.Nifti1Image(volume, np.diag([-1, -1, 1, 1.0])), tmp_path / "v.nii")
    lines(tmp_path, *(
        {"id": f"s{k}", "image": "v.nii", "frame": k, "modality": "MR"} for k in range(40)
    ))  # fmt: skip
    problems, (note,) = validated(tmp_path)
    assert problems == []
    assert note == "40 images name no patient and are grouped (40 by the file): 1 group"
    assert len({i.split for i in source.read(tmp_path).items}) == 1
    built = builder.build(tmp_path, tmp_path / "out", workers=1)
    assert list(built.counts.values()) == [40] and note in built.notes


@pytest.mark.parametrize(
    ("identities", "groups", "how"),
    [
        ([("p", "1", "1"), ("p", "2", "2"), ("q", "3", "3")], "aab", "3 by the DICOM's PatientID"),
        ([("", "1", "1"), (None, "1", "2"), ("", "2", "3")], "aab", "3 by the DICOM's StudyInst"),
        ([("", "", "1"), (None, None, "1"), ("", "", "2")], "aab", "3 by the DICOM's SeriesInst"),
        ([("", "", "")] * 2, "ab", "2 by the file"),
        # A file without PatientID joins the file of its study that has one.
        ([("", "1", "1"), ("p", "1", "2"), ("", "1", "3")], "aaa", "1 by the DICOM's PatientID, 2"),
        # Two PatientIDs in one study are two patients.
        ([("p", "1", "1"), ("q", "1", "1")], "ab", ""),
        ([("p ", "1", "1"), ("p", "2", "2")], "aa", "PatientID"),
    ],
)
def test_dicom_files_are_grouped_by_the_first_identifier_that_they_have(
    tmp_path, identities, groups, how
):
    lines(tmp_path, *dicoms(tmp_path, *identities))
    found = list(patients_of(tmp_path).values())
    first = [groups.index(g) for g in groups]
    assert [found.index(p) for p in found] == first
    # The name of a group is the id of an image.
    assert set(found) <= {f"i{n}" for n in range(len(groups))}
    notes = validated(tmp_path, pixels=False)[1]
    assert how in "".join(notes) and bool(notes) == bool(how)


def test_a_named_patient_takes_in_the_unnamed_images_of_the_same_one(tmp_path):
    one, two, three = dicoms(tmp_path, ("p", "1", "1"), ("p", "2", "2"), ("", "2", "3"))
    lines(tmp_path, one | {"patient": "own"}, two, three)
    assert patients_of(tmp_path) == {"i0": "own", "i1": "own", "i2": "own"}


def test_one_group_in_two_splits_is_an_error_that_says_how_it_was_grouped(tmp_path):
    one, two = dicoms(tmp_path, ("p", "1", "1"), ("p", "2", "2"))
    lines(tmp_path, one | {"split": "train"}, two | {"split": "test"})
    (problem,), _ = validated(tmp_path)
    assert (problem.line, problem.field) == (2, "split")
    assert "by the DICOM's PatientID" in problem.message and "name them" in problem.message


def test_digests_are_keyed_and_those_of_packed_and_long_files_too(tmp_path):
    (one,) = dicoms(tmp_path, ("Zeisig", "1", "1"))
    path = tmp_path / one["image"]
    found = identity.digests(path, b"key")
    assert list(found) == ["PatientID", "StudyInstanceUID", "SeriesInstanceUID"]
    assert found == identity.digests(path, b"key") != identity.digests(path, b"other")
    assert not any(b"Zeisig" in digest for digest in found.values())
    packed = tmp_path / "d.dcm.zst"
    packed.write_bytes(zstandard.compress(path.read_bytes()))
    assert identity.digests(packed, b"key") == found
    long = save_dicom(
        tmp_path / "long.dcm", PIXELS, PatientID="Zeisig", StudyInstanceUID="1",
        SeriesInstanceUID="1", EncryptedAttributesSequence=[], SelectorOBValue=b"",
        ImageComments="x" * 10,
    )  # fmt: skip
    assert identity.digests(long, b"key") == found
    (tmp_path / "x.png").write_bytes(b"no DICOM")
    assert identity.digests(tmp_path / "x.png", b"key") == {}
    assert identity.digests(tmp_path / "gone.dcm", b"key") == {}


def test_no_identifier_reaches_records_problems_or_notes(tmp_path):
    canary = "Zeisig42"
    both = dicoms(tmp_path, (canary, "1.2.99942", "1.2.99943"), (canary, "1.2.99942", "1.3"))
    lines(tmp_path, both[0] | {"split": "train"}, both[1] | {"split": "test"})
    problems, notes = validated(tmp_path)
    lines(tmp_path, *both)
    found, more = records_of(tmp_path, *(line | {"patient": None} for line in both))
    built = builder.build(tmp_path, tmp_path / "out", workers=1)
    files = b"".join(p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file())
    text = " ".join(map(str, [problems, notes, found, more, built])) + files.decode("latin-1")
    assert canary not in text and "99942" not in text
