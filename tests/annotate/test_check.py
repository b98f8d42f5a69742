"""Checks the command that lists every problem of a manifest and of its files."""

import csv
import dataclasses
import os
import pathlib
import re
import shutil
import subprocess
import sys

import nibabel as nib
import numpy as np
import pydicom
import pytest

from big_rad.annotate import canonical, check, manifest, volumes
from big_rad.annotate.checks import estimate as estimate_lib
from big_rad.annotate.checks import texts
from big_rad.annotate.settings import Settings, Source
from tests.helpers import small_studies, totalsegmentator_stand_in
from tests.published import hospital

GERMAN = (
    "Die Leber ist normal und nicht vergrößert, auch die Milz ist von normaler Größe und glatt."
)
ENGLISH = (
    "The liver is normal and not enlarged, and the spleen is of normal size as well as smooth."
)


class Export:
    """A copy of an export whose rows and files a test may change."""

    def __init__(self, root, table):
        self.root, self.table = root, table
        with table.open(encoding="utf-8", newline="") as file:
            self.rows = list(csv.DictReader(file))

    def path(self, number, field):
        return self.root / self.rows[number][field]

    def edit_headers(self, number, **fields):
        for path in self.path(number, "image").iterdir():
            ds = pydicom.dcmread(path)
            for keyword, value in fields.items():
                setattr(ds, keyword, value)
            ds.save_as(path)

    def check(self, pixels=False, workers=1, seen=None, **options):
        columns = list(dict.fromkeys(c for row in self.rows for c in row))
        with self.table.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, columns, restval="")
            writer.writeheader()
            writer.writerows(self.rows)
        out = self.root / "never"
        options = {"nifti_image_numbers": "ascending"} | options
        settings = Settings(Source(self.table), out, out / "secret.key", **options)
        found = list(
            check.check(
                manifest.read(self.table), settings, pixels=pixels, workers=workers, seen=seen
            )
        )
        assert not out.exists()
        return found

    def __getitem__(self, number):
        return self.rows[number]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    small = tmp_path_factory.mktemp("small") / "root"
    small_studies.write(small, 3)
    dicom = tmp_path_factory.mktemp("dicom") / "root"
    hospital.write(dicom, patients=3, size=32, thickness=20.0, source="dicom")
    return {"nifti": small, "dicom": dicom}


@pytest.fixture
def nifti(written, tmp_path):
    root = shutil.copytree(written["nifti"], tmp_path / "nifti")
    return Export(root, root / "manifest.csv")


@pytest.fixture
def dicom(written, tmp_path):
    root = shutil.copytree(written["dicom"], tmp_path / "dicom")
    return Export(root, root / "manifest.csv")


def errors(found):
    return [p for p in found if p.level == "error"]


def has(found, level, line, field, words):
    return any(
        (p.level, p.line, p.field) == (level, line, field) and words in p.message for p in found
    )


@pytest.mark.parametrize("kind", ["nifti", "dicom"])
@pytest.mark.parametrize("pixels", [False, True])
def test_a_clean_manifest_has_no_error(kind, pixels, request):
    assert errors(request.getfixturevalue(kind).check(pixels=pixels)) == []


def shift(path):
    image = nib.load(path)
    affine = image.affine.copy()
    affine[0, 3] += 7
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), affine), path)


def crop(path):
    image = nib.load(path)
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj)[:-1], image.affine), path)


def turn(path):
    image = nib.load(path)
    nib.save(image.as_reoriented([[1, -1], [0, 1], [2, 1]]), path)


def mirror_qform(path, code=1):
    """Lets the qform say another side than the sform; code is that of the sform."""
    image = nib.load(path)
    image.set_qform(np.diag([-1.0, 1, 1, 1]) @ image.affine, 1)
    image.set_sform(image.affine, code)
    data = np.asarray(image.dataobj)
    nib.save(nib.Nifti1Image(data, None, image.header), path)


