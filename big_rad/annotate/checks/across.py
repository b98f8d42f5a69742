"""Compares the images of a manifest with each other: one person under two ids, a study twice."""

import collections
from collections.abc import Iterable, Iterator, Sequence

from big_rad.annotate.checks.study import Found
from big_rad.annotate.studies import Task
from big_rad.datasets.records import Problem

# What shows that two images are of one person, and the words for it.
_SAME = {
    "patients": "the same PatientID",
    "persons": "the same name and day of birth",
    "studies": "the same StudyInstanceUID",
    "contents": "the same pixels",
}
# What shows that two images are of different persons.
_OTHER = {
    "patients": "another PatientID",
    "persons": "another name or day of birth",
}
_ONE_ID = "give one person one id, or the dataset leaks from split to split"


def compare(
    pairs: Iterable[tuple[Task, Found]], table: str, nifti_numbers: str
) -> Iterator[Problem]:
    """Yields what is wrong between images.

    Args:
        pairs: the images with what was found about each.
        table: the name of the manifest.
        nifti_numbers: the setting `nifti_image_numbers`.
    """
    pairs = list(pairs)
    problems: dict[Problem, None] = {}
    for kind in _SAME:
        for earlier, later in _same(pairs, kind):
            problem = _of_pair(earlier, later, kind, table)
            if problem is not None:
                problems[problem] = None
    reports = _reports(pairs, table)
    for problem in (
        *_several_people(pairs, table),
        *reports,
        *_unnumbered(pairs, table, nifti_numbers),
    ):
        problems[problem] = None
    yield from sorted(problems, key=lambda p: (p.line or 0, p.field, p.message))


def _same(pairs: Sequence[tuple[Task, Found]], kind: str) -> Iterator[tuple[Task, Task]]:
    """Yields (an image, a later one) that share a digest; the first image stands for all others."""
    first: dict[str, Task] = {}
    for task, found in pairs:
        for digest in sorted(getattr(found.facts, kind)):
            earlier = first.setdefault(digest, task)
            if earlier is not task:
                yield earlier, task


def _of_pair(earlier: Task, later: Task, kind: str, table: str) -> Problem | None:
    one, two = earlier.rows[0], later.rows[0]
    if one.patient != two.patient:
        message = f"another id than in line {one.line}, but {_SAME[kind]}; {_ONE_ID}"
        return Problem(table, two.line, "patient", message)
    if kind == "contents":
        again = "the same study" if one.study == two.study else "another study"
        message = f"the same pixels as in line {one.line}, {again}; leave one out"
        return Problem(table, two.line, "image", message, "warning")
    if kind == "studies" and one.study != two.study:
        message = (
            f"another id than in line {one.line}, but {_SAME[kind]}; the study is there twice, so "
            "leave one out, or give it one id"
        )
        return Problem(table, two.line, "study", message, "warning")
    return None


def _several_people(pairs: Sequence[tuple[Task, Found]], table: str) -> Iterator[Problem]:
    """Yields the images whose files name another person than earlier ones of the same id."""
    for kind, words in _OTHER.items():
        first: dict[str, tuple[Task, frozenset[str]]] = {}
        for task, found in pairs:
            row, digests = task.rows[0], getattr(found.facts, kind)
            if not digests:
                continue
            earlier, theirs = first.setdefault(row.patient, (task, digests))
            if not digests & theirs:
                message = (
                    f"the same id as in line {earlier.rows[0].line}, but the images have "
                    f"{words}; check that report and image belong to the same person"
                )
                yield Problem(table, row.line, "patient", message, "warning")


def _reports(pairs: Sequence[tuple[Task, Found]], table: str) -> Iterator[Problem]:
    lines: dict[str, tuple[int, Task]] = {}
    for task, found in pairs:
        for line, digest in sorted(found.reports.items()):
            first, earlier = lines.setdefault(digest, (line, task))
            one, two = earlier.rows[0], task.rows[0]
            if (one.patient, one.study) != (two.patient, two.study):
                message = f"the same report as in line {first}, another study; check both"
                yield Problem(table, line, "report", message, "warning")


def _unnumbered(pairs: Sequence[tuple[Task, Found]], table: str, numbers: str) -> Iterator[Problem]:
    lines = sorted(line for _, found in pairs for line in found.unnumbered)
    if lines and not numbers:
        yield Problem(
            table, lines[0], "report",
            f"refers to images of a NIfTI volume by numbers, as do {len(lines)} rows in all, and "
            "it is not known how they count, so slices are proposed; pass "
            "--config.nifti_image_numbers=ascending or descending if you know it",
            "warning",
        )  # fmt: skip


def counts(pairs: Iterable[tuple[Task, Found]]) -> collections.Counter[str]:
    """Returns the numbers of rows, images, patients and studies."""
    made: collections.Counter[str] = collections.Counter()
    patients, studies = set(), set()
    for task, _ in pairs:
        row = task.rows[0]
        made["rows"] += len(task.rows)
        made["images"] += 1
        patients.add(row.patient)
        studies.add((row.patient, row.study))
    made["patients"], made["studies"] = len(patients), len(studies)
    return made
