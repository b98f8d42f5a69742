"""Assembles the dataset from the results of all studies, in the published layout of RefRad2D.

    dataset/dicoms_anon/{id[:2]}/{id}.dcm.zst
    dataset/refrad2d_vqa_dataset.parquet
    dataset/refrad2d_segment/...                 boxes, and label maps of class ids
    dataset/split_v18/generated/...              the sentences of each split
    dataset/provenance.jsonl                     where each sentence comes from, and how it was tied
    dataset/card.md, card.json, page.html        what the dataset holds; a page to look at

One process reads the results in the order of their pseudonyms, twice: first for the splits, then to
write. It keeps a few hundred bytes for each image in memory.
"""

import collections
import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from big_rad import extras, files
from big_rad.annotate import patient_splits, questions
from big_rad.annotate.patient_splits import PROVENANCE
from big_rad.annotate.results import Light, Result
from big_rad.annotate.settings import Settings
from big_rad.datasets.refrad2d.source import MODALITIES, SPLITS, Places
from big_rad.dicom import read as dicom_read

with extras.needed("train"):
    import pyarrow as pa
    import pyarrow.parquet as pq

LANGUAGES = {"en": "english", "de": "german"}
_KEYWORDS = {"en": "keywords_eng", "de": "keywords_de"}
_BLOCK = 4096  # Images whose questions are balanced together, and rows of a group in the parquet.
_AXES = {"sagittal": 0, "coronal": 1, "axial": 2}
_QA = pa.list_(
    pa.struct({
        "question": pa.string(), "answer": pa.string(), "question_type": pa.string(),
        "choices": pa.list_(pa.string()),
    })
)  # fmt: skip
_LANGUAGE = pa.struct({
    "dicom_vqa": _QA, "snippet_vqa": _QA, "ReportFragestellungCleaned": pa.string(),
    "ReportKlinischeAngabenCleaned": pa.string(), "CleanedSentence": pa.string(),
})  # fmt: skip
_SCHEMA = pa.schema({
    "rsopid": pa.string(), "patient": pa.string(), "modality": pa.string(),
    "body_part": pa.string(), "english": _LANGUAGE, "german": _LANGUAGE,
})  # fmt: skip
TWICE = "the same slice with the same sentences is there twice"


