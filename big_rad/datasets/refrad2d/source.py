"""Finds the published files of RefRad2D, and reads its JSON files together with line numbers.

    dicoms_anon/{id[:2]}/{id}.dcm.zst
    refrad2d_vqa_dataset.parquet
    refrad2d_segment/rsopid_2_segment_v3_{ct,mr}.json
    refrad2d_segment/segmented_slices_v3/{id[:2]}/{id}.npy
    split_v18/generated/filtered_{ct,mr}_splits/snippet2rsopids_{train,val,test}_{ct,mr}_only.json

Each of the four parts (dicoms_anon, the parquet, refrad2d_segment, split_v18/generated) can lie
elsewhere. `texts` reads the content of rows and box entries.
"""

import dataclasses
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from big_rad.datasets.records import Problem

MODALITIES = ("CT", "MR")
SPLITS = {"train": "train", "validation": "val", "test": "test"}  # ours: theirs
WHERE = "see the RefRad2D release of the RadGrounder authors (their code names the layout)"
_PARTS = {
    "dicoms": "dicoms_anon",
    "parquet": "refrad2d_vqa_dataset.parquet",
    "segments": "refrad2d_segment",
    "splits": "split_v18/generated",
}
_MASKS = "segmented_slices_v3"
# An id is also the name of a file, so it must not contain "/" or be too long for a file name.
_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{1,199}")
_SPACE = re.compile(r"[ \t\r\n]*")


class JsonError(ValueError):
    """A JSON file cannot be read; `problem` says where it is broken."""

    def __init__(self, problem: Problem):
        super().__init__(str(problem))
        self.problem = problem


@dataclasses.dataclass(frozen=True)
class Places:
    """The places of the four parts of the source.

    Attributes:
        dicoms: the folder of the images.
        parquet: the file with the texts.
        segments: the folder of the box JSONs and label maps.
        splits: the folder of the split JSONs.
    """

    dicoms: Path
    parquet: Path
    segments: Path
    splits: Path

    @classmethod
    def under(cls, source: str | Path, **apart: str | Path | None) -> "Places":
        """Returns the published layout below `source`; `apart` gives parts that lie elsewhere."""
        return cls(**{k: Path(apart.get(k) or Path(source) / v) for k, v in _PARTS.items()})

    def split(self, split: str, modality: str) -> Path:
        """Returns the path of a split JSON; `split` is "train", "validation" or "test"."""
        m = modality.lower()
        name = f"snippet2rsopids_{SPLITS[split]}_{m}_only.json"
        return self.splits / f"filtered_{m}_splits" / name

    def boxes(self, modality: str) -> Path:
        """Returns the path of a box JSON."""
        return self.segments / f"rsopid_2_segment_v3_{modality.lower()}.json"

    def dicom(self, image_id: str) -> Path:
        """Returns the path of an image file."""
        return self.dicoms / image_id[:2] / f"{image_id}.dcm.zst"

    @property
    def masks(self) -> Path:
        """The folder of the label maps."""
        return self.segments / _MASKS

    def mask(self, segment_slice_path: str) -> Path | None:
        """Returns the path of a label map, or None if `segment_slice_path` is not a file name.

        `segment_slice_path` is the path on the authors' machine, so only its last part is used.
        """
        name = re.split(r"[/\\]", segment_slice_path)[-1]
        if not name.endswith(".npy") or not is_id(name):
            return None
        return self.masks / name[:2] / name

    def name(self, path: Path) -> str:
        """Returns the published name of a file, for messages."""
        for field, part in _PARTS.items():
            place = getattr(self, field)
            if path == place:
                return part
            if path.is_relative_to(place):
                return f"{part}/{path.relative_to(place).as_posix()}"
        return path.name

    def missing(self, modalities: Sequence[str]) -> list[Problem]:
        """Returns a problem for each missing part; label maps are optional."""
        files = {"parquet": [self.parquet]}
        files["segments"] = [self.boxes(m) for m in modalities]
        files["splits"] = [self.split(s, m) for m in modalities for s in SPLITS]
        out = []
        if not self.dicoms.is_dir():
            out.append(_missing(self.name(self.dicoms), "folder", "dicoms"))
        for option, paths in files.items():
            for path in paths:
                if not path.is_file():
                    out.append(_missing(self.name(path), "file", option))
        return out


