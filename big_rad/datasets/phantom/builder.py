"""The TFDS builder of the phantom dataset: ArrayRecord files, no TensorFlow.

Every slice is a function of (seed, patient, slice number): the files are the same for any number
of worker processes. Patients are numbered through train, validation and test, so that no patient
is in two splits. Knows nothing of training.
"""

import contextlib
import dataclasses
import functools
import hashlib
import io
import json
import shutil
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import absl.logging
import numpy as np
import tensorflow_datasets as tfds

from big_rad.datasets.phantom import questions, text
from big_rad.datasets.phantom.anatomy import DEMO_CLASSES
from big_rad.datasets.phantom.lexicon import SPOKEN
from big_rad.datasets.phantom.slices import Slice, make_slices

FULL_CLASSES: tuple[int, ...] = tuple(c for c in SPOKEN if c not in (118, 119, 121))
_PARAMS = "phantom.json"
_DECIDING = (
    "shapes.py", "tissues.py", "torso.py", "skeleton.py", "anatomy.py", "render.py", "slices.py",
    "lexicon.py", "text.py", "questions.py", "rates.json", "builder.py",
)  # fmt: skip
_VERSION = "1.0.0"


@dataclasses.dataclass
class PhantomConfig(tfds.core.BuilderConfig):
    """What decides the dataset's content.

    Attributes:
        size: pixels a side.
        train, validation, test: slices in each split.
        per_patient: slices a patient of the training split; the others have one each.
        seed: everything random follows from it.
    """

    size: int = 112
    train: int = 12_000
    validation: int = 600
    test: int = 400
    per_patient: int = 4
    seed: int = 0

    def params(self) -> dict[str, int | str]:
        """Returns the fields that decide the content."""
        names = ("size", "train", "validation", "test", "per_patient", "seed")
        return {"version": _VERSION, **{n: getattr(self, n) for n in names}}

    @property
    def demo(self) -> bool:
        """Whether labels are merged to the demo's classes."""
        return self.name == "demo"

    def patients(self, split: str) -> range:
        """Returns the numbers of a split's patients."""
        counts = {"train": -(-self.train // self.per_patient), "validation": self.validation,
                  "test": self.test}  # fmt: skip
        start = 0
        for name, count in counts.items():
            if name == split:
                return range(start, start + count)
            start += count
        raise ValueError(f"no split {split!r}; there are {', '.join(counts)}")


CONFIGS: dict[str, PhantomConfig] = {
    "demo": PhantomConfig(name="demo", description="112 px, 20 large classes"),
    "full": PhantomConfig(
        name="full", description="224 px, all classes of the anatomy", size=224, train=20_000,
        validation=1_000, test=1_000,
    ),
}  # fmt: skip


class Phantom(tfds.core.GeneratorBasedBuilder):
    """Builder `phantom`, configurations `demo` and `full`."""

    VERSION = tfds.core.Version(_VERSION)
    workers = 1

    def __init__(self, *, config: str | PhantomConfig = "demo", **kw: Any):
        # Not BUILDER_CONFIGS: TFDS then refuses a config of the same name with other sizes.
        super().__init__(config=CONFIGS[config] if isinstance(config, str) else config, **kw)

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="Procedural CT and MR slices with label maps and bilingual texts.",
            features=tfds.features.FeaturesDict({
                "id": tfds.features.Text(),
                "patient": tfds.features.Text(),
                "modality": tfds.features.Text(),
                "plane": tfds.features.Text(),
                "body_part": tfds.features.Text(),
                "image": _image_feature(np.int16),
                "segmap": _image_feature(np.uint8),
                "texts": tfds.features.Text(),
            }),
            license="Apache-2.0",
        )  # fmt: skip

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator]:
        return {s: self._generate_examples(s) for s in ("train", "validation", "test")}

    def _generate_examples(self, split: str) -> Iterator[tuple[str, dict[str, Any]]]:
        config: PhantomConfig = self.builder_config
        total = getattr(config, split)
        per = config.per_patient if split == "train" else 1
        job = functools.partial(_patient_examples, config.seed, per, config.size, config.demo)
        made = 0
        for examples in _map(job, config.patients(split), self.workers):
            for example in examples[: total - made]:
                made += 1
                yield example["id"], example


