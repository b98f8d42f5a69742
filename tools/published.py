"""The results of the paper, for comparison with a run: means with 95 % intervals, in percent.

The source is RadGrounder (MICCAI 2026). The results of other models are quoted from there and have
no intervals. `PROTOCOL` says what each number was computed from: a run is comparable only if
dataset, split, number of questions and score are the same.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Published:
    """A published number.

    Attributes:
        mean: the mean in percent.
        half: half the width of its 95 % interval; 0 if no interval was published.
    """

    mean: float
    half: float = 0.0


@dataclasses.dataclass(frozen=True)
class Protocol:
    """The data and the score that a published number was computed from.

    Attributes:
        dataset, split: the data, with the names of `big_rad.evaluate`.
        n: the number of questions.
        score: the name of the score, as in a sample's `scores`.
    """

    dataset: str
    split: str
    n: int
    score: str


_SLAKE, _VQA_RAD = ("slake", "validation", 1053), ("vqa_rad", "test", 735)
PROTOCOL = {
    "SLAKE F1": Protocol(*_SLAKE, "f1"),
    "SLAKE recall": Protocol(*_SLAKE, "recall_published"),
    "SLAKE accuracy": Protocol(*_SLAKE, "accuracy_published"),
    "VQA-RAD F1": Protocol(*_VQA_RAD, "f1"),
    "VQA-RAD accuracy": Protocol(*_VQA_RAD, "accuracy_published"),
}
# Published scores that are never compared, because their data are not public or because they
# depend on a judge. They are named together with the reason.
NOT_COMPARED = {
    "G-IoU": "RefRad2D is not public, and the two published numbers follow two other formulas",
    "report CIDEr": "RefRad2D is not public, and CIDEr depends on the set",
    "LLMScore": "it depends on the judge",
}
MODELS: dict[str, dict[str, Published]] = {
    "detection": {
        "SLAKE F1": Published(87.7, 2.4),
        "SLAKE recall": Published(88.1, 2.4),
        "SLAKE accuracy": Published(90.3, 2.7),
        "VQA-RAD F1": Published(50.7, 3.5),
        "VQA-RAD accuracy": Published(64.7, 4.6),
    },
    "segmentation": {
        "SLAKE F1": Published(86.4, 2.5),
        "SLAKE recall": Published(86.9, 2.5),
        "SLAKE accuracy": Published(89.6, 2.8),
        "VQA-RAD F1": Published(50.4, 3.5),
        "VQA-RAD accuracy": Published(65.9, 4.4),
    },
    "PaliGemma 2 3B": {
        "SLAKE F1": Published(24.5),
        "SLAKE accuracy": Published(58.1),
        "VQA-RAD F1": Published(37.9),
        "VQA-RAD accuracy": Published(55.6),
    },
    "Gemma 3 4B": {
        "SLAKE F1": Published(40.2),
        "SLAKE accuracy": Published(53.0),
        "VQA-RAD F1": Published(33.6),
        "VQA-RAD accuracy": Published(33.6),
    },
    "MedGemma 4B": {
        "SLAKE F1": Published(72.3),
        "SLAKE accuracy": Published(87.6),
        "VQA-RAD F1": Published(49.9),
        "VQA-RAD accuracy": Published(69.1),
    },
    "BiomedGPT-B": {"SLAKE F1": Published(85.2), "SLAKE accuracy": Published(89.9)},
    "LLaVA-Med": {"SLAKE accuracy": Published(86.8)},
    "RadFM": {"SLAKE F1": Published(84.4)},
    "Med-Gemini": {
        "SLAKE F1": Published(75.8),
        "SLAKE accuracy": Published(84.8),
        "VQA-RAD accuracy": Published(78.8),
    },
}
OWN = ("detection", "segmentation")
PEERS = tuple(name for name in MODELS if name not in OWN)
