"""Builds the phantom dataset into ArrayRecord files with TFDS, without TensorFlow.

Every slice depends only on (seed, patient, slice number), so the files are the same for any number
of worker processes. The numbers of patients run on from train to validation and to test, so no
patient is in two splits.
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
from big_rad.datasets.phantom.body.scanner import USUAL, Scanner
from big_rad.datasets.phantom.body.slices import Slice, make_slices
from big_rad.datasets.phantom.words import questions, text
from big_rad.datasets.phantom.words.lexicon import SPOKEN
from big_rad.pp.example import Text

FULL_CLASSES: tuple[int, ...] = tuple(c for c in SPOKEN if c not in (118, 119, 121))
_DECIDING = (
    "body/shapes.py", "body/tissues.py", "body/torso.py", "body/skeleton.py", "body/patient.py",
    "body/anatomy.py", "body/scanner.py", "body/render.py", "body/slices.py", "words/lexicon.py",
    "words/text.py", "words/questions.py", "words/rates.json", "builder.py",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class PhantomConfig:
    """The parameters that decide the content of the dataset.

    Attributes:
        name: "demo" or "full".
        size: the height and width of a slice in pixels.
        train, validation, test: the number of slices in each split.
        per_patient: the number of slices of a training patient; other patients have one slice.
        seed: the seed of all random draws.
        noise, contrast, fov: the look of the images in percent of the usual one, see `Scanner`.
    """

    name: str
    size: int = 112
    train: int = 12_000
    validation: int = 600
    test: int = 400
    per_patient: int = 4
    seed: int = 0
    noise: int = USUAL.noise
    contrast: int = USUAL.contrast
    fov: int = USUAL.fov

    def __post_init__(self):
        _ = self.scanner  # It refuses values that it cannot use.

    @property
    def scanner(self) -> Scanner:
        """The look of the images."""
        return Scanner(self.noise, self.contrast, self.fov)

    @property
    def demo(self) -> bool:
        """Whether labels are merged into the 20 classes of the configuration "demo"."""
        return self.name == "demo"

    def jobs(self, split: str) -> list[tuple[int, int, int]]:
        """Returns (patient number, slices to make, slices to keep) for each patient of a split."""
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

    A dataset that was built by another version of this code is built again.

    Args:
        config: "demo" or "full".
        data_dir: the folder under which `phantom/<config>/<version>` lies.
        workers: the number of processes; it does not change the result.
        overwrite: whether a dataset that was built with other parameters is replaced.
        params: the fields of PhantomConfig that are changed.

    Raises:
        ValueError: The configuration or a parameter is unknown, the look is outside of its limits,
            or the folder holds a dataset with other parameters and `overwrite` is False.
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
        make=functools.partial(_patient_records, chosen),
        params={**dataclasses.asdict(chosen), "code": code_digest()},
        data_dir=data_dir,
        workers=workers,
        overwrite=overwrite,
        ignore=("code",),
        defaults=dataclasses.asdict(USUAL),
    )


def texts_of(piece: Slice, seed: int, number: int, k: int, demo: bool) -> list[Text]:
    """Returns all texts of a slice; the German text of a statement follows the English one."""
    spoken = DEMO_CLASSES if demo else FULL_CLASSES
    rng = np.random.default_rng([seed, number, 13, k])
    return [
        *text.reports(piece.facts, rng, spoken),
        *questions.detect(piece.facts, rng),
        *questions.vqa(piece.facts, rng),
    ]


def code_digest() -> str:
    """Returns a digest of the code that decides the content of the dataset."""
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for name in _DECIDING:
        digest.update((here / name).read_bytes())
    return digest.hexdigest()[:16]


def _patient_records(config: PhantomConfig, job: tuple[int, int, int]) -> list[records.Record]:
    """Returns the records of a patient: the first `wanted` of its `per` slices."""
    number, per, wanted = job
    seed, demo = config.seed, config.demo
    classes = DEMO_CLASSES if demo else FULL_CLASSES
    out = []
    pieces = make_slices(seed, number, per, config.size, classes, demo, config.scanner)
    for k, piece in enumerate(pieces[:wanted]):
        name, facts = f"{piece.patient.id}-{k}", piece.facts
        image = records.make_image_record(
            name,
            facts.modality,
            piece.image,
            plane=facts.plane,
            body_part=facts.region,
            segmap=piece.segmap,
            texts=texts_of(piece, seed, number, k, demo),
        )
        out.append(records.make_record(name, piece.patient.id, [image]))
    return out
