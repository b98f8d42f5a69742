"""The card of a data set: what it holds, what was left out, and how it was made.

    counts = card_counts.count(items) | {"rejected": card_counts.rejected(rejects), ...}
    as_json, as_markdown = card.make(counts)

The card is the same whenever the same data are made with the same options, so it names no time, no
machine and no number of workers. It holds no text of a report.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from big_rad.grounding import classes

SPLITS = ("train", "val", "test")
FIELDS = (
    "title", "splits", "modality", "plane", "language", "body_part", "classes", "links",
    "segmentation", "texts", "rejected", "deidentification", "leaks", "licences", "options",
    "versions", "key", "draw", "warnings",
)  # fmt: skip
LINKS = {
    "given": "the manifest names the slice",
    "reference": "the sentence names the image, and its series if there are several",
    "proposed": "proposed from the anatomy that the sentence names; not checked by a person",
    "template": "the sentence was made from the masks of the slice",
}
_STAGES = {
    "volume": "reading the volume", "segment": "segmentation", "text": "reading the report",
    "match": "tying sentences to slices", "split": "splitting", "write": "writing",
}  # fmt: skip
_LEAKS = (
    ("ids", "ids of images in two splits"),
    ("patients", "patients in two splits"),
    ("near_pixels", "groups of nearly the same images in two splits"),
    ("same_pixels", "groups of images with the same pixels in two splits"),
)
_NOT_SHARED = "**may not be passed on**"


def make(counts: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """Returns the card of a data set.

    Every field of the counts may be missing; the card then says that it is not known, or leaves the
    section out.

    Args:
        counts: a dict that JSON can hold, with these fields:
            `title`: the name of the data set.
            `splits`: {split: {"patients", "studies", "volumes", "images", "texts": number}}.
            `modality`, `plane`, `body_part`, `segmentation`: {value: {split: images}}.
            `language`, `links`: {value: {split: texts}}. Links say how a text was tied to its
                slice: "given", "reference", "proposed" or "template".
            `classes`: {class id: {"images": {split: number}, "phrases": {split: number}}}.
            `texts`: {what was done to texts: number}.
            `rejected`: what was left out, see `card_counts.rejected`.
            `deidentification`: {"images" or "texts" or another heading: {what was done: number}}.
            `leaks`: the report of `leaks.check`.
            `licences`: [{"source", "licence", "note", "pass_on"}]; `pass_on` is False if the data
                may not be passed on, and may be missing where the licence says it.
            `options`: {name: value} of what changes the data set.
            `versions`: {name: version} of programs and tables.
            `key`: the fingerprint of the key of the pseudonyms.
            `draw`: how patients came to their splits, see `patient_splits.Assigned`.
            `warnings`: sentences.

    Returns:
        The dict for card.json, and the Markdown for card.md.

    Raises:
        ValueError: a field is unknown.
    """
    if unknown := sorted(set(counts) - set(FIELDS)):
        raise ValueError(f"unknown fields of a card: {', '.join(unknown)}; known: {FIELDS}")
    card = json.loads(json.dumps({k: counts[k] for k in FIELDS if k in counts}, sort_keys=True))
    if "rejected" in card:  # The lines of the manifest are of no use to others.
        card["rejected"] = [{k: v for k, v in r.items() if k != "lines"} for r in card["rejected"]]
    card["may_be_passed_on"] = may_be_passed_on(card.get("licences", []))
    sections = (
        _head(card), _licences(card), _contents(card), _classes(card), _links(card),
        _left_out(card), _deidentified(card), _leaks(card), _made(card),
    )  # fmt: skip
    return card, "\n\n".join(filter(None, sections)) + "\n"


def may_be_passed_on(licences: Sequence[Mapping[str, Any]]) -> bool:
    """Returns whether every source of a data set allows that it is passed on.

    A source without a licence does not, nor one whose licence allows no derivatives ("ND").
    """
    return bool(licences) and all(_passes(one) for one in licences)


def _passes(one: Mapping[str, Any]) -> bool:
    parts = _parts(str(one.get("licence") or ""))
    return bool(one.get("pass_on", parts and "ND" not in parts))


def _parts(licence: str) -> list[str]:
    return licence.upper().replace("-", " ").split()


def _head(card: Mapping[str, Any]) -> str:
    lines = [f"# {_cell(card.get('title', 'Grounded data set'))}"]
    lines.append(
        "CT and MR slices with sentences of reports, boxes and label maps, made by the data engine "
        "of big_rad. Masks and phrases name anatomy, not findings. Research data, not for "
        "diagnostic use."
    )
    if not card["may_be_passed_on"]:
        lines.append(f"This data set {_NOT_SHARED}, see Licences.")
    if warnings := card.get("warnings"):
        lines.append("## Warnings\n\n" + "\n".join(f"- {_cell(w)}" for w in warnings))
    return "\n\n".join(lines)


def _licences(card: Mapping[str, Any]) -> str:
    given = card.get("licences", [])
    if not given:
        said = "No licence was given. Without one, the data " + _NOT_SHARED + "."
        return f"## Licences\n\n{said}"
    rows = [
        (one.get("source", ""), one.get("licence") or "none", _allowed(one), one.get("note", ""))
        for one in given
    ]
    return "## Licences\n\n" + _table(("source", "licence", "the data", "note"), rows)


def _allowed(one: Mapping[str, Any]) -> str:
    if not _passes(one):
        return "may not be passed on"
    parts = _parts(str(one.get("licence") or ""))
    limits = ["not for commercial use"] * ("NC" in parts) + ["under the same licence"] * (
        "SA" in parts
    )
    return "may be passed on" + "".join(f", {limit}" for limit in limits)


def _contents(card: Mapping[str, Any]) -> str:
    parts = ["## Contents"]
    if splits := card.get("splits"):
        names = ("patients", "studies", "volumes", "images", "texts")
        found = {n: {s: splits[s].get(n, 0) for s in splits} for n in names}
        parts.append(_by_split("", found))
    if draw := card.get("draw"):
        parts.append(
            f"Splits of the patients: {draw['given']:,} were given, {draw['kept']:,} were kept "
            f"from an earlier run, and {draw['drawn']:,} were drawn. Of patients of earlier runs, "
            f"{draw['moved']:,} came into another split."
        )
    for field, head, noun in (
        ("modality", "modality", "images"), ("plane", "plane", "images"),
        ("body_part", "body part", "images"), ("language", "language", "texts"),
        ("segmentation", "masks by", "images"),
    ):  # fmt: skip
        if found := card.get(field):
            parts.append(_by_split(f"{head} ({noun})", found))
    return "\n\n".join(parts) if len(parts) > 1 else ""


def _classes(card: Mapping[str, Any]) -> str:
    if "classes" not in card:
        return ""
    found, rows = {int(k): v for k, v in card["classes"].items()}, []
    used = [k for k in found if sum(found[k]["images"].values())]
    for k in sorted(used, key=lambda k: (-sum(found[k]["images"].values()), k)):
        each = [[found[k][what].get(s, 0) for s in SPLITS] for what in ("images", "phrases")]
        rows.append((k, _class_name(k), *(n for some in each for n in (sum(some), *some))))
    heads = [f"{what} {s}".strip() for what in ("images", "phrases") for s in ("", *SPLITS)]
    parts = [
        "## Classes",
        "The images in which a phrase of a sentence names the class, and these phrases; the class "
        "with the most images comes first.",
        _table(("id", "class", *heads), rows, numbers=(0, *range(2, 10))),
    ]
    missing = [c.id for c in classes.CLASSES if c.id not in used]
    if missing:
        names = ", ".join(f"{_class_name(k)} ({k})" for k in missing)
        parts.append(f"{len(missing)} of {classes.NUM_CLASSES} classes have no image: {names}.")
    return "\n\n".join(parts)


def _class_name(number: int) -> str:
    known = 1 <= number <= classes.NUM_CLASSES
    return classes.by_id(number).en if known else f"class {number}"


def _links(card: Mapping[str, Any]) -> str:
    if not (found := card.get("links")):
        return ""
    parts = ["## How sentences were tied to slices", _by_split("link (texts)", found)]
    parts.append("\n".join(f"- {name}: {LINKS[name]}" for name in sorted(found) if name in LINKS))
    return "\n\n".join(filter(None, parts))


def _left_out(card: Mapping[str, Any]) -> str:
    if "rejected" not in card:
        return ""
    if not card["rejected"]:
        return "## What was left out\n\nNothing was left out."
    rows = [
        (_STAGES.get(r["stage"], r["stage"]), r["what"], r["reason"], r["count"])
        for r in card["rejected"]
    ]
    table = _table(("when", "what", "reason", "count"), rows, numbers=(3,))
    return "## What was left out\n\n" + table


def _deidentified(card: Mapping[str, Any]) -> str:
    done = dict(card.get("deidentification", {}))
    if texts := card.get("texts"):
        done.setdefault("sentences in the data set", texts)
    key = card.get("key")
    if not done and not key:
        return ""
    parts = [
        "## De-identification: what was done",
        "Images are new objects with attributes of an allow-list. Pseudonyms and UIDs come from a "
        "secret key, which is not part of the data set. Words that name a person were searched for "
        "by program, and no program finds all of them."
        + (f" Fingerprint of the key: `{_cell(key)}`." if key else ""),
    ]
    for head, found in sorted(done.items()):
        rows = sorted(found.items())
        parts.append(_table((head, "count"), rows, numbers=(1,)) if rows else "")
    return "\n\n".join(filter(None, parts))


def _leaks(card: Mapping[str, Any]) -> str:
    if not (report := card.get("leaks")):
        return "## Leak check\n\nThe leak check was not done."
    said = (
        "No image and no patient is in two splits."
        if report["leaks"] == 0
        else f"**Leaks: {report['leaks']:,}.** Scores on val and test may be too high."
    )
    rows = [(name, report[k]["count"]) for k, name in _LEAKS]
    sentences = report["sentences"]
    rows.append(("different sentences in two splits", sentences["count"]))
    rows.append(("of these, long ones", sentences["long"]))
    return "\n\n".join(
        [
            "## Leak check",
            said,
            _table(("what", "count"), rows, numbers=(1,)),
            f"{report['images']:,} images were compared. Two are nearly the same if their "
            f"perceptual hashes differ in at most {report['most']} of 256 bits. The same sentence "
            "in two splits is not a leak, since normal findings are worded alike everywhere.",
        ]
    )


def _made(card: Mapping[str, Any]) -> str:
    parts = [
        _table((head, "value"), sorted((k, _value(v)) for k, v in card[field].items()))
        for field, head in (("options", "option"), ("versions", "version of"))
        if card.get(field)
    ]
    return "\n\n".join(["## How it was made", *parts]) if parts else ""


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _by_split(head: str, found: Mapping[str, Mapping[str, int]]) -> str:
    # A table with a row for each value and a column for each split. Values come as they are given
    # in the table of all counts, whose order has a meaning, and else by falling count.
    names = [*SPLITS, *sorted({s for some in found.values() for s in some} - set(SPLITS))]
    rows = [(k, sum(v.values()), *(v.get(s, 0) for s in names)) for k, v in found.items()]
    if head:
        rows.sort(key=lambda row: (-row[1], row[0]))
    return _table((head, "all", *names), rows, numbers=range(1, len(names) + 2))


def _table(heads: Sequence[str], rows: Sequence[Sequence[Any]], numbers: Iterable[int] = ()) -> str:
    right = set(numbers)
    marks = ["---:" if k in right else "---" for k in range(len(heads))]
    lines = [[_cell(h) for h in heads], marks, *([_cell(c) for c in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: object) -> str:
    # A value that cannot break out of its cell or its line.
    text = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    text = " ".join(text.split())
    for char in "\\|<>`*_":
        text = text.replace(char, "\\" + char)
    return text
