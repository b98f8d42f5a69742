"""Reads and writes the results of an evaluation, and decides which earlier results still hold.

`results/<name>.json` has the metrics of one evaluator, and a key of checkpoint, questions, options
and version of the metrics. A result with the same key is used again instead of running the
evaluator. `summary.json` has one entry for each evaluator. When a later command evaluates other
evaluators into the same folder, the earlier entries stay in the summary as long as they still hold
(see `still_hold`).
"""

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from big_rad import evaluators, files, metrics
from big_rad.evaluators import calibrated, confidence, grading, identity
from big_rad.evaluators import data as eval_data
from big_rad.evaluators import samples as sample_files
from big_rad.evaluators import spec as spec_lib
from big_rad.evaluators import summary as summaries
from big_rad.evaluators.records import (
    Bootstrap,
    ConfidenceReport,
    Entry,
    Intervals,
    Record,
    Result,
    Summary,
)
from big_rad.inference.calibration import Calibration
from big_rad.workdir import info as run_info

_RECORDS = 4  # The version of the content of records; those of another version are made again.
_NOT_ASKED = ("every", "sha256")  # Fields of an entry that change neither questions nor scores.


@dataclasses.dataclass(frozen=True)
class QuestionSet:
    """The questions that an evaluator asks a checkpoint, with its options.

    Attributes:
        spec: its entry of `config.evals` as read from JSON, without the fields that change neither
            questions nor scores.
        sha256: the hash of its questions and references, see `data.EvalData.sha256`.
        question: a hash of `spec`, of `sha256` and of the checkpoint.
    """

    spec: dict[str, Any]
    sha256: str
    question: str

    @property
    def key(self) -> str:
        """The key of a result: it changes with `question` and with the version of the metrics."""
        return f"{self.question}-{metrics.VERSION}"


def question_sets(
    specs: Mapping[str, Mapping[str, Any]],
    opened: Mapping[str, eval_data.EvalData],
    data_dir: str,
    fingerprint: str,
    log: Callable[[str], None] = print,
) -> dict[str, QuestionSet]:
    """Returns the question set of each evaluator by name, and checks the options of each.

    Args:
        specs: name -> entry of `config.evals`.
        opened: name -> data of each evaluator that can run, see `possible.Opened`.
        data_dir: the folder of the built datasets.
        fingerprint: the fingerprint of the checkpoint, see `identity.Identity`.
        log: see `question_set`.

    Raises:
        ValueError: an option does not fit, or the data do not have the hash that the config names.
    """
    found = {}
    for name, data in opened.items():
        spec = specs[name]
        # Building it, even without a model, raises the errors of wrong options now.
        evaluators.build(name, spec, predict_fns={}, tokenizer=None, data_dir=data_dir, data=data)
        found[name] = question_set(name, spec, data, fingerprint, log)
    return found


def question_set(
    name: str,
    spec: Mapping[str, Any],
    data: eval_data.EvalData,
    fingerprint: str,
    log: Callable[[str], None] = print,
) -> QuestionSet:
    """Returns the question set of one evaluator, and logs its size and its hash.

    Args:
        name: the name of the evaluator.
        spec: its entry of `config.evals`.
        data: its data.
        fingerprint: the fingerprint of the checkpoint, see `identity.Identity`.
        log: receives a line with the number of questions and their SHA-256, and another one if
            images have no patient.

    Raises:
        ValueError: the entry names another SHA-256.
    """
    digest = data.sha256()
    log(f"{name}: {spec['builder']} {spec['split']}, n={len(data)}, sha256 {digest}")
    if count := data.unnamed():
        log(f"{name}: {summaries.without_patients(count)}")
    wanted = spec.get("sha256")
    if wanted and not digest.startswith(wanted):
        raise ValueError(
            f"config.evals.{name}: {spec['builder']} {spec['split']} has sha256 {digest}, and the "
            f"config names {wanted}: these are other questions or references (another version of "
            f"the data{', another limit' * bool(spec.get('limit'))}?)"
        )
    fields = {k: v for k, v in spec.items() if k not in _NOT_ASKED}
    whole = json.dumps([_RECORDS, fields, digest, fingerprint], sort_keys=True)
    question = hashlib.sha256(whole.encode()).hexdigest()
    return QuestionSet(json.loads(json.dumps(fields)), digest, question)


