import dataclasses
import json
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from big_rad.datasets import records
from big_rad.datasets.folder import source
from big_rad.datasets.folder.fields import Box

LINE = {
    "id": "a", "patient": "p", "image": "x.png", "report": "Cyst of the liver.",
    "boxes": [[1, 2, 30, 40, "liver"]], "question": "CT?", "answer": "Yes.",
    "question_type": "yesno", "split": "test",
}  # fmt: skip


def parse(line=None, number=3, **changes):
    """Parses LINE with changes (None removes a field); returns the row and its problems."""
    values = {k: v for k, v in {**LINE, **changes}.items() if v is not None}
    data = line if line is not None else json.dumps(values).encode()
    return source.parse(data, number)


def only(problems):
    (problem,) = problems
    return problem


def test_a_line_becomes_a_row():
    row, problems = parse(
        frame=2, language="de", choices=["Yes.", "No."], report="Leberzyste, Leber"
    )
    assert [p.level for p in problems] == ["warning"]
    assert row == source.Row(
        line=3, id="a", patient="p", image="x.png", frame=2, report="Leberzyste, Leber",
        language="de", boxes=(Box((1, 2, 30, 40), 5),), question="CT?", answer="Yes.",
        question_type="yesno", choices=("Yes.", "No."), split="test",
    )  # fmt: skip


def test_numbers_serve_as_ids_and_answers_and_null_as_nothing():
    row, problems = source.parse(
        b'{"id": 17, "question": "How many?", "answer": 2, "report": null}', 1
    )
    assert (row.id, row.answer, row.report, problems) == ("17", "2", "", [])


def test_byte_order_mark_and_empty_lines_are_fine():
    row, problems = source.parse(b"\xef\xbb\xbf" + json.dumps(LINE).encode() + b"\r\n", 1)
    assert row.id == "a" and not problems
    assert source.parse(b" \n", 2) == (None, [])


def test_texts_are_kept_in_composed_unicode_and_file_names_as_they_are():
    def parsed(form):
        line = {
            "id": "Fall Ä", "patient": "Pä", "image": "ä.png", "report": "Zyste der Öffnung.",
            "keywords": [["Öffnung", 5]], "question": "Größe?", "answer": "groß ü",
            "question_type": "multiple", "choices": ["groß ü", "klein"], "mask": "ü.png",
        }  # fmt: skip
        data = unicodedata.normalize(form, json.dumps(line, ensure_ascii=False))
        row, problems = source.parse(data.encode(), 1)
        assert not problems
        return row

    composed, apart = parsed("NFC"), parsed("NFD")
    assert (apart.image, apart.mask) == ("a\u0308.png", "u\u0308.png")
    assert dataclasses.replace(apart, image=composed.image, mask=composed.mask) == composed


@pytest.mark.parametrize("given_as", [5, "liver", "Leber", "hepatic parenchyma", "Leberparenchym"])
def test_a_class_is_an_id_a_name_or_words(given_as):
    row, _ = parse(boxes=[{"box": [1, 2, 3, 4], "class": given_as}])
    assert row.boxes[0].class_id == 5


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"id": None}, "id", "pseudonym"),
        ({"id": ""}, "id", "empty"),
        ({"id": "a\nb"}, "id", "one line"),
        ({"patient": True}, "patient", "text"),
        ({"frame": -1}, "frame", "whole number from 0"),
        ({"frame": 1.5}, "frame", "whole number from 0"),
        ({"plane": "oblique"}, "plane", "axial, coronal, sagittal"),
        ({"modality": "MRI"}, "modality", "CT, MR, OT"),
        ({"language": "fr"}, "language", "en, de"),
        ({"split": "val"}, "split", "train, validation, test"),
        ({"report": 7}, "report", "text"),
        ({"report": "a\x00b"}, "report", "control"),
        ({"report": "\ud800"}, "report", "surrogate"),
        ({"boxes": 3}, "boxes", "leave the field out"),
        ({"boxes": [[1, 2, 3, 4]]}, "boxes", "entry 1: must be"),
        ({"boxes": [[1, 2, 3, 4, 5], [9, 2, 3, 4, 5]]}, "boxes", "entry 2: the box is empty"),
        ({"boxes": [[0, 0, 0.5, 0.5, 5]]}, "boxes", "0 to 1"),
        ({"boxes": [[-1, 0, 5, 5, 5]]}, "boxes", "leaves the image"),
        ({"boxes": [[0, 0, 10**400, 5, 5]]}, "boxes", "leaves the image"),
        ({"boxes": [[1, 2, 3, 4, 122]]}, "boxes", "1 to 121"),
        ({"boxes": [[1, 2, 3, 4, "kidney"]]}, "boxes", "kidney_right, kidney_left"),
        ({"boxes": [[1, 2, 3, 4, "nose"]]}, "boxes", "not known"),
        ({"boxes": [{"box": [1, 2, 3, 4]}]}, "boxes", "both box and class"),
        ({"boxes": [{"box": [1, 2, 3, 4], "class": 5, "name": "x"}]}, "boxes", "'name' is not"),
        ({"boxes": [{"box": [1, 2, 3, 4], "class": 5, "phrase": "live"}]}, "boxes", "phrase 1"),
        ({"keywords": [["spleen", 1]]}, "keywords", "phrase 1 does not stand"),
        ({"keywords": [["liver"]]}, "keywords", "[phrase, class]"),
        ({"report": None, "keywords": [["liver", 5]]}, "keywords", "without a report"),
        ({"answer": None}, "answer", "needs an answer"),
        ({"question": None, "question_type": None}, "answer", "without a question"),
        ({"answer": "perhaps"}, "answer", "closed"),
        ({"question_type": "maybe"}, "question_type", "open, closed, yesno, multiple"),
        ({"question_type": "multiple"}, "choices", "lists them"),
        ({"question_type": "multiple", "choices": ["A", "B"]}, "answer", "one of the choices"),
        ({"choices": ["one"]}, "choices", "two or more"),
    ],
)
def test_a_bad_field_is_named_with_its_line(changes, field, message):
    row, problems = parse(**changes)
    problem = only(problems)
    assert row is None
    assert (problem.file, problem.line, problem.field, problem.level) == (
        "data.jsonl", 3, field, "error",
    )  # fmt: skip
    assert message in problem.message