def build(
    config: str = "demo",
    data_dir: str | Path = "data",
    workers: int = 2,
    overwrite: bool = False,
    **params: int,
) -> tuple[Path, dict[str, int], bool]:
    """Builds the dataset, or finds it already built.

    A dataset built by another version of this code is built anew.

    Args:
        config: "demo" or "full".
        data_dir: the folder under which `phantom/<config>/<version>` lies.
        workers: processes; they do not change the result.
        overwrite: replace a dataset built with other parameters.
        params: fields of PhantomConfig to change.

    Returns:
        (folder, examples by split, whether it was there already).

    Raises:
        ValueError: unknown configuration or parameter, or the folder holds a dataset with other
            parameters and `overwrite` is not set.
    """
    if config not in CONFIGS:
        raise ValueError(f"phantom has no config {config!r}; there are {', '.join(CONFIGS)}")
    known = set(CONFIGS[config].params()) - {"version"}
    if unknown := set(params) - known:
        raise ValueError(f"phantom has no parameter {sorted(unknown)}; known: {sorted(known)}")
    chosen = dataclasses.replace(CONFIGS[config], **params)
    folder = Path(data_dir) / "phantom" / config / _VERSION
    note = folder / _PARAMS
    wanted = {**chosen.params(), "code": _fingerprint()}
    if note.exists():
        found = json.loads(note.read_text())
        if found == wanted:
            return folder, _counts(folder), True
        differs = [k for k in chosen.params() if found.get(k) != wanted[k]]
        if differs and not overwrite:
            was = ", ".join(f"{k}={found.get(k)} (now {wanted[k]})" for k in differs)
            raise ValueError(
                f"{folder} was built with {was}; "
                "pass --overwrite, another --data_dir, or the same parameters"
            )
    if folder.exists():
        shutil.rmtree(folder)
    tfds.disable_progress_bar()
    absl.logging.set_verbosity(absl.logging.ERROR)  # TFDS warns of every custom configuration
    builder = Phantom(data_dir=str(data_dir), config=chosen)
    builder.workers = workers
    with contextlib.redirect_stdout(io.StringIO()):  # TFDS speaks of downloads; there are none
        builder.download_and_prepare(
            file_format="array_record",
            download_config=tfds.download.DownloadConfig(try_download_gcs=False),
        )
    note.write_text(json.dumps(wanted) + "\n")
    return folder, _counts(folder), False


def texts_of(piece: Slice, seed: int, number: int, k: int, demo: bool) -> list[dict[str, Any]]:
    """Returns all texts of a slice, English and German of one statement next to each other."""
    spoken = DEMO_CLASSES if demo else FULL_CLASSES
    rng = np.random.default_rng([seed, number, 13, k])
    return [
        *text.reports(piece.facts, rng, spoken),
        *questions.detect(piece.facts, rng),
        *questions.vqa(piece.facts, rng, spoken),
    ]


def _fingerprint() -> str:
    """Returns a digest of the code that decides what the data look like."""
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for name in _DECIDING:
        digest.update((here / name).read_bytes())
    return digest.hexdigest()[:16]


def _image_feature(dtype: Any) -> tfds.features.Tensor:
    return tfds.features.Tensor(shape=(None, None), dtype=dtype, encoding="zlib")


def _patient_examples(
    seed: int, per: int, size: int, demo: bool, number: int
) -> list[dict[str, Any]]:
    classes = DEMO_CLASSES if demo else FULL_CLASSES
    out = []
    for k, piece in enumerate(make_slices(seed, number, per, size, classes, demo)):
        out.append({
            "id": f"{piece.patient.id}-{k}",
            "patient": piece.patient.id,
            "modality": piece.facts.modality,
            "plane": piece.facts.plane,
            "body_part": piece.facts.region,
            "image": piece.image,
            "segmap": piece.segmap,
            "texts": json.dumps(texts_of(piece, seed, number, k, demo), ensure_ascii=False),
        })  # fmt: skip
    return out


def _map(job: Any, numbers: range, workers: int) -> Iterator[list[dict[str, Any]]]:
    """Applies `job` in order, in processes that start clean (no fork of a threaded parent)."""
    if workers <= 1:
        yield from map(job, numbers)
        return
    with get_context("spawn").Pool(workers) as pool:
        yield from pool.imap(job, numbers, chunksize=8)


def _counts(folder: Path) -> dict[str, int]:
    builder = tfds.builder_from_directory(str(folder))
    return {name: info.num_examples for name, info in builder.info.splits.items()}
