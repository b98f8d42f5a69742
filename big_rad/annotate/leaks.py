"""Looks for what is in two splits of a data set: ids, patients, pixels and sentences.

Before the split, images that are nearly the same find one patient under two pseudonyms:

    groups = leaks.near({item["id"]: item["phash"] for item in items})
    assigned = split.assign(patients, joined=leaks.joined(groups, patient_of))

After it, everything is checked again:

    report = leaks.check({"train": items_of_train, "val": items_of_val, "test": items_of_test})
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from big_rad.annotate.hashes import BLANK, MOST, distance, groups, members_of, near, phash, to_words
from big_rad.grounding.unicode import nfc

__all__ = ["BLANK", "LONG", "MOST", "check", "distance", "joined", "near", "phash"]

LONG = 100  # Sentences with this many characters are long: two people rarely write the same one.
_EXAMPLES = 20

Item = Mapping[str, Any]  # A line of items.jsonl.


def joined(found: Iterable[Iterable[str]], patient_of: Mapping[str, str]) -> list[set[str]]:
    """Returns the sets of patients that share nearly the same images, for `split.assign`.

    Args:
        found: groups of ids of images, see `near`.
        patient_of: id of an image -> its patient.
    """
    sets = ({patient_of[i] for i in group} for group in found)
    return [patients for patients in sets if len(patients) > 1]


def check(
    items: Mapping[str, Iterable[Item]], most: int = MOST, examples: int = _EXAMPLES
) -> dict[str, Any]:
    """Returns a report on what is in two splits.

    Ids, patients and pixels in two splits are leaks. Sentences are not: normal findings are worded
    alike everywhere. They are counted, and the long ones listed by a hash, since a long sentence in
    two splits may be a copied report.

    The items are read one by one, and little of each is kept: 400,000 images with two sentences
    each took 400 MB of memory and 20 seconds.

    Args:
        items: split -> its items, each with `id`, `patient`, `texts`, and optionally `pixels` and
            `phash`.
        most: see `near`.
        examples: the largest number of examples of each kind.

    Returns:
        A dict that JSON can hold. `images` is the number of images, and `leaks` the number of ids,
        patients and groups of images in two splits, which should be 0. `ids` and `patients` have
        `count` and `examples`: [{"id" or "patient", "splits"}]. `same_pixels` and `near_pixels`
        have the count of groups of images that are in two splits, `images` in these groups and
        `examples`: [[id, split], ...] each. A group with the same pixels is also a group of near
        pixels, unless the image is blank. `sentences` has the `count` of different sentences in two
        splits, the `texts` with such a sentence, the number of `long` ones and their `examples`:
        [{"sha256", "characters", "splits"}].
    """
    seen = _Seen()
    for split, some in items.items():
        for item in some:
            seen.add(split, item)
    ids, patients = seen.ids.report("id", examples), seen.patients.report("patient", examples)
    same, close = seen.same_pixels(examples), seen.near_pixels(most, examples)
    return {
        "images": len(seen.names),
        "most": most,
        "leaks": ids["count"] + patients["count"] + close["count"],
        "ids": ids,
        "patients": patients,
        "same_pixels": same,
        "near_pixels": close,
        "sentences": seen.sentences(examples),
    }


class _Places:
    """Keys and the splits in which each of them is, as bits of a number."""

    def __init__(self, splits: list[str]):
        self._splits = splits
        self._where: dict[Any, int] = {}

    def add(self, key: Any, split: int) -> None:
        self._where[key] = self._where.get(key, 0) | 1 << split

    def several(self) -> list[Any]:
        """Returns the keys that are in two splits or more, sorted."""
        return sorted(key for key, bits in self._where.items() if bits & (bits - 1))

    def names(self, key: Any) -> list[str]:
        """Returns the names of the splits of a key."""
        return [name for k, name in enumerate(self._splits) if self._where[key] >> k & 1]

    def report(self, name: str, examples: int) -> dict[str, Any]:
        """Returns the count and the first examples of keys in two splits."""
        found = self.several()
        first = [{name: key, "splits": self.names(key)} for key in found[:examples]]
        return {"count": len(found), "examples": first}


class _Seen:
    """What is kept of the items."""

    def __init__(self) -> None:
        self._splits: list[str] = []
        self.ids = _Places(self._splits)
        self.patients = _Places(self._splits)
        self.names: list[str] = []
        self._of = bytearray()  # The number of the split of each image.
        self._pixels: list[bytes] = []
        self._hashes = bytearray()
        self._hashed: list[int] = []
        self._said = _Places(self._splits)
        self._lengths: dict[bytes, int] = {}
        self._texts: dict[bytes, int] = {}

    def add(self, split: str, item: Item) -> None:
        """Keeps an item."""
        if split not in self._splits:
            self._splits.append(split)
        number = self._splits.index(split)
        self.ids.add(item["id"], number)
        self.patients.add(item["patient"], number)
        hashed, pixels = item.get("phash", ""), item.get("pixels", "")
        if hashed == BLANK:  # Blank images have the same pixels everywhere.
            hashed = pixels = ""
        if hashed:
            self._hashed.append(len(self.names))
            self._hashes += to_words([hashed]).tobytes()
        digest = hashlib.blake2b(pixels.encode(), digest_size=16).digest()
        self._pixels.append(digest if pixels else b"")
        self.names.append(item["id"])
        self._of.append(number)
        for text in item["texts"].values():
            sentence = " ".join(nfc(text["sentence"]).split())
            digest = hashlib.sha256(sentence.encode()).digest()[:16]
            self._said.add(digest, number)
            self._texts[digest] = self._texts.get(digest, 0) + 1
            if len(sentence) >= LONG:
                self._lengths[digest] = len(sentence)

    def same_pixels(self, examples: int) -> dict[str, Any]:
        """Reports images with the same pixels in two splits."""
        known = np.array([k for k, digest in enumerate(self._pixels) if digest], np.int64)
        packed = np.frombuffer(b"".join(self._pixels), np.uint64).reshape(-1, 2)
        return self._groups(known, groups(packed, 0), examples)

    def near_pixels(self, most: int, examples: int) -> dict[str, Any]:
        """Reports nearly the same images in two splits."""
        words = np.frombuffer(self._hashes, np.uint64).reshape(-1, 4)
        return self._groups(np.array(self._hashed, np.int64), groups(words, most), examples)

    def sentences(self, examples: int) -> dict[str, Any]:
        """Reports sentences in two splits."""
        found = self._said.several()
        long = [digest for digest in found if digest in self._lengths]
        return {
            "count": len(found),
            "texts": sum(self._texts[digest] for digest in found),
            "long": len(long),
            "examples": [
                {"sha256": digest.hex(), "characters": self._lengths[digest],
                 "splits": self._said.names(digest)}
                for digest in long[:examples]
            ],
        }  # fmt: skip

    def _groups(self, which: np.ndarray, labels: np.ndarray, examples: int) -> dict[str, Any]:
        # Groups of images in two splits; `which` are the images that have labels.
        of = np.frombuffer(self._of, np.uint8)
        found = []
        for members in members_of(labels):
            images = which[members]
            if len(np.unique(of[images])) > 1:
                found.append(sorted((self.names[k], self._splits[of[k]]) for k in images.tolist()))
        found.sort()
        return {
            "count": len(found),
            "images": sum(map(len, found)),
            "examples": [[list(pair) for pair in group[:examples]] for group in found[:examples]],
        }
