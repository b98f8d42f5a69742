"""VQA-RAD in its published formats becomes records, and broken files are reported."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from big_rad.datasets import contents, core, files, records
from big_rad.datasets.vqa_rad import VERSION, builder
from big_rad.pp import packed
from tests.helpers import declared
from tests.published import vqa_rad

LIKE = dict(allow_other_counts=True)


@pytest.fixture
def fixture(tmp_path):
    root = tmp_path / "rad"
    return root, vqa_rad.write(root, root / "splits")


def questions(data_dir, split, config="wu"):
    """{image name: [(question, answer, type)]} of a built split."""
    source = core.load_source("vqa_rad", split, data_dir, config=config)
    assert not any(map(declared.not_of_records, source))
    return {
        f"{e['id']}.jpg": [(t["question"], t["answer"], t["question_type"]) for t in e["texts"]]
        for e in source
    }


def wanted(rows, kind):
    found = {}
    for row in rows:
        text = (row["question"], str(row["answer"]), row[kind].strip().lower())
        found.setdefault(row["image_name"], []).append(text)
    return found


def problems(root, **kw):
    kw = {"split_dir": root / "splits"} | kw
    return list(builder.validate(root, allow_other_counts=True, **kw))


def edit(path, number, **fields):
    rows = json.loads(path.read_text())
    rows[number] |= fields
    path.write_text(json.dumps(rows, indent=1))


def test_every_question_of_the_disjoint_split_is_read_exactly(fixture, tmp_path):
    root, info = fixture
    built = builder.build(root, tmp_path, split_dir=root / "splits", workers=1, **LIKE)
    assert built.folder == tmp_path / "vqa_rad" / "wu" / VERSION
    for split, rows in info["wu"].items():
        assert questions(tmp_path, split) == wanted(rows, "q_type")
    kinds = {k for texts in questions(tmp_path, "train").values() for _, _, k in texts}
    assert kinds == {"open", "closed"}


def test_pixels_are_those_published_in_colour(fixture, tmp_path):
    root, info = fixture
    builder.build(root, tmp_path, split_dir=root / "splits", workers=1, **LIKE)
    for example in core.load_source("vqa_rad", "test", tmp_path):
        pixels = packed.array(example["image"])
        assert pixels.dtype == np.uint8 and pixels.shape == (70, 80, 3)
        np.testing.assert_array_equal(pixels, info["images"][f"{example['id']}.jpg"])
        assert example["modality"] == "OT"


def test_the_common_split_has_framed_questions_in_train(fixture, tmp_path):
    root, info = fixture
    builder.build(root, tmp_path, config="common", workers=1, **LIKE)
    for split, rows in info["common_files"].items():
        got = questions(tmp_path, split, "common")
        assert {k: sorted(v) for k, v in got.items()} == {
            k: sorted(v) for k, v in wanted(rows, "answer_type").items()
        }


def test_the_common_split_in_two_files_gives_the_same(fixture, tmp_path):
    root, info = fixture
    builder.build(root, tmp_path / "public", config="common", workers=1, **LIKE)
    (root / builder.PUBLIC).unlink()
    vqa_rad.write_common_files(root, info["common_files"])
    builder.build(root, tmp_path / "common_files", config="common", workers=1, **LIKE)
    for split in ("train", "test"):
        one, two = (questions(tmp_path / n, split, "common") for n in ("public", "common_files"))
        assert one == two


def test_the_common_split_warns_that_images_leak(fixture, tmp_path):
    root, info = fixture
    shared = len(info["images"])
    built = builder.build(root, tmp_path, config="common", workers=1, **LIKE)
    assert any(n.startswith(f"warning: {shared} test images are in train") for n in built.notes)
    (found,) = problems(root, config="common", split_dir=None)
    assert found.level == "warning"
    assert f"{shared} images are in more than one split" in found.message


def test_the_disjoint_config_refuses_a_split_that_leaks(fixture, tmp_path):
    root, info = fixture
    leaked = info["wu"]["train"][0]["image_name"]
    edit(root / "splits" / "test_fixed_split.json", 2, image_name=leaked)
    with pytest.raises(records.SourceError, match=r"1 images are in more than one split.*common"):
        builder.build(root, tmp_path, split_dir=root / "splits", **LIKE)
    (found,) = problems(root)
    assert (found.level, found.file) == ("error", "test_fixed_split.json")
    assert f"{leaked} is in train_fixed_split.json too" in found.message
    assert (root / "splits" / found.file).read_text().splitlines()[found.line - 1] == " {"


def test_one_and_two_workers_make_the_same(fixture, tmp_path):
    root, _ = fixture
    made = []
    for workers in (1, 2):
        data_dir = tmp_path / str(workers)
        builder.build(root, data_dir, split_dir=root / "splits", workers=workers, **LIKE)
        made.append(
            [list(core.load_source("vqa_rad", s, data_dir)) for s in builder.PUBLISHED["wu"]]
        )
    assert made[0] == made[1]


def test_other_counts_than_published_are_refused(fixture, tmp_path):
    root, _ = fixture
    with pytest.raises(records.SourceError, match=r"12 questions.*785.*--allow_other_counts"):
        builder.build(root, tmp_path, split_dir=root / "splits")
    found = list(builder.validate(root, split_dir=root / "splits"))
    assert [p.message.split(",")[0] for p in found] == [f"{n} questions" for n in (12, 6, 6)]
    assert {p.level for p in found} == {"warning"}


def test_validation_and_build_count_the_same(fixture, tmp_path):
    root, info = fixture
    built = builder.build(root, tmp_path, split_dir=root / "splits", workers=1, **LIKE)
    note = json.loads((built.folder / records.BUILD_INFO).read_text())
    for pixels in (True, False):
        held = {}
        assert problems(root, contents=held, pixels=pixels) == []
        assert {s: contents.summary(c, patients=False) for s, c in held.items()} == note["contents"]
    for split, rows in info["wu"].items():
        assert note["contents"][split]["texts"]["en"]["questions"] == len(rows)
    assert "train: 4 images; en: 12 questions; no boxes or masks" in built.contents


def test_notes_name_splits_counts_and_digests(fixture, tmp_path):
    root, _ = fixture
    built = builder.build(root, tmp_path, split_dir=root / "splits", workers=1, **LIKE)
    assert built.notes[0] == "vqa_rad/wu train: 4 images, 12 questions of 12 rows"
    name = "validation_fixed_split.json"
    assert f"{name}: sha256 {files.sha256(root / 'splits' / name)}" in built.notes


def test_the_published_form_has_no_problem(fixture):
    assert problems(fixture[0]) == []


@pytest.mark.parametrize("name", ["images", "image"])
def test_other_names_of_the_image_folder_are_found(name, tmp_path):
    vqa_rad.write(tmp_path / "rad", images_name=name)
    assert problems(tmp_path / "rad", split_dir=None) == []


@pytest.mark.parametrize(
    ("name", "config", "words"),
    [
        ("splits/test_fixed_split.json", "wu", "no test_fixed_split.json: .*Wu et al.*--split_dir"),
        ("VQA_RAD Image Folder", "wu", "no VQA_RAD Image Folder or images or image\\. .*osf.io"),
        ("VQA_RAD Dataset Public.json", "common", "no VQA_RAD Dataset Public.json.*osf.io"),
    ],
)
def test_what_is_missing_is_named_and_where_it_is_to_be_had(name, config, words, fixture):
    root, _ = fixture
    (root / name).rename(root / "elsewhere")
    with pytest.raises(records.SourceError, match=words):
        problems(root, config=config)


# For each mistake: (fields of row 3 of the test split, field, words of the message, level).
BROKEN = {
    "empty answer": ({"answer": " "}, "answer", "empty", "warning"),
    "no answer": ({"answer": None}, "answer", "empty", "warning"),
    "answer a truth value": ({"answer": True}, "answer", "neither text nor a number", "error"),
    "no question": ({"question": None}, "question", "no question", "error"),
    "type": ({"q_type": "yes/no"}, "q_type", "neither open nor closed", "error"),
    "image a path": ({"image_name": "/etc/passwd"}, "image_name", "not the name", "error"),
    "missing image": ({"image_name": "synpic1.jpg"}, "image_name", "synpic1.jpg is missing",
                      "error"),
    "qid a list": ({"qid": [1]}, "qid", "neither text nor a number", "error"),
    "type a list": ({"q_type": ["open"]}, "q_type", "neither open nor closed", "error"),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
def test_each_broken_row_is_named_and_left_out(what, fixture, tmp_path):
    root, info = fixture
    change, field, words, level = BROKEN[what]
    path = root / "splits" / "test_fixed_split.json"
    edit(path, 2, **change)
    (found,) = problems(root)
    assert (found.file, found.field, found.level) == (path.name, field, level)
    assert re.search(words, found.message) and "row 3" in found.message
    assert path.read_text().splitlines()[found.line - 1] == " {"
    built = builder.build(root, tmp_path, split_dir=root / "splits", workers=1, **LIKE)
    assert built.rejects == (level == "error")
    rows = [r for i, r in enumerate(info["wu"]["test"]) if i != 2]
    assert questions(tmp_path, "test") == wanted(rows, "q_type")


def test_a_broken_image_is_named_and_left_out(fixture, tmp_path):
    root, info = fixture
    name = info["wu"]["test"][0]["image_name"]
    (root / "VQA_RAD Image Folder" / name).write_bytes(b"no picture")
    (found,) = problems(root, workers=2)
    assert found.file == f"VQA_RAD Image Folder/{name}" and found.level == "error"
    assert problems(root, pixels=False) == []
    options = dict(split_dir=root / "splits", workers=1, **LIKE)
    with pytest.raises(records.BuildError, match="3 of 6 items"):
        builder.build(root, tmp_path, **options)
    built = builder.build(root, tmp_path, max_reject_share=0.5, **options)
    assert built.rejects == 1 and name not in questions(tmp_path, "test")


def test_broken_json_is_reported_with_its_line(fixture):
    root, _ = fixture
    path = root / "splits" / "train_fixed_split.json"
    path.write_text(path.read_text()[:-40])
    (found,) = problems(root)
    assert (found.file, found.level) == (path.name, "error") and found.line > 50


def test_a_qid_twice_is_reported(fixture):
    root, _ = fixture
    edit(root / builder.PUBLIC, 3, qid=2)
    assert any(p.field == "qid" and "row 4 (qid 2)" in p.message
               for p in problems(root, config="common", split_dir=None))  # fmt: skip


def test_an_unknown_config_is_refused(fixture, tmp_path):
    with pytest.raises(ValueError, match="no config 'mine'; there are wu, common"):
        builder.build(fixture[0], tmp_path, config="mine")


def test_pictures_are_turned_by_exif_unless_they_are_wanted_as_stored(fixture):
    root, _ = fixture
    plan, _ = builder.read(root, "wu", root / "splits")
    job = plan.jobs["test"][0]
    picture = Image.fromarray(np.zeros((20, 30), np.uint8))
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(root / job.image, "JPEG", exif=exif)
    shapes = [
        packed.array(record["images"][0]["image"]).shape
        for upright in (True, False)
        for record in builder.make(job, upright=upright)
    ]
    assert shapes == [(30, 20, 3), (20, 30, 3)]
