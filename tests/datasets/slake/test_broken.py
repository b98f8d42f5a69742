"""Broken files of SLAKE are reported, and the rest of the dataset is built."""

import json
import re

import pytest

from big_rad.datasets import records
from big_rad.datasets.slake import builder
from big_rad.grounding import classes
from tests.helpers.slake_records import BROKEN, LIKE, break_it, edit, problems, records_of


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
    built = builder.build(root, tmp_path, workers=1, max_reject_share=0.5, **LIKE)
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


def test_a_broken_mask_takes_no_question_away(fixture, tmp_path):
    root, _ = fixture
    break_it(root, "broken mask")
    built = builder.build(root, tmp_path, workers=1, **LIKE)
    assert built.rejects == 1 and sum(built.counts.values()) == 10


def test_many_broken_masks_stop_the_build_and_are_counted_as_images(fixture, tmp_path):
    root, _ = fixture
    for name in ("xmlab6", "xmlab7", "xmlab8"):
        (root / "imgs" / name / "mask.png").write_bytes(b"no picture")
    with pytest.raises(records.BuildError, match=r"3 of 10 images .*\n.*--max_reject_share=0\.3$"):
        builder.build(root, tmp_path, workers=1, **LIKE)
    assert not (tmp_path / "slake/en").exists()
    assert builder.build(root, tmp_path, workers=1, max_reject_share=0.3, **LIKE).rejects == 3


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


@pytest.mark.parametrize(
    ("name", "what"), [("detection.json", "no boxes"), ("mask.png", "no label map")]
)
@pytest.mark.parametrize("pixels", [True, False])
def test_a_missing_annotation_is_a_warning_and_a_note(name, what, pixels, fixture, tmp_path):
    root, info = fixture
    (root / "imgs/xmlab6" / name).unlink()
    (found,) = [p for p in problems(root, pixels=pixels) if p.field != "answer"]
    assert (found.file, found.level) == (f"imgs/xmlab6/{name}", "warning")
    assert what in found.message
    built = builder.build(root, tmp_path, workers=1, **LIKE)
    note = f"warning: imgs: 1 of 10 images have no {name}, so {what}; "
    assert any(n.startswith(note) for n in built.notes) and not built.rejects
    for path in root.glob(f"imgs/*/{name}"):
        path.unlink()
    (found,) = [p for p in problems(root, pixels=pixels) if p.field != "answer"]
    assert (found.file, found.level) == ("imgs", "warning")
    assert f"10 of 10 images have no {name}" in found.message


def test_without_pixels_no_image_is_opened(fixture):
    root, _ = fixture
    break_it(root, "broken image")
    break_it(root, "broken mask")
    assert [p.field for p in problems(root, pixels=False)] == ["answer"]
    break_it(root, "missing image")
    assert "missing" in problems(root, pixels=False)[-1].message
