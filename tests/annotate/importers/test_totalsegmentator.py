import pytest

from big_rad.annotate import canonical, check, match, templates, volumes
from big_rad.annotate.importers import totalsegmentator as importer
from big_rad.annotate.segment import harmonised, precomputed
from big_rad.annotate.settings import Settings, Source
from big_rad.annotate.slices import Stack
from big_rad.config import recipes
from big_rad.grounding import classes
from tests.published import totalsegmentator as fixture

COLUMNS = "image_id;age;gender;institute;study_type;split;manufacturer"
NOTES = "AbdomenAtlasRadiologistsNotes.csv"


@pytest.fixture
def published(tmp_path):
    """Writes a dataset of empty shells: the importer looks at names and sizes only."""

    def write(lines, kind="CT", encoding="utf-8-sig", columns=COLUMNS):
        root = tmp_path / "set"
        root.mkdir()
        text = "".join(f"{line}\n" for line in (columns, *lines))
        (root / "meta.csv").write_text(text, encoding=encoding)
        for name in dict.fromkeys(line.split(";")[0] for line in lines):
            masks = root / name / "segmentations"
            masks.mkdir(parents=True)
            (root / name / importer.IMAGES[kind]).write_bytes(b"x")
            for class_name in importer.CLASSES[kind]:
                (masks / f"{class_name}.nii.gz").write_bytes(b"x")
        return root

    return write


def line(name, split="train"):
    return f"{name};60;m;A;ct thorax;{split};siemens"


def notes_of(tmp_path, *rows):
    path = tmp_path / NOTES
    path.write_text("BDMAP ID,TotalSegmentator_id,Notes\n" + "".join(rows), encoding="utf-8")
    return path


def test_each_subject_is_a_row_with_its_own_image_and_masks_and_the_line_of_the_table(published):
    root = published([line("s0000"), line("s0011"), line("s1427", "test")])
    found = importer.read(root)
    assert not found.problems
    assert [(r.line, r.patient, r.study, r.image_name) for r in found.rows] == [
        (2, "s0000", "s0000", "s0000/ct.nii.gz"),
        (3, "s0011", "s0011", "s0011/ct.nii.gz"),
        (4, "s1427", "s1427", "s1427/ct.nii.gz"),
    ]
    row = found.rows[1]
    assert row.image == root / "s0011/ct.nii.gz" and row.mask == root / "s0011/segmentations"
    assert (row.modality, row.language, row.report) == ("CT", "en", "")
    assert importer.splits(root) == {"s0000": "train", "s0011": "train", "s1427": "test"}


def test_the_files_say_whether_it_is_the_ct_or_the_mr_dataset(published):
    found = importer.read(published([line("s0001")], "MR"))
    assert [(r.modality, r.image.name) for r in found.rows] == [("MR", "mri.nii.gz")]


def test_the_masks_that_are_expected_are_the_classes_of_the_two_tasks():
    assert [len(importer.CLASSES[kind]) for kind in ("CT", "MR")] == [117, 50]
    assert all(classes.by_name(name) for names in importer.CLASSES.values() for name in names)
    assert "lung_left" in importer.CLASSES["MR"] and "lung_left" not in importer.CLASSES["CT"]


def test_notes_become_the_report_of_their_subject_and_those_of_others_are_counted(
    published, tmp_path
):
    root = published([line("s0000"), line("s0011")])
    notes = notes_of(
        tmp_path,
        'BDMAP_1,s0011,"Cyst in the left kidney.\nLiver, spleen: normal."\n',
        "BDMAP_2,s9999,Not here.\n",
        "\n",
        "BDMAP_1,s0011,Gallstone.\n",
        "BDMAP_3,s0000,\n",
    )
    found = importer.read(root, notes)
    assert [r.report for r in found.rows] == [
        "",
        "Cyst in the left kidney.\nLiver, spleen: normal.\nGallstone.",
    ]
    assert [(p.file, p.line, p.field, p.level) for p in found.problems] == [
        (NOTES, 4, "TotalSegmentator_id", "warning"),
        (NOTES, 7, "Notes", "warning"),
    ]
    assert "9999" not in "".join(map(str, found.problems))


def test_notes_are_refused_beside_mr_images_whose_subjects_only_seem_to_be_the_same(
    published, tmp_path
):
    root = published([line("s0011")], "MR")
    with pytest.raises(ValueError, match="belongs to the CT dataset"):
        importer.read(root, notes_of(tmp_path, "BDMAP_1,s0011,Cyst in the left kidney.\n"))


def spoil(root, how):
    subject = root / "s0011"
    masks = subject / "segmentations"
    if how == "no folder":
        subject.rename(root / "elsewhere")
    elif how == "no image":
        (subject / "ct.nii.gz").unlink()
    elif how == "two images":
        (subject / "mri.nii.gz").write_bytes(b"x")
    elif how == "empty image":
        (subject / "ct.nii.gz").write_bytes(b"")
    elif how == "no masks":
        masks.rename(subject / "masks")
    elif how == "one mask less":
        (masks / "liver.nii.gz").unlink()
    elif how == "an empty mask":
        (masks / "liver.nii.gz").write_bytes(b"")


