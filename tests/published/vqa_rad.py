"""Writes a small VQA-RAD in its published formats, from phantom slices.

    root/"VQA_RAD Image Folder"/synpicN.jpg  root/"VQA_RAD Dataset Public.json"
    split_dir/{train,validation,test}_fixed_split.json

It does not use the reader. The questions have the peculiarities of the published ones: answers that
are numbers, a "closed " with a space, "NULL" without a framed question, "CLOSED " in the public
file, and a test question whose image is in train.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from big_rad.datasets.phantom.body.anatomy import make_patient
from big_rad.datasets.phantom.body.slices import make_slice

SPLITS = {"train": 4, "validation": 2, "test": 2}
_ORGAN = {"abdomen": "ABD", "chest": "CHEST", "head": "HEAD"}


def write(
    root: Path,
    split_dir: Path | None = None,
    *,
    splits: dict[str, int] | None = None,
    size: int = 80,
    seed: int = 0,
    images_name: str = "VQA_RAD Image Folder",
) -> dict[str, Any]:
    """Writes both splits.

    Args:
        root: the folder of the images and the public file, which is created if necessary.
        split_dir: the folder of the split without shared images; None means `root`.
        splits: {split: number of images} of the split without shared images.
        size: the size of the phantom slices; rows are cut so that images are not square.
        seed: the seed of the phantom.
        images_name: the name of the folder with the images.

    Returns:
        {"wu": {split: rows}, "public": rows, "common_files": {"train": rows, "test": rows},
        "images": {name: uint8 [H,W,3] as the JPEG decodes}}; "common_files" is the common split in
        the form of trainset.json and testset.json, in which framed questions are separate rows.
    """
    splits, split_dir = splits or SPLITS, split_dir or root
    for folder in (root / images_name, split_dir):
        folder.mkdir(parents=True, exist_ok=True)
    wu, public, images = {}, [], {}
    number = 0
    for split, count in splits.items():
        wu[split] = []
        for _ in range(count):
            name = f"synpic{10_000 + 37 * number}.jpg"
            region = list(_ORGAN)[number % len(_ORGAN)]
            images[name], modality = _write_image(
                root / images_name / name, number, region, size, seed
            )
            rows = _questions(number, name, modality)
            wu[split] += rows
            public += [_public(r, len(public) + i, region) for i, r in enumerate(rows)]
            number += 1
        file = split_dir / f"{split}_fixed_split.json"
        file.write_text(json.dumps(wu[split], indent=1), "utf-8")
    (root / "VQA_RAD Dataset Public.json").write_text(json.dumps(public, indent=1), "utf-8")
    return {"wu": wu, "public": public, "common_files": _common_files(public), "images": images}


def write_common_files(root: Path, rows: dict[str, list[dict[str, Any]]]) -> None:
    """Writes trainset.json and testset.json."""
    for split, part in rows.items():
        (root / f"{split}set.json").write_text(json.dumps(part), "utf-8")


def _write_image(path: Path, number: int, region: str, size: int, seed: int) -> tuple:
    patient = make_patient(seed, 50 + number, region)
    image = make_slice(patient, seed, 0, size, (1, 5), False).image[size // 8 :].astype(float)
    low, high = (-160, 240) if patient.modality == "CT" else (image.min(), image.max())
    grey = np.uint8(np.clip((image - low) / (high - low), 0, 1) * 255)
    Image.fromarray(grey).save(path, quality=92)
    with Image.open(path) as saved:
        return np.array(saved.convert("RGB")), patient.modality


def _questions(number: int, name: str, modality: str) -> list[dict[str, Any]]:
    is_ct = ("No", "Yes")[modality == "CT"]
    rows = [
        {"question": "What modality is this?", "answer": modality, "q_type": "open"},
        {"question": "Is this a CT?", "answer": is_ct, "q_type": "closed"},
        {"question": "How many images are there?", "answer": 1, "q_type": "open"},
    ]
    if number == 0:
        rows[1]["q_type"] = "closed "
    return [row | {"image_name": name} for row in rows]


def _public(row: dict[str, Any], qid: int, region: str) -> dict[str, Any]:
    closed = row["q_type"].strip() == "closed"
    phrase = ("freeform", "test_freeform", "para")[qid % 3] if qid % 5 else "test_para"
    return {
        "qid": str(qid) if qid == 7 else qid,
        "phrase_type": phrase,
        "qid_linked_id": f"{qid:08x}-0000",
        "image_case_url": f"https://example.org/case/{qid}",
        "image_name": row["image_name"],
        "image_organ": _ORGAN[region],
        "evaluation": "not evaluated",
        "question": row["question"],
        "question_rephrase": "NULL",
        "question_relation": "NULL",
        "question_frame": f"Is/Are there: {row['question']}" if qid % 2 else "NULL",
        "question_type": "PRES",
        "answer": row["answer"],
        "answer_type": "CLOSED " if closed and qid == 1 else "CLOSED" if closed else "OPEN",
    }


def _common_files(public: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    kept = ("image_name", "image_organ", "answer", "answer_type", "question_type", "question")
    splits: dict[str, list[dict[str, Any]]] = {"train": [], "test": []}
    qid = 0
    for row in public:
        forms = [(row["question"], row["phrase_type"])]
        if row["question_frame"] != "NULL":
            forms.append((row["question_frame"], "frame"))
        for question, phrase in forms:
            qid += 1
            split = "test" if phrase.startswith("test_") else "train"
            made = {k: row[k] for k in kept} | {"question": question, "qid": qid}
            splits[split].append(made | {"phrase_type": phrase.removeprefix("test_")})
    return splits
