"""The samples of an evaluation: their files, the choice of samples to show, and their pictures.

For each evaluator, `<name>.jsonl` has one line for each sample, and `<name>.npz` has the images of
the samples that pages show, so that a run directory can be viewed without its dataset.
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

_FIELDS = ("id", "scores")  # The fields that every reader needs.
# The present names of scores in the records of earlier versions, which do not name their image.
_RENAMED = {"accuracy": "accuracy_published", "recall": "recall_published"}
_PER_GROUP = 3
_FOLLOWED = 4  # The number of samples that are shown at every evaluation, see `followed`.


def write(
    folder: str | pathlib.Path,
    name: str,
    records: Sequence[Record],
    pixels: Mapping[int, np.ndarray],
) -> None:
    """Writes the samples files of an evaluator, each of them atomically.

    Args:
        folder: the folder of the files, which is made if it is missing.
        name: the name of the evaluator.
        records: the records of its samples, see `base.Evaluator`.
        pixels: index of a sample -> the image that the model saw, see `draw.seen`; if it is empty,
            no npz is written.
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
    """Reads the samples files of an evaluator.

    Records of earlier versions have accuracy and recall in their published forms only, under the
    names "accuracy" and "recall". These scores are renamed to `accuracy_published` and
    `recall_published`, so that the two forms are never compared.

    Args:
        folder: the folder of the files.
        name: the name of the evaluator.

    Returns:
        The records, and index of a sample -> its image; each is empty if its file is missing.

    Raises:
        ValueError: a file is broken.
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
    """Returns the id of a sample's own image, which is the same for all questions about it."""
    if "image" in record:
        return str(record["image"])
    # Records of earlier versions have only the question's id, "<image>#<number of the text>".
    image, mark, number = str(record["id"]).rpartition("#")
    return image if mark and number.isdigit() else str(record["id"])


def subject_of(record: Record) -> Hashable:
    """Returns the patient of a sample, as a key that is equal for samples of one patient.

    It is a running number; in records of earlier versions it is the id of the image.
    """
    number = record.get("subject")
    return image_of(record) if number is None else number


