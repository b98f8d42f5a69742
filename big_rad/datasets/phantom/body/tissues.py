"""The appearance of each tissue: CT numbers by contrast phase, and MR signal by weighting.

The values are typical ones from radiology textbooks, rounded. They make organs plausible and easy
to distinguish; they do not model a scanner.
"""

import numpy as np

# tissue: (HU, T1 signal, T2 signal, standard deviation of the texture in HU). In MR, the standard
# deviation in signal units is 1.2 times this number (see `tables`).
_TISSUES: dict[str, tuple[float, float, float, float]] = {
    "air": (-1000, 5, 5, 2),
    "fat": (-100, 900, 700, 6),
    "muscle": (52, 330, 170, 6),
    "soft": (40, 380, 320, 8),
    "lung": (-820, 45, 70, 25),
    "lung_vessel": (20, 160, 160, 10),
    "airway_wall": (10, 250, 250, 8),
    "liver": (58, 470, 250, 6),
    "liver_vessel": (42, 210, 120, 6),
    "bile": (8, 160, 950, 4),
    "spleen": (48, 300, 480, 6),
    "pancreas": (38, 560, 330, 12),
    "kidney_cortex": (34, 430, 520, 6),
    "kidney_medulla": (30, 320, 620, 6),
    "adrenal": (28, 380, 330, 5),
    "stomach_wall": (42, 350, 300, 6),
    "stomach_fluid": (14, 190, 880, 8),
    "bowel_wall": (38, 360, 310, 8),
    "bowel_content": (22, 300, 600, 28),
    "urine": (4, 120, 1000, 3),
    "prostate": (40, 340, 480, 8),
    "heart_muscle": (55, 340, 250, 6),
    "blood_left": (44, 120, 90, 6),
    "blood_right": (44, 140, 110, 6),
    "artery": (44, 110, 60, 5),
    "vein": (42, 150, 90, 5),
    "thyroid": (95, 420, 460, 6),
    "bone_cortex": (780, 50, 45, 60),
    "bone_marrow": (230, 610, 380, 45),
    "bone_thin": (520, 120, 90, 60),
    "cartilage": (110, 330, 220, 15),
    "disc": (82, 260, 330, 10),
    "cord": (34, 430, 330, 4),
    "csf": (6, 90, 1000, 3),
    "white_matter": (28, 580, 290, 3),
    "gray_matter": (39, 430, 400, 3),
    "eye": (10, 120, 950, 4),
    "skin": (20, 420, 300, 5),
}
NAMES: tuple[str, ...] = tuple(_TISSUES)
INDEX: dict[str, int] = {name: i for i, name in enumerate(NAMES)}

# The HU that each contrast phase adds to the native values.
_PHASES: dict[str, dict[str, float]] = {
    "native": {},
    "arterial": {
        "artery": 260, "blood_left": 230, "blood_right": 190, "heart_muscle": 45, "vein": 40,
        "kidney_cortex": 130, "kidney_medulla": 35, "liver": 12, "liver_vessel": 60,
        "spleen": 75, "pancreas": 65, "stomach_wall": 30, "bowel_wall": 30, "lung_vessel": 120,
        "thyroid": 60, "muscle": 5, "adrenal": 35, "prostate": 20, "soft": 8,
    },
    "venous": {
        "artery": 110, "blood_left": 105, "blood_right": 100, "heart_muscle": 50, "vein": 115,
        "kidney_cortex": 125, "kidney_medulla": 95, "liver": 52, "liver_vessel": 115,
        "spleen": 68, "pancreas": 55, "stomach_wall": 35, "bowel_wall": 40, "lung_vessel": 90,
        "thyroid": 45, "muscle": 12, "adrenal": 40, "prostate": 35, "soft": 15,
    },
}  # fmt: skip

# The contrast in HU of a dark and of a bright lesion to its organ. All lesions of the lung are
# bright.
_LESION_HU: dict[str, tuple[float, float]] = {"gray_matter": (-26, 36), "lung": (850, 850)}
_LESION_HU_DEFAULT = (-65, 80)

