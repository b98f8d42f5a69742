"""The settings of a run of the data engine, as a config gives them."""

import dataclasses
import functools
import hashlib
import importlib.util
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from big_rad.annotate import match
from big_rad.annotate.segment.settings import Settings as Segmentator

SEGMENT = ("precomputed", "totalsegmentator")
NUMBERS = ("", "ascending", "descending")
# The modules that decide the content of items: these packages and modules, without the modules of
# the engine that only run it, or work on finished items.
_PACKAGES = ("annotate", "grounding", "dicom")
_MODULES = (
    "datasets/label_tables.py", "datasets/phantom/words/lexicon.py", "files.py", "pp/example.py",
)  # fmt: skip
_LATER = re.compile(
    r"annotate/(?:__main__|card\w*|check|checks/\w+|engine|page\w*|patient_splits|place|"
    r"question_drafts|questions|rejects|run|sources|split|text|write)\.py"
)


@dataclasses.dataclass(frozen=True)
class Source:
    """Where the rows of a dataset come from.

    Attributes:
        manifest: the manifest, or None if an importer makes the rows.
        importer: the name of the importer, or "".
        folder: the folder that the importer reads.
        notes: a table of reports for the importer, or None.
    """

    manifest: Path | None = None
    importer: str = ""
    folder: Path | None = None
    notes: Path | None = None


@dataclasses.dataclass(frozen=True)
class Settings:
    """How a dataset is made. Paths are kept apart from what decides the content.

    Attributes:
        source: where the rows come from.
        out: the folder of the results.
        key: the file with the key of all pseudonyms.
        segment: "precomputed" or "totalsegmentator".
        totalsegmentator: how TotalSegmentator is called.
        matching: how sentences are matched with slices.
        nifti_image_numbers: how the image numbers in reports count the slices of NIfTI volumes:
            "ascending" (image 1 is the slice next to the feet), "descending" (next to the top of
            the head), or "" if that is not known. Numbers in the text of a study are not used if it
            is not known, or if the volume was not acquired in axial slices.
        patterns: whether dates, numbers and names are also removed from reports by patterns.
        scrubber: a function "package.module:function" that finds further identifiers, or "".
        templates: the number of slices of a volume that get template sentences; 0 makes none.
        seed: the seed of all draws.
        shares: the shares of patients in train, val and test.
        splits_from: the dataset of an earlier run, whose patients stay in their splits, or None.
        keep_splits: whether patients of earlier runs in the same folder stay in their splits.
        questions: the most questions about the finding of an image; 0 makes no questions at all.
        licences: the licences of the sources, as `card.make` takes them.
    """

    source: Source
    out: Path
    key: Path
    segment: str = "precomputed"
    totalsegmentator: Segmentator = dataclasses.field(default_factory=Segmentator)
    matching: match.Options = dataclasses.field(default_factory=match.Options)
    nifti_image_numbers: str = ""
    patterns: bool = True
    scrubber: str = ""
    templates: int = 0
    seed: int = 0
    shares: tuple[float, float, float] = (0.8, 0.1, 0.1)
    splits_from: Path | None = None
    keep_splits: bool = True
    questions: int = 5
    licences: tuple[Mapping[str, Any], ...] = ()

    def content(self) -> dict[str, Any]:
        """Returns what decides the content of items, as JSON has it."""
        return {
            "segment": self.segment,
            "fast": self.segment == "totalsegmentator" and self.totalsegmentator.fast,
            "matching": dataclasses.asdict(self.matching),
            "nifti_image_numbers": self.nifti_image_numbers,
            "patterns": self.patterns,
            "scrubber": [self.scrubber, source_of(self.scrubber)],
            "templates": self.templates,
            "seed": self.seed,
        }


@functools.cache
def code() -> str:
    """Returns a digest of the code that decides the content of items.

    A change of the rules therefore makes new items, and no old ones are taken for them.
    """
    digest = hashlib.sha256()
    root = Path(__file__).parents[1]
    paths = [p for package in _PACKAGES for p in (root / package).rglob("*.py")]
    for path in sorted([*paths, *(root / name for name in _MODULES)]):
        name = path.relative_to(root).as_posix()
        if not _LATER.fullmatch(name):
            digest.update(name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


@functools.cache
def source_of(scrubber: str) -> str:
    """Returns a digest of the file that a scrubber "package.module:function" is in, "" for "".

    Raises:
        ValueError: there is no such module.
    """
    if not scrubber:
        return ""
    try:
        found = importlib.util.find_spec(scrubber.partition(":")[0])
        return hashlib.sha256(Path(found.origin).read_bytes()).hexdigest()
    except (ImportError, AttributeError, TypeError, OSError, ValueError) as e:
        raise ValueError(
            f"config.scrubber: the module is not found ({type(e).__name__}); give "
            "package.module:function"
        ) from None


def key_of(*parts: object) -> str:
    """Returns the key of a stage: a digest (hex) of everything that decides its result."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
