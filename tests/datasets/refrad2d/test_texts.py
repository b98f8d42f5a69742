import json
import unicodedata

import pytest

from big_rad.datasets.refrad2d import texts

QA = {"question": "Which?", "answer": "this", "question_type": "open", "choices": None}
PART = {
    "dicom_vqa": [QA],
    "snippet_vqa": [],
    "ReportFragestellungCleaned": "Normal?",
    "ReportKlinischeAngabenCleaned": "Pain.",
    "CleanedSentence": "The liver is normal.",
}
ENTRY = {
    "bboxes": [[1, 2, 30, 40, 5]],
    "keywords_eng": [["liver", "liver", 5]],
    "keywords_de": [],
    "segment_slice_path": None,
}


def read(part, keywords=None):
    found = texts.Findings("file", 7)
    row = {"english": PART | part, "german": PART}
    return texts.texts(row, keywords or {}, found), found.problems


def read_entry(**change):
    found = texts.Findings("file", 7)
    return texts.entry(ENTRY | change, found), found.problems


@pytest.mark.parametrize(
    "part, field, message",
    [
        ({"CleanedSentence": 5}, "english.CleanedSentence", "is a int, must be text"),
        ({"dicom_vqa": "Q"}, "english.dicom_vqa", "must be a list of objects"),
        ({"snippet_vqa": ["Q"]}, "english.snippet_vqa", "must be a list of objects"),
        (
            {"dicom_vqa": [QA, QA | {"question_type": "essay"}]},
            "english.dicom_vqa[1].question_type",
            "must be one of open, closed, yesno, multiple",
        ),
        (
            {"snippet_vqa": [QA | {"choices": "a, b"}]},
            "english.snippet_vqa[0].choices",
            "list of texts",
        ),
        (
            {"snippet_vqa": [QA | {"answer": ["a"]}]},
            "english.snippet_vqa[0].answer",
            "is a list, must be text",
        ),
    ],
)
def test_fields_of_another_type_are_errors(part, field, message):
    _, problems = read(part)
    first = problems[0]
    assert (first.file, first.line, first.field, first.level) == ("file", 7, field, "error")
    assert message in first.message


@pytest.mark.parametrize(
    "part, count, field",
    [
        ({"CleanedSentence": " "}, 3, "english.CleanedSentence"),
        ({"dicom_vqa": [QA | {"answer": ""}]}, 3, "english.dicom_vqa[0]"),
        ({"dicom_vqa": [QA | {"question": None}]}, 3, "english.dicom_vqa[0]"),
        (
            {"dicom_vqa": [QA | {"question_type": "multiple", "choices": ["a"]}]},
            4,
            "english.dicom_vqa[0].choices",
        ),
    ],
)
def test_gaps_are_warnings_and_leave_the_rest(part, count, field):
    said, problems = read(part)
    assert len(said) == count
    assert [(p.field, p.level) for p in problems] == [(field, "warning")]


def test_empty_fields_and_lists_are_no_problem():
    part = {k: None for k in PART if k != "CleanedSentence"}
    said, problems = read(part)
    assert not problems
    assert [(t["clinical"], t["question"]) for t in said if t["lang"] == "en"] == [("", "")]


def test_a_row_that_says_nothing_is_an_error():
    found = texts.Findings("file", 7)
    assert texts.texts({"english": None, "german": None}, {}, found) == []
    assert [p.level for p in found.problems] == ["warning", "warning", "error"]


def test_a_language_may_be_json_and_must_then_be_valid():
    found = texts.Findings("file", 7)
    texts.texts({"english": '{"CleanedSentence": ', "german": PART}, {}, found)
    assert [(p.field, p.level) for p in found.problems] == [("english", "error")]


def test_keywords_that_the_sentence_lacks_are_left_out():
    keywords = {"en": [["liver", 5], ["spleen", 1]], "de": [["liver", 5]]}
    said, problems = read({}, keywords)
    assert [t["keywords"] for t in said if t["task"] == "report"] == [[["liver", 5]]] * 2
    assert [(p.field, p.level) for p in problems] == [("english.CleanedSentence", "warning")]


def test_a_good_entry_has_no_problem():
    assert read_entry() == (([[1, 2, 30, 40, 5]], {"en": [["liver", 5]], "de": []}, ""), [])


