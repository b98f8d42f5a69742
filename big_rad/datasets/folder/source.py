"""Reads data.jsonl, the list of a group's own images and texts, into items and problems.

`parse` checks each line alone. `gather` then joins the lines of one image into an item, and puts
each patient into one split. No image is opened here.
"""

import dataclasses
import difflib
import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from big_rad.datasets.folder import fields, lines, patients
from big_rad.datasets.records import Problem, SourceError
from big_rad.grounding import markup

FILE = "data.jsonl"
SPLITS = ("train", "validation", "test")
PLANES = ("axial", "coronal", "sagittal")
MODALITIES = ("CT", "MR", "OT")
QUESTION_TYPES = ("open", "closed", "yesno", "multiple")
_YESNO = ("yes", "no", "ja", "nein")
_SHARES = ((0.8, "train"), (0.9, "validation"), (1.0, "test"))
_ONLY_SEEN = "no line of this id has a text: the image serves generated detection questions only"
_NOTHING = "no line of this id has a report, a question, boxes or a mask; there is nothing to learn"
# The fields in which lines of the same image must agree, if they have them.
_SHARED = (
    "image", "frame", "plane", "modality", "offset", "patient", "mask", "mask_frame", "mask_names",
    "split",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Row:
    """A line of data.jsonl; a field that the line leaves out has its default."""

    line: int
    id: str
    patient: str | None = None
    image: str | None = None
    frame: int | None = None
    plane: str | None = None
    modality: str | None = None
    offset: float | None = None
    report: str = ""
    language: str = "en"
    clinical: str = ""
    indication: str = ""
    boxes: tuple[fields.Box, ...] = ()
    mask: fields.Mask | None = None
    mask_frame: int | None = None
    mask_names: fields.Names | None = None
    keywords: tuple[tuple[str, int], ...] = ()
    question: str = ""
    answer: str = ""
    question_type: str = "open"
    choices: tuple[str, ...] = ()
    split: str | None = None


@dataclasses.dataclass(frozen=True)
class Item:
    """All lines of one image, in one split.

    Attributes:
        rows: the lines in the order of the file; at least one.
        id, patient, image, frame, plane, modality, offset, mask, mask_frame, mask_names: the values
            of the fields, each from the first line that has it. If no line names the patient, it
            is the one that `patients.Grouping` found.
        split: "train", "validation" or "test".
    """

    rows: tuple[Row, ...]
    id: str
    patient: str
    image: str
    frame: int | None
    plane: str | None
    modality: str | None
    offset: float | None
    mask: fields.Mask | None
    mask_frame: int | None
    mask_names: fields.Names | None
    split: str


@dataclasses.dataclass(frozen=True)
class Listing:
    """The content of a data.jsonl.

    Attributes:
        path: the path of the file; the paths in it are relative to its folder.
        items: the usable images, in the order of their first lines.
        problems: the problems of lines that cannot be used, and warnings.
        drawn: the number of patients whose lines do not name a split and who were put into one by
            the hash of their pseudonym.
        grouping: a line on how images without a patient were grouped, or "".
    """

    path: Path
    items: list[Item]
    problems: list[Problem]
    drawn: int
    grouping: str = ""


_FIELDS: dict[str, Callable[[Any], Any]] = {
    "id": fields.name,
    "patient": fields.name,
    "image": fields.path,
    "frame": fields.frame,
    "plane": fields.one_of(*PLANES),
    "modality": fields.one_of(*MODALITIES),
    "offset": fields.offset,
    "report": fields.text,
    "language": fields.one_of("en", "de"),
    "clinical": fields.text,
    "indication": fields.text,
    "boxes": fields.boxes,
    "mask": fields.mask,
    "mask_frame": fields.frame,
    "mask_names": fields.names,
    "keywords": fields.keywords,
    "question": fields.text,
    "answer": fields.answer,
    "question_type": fields.one_of(*QUESTION_TYPES),
    "choices": fields.choices,
    "split": fields.one_of(*SPLITS),
}
_ALIASES = {
    "path": "image", "file": "image", "sentence": "report", "text": "report", "lang": "language",
    "subject": "patient", "segmap": "mask", "bbox": "boxes", "fold": "split", "type":
    "question_type", "options": "choices",
}  # fmt: skip


def locate(source: str | Path) -> Path:
    """Returns the JSONL file of a source.

    Raises:
        SourceError: The file does not exist.
    """
    path = Path(source)
    path = path / FILE if path.is_dir() else path
    if not path.is_file():
        raise SourceError(
            f"--source must be a folder with a {FILE}, or the JSONL file itself; there is no "
            f"{path.name} (docs/data.md describes it)"
        )
    return path


def read(source: str | Path, grouping: patients.Grouping | None = None) -> Listing:
    """Reads a source.

    Args:
        source: a folder with data.jsonl, or a JSONL file.
        grouping: the object that groups images without a patient. By default only images of the
            same file are grouped.

    Raises:
        SourceError: The file does not exist, or cannot be opened.
    """
    path = locate(source)
    grouping = grouping or patients.Grouping()
    if other := lines.other_kind(path, {*_FIELDS, *_ALIASES}):
        return Listing(path, [], [Problem(path.name, None, "", other)], 0)
    rows, problems = [], []
    for line, data in lines.read(path):
        row, found = parse(data, line, path.name)
        problems += found
        if row is not None:
            rows.append(row)
    items, found, drawn = gather(rows, path.name, grouping)
    return Listing(path, items, problems + found, drawn, grouping.said())


def parse(data: bytes, line: int, file: str = FILE) -> tuple[Row | None, list[Problem]]:
    """Reads one line.

    Args:
        data: the bytes of the line, UTF-8 with or without a byte order mark.
        line: the number of the line, counted from 1.
        file: the name of the file, for problems.

    Returns:
        the row (None if it cannot be used or the line is empty) and its problems.
    """
    try:
        values = lines.parse(data)
    except fields.Bad as e:
        return None, [Problem(file, line, "", str(e))]
    if values is None:
        return None, []
    kept, bad = {}, []
    for key, value in values.items():
        if key not in _FIELDS:
            bad.append(("", _unknown(key)))
        elif value is not None and (key == "id" or value not in ("", [], {})):
            try:
                kept[key] = _FIELDS[key](value)
            except fields.Bad as e:
                bad.append((key, str(e)))
    if "id" not in values or values["id"] is None:
        bad.append(("id", "is missing; give every image a pseudonym"))
    if not bad:
        row = Row(line=line, **kept)
        bad = list(_contradictions(row, kept))
    problems = [
        Problem(file, line, field, message, items=int(not n))
        for n, (field, message) in enumerate(bad)
    ]
    if problems:
        return None, problems
    return row, [Problem(file, line, f, m, "warning") for f, m in _doubts(row, kept)]


def gather(
    rows: Iterable[Row], file: str = FILE, grouping: patients.Grouping | None = None
) -> tuple[list[Item], list[Problem], int]:
    """Joins the lines of each image into an item, and puts each patient into one split.

    A line that contradicts an earlier one is left out. An item is left out if its image is also in
    another split, as the image of another patient.

    Args:
        rows: the rows of the file.
        file: the name of the file, for problems.
        grouping: the object that groups images without a patient, see `read`.

    Returns:
        (items, problems, number of patients whose split was drawn by their hash).
    """
    grouping = grouping or patients.Grouping()
    groups, problems = _grouped(rows, file)
    given: dict[str, tuple[str, int]] = {}  # patient -> split, line
    whole, drawn = [], set()
    together = {id_: {f: _said(group, f) for f in _SHARED} for id_, group in groups.items()}
    grouping.assign([(id_, shared) for id_, shared in together.items() if shared["image"]])
    for id_, group in groups.items():
        shared = together[id_]
        if shared["image"] is None:
            message = "is missing; no line of this id that can be used names an image file"
            problems.append(Problem(file, group[0].line, "image", message, items=len(group)))
            continue
        if not any(r.report or r.question for r in group):
            seen = shared["mask"] is not None or any(r.boxes for r in group)
            message = _ONLY_SEEN if seen else _NOTHING
            level = "warning" if seen else "error"
            problems.append(Problem(file, group[0].line, "", message, level, len(group)))
            if not seen:
                continue
        if shared["split"] is not None:
            split, line = given.setdefault(shared["patient"], (shared["split"], group[0].line))
            if split != shared["split"]:
                message = f"the patient of line {line} would be in two splits; name the same one"
                if how := grouping.by(id_):
                    message += f" (taken for one patient {how}; if they are two, name them)"
                problems += [Problem(file, r.line, "split", message) for r in group]
                continue
        whole.append((id_, group, shared))
    items = []
    for id_, group, shared in whole:
        patient = shared["patient"]
        if patient not in given:
            drawn.add(patient)
        shared["split"] = given[patient][0] if patient in given else drawn_split(patient)
        items.append(Item(rows=tuple(group), id=id_, **shared))
    items, found = _once(items, file)
    return items, problems + found, len(drawn)


def drawn_split(patient: str) -> str:
    """Returns the split of a patient whose lines do not name one.

    A digest of the pseudonym decides: 80 % train, 10 % validation, 10 % test.
    """
    digest = hashlib.sha256(f"big_rad folder split\n{patient}".encode()).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    return next(split for share, split in _SHARES if place < share)


def _unknown(key: str) -> str:
    near = _ALIASES.get(key.lower())
    if near is None:
        near = next(iter(difflib.get_close_matches(key.lower()[:40], _FIELDS, 1, 0.6)), None)
    hint = f"did you mean {near!r}?" if near else f"the fields are {', '.join(_FIELDS)}"
    return f"{fields.quoted(key)} is no field; {hint}"


def _contradictions(row: Row, kept: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yields (field, message) for fields of a line that contradict each other."""
    if row.question and not row.answer:
        yield "answer", "is missing; a question needs an answer"
    for field in ("answer", "question_type", "choices"):
        if field in kept and not row.question:
            yield field, "stands without a question"
    phrases = [k for k, _ in row.keywords] + [b.phrase for b in row.boxes if b.phrase]
    if phrases and not row.report:
        yield "keywords" if row.keywords else "boxes", "phrases stand without a report"
    else:
        for field, listed in (("keywords", row.keywords), ("boxes", _phrases(row))):
            for n, (phrase, class_id) in enumerate(listed, start=1):
                if not _stands_in(row.report, phrase, class_id):
                    yield field, f"phrase {n} does not stand in the report as whole words"
    if not row.question or not row.answer:
        return
    if row.question_type == "yesno" and row.answer.rstrip(".!").casefold() not in _YESNO:
        yield "answer", 'must be yes or no (ja, nein); else question_type is "closed"'
    if row.question_type == "multiple":
        if not row.choices:
            yield "choices", "are missing; a multiple choice question lists them"
        elif row.answer.casefold() not in {c.casefold() for c in row.choices}:
            yield "answer", "must be one of the choices"


def _doubts(row: Row, kept: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yields (field, message) for fields that are not used, which the user may not expect."""
    if not row.report:
        for field in ("clinical", "indication"):
            if field in kept:
                yield field, "is not used; it belongs to a report, and the line has none"
    if row.choices and row.question_type != "multiple":
        yield "choices", 'are shown only with question_type "multiple"'


def _phrases(row: Row) -> list[tuple[str, int]]:
    return [(b.phrase, b.class_id) for b in row.boxes if b.phrase]


def _stands_in(report: str, phrase: str, class_id: int) -> bool:
    mention = markup.Mention(phrase, class_id, (0.0, 0.0, 1.0, 1.0))
    return bool(markup.locate(report, [mention]))


def _grouped(rows: Iterable[Row], file: str) -> tuple[dict[str, list[Row]], list[Problem]]:
    groups: dict[str, list[Row]] = {}
    problems = []
    for row in rows:
        group = groups.setdefault(row.id, [])
        clash = _clash(group, row)
        if clash:
            message = f"differs from line {clash[1]}, which has the same id"
            problems.append(Problem(file, row.line, clash[0], message))
        elif same := next((r for r in group if _same(r, row)), None):
            message = f"is the same as line {same.line} and is left out"
            problems.append(Problem(file, row.line, "", message, "warning"))
        else:
            group.append(row)
    return groups, problems


def _same(a: Row, b: Row) -> bool:
    return dataclasses.replace(a, line=0) == dataclasses.replace(b, line=0)


def _once(items: list[Item], file: str) -> tuple[list[Item], list[Problem]]:
    """Leaves out items whose image is also in another split, as the image of another patient."""
    homes: dict[tuple[str, int], tuple[str, int]] = {}  # file, frame -> split, line
    kept, problems = [], []
    for item in items:
        line = next(r.line for r in item.rows if r.image)
        key = patients.file_key(item.image), item.frame or 0
        split, first = homes.setdefault(key, (item.split, line))
        if split == item.split:
            kept.append(item)
            continue
        message = f"the image of line {first} would be in two splits; name one patient on both"
        problems.append(Problem(file, line, "image", message, items=len(item.rows)))
    return kept, problems


def _clash(group: list[Row], row: Row) -> tuple[str, int] | None:
    """Returns (field, line) of the first field in which an earlier line of the id differs."""
    for field in _SHARED:
        value = getattr(row, field)
        for other in group if value is not None else ():
            said = getattr(other, field)
            if said is not None and said != value:
                return field, other.line
    return None


def _said(group: list[Row], field: str) -> Any:
    return next((v for r in group if (v := getattr(r, field)) is not None), None)
