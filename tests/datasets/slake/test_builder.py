"""SLAKE in its published format -> records, and what is said of broken files."""

import itertools
import json
import re

import numpy as np
import pytest
from PIL import Image

from big_rad.datasets import core, records
from big_rad.datasets.slake import builder, organs
from big_rad.grounding import boxes, classes
from big_rad.pp import packed
from tests.published import slake

# The classes of the fixture's names, by hand; the others have none.
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
LIKE = dict(allow_other_counts=True)
SPLIT_OF = {"train": "train", "validate": "validation", "test": "test"}


@pytest.fixture
def fixture(tmp_path):
    root = tmp_path / "slake"
    return root, slake.write(root)


def records_of(data_dir, config="en"):
    return {
        split: {e["id"]: e for e in core.load_source("slake", split, data_dir, config=config)}
        for split in SPLIT_OF.values()
    }


def seen_classes(image):
    """{class id: bool mask} of what the writer put into the mask, from its own names."""
    return {classes.by_name(CLASS_OF[n]).id: m for n, m in image["names"].items() if n in CLASS_OF}


def problems(root, **kw):
    return list(builder.validate(root, allow_other_counts=True, **kw))


def edit(path, change):
    content = json.loads(path.read_text("utf-8"))
    content = change(content) or content
    path.write_text(json.dumps(content, indent=1), "utf-8")


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


def test_notes_name_splits_counts_dropped_rows_and_digests(fixture, tmp_path):
    root, _ = fixture
    built = builder.build(root, tmp_path, workers=1, **LIKE)
    assert built.notes[0].startswith(
        "slake/en train: 6 images, 17 questions of 18 rows (1 without an answer left out), "
    )
    assert f"test.json: sha256 {records.sha256(root / 'test.json')}" in built.notes
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


@pytest.mark.parametrize("name", ["train.json", "validate.json", "imgs"])
def test_a_missing_file_is_named_and_where_the_set_is_to_be_had(fixture, name):
    root, _ = fixture
    (root / name).rename(root / "elsewhere")
    with pytest.raises(records.SourceError, match=rf"has no {name}\. .*med-vqa\.com/slake"):
        problems(root)