@pytest.mark.parametrize(
    ("key", "near"),
    [("imgae", "image"), ("Report", "report"), ("lang", "language"), ("sentence", "report")],
)
def test_an_unknown_field_suggests_the_nearest(key, near):
    row, problems = parse(**{key: "x"})
    assert row is None
    assert only(problems).message == f"'{key}' is no field; did you mean '{near}'?"


def test_an_unknown_field_like_none_lists_the_fields_and_prose_is_not_shown():
    message = only(parse(**{"Müller, Hans *1950": "x"})[1]).message
    assert "Müller" not in message and "question_type" in message


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"id": "a", }', "not JSON at column 13"),
        (b'{"id": "a"', "not JSON at column 11"),
        (b"[1]", "must be an object"),
        (b'{"id": "a", "id": "b"}', "'id' stands twice"),
        (b'{"id": "a", "frame": NaN}', "NaN is no JSON"),
        (b'{"id": "\xe4"}', "byte 9 of the line is not UTF-8"),
        (b'{"id": ' + b"9" * 5000 + b"}", "too long"),
        (b"[" * 100_000, "too long"),
        (b'{"id": "' + b"a" * (1 << 22) + b'"}', "longer than"),
    ],
)
def test_a_broken_line_is_named_with_column_or_byte(line, message):
    row, problems = parse(line)
    assert row is None and only(problems).line == 3
    assert message in only(problems).message


def test_all_problems_of_a_line_are_listed():
    _, problems = parse(plane="x", modality="y", langauge="en", boxes=3)
    assert {p.field for p in problems} == {"", "plane", "modality", "boxes"}


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda x: st.lists(x, max_size=5) | st.dictionaries(st.text(max_size=5), x, max_size=3),
    max_leaves=8,
)
_FIELD = st.sampled_from([*source._FIELDS, "imgae", "x" * 99])


@settings(max_examples=300)
@given(st.dictionaries(_FIELD, _JSON, max_size=6), st.data())
def test_any_values_give_a_row_or_problems(changes, data):
    kept = {k: v for k, v in LINE.items() if data.draw(st.booleans())}
    text = json.dumps({**kept, **changes})
    row, problems = source.parse(text.encode(), 1)
    assert row is not None or any(p.level == "error" for p in problems)
    if row is not None:
        source.gather([row])


@settings(max_examples=300)
@given(st.binary(max_size=60), st.integers(0, 250), st.integers(0, 20))
def test_any_damage_to_a_line_gives_a_row_or_problems(inserted, at, cut):
    data = json.dumps(LINE).encode()
    row, problems = source.parse(data[:at] + inserted + data[at + cut :], 1)
    assert row is None or isinstance(row, source.Row)
    for p in problems:
        assert isinstance(p, records.Problem)


# Lines of one image, patients and splits


def rows(*lines):
    found = []
    for n, line in enumerate(lines, start=1):
        row, problems = source.parse(json.dumps(line).encode(), n)
        assert row is not None, problems
        found.append(row)
    return found


REPORT = {"report": "Liver normal."}


def test_lines_of_one_id_are_one_image_and_fill_in_each_other():
    items, problems, drawn = source.gather(
        rows(
            {"id": "a", **REPORT},
            {"id": "b", "image": "b.png", **REPORT, "split": "train"},
            {"id": "a", "image": "a.png", "patient": "p", "split": "test", "plane": "axial"},
        )
    )
    assert not problems and drawn == 0
    assert [(i.id, i.patient, i.image, i.split, len(i.rows)) for i in items] == [
        ("a", "p", "a.png", "test", 2), ("b", "b", "b.png", "train", 1),
    ]  # fmt: skip


