"""Which images of a list are of one patient, where the lines do not say.

All images of a patient must be in one split. Images without `patient` are grouped by what their
DICOM files say, as keyed digests that are never stored, else by the file. Knows nothing of splits.
"""

import collections
import posixpath
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

from big_rad.grounding.unicode import nfc

FILE = "file"
PATIENT = "PatientID"
_HOW = {
    PATIENT: "by the DICOM's PatientID",
    "StudyInstanceUID": "by the DICOM's StudyInstanceUID",
    "SeriesInstanceUID": "by the DICOM's SeriesInstanceUID",
    FILE: "by the file",
}


def file_key(path: str) -> str:
    """Returns a path of the list in a form that is equal for equal files."""
    return nfc(posixpath.normpath(path))


class Grouping:
    """Gives each image without a patient the name of its group: the id of one of its images.

    Args:
        digests: of a path, the keyed digests of what its DICOM file says (`dicom.identity`).
    """

    def __init__(self, digests: Callable[[str], Mapping[str, bytes]] | None = None):
        self._digests = digests or (lambda path: {})
        self._seen: dict[str, Mapping[str, bytes]] = {}
        self._names: dict[tuple[str, Hashable], str] = {}
        self._by: dict[str, str] = {}
        self._groups: set[str] = set()

    def assign(self, images: Sequence[tuple[str, dict[str, Any]]]) -> None:
        """Fills in patients.

        Args:
            images: of each, its id, and the fields of which "image" is set and "patient" may be
                None; that one is changed.
        """
        if all(shared["patient"] for _, shared in images):
            return
        keys = {id_: self._keys(shared["image"]) for id_, shared in images}

        def rank(entry: tuple[str, dict[str, Any]]) -> int:
            # What is known first: it lends its name to what shares a study or a file with it.
            return 0 if entry[1]["patient"] else 1 if PATIENT in keys[entry[0]] else 2

        for id_, shared in sorted(images, key=rank):
            mine = keys[id_]
            if not shared["patient"]:
                # Another PatientID in the same study is believed to be another patient.
                ask = [k for k in mine if PATIENT not in mine or k in (PATIENT, FILE)]
                known = (self._names.get((k, mine[k])) for k in ask)
                shared["patient"] = next((name for name in known if name), id_)
                self._by[id_] = ask[0]
            for key in mine.items():
                self._names.setdefault(key, shared["patient"])
        self._groups = {s["patient"] for id_, s in images if id_ in self._by}

    def by(self, id_: str) -> str:
        """Returns how an image was grouped, "" if its line names the patient."""
        return _HOW[self._by[id_]] if id_ in self._by else ""

    def said(self) -> str:
        """Returns what was done, "" if nothing was guessed.

        One image alone is no group, and neither are images that have each a PatientID of its own.
        """
        count, ways = len(self._by), collections.Counter(self._by.values())
        if count < 2 or (len(self._groups) == count and set(ways) == {PATIENT}):
            return ""
        how = ", ".join(f"{ways[k]} {words}" for k, words in _HOW.items() if k in ways)
        groups = "1 group" if len(self._groups) == 1 else f"{len(self._groups)} groups"
        return f"{count} images name no patient and are grouped ({how}): {groups}"

    def _keys(self, path: str) -> dict[str, Hashable]:
        file = file_key(path)
        if file not in self._seen:
            self._seen[file] = self._digests(path)
        return {**self._seen[file], FILE: file}
