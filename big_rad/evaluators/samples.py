"""The samples of an evaluation: their files, which of them are shown, and how they are drawn.

Of each evaluator `<name>.jsonl` has a line a sample, and `<name>.npz` the images of those that are
shown, so that a run directory can be looked at without its data set. Knows no model and no metric.
"""

import dataclasses
import io
import json
import math
import pathlib
import zipfile
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence

import numpy as np
from PIL import Image

from big_rad import files
from big_rad.evaluators import spec as spec_lib
from big_rad.evaluators.records import Entity, Record
from big_rad.grounding import masks
from big_rad.grounding.unicode import nfc
from big_rad.inference import draw

_FIELDS = ("id", "scores")  # that every reader needs
# What scores of records that do not name their image are called now.
_RENAMED = {"accuracy": "accuracy_published", "recall": "recall_published"}
_PER_GROUP = 3
_FOLLOWED = 4  # the same samples at every evaluation


def write(
    folder: str | pathlib.Path,
    name: str,
    records: Sequence[Record],
    pixels: Mapping[int, np.ndarray],
) -> None:
    """Writes the files of an evaluator; each appears whole or not at all.

    Args:
        folder: made.
        name: of the evaluator.
        records: of its samples, see `base.Evaluator`.
        pixels: index of a sample -> what the model saw, see `draw.seen`; without any there is no
            second file.
    """
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        json.dumps(without_nan(r), ensure_ascii=False, allow_nan=False) + "\n" for r in records
    ]
    if pixels:
        packed = io.BytesIO()
        np.savez_compressed(packed, **{str(i): x for i, x in pixels.items()})
        files.write_whole(folder / f"{name}.npz", packed.getvalue())
    files.write_whole(folder / f"{name}.jsonl", "".join(lines))


def read(folder: str | pathlib.Path, name: str) -> tuple[list[Record], dict[int, np.ndarray]]:
    """Returns (records, index -> image) of an evaluator; empty where there is no such file.

    Records of earlier versions have only the published forms of accuracy and recall, under the
    names of the default ones; they are given their own names, so that the two are never compared.

    Raises:
        ValueError: a file that is broken.
    """
    lines, packed = (pathlib.Path(folder) / f"{name}.{kind}" for kind in ("jsonl", "npz"))
    path = lines
    try:
        text = lines.read_text(encoding="utf-8") if lines.exists() else ""
        records = [_parsed(line, i) for i, line in enumerate(text.split("\n")) if line]
        path, pixels = packed, {}
        if packed.exists():
            with np.load(packed, allow_pickle=False) as file:
                pixels = {int(i): file[i] for i in file.files}
    except (ValueError, zipfile.BadZipFile, EOFError) as e:
        raise ValueError(f"{path} is broken ({e}); remove it, or evaluate again") from e
    return records, pixels


def _parsed(line: str, i: int) -> Record:
    try:
        record = json.loads(line)
    except ValueError as e:
        raise ValueError(f"line {i + 1}: {e}") from e
    missing = [k for k in _FIELDS if not isinstance(record, dict) or k not in record]
    if missing:
        raise ValueError(f"line {i + 1}: no {', '.join(missing)}")
    wrong = [k for k, v in record["scores"].items() if not isinstance(v, int | float | None)]
    if wrong:
        raise ValueError(f"line {i + 1}: scores: {wrong[0]} is no number")
    scores = record["scores"]
    if "image" not in record and "accuracy" in scores and "accuracy_published" not in scores:
        record["scores"] = {_RENAMED.get(k, k): v for k, v in record["scores"].items()}
    return record


def image_of(record: Record) -> str:
    """Returns the id of the image that a sample was asked about, which its questions share."""
    if "image" in record:
        return str(record["image"])
    # Records of earlier versions have the question's id alone, "<image>#<number of the text>".
    image, mark, number = str(record["id"]).rpartition("#")
    return image if mark and number.isdigit() else str(record["id"])


def subject_of(record: Record) -> Hashable:
    """Returns what tells the patients of an evaluation apart: a running number, or the image in
    records of earlier versions."""
    number = record.get("subject")
    return image_of(record) if number is None else number