@pytest.mark.parametrize("field", ["image", "patient", "frame", "plane", "modality", "split"])
def test_lines_of_one_id_must_agree(field):
    values = {
        "image": ("a.png", "b.png"), "patient": ("p", "q"), "frame": (0, 1),
        "plane": ("axial", "coronal"), "modality": ("CT", "MR"), "split": ("train", "test"),
    }[field]  # fmt: skip
    lines = [{"id": "a", "image": "a.png", **REPORT, field: v} for v in values]
    items, problems, _ = source.gather(rows(*lines))
    assert len(items[0].rows) == 1
    assert (only(problems).line, only(problems).field) == (2, field)
    assert "line 1" in only(problems).message


def test_a_patient_in_two_splits_is_a_problem():
    one = {"patient": "p", **REPORT}
    items, problems, _ = source.gather(
        rows(
            {"id": "a", "image": "a.png", "split": "train", **one},
            {"id": "b", "image": "b.png", "split": "test", **one},
            {"id": "c", "image": "c.png", **one},
        )
    )
    assert [(i.id, i.split) for i in items] == [("a", "train"), ("c", "train")]
    assert (only(problems).line, only(problems).field) == (2, "split")


@pytest.mark.parametrize(
    ("second", "kept"),
    [
        ({"image": "i/a.png"}, False),
        ({"image": "i//./a.png"}, False),
        ({"image": "i/a.png", "frame": 0}, False),
        ({"image": "i/a.png", "frame": 1}, True),
        ({"image": "i/a.png", "split": "train"}, True),
        ({"image": "a.png"}, True),
    ],
)
def test_an_image_in_two_splits_as_two_patients_is_a_problem(second, kept):
    one = {"id": "a", "patient": "p", "image": "i/a.png", "split": "train", **REPORT}
    other = {"id": "b", "patient": "q", "split": "test", **REPORT, **second}
    items, problems, _ = source.gather(
        rows(one, {"id": "b", "question": "?", "answer": "!"}, other)
    )
    assert [i.id for i in items] == ["a", "b"][: 1 + kept]
    if not kept:
        found = only(problems)
        assert (found.line, found.field, found.level) == (3, "image", "error")
        assert "line 1" in found.message and "two splits" in found.message


def test_an_id_without_image_or_without_anything_to_learn_is_a_problem():
    items, problems, _ = source.gather(
        rows(
            {"id": "a", **REPORT},
            {"id": "b", "image": "b.png"},
            {"id": "c", "image": "c.png", "mask": "c.npy"},
        )
    )
    assert [i.id for i in items] == ["c"]
    assert [(p.line, p.field, p.level) for p in problems] == [
        (1, "image", "error"), (2, "", "error"), (3, "", "warning"),
    ]  # fmt: skip


def test_an_image_that_a_refused_line_names_is_not_said_to_be_named_nowhere(tmp_path):
    lines = [{"id": "a", "image": "a.png", "boxes": [[9, 9, 1, 1, "liver"]]}, {"id": "a", **REPORT}]
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
    problems = source.read(tmp_path).problems
    assert [(p.line, p.field) for p in problems] == [(1, "boxes"), (2, "image")]
    assert "no line of this id that can be used names an image file" in problems[1].message


def test_a_split_is_drawn_by_patient_and_stays():
    drawn = [source.drawn_split(f"patient {n}") for n in range(2000)]
    assert [drawn.count(s) / 2000 for s in source.SPLITS] == pytest.approx(
        [0.8, 0.1, 0.1], abs=0.02
    )
    assert drawn[:12] == GOLDEN_SPLITS
    lines = [{"id": f"a{n}", "image": "a.png", "patient": "p", **REPORT} for n in range(20)]
    items, _, patients = source.gather(rows(*lines))
    assert {i.split for i in items} == {source.drawn_split("p")} and patients == 1


# These splits were computed once by this code. They must not change, because datasets were built
# with them.
GOLDEN_SPLITS = ["train", "validation", *["train"] * 5, "test", *["train"] * 3, "validation"]


def test_a_source_without_list_says_what_is_missing(tmp_path):
    with pytest.raises(records.SourceError, match=r"data\.jsonl"):
        source.read(tmp_path)
    with pytest.raises(records.SourceError) as e:
        source.read(tmp_path / "secret_name" / "x.jsonl")
    assert "secret_name" not in str(e.value)


def test_a_line_far_too_long_costs_one_problem_and_the_next_is_read(tmp_path):
    path = tmp_path / "data.jsonl"
    good = json.dumps({**LINE, "split": "train"}).encode()
    path.write_bytes(good + b"\n" + b"x" * (9 << 20) + b"\n" + good.replace(b'"a"', b'"b"'))
    listing = source.read(path)
    assert [i.id for i in listing.items] == ["a", "b"]
    assert [p.line for p in listing.problems] == [2]
