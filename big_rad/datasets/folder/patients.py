"""Groups the images of one patient if the lines of data.jsonl do not name the patient.

All images of a patient must be in one split. Images without `patient` are grouped by the PatientID,
the study or the series of their DICOM files, or else by the file itself. The identifiers are
compared as keyed digests, which are never stored.
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
    """Returns a path of data.jsonl in a normal form, which is the same for the same file."""
    return nfc(posixpath.normpath(path))


class Grouping:
    """Gives each image without a patient the name of its group.

    The name is the patient of an image in the group that has one, or else the id of an image.

    Args:
        digests: a function from a path to {DICOM attribute: keyed digest of its value} (see
            `dicom.identity`); {} if the file is not DICOM.
    """

    def __init__(self, digests: Callable[[str], Mapping[str, bytes]] | None = None):
        self._digests = digests or (lambda path: {})
        self._seen: dict[str, Mapping[str, bytes]] = {}
        self._names: dict[tuple[str, Hashable], str] = {}
        self._by: dict[str, str] = {}
        self._groups: set[str] = set()

    def assign(self, images: Sequence[tuple[str, dict[str, Any]]]) -> None:
        """Fills in the patients that are None.

        Args:
            images: (id, fields) of each image. "image" must be set in the fields; if "patient" is
                None, it is changed in place.
        """
        if all(shared["patient"] for _, shared in images):
            return
        keys = {id_: self._keys(shared["image"]) for id_, shared in images}

        def rank(entry: tuple[str, dict[str, Any]]) -> int:
            # The images with the most reliable identity come first, because they give their name
            # to images that share a study or a file with them.
            return 0 if entry[1]["patient"] else 1 if PATIENT in keys[entry[0]] else 2

        for id_, shared in sorted(images, key=rank):
            mine = keys[id_]
            if not shared["patient"]:
                # If two images have different PatientIDs, they count as two patients even if they
                # are in the same study.
                ask = [k for k in mine if PATIENT not in mine or k in (PATIENT, FILE)]
                known = (self._names.get((k, mine[k])) for k in ask)
                shared["patient"] = next((name for name in known if name), id_)
                self._by[id_] = ask[0]
            for key in mine.items():
                self._names.setdefault(key, shared["patient"])
        self._groups = {s["patient"] for id_, s in images if id_ in self._by}

    def by(self, id_: str) -> str:
        """Returns how an image was grouped, or "" if its line names the patient."""
        return _HOW[self._by[id_]] if id_ in self._by else ""

    def said(self) -> str:
        """Returns a line for the user on the grouping, or "" if nothing was guessed.

        Nothing was guessed if only one image has no patient, or if each of these images has another
        PatientID.
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
