"""Reads the manifest of a hospital: a table with a row for each report or sentence of a study.

| column | what it holds |
|---|---|
| `patient`, `study` | identifiers, which never leave the engine |
| `image` | a DICOM folder or file, or a NIfTI file |
| `modality` | CT or MR |
| `language` | de or en, of the report |
| `report` or `sentence` | the text or the path of a text file; or one sentence |

Further columns are optional: `mask`, `mask_names`, `series`, `slice`, `plane`, `date`, `clinical`,
`indication`, `patient_name`. Paths count from the folder of the manifest. The table is CSV (with
commas, semicolons or tabs), Excel or JSON lines.

    found = read(Path("studies.csv"))
    for problem in found.problems:
        print(problem)   # "studies.csv:17: language: ..."

A row with a problem is left out, and its problem says why. No message quotes a cell.
"""

import dataclasses
import datetime
import re
from collections.abc import Mapping
from pathlib import Path

from big_rad import files
from big_rad.annotate import faults, plain_text, tables
from big_rad.annotate.faults import Rejected
from big_rad.annotate.segment import harmonised
from big_rad.datasets.records import Problem
from big_rad.dicom.image import PLANES
from big_rad.grounding.unicode import nfc
from big_rad.registry import did_you_mean

_PROSE = ("report", "sentence", "clinical", "indication")
REQUIRED = ("patient", "study", "image", "modality", "language")
TEXTS = ("report", "sentence")  # At least one of these columns.
OPTIONAL = (
    "mask", "mask_names", "series", "slice", "plane", "date", "clinical",
    "indication", "patient_name",
)  # fmt: skip
_LANGUAGES = {
    "de": "de", "deu": "de", "ger": "de", "german": "de", "deutsch": "de", "en": "en",
    "eng": "en", "english": "en", "englisch": "en",
}  # fmt: skip
_MODALITIES = {"CT": "CT", "MR": "MR", "MRI": "MR", "MRT": "MR"}
_PLANES = {p: p for p in PLANES} | {"axial": "axial", "transversal": "axial", "transverse": "axial",
                                    "koronar": "coronal", "frontal": "coronal"}  # fmt: skip