@dataclasses.dataclass(frozen=True)
class Sentence:
    """An entry of a split JSON.

    Attributes:
        text: the sentence, which is only used to group the images.
        ids: the ids of its images.
        line: the line of the entry, counted from 1.
    """

    text: str
    ids: tuple[str, ...]
    line: int


def is_id(text: object) -> bool:
    """Returns whether a value can be the id of an image, and therefore a file name."""
    return isinstance(text, str) and bool(_ID.fullmatch(text))


def members(path: Path, name: str) -> Iterator[tuple[str, Any, int]]:
    """Reads a JSON object member by member, which needs less memory than all members at once.

    Args:
        path: the file.
        name: the name of the file for messages.

    Yields:
        (key, value, line of the key).

    Raises:
        JsonError: The file cannot be read, or is not a JSON object.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as e:
        line = e.object[: e.start].count(b"\n") + 1
        raise JsonError(Problem(name, line, "", "not UTF-8; copy the file again")) from None
    except OSError as e:
        problem = Problem(name, None, "", f"cannot be opened ({type(e).__name__}); {WHERE}")
        raise JsonError(problem) from None
    decoder = json.JSONDecoder(parse_constant=_no_constant)
    at = line = 0
    try:
        at = _expect(text, _skip(text, 0), "{")
        line, counted = 1, 0
        more = text[at : at + 1] != "}"
        while more:
            line += text.count("\n", counted, at)
            counted = at
            key, at = decoder.raw_decode(text, at)
            if not isinstance(key, str):
                raise json.JSONDecodeError("Expecting a name in double quotes", text, counted)
            at = _expect(text, _skip(text, at), ":")
            value, at = decoder.raw_decode(text, at)
            yield key, value, line
            at = _skip(text, at)
            if more := text[at : at + 1] == ",":
                at = _skip(text, at + 1)
        at = _expect(text, at, "}")
        if at < len(text):
            raise json.JSONDecodeError("Extra data", text, at)
    except json.JSONDecodeError as e:
        problem = Problem(name, e.lineno, "", f"JSON syntax: {e.msg}; copy the file again")
        raise JsonError(problem) from None
    except (RecursionError, ValueError):
        problem = Problem(name, line, "", "JSON nested too deeply, or a number that is none")
        raise JsonError(problem) from None


def read_split(places: Places, split: str, modality: str) -> tuple[list[Sentence], list[Problem]]:
    """Reads a split JSON.

    Returns:
        the sentences, and the problems of entries that are left out.

    Raises:
        JsonError: The file cannot be read.
    """
    path = places.split(split, modality)
    name = places.name(path)
    sentences, problems, seen = [], [], {}
    for text, ids, line in members(path, name):
        if not text.strip():
            problems.append(Problem(name, line, "", "an empty sentence; remove the entry"))
        elif text in seen:
            message = f"this sentence is also on line {seen[text]}; join their ids"
            problems.append(Problem(name, line, "", message))
        elif not isinstance(ids, list) or not ids or not all(is_id(i) for i in ids):
            message = "must be a list of ids, each of 2 to 200 letters, digits, '_', '-', '.'"
            problems.append(Problem(name, line, "ids", message))
        else:
            seen[text] = line
            sentences.append(Sentence(text, tuple(dict.fromkeys(ids)), line))
    return sentences, problems


def _missing(name: str, kind: str, option: str) -> Problem:
    return Problem(name, None, "", f"no such {kind}; {WHERE}, or say where it is: --{option}")


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _expect(text: str, at: int, char: str) -> int:
    if text[at : at + 1] != char:
        raise json.JSONDecodeError(f"Expecting '{char}'", text, at)
    return _skip(text, at + 1)