@dataclasses.dataclass(frozen=True)
class Written:
    """What was written.

    Attributes:
        items: what is remembered of the items, in their order.
        assigned: the splits of the patients.
        questions: {(split, source and type): number of questions}.
        rejects: the rejects of this stage.
    """

    items: list[Light]
    assigned: patient_splits.Assigned
    questions: dict[tuple[str, str], int]
    rejects: list[dict[str, Any]]

    def by_split(self) -> dict[str, Iterator[dict[str, Any]]]:
        """Returns the items of each split, which are read one by one."""
        return {name: self._of(name) for name in SPLITS.values()}

    def _of(self, name: str) -> Iterator[dict[str, Any]]:
        return (one.item() for one in self.items if self.assigned.splits[one.patient] == name)

    def with_splits(self) -> Iterator[dict[str, Any]]:
        """Yields all items, each with its `split`."""
        return (one.item() | {"split": self.assigned.splits[one.patient]} for one in self.items)

    def picture(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Returns the pixels and the label map of an item."""
        one = next(i for i in self.items if i.id == name)
        with files.NPY_HEADER_LOCK:
            segmap = np.load(one.folder / f"{name}.npy", allow_pickle=False)
        shown, _ = dicom_read.to_display(dicom_read.read(one.folder / f"{name}.dcm.zst"))
        return shown.pixels, segmap


def write(
    results: Sequence[Result],
    root: Path,
    settings: Settings,
    given: Mapping[str, str],
    memory: patient_splits.Memory,
) -> Written:
    """Writes images, label maps, texts, boxes, splits and provenance.

    Args:
        results: the results, in the order of the dataset.
        root: the empty folder of the dataset.
        settings: the settings of the run.
        given: the splits of patients that are given, by pseudonym.
        memory: the splits of earlier runs.
    """
    light, rejects = _read(results)
    assigned = patient_splits.assign(light, settings, given, memory)
    said: dict[tuple[str, str], dict[str, list[str]]] = collections.defaultdict(dict)
    places = Places.under(root)
    with (
        _Parquet(root, settings) as parquet,
        _boxes(places) as boxes,
        _lines(root / PROVENANCE) as provenance,
    ):
        for one in light:
            item, name = one.item(), assigned.splits[one.patient]
            _put(one, places)
            boxes[one.modality](one.id, _entry(item))
            parquet.add(item, name)
            sentence = _sentence(item)
            said[name, one.modality].setdefault(sentence, []).append(one.id)
            provenance(_origin(item, name))
    for modality in MODALITIES:
        for ours, theirs in SPLITS.items():
            path = places.split(ours, modality)
            path.parent.mkdir(parents=True, exist_ok=True)
            content = dict(sorted(said[theirs, modality].items()))
            files.write_whole(path, json.dumps(content, ensure_ascii=False, indent=1))
    return Written(light, assigned, dict(parquet.questions), rejects)


def _read(results: Sequence[Result]) -> tuple[list[Light], list[dict[str, Any]]]:
    """Reads all items once; an item that is there twice is rejected."""
    found, seen, rejects = [], set(), collections.Counter()
    for result in results:
        for place, item in result.items():
            said = tuple(sorted((k, t["sentence"]) for k, t in item["texts"].items()))
            twin = (item["patient"], item["pixels"], _hashed(said))
            if twin in seen:
                rejects.update(p["line"] for p in item["provenance"].values())
                continue
            seen.add(twin)
            named = {k[2] for t in item["texts"].values() for k in t["keywords"]}
            found.append(
                Light(
                    item["id"], item["patient"], item["modality"], item["plane"],
                    tuple(sorted(named)), item["phash"], result, place,
                )
            )  # fmt: skip
    return found, [
        {"line": line, "stage": "write", "what": "slice", "reason": TWICE, "count": n}
        for line, n in sorted(rejects.items())
    ]


def _hashed(said: object) -> str:
    """Returns a short digest of texts."""
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:24]


def _put(one: Light, places: Places) -> None:
    for source, place in (
        (one.folder / f"{one.id}.dcm.zst", places.dicom(one.id)),
        (one.folder / f"{one.id}.npy", places.masks / one.id[:2] / f"{one.id}.npy"),
    ):
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, place)  # Takes no further space.
        except OSError:
            shutil.copyfile(source, place)


def _entry(item: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the entry of an item in the box JSON."""
    keywords = {
        field: item["texts"].get(lang, {}).get("keywords", []) for lang, field in _KEYWORDS.items()
    }
    return {
        "scan_rserid": item["volume"],
        "scan_file": None,
        "slice_axis": _AXES[item["plane"]],
        "slice_idx": item["slice"],
        "segment_scan_path": None,
        "segment_slice_path": f"segmented_slices_v3/{item['id'][:2]}/{item['id']}.npy",
        **keywords,
        "bboxes": item["boxes"],
    }


def _sentence(item: Mapping[str, Any]) -> str:
    """Returns the sentence that groups the images of a split."""
    texts = item["texts"]
    return texts.get("en", texts.get("de"))["sentence"]


def _origin(item: Mapping[str, Any], name: str) -> dict[str, Any]:
    kept = ("id", "patient", "study", "volume", "modality", "plane", "slice", "slices")
    return {
        **{k: item[k] for k in kept},
        "split": name,
        "segmentation": item["segmentation"],
        "texts": item["provenance"],
    }


class _Parquet:
    """Writes the rows of images with their questions, a block of one split at a time."""

    def __init__(self, root: Path, settings: Settings):
        self._path, self._set = root / "refrad2d_vqa_dataset.parquet", settings
        self._waiting: dict[str, list[dict[str, Any]]] = collections.defaultdict(list)
        self.questions: collections.Counter[tuple[str, str]] = collections.Counter()

    def __enter__(self) -> "_Parquet":
        self._file = pq.ParquetWriter(self._path, _SCHEMA)
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            for name in SPLITS.values():
                self._flush(name)
        self._file.close()

    def add(self, item: dict[str, Any], name: str) -> None:
        """Adds an item of a split."""
        self._waiting[name].append(item)
        if len(self._waiting[name]) >= _BLOCK:
            self._flush(name)

    def _flush(self, name: str) -> None:
        items = self._waiting.pop(name, [])
        if not items:
            return
        asked: dict[str, list[questions.Question]] = {}
        if self._set.questions:
            images = [
                questions.Image(
                    i["id"], i["modality"], i["plane"], i["body_part"],
                    {lang: t["sentence"] for lang, t in i["texts"].items()}, i["visible"],
                )
                for i in items
            ]  # fmt: skip
            asked = questions.ask(images, self._set.seed, self._set.questions).questions
        for some in asked.values():
            self.questions.update((name, f"{q.source}, {q.question_type}") for q in some)
        rows = [_row(item, asked.get(item["id"], [])) for item in items]
        self._file.write_table(pa.Table.from_pylist(rows, _SCHEMA), row_group_size=_BLOCK)


def _row(item: Mapping[str, Any], asked: Sequence[questions.Question]) -> dict[str, Any]:
    row = {
        "rsopid": item["id"],
        "patient": item["patient"],
        "modality": item["modality"],
        "body_part": item["body_part"] or None,
    }
    for lang, column in LANGUAGES.items():
        text = item["texts"].get(lang)
        if text is None and not asked:
            row[column] = None
            continue
        text = text or {}
        row[column] = {
            **questions.columns(asked, lang),
            "ReportFragestellungCleaned": text.get("indication") or None,
            "ReportKlinischeAngabenCleaned": text.get("clinical") or None,
            "CleanedSentence": text.get("sentence"),
        }
    return row


@contextlib.contextmanager
def _boxes(places: Places) -> Iterator[dict[str, Callable[[str, dict[str, Any]], None]]]:
    """Yields {modality: function that writes an entry of its box JSON}."""
    places.segments.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        files_ = {
            m: stack.enter_context(open(places.boxes(m), "w", encoding="utf-8")) for m in MODALITIES
        }
        yield {m: _member_writer(file) for m, file in files_.items()}
        for file in files_.values():
            file.write("}\n" if file.tell() else "{}\n")


def _member_writer(file: IO[str]) -> Callable[[str, dict[str, Any]], None]:
    def write(name: str, entry: dict[str, Any]) -> None:
        file.write("{" if not file.tell() else ",")
        file.write(f"{json.dumps(name)}: {json.dumps(entry, ensure_ascii=False)}\n")

    return write


@contextlib.contextmanager
def _lines(path: Path) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Yields a function that writes a line of JSON."""
    with open(path, "w", encoding="utf-8") as file:

        def write(value: dict[str, Any]) -> None:
            file.write(json.dumps(value, ensure_ascii=False, sort_keys=True) + "\n")

        yield write
