"""Tests the search for what is in two splits."""

import hashlib
import json

import numpy as np

from big_rad.annotate import leaks

LONG = "In the lower pole of the left kidney there is a hypodense lesion of 14 mm, most likely a "
LONG += "cyst, and a second one in the upper pole."


def bits(*set_):
    row = np.random.default_rng(7).integers(0, 2, 256, np.uint8)
    row[list(set_)] ^= 1
    return np.packbits(row).tobytes().hex()


def item(number, patient="", sentence="", **more):
    rng = np.random.default_rng(number)
    return {
        "id": f"{number:020x}",
        "patient": patient or f"p{number}",
        "phash": rng.bytes(32).hex(),
        "pixels": rng.bytes(32).hex(),
        "texts": {"en": {"sentence": sentence or f"Sentence {number}."}},
    } | more


def test_nothing_is_found_where_there_is_no_leak():
    report = leaks.check({"train": map(item, range(20)), "test": map(item, range(20, 25))})
    assert report["images"] == 25 and report["leaks"] == 0
    assert all(
        report[k]["count"] == 0
        for k in ("ids", "patients", "same_pixels", "near_pixels", "sentences")
    )
    json.dumps(report)


def test_an_id_and_a_patient_in_two_splits_are_leaks():
    report = leaks.check(
        {"train": [item(1), item(2, "a")], "val": [item(1, "b")], "test": [item(3, "a")]}
    )
    assert report["ids"]["examples"] == [{"id": f"{1:020x}", "splits": ["train", "val"]}]
    assert report["patients"] == {
        "count": 1,
        "examples": [{"patient": "a", "splits": ["train", "test"]}],
    }
    assert report["leaks"] >= 2


def test_near_pixels_in_two_splits_are_a_leak_but_not_in_one():
    near = [item(1, phash=bits()), item(2, phash=bits(3)), item(3, phash=bits(8, 9))]
    assert leaks.check({"train": near})["leaks"] == 0
    report = leaks.check({"train": near[:2], "test": near[2:]})
    assert report["leaks"] == report["near_pixels"]["count"] == 1
    assert report["near_pixels"]["examples"] == [
        [[f"{1:020x}", "train"], [f"{2:020x}", "train"], [f"{3:020x}", "test"]]
    ]
    assert report["same_pixels"]["count"] == 0
    assert leaks.check({"train": near[:2], "test": near[2:]}, most=0)["leaks"] == 0


def test_the_same_pixels_are_found_even_without_a_perceptual_hash():
    same = [item(1, pixels="ab", phash=""), item(2, pixels="ab", phash="")]
    report = leaks.check({"train": same[:1], "test": same[1:]})
    assert report["same_pixels"]["images"] == 2


def test_blank_images_are_no_leak():
    blank = [item(k, pixels="00", phash=leaks.BLANK) for k in range(2)]
    report = leaks.check({"train": blank[:1], "test": blank[1:]})
    assert report["leaks"] == 0 and report["same_pixels"]["count"] == 0


def test_sentences_in_two_splits_are_counted_and_long_ones_listed_by_a_hash_only():
    report = leaks.check(
        {
            "train": [item(1, sentence="The liver is normal."), item(2, sentence=LONG)],
            "test": [item(3, sentence="The liver  is normal."), item(4, sentence=LONG), item(5)],
        }
    )
    assert report["leaks"] == 0
    found = report["sentences"]
    assert (found["count"], found["texts"], found["long"]) == (2, 4, 1)
    assert found["examples"] == [
        {"sha256": hashlib.sha256(LONG.encode()).hexdigest()[:32], "characters": len(LONG),
         "splits": ["train", "test"]}
    ]  # fmt: skip
    assert "kidney" not in json.dumps(report)


def test_examples_are_bounded():
    both = {name: [item(k) for k in range(50)] for name in ("train", "test")}
    report = leaks.check(both, examples=3)
    assert report["ids"]["count"] == 50 and len(report["ids"]["examples"]) == 3
    assert len(report["near_pixels"]["examples"]) == 3


def test_patients_with_near_images_are_joined():
    patient_of = {"a1": "a", "a2": "a", "b1": "b", "c1": "c"}
    assert leaks.joined([{"a1", "a2"}, {"a2", "b1"}, {"c1", "b1"}], patient_of) == [
        {"a", "b"},
        {"b", "c"},
    ]
