"""A small data set as the data engine writes its items, and what was left out of it."""

import hashlib


def item(number, split="train", **more):
    """Returns a line of items.jsonl."""
    return {
        "id": f"{number:020x}", "patient": f"p-{split}-{number % 3}", "study": f"s{number % 4}",
        "volume": f"v{number % 5}", "modality": "CT" if number % 4 else "MR", "plane": "axial",
        "body_part": "ABDOMEN" if number % 2 else "", "pixels": "",
        "phash": hashlib.sha256(f"{split} {number}".encode()).hexdigest(),
        "texts": {
            "de": {"sentence": f"Leber {number}.", "keywords": [["Leber", "liver", 5]]},
            "en": {"sentence": f"Liver {number}.",
                   "keywords": [["liver", "liver", 5], ["spleen", "spleen", 1]][: 1 + number % 2]},
        },
        "provenance": {
            "de": {"line": number, "link": "reference", "rewritten": True, "scrubbed": {"name": 2}},
            "en": {"line": number, "link": "template", "rewritten": False, "scrubbed": {}},
        },
        "segmentation": {"source": "totalsegmentator", "version": "2.18.0", "task": "total"},
    } | more  # fmt: skip


def sets():
    """Returns split -> items."""
    return {
        "train": [item(k) for k in range(8)],
        "val": [item(k, "val") for k in range(8, 10)],
        "test": [item(k, "test") for k in range(10, 12)],
    }


REJECTS = [
    {"line": k, "stage": stage, "what": what, "reason": reason, "count": n}
    for k, stage, what, reason, n in [
        (9, "match", "slice", "no class of the sentence is in the slice", 3),
        (4, "match", "sentence", "the sentence names no anatomy", 30),
        (2, "volume", "study", "the volume has 4 | axes", 1),
        (1, "volume", "study", "the volume has 4 | axes", 1),
    ]
]