def folder_of(source, names):
    folder = source.root / "masks"
    folder.mkdir()
    for name in names:
        shutil.copy(source.root / "m0.nii.gz", folder / f"{name}.nii.gz")
    source[0]["mask"] = source[1]["mask"] = "masks"


def text_file(source, data):
    (source.root / "r.txt").write_bytes(data)
    source[0]["report"] = "r.txt"


def copy_image(source, one, other):
    shutil.copy(source.root / f"i{one}.nii.gz", source.root / f"i{other}.nii.gz")


def set_row(source, number, **fields):
    source[number].update(fields)


NIFTI = {
    "missing image": (lambda s: s.path(0, "image").unlink(), "error", 2, "image", "not exist"),
    "unreadable image": (
        lambda s: s.path(0, "image").write_bytes(b"no image"), "error", 2, "image", "no volume"),
    "cell of the table": (
        lambda s: set_row(s, 0, modality="PET"), "error", 2, "modality", "one of CT, MR"),
    "no mask": (lambda s: set_row(s, 1, mask=""), "error", 4, "mask", "fill in the column mask"),
    "missing mask": (lambda s: s.path(0, "mask").unlink(), "error", 2, "mask", "check its path"),
    "unreadable mask": (
        lambda s: s.path(0, "mask").write_bytes(b"x" * 999), "error", 2, "mask", "the mask"),
    "mask elsewhere": (lambda s: shift(s.path(0, "mask")), "error", 2, "mask", "not lie on"),
    "mask of another shape": (lambda s: crop(s.path(0, "mask")), "error", 2, "mask", "voxels and"),
    "image with two sides": (
        lambda s: mirror_qform(s.path(0, "image")), "error", 2, "image", "which of them is right"),
    "image with another qform": (
        lambda s: mirror_qform(s.path(0, "image"), 2), "warning", 2, "image", "sform is used"),
    "mask with two sides": (
        lambda s: mirror_qform(s.path(0, "mask")), "error", 2, "mask", "which of them is right"),
    "mask with another qform": (
        lambda s: mirror_qform(s.path(0, "mask"), 2), "warning", 2, "mask", "sform is used"),
    "several masks": (
        lambda s: set_row(s, 1, mask="m1.nii.gz"), "error", 4, "mask", "differs from that of line"),
    "folder without a class": (
        lambda s: folder_of(s, ["a", "b"]), "error", 2, "mask", "named after a class"),
    "folder with another file": (
        lambda s: folder_of(s, ["liver", "b"]), "warning", 2, "mask", "are no class: 1"),
    "mask without names": (
        lambda s: set_row(s, 0, mask_names=""), "error", 2, "mask", "no names for its numbers"),
    "missing names file": (
        lambda s: set_row(s, 0, mask_names="n.json"), "error", 2, "mask_names", "cannot be read"),
    "missing report": (
        lambda s: set_row(s, 0, report="r.txt"), "error", 2, "report", "check its path"),
    "report that is a folder": (
        lambda s: [(s.root / "r").mkdir(), set_row(s, 0, report="r")], "error", 2, "report",
        "is a folder; give a file"),
    "report in Latin-1": (
        lambda s: text_file(s, "Größe".encode("latin-1")), "error", 2, "report", "not UTF-8"),
    "empty report": (lambda s: text_file(s, b" \n"), "error", 2, "report", "empty"),
    "report without anatomy": (
        lambda s: set_row(s, 0, report="Alles gut."), "warning", 2, "report", "names no anatomy"),
    "other language": (
        lambda s: set_row(s, 0, report=ENGLISH), "warning", 2, "language", "looks English"),
    "slice outside": (lambda s: set_row(s, 0, slice="8"), "error", 2, "slice", "has 8 axial"),
    "slice outside in a plane": (
        lambda s: set_row(s, 0, slice="18", plane="coronal"), "error", 2, "slice", "18 coronal"),
    "image that the text names": (
        lambda s: set_row(s, 0, report="Leber normal (Bild 99)."), "warning", 2, "report",
        "does not have"),
    "same report": (
        lambda s: set_row(s, 2, report=s[0]["report"]), "warning", 6, "report", "as in line 2"),
    "same pixels, two patients": (
        lambda s: copy_image(s, 0, 2), "error", 10, "patient", "the same pixels"),
    "same pixels, two studies": (
        lambda s: copy_image(s, 0, 1), "warning", 6, "image", "another study"),
    "the same study twice": (
        lambda s: [copy_image(s, 0, 1), set_row(s, 2, study="S0"), set_row(s, 3, study="S0")],
        "warning", 6, "image", "the same study"),
    "other modality for an image": (
        lambda s: set_row(s, 1, modality="CT"), "error", 4, "modality", "differs from line 2"),
}  # fmt: skip


