"""Writes a small SLAKE in its published format, from phantom slices.

    root/{train,validate,test}.json  mask.txt  imgs/xmlabN/{source.jpg,mask.png,detection.json,...}

It does not use the reader: names, pixel values and boxes are made here from the label maps of the
phantom. As in the published dataset, no image is in two splits within one language, but the Chinese
questions of an image may be in another split than its English ones. mask.png is grey, and mask.txt
names its values. Sides are those of the patient, whose left is on the viewer's right.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from big_rad.datasets.phantom.body.anatomy import make_patient
from big_rad.datasets.phantom.body.slices import make_slice

# For each name in SLAKE: the TotalSegmentator ids of the phantom, and an arbitrary grey value.
ORGANS: dict[str, tuple[tuple[int, ...], int]] = {
    "Left Lung": ((10, 11), 35),
    "Right Lung": ((12, 13, 14), 40),
    "Liver": ((5,), 70),
    "Spleen": ((1,), 85),
    "Left Kidney": ((3,), 135),
    "Right Kidney": ((2,), 140),
    "Heart": ((51,), 55),
    "Stomach": ((6,), 60),
    "Colon": ((20,), 95),
    "Small Bowel": ((18,), 110),
    "Bladder": ((21,), 120),
    "Spinal Cord": ((79,), 160),
    "Brain": ((90,), 180),
    "Left Femoral Head": ((75,), 200),
    "Right Femoral Head": ((76,), 205),
}
DISEASES = {"Liver Cancer": 150}
REGIONS = ("abdomen", "chest", "abdomen", "pelvis", "head")
LOCATIONS = {"abdomen": "Abdomen", "chest": "Lung", "pelvis": "Pelvic Cavity", "head": "Brain"}
SPLITS = {"train": 6, "validate": 2, "test": 2}
_MIN_PIXELS = 12


def write(
    root: Path,
    *,
    splits: dict[str, int] | None = None,
    size: int = 96,
    seed: int = 0,
    validation_name: str = "validate.json",
    mask_txt: bool = True,
    mask_mode: str = "L",
    nested: bool = False,
) -> dict[str, Any]:
    """Writes the dataset.

    Args:
        root: the folder, which is created if necessary.
        splits: {split: number of images} for "train", "validate" and "test".
        size: the size of the phantom slices; columns are cut so that images are not square.
        seed: the seed of the phantom.
        validation_name: "validate.json" (as published) or "validation.json" (as on a mirror).
        mask_txt: whether mask.txt is written.
        mask_mode: "L" for grey, "RGB" for grey in three channels, "colour" for one colour for each
            organ.
        nested: whether the images lie in imgs/imgs, as some archives unpack.

    Returns:
        {"rows": {split: rows}, "images": {folder name: {"split", "zh_split", "modality",
        "pixels" uint8 [H,W,3] as the JPEG decodes, "names" {name: bool [H,W]}}}}.
    """
    splits = splits or SPLITS
    order = [split for split, count in splits.items() for _ in range(count)]
    images, rows = {}, {split: [] for split in splits}
    imgs = root / "imgs" / "imgs" if nested else root / "imgs"
    for number, split in enumerate(order):
        name = f"xmlab{number}"
        images[name] = _write_image(imgs / name, number, seed, size, mask_mode)
        zh = order[(number + 1) % len(order)]
        images[name] |= {"split": split, "zh_split": zh}
        english, chinese = _questions(number, name, images[name])
        rows[split] += english
        rows[zh] += chinese
        (imgs / name / "question.json").write_text(_json(english + chinese), "utf-8")
    rows["train"][1]["answer"] = ""  # The published dataset has one such row, too.
    rows["train"][1]["answer_type"] = "OPEN"
    qid = 0
    for split in splits:
        for row in rows[split]:
            row["qid"], qid = qid, qid + 1
        file = validation_name if split == "validate" else f"{split}.json"
        (root / file).write_text(_json(rows[split]), "utf-8")
    if mask_txt:
        values = {n: v for n, (_, v) in ORGANS.items()} | DISEASES
        lines = [f"{v}:{n}" for n, v in sorted(values.items(), key=lambda i: i[1])]
        (root / "mask.txt").write_text("\n".join(lines) + "\n", "utf-8")
    return {"rows": rows, "images": images}


def _write_image(folder: Path, number: int, seed: int, size: int, mode: str) -> dict[str, Any]:
    folder.mkdir(parents=True)
    region = REGIONS[number % len(REGIONS)]
    patient = make_patient(seed, number, region)
    piece = make_slice(patient, seed, 0, size, (1, 5), False)
    cut = size // 12
    values = piece.image[:, cut:-cut].astype(float)
    low, high = (-160, 240) if patient.modality == "CT" else (values.min(), values.max())
    grey = np.uint8(np.clip((values - low) / (high - low), 0, 1) * 255)
    picture = Image.fromarray(grey) if number % 2 else Image.fromarray(np.stack([grey] * 3, -1))
    picture.save(folder / "source.jpg", quality=92)
    labels = piece.segmap[:, cut:-cut]
    names = {n: np.isin(labels, ids) for n, (ids, _) in ORGANS.items()}
    names = {n: m for n, m in names.items() if m.sum() >= _MIN_PIXELS}
    if "Liver" in names:  # The liver gets a tumour, whose pixels are no longer those of the liver.
        ys, xs = np.nonzero(names["Liver"])
        here = np.hypot(*np.indices(labels.shape) - np.array([[[ys[0] + 3]], [[xs[0]]]])) < 4
        names["Liver Cancer"] = here & names["Liver"]
        names["Liver"] = names["Liver"] & ~names["Liver Cancer"]
    value_of = {n: v for n, (_, v) in ORGANS.items()} | DISEASES
    mask = np.zeros(labels.shape, np.uint8)
    for name, where in names.items():
        mask[where] = value_of[name]
    if mode == "colour":
        spread = np.stack([mask, mask * np.uint8(3), 255 - mask], -1)
        Image.fromarray(np.where(mask[..., None] > 0, spread, 0).astype(np.uint8)).save(
            folder / "mask.png"
        )
    else:
        Image.fromarray(mask).convert(mode).save(folder / "mask.png")
    found = [{name: _box(where)} for name, where in names.items()]
    (folder / "detection.json").write_text(_json(found), "utf-8")
    with Image.open(folder / "source.jpg") as saved:
        pixels = np.array(saved.convert("RGB"))
    modality = {"CT": "CT", "MR": "MRI"}[patient.modality]
    location = LOCATIONS[region]
    return {"pixels": pixels, "names": names, "modality": modality, "location": location}


def _box(where: np.ndarray) -> list[int]:
    ys, xs = np.nonzero(where)
    return [int(v) for v in (xs.min(), ys.min(), np.ptp(xs) + 1, np.ptp(ys) + 1)]


def _questions(number: int, name: str, image: dict[str, Any]) -> tuple[list, list]:
    seen = [n for n in image["names"] if n not in DISEASES]
    has_liver = "Liver" in image["names"]
    asked = [
        ("What modality is used to take this image?", image["modality"], "OPEN", "Modality"),
        ("Does the picture contain liver?", ("No", "Yes")[has_liver], "CLOSED", "Organ"),
        ("What organs are shown?", ", ".join(seen) or "None", "OPEN", "Organ"),
    ]
    chinese = [
        ("这张图是什么模态？", image["modality"], "OPEN", "Modality"),
        ("图中有肝脏吗？", ("没有", "有")[has_liver], "CLOSED", "Organ"),
    ]
    base = {"img_id": number, "img_name": f"{name}/source.jpg"}
    rest = {"location": image["location"], "modality": image["modality"], "base_type": "vqa"}
    made = []
    for lang, questions in (("en", asked), ("zh", chinese)):
        for question, answer, kind, content in questions:
            row = base | {"question": question, "answer": answer, "q_lang": lang} | rest
            more = {"answer_type": kind, "content_type": content, "triple": ["vhead", "_", "_"]}
            made.append(row | more)
    return made[: len(asked)], made[len(asked) :]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1)