@pytest.mark.parametrize(
    "change, field, message",
    [
        ({"bboxes": [[1, 2, 3, 4]]}, "bboxes[0]", "five numbers"),
        ({"bboxes": [[1, 2, 3, "4", 5]]}, "bboxes[0]", "five numbers"),
        ({"bboxes": [[1, 2, 3, True, 5]]}, "bboxes[0]", "five numbers"),
        ({"bboxes": [[1, 2, 3, 4, 0]]}, "bboxes[0]", "class id must be in 1..121"),
        ({"bboxes": [[1, 2, 3, 4, 122]]}, "bboxes[0]", "class id must be in 1..121"),
        ({"bboxes": [[1, 2, 3, 4, 5.5]]}, "bboxes[0]", "class id must be in 1..121"),
        ({"bboxes": [[3, 2, 3, 4, 5]]}, "bboxes[0]", "is empty"),
        ({"bboxes": [[1, 5, 3, 4, 5]]}, "bboxes[0]", "is empty"),
        ({"bboxes": [[1, 2, 3, 4, 5], [5, 6, 7, 8, 5]]}, "bboxes", "two boxes of one class"),
        ({"bboxes": None}, "bboxes", "is missing, must be a list"),
        ({"keywords_de": {}}, "keywords_de", "is a dict, must be a list"),
        ({"keywords_eng": [["liver", 5]]}, "keywords_eng[0]", "a class name and a class id"),
        ({"keywords_eng": [["", "liver", 5]]}, "keywords_eng[0]", "a class name and a class id"),
        ({"keywords_de": [["x", "x", -1]]}, "keywords_de[0]", "class id must be in 1..121"),
        ({"keywords_de": [["x", "x", float("inf")]]}, "keywords_de[0]", "class id must be in"),
        ({"segment_slice_path": 5}, "segment_slice_path", "must be text or null"),
    ],
)
def test_bad_entries_are_errors(change, field, message):
    _, problems = read_entry(**change)
    assert [(p.field, p.level, message in p.message) for p in problems] == [(field, "error", True)]


def test_an_entry_that_is_no_object_is_an_error():
    found = texts.Findings("file", 7)
    assert texts.entry([1], found) == ([], {}, "")
    assert "must be an object" in found.problems[0].message


def test_a_class_of_another_name_is_a_warning():
    (_, keywords, _), problems = read_entry(keywords_eng=[["liver", "spleen", 5]])
    assert keywords["en"] == [["liver", 5]]
    assert [(p.level, p.message) for p in problems] == [
        ("warning", "class 5 is liver, here it has another name")
    ]


@pytest.mark.parametrize("box", [[-1, 0, 5, 5, 5], [0, 0, 11, 5, 5], [0, 0, 5, 9, 5]])
def test_boxes_outside_the_image_are_errors(box):
    found = texts.Findings("file", 7)
    texts.inside([[0, 0, 10, 8, 5]], (8, 10), found)
    assert not found.problems
    texts.inside([[0, 0, 10, 8, 6], box], (8, 10), found)
    assert [p.field for p in found.problems] == ["bboxes[1]"]


def test_a_keyword_is_kept_if_the_markup_finds_it_in_any_case_and_unicode_form():
    part = {"CleanedSentence": "Liver and Spe\u0069sero\u0308hre are normal."}
    said, problems = read(part, {"en": [["liver", 5], ["Speiseröhre", 15], ["spleen", 1]]})
    assert said[0]["keywords"] == [["liver", 5], ["Speiseröhre", 15]]
    assert "does not contain each keyword" in problems[0].message
    said, _ = read({"CleanedSentence": "Leberläsion."}, {"en": [["Leber", 5]]})
    assert said[0]["keywords"] == []


def test_texts_and_keywords_are_kept_in_composed_unicode():
    choices = ["größer", "übrig"]
    question = QA | {"question": "Wie groß?", "answer": "größer", "question_type": "multiple"}
    part = {
        "CleanedSentence": "Milz übergroß.", "ReportFragestellungCleaned": "Größe?",
        "dicom_vqa": [question | {"choices": choices}],
    }  # fmt: skip
    keyword = ["Übergroße Milz", "spleen", 1]
    apart = json.loads(unicodedata.normalize("NFD", json.dumps(part, ensure_ascii=False)))
    assert apart != part
    # The answer has another Unicode form than the choices.
    apart["dicom_vqa"][0]["answer"] = "größer"
    found, problems = read(apart)
    assert found[:2] == read(part)[0][:2] and not problems
    assert found[0]["sentence"] == "Milz übergroß." and found[1]["choices"] == choices
    decomposed = [unicodedata.normalize("NFD", keyword[0]), *keyword[1:]]
    (_, keywords, _), _ = read_entry(keywords_de=[decomposed])
    assert keywords["de"] == [[keyword[0], 1]]
