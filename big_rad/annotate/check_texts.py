"""Checks the report of a row of a manifest: whether it can be read, its language, its anatomy."""

import re
from collections.abc import Iterator

from big_rad.annotate import manifest, reports, sentences
from big_rad.annotate.faults import Rejected
from big_rad.annotate.manifest import Row
from big_rad.grounding import mentions, plain

_FEWEST = 12  # Words from which on the language of a text is judged.
_FUNCTION = {
    "de": frozenset(
        plain.words(
            "der die das und mit ohne im in den dem des kein keine keinen nicht ist sind ein eine "
            "am an auf zur zum bei von nach sowie auch sich wird regelrecht unauffaellig links "
            "rechts beidseits"
        )
    ),
    "en": frozenset(
        plain.words(
            "the and with without in of no not is are a an on to at from there this normal left "
            "right both within seen has have which"
        )
    ),
}


def of_row(row: Row, numbers: bool) -> Iterator[tuple[str, str, str]]:
    """Yields (field, message, level) for each problem of the text of a row.

    Args:
        row: the row.
        numbers: whether image numbers count the slices of NIfTI volumes.
    """
    field = "sentence" if row.sentence else "report"
    try:
        text = row.sentence or manifest.report_text(row)
    except Rejected as e:
        yield "report", str(e), "error"
        return
    if not text.strip():
        return  # A row of an importer, whose sentences are made from the masks.
    other = "en" if row.language == "de" else "de"
    words = re.findall(r"[^\W\d_]+", plain.spelled(text).lower())
    said = {lang: sum(w in known for w in words) for lang, known in _FUNCTION.items()}
    if len(words) >= _FEWEST and said[other] > 2 * said[row.language] + 2:
        yield "language", f"the text looks like {other}; correct the language", "warning"
    used = [s.text for s in reports.sections(text) if s.target] if not row.sentence else [text]
    if not used:
        yield field, "no section of the report describes the images", "warning"
    elif not any(m.possible_ids for part in used for m in mentions.find(part, row.language)):
        yield field, "names no anatomy that is a class", "warning"
    nifti = ".nii" in row.image.name.lower()
    if nifti and not numbers and row.slice is None and any(map(_refers, used)):
        yield (
            field,
            "refers to images by number, which is not used for NIfTI volumes unless "
            "config.nifti_image_numbers says how they count",
            "warning",
        )


def _refers(text: str) -> bool:
    return bool(sentences.reference(text)[2])
