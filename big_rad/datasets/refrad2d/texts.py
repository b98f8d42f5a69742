"""Checks the content of parquet rows and box entries, and turns it into texts and boxes.

Content that cannot be used is an error, which leaves the image out; unusual content is a warning.
Messages name fields but never quote their content, because the texts are about patients.
"""

import json
from collections.abc import Mapping, Sequence

from big_rad.datasets.records import Problem
from big_rad.datasets.refrad2d.index import FIELDS, LANGUAGES
from big_rad.grounding import classes, markup, placing
from big_rad.grounding.unicode import nfc
from big_rad.pp.example import Text

QUESTION_TYPES = ("open", "closed", "yesno", "multiple")
_SOURCES = {"dicom_vqa": "metadata", "snippet_vqa": "finding"}
_CLINICAL, _QUESTION = "ReportKlinischeAngabenCleaned", "ReportFragestellungCleaned"
UNPLACED = (
    "a keyword of one side of a pair stands at several places and is not listed as often, so "
    "nobody knows which place is meant; it stays plain there (list it once for each place)"
)
_KEYWORDS = {"en": "keywords_eng", "de": "keywords_de"}


class Findings:
    """Collects problems of one line of one file.

    Args:
        file: the published name of the file.
        line: the number of the line or row; None if the problems concern the whole file.
    """

    def __init__(self, file: str, line: int | None = None):
        self._file, self._line = file, line
        self.problems: list[Problem] = []

    def error(self, field: str, message: str) -> None:
        """Notes a problem that makes the image unusable."""
        self.problems.append(Problem(self._file, self._line, field, message))

    def warn(self, field: str, message: str) -> None:
        """Notes something unusual that does not prevent using the image."""
        self.problems.append(Problem(self._file, self._line, field, message, "warning"))


def texts(
    row: Mapping[str, object], keywords: dict[str, list[list]], found: Findings
) -> list[Text]:
    """Returns the report and all questions of a row, English first.

    Args:
        row: the row of the parquet.
        keywords: {"en" or "de": [[keyword, class id], ...]} of the image.
        found: the object that collects the problems.
    """
    out = []
    for lang, column in LANGUAGES.items():
        content = _content(row.get(column), column, found)
        if content is None:
            continue
        values = {f: _text(content.get(f), f"{column}.{f}", found) for f in FIELDS[2:]}
        sentence = values["CleanedSentence"]
        if sentence:
            said = [tuple(k) for k in keywords.get(lang, []) if _is_in(k, sentence)]
            if len(said) < len(keywords.get(lang, [])):
                message = f"does not contain each keyword of {_KEYWORDS[lang]}; those stay plain"
                found.warn(f"{column}.CleanedSentence", message)
            placed, left_out = placing.place(sentence, said, lang)
            if left_out:
                found.warn(f"{column}.CleanedSentence", UNPLACED)
            out.append({
                "task": "report", "lang": lang, "sentence": sentence,
                "clinical": values[_CLINICAL], "question": values[_QUESTION],
                **placing.fields(sentence, placed), "template": "",
            })  # fmt: skip
        else:
            found.warn(f"{column}.CleanedSentence", "empty, so there is no report in this language")
        for field, source in _SOURCES.items():
            out += _questions(content.get(field), lang, f"{column}.{field}", source, found)
    if not out and not any(p.level == "error" for p in found.problems):
        found.error("", "neither a sentence nor a question; remove the row or fill it in")
    return out


def entry(content: object, found: Findings) -> tuple[list[list[float]], dict[str, list[list]], str]:
    """Reads the entry of an image in a box JSON.

    Args:
        content: the entry.
        found: the object that collects the problems.

    Returns:
        the boxes [x1, y1, x2, y2, class id], the keywords {language: [[keyword, class id], ...]},
        and the path of the label map ("" without one).
    """
    if not isinstance(content, dict):
        found.error("", f"the entry is {_kind(content)}, must be an object")
        return [], {}, ""
    missing = [k for k in ("bboxes", *_KEYWORDS.values()) if not isinstance(content.get(k), list)]
    if missing:
        found.error(missing[0], f"is {_kind(content.get(missing[0]))}, must be a list")
        return [], {}, ""
    boxes = [b for i, b in enumerate(content["bboxes"]) if _box(b, f"bboxes[{i}]", found)]
    if len({b[4] for b in boxes}) < len(boxes):
        found.error("bboxes", "two boxes of one class; there must be one, around all its parts")
    keywords = {
        lang: [
            [nfc(k[0]), int(k[2])]
            for i, k in enumerate(content[field])
            if _keyword(k, f"{field}[{i}]", found)
        ]
        for lang, field in _KEYWORDS.items()
    }
    path = content.get("segment_slice_path")
    if path is not None and not isinstance(path, str):
        found.error("segment_slice_path", f"is {_kind(path)}, must be text or null")
        path = None
    return boxes, keywords, path or ""


