"""Reads the results of studies. They name rows by their number; here they get their lines."""

import dataclasses
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ITEMS, REJECTS, AUDIT = "items.jsonl", "rejects.jsonl", "audit.json"


@dataclasses.dataclass(frozen=True)
class Result:
    """The result of an image of a study.

    Attributes:
        folder: the folder of its files.
        lines: the lines of the manifest of its rows. A result does not hold them itself, because a
            row that is inserted above would otherwise change it.
    """

    folder: Path
    lines: tuple[int, ...]

    def items(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yields the items, each with the place of its line in the file, in bytes."""
        place = 0
        with open(self.folder / ITEMS, "rb") as lines:
            for line in lines:
                yield place, self._numbered(json.loads(line))
                place += len(line)

    def item(self, place: int) -> dict[str, Any]:
        """Returns the item whose line begins at a place."""
        with open(self.folder / ITEMS, "rb") as lines:
            lines.seek(place)
            return self._numbered(json.loads(lines.readline()))

    def rejects(self) -> Iterator[dict[str, Any]]:
        """Yields what was left out, as lines of rejects.jsonl."""
        with open(self.folder / REJECTS, encoding="utf-8") as lines:
            for one in map(json.loads, lines):
                # The same few reasons come again and again, so each is held once.
                held = {k: sys.intern(v) if isinstance(v, str) else v for k, v in one.items()}
                yield {"line": self.lines[held.pop("row")], **held}

    def audit(self) -> bytes:
        """Returns what de-identification did, as a line of JSON."""
        return (self.folder / AUDIT).read_bytes()

    def _numbered(self, item: dict[str, Any]) -> dict[str, Any]:
        for made in item["provenance"].values():
            made["line"] = self.lines[made.pop("row")]
        return item


@dataclasses.dataclass(frozen=True, slots=True)
class Light:
    """What is remembered of an item.

    Attributes:
        id, patient, modality, plane: as in the item.
        classes: the ids of the classes that its keywords name.
        phash: the perceptual hash of its pixels.
        result: the result that it is in.
        place: where its line begins in the items of the result, in bytes.
    """

    id: str
    patient: str
    modality: str
    plane: str
    classes: tuple[int, ...]
    phash: str
    result: Result
    place: int

    @property
    def folder(self) -> Path:
        """The folder of its files."""
        return self.result.folder

    def item(self) -> dict[str, Any]:
        """Returns the whole item."""
        return self.result.item(self.place)