def choose(
    records: Sequence[Record], score: str, per_group: int = _PER_GROUP, seed: int = 0
) -> dict[str, list[Record]]:
    """Chooses the best and the worst samples by a score, and random ones among the rest.

    Args:
        records: the records of all samples.
        score: the name of the score; a high value counts as good.
        per_group: the maximum number of samples in each group.
        seed: the seed of the random choice.

    Returns:
        The groups "worst", "best" and "random", which have no sample in common. Samples without
        the score can only be in "random". If all samples have the same score, none is the best or
        the worst, and "random" has three times as many.
    """
    scored = [r for r in records if r["scores"].get(score) is not None]
    ranked = sorted(scored, key=lambda r: -r["scores"][score])  # Ties stay in the data's order.
    tied = bool(ranked) and ranked[0]["scores"][score] == ranked[-1]["scores"][score]
    ranked = [] if tied else ranked
    best = ranked[: min(per_group, (len(ranked) + 1) // 2)]
    worst = [r for r in ranked[len(best) :][::-1][:per_group]]
    used = {r["index"] for r in best + worst}
    rest = [r for r in records if r["index"] not in used]
    order = np.random.default_rng(seed).permutation(len(rest))[: per_group * (3 if tied else 1)]
    return {"worst": worst, "best": best, "random": [rest[i] for i in sorted(order)]}


def right_and_wrong(
    records: Sequence[Record], per_group: int = _PER_GROUP, seed: int = 0
) -> dict[str, list[Record]]:
    """Chooses wrong and right answers at random.

    Args:
        records: the records of all samples.
        per_group: half the maximum number of samples in each group.
        seed: the seed of the random choice.

    Returns:
        The groups "wrong" and "right", each with at most 2 * `per_group` samples.
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
    """Returns the predicted entities whose class does not occur in the reference."""
    return _without_counterpart(record, "prediction", "reference")


def missed(record: Record) -> list[Entity]:
    """Returns the entities of the reference whose class does not occur in the prediction."""
    return _without_counterpart(record, "reference", "prediction")


def _without_counterpart(record: Record, role: str, other: str) -> list[Entity]:
    there = {class_of(e) for e in record["boxes"][other]}
    return [e for e in record["boxes"][role] if class_of(e) not in there]


def class_of(entity: Entity) -> int | str:
    """Returns the class id of an entity, or its phrase if it has no class.

    The phrase is in lower case and in Unicode's NFC form, so that spellings can be compared.
    """
    return entity["class_id"] or nfc(entity["phrase"].strip().lower())


def with_most(
    records: Sequence[Record], count: Callable[[Record], Sequence[Entity]]
) -> list[Record]:
    """Returns the few samples in which `count` finds the most entities.

    Args:
        records: the records of all samples.
        count: a function that returns the entities to count, such as `missed`.
    """
    some = [r for r in records if count(r)]
    return sorted(some, key=lambda r: -len(count(r)))[:_PER_GROUP]


def followed(records: Sequence[Record]) -> list[Record]:
    """Returns a few evenly spaced samples, the same ones at every evaluation of the same data."""
    places = np.linspace(0, len(records) - 1, min(_FOLLOWED, len(records)))
    return [records[round(i)] for i in places]


def groups(records: Sequence[Record], kind: spec_lib.Type) -> dict[str, list[Record]]:
    """Returns the samples that pages show, in groups by name, as the class chooses them.

    Args:
        records: the records of all samples.
        kind: the type of the evaluator; a type that cannot be imported has no groups.
    """
    return spec_lib.class_of(kind).groups(records)


def illustrated(records: Sequence[Record], kind: spec_lib.Type) -> list[Record]:
    """Returns all samples whose image a page or TensorBoard may show.

    Args:
        records: the records of all samples.
        kind: the type of the evaluator; if it has no groups, only the `followed` samples are shown.
    """
    chosen = followed(records) + sum(groups(records, kind).values(), [])
    return list({r["index"]: r for r in chosen}.values())


def overlay(record: Record, pixels: np.ndarray) -> Image.Image:
    """Draws the boxes or masks of the reference and of the prediction on the image of a sample.

    Args:
        record: the record of the sample.
        pixels: its image from `draw.seen`; `box_pixels` refer to its size.
    """
    boxes = record["boxes"]
    marks = [_mark(draw.reference, e) for e in boxes["reference"] if is_drawn(e)]
    marks += [_mark(draw.prediction, e) for e in boxes["prediction"] if is_drawn(e)]
    return draw.overlay(draw.displayable(pixels), marks)


def overlays(evals: Mapping[str, spec_lib.Statement]) -> Iterator[tuple[str, Image.Image]]:
    """Yields (tag, picture) for the `followed` samples of evaluators, for TensorBoard.

    Args:
        evals: name -> evaluator that has run. Evaluators whose answers do not point at places
            (`spec.Statement.points`) are skipped.
    """
    for name, evaluator in evals.items():
        if not evaluator.points:
            continue
        for record in followed(evaluator.records):
            if record["index"] in evaluator.pixels:
                picture = overlay(record, evaluator.pixels[record["index"]])
                yield f"{name}/sample_{record['index']}", picture


def is_drawn(entity: Entity) -> bool:
    """Returns whether an entity can be drawn: its box is not inverted and its mask not blank."""
    box = entity["box_pixels"]
    return box is not None and box[0] < box[2] and box[1] < box[3]


def label(entity: Entity) -> str:
    """Returns the label of an entity's box: the name of its class, or else its phrase."""
    return (entity["class_name"] or entity["phrase"]).replace("_", " ")[:32]


def _mark(make: Callable[..., draw.Mark], entity: Entity) -> draw.Mark:
    mark = make(entity["box_pixels"], label(entity))
    runs = entity.get("mask")
    return mark if runs is None else dataclasses.replace(mark, mask=masks.from_runs(runs))


def without_nan(x: object) -> object:
    """Returns nested values for strict JSON, with None in the place of NaN and infinities."""
    if isinstance(x, dict):
        return {k: without_nan(v) for k, v in x.items()}
    if isinstance(x, list | tuple):
        return [without_nan(v) for v in x]
    if isinstance(x, np.generic):
        x = x.item()
    return None if isinstance(x, float) and not math.isfinite(x) else x
