"""JSON arrays of questions: the line of each row, and broken arrays."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from big_rad.datasets import vqa_json


@given(st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=8), min_size=1), max_size=6),
       st.sampled_from([None, 0, 1, 4]), st.booleans())  # fmt: skip
def test_rows_are_those_of_json_and_lines_are_where_they_start(tmp_path_factory, rows, indent, bom):
    path = tmp_path_factory.mktemp("j") / "q.json"
    text = json.dumps(rows, indent=indent, ensure_ascii=True)
    path.write_text(("\ufeff" if bom else "") + text, "utf-8")
    found = vqa_json.read_rows(path)
    assert [r.fields for r in found] == rows
    lines = text.splitlines()
    ends = [r.line for r in found[1:]] + [len(lines)]
    for row, end in zip(found, ends, strict=False):
        assert "{" in lines[row.line - 1]
        if indent is not None:
            part = "\n".join(lines[row.line - 1 : end - 1]).strip().rstrip(",]").strip()
            assert json.loads(part) == row.fields


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", 1, "not a JSON array"),
        ('{"a": 1}', 1, "not a JSON array"),
        ('[{"a": 1},\n{"a": ', 2, "broken JSON after 1 rows"),
        ('[{"a": 1}', 1, "cut off after 1 rows"),
        ('[\n{"a": 1}\n{"a": 2}]', 2, "cut off after 1 rows"),
        ('[{"a": 1},\n\n3]', 3, "row 2 is no JSON object"),
        ("[", 1, "broken JSON after 0 rows"),
        ('[{"a": 1},\n' + "[" * 200_000, 2, "a nesting is too long in row 2"),
        ('[{"a": ' + "9" * 5000 + "}]", 1, "a number or a nesting is too long in row 1"),
    ],
)
def test_a_broken_file_is_named_with_its_line(tmp_path, text, line, words):
    (tmp_path / "q.json").write_text(text)
    with pytest.raises(vqa_json.JsonError) as e:
        vqa_json.read_rows(tmp_path / "q.json")
    assert (e.value.problem.file, e.value.problem.line) == ("q.json", line)
    assert words in e.value.problem.message


def test_other_than_utf8_is_refused(tmp_path):
    (tmp_path / "q.json").write_bytes('[{"a": "ä"}]'.encode("latin-1"))
    with pytest.raises(vqa_json.JsonError, match="not UTF-8"):
        vqa_json.read_rows(tmp_path / "q.json")


@pytest.mark.parametrize(
    ("answer", "text"), [("Yes ", "Yes"), (4, "4"), (4.0, "4"), (2.5, "2.5"), (0, "0"),
     (1234567.0, "1234567"), (0.1234567, "0.1234567"), (-0.0, "0"), (1e300, "1e+300")],
)  # fmt: skip
def test_answers_become_text(answer, text):
    row = vqa_json.Row("q.json", 1, 1, {"q": "How many?", "a": answer, "k": "closed "})
    made = vqa_json.text_of(row, "q", "a", "k")
    assert (made["answer"], made["question_type"]) == (text, "closed")


def test_questions_and_answers_are_kept_in_composed_unicode():
    fields = {"q": "Wie gro\u00df ist die O\u0308ffnung? ", "a": "A\u0308hnlich", "k": "open"}
    made = vqa_json.text_of(vqa_json.Row("q.json", 1, 1, fields), "q", "a", "k")
    assert (made["question"], made["answer"]) == ("Wie groß ist die Öffnung?", "Ähnlich")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"a": float("inf")}, "a"),
        ({"a": "half \ud800"}, "a"),
        ({"q": "half \ud800"}, "q"),
        ({"k": ["open"]}, "k"),
    ],
)
def test_what_is_no_text_is_named_by_its_field(change, field):
    row = vqa_json.Row("q.json", 1, 1, {"q": "How many?", "a": 1, "k": "open"} | change)
    assert vqa_json.text_of(row, "q", "a", "k").field == field


@pytest.mark.parametrize("qid", [[1], {"a": 1}, True])
def test_a_qid_of_another_type_is_named_and_not_shown(qid):
    row = vqa_json.Row("q.json", 1, 7, {"qid": qid})
    found = vqa_json.check_qid(row, set())
    assert (found.field, found.level) == ("qid", "error") and "row 7" in found.message


def test_no_long_qid_gets_into_a_message():
    row = vqa_json.Row("q.json", 1, 7, {"qid": "x" * 300})
    assert row.problem("a", "bad").message == "row 7: bad"


def test_what_is_nested_in_a_row_does_not_travel_to_other_processes(tmp_path):
    path = tmp_path / "q.json"
    path.write_text('[{"qid": 1, "deep": ' + "[" * 600 + "]" * 600 + "}]")
    rows = {"test": vqa_json.read_rows(path)}
    plan = vqa_json.make_plan(tmp_path, rows, [path], lambda row: [vqa_json.Question("x.jpg", {})])
    assert plan.jobs["test"][0].row.fields == {"qid": 1}


@pytest.mark.parametrize(
    ("splits", "said"),
    [
        ({"train": "ab", "validation": "ab", "test": "c"},
         "2 images are in more than one split: 2 validation images are also training images"),
        ({"train": "ab", "validation": "b", "test": "a"}, "2 images are in more than one split: "
         "1 validation and 1 test images are also training images"),
        ({"train": "a", "validation": "b", "test": "b"}, "1 images are in more than one split"),
    ],
)  # fmt: skip
def test_the_warning_on_shared_images_names_the_splits_that_are_trained_on(tmp_path, splits, said):
    path = tmp_path / "q.json"
    path.write_text("[]")
    rows = {
        split: [vqa_json.Row("q.json", 1, n, {"image": image}) for n, image in enumerate(images, 1)]
        for split, images in splits.items()
    }
    plan = vqa_json.make_plan(
        tmp_path, rows, [path], lambda row: [vqa_json.Question(row.fields["image"], {})]
    )
    (found,) = vqa_json.shared_images(plan, "image", brief=True)
    assert (found.level, found.message) == ("warning", said)
