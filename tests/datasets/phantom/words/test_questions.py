from collections import defaultdict

import numpy as np
import pytest

from big_rad.datasets.phantom.body import slices
from big_rad.datasets.phantom.body.anatomy import DEMO_CLASSES
from big_rad.datasets.phantom.words import lexicon, questions, rates

PATIENTS = 500


@pytest.fixture(scope="module")
def answered():
    """[(facts, vqa texts, detect texts)]; three draws of questions for each slice."""
    out = []
    for number in range(PATIENTS):
        facts = slices.make_slices(9, number, 1, 56, DEMO_CLASSES, True)[0].facts
        for k in range(3):
            rng = np.random.default_rng([number, k])
            out.append((facts, questions.vqa(facts, rng), questions.detect(facts, rng)))
    return out


def test_yes_and_no_are_balanced_in_every_template(answered):
    """The tolerance is 0.02 plus 2.5 standard errors; the three draws of a slice count as one."""
    counts = defaultdict(list)
    for _, texts, _ in answered:
        for t in texts:
            if t["question_type"] == "yesno" and t["lang"] == "en":
                counts[t["template"]].append(t["answer"] == "yes")
    assert len(counts) == sum(len(v["en"]) for v in questions.YESNO.values())
    for template, yes in counts.items():
        assert abs(np.mean(yes) - 0.5) < 0.02 + 2.5 * np.sqrt(0.25 / (len(yes) / 3)), template
    assert abs(np.mean(np.concatenate(list(counts.values()))) - 0.5) < 0.03


def test_the_question_alone_gives_little_away(answered):
    """The guess is the more frequent answer to each question; the bound allows for chance."""
    counts = defaultdict(lambda: [0, 0])
    for _, texts, _ in answered:
        for t in texts:
            if t["question_type"] == "yesno" and t["lang"] == "en":
                counts[t["question"]][t["answer"] == "yes"] += 1
    best = sum(max(c) for c in counts.values()) / sum(sum(c) for c in counts.values())
    assert best < 0.6


def test_answers_about_visibility_are_true(answered):
    names = {lexicon.organ(c, v).en: c for c in DEMO_CLASSES for v in range(lexicon.variants(c))}
    for facts, texts, _ in answered:
        for t in texts:
            if t["lang"] == "en" and t["template"].startswith("yesno.shown"):
                (name,) = [n for n in names if f"Is the {n} " in t["question"]]
                assert (names[name] in facts.shown) == (t["answer"] == "yes")


def test_choices_hold_the_answer_once(answered):
    kinds = set()
    for _, texts, _ in answered:
        for t in texts:
            kinds.add((t["question_type"], t["source"]))
            if t["question_type"] == "multiple":
                assert t["choices"].count(t["answer"]) == 1
                assert len(set(t["choices"])) == len(t["choices"]) >= 2
            else:
                assert t["choices"] == []
    assert kinds == {(q, s) for q in ("yesno", "open", "multiple") for s in ("finding", "metadata")}


def test_the_place_of_the_right_choice_is_no_hint(answered):
    places = [
        t["choices"].index(t["answer"])
        for _, texts, _ in answered
        for t in texts
        if t["template"].startswith("multiple.which")
    ]
    shares = np.bincount(places, minlength=4) / len(places)
    assert np.abs(shares - 0.25).max() < 0.06


def test_detection_lists_organs_in_the_asked_order(answered):
    absent = present = 0
    for _, _, texts in answered:
        for t in texts:
            items = t["answer"].split("; ")
            found = [k[0] for k in t["keywords"]]
            if t["lang"] == "en":
                at = [t["question"].find(i.removeprefix("no ")) for i in items]
                assert -1 not in at and at == sorted(at)
                assert [i for i in items if not i.startswith("no ")] == found
                absent += len(items) - len(found)
                present += len(found)
    assert 0.04 < absent / (absent + present) < 0.16


def test_stored_rates_are_those_of_the_anatomy():
    """Old rates unbalance the answers: run `python -m big_rad.datasets.phantom.words.rates`."""
    counts = rates.measure(range(9000, 9300), demo=True, size=56)
    checked = 0
    for key, (no, yes) in counts.items():
        if key in questions.TRUE_RATES and no + yes > 300:
            rate = questions.TRUE_RATES[key]
            error = np.sqrt(rate * (1 - rate) / ((no + yes) / 2))
            assert abs(yes / (no + yes) - rate) < 4.5 * error + 0.015, key
            checked += 1
    assert checked >= 20