def entry_of(
    questions: QuestionSet,
    data: eval_data.EvalData,
    records: Sequence[Record],
    result: Result,
    grades: grading.Grades,
    bootstrap: Bootstrap,
) -> Entry:
    """Returns the entry of an evaluator in the summary.

    Args:
        questions: its question set.
        data: its data.
        records: the records of its samples.
        result: its result.
        grades: the grades of its answers, empty without a judge.
        bootstrap: how intervals are computed.
    """
    spec = questions.spec
    patients = data.patients()
    subjects = [patients[r["index"]] for r in records]  # There may be items without a record.
    clusters = summaries.clusters(records, bootstrap["by"], subjects)
    return {
        "type": spec["type"],
        "dataset": spec["builder"],
        "builder_args": spec.get("builder_args") or {},
        "split": spec["split"],
        "control": spec_lib.control_of(spec),
        "n": len(records),
        "images": len({sample_files.image_of(r) for r in records}),
        "subjects": len(set(subjects)),
        "unnamed": data.unnamed(),
        "sha256": questions.sha256,
        "metrics_version": metrics.VERSION,
        "asked": spec,
        "question": questions.question,
        "metrics": {**result["metrics"], **grades.metrics},
        "intervals": _intervals(spec["type"], records, clusters, bootstrap),
        "bootstrap": bootstrap,
        "seconds": result["seconds"],
        "judge": grades.judge,
        **_confidence(records, subjects, bootstrap),
    }


def summary_of(
    checkpoint: str,
    identified: identity.Identity,
    evals: dict[str, Entry],
    unfinished: list[str],
    left_out: dict[str, str],
    bootstrap: Bootstrap,
) -> Summary:
    """Returns the summary of an evaluation on this machine.

    Args:
        checkpoint: the path of the checkpoint as the user gave it.
        identified: the identity of the checkpoint.
        evals: name -> entry.
        unfinished: the names of evaluators that were asked for and have no entry.
        left_out: name -> the reason, for each evaluator that could not run.
        bootstrap: how intervals are computed.
    """
    return {
        "checkpoint": checkpoint,
        "step": identified.step,
        "fingerprint": identified.fingerprint,
        "versions": run_info.versions(),
        "revision": run_info.revision(),
        "device": jax.devices()[0].device_kind,
        **bootstrap,
        "judge": ", ".join(sorted({e["judge"] for e in evals.values() if e["judge"]})) or None,
        "left_out": left_out,
        "unfinished": unfinished,
        "evals": evals,
    }