@pytest.mark.parametrize("name", NIFTI)
def test_a_problem_of_nifti_studies_is_found(nifti, name):
    change, *expected = NIFTI[name]
    change(nifti)
    assert has(nifti.check(), *expected)


def other_study(source):
    """Gives the image of rows 2 and 3 another patient and study than that of rows 0 and 1."""
    headers = [pydicom.dcmread(next(source.path(n, "image").iterdir())) for n in (0, 2)]
    assert headers[0].StudyInstanceUID != headers[1].StudyInstanceUID
    return headers[0]


def second_series(source):
    image = source.path(0, "image")
    for path in sorted(image.iterdir())[1:]:
        ds = pydicom.dcmread(path)
        ds.SeriesInstanceUID, ds.SeriesNumber = "1.2.3.4.5", 9
        ds.SOPInstanceUID = ds.SOPInstanceUID[:50] + ".1"
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        ds.save_as(path.with_name("z" + path.name))
    for row in source.rows[:2]:
        row["series"] = ""
        row["report"] = "Leber normal." if row["language"] == "de" else "Liver normal."


def same(source, *keywords):
    first = other_study(source)
    source.edit_headers(2, **{k: first.get(k) for k in keywords})


def two_patients(source):
    path = next(source.path(0, "image").iterdir())
    ds = pydicom.dcmread(path)
    ds.PatientID = "somebody else"
    ds.save_as(path)


def same_person(source):
    for number in (0, 2):
        source.edit_headers(number, PatientName="Doe^Jane", PatientBirthDate="19500102")


def same_pixels(source):
    for number in (2, 3):
        source[number]["modality"] = source[0]["modality"]
    for old in source.path(2, "image").iterdir():
        old.unlink()
    for number, path in enumerate(source.path(0, "image").iterdir()):
        ds = pydicom.dcmread(path)
        ds.PatientID, ds.PatientName = "other", "Other^One"
        ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.3.4.6", "1.2.3.4.6.1"
        ds.SOPInstanceUID = f"1.2.3.4.6.1.{number + 1}"
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        ds.save_as(source.path(2, "image") / path.name)


def one_patient_two_studies(source):
    for number in (2, 3):
        source[number]["patient"] = source[0]["patient"]
    same(source, "StudyInstanceUID")


def one_patient(source):
    """Gives the image of rows 2 and 3 the patient of rows 0 and 1."""
    for number in (2, 3):
        source[number]["patient"] = source[0]["patient"]
    for number, name in ((0, "Doe^Jane"), (2, "Roe^Mary")):
        source.edit_headers(number, PatientName=name, PatientBirthDate="19500102")


def shared_number(source, series):
    """Gives both series of an image the same SeriesNumber, which the row or its text names."""
    second_series(source)
    source.edit_headers(0, SeriesNumber=9)
    source[0]["series"] = series
    source[0]["report"] = "Leber normal (Serie 9)." if not series else "Leber normal."


