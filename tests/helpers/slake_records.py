"""Helpers for the tests of SLAKE: read built records, and break source files."""

import json

import numpy as np
from PIL import Image

from big_rad.datasets import core
from big_rad.datasets.slake import builder

LIKE = dict(allow_other_counts=True)
SPLIT_OF = {"train": "train", "validate": "validation", "test": "test"}


def records_of(data_dir, config="en"):
    return {
        split: {e["id"]: e for e in core.load_source("slake", split, data_dir, config=config)}
        for split in SPLIT_OF.values()
    }


def problems(root, **kw):
    return list(builder.validate(root, allow_other_counts=True, **kw))


def edit(path, change):
    content = json.loads(path.read_text("utf-8"))
    content = change(content) or content
    path.write_text(json.dumps(content, indent=1), "utf-8")


# Name of a fault -> (file, field or None, words of the message, level).
BROKEN = {
    "no question": ("test.json", "question", "no question", "error"),
    "answer a list": ("test.json", "answer", "neither text nor a number", "error"),
    "answer type": ("test.json", "answer_type", "neither open nor closed", "error"),
    "language": ("test.json", "q_lang", "neither en nor zh", "error"),
    "duplicate qid": ("test.json", "qid", "another row has it", "error"),
    "escaping image": ("test.json", "img_name", "not the name of an image", "error"),
    "image in two splits": ("test.json", "img_name", "xmlab0/source.jpg is in train.json", "error"),
    "missing image": ("test.json", "img_name", "imgs/xmlab8/source.jpg is missing", "error"),
    "broken image": ("imgs/xmlab8/source.jpg", "", "damaged|truncated", "error"),
    "broken mask": ("imgs/xmlab6/mask.png", "", "damaged|truncated|neither", "error"),
    "mask of other size": ("imgs/xmlab6/mask.png", "", "50 x 40 pixels, the image has 96 x 80",
                           "error"),
    "mask of another image": ("imgs/xmlab6/mask.png", "stomach", "mask and box of stomach differ",
                              "warning"),
    "unknown value": ("imgs/xmlab6/mask.png", "", r"1 values \(.* pixels\) are in no mask.txt",
                      "warning"),
    "box outside": ("imgs/xmlab6/detection.json", "Liver", "outside the image", "error"),
    "box over the edge": ("imgs/xmlab6/detection.json", "Liver", "over the edge", "warning"),
    "box no numbers": ("imgs/xmlab6/detection.json", "Liver", "not four numbers", "error"),
    "box without height": ("imgs/xmlab6/detection.json", "Liver", "w and h above 0", "error"),
    "unknown organ": ("imgs/xmlab6/detection.json", "name", "'Appendix' is in no table", "warning"),
    "detection no list": ("imgs/xmlab6/detection.json", "", "not a list", "error"),
    "detection broken": ("imgs/xmlab6/detection.json", "", "broken JSON", "error"),
    "detection nested": ("imgs/xmlab6/detection.json", "", "broken JSON", "error"),
    "detection of other numbers": ("imgs/xmlab6/detection.json", "Heart", "not four numbers",
                                   "error"),
    "detection of truth values": ("imgs/xmlab6/detection.json", "Heart", "not four numbers",
                                  "error"),
    "detection too large": ("imgs/xmlab6/detection.json", "", "more than .* bytes", "error"),
    "mask of noise": ("imgs/xmlab6/mask.png", "", "more than 255 values", "error"),
    "qid a list": ("test.json", "qid", "neither text nor a number", "error"),
    "language a list": ("test.json", "q_lang", "neither en nor zh", "error"),
    "sides swapped": ("imgs/xmlab6/detection.json", "left lung", "left of its right", "warning"),
    "mask.txt line": ("mask.txt", "", "not 'value:name'", "warning"),
}  # fmt: skip


def break_it(root, what):
    test, folder = root / "test.json", root / "imgs" / "xmlab6"
    found = folder / "detection.json"
    row = {
        "no question": ("question", " "),
        "answer a list": ("answer", ["Yes"]),
        "answer type": ("answer_type", "OPENED"),
        "language": ("q_lang", "fr"),
        "duplicate qid": ("qid", 0),
        "escaping image": ("img_name", "../../secret.jpg"),
        "image in two splits": ("img_name", "xmlab0/source.jpg"),
        "qid a list": ("qid", [1]),
        "language a list": ("q_lang", ["en"]),
    }
    content = {
        "detection no list": '{"Liver": [1, 1, 5, 5]}',
        "detection broken": '[{"Liver": [1, 1, 5',
        "detection nested": "[" * 200_000,
        "detection of other numbers": '[{"Heart": [1, 1, ' + "9" * 400 + ", 5]}]",
        "detection of truth values": '[{"Heart": [1, 1, true, 5]}]',
        "detection too large": "[" + " " * 300_000 + "]",
    }
    box = {
        "box outside": {"Liver": [200, 10, 5, 5]},
        "box over the edge": {"Liver": [70, 60, 30, 30]},
        "box no numbers": {"Liver": ["a", 1, 2, 3]},
        "box without height": {"Liver": [1, 1, 5, 0]},
        "unknown organ": {"Appendix": [1, 1, 5, 5]},
    }
    if what in row:
        # Change the first English row. The rows before it are Chinese, about another image.
        edit(test, lambda rows: next(r for r in rows if r["q_lang"] == "en").update([row[what]]))
    elif what in box:
        edit(found, lambda boxes: [b for b in boxes if "Liver" not in b] + [box[what]])
    elif what == "missing image":
        (root / "imgs/xmlab8/source.jpg").unlink()
    elif what == "broken image":
        path = root / "imgs/xmlab8/source.jpg"
        path.write_bytes(path.read_bytes()[:300])
    elif what == "broken mask":
        (folder / "mask.png").write_bytes(b"no picture")
    elif what == "mask of other size":
        Image.new("L", (40, 50)).save(folder / "mask.png")
    elif what in ("mask of another image", "unknown value"):
        with Image.open(folder / "mask.png") as picture:
            values = np.array(picture)
        values = values[::-1] if what == "mask of another image" else np.where(values, values, 3)
        Image.fromarray(np.ascontiguousarray(values)).save(folder / "mask.png")
    elif what == "mask of noise":
        noise = np.random.default_rng(0).integers(0, 255, (96, 80, 3)).astype(np.uint8)
        Image.fromarray(noise).save(folder / "mask.png")
    elif what in content:
        found.write_text(content[what])
    elif what == "sides swapped":
        text = found.read_text().replace("Left Lung", "X").replace("Right Lung", "Left Lung")
        found.write_text(text.replace("X", "Right Lung"))
    else:
        (root / "mask.txt").write_text((root / "mask.txt").read_text() + "Liver seventy\n")