_DATES = ("%Y-%m-%d", "%Y%m%d", "%d.%m.%Y", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S")
# What looks like the path of a file; those that are no text files are refused when they are read.
_TEXT_FILE = re.compile(r"[^\n]{1,400}\.(?:txt|md|rtf|pdf|docx?|odt|html?|xml|json)", re.IGNORECASE)
_MAX_REPORT = 1 << 20
_MAX_ID = 256
_BESIDE = "is not used, because the row has a sentence; leave one of them empty"
_TWICE = "the row is the same as an earlier one, so it is used once"


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of a manifest; a field that it leaves out has its default.

    Attributes:
        line: the line or row of the table, from 1, the header included.
        patient, study: as they are written.
        image: the image.
        image_name: the image as the table has it.
        modality: "CT" or "MR".
        language: "en" or "de".
        report: the text of the report, or "" if it is in `report_file` or `sentence` is given.
        report_file: the file of the report, or None.
        mask: a file of labels, a folder with a binary file for each class, or a DICOM SEG.
        mask_names: the names file of the labels, or None.
        mask_numbers: the table of numbers that the labels are of, a key of `harmonised.NUMBERS`, or
            "". The manifest has it in the column `mask_names` as well.
        sentence: one sentence instead of a report, or "".
        series: the SeriesNumber as text, or "".
        slice: the InstanceNumber of the slice in the plane of a DICOM series; otherwise the index
            from 0 along the stored axis. None leaves it to the text or to the anatomy.
        plane: "axial", "coronal", "sagittal" or "".
        date: the date of the study, "YYYY-MM-DD" or "".
        clinical, indication: the context of the report.
        name: the patient's name. It is only searched for in texts, to remove it.
    """

    line: int
    patient: str = dataclasses.field(repr=False)
    study: str = dataclasses.field(repr=False)
    image: Path = dataclasses.field(repr=False)
    image_name: str = dataclasses.field(repr=False)
    modality: str
    language: str
    report: str = dataclasses.field(default="", repr=False)
    report_file: Path | None = dataclasses.field(default=None, repr=False)
    mask: Path | None = dataclasses.field(default=None, repr=False)
    mask_names: Path | None = dataclasses.field(default=None, repr=False)
    mask_numbers: str = ""
    sentence: str = dataclasses.field(default="", repr=False)
    series: str = ""
    slice: int | None = None
    plane: str = ""
    date: str = dataclasses.field(default="", repr=False)
    clinical: str = dataclasses.field(default="", repr=False)
    indication: str = dataclasses.field(default="", repr=False)
    name: str = dataclasses.field(default="", repr=False)

    @property
    def names_of_labels(self) -> Path | str | None:
        """What names the labels of the mask, as `precomputed.read` takes it."""
        return self.mask_numbers or self.mask_names


@dataclasses.dataclass(frozen=True)
class Manifest:
    """The rows of a manifest that can be used, and the problems of its table.

    Attributes:
        rows: the rows, in their order.
        problems: an error for each row that is left out, and warnings.
    """

    rows: tuple[Row, ...]
    problems: tuple[Problem, ...]


class _Bad(ValueError):
    """A cell cannot be used: (field, message)."""


def read(path: str | Path) -> Manifest:
    """Reads a manifest.

    Args:
        path: a table `.csv`, `.tsv`, `.xlsx`, or `.jsonl`.

    Raises:
        ValueError: the table cannot be read at all, or has an unknown or no needed column.
    """
    path = Path(path)
    rows: list[Row] = []
    problems: list[Problem] = []
    seen: set[tuple] = set()
    for line, cells in tables.read(path, _column, REQUIRED, TEXTS):
        if isinstance(cells, str):
            problems.append(Problem(path.name, line, "", cells))
            continue
        cells = {k: nfc(v).strip() for k, v in cells.items()}
        if not any(cells.values()):
            continue
        same = tuple(sorted(cells.items()))
        if same in seen:
            problems.append(Problem(path.name, line, "", _TWICE, "warning"))
            continue
        seen.add(same)
        if cells.get("report") and cells.get("sentence"):
            problems.append(Problem(path.name, line, "report", _BESIDE, "warning"))
        try:
            rows.append(_row(line, cells, path.parent))
        except _Bad as e:
            problems.append(Problem(path.name, line, *e.args))
    if not rows and not problems:
        raise ValueError(f"{path.name}: has no rows; add one for each report")
    return Manifest(tuple(rows), tuple(problems))


def report_text(row: Row) -> str:
    """Returns the report of a row, "" if it has none.

    Raises:
        Rejected: the file of the report is missing, too long, not UTF-8 or no plain text.
    """
    if row.report_file is None:
        return row.report
    try:
        with row.report_file.open("rb") as file:
            data = file.read(_MAX_REPORT + 1)
    except (OSError, ValueError) as e:
        raise Rejected(faults.cannot_open("the file of the report", e)) from None
    if len(data) > _MAX_REPORT:
        raise Rejected(f"the file of the report is longer than {_MAX_REPORT} bytes")
    try:
        text = plain_text.decoded(data)
    except plain_text.NotPlain as e:
        raise Rejected(f"the file of the report {e}") from None
    if problem := plain_text.markup(text) or plain_text.control(text):
        raise Rejected(f"the file of the report {problem}")
    if not text.strip():
        raise Rejected("the file of the report is empty")
    return text


def _column(header: str) -> str:
    """Returns the column that a header means.

    Raises:
        ValueError: there is no such column; an ignored column would be lost in silence.
    """
    name = re.sub(r"[\s_-]+", "_", nfc(header).strip().lower())
    known = (*REQUIRED, *TEXTS, *OPTIONAL)
    if name not in known:
        # A table without names of columns begins with a row, whose cells may name a patient.
        like = did_you_mean(name, known)
        shown = repr(name) if like else "a name in the first line, which holds those of columns,"
        raise ValueError(
            f"{shown} is no column of a manifest; rename it or take it out. Known: "
            f"{', '.join(known)}{like}"
        )
    return name


def _row(line: int, cells: Mapping[str, str], root: Path) -> Row:
    for field in ("patient", "study", "image", "modality", "language"):
        if not cells.get(field):
            raise _Bad(field, "is empty; fill it in")
    for field, text in cells.items():
        problem = plain_text.markup(text) if field in _PROSE else ""
        if problem := problem or plain_text.control(text):
            raise _Bad(field, problem)
    for field in ("patient", "study"):
        if len(cells[field]) > _MAX_ID or not cells[field].isprintable():
            raise _Bad(field, f"must be one line of at most {_MAX_ID} characters")
    report, sentence = cells.get("report", ""), cells.get("sentence", "")
    if not report and not sentence:
        raise _Bad("report", "is empty, and there is no sentence; fill in one of them")
    file = None if sentence else _report_file(report, root)
    names = cells.get("mask_names", "")
    numbers = names.lower() if names.lower() in harmonised.NUMBERS else ""
    return Row(
        line=line,
        patient=cells["patient"],
        study=cells["study"],
        image=_path(cells, "image", root),
        image_name=cells["image"],
        modality=_one_of(cells, "modality", _MODALITIES, str.upper),
        language=_one_of(cells, "language", _LANGUAGES, lambda v: re.split("[-_]", v.lower())[0]),
        report="" if file or sentence else report,
        report_file=file,
        mask=_path(cells, "mask", root) if cells.get("mask") else None,
        mask_names=_path(cells, "mask_names", root) if names and not numbers else None,
        mask_numbers=numbers,
        sentence=sentence,
        series=_series(cells),
        slice=_whole(cells, "slice"),
        plane=_one_of(cells, "plane", _PLANES, str.lower) if cells.get("plane") else "",
        date=_date(cells),
        clinical=cells.get("clinical", ""),
        indication=cells.get("indication", ""),
        name=cells.get("patient_name", ""),
    )


def _path(cells: Mapping[str, str], field: str, root: Path) -> Path:
    if "\0" in cells[field]:
        raise _Bad(field, "is no path")
    return _found(cells[field], root)


def _found(name: str, root: Path) -> Path:
    """Returns the path of a file or folder, which Windows or another Unicode form may spell."""
    name = name.replace("\\", "/") if "/" not in name else name
    try:
        if Path(name).is_absolute():
            return files.find(Path("/"), name.lstrip("/"))
        return files.find(root, name)
    except OSError:  # Reading it says why it cannot be followed.
        return root / name


def _report_file(report: str, root: Path) -> Path | None:
    """Returns the file if a cell is a path: it ends as files do, or there is such a file."""
    if "\n" in report or "\0" in report or len(report) > 400:
        return None
    try:
        path = _found(report, root)
        known = path.exists()  # Reading a folder says that it is one.
    except PermissionError:
        return root / report  # Reading it says so; it must not be taken for the text.
    except OSError:
        return None
    return path if known or _TEXT_FILE.fullmatch(report) else None


def _one_of(cells: Mapping[str, str], field: str, known: Mapping[str, str], fold) -> str:  # noqa: ANN001
    value = known.get(fold(cells[field]))
    if value is None:
        raise _Bad(field, f"must be one of {', '.join(dict.fromkeys(known.values()))}")
    return value


def _series(cells: Mapping[str, str]) -> str:
    value = _whole(cells, "series")
    return "" if value is None else str(value)


def _whole(cells: Mapping[str, str], field: str) -> int | None:
    text = cells.get(field, "")
    if not text:
        return None
    if not re.fullmatch(r"\d{1,9}(?:\.0)?", text):
        raise _Bad(field, "must be a whole number of at least 0")
    return int(text.removesuffix(".0"))


def _date(cells: Mapping[str, str]) -> str:
    text = cells.get("date", "")
    if not text:
        return ""
    for form in _DATES:
        try:
            return datetime.datetime.strptime(text, form).date().isoformat()
        except ValueError:
            continue
    raise _Bad("date", "must be a date such as 2021-05-03, 20210503 or 03.05.2021")