def test_broken_json_is_reported_with_its_line(fixture):
    root, _ = fixture
    text = (root / "test.json").read_text("utf-8")
    (root / "test.json").write_text(text[: len(text) // 2], "utf-8")
    (found,) = problems(root)
    assert found.file == "test.json" and found.line > 20
    assert "broken JSON" in found.message or "cut off" in found.message


# What is broken -> (file, field or None, words of the message, level).
BROKEN = {
    "no question": ("test.json", "question", "no question", "error"),
    "answer a list": ("test.json", "answer", "neither text nor a number", "error"),
    "answer type": ("test.json", "answer_type", "neither open nor closed", "error"),
    "language": ("test.json", "q_lang", "neither en nor zh", "error"),
    "duplicate qid": ("test.json", "qid", "another row has it", "error"),
    "escaping image": ("test.json", "img_name", "not the name of an image", "error"),
    "image in two splits": ("test.json", "img_name", "xmlab0/source.jpg is in train.json", "error"),
    "missing image": ("test.json", "img_name", "imgs/xmlab8/source.jpg is missing", "error"),
    "broken image": ("imgs/xmlab8/source.jpg", "", "damaged|truncated", "error"),
    "broken mask": ("imgs/xmlab6/mask.png", "", "damaged|truncated|neither", "error"),
    "mask of other size": ("imgs/xmlab6/mask.png", "", "50 x 40 pixels, the image has 96 x 80",
                           "error"),
    "mask of another image": ("imgs/xmlab6/mask.png", "stomach", "mask and box of stomach differ",
                              "warning"),
    "unknown value": ("imgs/xmlab6/mask.png", "", r"1 values \(.* pixels\) are in no mask.txt",
                      "warning"),
    "box outside": ("imgs/xmlab6/detection.json", "Liver", "outside the image", "error"),
    "box over the edge": ("imgs/xmlab6/detection.json", "Liver", "over the edge", "warning"),
    "box no numbers": ("imgs/xmlab6/detection.json", "Liver", "not four numbers", "error"),
    "box without height": ("imgs/xmlab6/detection.json", "Liver", "w and h above 0", "error"),
    "unknown organ": ("imgs/xmlab6/detection.json", "name", "'Appendix' is in no table", "warning"),
    "detection no list": ("imgs/xmlab6/detection.json", "", "not a list", "error"),
    "detection broken": ("imgs/xmlab6/detection.json", "", "broken JSON", "error"),
    "detection nested": ("imgs/xmlab6/detection.json", "", "broken JSON", "error"),
    "detection of other numbers": ("imgs/xmlab6/detection.json", "Heart", "not four numbers",
                                   "error"),
    "detection of truth values": ("imgs/xmlab6/detection.json", "Heart", "not four numbers",
                                  "error"),
    "detection too large": ("imgs/xmlab6/detection.json", "", "more than .* bytes", "error"),
    "mask of noise": ("imgs/xmlab6/mask.png", "", "more than 255 values", "error"),
    "qid a list": ("test.json", "qid", "neither text nor a number", "error"),
    "language a list": ("test.json", "q_lang", "neither en nor zh", "error"),
    "sides swapped": ("imgs/xmlab6/detection.json", "left lung", "left of its right", "warning"),
    "mask.txt line": ("mask.txt", "", "not 'value:name'", "warning"),
}  # fmt: skip


def break_it(root, what):
    test, folder = root / "test.json", root / "imgs" / "xmlab6"
    found = folder / "detection.json"
    row = {
        "no question": ("question", " "),
        "answer a list": ("answer", ["Yes"]),
        "answer type": ("answer_type", "OPENED"),
        "language": ("q_lang", "fr"),
        "duplicate qid": ("qid", 0),
        "escaping image": ("img_name", "../../secret.jpg"),
        "image in two splits": ("img_name", "xmlab0/source.jpg"),
        "qid a list": ("qid", [1]),
        "language a list": ("q_lang", ["en"]),
    }
    content = {
        "detection no list": '{"Liver": [1, 1, 5, 5]}',
        "detection broken": '[{"Liver": [1, 1, 5',
        "detection nested": "[" * 200_000,
        "detection of other numbers": '[{"Heart": [1, 1, ' + "9" * 400 + ", 5]}]",
        "detection of truth values": '[{"Heart": [1, 1, true, 5]}]',
        "detection too large": "[" + " " * 300_000 + "]",
    }
    box = {
        "box outside": {"Liver": [200, 10, 5, 5]},
        "box over the edge": {"Liver": [70, 60, 30, 30]},
        "box no numbers": {"Liver": ["a", 1, 2, 3]},
        "box without height": {"Liver": [1, 1, 5, 0]},
        "unknown organ": {"Appendix": [1, 1, 5, 5]},
    }
    if what in row:
        # The first English row: earlier ones are Chinese ones of another image.
        edit(test, lambda rows: next(r for r in rows if r["q_lang"] == "en").update([row[what]]))
    elif what in box:
        edit(found, lambda boxes: [b for b in boxes if "Liver" not in b] + [box[what]])
    elif what == "missing image":
        (root / "imgs/xmlab8/source.jpg").unlink()
    elif what == "broken image":
        path = root / "imgs/xmlab8/source.jpg"
        path.write_bytes(path.read_bytes()[:300])
    elif what == "broken mask":
        (folder / "mask.png").write_bytes(b"no picture")
    elif what == "mask of other size":
        Image.new("L", (40, 50)).save(folder / "mask.png")
    elif what in ("mask of another image", "unknown value"):
        with Image.open(folder / "mask.png") as picture:
            values = np.array(picture)
        values = values[::-1] if what == "mask of another image" else np.where(values, values, 3)
        Image.fromarray(np.ascontiguousarray(values)).save(folder / "mask.png")
    elif what == "mask of noise":
        noise = np.random.default_rng(0).integers(0, 255, (96, 80, 3)).astype(np.uint8)
        Image.fromarray(noise).save(folder / "mask.png")
    elif what in content:
        found.write_text(content[what])
    elif what == "sides swapped":
        text = found.read_text().replace("Left Lung", "X").replace("Right Lung", "Left Lung")
        found.write_text(text.replace("X", "Right Lung"))
    else:
        (root / "mask.txt").write_text((root / "mask.txt").read_text() + "Liver seventy\n")


@pytest.mark.parametrize("what", BROKEN)
def test_each_broken_variant_is_named(what, fixture):
    root, _ = fixture
    break_it(root, what)
    file, field, words, level = BROKEN[what]
    found = [p for p in problems(root, workers=2) if p.file == file and p.field == field]
    assert found, [str(p) for p in problems(root)]
    assert found[0].level == level
    assert re.search(words, found[0].message), found[0].message
    if file.endswith("test.json"):
        assert (root / file).read_text("utf-8").splitlines()[found[0].line - 1] == " {"
    assert str(root) not in str(found[0])


@pytest.mark.parametrize(
    ("what", "name", "kept"),
    [
        ("broken image", "xmlab8", None),
        ("mask of other size", "xmlab6", ("boxes",)),
        ("detection broken", "xmlab6", ("segmap",)),
        ("detection nested", "xmlab6", ("segmap",)),
        ("detection of other numbers", "xmlab6", ("segmap",)),
        ("box outside", "xmlab6", ("boxes", "segmap")),
    ],
)
def test_building_leaves_out_what_is_broken_and_lists_it(what, name, kept, fixture, tmp_path):
    root, _ = fixture
    break_it(root, what)
    built = builder.build(root, tmp_path, workers=1, **LIKE)
    listed = [json.loads(s) for s in (built.folder / records.REJECTS).read_text().splitlines()]
    assert built.rejects == 1 and [p["file"] for p in listed] == [BROKEN[what][0]]
    found = {n: e for split in records_of(tmp_path).values() for n, e in split.items()}
    if kept is None:
        assert name not in found
    else:
        assert len(found[name]["texts"]) == 3
        assert tuple(k for k in ("boxes", "segmap") if k in found[name]) == kept
        liver = classes.by_name("liver").id
        has_liver = any(b[4] == liver for b in found[name].get("boxes", []))
        assert has_liver == (what == "mask of other size")


def test_questions_nested_too_deep_are_named(fixture):
    root, _ = fixture
    (root / "test.json").write_text("[" * 200_000)
    (found,) = problems(root)
    assert (found.file, found.line, found.level) == ("test.json", 1, "error")


def test_names_are_shown_on_one_line_and_cut(fixture):
    root, _ = fixture
    name = "Appendix\n" + "x" * 500
    edit(root / "imgs/xmlab6/detection.json", lambda boxes: [*boxes, {name: [1, 1, 5]}])
    found = [str(p) for p in problems(root) if p.file.endswith("detection.json")]
    assert len(found) == 2 and all(len(p) < 200 and "\n" not in p for p in found)


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


def test_without_pixels_no_image_is_opened(fixture):
    root, _ = fixture
    break_it(root, "broken image")
    break_it(root, "broken mask")
    assert [p.field for p in problems(root, pixels=False)] == ["answer"]
    break_it(root, "missing image")
    assert "missing" in problems(root, pixels=False)[-1].message


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
