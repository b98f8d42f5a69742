"""Finds the volume that each sentence of a row is about.

A sentence is about the series that it names, and otherwise about the volume of its row. What the
row says of slice and mask holds for the row's own volume only.
"""

import collections
import dataclasses
from collections.abc import Callable, Iterable

from big_rad.annotate import sentences, volumes
from big_rad.annotate.faults import Rejected
from big_rad.annotate.manifest import Row
from big_rad.annotate.volumes import Catalogue, Volume

NO_SERIES = "refers to a series that the image does not have"
AMBIGUOUS = (
    "refers to an image by a number, and which of the series is meant is unknown; a slice was "
    "proposed"
)

Reject = Callable[[int, str, str, str, int], None]  # (row, stage, what, reason, count)


@dataclasses.dataclass(frozen=True)
class Part:
    """What a row says about one volume.

    Attributes:
        number: the number of the row among those of its image, from 0.
        row: the row.
        report: its report with the sentences about the volume only.
        own: whether the volume is the one that the row itself names.
    """

    number: int
    row: Row
    report: sentences.Report
    own: bool


def by_volume(
    found: Catalogue, rows: Iterable[tuple[int, Row, sentences.Report]], reject: Reject
) -> list[tuple[Volume, list[Part]]]:
    """Returns the volumes that rows are about, each with what they say about it.

    Args:
        found: the volumes of the image.
        rows: the number, the row and the sentences of each row about the image.
        reject: receives what is not used.
    """
    chosen: dict[int, list[Part]] = collections.defaultdict(list)
    for number, row, report in rows:
        said: dict[tuple[int, bool], list[sentences.Sentence]] = collections.defaultdict(list)
        own = _own(found, row)
        if own is not None:
            said[own, True] = []
        for sentence in report.sentences:
            volume, sure = _of_sentence(found, row, sentence, own)
            if volume is None:
                reject(number, "text", "sentence", _why(found, sentence.series or row.series), 1)
                continue
            if sentence.images and not sure and row.slice is None:
                sentence = dataclasses.replace(sentence, images=())
                reject(number, "text", "link", AMBIGUOUS, 1)
            said[volume, volume == own].append(sentence)
        if own is None and not report.sentences:
            reject(number, "text", "report", _why(found, row.series), 1)
        for (volume, is_own), some in said.items():
            part = dataclasses.replace(report, sentences=tuple(some))
            chosen[volume].append(Part(number, row, part, is_own))
    return [(found.volumes[k], parts) for k, parts in sorted(chosen.items())]


def _why(found: Catalogue, number: str) -> str:
    """Returns why a number names no series of an image."""
    return volumes.SHARED if volumes.shared(found, number) else NO_SERIES


def _own(found: Catalogue, row: Row) -> int | None:
    """Returns the number of the volume that a row names, or None if it names no series."""
    try:
        return found.volumes.index(volumes.chosen(found, row.series))
    except Rejected:
        return None


def _of_sentence(
    found: Catalogue, row: Row, sentence: sentences.Sentence, own: int | None
) -> tuple[int | None, bool]:
    """Returns the number of the volume of a sentence, and whether image numbers are sure of it."""
    nifti = found.volumes[0].series is None
    if nifti:  # Such a file has lost the number of its series.
        if sentence.series and row.series and sentence.series != row.series:
            return None, False
        return own, not sentence.series or bool(row.series)
    number = sentence.series or row.series
    if not number:
        return own, len(found.volumes) == 1
    if volumes.shared(found, number):
        return None, False
    same = [k for k, v in enumerate(found.volumes) if v.number == number]
    return (same[0], len(same) == 1) if same else (None, False)
