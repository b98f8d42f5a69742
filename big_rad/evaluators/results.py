"""The folder of an evaluation: which of its results still hold when it is evaluated again.

`results/<name>.json` has the metrics of an evaluator under a key of checkpoint, questions, options
and version of the metrics. `summary.json` has an entry an evaluator; those that are not asked for
again stay in it for as long as they are of the same checkpoint. Knows no model.
"""

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from big_rad import metrics
from big_rad.evaluators import data as eval_data
from big_rad.evaluators import samples as sample_files
from big_rad.evaluators import spec as specs
from big_rad.evaluators import summary as summaries

Entry = dict[str, Any]
_RECORDS = 3  # what records hold; those of another number are asked for again
_NOT_ASKED = ("every", "sha256")  # fields of an evaluator that change neither question nor score


@dataclasses.dataclass(frozen=True)
class Asked:
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


def asked(
    name: str,
    spec: Mapping[str, Any],
    data: eval_data.EvalData,
    mark: str,
    log: Callable[[str], None] = print,
) -> Asked:
    """Returns what an evaluator asks, and says it.

    Args:
        name: of the evaluator.
        spec: its entry of `config.evals`.
        data: its data.
        mark: fingerprint of the checkpoint.
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
    whole = json.dumps([_RECORDS, fields, digest, mark], sort_keys=True)
    question = hashlib.sha256(whole.encode()).hexdigest()
    return Asked(json.loads(json.dumps(fields)), digest, question)


def described(
    what: Asked, data: eval_data.EvalData, records: Sequence[sample_files.Record]
) -> Entry:
    """Returns the part of a summary's entry that says what was asked."""
    spec = what.spec
    return {
        "type": spec["type"],
        "dataset": spec["builder"],
        "builder_args": spec.get("builder_args") or {},
        "split": spec["split"],
        "control": specs.control_of(spec),
        "n": len(data),
        "images": len({sample_files.image_of(r) for r in records}),
        "subjects": len(set(data.patients())),
        "unnamed": data.unnamed(),
        "sha256": what.sha256,
        "metrics_version": metrics.VERSION,
        "asked": spec,
        "question": what.question,
    }


def known(out: pathlib.Path, name: str, key: str) -> dict[str, Any] | None:
    """Returns the result of an evaluator if it is kept under that key, else None."""
    try:
        found = json.loads(path_of(out, name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if found.get("key") == key else None


def path_of(out: pathlib.Path, name: str) -> pathlib.Path:
    """Returns where the result of an evaluator lies."""
    return out / "results" / f"{name}.json"


def samples(
    out: pathlib.Path, name: str, log: Callable[[str], None] = print
) -> tuple[list[sample_files.Record], dict[int, Any]]:
    """Returns the samples of an evaluator, see `samples.read`; none where they are broken."""
    try:
        return sample_files.read(out / "samples", name)
    except ValueError as e:
        log(f"{e}: it is evaluated again")
        return [], {}


def beside(
    out: pathlib.Path,
    mark: str,
    now: Mapping[str, Asked],
    left_out: Mapping[str, str],
    log: Callable[[str], None] = print,
) -> dict[str, Entry]:
    """Returns the entries of the folder's summary that still hold, and says which do not.

    Args:
        out: the folder.
        mark: fingerprint of the checkpoint.
        now: name -> what is asked this time.
        left_out: names that have nothing to ask this time.
        log: receives a line for each reason why entries are dropped, and one for those that stay.
    """
    kept, dropped = still_hold(_summary(out, log), out, mark, now)
    for name in left_out:
        if kept.pop(name, None):
            dropped[name] = "there is nothing to ask any longer"
    for why in dict.fromkeys(dropped.values()):
        names = [n for n, x in dropped.items() if x == why]
        log(f"earlier results that do not stay: {', '.join(names)} ({why})")
    if stay := [n for n in kept if n not in now]:
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
    summary: Mapping[str, Any], out: pathlib.Path, mark: str, now: Mapping[str, Asked]
) -> tuple[dict[str, Entry], dict[str, str]]:
    """Returns the entries of an earlier summary that belong beside those of `now`.

    An entry holds if it is of the same checkpoint and version of the metrics, and its result and
    samples lie in the folder. A control also needs the real images of the same questions and
    options, in `now` or among the entries that hold.

    Args:
        summary: that lies in the folder.
        out: the folder.
        mark: fingerprint of the checkpoint.
        now: name -> what is asked this time.

    Returns:
        (name -> entry of those that hold, name -> why an other does not). Entries of `now` hold if
        they are the answer to what is asked.
    """
    kept: dict[str, Entry] = {}
    dropped: dict[str, str] = {}
    for name, entry in summary["evals"].items():
        why = "it is of another checkpoint, or its files have changed since"
        if summary.get("fingerprint") == mark:
            why = _changed(name, entry, out, now.get(name))
        if why:
            dropped[name] = why
        else:
            kept[name] = entry
    real = {_same(x.spec, x.sha256) for x in now.values() if specs.control_of(x.spec) == "none"}
    real |= {
        _same(e["asked"], e["sha256"])
        for e in kept.values()
        if specs.control_of(e["asked"]) == "none"
    }
    for name, entry in list(kept.items()):
        if (
            specs.control_of(entry["asked"]) != "none"
            and _same(entry["asked"], entry["sha256"]) not in real
        ):
            del kept[name]
            dropped[name] = "the real images are asked other questions, or with other options, now"
    return kept, dropped


def with_intervals(
    entry: Entry, name: str, out: pathlib.Path, by: str, resamples: int, seed: int
) -> Entry:
    """Returns an entry with intervals as they are asked for now.

    Args:
        entry: that holds.
        name: of its evaluator.
        out: the folder.
        by, resamples, seed: see `summary.clusters` and `summary.intervals`.
    """
    bootstrap = {"by": by, "resamples": resamples, "seed": seed}
    if entry.get("bootstrap") == bootstrap:
        return entry
    records, _ = sample_files.read(out / "samples", name)
    of = summaries.clusters(records, by, [sample_files.subject_of(r) for r in records])
    points = specs.of(entry["asked"]["type"]).points
    found = summaries.intervals(records, of, resamples, seed, points)
    return {**entry, "intervals": found, "bootstrap": bootstrap}


def _changed(name: str, entry: Entry, out: pathlib.Path, now: Asked | None) -> str:
    # Why an entry of the same checkpoint does not hold; "" if it does.
    if not entry.get("asked") or not entry.get("question"):
        return "an earlier version wrote it, which did not note what was asked"
    if entry.get("metrics_version") != metrics.VERSION:
        return f"its scores are of version {entry.get('metrics_version')} of the metrics"
    if now is not None and now.question != entry["question"]:
        return "other questions or options are asked now"
    if known(out, name, f"{entry['question']}-{metrics.VERSION}") is None:
        return f"its result is not in {path_of(out, name)}"
    try:
        records, _ = sample_files.read(out / "samples", name)
    except ValueError as e:
        return str(e)
    return "" if records else "its samples are gone"


def _same(spec: Mapping[str, Any], digest: str) -> str:
    # Equal exactly for the same questions with whatever images.
    rest = {k: v for k, v in spec.items() if k != "control"}
    return json.dumps([rest, digest], sort_keys=True)