# Unenhanced soft tissue in HU, and the tissues that a contrast agent does not change.
_UNENHANCED = 40.0
_NOT_ENHANCED = (
    "air", "lung", "fat", "bile", "stomach_fluid", "bowel_content", "urine", "csf", "eye", "skin",
    "cartilage", "disc", "bone_cortex", "bone_marrow", "bone_thin",
)  # fmt: skip
# The tissues that are dark with every weighting.
_SIGNAL_VOID = ("air", "lung", "bone_cortex", "bone_thin")


def tables(modality: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draws the tissue appearance of one patient.

    Args:
        modality: "CT" or "MR".
        rng: the generator that draws contrast phase, weighting and individual variation.

    Returns:
        (values, textures), each float32 [number of tissues]: the mean and the standard deviation of
        each tissue, in HU or in arbitrary signal units.
    """
    base = np.array([_TISSUES[n] for n in NAMES], np.float32)
    if modality == "CT":
        phase = rng.choice(["native", "arterial", "venous"], p=[0.35, 0.2, 0.45])
        values = base[:, 0].copy()
        strength = rng.uniform(0.8, 1.2)
        for name, plus in _PHASES[str(phase)].items():
            values[INDEX[name]] += plus * strength
        soft = (values > -150) & (values < 250)
        values[soft] += rng.normal(0, 4, int(soft.sum()))
        values[INDEX["bone_cortex"]] *= rng.uniform(0.8, 1.15)
        values[INDEX["bone_marrow"]] *= rng.uniform(0.7, 1.25)
        return values, base[:, 3].copy()
    column = 1 if rng.random() < 0.5 else 2
    values = base[:, column] * rng.uniform(0.88, 1.12, len(base)).astype(np.float32)
    return values, base[:, 3] * np.float32(1.2)


def with_contrast(modality: str, values: np.ndarray, percent: int) -> np.ndarray:
    """Returns the appearance of a patient's tissues and lesions with another contrast.

    In CT, this is another amount of contrast agent: the differences of soft tissues, vessels and
    lesions to unenhanced soft tissue are scaled. More than 100 percent does not make anything
    darker. HU are calibrated, so air, lung, fat, fluids and bone keep their values.

    In MR, this is another weighting. The signal decays as S = S0 exp(-TE / T2), so the echo time TE
    scales the differences of log S. Here, the differences of the logarithms to their mean over the
    tissues are scaled. Air, lung and compact bone, which hardly give any signal, keep their values.

    A brighter tissue or lesion stays brighter than a darker one, unless one of them keeps its
    value; a lesion of the lung is brighter than the lung with every contrast.

    Args:
        modality: "CT" or "MR".
        values: the mean of each tissue and then of each lesion, float32 [number of tissues + number
            of lesions], in HU or signal units.
        percent: the contrast; with 100, the values are returned unchanged.
    """
    if percent == 100:
        return values
    factor = np.float32(percent / 100)
    changes = np.ones(len(values), bool)
    changes[[INDEX[n] for n in (_NOT_ENHANCED if modality == "CT" else _SIGNAL_VOID)]] = False
    if modality == "CT":
        new = _UNENHANCED + (values - np.float32(_UNENHANCED)) * factor
        changes &= (percent < 100) | (values > _UNENHANCED)
    else:
        log = np.log(values)
        middle = log[: len(NAMES)][changes[: len(NAMES)]].mean()
        new = np.exp(middle + (log - middle) * factor)
    return np.where(changes, new, values).astype(np.float32)


def lesion_value(modality: str, host: str, bright: bool, values: np.ndarray) -> float:
    """Returns the mean value of a dark or bright lesion inside the tissue `host`."""
    own = float(values[INDEX[host]])
    if modality == "CT":
        return own + _LESION_HU.get(host, _LESION_HU_DEFAULT)[int(bright)]
    if host == "lung":
        return own + 450.0
    return own * 1.8 if bright else own * 0.35
