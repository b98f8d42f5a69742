"""Tests the counts of a data set."""

from big_rad.annotate import card_counts
from tests.helpers.counted_items import REJECTS, sets


def test_items_are_counted_by_split():
    found = card_counts.count(sets())
    assert found["splits"]["train"] == {
        "patients": 3, "studies": 4, "volumes": 5, "images": 8, "texts": 16
    }  # fmt: skip
    assert found["modality"] == {
        "MR": {"train": 2, "val": 1},
        "CT": {"train": 6, "val": 1, "test": 2},
    }
    assert found["language"]["de"] == {"train": 8, "val": 2, "test": 2}
    assert found["links"]["reference"] == {"train": 8, "val": 2, "test": 2}
    assert found["segmentation"] == {
        "totalsegmentator 2.18.0 total": {"train": 8, "val": 2, "test": 2}
    }
    assert found["classes"]["5"] == {
        "images": {"train": 8, "val": 2, "test": 2}, "phrases": {"train": 16, "val": 4, "test": 4}
    }  # fmt: skip
    assert found["classes"]["1"]["images"] == {"train": 4, "val": 1, "test": 1}
    assert found["texts"] == {"rewritten": 12, "scrubbed: name": 24}


def test_what_was_left_out_is_added_up_whatever_the_order():
    found = card_counts.rejected(REJECTS)
    assert found == card_counts.rejected(reversed(REJECTS))
    assert [(r["stage"], r["count"], r["lines"]) for r in found] == [
        ("match", 30, [4]), ("match", 3, [9]), ("volume", 2, [1, 2])
    ]  # fmt: skip
    many = [dict(REJECTS[0], line=k, count=1) for k in range(50, 0, -1)]
    assert card_counts.rejected(many)[0] == {
        "stage": "match", "what": "slice", "reason": REJECTS[0]["reason"], "count": 50,
        "lines": [1, 2, 3, 4, 5],
    }  # fmt: skip
