"""Reads JSON arrays of questions, for the public VQA datasets.

A row (an element of the array) is a question about an image. `make_plan` checks the rows and groups
them into jobs: a job is one image of a split with its questions. No image is decoded before
`pixels` is called.
"""

import dataclasses
import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from big_rad.datasets import files, records
from big_rad.datasets.records import Problem, SourceError
from big_rad.dicom import read
from big_rad.dicom.image import to_display
from big_rad.grounding.unicode import nfc
from big_rad.pp.example import Text

QUESTION_TYPES = ("open", "closed")
_NAME = re.compile(r"[\w.-]+(/[\w.-]+)*")
_MAX_NAME = 200
_SHORT = re.compile(r"[\w.-]{1,40}")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


class JsonError(SourceError):
    """A file is not a JSON array of questions; `problem` says where it is broken."""

    def __init__(self, problem: Problem):
        super().__init__(str(problem))
        self.problem = problem


@dataclasses.dataclass(frozen=True)
class Row:
    """One element of a JSON array.

    Attributes:
        file: the name of the JSON file.
        line: the line where it starts, counted from 1 (some published files have a single line).
        number: the number of the element, counted from 1.
        fields: the content of the element.
    """

    file: str
    line: int
    number: int
    fields: Mapping[str, object]

    def problem(self, field: str, message: str, level: str = "error") -> Problem:
        """Returns a problem of this row."""
        qid = self.fields.get("qid")
        shown = _SHORT.fullmatch(str(qid)) if isinstance(qid, int | str) else None
        which = f"row {self.number} (qid {qid})" if shown else f"row {self.number}"
        return Problem(self.file, self.line, field, f"{which}: {message}", level)

    def brief(self) -> "Row":
        """Returns the row without nested fields, which may be nested too deeply to be pickled."""
        kept = {k: v for k, v in self.fields.items() if isinstance(v, str | int | float)}
        return dataclasses.replace(self, fields=kept)


@dataclasses.dataclass(frozen=True)
class ImageQuestions:
    """One image of a split with its questions; picklable.

    Attributes:
        root: the source folder.
        image: the path of the image relative to it, or "" if the job has only problems.
        id: the id of the record.
        row: the first row that asks about the image; None if the job has only problems.
        texts: the questions, as texts of an example.
        modality: "CT", "MR" or "OT".
        body_part: free text.
        problems: the problems of rows that are left out.
    """

    root: Path
    image: str
    id: str
    row: Row | None
    texts: tuple[Text, ...] = ()
    modality: str = "OT"
    body_part: str = ""
    problems: tuple[Problem, ...] = ()


@dataclasses.dataclass
class Plan:
    """A source as its JSON files describe it.

    Attributes:
        jobs: {split: jobs}.
        counts: {split: number of questions in the chosen languages, including those left out}.
        dropped: {split: number of questions without an answer}; these are left out.
        sha256: {name: SHA-256 digest} of the files with the questions.
        warnings: the problems of the level "warning", such as a question without an answer.
    """

    jobs: dict[str, list[ImageQuestions]]
    counts: dict[str, int]
    dropped: dict[str, int]
    sha256: dict[str, str]
    warnings: list[Problem]

    def problems(self) -> list[Problem]:
        """Returns the problems of the rows, in the order of the files."""
        of_jobs = [p for jobs in self.jobs.values() for job in jobs for p in job.problems]
        order = {name: i for i, name in enumerate(self.sha256)}
        return sorted(of_jobs + self.warnings, key=lambda p: (order[p.file], p.line or 0))

    def shared(self) -> dict[str, list[ImageQuestions]]:
        """Returns {image: its jobs} for the images that are in more than one split."""
        seen: dict[str, list[ImageQuestions]] = {}
        for jobs in self.jobs.values():
            for job in jobs:
                if job.image:
                    seen.setdefault(job.image, []).append(job)
        return {image: jobs for image, jobs in seen.items() if len(jobs) > 1}


@dataclasses.dataclass(frozen=True)
class Question:
    """A usable row: its image, the question as a text, and the modality and body part."""

    image: str
    text: Text
    modality: str = "OT"
    body_part: str = ""


