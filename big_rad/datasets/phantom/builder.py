"""The TFDS builder of the phantom dataset: ArrayRecord files, no TensorFlow.

Every slice is a function of (seed, patient, slice number): the files are the same for any number
of worker processes. Patients are numbered through train, validation and test, so that no patient
is in two splits. Knows nothing of training.
"""

import dataclasses
import functools
import hashlib
from pathlib import Path

import numpy as np

from big_rad.datasets import build as build_lib
from big_rad.datasets import records
from big_rad.datasets.phantom import VERSION
from big_rad.datasets.phantom.body.anatomy import DEMO_CLASSES
from big_rad.datasets.phantom.body.slices import Slice, make_slices
from big_rad.datasets.phantom.words import questions, text
from big_rad.datasets.phantom.words.lexicon import SPOKEN
from big_rad.pp.example import Text

FULL_CLASSES: tuple[int, ...] = tuple(c for c in SPOKEN if c not in (118, 119, 121))
_DECIDING = (
    "body/shapes.py", "body/tissues.py", "body/torso.py", "body/skeleton.py", "body/patient.py",
    "body/anatomy.py", "body/render.py", "body/slices.py", "words/lexicon.py", "words/text.py",
    "words/questions.py", "words/rates.json", "builder.py",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class PhantomConfig:
    """What decides the dataset's content.

    Attributes:
        name: "demo" or "full".
        size: pixels a side.
        train, validation, test: slices in each split.
        per_patient: slices a patient of the training split; the others have one each.
        seed: everything random follows from it.
    """

    name: str
    size: int = 112
    train: int = 12_000
    validation: int = 600
    test: int = 400
    per_patient: int = 4
    seed: int = 0

    @property
    def demo(self) -> bool:
        """Whether labels are merged to the demo's classes."""
        return self.name == "demo"

    def jobs(self, split: str) -> list[tuple[int, int, int]]:
        """Returns (patient number, slices to make, slices wanted) for each patient of a split."""
        patients, start = -(-self.train // self.per_patient), 0
        if split == "train":
            left = self.train - (patients - 1) * self.per_patient
            wanted = [self.per_patient] * (patients - 1) + [left]
            return [(n, self.per_patient, w) for n, w in enumerate(wanted)]
        start = patients + (self.validation if split == "test" else 0)
        return [(start + n, 1, 1) for n in range(getattr(self, split))]


CONFIGS: dict[str, PhantomConfig] = {
    "demo": PhantomConfig("demo"),  # 20 large classes
    "full": PhantomConfig("full", size=224, train=20_000, validation=1_000, test=1_000),
}


def build(
    config: str = "demo",
    data_dir: str | Path = "data",
    workers: int = 2,
    overwrite: bool = False,
    **params: int,
) -> records.Built:
    """Builds the dataset, or finds it already built.

    A dataset built by another version of this code is built anew.

    Args:
        config: "demo" or "full".
        data_dir: the folder under which `phantom/<config>/<version>` lies.
        workers: processes; they do not change the result.
        overwrite: replace a dataset built with other parameters.
        params: fields of PhantomConfig to change.

    Raises:
        ValueError: unknown configuration or parameter, or the folder holds a dataset with other
            parameters and `overwrite` is not set.
    """
    if config not in CONFIGS:
        raise ValueError(f"phantom has no config {config!r}; there are {', '.join(CONFIGS)}")
    known = {f.name for f in dataclasses.fields(PhantomConfig)} - {"name"}
    if unknown := set(params) - known:
        raise ValueError(f"phantom has no parameter {sorted(unknown)}; known: {sorted(known)}")
    chosen = dataclasses.replace(CONFIGS[config], **params)
    return build_lib.build(
        "phantom",
        config=config,
        version=VERSION,
        description="Procedural CT and MR slices with label maps and bilingual texts.",
        splits={s: chosen.jobs(s) for s in ("train", "validation", "test")},
        make=functools.partial(_patient_records, chosen.seed, chosen.size, chosen.demo),
        params={**dataclasses.asdict(chosen), "code": _fingerprint()},
        data_dir=data_dir,
        workers=workers,
        overwrite=overwrite,
        ignore=("code",),
    )


def texts_of(piece: Slice, seed: int, number: int, k: int, demo: bool) -> list[Text]:
    """Returns all texts of a slice, English and German of one statement next to each other."""
    spoken = DEMO_CLASSES if demo else FULL_CLASSES
    rng = np.random.default_rng([seed, number, 13, k])
    return [
        *text.reports(piece.facts, rng, spoken),
        *questions.detect(piece.facts, rng),
        *questions.vqa(piece.facts, rng),
    ]


def _fingerprint() -> str:
    """Returns a digest of the code that decides what the data look like."""
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for name in _DECIDING:
        digest.update((here / name).read_bytes())
    return digest.hexdigest()[:16]


def _patient_records(
    seed: int, size: int, demo: bool, job: tuple[int, int, int]
) -> list[records.Record]:
    """Returns the first `wanted` of a patient's `per` slices."""
    number, per, wanted = job
    classes = DEMO_CLASSES if demo else FULL_CLASSES
    out = []
    for k, piece in enumerate(make_slices(seed, number, per, size, classes, demo)[:wanted]):
        name, facts = f"{piece.patient.id}-{k}", piece.facts
        image = records.image_record(
            name,
            facts.modality,
            piece.image,
            plane=facts.plane,
            body_part=facts.region,
            segmap=piece.segmap,
            texts=texts_of(piece, seed, number, k, demo),
        )
        out.append(records.record(name, piece.patient.id, [image]))
    return out
