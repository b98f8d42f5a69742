"""The folder of an evaluation: which of its results still hold when it is evaluated again.

`results/<name>.json` has the metrics of an evaluator under a key of checkpoint, questions, options
and version of the metrics. `summary.json` has an entry an evaluator; those that are not asked for
again stay in it for as long as they are of the same checkpoint. Knows no model.
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
from big_rad.evaluators import data as eval_data
from big_rad.evaluators import grading, identity
from big_rad.evaluators import samples as sample_files
from big_rad.evaluators import spec as spec_lib
from big_rad.evaluators import summary as summaries
from big_rad.evaluators.records import Bootstrap, Entry, Intervals, Record, Result, Summary
from big_rad.workdir import info as run_info

_RECORDS = 3  # what records hold; those of another number are asked for again
_NOT_ASKED = ("every", "sha256")  # fields of an evaluator that change neither question nor score


@dataclasses.dataclass(frozen=True)
class QuestionSet:
    """What an evaluator asks a checkpoint.

    Attributes:
        spec: its entry of `config.evals` as JSON has it, without what does not change a score.
        sha256: of its questions and references, see `data.EvalData.sha256`.
        question: a hash of both, and of the checkpoint.
    """

    spec: dict[str, Any]
    sha256: str
    question: str

    @property
    def key(self) -> str:
        """What a result is kept under."""
        return f"{self.question}-{metrics.VERSION}"


def question_sets(
    specs: Mapping[str, Mapping[str, Any]],
    opened: Mapping[str, eval_data.EvalData],
    data_dir: str,
    fingerprint: str,
    log: Callable[[str], None] = print,
) -> dict[str, QuestionSet]:
    """Returns name -> what each evaluator asks, and checks its options.

    Args:
        specs: name -> entry of `config.evals`.
        opened: name -> data of those that can run, see `possible.Opened`.
        data_dir: where the built datasets lie.
        fingerprint: of the checkpoint.
        log: see `question_set`.

    Raises:
        ValueError: an option that does not fit, or data that are not those that the config names.
    """
    found = {}
    for name, data in opened.items():
        spec = specs[name]
        # Made without a model: what its options lack is an error now.
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
    """Returns what an evaluator asks, and says it.

    Args:
        name: of the evaluator.
        spec: its entry of `config.evals`.
        data: its data.
        fingerprint: of the checkpoint.
        log: receives number and sha256 of the questions.

    Raises:
        ValueError: the config names another sha256.
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
    """Returns a summary's entry of an evaluator.

    Args:
        questions: what it asked.
        data: its data.
        records: of its samples.
        result: what it yielded.
        grades: of a judge.
        bootstrap: how intervals are made.
    """
    spec = questions.spec
    clusters = summaries.clusters(records, bootstrap["by"], data.patients())
    return {
        "type": spec["type"],
        "dataset": spec["builder"],
        "builder_args": spec.get("builder_args") or {},
        "split": spec["split"],
        "control": spec_lib.control_of(spec),
        "n": len(data),
        "images": len({sample_files.image_of(r) for r in records}),
        "subjects": len(set(data.patients())),
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
        checkpoint: as it was named.
        identified: which one it was.
        evals: name -> entry.
        unfinished: names of evaluators that were asked for and have no entry.
        left_out: name -> why, of those that have nothing to ask.
        bootstrap: how intervals are made.
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
    """Returns the result of an evaluator if it is kept under that key, else None."""
    try:
        found = json.loads(path_of(out, name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if found.get("key") == key else None


def write_result(out: pathlib.Path, name: str, result: Result) -> None:
    """Writes the result of an evaluator, whole or not at all."""
    content = json.dumps(sample_files.without_nan(result), indent=1)
    files.write_whole(path_of(out, name), content)


def path_of(out: pathlib.Path, name: str) -> pathlib.Path:
    """Returns where the result of an evaluator lies."""
    return out / "results" / f"{name}.json"


def read_samples(
    out: pathlib.Path, name: str, log: Callable[[str], None] = print
) -> tuple[list[Record], dict[int, np.ndarray]]:
    """Returns the samples of an evaluator, see `samples.read`; none where they are broken."""
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
    """Returns the entries of the folder's summary that still hold, and says which do not.

    Args:
        out: the folder.
        fingerprint: of the checkpoint.
        questions: name -> what is asked this time.
        left_out: names that have nothing to ask this time.
        log: receives a line for each reason why entries are dropped, and one for those that stay.
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
    # The one that lies there; one without entries if there is none.
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
    """Returns the entries of an earlier summary that belong beside those of `questions`.

    An entry holds if it is of the same checkpoint and version of the metrics, and its result and
    samples lie in the folder. A control also needs the real images of the same questions and
    options, in `questions` or among the entries that hold.

    Args:
        summary: that lies in the folder.
        out: the folder.
        fingerprint: of the checkpoint.
        questions: name -> what is asked this time.

    Returns:
        (name -> entry of those that hold, name -> why another does not). Entries of `questions`
        hold if they are the answer to what is asked.
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
        _questions_key(x.spec, x.sha256)
        for x in questions.values()
        if spec_lib.control_of(x.spec) == "none"
    }
    real |= {
        _questions_key(e["asked"], e["sha256"])
        for e in kept.values()
        if spec_lib.control_of(e["asked"]) == "none"
    }
    for name, entry in list(kept.items()):
        if (
            spec_lib.control_of(entry["asked"]) != "none"
            and _questions_key(entry["asked"], entry["sha256"]) not in real
        ):
            del kept[name]
            dropped[name] = "the real images are asked other questions, or with other options, now"
    return kept, dropped


def with_intervals(entry: Entry, name: str, out: pathlib.Path, bootstrap: Bootstrap) -> Entry:
    """Returns an entry with intervals as they are asked for now.

    Args:
        entry: that holds.
        name: of its evaluator.
        out: the folder.
        bootstrap: how intervals are made now.
    """
    if entry.get("bootstrap") == bootstrap:
        return entry
    records, _ = sample_files.read(out / "samples", name)
    subjects = [sample_files.subject_of(r) for r in records]
    clusters = summaries.clusters(records, bootstrap["by"], subjects)
    found = _intervals(entry["asked"]["type"], records, clusters, bootstrap)
    return {**entry, "intervals": found, "bootstrap": bootstrap}


def _intervals(
    kind: str,
    records: Sequence[Record],
    clusters: Sequence[Hashable] | None,
    bootstrap: Bootstrap,
) -> Intervals:
    points = spec_lib.class_of(kind).points
    return summaries.intervals(records, clusters, bootstrap["resamples"], bootstrap["seed"], points)


def _changed(name: str, entry: Entry, out: pathlib.Path, questions: QuestionSet | None) -> str:
    # Why an entry of the same checkpoint does not hold; "" if it does.
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


def _questions_key(spec: Mapping[str, Any], digest: str) -> str:
    # Equal exactly for the same questions with whatever images.
    rest = {k: v for k, v in spec.items() if k != "control"}
    return json.dumps([rest, digest], sort_keys=True)
