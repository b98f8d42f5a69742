"""What tells whether two images are of one person: keyed digests of identifiers and of pixels.

The key is random and is forgotten with the run, so a digest says nothing outside of it.
"""

import contextlib
import dataclasses
from collections.abc import Sequence
from pathlib import Path

from big_rad.annotate import volumes
from big_rad.annotate.canonical import Stored
from big_rad.annotate.deidentify import spelling, words
from big_rad.annotate.deidentify.keys import Keys
from big_rad.annotate.faults import Rejected
from big_rad.annotate.volumes import Volume
from big_rad.dicom import identity, walk
from big_rad.dicom.errors import ReadError
from big_rad.dicom.reader import Reader

_TAGS = ["PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate"]
_BLOCK, _BLOCKS = 1 << 16, 16
_MOST_REASON = 200


@dataclasses.dataclass(frozen=True)
class Facts:
    """Digests of what identifies an image.

    Attributes:
        patients: of the PatientIDs, with their issuers.
        persons: of the names with the days of birth.
        studies: of the StudyInstanceUIDs.
        contents: of the pixels, or of parts of the file.
    """

    patients: frozenset[str] = frozenset()
    persons: frozenset[str] = frozenset()
    studies: frozenset[str] = frozenset()
    contents: frozenset[str] = frozenset()


def of_image(image: Path, found: Sequence[Volume], secret: bytes) -> tuple[Facts, int]:
    """Returns the facts of an image but for its contents, and the number of its patients.

    Args:
        image: the file or folder.
        found: the volumes in it.
        secret: the key of the digests, 32 bytes.
    """
    keys = Keys(secret)
    ids, studies = set(), set()
    if any(volume.series is not None for volume in found):
        for path in walk.files([image])[0]:
            digests = identity.digests(path, secret)
            ids |= {digests["PatientID"]} if "PatientID" in digests else set()
            studies |= {digests["StudyInstanceUID"]} if "StudyInstanceUID" in digests else set()
    patients, persons = set(), set()
    for volume in found:
        if volume.series is None:
            continue
        with contextlib.suppress(Rejected):
            ds = volumes.header(volume.paths[0], _TAGS)
            number, name = _value(ds, "PatientID"), _value(ds, "PatientName")
            born = _value(ds, "PatientBirthDate")
            if _names(number):
                patients.add(keys.digest("patient", number, _value(ds, "IssuerOfPatientID")))
            if _names(name) and born:
                persons.add(keys.digest("person", name, born))
    made = Facts(frozenset(patients), frozenset(persons), frozenset(d.hex() for d in studies))
    return made, len(ids)


def content(volume: Volume, secret: bytes, stored: Stored | None = None) -> str:
    """Returns a digest of what a volume shows, "" if it shows nothing.

    Args:
        volume: the volume.
        secret: the key of the digest.
        stored: the canonical volume, of which all voxels count. Without it, the slice in the middle
            of a DICOM series counts, or parts of a NIfTI file.

    Raises:
        Rejected: the slice cannot be read.
    """
    keys = Keys(secret)
    if stored is not None:
        return keys.digest("file", *_parts(stored.path))
    if volume.series is None:
        return keys.digest("file", *_parts(volume.paths[0]))
    ref = volume.series.slices[len(volume.series.slices) // 2]
    try:
        pixels = Reader()(ref).pixels
    except ReadError as e:
        reason = str(e).replace(ref.path.name, "a file")[:_MOST_REASON]
        raise Rejected(f"the slice in the middle cannot be read: {reason}") from None
    if pixels.min() == pixels.max():
        return ""
    return keys.digest("pixels", str(pixels.shape), pixels.tobytes())


def _parts(path: Path) -> list[bytes]:
    """Returns the size and blocks of a file, which are spread over it evenly."""
    size = path.stat().st_size
    most = max(size - _BLOCK, 0)
    with path.open("rb") as file:
        parts = [str(size).encode()]
        for k in range(_BLOCKS):
            file.seek(most * k // (_BLOCKS - 1))
            parts.append(file.read(_BLOCK))
    return parts


def _value(ds: object, keyword: str) -> str:
    return " ".join(str(ds.get(keyword) or "").casefold().replace("^", " ").split())


def _names(value: str) -> bool:
    """Returns whether a value may name one person; what stands in place of a name does not."""
    parts = set(spelling.spelled(value).lower().split())
    return bool(value.strip("0 -_x*.")) and not parts <= words.PLACEHOLDERS
