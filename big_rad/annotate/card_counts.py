"""Counts what a data set holds and what was left out of it, for its card and its page."""

import collections
from collections.abc import Iterable, Mapping
from typing import Any

Item = Mapping[str, Any]  # A line of items.jsonl.
_LINES = 5


def count(items: Mapping[str, Iterable[Item]]) -> dict[str, Any]:
    """Returns the counts of a data set as `card.make` takes them.

    The items are read one by one; only the pseudonyms of patients, studies and volumes are kept.

    Args:
        items: split -> its items.

    Returns:
        A dict with `splits`, `modality`, `plane`, `language`, `body_part`, `classes`, `links`,
        `segmentation` and `texts`, see `card.make`.
    """
    tables: dict[str, dict[str, collections.Counter]] = {
        name: collections.defaultdict(collections.Counter)
        for name in ("modality", "plane", "language", "body_part", "links", "segmentation")
    }
    images: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)
    phrases: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)
    said: collections.Counter[str] = collections.Counter()
    splits = {}
    for split, some in items.items():
        seen: dict[str, set[str]] = {name: set() for name in ("patient", "study", "volume")}
        numbers: collections.Counter[str] = collections.Counter()
        for item in some:
            numbers["images"] += 1
            for name, pseudonyms in seen.items():
                pseudonyms.add(item[name])
            for name in ("modality", "plane", "body_part"):
                tables[name][item.get(name) or "unknown"][split] += 1
            tables["segmentation"][_segmentation(item)][split] += 1
            named = set()
            for lang, text in item["texts"].items():
                numbers["texts"] += 1
                tables["language"][lang][split] += 1
                link, more = _provenance(item.get("provenance", {}).get(lang, {}))
                tables["links"][link][split] += 1
                said.update(more)
                for _, _, class_id in text["keywords"]:
                    phrases[str(class_id)][split] += 1
                    named.add(str(class_id))
            for class_id in named:
                images[class_id][split] += 1
        one = {"patient": "patients", "study": "studies", "volume": "volumes"}
        splits[split] = {one[name]: len(found) for name, found in seen.items()} | {
            name: numbers[name] for name in ("images", "texts")
        }
    return {
        "splits": splits,
        **{name: {k: dict(v) for k, v in table.items()} for name, table in tables.items()},
        "classes": {
            k: {"images": dict(images[k]), "phrases": dict(phrases[k])} for k in images
        },
        "texts": dict(said),
    }  # fmt: skip


def rejected(rejects: Iterable[Mapping[str, Any]], lines: int = _LINES) -> list[dict[str, Any]]:
    """Returns what was left out, added up by stage, kind and reason.

    Args:
        rejects: lines of rejects.jsonl: dicts with `line`, `stage`, `what`, `reason` and `count`.
        lines: the largest number of lines of the manifest that are kept for a reason.

    Returns:
        Dicts with `stage`, `what`, `reason`, `count` and `lines`, the first lines of the manifest.
        They are ordered by stage, then by falling count.
    """
    counts: collections.Counter[tuple[str, str, str]] = collections.Counter()
    where: dict[tuple[str, str, str], set[int]] = collections.defaultdict(set)
    for one in rejects:
        key = (one["stage"], one["what"], one["reason"])
        counts[key] += one.get("count", 1)
        where[key].add(one["line"])
        if len(where[key]) > lines:
            where[key].discard(max(where[key]))
    order = sorted(counts, key=lambda key: (key[0], -counts[key], key))
    return [
        dict(zip(("stage", "what", "reason"), key), count=counts[key], lines=sorted(where[key]))
        for key in order
    ]


def _segmentation(item: Item) -> str:
    made = item.get("segmentation", {})
    return " ".join(filter(None, (made.get(k) for k in ("source", "version", "task")))) or "unknown"


def _provenance(made: Mapping[str, Any]) -> tuple[str, dict[str, int]]:
    # How the sentence was tied to the slice, and what was done to it.
    found = {"rewritten": int(bool(made.get("rewritten")))}
    for kind, number in made.get("scrubbed", {}).items():
        found[f"scrubbed: {kind}"] = number
    return made.get("link") or "unknown", found