def read_rows(path: Path) -> list[Row]:
    """Reads a JSON array of objects, together with the line on which each object starts.

    Raises:
        JsonError: The file is not UTF-8, or does not start with a complete array of objects. Text
            after the closing bracket of the array is accepted and ignored.
    """
    name, decoder, rows = path.name, json.JSONDecoder(), []

    def broken(line: int, message: str) -> JsonError:
        return JsonError(Problem(name, line, "", f"{message}; download the file again"))

    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise broken(1, "not UTF-8") from None
    position = _skip(text, 0)
    if text[position : position + 1] != "[":
        raise broken(1, "not a JSON array of questions")
    position, line, counted = _skip(text, position + 1), 1, 0
    while text[position : position + 1] != "]":
        line, counted = line + text.count("\n", counted, position), position
        try:
            fields, position = decoder.raw_decode(text, position)
        except json.JSONDecodeError as e:
            raise broken(e.lineno, f"broken JSON after {len(rows)} rows ({e.msg})") from None
        except (ValueError, RecursionError):  # A number has thousands of digits, or "[[[[...".
            message = f"a number or a nesting is too long in row {len(rows) + 1}"
            raise broken(line, message) from None
        if not isinstance(fields, dict):
            raise broken(line, f"row {len(rows) + 1} is no JSON object")
        rows.append(Row(name, line, len(rows) + 1, fields))
        position = _skip(text, position)
        if text[position : position + 1] == ",":
            position = _skip(text, position + 1)
        elif text[position : position + 1] != "]":
            raise broken(line, f"the array is cut off after {len(rows)} rows")
    return rows


def make_plan(
    root: Path,
    splits: Mapping[str, Sequence[Row]],
    paths: Iterable[Path],
    questions_of: Callable[[Row], Iterable[Question | Problem]],
) -> Plan:
    """Groups rows by image.

    Args:
        root: the source folder, under which the images lie.
        splits: {split: its rows}.
        paths: the files that the rows come from.
        questions_of: a function that yields the usable questions of a row, or a problem. It yields
            nothing for a row that is not needed, such as one in another language.
    """
    made = Plan({}, {}, {}, {p.name: files.sha256(p) for p in paths}, [])
    for split, rows in splits.items():
        images: dict[str, ImageQuestions] = {}
        bad, total, dropped = [], 0, 0
        for row in rows:
            for question in questions_of(row):
                total += 1
                if isinstance(question, Problem):
                    dropped += question.level == "warning"
                    (made.warnings if question.level == "warning" else bad).append(question)
                    continue
                job = images.get(question.image) or ImageQuestions(
                    root, question.image, _id(question.image), row.brief(), (),
                    question.modality, question.body_part,
                )  # fmt: skip
                texts = (*job.texts, question.text)
                images[question.image] = dataclasses.replace(job, texts=texts)
        made.jobs[split] = list(images.values())
        if bad:
            made.jobs[split].append(ImageQuestions(root, "", "", None, problems=tuple(bad)))
        made.counts[split], made.dropped[split] = total, dropped
    return made


def text_of(
    row: Row, question_field: str, answer_field: str, type_field: str, lang: str = "en"
) -> Text | Problem:
    """Returns a question as a text of an example, or its problem.

    Args:
        row: the row.
        question_field: the name of the field with the question.
        answer_field: the name of the field with the answer, which is text or a number.
        type_field: the name of the field that says "open" or "closed"; case and outer spaces do not
            matter.
        lang: "en" or "zh".
    """
    fields = row.fields
    asked = fields.get(question_field)
    if not isinstance(asked, str) or not asked.strip():
        return row.problem(question_field, "no question; the row is left out")
    value = fields.get(answer_field)
    if not _is_answer(value):
        return row.problem(answer_field, "neither text nor a number; the row is left out")
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        value = int(value)
    said = "" if value is None else str(value)
    if not said.strip():
        return row.problem(answer_field, "empty; the row is left out", "warning")
    for field, part in ((question_field, asked), (answer_field, said)):
        if _SURROGATE.search(part):
            return row.problem(field, "half a surrogate pair is no text; the row is left out")
    question_type = fields.get(type_field)
    question_type = question_type.strip().lower() if isinstance(question_type, str) else ""
    if question_type not in QUESTION_TYPES:
        return row.problem(type_field, "neither open nor closed; the row is left out")
    asked, said = (nfc(x.strip()) for x in (asked, said))
    text = {"task": "vqa", "lang": lang, "question": asked, "answer": said}
    return text | {"question_type": question_type, "choices": [], "source": "", "template": ""}


def check_qid(row: Row, seen: set[str | int | float]) -> Problem | None:
    """Returns the problem of a row's qid, or None; a good qid is added to `seen`.

    A row without a qid is accepted.
    """
    qid = row.fields.get("qid")
    if qid is None:
        return None
    if isinstance(qid, bool) or not isinstance(qid, str | int | float):
        return row.problem("qid", "neither text nor a number; the row is left out")
    if qid in seen:
        return row.problem("qid", "another row has it already; the row is left out")
    seen.add(qid)
    return None


def image_name(row: Row, field: str) -> str | Problem:
    """Returns the name of a row's image, or its problem."""
    name = row.fields.get(field)
    if not isinstance(name, str) or not _NAME.fullmatch(name) or ".." in name:
        return row.problem(field, "not the name of an image; the row is left out")
    if len(name.encode()) > _MAX_NAME:
        message = f"a name of more than {_MAX_NAME} bytes; shorten it, the row is left out"
        return row.problem(field, message)
    return name


