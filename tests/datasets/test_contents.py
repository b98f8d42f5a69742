"""The counts of a split."""

import json

import numpy as np

from big_rad.datasets import contents, records

LIVER, SPLEEN = 5, 1


def report(lang, *keywords):
    return {"task": "report", "lang": lang, "sentence": "x", "keywords": list(keywords)}


def question(lang):
    return {"task": "vqa", "lang": lang, "question": "?", "answer": "!"}


def segmap(*classes):
    out = np.zeros((3, 4), np.uint8)
    out.ravel()[: len(classes)] = classes
    return out


def record(id, patient, *, mask=None, boxes=(), texts=()):
    pixels = np.zeros((3, 4), np.int16)
    image = records.make_image_record(id, "CT", pixels, segmap=mask, boxes=boxes, texts=texts)
    return records.make_record(id, patient, [image])


RECORDS = [
    record("a", "p1", mask=segmap(LIVER, LIVER),
           texts=[report("en", ["liver", LIVER]), report("de")]),
    record("b", "p1", boxes=[[0, 0, 2, 2, LIVER], [0, 0, 1, 1, SPLEEN]],
           texts=[report("en", ["heart", 51]), question("en"), question("de")]),
    record("c", "p2", mask=segmap(), texts=[question("en")]),
    record("d", "p3"),
]  # fmt: skip


def counted(some):
    found = contents.Contents()
    for one in some:
        found.add(one)
    return found


def test_patients_texts_of_each_language_boxes_masks_and_classes_are_counted():
    held = contents.summary(counted(RECORDS))
    assert held["patients"] == 3 and held["images"] == 4
    assert held["texts"] == {
        "en": {"reports": 2, "questions": 2, "grounded reports": 1},
        "de": {"reports": 1, "questions": 1, "grounded reports": 0},
    }
    assert (held["boxes"], held["images with boxes"]) == (2, 1)
    assert (held["images with masks"], held["images with empty masks"]) == (1, 1)
    assert held["classes"] == {"liver": 2, "spleen": 1}
    assert counted(RECORDS).lines == 7  # There are six texts, and an image without a text.


def test_the_line_says_it_and_names_splits_that_hold_nothing():
    lines = contents.lines({"train": contents.summary(counted(RECORDS))})
    assert lines == [
        "train: 4 images of 3 patients; en: 2 reports (1 grounded), 2 questions; "
        "de: 1 report (0 grounded), 1 question; 2 boxes in 1 image, masks in 1 image, "
        "1 mask without any class; 2 classes: liver in 2, spleen in 1",
        "validation: no images",
        "test: no images",
    ]
    assert contents.lines({"train": contents.summary(contents.Contents())}) == []


def test_parts_add_up_to_the_whole_also_as_json():
    whole = counted(RECORDS)
    parts = [counted(RECORDS[:1]), counted(RECORDS[1:3]), counted(RECORDS[3:])]
    stored = [contents.Contents.from_json(json.loads(json.dumps(p.to_json()))) for p in parts]
    assert contents.total(parts) == contents.total(stored) == whole


def test_a_summary_names_no_patient_and_only_counts_those_that_are_known():
    assert "p1" not in json.dumps(contents.summary(counted(RECORDS)))
    assert contents.summary(counted(RECORDS), patients=False)["patients"] is None
    line = contents.lines({"x": contents.summary(counted(RECORDS), patients=False)})[-1]
    assert line.startswith("x: 4 images; ")


def test_of_masks_that_were_not_opened_only_their_number_is_said():
    found = contents.Contents()
    found.add_image("p", [report("en", ["liver", LIVER])], unopened=True)
    (line, *_) = contents.lines({"train": contents.summary(found)})
    assert "masks in 1 image; classes of masks are not counted" in line
    assert "grounded" not in line
