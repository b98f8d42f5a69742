"""Tests the card of a data set."""

import json

import pytest

from big_rad.annotate import card, card_counts, leaks
from tests.helpers.counted_items import REJECTS, item, sets


def counts():
    return card_counts.count(sets()) | {
        "title": "Abdomen",
        "rejected": card_counts.rejected(REJECTS),
        "deidentification": {"images": {"attributes dropped": 4711, "PatientName": 12}},
        "leaks": leaks.check(sets()),
        "licences": [
            {"source": "TotalSegmentator CT", "licence": "CC BY 4.0"},
            {"source": "notes", "licence": "CC BY-NC-ND 4.0", "note": "fetched by the user"},
        ],
        "options": {"segment": "precomputed", "rollup": True, "shares": [0.8, 0.1, 0.1]},
        "versions": {"big_rad": "0.1.0"},
        "key": "ab12",
        "warnings": ["The split test has few patients."],
    }


def rows(markdown):
    return [
        [c.strip() for c in line.replace("\\|", "¦").strip("|").split("|")]
        for line in markdown.splitlines()
        if line.startswith("|")
    ]


def test_the_card_has_a_table_of_classes_and_names_those_without_images():
    _, text = card.make(counts())
    assert ["5", "liver", "12", "8", "2", "2", "24", "16", "4", "4"] in rows(text)
    assert "119 of 121 classes have no image" in text and "right kidney (2)" in text


def test_every_reason_of_a_rejection_is_in_the_card_with_its_count():
    as_json, text = card.make(counts())
    assert ["reading the volume", "study", "the volume has 4 ¦ axes", "2"] in rows(text)
    assert ["tying sentences to slices", "sentence", "the sentence names no anatomy", "30"] in rows(
        text
    )
    assert sum(r["count"] for r in as_json["rejected"]) == 35
    assert "lines" not in json.dumps(as_json)


def test_every_table_has_as_many_cells_in_each_row_as_in_its_head():
    _, text = card.make(counts())
    for table in text.split("\n\n"):
        if table.startswith("|"):
            assert len({len(r) for r in rows(table)}) == 1


@pytest.mark.parametrize(
    "licence, allowed",
    [
        ({"licence": "CC BY 4.0"}, "may be passed on"),
        (
            {"licence": "CC BY-NC-SA 4.0"},
            "may be passed on, not for commercial use, under the same licence",
        ),
        ({"licence": "CC BY-NC-ND 4.0"}, "may not be passed on"),
        ({"licence": "CC BY-NC 4.0", "pass_on": False}, "may not be passed on"),
        ({"licence": ""}, "may not be passed on"),
    ],
)
def test_the_card_says_what_a_licence_allows(licence, allowed):
    as_json, text = card.make({"licences": [{"source": "a set"} | licence]})
    assert ["a set", licence["licence"] or "none", allowed, ""] in rows(text)
    assert as_json["may_be_passed_on"] == ("not be" not in allowed)
    assert ("**may not be passed on**" in text) == ("not be" in allowed)


def test_without_any_licence_the_card_says_that_the_data_may_not_be_passed_on():
    assert card.make({})[0]["may_be_passed_on"] is False
    assert "No licence was given" in card.make({})[1]


def test_leaks_are_said():
    both = {"train": [item(1)], "test": [item(1)]}
    assert "**Leaks: 3.**" in card.make({"leaks": leaks.check(both)})[1]
    assert "No image and no patient is in two splits" in card.make(counts())[1]
    assert "The leak check was not done" in card.make({})[1]


def test_the_card_depends_on_nothing_but_the_counts():
    there = counts()
    again = {k: there[k] for k in reversed(there)}
    again["splits"] = dict(reversed(there["splits"].items()))
    assert json.dumps(card.make(there)[0]) == json.dumps(card.make(again)[0])
    assert card.make(there)[1] == card.make(again)[1]


def test_texts_cannot_break_the_markdown():
    _, text = card.make({"warnings": ["a\n# heading <b> *x*"], "title": "a\n\n## b"})
    assert "\n# heading" not in text and "<b>" not in text and "\n## b" not in text


def test_an_unknown_field_is_an_error():
    with pytest.raises(ValueError, match="unknown fields of a card: licenses"):
        card.make({"licenses": []})
