"""Applies the calibration of a checkpoint to the confidences in records."""

from collections.abc import Iterator, Sequence

from big_rad.evaluators import spec as spec_lib
from big_rad.evaluators.records import Confidence, Record
from big_rad.inference.calibration import Calibration


def apply(
    records: Sequence[Record], calibration: Calibration | None, cls: type[spec_lib.Statement]
) -> bool:
    """Writes the calibrated scores of a calibration into records, or takes them out.

    The words of a report are never calibrated, because nobody has said which of them are right.

    Args:
        records: the records of an evaluator, which are changed in place.
        calibration: the calibration of the checkpoint; None leaves no score calibrated.
        cls: the class of the evaluator.

    Returns:
        Whether anything has changed.
    """
    changed = False
    for lang, said in _confidences(records):
        value = None
        if calibration is not None and (said["kind"] != "text" or cls.task == "vqa"):
            value = calibration.apply(said["kind"], lang, said["features"])
        value = None if value is None else round(value, 6)
        changed |= value != said["calibrated"]
        said["calibrated"] = value
    return changed


def _confidences(records: Sequence[Record]) -> Iterator[tuple[str, Confidence]]:
    # The language and the confidence of each answer and each predicted entity that has one.
    for record in records:
        entities = (record.get("boxes") or {}).get("prediction", ())
        for holder in (record, *entities):
            said = holder.get("confidence")
            if said:
                yield record.get("lang", ""), said
