"""SLAKE in its published format -> records."""

import itertools
import json

import numpy as np
import pytest
from PIL import Image

from big_rad.datasets import contents, files, records
from big_rad.datasets.slake import builder, organs
from big_rad.grounding import boxes, classes
from big_rad.pp import packed
from tests.helpers import declared
from tests.helpers.slake_records import LIKE, SPLIT_OF, problems, records_of
from tests.published import slake

# The classes of the fixture's names, written by hand; its other names have no class.
CLASS_OF = {
    "Left Lung": "lung_left",
    "Right Lung": "lung_right",
    "Liver": "liver",
    "Spleen": "spleen",
    "Left Kidney": "kidney_left",
    "Right Kidney": "kidney_right",
    "Heart": "heart",
    "Stomach": "stomach",
    "Colon": "colon",
    "Small Bowel": "small_bowel",
    "Bladder": "urinary_bladder",
    "Spinal Cord": "spinal_cord",
    "Brain": "brain",
}


def seen_classes(image):
    """{class id: bool mask} of the organs that the writer painted, from the writer's own names."""
    return {classes.by_name(CLASS_OF[n]).id: m for n, m in image["names"].items() if n in CLASS_OF}


def test_every_question_of_every_split_is_read_exactly(fixture, tmp_path):
    root, info = fixture
    builder.build(root, tmp_path, workers=1, **LIKE)
    found = records_of(tmp_path)
    for published, split in SPLIT_OF.items():
        wanted = {}
        for row in info["rows"][published]:
            if row["q_lang"] == "en" and row["answer"]:
                text = (row["question"], row["answer"], row["answer_type"].lower())
                wanted.setdefault(row["img_name"].split("/")[0], []).append(text)
        got = {
            name: [(t["question"], t["answer"], t["question_type"]) for t in e["texts"]]
            for name, e in found[split].items()
        }
        assert got == wanted
        assert not any(map(declared.not_of_records, found[split].values()))
        assert all(t["lang"] == "en" and t["task"] == "vqa" for e in found[split].values()
                   for t in e["texts"])  # fmt: skip


def test_pixels_modality_and_body_part_are_those_published(fixture, tmp_path):
    root, info = fixture
    builder.build(root, tmp_path, workers=1, **LIKE)
    found = records_of(tmp_path)
    for name, image in info["images"].items():
        example = found[SPLIT_OF[image["split"]]][name]
        pixels = packed.array(example["image"])
        assert pixels.dtype == np.uint8
        np.testing.assert_array_equal(pixels, image["pixels"])
        assert example["modality"] == {"CT": "CT", "MRI": "MR", "X-Ray": "OT"}[image["modality"]]
        assert example["body_part"] == image["location"]


@pytest.mark.parametrize(
    "form",
    [
        dict(),
        dict(mask_txt=False),
        dict(mask_mode="RGB"),
        dict(mask_mode="colour", mask_txt=False),
        dict(mask_mode="colour"),
        dict(validation_name="validation.json", nested=True),
    ],
    ids=str,
)
def test_label_map_and_boxes_lie_on_the_organs(form, tmp_path):
    info = slake.write(tmp_path / "slake", **form)
    builder.build(tmp_path / "slake", tmp_path, workers=1, **LIKE)
    found = records_of(tmp_path)
    checked = set()
    for name, image in info["images"].items():
        example, organs_here = found[SPLIT_OF[image["split"]]][name], seen_classes(image)
        given = {b[4]: b[:4] for b in example.get("boxes", [])}
        assert set(given) == set(organs_here)
        segmap = packed.array(example["segmap"]) if organs_here else np.zeros((1, 1), np.uint8)
        assert set(np.unique(segmap)) - {0} == set(organs_here)
        for class_id, where in organs_here.items():
            np.testing.assert_array_equal(segmap == class_id, where)
            box = boxes.from_label_map(where.astype(np.uint8))[1]
            assert boxes.iou(given[class_id], box) == 1.0
            checked.add(class_id)
    assert len(checked) >= 8


def test_sides_are_the_patients_whose_left_is_on_the_right_of_the_picture(fixture, tmp_path):
    root, _ = fixture
    builder.build(root, tmp_path, workers=1, **LIKE)
    left, right = (classes.by_name(f"lung_{s}").id for s in ("left", "right"))
    pairs = 0
    for example in itertools.chain(*(s.values() for s in records_of(tmp_path).values())):
        at = {b[4]: (b[0] + b[2]) / 2 for b in example.get("boxes", [])}
        if {left, right} <= set(at):
            pairs += 1
            assert at[left] > at[right]
    assert pairs >= 2


def test_one_and_two_workers_make_the_same(fixture, tmp_path):
    root, _ = fixture
    for workers in (1, 2):
        builder.build(root, tmp_path / str(workers), workers=workers, **LIKE)
    one, two = (records_of(tmp_path / n) for n in "12")
    assert one == two


