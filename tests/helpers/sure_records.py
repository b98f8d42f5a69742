"""Records of an evaluation whose answers and entities have a confidence, without a model."""

import numpy as np

from big_rad.evaluators import confidence
from big_rad.evaluators import summary as summaries

BOOTSTRAP = {"by": "patient", "resamples": 200, "seed": 0}


def sure(kind, score, calibrated=None, token=0.9):
    """Returns a confidence."""
    return {"kind": kind, "features": {"mean_token": token}, "score": score,
            "calibrated": calibrated}  # fmt: skip


def record(i, *, patient=None, lang="en", accuracy=None, answer=None, entities=()):
    """Returns a record.

    Args:
        i: its index; each record has an image of its own.
        patient: the number of its patient; None gives it one of its own.
        lang: the language.
        accuracy: the accuracy of the answer; None scores none.
        answer: the confidence of the answer.
        entities: (confidence, IoU or None) of each predicted box.
    """
    made = []
    for given, iou in entities:
        entity = {"phrase": "liver", "class_id": 1, "class_name": "liver", "box": [0, 0, 1, 1],
                  "box_pixels": [0, 0, 9, 9], "span": [0, 5], "confidence": given}  # fmt: skip
        made.append(entity | ({} if iou is None else {"iou": iou}))
    found = {
        "index": i, "id": f"s{i}", "image": f"s{i}", "subject": i if patient is None else patient,
        "lang": lang, "scores": {} if accuracy is None else {"accuracy": accuracy},
        "boxes": {"reference": [], "prediction": made},
    }  # fmt: skip
    return found if answer is None else found | {"confidence": answer}


def answers(n, *, kind="yes_no", patients=None, calibrated=True, seed=0, langs=("en",)):
    """Returns records of answers that are right with the probability of their confidence."""
    rng = np.random.default_rng(seed)
    found = []
    for i in range(n):
        p = float(rng.beta(2, 1.5))
        given = sure(kind, p**0.5, p) if calibrated else sure(kind, p)
        right = float(rng.random() < p)
        patient = None if patients is None else i % patients
        lang = langs[i % len(langs)]
        found.append(record(i, patient=patient, lang=lang, accuracy=right, answer=given))
    return found


def boxes(values, outcomes, *, kind="box", first=0):
    """Returns records with one box each, with these calibrated confidences and IoUs."""
    return [
        record(first + i, entities=[(sure(kind, 0.5, v), y)], answer=sure("text", 0.5))
        for i, (v, y) in enumerate(zip(values, outcomes, strict=True))
    ]


def entry(records, control="none", kind="vqa", bootstrap=BOOTSTRAP, **fields):
    """Returns the entry of a summary, as far as confidence is concerned."""
    people = [r["subject"] for r in records]
    asked = {"type": kind, "builder": "phantom", "split": "test"}
    asked |= {} if control == "none" else {"control": control}
    found = {
        "type": kind, "dataset": "phantom", "split": "test", "control": control, "asked": asked,
        "n": len(records), "sha256": "0" * 64, "unnamed": 0, "subjects": len(set(people)),
        "metrics": {}, "bootstrap": bootstrap,
        "intervals": summaries.intervals(records, people, 50, points=False),
    }  # fmt: skip
    report = confidence.report(records, people, bootstrap)
    return found | ({} if report is None else {"confidence": report}) | fields


def summary(records, bootstrap=BOOTSTRAP):
    """Returns a summary. Names that end in "_blank" are the controls of the others.

    Args:
        records: name of the evaluator -> its records. Names that begin with "report" are grounded.
        bootstrap: how intervals are computed.
    """
    evals = {
        name: entry(
            found,
            "blank" if name.endswith("_blank") else "none",
            "grounded" if name.startswith("report") else "vqa",
            bootstrap,
        )
        for name, found in records.items()
    }
    evals = confidence.with_blanks(evals, lambda name: records[name])
    return {"checkpoint": "none", "step": None, "revision": None, "device": "cpu",
            "left_out": {}, "unfinished": [], **bootstrap, "evals": evals}  # fmt: skip