def inside(boxes: Sequence[Sequence[float]], shape: Sequence[int], found: Findings) -> None:
    """Checks that boxes lie in an image of this shape (height, width)."""
    height, width = shape[:2]
    for i, (x1, y1, x2, y2, _) in enumerate(boxes):
        if min(x1, y1) < 0 or x2 > width or y2 > height:
            message = f"reaches outside the image of {height} rows and {width} columns"
            found.error(f"bboxes[{i}]", f"{message}; boxes are in pixels of the usual display")


def _content(value: object, column: str, found: Findings) -> dict[str, object] | None:
    """Returns the fields of a language, from a struct or from JSON text."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            found.error(column, "is text but no JSON; it must be a struct or a JSON object")
            return None
    if value is None:
        found.warn(column, "empty, so this language is left out")
        return None
    if not isinstance(value, dict):
        found.error(column, f"is {_kind(value)}, must be an object with {', '.join(FIELDS)}")
        return None
    return value


def _text(value: object, field: str, found: Findings) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        found.error(field, f"is {_kind(value)}, must be text")
        return ""
    return nfc(value) if value.strip() else ""


def _questions(pairs: object, lang: str, field: str, source: str, found: Findings) -> list[Text]:
    """Returns the texts of one list of questions and answers."""
    if pairs is None:
        return []
    if not isinstance(pairs, list) or not all(isinstance(p, dict) for p in pairs):
        found.error(field, "must be a list of objects with question, answer, question_type")
        return []
    out = []
    for i, pair in enumerate(pairs):
        at = f"{field}[{i}]"
        question = _text(pair.get("question"), f"{at}.question", found)
        answer = _text(pair.get("answer"), f"{at}.answer", found)
        if not question or not answer:
            found.warn(at, "without a question or an answer; this pair is left out")
            continue
        kind = str(pair.get("question_type") or "").strip().lower()
        if kind not in QUESTION_TYPES:
            found.error(f"{at}.question_type", f"must be one of {', '.join(QUESTION_TYPES)}")
            continue
        choices = pair.get("choices") or []
        if not isinstance(choices, list) or not all(isinstance(c, str) for c in choices):
            found.error(f"{at}.choices", "must be a list of texts or null")
            continue
        choices = [nfc(c) for c in choices]
        if kind == "multiple" and answer not in choices:
            found.warn(f"{at}.choices", "a multiple choice without its answer among the choices")
        out.append({
            "task": "vqa", "lang": lang, "question": question, "answer": answer,
            "question_type": kind, "choices": choices, "source": source, "template": "",
        })  # fmt: skip
    return out


def _is_in(keyword: list, sentence: str) -> bool:
    """Returns whether the markup finds a keyword, in upper or lower case and any Unicode form."""
    return bool(markup.locate(sentence, [markup.Mention(*keyword)], "masks"))


def _box(box: object, field: str, found: Findings) -> bool:
    numbers = isinstance(box, list) and all(_is_number(v) for v in box)
    if not numbers or len(box) != 5:
        found.error(field, "must be five numbers: x1, y1, x2, y2, class id")
        return False
    if not _is_class(box[4]):
        found.error(field, f"its class id must be in 1..{classes.NUM_CLASSES}")
        return False
    if box[2] <= box[0] or box[3] <= box[1]:
        found.error(field, "is empty: x2 must exceed x1, and y2 exceed y1")
        return False
    return True


def _keyword(keyword: object, field: str, found: Findings) -> bool:
    shape = isinstance(keyword, list) and len(keyword) == 3 and isinstance(keyword[0], str)
    if not shape or not keyword[0].strip():
        found.error(field, "must be a keyword, a class name and a class id")
        return False
    if not _is_number(keyword[2]) or not _is_class(keyword[2]):
        found.error(field, f"its class id must be in 1..{classes.NUM_CLASSES}")
        return False
    name = classes.by_id(int(keyword[2])).name
    if keyword[1] != name:
        found.warn(field, f"class {int(keyword[2])} is {name}, here it has another name")
    return True


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_class(value: float) -> bool:
    return 1 <= value <= classes.NUM_CLASSES and value == int(value)


def _kind(value: object) -> str:
    return "missing" if value is None else f"a {type(value).__name__}"