DICOM = {
    "other modality": (
        lambda s: [set_row(s, n, modality={"CT": "MR", "MR": "CT"}[s[0]["modality"]])
                   for n in (1, 0)], "error", 2, "image", "the manifest says"),
    "unknown series": (
        lambda s: set_row(s, 0, series="77", report="Leber normal."), "error", 2, "series",
        "no series of this number"),
    "unknown series in the text": (
        lambda s: set_row(s, 0, report="Leber normal (Serie 77, Bild 3)."), "warning", 2, "report",
        "a series that the image does not have"),
    "several series": (second_series, "warning", 2, "series", "none is named"),
    "two series of the number": (
        lambda s: shared_number(s, "9"), "error", 2, "series", "that several series of the image"),
    "two series of the number in the text": (
        lambda s: shared_number(s, ""), "warning", 2, "report", "that several series of the"),
    "unknown InstanceNumber": (
        lambda s: set_row(s, 0, slice="999"), "error", 2, "slice", "InstanceNumber"),
    "left out files": (
        lambda s: (s.path(0, "image") / "a.txt").write_text("x"), "warning", 2, "image",
        "files left out: 1"),
    "two patients in a folder": (two_patients, "error", 2, "image", "2 patients"),
    "same PatientID": (
        lambda s: same(s, "PatientID"), "error", 4, "patient", "the same PatientID"),
    "same person": (same_person, "error", 4, "patient", "the same name and day of birth"),
    "same StudyInstanceUID": (
        lambda s: same(s, "StudyInstanceUID"), "error", 4, "patient", "StudyInstanceUID"),
    "same pixels": (same_pixels, "error", 4, "patient", "the same pixels"),
    "one id, two PatientIDs": (
        lambda s: one_patient(s), "warning", 4, "patient", "the images have another PatientID"),
    "one id, two names": (
        lambda s: [one_patient(s), same(s, "PatientID")], "warning", 4, "patient",
        "another name or day of birth"),
    "another date": (
        lambda s: set_row(s, 0, date="2019-02-01"), "warning", 2, "date", "StudyDate"),
    "one study under two ids": (one_patient_two_studies, "warning", 4, "study", "there twice"),
}  # fmt: skip


@pytest.mark.parametrize("name", DICOM)
def test_a_problem_of_dicom_studies_is_found(dicom, name):
    change, *expected = DICOM[name]
    change(dicom)
    assert has(dicom.check(), *expected)


def test_two_studies_of_one_person_and_the_right_date_are_no_problem(dicom):
    one_patient(dicom)
    same(dicom, "PatientID", "PatientName")
    said = [p for p in dicom.check() if p.field in ("patient", "date")]
    assert said == [] and dicom[0]["date"] == "2021-05-03"


def test_what_stands_in_place_of_a_name_is_no_person(dicom):
    for number in (0, 2):
        dicom.edit_headers(
            number, PatientID="ANONYMOUS", PatientName="Anonymous^Patient",
            PatientBirthDate="19000101",
        )  # fmt: skip
    assert errors(dicom.check()) == []


def test_a_turned_mask_is_no_problem(nifti):
    turn(nifti.path(0, "mask"))
    assert errors(nifti.check()) == []


def test_a_dicom_seg_is_checked_by_its_header(written, dicom):
    pytest.importorskip("highdicom")
    at = next(n for n, row in enumerate(dicom.rows) if row["mask"].endswith("_seg.dcm"))
    path = dicom.path(at, "mask")
    ds = pydicom.dcmread(path)
    for frame in ds.PerFrameFunctionalGroupsSequence:
        place = frame.PlanePositionSequence[0]
        place.ImagePositionPatient = [float(v) + 9 for v in place.ImagePositionPatient]
    ds.save_as(path)
    assert has(dicom.check(), "error", at + 2, "mask", "voxels off")
    path.write_bytes(path.read_bytes()[:700])
    assert has(dicom.check(), "error", at + 2, "mask", "DICOM SEG")


