"""The command's answers on sentences that two people wrote and labelled without seeing the rules.

See "How often the rules are right" in docs/data.md for what they gave when they were read first.
What is asked here is that the rules do not become worse than they were then.
"""

import json
import pathlib

import pytest

from big_rad.annotate import text

HELPERS = pathlib.Path(__file__).parents[1] / "helpers"


@pytest.fixture(scope="module", params=["first", "second"])
def judged(request):
    """Pairs of what a person and what the rules say of a sentence, for one author's sentences."""
    lines = (HELPERS / f"labelled_{request.param}_author.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return [(said(row), found(row["text"], row["lang"])) for row in rows]


def said(row):
    named = [(name, flags) for _, names, flags in row["mentions"] for name in names.split()]
    return together(named), row["comparison"]


def found(sentence, lang):
    line = text.annotated(sentence, lang)
    named = [
        (name, "n" * m["negated"] + "a" * m["absent"])
        for m in line["mentions"]
        for name in m["classes"]
    ]
    return together(named), line["had_comparison"]


def together(named):
    """{class: whether a finding at it is denied} for (class, flags of a mention)."""
    return {name: any("n" in f for n, f in named if n == name) for name, _ in named}


def mirrored(name):
    return name.replace("left", "-").replace("right", "left").replace("-", "right")


def test_classes_are_found_with_their_sides(judged):
    pairs = [(set(mine), set(its)) for (mine, _), (its, _) in judged]
    right = sum(len(mine & its) for mine, its in pairs)
    assert right >= 0.95 * sum(len(its) for _, its in pairs)
    assert right >= 0.90 * sum(len(mine) for mine, _ in pairs)
    wrong = [
        n for mine, its in pairs for n in its - mine if mirrored(n) != n and mirrored(n) in mine
    ]
    assert len(wrong) <= 0.01 * sum(len(its) for _, its in pairs)


def test_denied_findings_agree(judged):
    both = [(mine[n], its[n]) for (mine, _), (its, _) in judged for n in mine.keys() & its.keys()]
    assert sum(a == b for a, b in both) >= 0.95 * len(both)


def test_comparisons_are_found_and_other_sentences_left_alone(judged):
    compared = [its for (_, mine), (_, its) in judged if mine]
    clean = [its for (_, mine), (_, its) in judged if not mine]
    assert sum(compared) >= 0.95 * len(compared)
    assert sum(clean) <= 0.02 * len(clean)
