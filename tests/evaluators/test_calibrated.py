"""The calibration of a checkpoint is applied to records, and taken out with it."""

import copy
from types import SimpleNamespace

import pytest

from big_rad.evaluators import calibrated, grounded, vqa


def said(kind, value):
    return {"kind": kind, "features": {"x": value}, "score": value, "calibrated": None}


@pytest.fixture
def records():
    boxes = [{"confidence": said("box", 0.4)}, {"confidence": None}, {}]
    return [
        {"lang": "en", "confidence": said("yes_no", 0.9), "boxes": {"prediction": boxes}},
        {"lang": "de", "confidence": said("text", 0.8)},
        {"lang": "de"},
    ]


HALF = SimpleNamespace(apply=lambda kind, lang, features: features["x"] / 2 if lang else None)


def test_answers_and_places_are_calibrated_and_the_words_of_reports_are_not(records):
    before = copy.deepcopy(records)
    assert calibrated.apply(records, HALF, grounded.Evaluator)
    assert records[0]["confidence"]["calibrated"] == 0.45
    assert records[0]["boxes"]["prediction"][0]["confidence"]["calibrated"] == 0.2
    assert records[1]["confidence"]["calibrated"] is None
    assert not calibrated.apply(records, HALF, grounded.Evaluator)  # Nothing is new.
    assert calibrated.apply(records, None, grounded.Evaluator) and records == before
    assert not calibrated.apply(records, None, grounded.Evaluator)


def test_open_answers_are_calibrated(records):
    assert calibrated.apply(records, HALF, vqa.Evaluator)
    assert records[1]["confidence"]["calibrated"] == 0.4