def test_a_dicom_seg_of_other_images_is_an_error(dicom):
    pytest.importorskip("highdicom")
    at = next(n for n, row in enumerate(dicom.rows) if row["mask"].endswith("_seg.dcm"))
    path = dicom.path(at, "mask")
    ds = pydicom.dcmread(path)
    ds.FrameOfReferenceUID = "1.2.3.4"
    for item in ds.ReferencedSeriesSequence:
        item.SeriesInstanceUID = "1.2.3.4.5"
    for element in ds.iterall():
        if element.keyword == "ReferencedSOPInstanceUID":
            element.value += ".1"
    ds.save_as(path)
    for pixels in (False, True):
        assert has(dicom.check(pixels=pixels), "error", at + 2, "mask", "made for other images")


def test_only_the_pixels_tell_a_damaged_volume(nifti):
    path = nifti.path(0, "image")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    assert not has(nifti.check(), "error", 2, "image", "")
    assert has(nifti.check(pixels=True), "error", 2, "image", "")


def test_numbers_of_images_need_a_setting_in_nifti(nifti):
    found = nifti.check(nifti_image_numbers="")
    (one,) = [p for p in found if "nifti_image_numbers" in p.message]
    assert (one.level, one.line) == ("warning", 2)
    assert "6 rows" in one.message


def test_the_installed_program_is_checked(nifti, tmp_path):
    settings = totalsegmentator_stand_in.install(tmp_path / "ts")
    for row in nifti.rows:
        row["mask"] = ""
    options = {"segment": "totalsegmentator", "totalsegmentator": settings}
    assert errors(nifti.check(**options)) == []
    missing = dataclasses.replace(settings, command=("no-such-program",))
    found = nifti.check(segment="totalsegmentator", totalsegmentator=missing)
    assert has(found, "error", None, "segment", "not found")


@pytest.mark.slow
def test_workers_do_not_change_what_is_found(nifti):
    copy_image(nifti, 0, 2)
    nifti.path(3, "mask").unlink()
    assert nifti.check(workers=2) == nifti.check()


@pytest.mark.parametrize(
    ("text", "expected"),
    [(GERMAN, "de"), (ENGLISH, "en"), ("The liver is normal.", ""), ("CT Thorax " * 9, "")],
)
def test_the_language_of_a_text_shows_in_its_small_words(text, expected):
    assert texts.looks_like(text) == expected


def test_the_estimate_follows_from_what_was_counted(nifti):
    seen = check.Seen()
    nifti.check(seen=seen)
    settings = Settings(Source(nifti.table), pathlib.Path("o"), pathlib.Path("k"))
    rates = estimate_lib.Rates(nifti=1e6, report=1.0, item=0.0, share=0.5)
    made = check.estimate(seen, settings, rates)
    voxels = 3 * int(np.prod(small_studies.SHAPE))
    assert (made.images, made.volumes, made.slices, made.reports) == (3, 3, 24, 6)
    assert made.voxels == voxels and made.seconds == voxels + 6
    half, whole = made.items, check.estimate(seen, settings, dataclasses.replace(rates, share=1.0))
    assert 0 < half < whole.items and made.bytes < whole.bytes


def run(*args, capsys):
    code = check.main(list(args))
    said = capsys.readouterr()
    return code, said.out, said.err


def test_the_command_prints_a_line_for_each_problem_and_a_summary(nifti, capsys, monkeypatch):
    monkeypatch.chdir(small_studies.ROOT)
    config = f"--config=configs/annotate.py:manifest={nifti.table},out=never"
    code, out, _ = run(config, capsys=capsys)
    assert code == 0 and "0 errors" in out
    assert re.search(r"^check: 6 rows about 3 images of 3 studies of 2 patients;", out, re.M)
    assert re.search(r"^estimate: time about .* with 1 process$", out, re.M)
    nifti.path(0, "mask").unlink()
    code, out, _ = run(config, "--pixels", capsys=capsys)
    assert code == 1 and "; 1 error," in out
    assert re.search(r"^error: manifest.csv:2: mask: .*check its path$", out, re.M)
    assert not (small_studies.ROOT / "never").exists()