def choose(
    records: Sequence[Record], score: str, per_group: int = _PER_GROUP, seed: int = 0
) -> dict[str, list[Record]]:
    """Picks samples: best and worst by a score, and random ones among the rest.

    Returns:
        {"worst", "best", "random"}: disjoint lists of at most `per_group` records; the ones
        without the score can only be random ones.
    """
    scored = [r for r in records if r["scores"].get(score) is not None]
    ranked = sorted(scored, key=lambda r: -r["scores"][score])  # stable: equal ones in data order
    best = ranked[: min(per_group, (len(ranked) + 1) // 2)]
    worst = [r for r in ranked[len(best) :][::-1][:per_group]]
    used = {r["index"] for r in best + worst}
    rest = [r for r in records if r["index"] not in used]
    order = np.random.default_rng(seed).permutation(len(rest))[:per_group]
    return {"worst": worst, "best": best, "random": [rest[i] for i in sorted(order)]}


def right_and_wrong(
    records: Sequence[Record], per_group: int = _PER_GROUP, seed: int = 0
) -> dict[str, list[Record]]:
    """Picks answers at random.

    Returns:
        {"wrong", "right"}: at most twice `per_group` of each.
    """
    rng = np.random.default_rng(seed)
    found = {}
    for name in ("wrong", "right"):
        same = [r for r in records if _is_right(r) == (name == "right")]
        order = sorted(rng.permutation(len(same))[: 2 * per_group])
        found[name] = [same[i] for i in order]
    return found


def _is_right(record: Record) -> bool:
    scores = record["scores"]
    return bool(scores.get("accuracy", scores.get("accuracy_published")))


def hallucinated(record: Record) -> list[Entity]:
    """Returns the predicted entities of whose class the reference names none."""
    return _without_counterpart(record, "prediction", "reference")


def missed(record: Record) -> list[Entity]:
    """Returns the reference's entities of whose class the prediction names none."""
    return _without_counterpart(record, "reference", "prediction")


def _without_counterpart(record: Record, side: str, other: str) -> list[Entity]:
    there = {class_of(e) for e in record["boxes"][other]}
    return [e for e in record["boxes"][side] if class_of(e) not in there]


def class_of(entity: Entity) -> int | str:
    """Returns what an entity is compared by: its class id, or its phrase if it has none.

    Case and the Unicode form of the phrase do not matter.
    """
    return entity["class_id"] or nfc(entity["phrase"].strip().lower())


def with_most(
    records: Sequence[Record], count: Callable[[Record], Sequence[Entity]]
) -> list[Record]:
    """Returns a few samples with most of what `count` finds in them, such as `missed`."""
    some = [r for r in records if count(r)]
    return sorted(some, key=lambda r: -len(count(r)))[:_PER_GROUP]


def followed(records: Sequence[Record]) -> list[Record]:
    """Picks a handful from first to last, the same ones at every evaluation of the same data."""
    places = np.linspace(0, len(records) - 1, min(_FOLLOWED, len(records)))
    return [records[round(i)] for i in places]


def groups(records: Sequence[Record], kind: spec_lib.Type) -> dict[str, list[Record]]:
    """Returns the samples that are looked at, in groups, as the class of the evaluator says.

    Args:
        records: of all samples.
        kind: type of the evaluator; one that cannot be imported has no groups.
    """
    return spec_lib.class_of(kind).groups(records)


def illustrated(records: Sequence[Record], kind: spec_lib.Type) -> list[Record]:
    """Returns all samples of which a page or TensorBoard may show the image.

    Args:
        records: of all samples.
        kind: type of the evaluator; of one without groups only those that are followed.
    """
    chosen = followed(records) + sum(groups(records, kind).values(), [])
    return list({r["index"]: r for r in chosen}.values())


def overlay(record: Record, pixels: np.ndarray) -> Image.Image:
    """Draws a sample's reference and predicted boxes, or masks, on its image.

    Args:
        record: the sample.
        pixels: of `draw.seen`, of the size that the boxes are in.
    """
    boxes = record["boxes"]
    marks = [_mark(draw.reference, e) for e in boxes["reference"] if is_drawn(e)]
    marks += [_mark(draw.prediction, e) for e in boxes["prediction"] if is_drawn(e)]
    return draw.overlay(draw.displayable(pixels), marks)


def overlays(evals: Mapping[str, spec_lib.Statement]) -> Iterator[tuple[str, Image.Image]]:
    """Yields (tag, picture) of the samples that are followed from evaluation to evaluation.

    Args:
        evals: name -> evaluator that has run; only those that point at something are drawn.
    """
    for name, evaluator in evals.items():
        if not evaluator.points:
            continue
        for record in followed(evaluator.records):
            if record["index"] in evaluator.pixels:
                picture = overlay(record, evaluator.pixels[record["index"]])
                yield f"{name}/sample_{record['index']}", picture


def is_drawn(entity: Entity) -> bool:
    """Returns whether an entity has a place: a model can write inverted boxes, and blank masks."""
    box = entity["box_pixels"]
    return box is not None and box[0] < box[2] and box[1] < box[3]


def label(entity: Entity) -> str:
    """Returns the name beside an entity's box: of its class, or what was written."""
    return (entity["class_name"] or entity["phrase"]).replace("_", " ")[:32]


def _mark(make: Callable[..., draw.Mark], entity: Entity) -> draw.Mark:
    mark = make(entity["box_pixels"], label(entity))
    runs = entity.get("mask")
    return mark if runs is None else dataclasses.replace(mark, mask=masks.from_runs(runs))


def without_nan(x: object) -> object:
    """Returns nested values as strict JSON takes them: NaN and infinities become None."""
    if isinstance(x, dict):
        return {k: without_nan(v) for k, v in x.items()}
    if isinstance(x, list | tuple):
        return [without_nan(v) for v in x]
    if isinstance(x, np.generic):
        x = x.item()
    return None if isinstance(x, float) and not math.isfinite(x) else x