def other_counts(
    plan: Plan, expected: Mapping[str, int], names: Mapping[str, str]
) -> Iterator[Problem]:
    """Yields a warning for each split whose number of questions is not the published one."""
    for split, count in plan.counts.items():
        if count != expected[split]:
            message = f"{count} questions, the published {split} split has {expected[split]}"
            yield Problem(names[split], None, "", message, "warning")


def shared_images(plan: Plan, field: str, *, brief: bool = False) -> Iterator[Problem]:
    """Yields a problem for each image that is in more than one split.

    With `brief`, it yields one warning with the number of these images instead.
    """
    shared = plan.shared()
    if brief and shared:
        later = next(iter(shared.values()))[1].row
        message = f"{len(shared)} images are in more than one split{leaks(plan)}"
        yield Problem(later.file, None, field, message, "warning")
    for image, jobs in {} if brief else shared.items():
        first, *others = jobs
        for job in others:
            yield job.row.problem(
                field, f"{image} is in {first.row.file} too; no image may be in two splits"
            )


def leaks(plan: Plan) -> str:
    """Returns ": 2 validation and 3 test images are also training images", or "" for no images."""
    images = {split: {job.image for job in jobs if job.image} for split, jobs in plan.jobs.items()}
    trained_on = images.pop("train", set())
    shared = {split: len(held_out & trained_on) for split, held_out in images.items()}
    counts = [f"{count} {split}" for split, count in shared.items() if count]
    return f": {' and '.join(counts)} images are also training images" if counts else ""


def digest(jobs: Iterable[ImageQuestions], beside: Sequence[str] = ()) -> str:
    """Returns a digest of images, and of the files beside each image with names in `beside`."""
    total = hashlib.sha256()
    for job in jobs:
        image = job.root / job.image
        for path in (image, *(image.parent / name for name in beside)) if job.image else ():
            total.update(files.sha256(path).encode() if files.is_file(path) else b"-")
    return total.hexdigest()


def missing_problem(job: ImageQuestions) -> Problem | None:
    """Returns a problem if the image of a job is missing, or None."""
    if files.is_file(job.root / job.image):
        return None
    field = "image_name" if "image_name" in job.row.fields else "img_name"
    message = f"{job.image} is missing; {len(job.texts)} questions need it"
    return dataclasses.replace(job.row.problem(field, message), items=len(job.texts))


def pixels(job: ImageQuestions, upright: bool = False) -> np.ndarray | Problem:
    """Returns the image of a job as uint8 [H, W, 3], or its problem.

    Args:
        job: the job.
        upright: a picture is turned as its EXIF orientation says, and a DICOM slice to its usual
            display, if `upright` is True. `upright` must be False if the dataset has boxes on the
            stored pixels.
    """
    path = job.root / job.image
    if gone := missing_problem(job):
        return gone
    try:
        image = read.read(path)
        values = (to_display(image)[0] if upright else image).pixels
    except read.ReadError as e:
        message = str(e).removeprefix(f"{path.name}: ")
        return Problem(job.image, None, "", message, items=len(job.texts))
    if values.ndim == 2:
        if values.min() < 0 or values.max() > 255:
            message = "more than 8 bits; the set has 8-bit pictures"
            return Problem(job.image, None, "", message, items=len(job.texts))
        values = np.repeat(values[..., None], 3, axis=-1)
    return values.astype(np.uint8)


def notes(built: records.Built, plan: Plan, name: str, config: str, version: str) -> list[str]:
    """Returns a line on each split and each file with questions, for the user."""
    lines = []
    for split in plan.jobs:
        data = records.open_split(name, config, version, split, built.folder.parents[2], "")
        examples = [
            (len(e["texts"]), len(e.get("boxes", ())), "segmap" in e) for e in data
        ]  # The images stay packed, so this is quick.
        texts, boxes, maps = (sum(column) for column in zip(*examples, strict=True))
        line = f"{name}/{config} {split}: {len(examples)} images, {texts} questions"
        line += f" of {plan.counts[split]} rows"
        if plan.dropped[split]:
            line += f" ({plan.dropped[split]} without an answer left out)"
        if boxes or maps:
            line += f", {boxes} boxes, {maps} label maps"
        lines.append(line)
    return lines + [f"{file}: sha256 {digest}" for file, digest in plan.sha256.items()]


def _is_answer(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, str | int | None) and not isinstance(value, bool)


def _id(image: str) -> str:
    """Returns an id: the image's name without ending, or its folder's if the name is "source".

    In SLAKE all images have the name "source.jpg", and their folders have different names.
    """
    path = Path(image)
    return path.parent.name if path.stem == "source" else path.stem


def _skip(text: str, position: int) -> int:
    while position < len(text) and text[position] in " \t\r\n":
        position += 1
    return position