def read_result(out: pathlib.Path, name: str, key: str) -> Result | None:
    """Returns the result of an evaluator from folder `out`; None if its key is not `key`.

    A result that is missing or cannot be read is None as well.
    """
    try:
        found = json.loads(path_of(out, name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if found.get("key") == key else None


def write_result(out: pathlib.Path, name: str, result: Result) -> None:
    """Writes the result of an evaluator into folder `out`, atomically."""
    content = json.dumps(sample_files.without_nan(result), indent=1)
    files.write_whole(path_of(out, name), content)


def path_of(out: pathlib.Path, name: str) -> pathlib.Path:
    """Returns the path of an evaluator's result in folder `out`."""
    return out / "results" / f"{name}.json"


def read_samples(
    out: pathlib.Path, name: str, log: Callable[[str], None] = print
) -> tuple[list[Record], dict[int, np.ndarray]]:
    """Returns the samples of an evaluator, see `samples.read`; empty if a file is broken.

    Args:
        out: the folder of the evaluation.
        name: the name of the evaluator.
        log: receives a line if a file is broken.
    """
    try:
        return sample_files.read(out / "samples", name)
    except ValueError as e:
        log(f"{e}: it is evaluated again")
        return [], {}


def entries_that_stay(
    out: pathlib.Path,
    fingerprint: str,
    questions: Mapping[str, QuestionSet],
    left_out: Mapping[str, str],
    log: Callable[[str], None] = print,
) -> dict[str, Entry]:
    """Returns the entries of an earlier summary that still hold, and logs which are dropped.

    Args:
        out: the folder of the evaluation.
        fingerprint: the fingerprint of the checkpoint, see `identity.Identity`.
        questions: name -> question set of each evaluator that runs this time.
        left_out: name -> the reason, for each evaluator that cannot run this time.
        log: receives one line for each reason why entries are dropped, and one line that names the
            entries that stay.
    """
    kept, dropped = still_hold(_summary(out, log), out, fingerprint, questions)
    for name in left_out:
        if kept.pop(name, None):
            dropped[name] = "there is nothing to ask any longer"
    for why in dict.fromkeys(dropped.values()):
        names = [n for n, x in dropped.items() if x == why]
        log(f"earlier results that do not stay: {', '.join(names)} ({why})")
    if stay := [n for n in kept if n not in questions]:
        log(f"earlier results that stay in the summary and on the page: {', '.join(stay)}")
    return kept


def _summary(out: pathlib.Path, log: Callable[[str], None]) -> dict[str, Any]:
    # The summary in the folder; a summary without entries if the file is missing or broken.
    path = out / "summary.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if any(not isinstance(entry, dict) for entry in found["evals"].values()):
            raise ValueError("an entry is no object")
        return found
    except FileNotFoundError:
        pass
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as e:
        log(f"{path} is broken ({type(e).__name__}: {e}): what it held does not stay")
    return {"evals": {}}


def still_hold(
    summary: Mapping[str, Any],
    out: pathlib.Path,
    fingerprint: str,
    questions: Mapping[str, QuestionSet],
) -> tuple[dict[str, Entry], dict[str, str]]:
    """Divides the entries of an earlier summary into those that still hold and those that do not.

    An entry holds if it has the same checkpoint and the same version of the metrics, and if its
    result and its samples are in the folder. If the evaluator runs this time, its questions and
    options must be the same as well. The entry of a control holds only together with the evaluator
    that asks the same questions, with the same options, about the real images; that one runs this
    time or has an entry that holds.

    Args:
        summary: the summary in the folder.
        out: the folder of the evaluation.
        fingerprint: the fingerprint of the checkpoint, see `identity.Identity`.
        questions: name -> question set of each evaluator that runs this time.

    Returns:
        Two dicts: name -> entry that holds, and name -> the reason why an entry does not hold.
    """
    kept: dict[str, Entry] = {}
    dropped: dict[str, str] = {}
    for name, entry in summary["evals"].items():
        why = "it is of another checkpoint, or its files have changed since"
        if summary.get("fingerprint") == fingerprint:
            why = _changed(name, entry, out, questions.get(name))
        if why:
            dropped[name] = why
        else:
            kept[name] = entry
    real = {
        spec_lib.questions_key(x.spec, x.sha256)
        for x in questions.values()
        if spec_lib.control_of(x.spec) == "none"
    }
    real |= {
        spec_lib.questions_key(e["asked"], e["sha256"])
        for e in kept.values()
        if spec_lib.control_of(e["asked"]) == "none"
    }
    for name, entry in list(kept.items()):
        if (
            spec_lib.control_of(entry["asked"]) != "none"
            and spec_lib.questions_key(entry["asked"], entry["sha256"]) not in real
        ):
            del kept[name]
            dropped[name] = "the real images are asked other questions, or with other options, now"
    return kept, dropped


def with_intervals(
    entry: Entry,
    name: str,
    out: pathlib.Path,
    bootstrap: Bootstrap,
    calibration: Calibration | None = None,
) -> Entry:
    """Returns an entry with its intervals computed again, if their way or the calibration is new.

    Args:
        entry: an entry that holds.
        name: the name of its evaluator.
        out: the folder of the evaluation.
        bootstrap: how intervals are computed this time.
        calibration: the calibration of the checkpoint, which is applied to the samples file; None
            leaves confidences uncalibrated.
    """
    records, pixels = sample_files.read(out / "samples", name)
    cls = spec_lib.class_of(entry["asked"]["type"])
    if calibrated.apply(records, calibration, cls):
        sample_files.write(out / "samples", name, records, pixels)
    elif entry.get("bootstrap") == bootstrap:
        return entry
    subjects = [sample_files.subject_of(r) for r in records]
    clusters = summaries.clusters(records, bootstrap["by"], subjects)
    found = _intervals(entry["asked"]["type"], records, clusters, bootstrap)
    sure = _confidence(records, subjects, bootstrap)
    return {**entry, "intervals": found, "bootstrap": bootstrap, **sure}


def _confidence(
    records: Sequence[Record], subjects: Sequence[Hashable], bootstrap: Bootstrap
) -> dict[str, ConfidenceReport]:
    found = confidence.report(records, subjects, bootstrap)
    return {} if found is None else {"confidence": found}


def _intervals(
    kind: str,
    records: Sequence[Record],
    clusters: Sequence[Hashable] | None,
    bootstrap: Bootstrap,
) -> Intervals:
    cls, resamples, seed = spec_lib.class_of(kind), bootstrap["resamples"], bootstrap["seed"]
    found = summaries.intervals(records, clusters, resamples, seed, cls.points)
    alone = range(len(records)) if clusters is None else clusters
    found[""] |= cls.resampled(records, alone, resamples, seed)
    return found


def _changed(name: str, entry: Entry, out: pathlib.Path, questions: QuestionSet | None) -> str:
    # The reason why an entry of the same checkpoint does not hold; "" if it holds.
    if not entry.get("asked") or not entry.get("question"):
        return "an earlier version wrote it, which did not note what was asked"
    if entry.get("metrics_version") != metrics.VERSION:
        return f"its scores are of version {entry.get('metrics_version')} of the metrics"
    if questions is not None and questions.question != entry["question"]:
        return "other questions or options are asked now"
    if read_result(out, name, f"{entry['question']}-{metrics.VERSION}") is None:
        return f"its result is not in {path_of(out, name)}"
    try:
        records, _ = sample_files.read(out / "samples", name)
    except ValueError as e:
        return str(e)
    return "" if records else "its samples are gone"
