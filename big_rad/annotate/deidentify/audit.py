"""Counts what de-identification did, and never a value.

audit = Audit()
audit.header(ds)
audit.texts(scrubbed.found)
line = audit.line(patient="1f...")
"""

import collections
import dataclasses
import json
from collections.abc import Iterable, Mapping

import pydicom

from big_rad.annotate.deidentify import allowed

PARTS = ("kept", "dropped", "replaced", "texts", "notes")
_REPLACED = frozenset(
    """
    PatientID PatientName StudyInstanceUID SeriesInstanceUID SOPInstanceUID FrameOfReferenceUID
    StudyDate SpecificCharacterSet SOPClassUID Rows Columns BitsAllocated BitsStored HighBit
    PixelRepresentation PhotometricInterpretation SamplesPerPixel PixelSpacing
    ImagePositionPatient ImageOrientationPatient RescaleSlope RescaleIntercept RescaleType
    PatientIdentityRemoved DeidentificationMethod DeidentificationMethodCodeSequence
    PatientBirthDate PatientSex AccessionNumber StudyID ReferringPhysicianName StudyTime
    Manufacturer PositionReferenceIndicator PixelData
    """.split()
)


@dataclasses.dataclass
class Audit:
    """What was done, as counts.

    Attributes:
        kept: attributes that new objects took from their source, by keyword.
        dropped: attributes that were left out, by keyword. "private" counts all private ones, and
            "unknown" those that the standard does not have.
        replaced: attributes that got a value of our own, by keyword.
        texts: what was replaced in texts, by kind ("name", "date" ...).
        notes: other things, such as objects that do not say whether text is burned in.
    """

    kept: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    dropped: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    replaced: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    texts: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    notes: collections.Counter = dataclasses.field(default_factory=collections.Counter)

    def header(self, ds: pydicom.Dataset) -> None:
        """Counts what becomes of each attribute of a source object when a new one is made."""
        kept = set(allowed.kept(ds))
        for element in _all_of(ds):
            keyword = pydicom.datadict.keyword_for_tag(element)
            if element.is_private:
                self.dropped["private"] += 1
            elif 0x6000 <= element.group <= 0x60FF:
                self.dropped["overlay"] += 1
            elif not keyword:
                self.dropped["unknown"] += 1
            elif keyword in kept:
                self.kept[keyword] += 1
            elif keyword in _REPLACED:
                self.replaced[keyword] += 1
            else:
                self.dropped[keyword] += 1
        self.notes.update(allowed.notes(ds))

    def text(self, found: Mapping[str, int]) -> None:
        """Counts what was replaced in a text, see `texts.Scrubbed.found`."""
        self.texts.update(found)

    def add(self, other: "Audit") -> None:
        """Adds the counts of another audit."""
        for part in PARTS:
            getattr(self, part).update(getattr(other, part))

    def line(self, **ids: str) -> str:
        """Returns the counts as one line of JSON, in the order of their names.

        Args:
            **ids: pseudonyms of what was counted, such as `study`.
        """
        counts = {part: dict(sorted(getattr(self, part).items())) for part in PARTS}
        return json.dumps({**ids, **counts}, sort_keys=True) + "\n"


def _all_of(ds: pydicom.Dataset) -> Iterable[pydicom.tag.BaseTag]:
    """Yields the tags of the data set itself; what is nested goes with its sequence."""
    return [pydicom.tag.Tag(tag) for tag in ds.keys()]
