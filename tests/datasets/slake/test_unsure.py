"""An organ of SLAKE that may be shown under a name without a class is not called absent."""

import json

import numpy as np
import pytest
from PIL import Image

from big_rad.datasets.slake import builder, organs
from big_rad.grounding import classes
from big_rad.pp import builder as pp_builder
from big_rad.pp import packed
from tests.helpers.slake_records import LIKE, break_it, records_of

# For each name that is added to the detection.json of an image, the classes that must not be called
# absent.
UNSURE = {
    "Lung": ("lung_left", "lung_right"),
    "kidney": ("kidney_left", "kidney_right"),
    "Kidney Cancer": ("kidney_left", "kidney_right"),
    "Rectum": ("colon",),
    "Brain Stem": ("brain",),
    "Left Temporal Lobe": ("brain",),
    "Brain Edema": ("brain",),
    "Pulmonary Nodule": ("lung_left", "lung_right"),
    "Liver Cancer": ("liver",),
    "Left Ear": (),
}


@pytest.mark.parametrize("name", UNSURE)
def test_an_organ_under_an_unsided_or_partial_name_is_recorded_as_unsure(name, fixture, tmp_path):
    root, _ = fixture
    (root / "mask.txt").write_text("1:Spleen\n")
    for folder, content in {
        "xmlab0": [{"Spleen": [1, 1, 9, 9]}, {name: [20, 20, 9, 9]}],
        "xmlab1": [{"Left Lung": [50, 1, 9, 9]}, {name: [20, 20, 9, 9]}],
        "xmlab2": [{"Spleen": [1, 1, 9, 9]}],
    }.items():
        (root / "imgs" / folder / "detection.json").write_text(json.dumps(content))
        (root / "imgs" / folder / "mask.png").unlink()
    builder.build(root, tmp_path, workers=1, **LIKE)
    found = records_of(tmp_path)["train"]
    ids = {classes.by_name(n).id for n in UNSURE[name]}
    assert found["xmlab0"].get("unsure", []) == sorted(ids)
    assert found["xmlab1"].get("unsure", []) == sorted(ids - {classes.by_name("lung_left").id})
    assert "unsure" not in found["xmlab2"]


@pytest.mark.parametrize(
    ("what", "unsure"),
    [
        ("box outside", {5}),  # The box of the liver is left out.
        ("unknown organ", set(organs.LABELLED)),  # The unknown organ may be any organ.
        ("detection broken", set(organs.LABELLED)),
    ],
)
def test_what_is_left_out_is_recorded_as_unsure(what, unsure, fixture, tmp_path):
    root, _ = fixture
    break_it(root, what)
    with Image.open(root / "imgs/xmlab6/mask.png") as picture:
        values = np.array(picture)
    values[values == 70] = 0  # 70 is the value of the liver.
    values[0, 0] = 3  # 3 is not in mask.txt.
    Image.fromarray(values).save(root / "imgs/xmlab6/mask.png")
    builder.build(root, tmp_path, workers=1, max_reject_share=0.5, **LIKE)
    example = records_of(tmp_path)["validation"]["xmlab6"]
    shown = {b[4] for b in example.get("boxes", [])} | set(packed.array(example["segmap"]).flat)
    assert set(example["unsure"]) == unsure - shown


def test_detection_questions_do_not_deny_what_is_unsure(fixture, tmp_path):
    root, _ = fixture
    boxes_of = [{"Spleen": [1, 1, 9, 9]}, {"Lung": [20, 20, 9, 9]}]
    (root / "imgs/xmlab0/detection.json").write_text(json.dumps(boxes_of))
    (root / "imgs/xmlab0/mask.png").unlink()
    builder.build(root, tmp_path, workers=1, **LIKE)
    example = records_of(tmp_path)["train"]["xmlab0"] | {"texts": []}
    ask = pp_builder.get_preprocess_fn(f"detect_vqa(n=5, labelled={organs.LABELLED})")
    texts = [
        t for s in range(100) for t in ask(example | {"rng": np.random.default_rng(s)})["texts"]
    ]
    assert any("liver" in t["question"] for t in texts)
    assert not any("lung" in t["question"].lower() for t in texts)