@pytest.mark.parametrize(
    "how, field, said",
    [
        ("no folder", "image", "no folder"),
        ("no image", "image", "not one image"),
        ("two images", "image", "not one image"),
        ("empty image", "image", "empty file"),
        ("no masks", "mask", "117 of 117 masks"),
        ("one mask less", "mask", "1 of 117 masks are missing or empty, the first is liver"),
        ("an empty mask", "mask", "1 of 117 masks are missing or empty, the first is liver"),
    ],
)
def test_an_incomplete_subject_is_left_out_with_line_and_field(published, how, field, said):
    root = published([line("s0000"), line("s0011"), line("s0012")])
    spoil(root, how)
    found = importer.read(root)
    assert [r.patient for r in found.rows] == ["s0000", "s0012"]
    (problem,) = found.problems
    assert (problem.file, problem.line, problem.field) == ("meta.csv", 3, field)
    assert problem.level == "error" and problem.items == 1
    assert said in problem.message and "s0011" not in str(problem)


def test_lines_and_folders_that_do_not_fit_together_are_said(published):
    root = published([line("s0000"), line("s0000"), line("s0011", "validation")])
    (root / "s0500").mkdir()
    with (root / "meta.csv").open("a", encoding="utf-8") as file:
        file.write("../s0000;1;m;A;ct;train;x\n")
    found = importer.read(root)
    assert [r.line for r in found.rows] == [2, 4]
    assert [(p.line, p.field, p.level) for p in found.problems] == [
        (3, "image_id", "error"),
        (5, "image_id", "error"),
        (None, "image_id", "warning"),
        (4, "split", "warning"),
    ]
    assert "there are 1" in found.problems[2].message
    assert importer.splits(root) == {"s0000": "train"}


def test_a_table_that_cannot_be_read_is_refused_with_its_name_and_the_remedy(published, tmp_path):
    with pytest.raises(ValueError, match="no meta.csv; give the folder"):
        importer.read(tmp_path)
    root = published([line("s0000")])
    good = (root / "meta.csv").read_bytes()
    for content, said in (
        (good.replace(b";", b","), "meta.csv has no column 'image_id'"),
        (good.replace(b"siemens", b"M\xfcnchen"), "meta.csv is not in UTF-8"),
        (COLUMNS.encode(), "meta.csv has no subject"),
    ):
        (root / "meta.csv").write_bytes(content)
        with pytest.raises(ValueError, match=said):
            importer.read(root)
    (root / "meta.csv").write_bytes(good)
    notes = tmp_path / NOTES
    notes.write_text("TotalSegmentator_id;Notes\n", encoding="utf-8")
    with pytest.raises(ValueError, match=f"{NOTES} has no column 'TotalSegmentator_id'"):
        importer.read(root, notes)


def test_the_card_says_that_a_dataset_with_notes_must_not_be_passed_on(published, tmp_path):
    root = published([line("s0000")])
    (ct,) = importer.licences(root)
    assert ct["licence"] == "CC BY 4.0"
    both = importer.licences(root, notes_of(tmp_path))
    assert both[0] == ct and both[1]["pass_on"] is False and "NC-ND" in both[1]["licence"]


def test_the_recipe_names_source_and_result_and_uses_all_planes():
    c = recipes.load("configs/annotate_public.py:source=here,out=there,notes=notes.csv")
    assert (c.importer, c.source, c.out, c.notes) == (
        "totalsegmentator", "here", "there", "notes.csv",
    )  # fmt: skip
    assert c.segment == "precomputed" and c.templates == 8 and len(c.match.planes) == 3


@pytest.mark.parametrize("kind", ["CT", "MR"])
def test_a_dataset_in_the_published_format_gives_grounded_sentences_in_both_languages(
    tmp_path, kind
):
    told = fixture.write(tmp_path / "set", 1, modality=kind, notes=kind == "CT")
    notes = tmp_path / "set" / NOTES
    found = importer.read(tmp_path / "set", notes if kind == "CT" else None)
    assert not [p for p in found.problems if p.level == "error"]
    assert [r.patient for r in found.rows] == list(told)
    assert importer.splits(tmp_path / "set") == {name: t["split"] for name, t in told.items()}
    options = match.Options(("axial", "coronal", "sagittal"))
    for row in found.rows:
        assert row.modality == kind and row.report == told[row.patient]["notes"]
        (volume,) = volumes.catalogue(row.image, row.modality).volumes
        scratch = tmp_path / row.patient
        scratch.mkdir()
        stored = canonical.prepare(volume, scratch)
        stack = Stack(stored, precomputed.read(row.mask, stored, row.mask_names).labels)
        wanted = templates.wanted(stack, row.patient, row.line, 6, options)
        items, drops = match.items(stack, wanted, options)
        assert len(items) == 6 and not drops
        there = {classes.by_name(name).id for name in told[row.patient]["names"]}
        there |= {whole for whole, parts in harmonised.ROLLUP.items() if there & set(parts)}
        for item in items:
            assert set(item.texts) == {"en", "de"}
            assert {k[2] for rows in item.keywords.values() for k in rows} <= there


def test_a_subject_without_a_report_is_no_problem_for_check(tmp_path):
    fixture.write(tmp_path / "set", 1)
    source = Source(importer="totalsegmentator", folder=tmp_path / "set")
    settings = Settings(source, tmp_path / "out", tmp_path / "key", templates=4)
    found = check.check(importer.read(tmp_path / "set"), settings)
    assert [p for p in found if p.level == "error" or "report" in str(p)] == []