def test_chinese_is_an_option_with_splits_of_its_own(fixture, tmp_path):
    root, info = fixture
    builder.build(root, tmp_path, languages="zh", workers=1, **LIKE)
    found = records_of(tmp_path, "zh")
    for split, of in itertools.product(SPLIT_OF, [found]):
        wanted = {n for n, image in info["images"].items() if image["zh_split"] == split}
        assert set(of[SPLIT_OF[split]]) == wanted
    assert {t["lang"] for e in found["train"].values() for t in e["texts"]} == {"zh"}


def test_both_languages_together_are_refused_as_they_share_images(fixture, tmp_path):
    root, _ = fixture
    with pytest.raises(records.SourceError, match=r"3 images are in more than one split.*=en\)"):
        builder.build(root, tmp_path, languages="en,zh", **LIKE)
    built = builder.build(
        root, tmp_path, languages="en,zh", allow_shared_images=True, workers=1, **LIKE
    )
    assert "warning: 3 images are in more than one split" in built.notes


def test_other_counts_than_published_are_refused(fixture, tmp_path):
    root, _ = fixture
    with pytest.raises(records.SourceError, match=r"18 questions.*4919.*--allow_other_counts"):
        builder.build(root, tmp_path)
    assert not (tmp_path / "slake" / "en").exists()


def test_validation_and_build_count_the_same(fixture, tmp_path):
    root, _ = fixture
    built = builder.build(root, tmp_path, workers=1, **LIKE)
    note = json.loads((built.folder / records.BUILD_INFO).read_text())["contents"]
    held, listed = {}, {}
    problems(root, contents=held, workers=2)
    assert {s: contents.summary(c, patients=False) for s, c in held.items()} == note
    assert note["train"]["images"] == 6 and note["train"]["texts"]["en"]["questions"] == 17
    assert note["train"]["classes"] and note["train"]["patients"] is None
    assert built.contents[0].startswith("train: 6 images; en: 17 questions; ")
    problems(root, contents=listed, pixels=False)
    for split, found in listed.items():
        assert (found.texts, found.boxes) == (held[split].texts, held[split].boxes)
        assert found.unopened == found.images


def test_notes_name_splits_counts_dropped_rows_and_digests(fixture, tmp_path):
    root, _ = fixture
    built = builder.build(root, tmp_path, workers=1, **LIKE)
    assert built.notes[0].startswith(
        "slake/en train: 6 images, 17 questions of 18 rows (1 without an answer left out), "
    )
    assert f"test.json: sha256 {files.sha256(root / 'test.json')}" in built.notes
    again = builder.build(root, tmp_path, workers=1, **LIKE)
    assert again.reused and again.notes == built.notes


def test_a_changed_mask_is_noticed_when_building_again(fixture, tmp_path):
    root, _ = fixture
    builder.build(root, tmp_path, workers=1, **LIKE)
    Image.new("L", (80, 96)).save(root / "imgs" / "xmlab1" / "mask.png")
    with pytest.raises(ValueError, match="images=.*--overwrite"):
        builder.build(root, tmp_path, workers=1, **LIKE)


def test_the_published_form_has_no_problem_but_the_empty_answer(fixture):
    root, _ = fixture
    (found,) = problems(root)
    assert (found.level, found.file, found.field) == ("warning", "train.json", "answer")
    lines = (root / "train.json").read_text("utf-8").splitlines()
    assert lines[found.line - 1] == " {"
    assert '"qid": 1' in "\n".join(lines[found.line - 1 : found.line + 20])


def test_boxes_end_at_the_edge_and_parts_of_an_organ_are_one_box(fixture, tmp_path):
    root, _ = fixture
    liver = classes.by_name("liver").id
    for name, parts in (
        ("xmlab5", [{"Liver": [70, 60, 30, 50]}]),
        ("xmlab6", [{"Liver": [50, 60, 10, 5]}, {"liver": [5.5, 30, 10, 12]}]),
    ):
        (root / "imgs" / name / "detection.json").write_text(json.dumps(parts))
    builder.build(root, tmp_path, workers=1, **LIKE)
    found = records_of(tmp_path)
    assert found["train"]["xmlab5"]["boxes"] == [[70, 60, 80, 96, liver]]
    assert found["validation"]["xmlab6"]["boxes"] == [[5.5, 30, 60, 65, liver]]


@pytest.mark.parametrize("given", ["", "fr", "en,fr", ()])
def test_unknown_languages_are_refused(given, fixture, tmp_path):
    with pytest.raises(ValueError, match="give en, zh or en,zh"):
        builder.build(fixture[0], tmp_path, languages=given)


def test_parts_diseases_and_organs_without_a_side_have_no_class():
    for name in ("Left Femoral Head", "Liver Cancer", "Brain Edema", "Kidney", "Lung", "Nodule"):
        assert organs.is_known(name) and organs.class_id(name) is None
    assert organs.class_id("Appendix") is None and not organs.is_known("Appendix")
    assert organs.class_id("LEFT  kidney") == 3


def test_every_class_of_the_table_is_what_the_lexicon_calls_so():
    for name, class_name in organs.CLASS_NAMES.items():
        if class_name:
            assert classes.lookup(name, "en").name == class_name