def test_a_wrong_command_ends_with_2(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(small_studies.ROOT)
    assert run(capsys=capsys)[0] == 2
    missing = f"--config=configs/annotate.py:manifest={tmp_path / 'no.csv'},out=never"
    code, _, err = run(missing, capsys=capsys)
    assert code == 2 and "no.csv" in err and str(tmp_path) not in err
    assert run(missing, "--piksels", capsys=capsys)[0] == 2


def test_no_identifier_is_in_a_message(tmp_path):
    made = hospital.write(tmp_path, patients=2, size=32, thickness=20.0, canaries=True)
    source = Export(tmp_path, made.manifest)
    clean = source.check(nifti_image_numbers="")
    for row in source.rows:
        row["mask"] = "/nowhere/" + row["patient"]
    said = "\n".join(map(str, [*clean, *source.check(pixels=True)]))
    hospital.break_some(made, corrupt=2, latin1=0)
    said += "\n".join(map(str, source.check()))
    assert said.count("no volume of") == 1 and said.count("check its path") == 3
    names = [*made.canaries, *(row["patient"] for row in source.rows), str(tmp_path), "nowhere"]
    assert [name for name in names if name.casefold() in said.casefold()] == []


@pytest.mark.parametrize("kind", ["nifti", "dicom"])
def test_the_grid_that_headers_tell_is_that_of_the_voxels(kind, request, tmp_path):
    export = request.getfixturevalue(kind)
    for row in manifest.read(export.table).rows[::2]:
        volume = volumes.catalogue(row.image, row.modality).volumes[0]
        folder = tmp_path / f"line{row.line}"
        folder.mkdir()
        told, made = canonical.grid(volume), canonical.prepare(volume, folder)
        assert told.shape == made.shape
        np.testing.assert_array_equal(told.affine, made.affine)


def closed(*arguments):
    """Runs the command as a user who must obey permissions, which root does not have to."""
    command = [sys.executable, "-m", "big_rad.annotate", *arguments]
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root may read everything")
        drop = "-dac_override,-dac_read_search"
        command = ["setpriv", f"--bounding-set={drop}", f"--inh-caps={drop}", *command]
    env = os.environ | {"PYTHONPATH": str(small_studies.ROOT)}
    return subprocess.run(
        command, capture_output=True, text=True, cwd=small_studies.ROOT, env=env, timeout=300
    )


def test_files_that_may_not_be_read_are_named_by_what_they_are(nifti):
    (nifti.root / "folder").mkdir()
    shutil.copy(nifti.path(2, "image"), nifti.root / "folder" / "i.nii.gz")
    (nifti.root / "r.txt").write_text("Leber normal.")
    set_row(nifti, 2, image="folder/i.nii.gz")
    set_row(nifti, 3, image="folder/i.nii.gz")
    set_row(nifti, 4, report="r.txt")
    nifti.check()  # Writes the manifest.
    for name in (nifti[0]["mask"], "folder", "r.txt"):
        (nifti.root / name).chmod(0)
    try:
        recipe = f"--config=configs/annotate.py:manifest={nifti.table},out={nifti.root / 'out'}"
        said = closed("check", recipe)
        assert "manifest.csv:2: mask: the mask may not be read; give yourself" in said.stdout
        assert "manifest.csv:6: image: the image may not be read; give yourself" in said.stdout
        line = "manifest.csv:10: report: the file of the report may not be read"
        assert line in said.stdout and said.returncode == 1
        done = closed("run", recipe)
        assert "the mask may not be read" in done.stdout + done.stderr
        assert "the image may not be read" in done.stdout + done.stderr
        nifti.table.chmod(0)
        assert "manifest.csv: the manifest may not be read" in closed("check", recipe).stderr
        assert "Errno" not in said.stdout + said.stderr + done.stdout + done.stderr
    finally:
        for path in (nifti.table, nifti.root / "folder"):
            path.chmod(0o755)
