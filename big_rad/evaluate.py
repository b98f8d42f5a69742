"""Evaluates a checkpoint on datasets: samples, scores with intervals, a table and a page.

    python -m big_rad.evaluate --checkpoint=runs/demo
    python -m big_rad.evaluate --checkpoint=weights/radgrounder --data=slake+vqa_rad --controls

Without `--data` or `--config` the evaluators of the run's own config are used. If the command is
interrupted, the same command goes on from the answers that are already there.
"""

import argparse
import collections
import dataclasses
import functools
import json
import os
import pathlib
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ml_collections

from big_rad import evaluators, files, finetune, runtime, weights
from big_rad.config import companions
from big_rad.config import recipes as config_lib
from big_rad.datasets import unused_boxes
from big_rad.evaluators import (
    answer_cache,
    calibrated,
    confidence,
    confidence_text,
    controls,
    grading,
    identity,
    possible,
    results,
)
from big_rad.evaluators import functions as function_lib
from big_rad.evaluators import samples as sample_files
from big_rad.evaluators import spec as spec_lib
from big_rad.evaluators import summary as summaries
from big_rad.evaluators.judges import llm_score
from big_rad.evaluators.records import Bootstrap, Entry, Result, Summary
from big_rad.inference import calibration as calibration_lib
from big_rad.inference import load as load_lib
from big_rad.pages import evaluation as evaluation_page
from big_rad.pp import tokenizer as tokenizers
from big_rad.weights import source_config
from big_rad.workdir import run_dir

Log = Callable[[str], None]
_CONFIG = companions.folder("configs") / "evaluate.py"


@dataclasses.dataclass(frozen=True)
class Model:
    """A checkpoint that is loaded and ready to answer questions.

    Attributes:
        functions: the functions of the model, see `evaluators.functions.Functions`.
        params: its parameters, on the device.
        tokenizer: its tokenizer.
    """

    functions: Mapping[str, Callable[..., Any]]
    params: Mapping[str, Any]
    tokenizer: tokenizers.Tokenizer


@dataclasses.dataclass(frozen=True)
class Job:
    """The arguments of one evaluation.

    Attributes:
        config: a config with `evals` and with the fields `source_config.FIELDS` of the checkpoint.
        checkpoint: a run directory or one of its steps, a Hugging Face folder or an npz.
        data_dir: the folder of the built datasets.
        out: the folder of the results, which is made if it is missing.
        log: receives the lines of progress.
        by: the unit that is resampled for intervals, see `summary.BY`.
        resamples: the number of bootstrap resamples.
        seed: the seed of the bootstrap.
        judge: the judge that grades the answers about real images; None grades nothing.
        part_size: how many answers are written to disk together. At most this many answers are
            lost when the process is killed.
        calibrated: whether the calibration of the checkpoint is applied, if it has one.
    """

    config: ml_collections.ConfigDict
    checkpoint: str
    data_dir: str
    out: pathlib.Path
    log: Log = print
    by: str = "image"
    resamples: int = 10_000
    seed: int = 0
    judge: llm_score.Judge | None = None
    part_size: int = answer_cache.PART_SIZE
    calibrated: bool = True

    @property
    def bootstrap(self) -> Bootstrap:
        """How intervals are computed."""
        return {"by": self.by, "resamples": self.resamples, "seed": self.seed}


@dataclasses.dataclass
class _Run:
    # A job whose checkpoint and data have been checked.
    job: Job
    checkpoint: identity.Identity
    opened: possible.Opened
    questions: dict[str, results.QuestionSet]  # By name, in the order of the config.
    former: dict[str, Entry]  # The entries of the last summary that still hold, by name.
    calibration: calibration_lib.Calibration | None

    @functools.cached_property
    def model(self) -> Model:
        # Loaded for the first evaluator that has no result yet.
        if self.job.judge is not None:
            self.job.judge.probe()  # A judge that cannot answer is an error before the slow work.
        return load_model(self.job.config, self.job.checkpoint, self.job.log)


def evaluate(
    config: ml_collections.ConfigDict,
    checkpoint: str | pathlib.Path,
    data_dir: str,
    out: str | pathlib.Path,
    **options: Any,
) -> Summary:
    """Runs the evaluators of a config, see `run`.

    Args:
        config, checkpoint, data_dir, out: see `Job`.
        options: the other fields of `Job`, by name: `log`, `by`, `resamples`, `seed`, `judge` and
            `part_size`.

    Returns:
        The content of `summary.json`.
    """
    return run(Job(config, str(checkpoint), data_dir, pathlib.Path(out), **options))


def run(job: Job) -> Summary:
    """Evaluates a checkpoint.

    These files are written into `job.out`, each of them atomically: `samples/<evaluator>.jsonl`
    with one line for each sample, `summary.json`, `results.md` and `report.html`.

    - All data are opened and checked before the first question. An evaluator without any question
      is left out, and a line of the log says so.
    - An evaluator is not run again if its result is already in the folder, with the same questions,
      options and checkpoint. Results of other evaluators of the same checkpoint stay.
    - If an evaluator fails, the results of those before it are still written.

    Args:
        job: the arguments of the evaluation.

    Returns:
        The content of `summary.json`.

    Raises:
        FileNotFoundError: the checkpoint or a dataset is missing.
        CheckpointError: the checkpoint cannot be run.
        ValueError: the data do not have the SHA-256 that the config names, a field has a value that
            does not fit, or no evaluator can run.
    """
    evaluation = _prepared(job)
    entries: dict[str, Entry] = {}
    try:
        for name in evaluation.opened.by_data():
            entries[name] = _entry(evaluation, name)
    except BaseException:
        _rescue(evaluation, entries)
        raise
    summary = _write(evaluation, entries)
    job.log(summaries.markdown(summary, groups=False))
    job.log(f"page: {job.out / 'report.html'}")
    return summary


def load_model(
    config: ml_collections.ConfigDict, checkpoint: str | pathlib.Path, log: Log = print
) -> Model:
    """Loads the model of a checkpoint of any format, in float32, with adapters merged.

    Args:
        config: a config with the fields `source_config.FIELDS` of the checkpoint.
        checkpoint: see `Job`.
        log: receives a line for everything that was left out, guessed or filled in.

    Raises:
        CheckpointError: the checkpoint is missing or cannot be run, see `inference.load.load`.
    """
    found = load_lib.load(checkpoint, source_config.of_config(config), log=log)
    functions = function_lib.Functions(found.model, found.tokenizer, None, found.never)
    return Model(functions, found.params, found.tokenizer)


def data_config(
    checkpoint: str | pathlib.Path, data: str, split: str = "", folder: str = "default"
) -> ml_collections.ConfigDict:
    """Returns a config that evaluates a checkpoint on datasets, made by configs/evaluate.py.

    Args:
        checkpoint: see `Job`.
        data: the names of the datasets, such as "slake+vqa_rad".
        split: the split of all datasets; "" takes the default of configs/evaluate.py.
        folder: the name of the built folder, with the dataset "folder".
    """
    spec = f"init={checkpoint},data={data},folder={folder},split={split}"
    return config_lib.load(f"{_CONFIG}:{spec}")


def run_config(checkpoint: str | pathlib.Path) -> ml_collections.ConfigDict:
    """Returns a config that evaluates the checkpoint of a run with the run's own evaluators."""
    config = ml_collections.ConfigDict(source_config.read(checkpoint))
    config.evals = ml_collections.ConfigDict(source_config.evals(checkpoint))
    return config


def _prepared(job: Job) -> _Run:
    # Finds the errors of a job, before the slow work of loading the model and asking it.
    summaries.check_by(job.by)
    if not job.config.get("evals"):
        raise ValueError("there is nothing to evaluate: give --data or --config")
    found = identity.identify(job.checkpoint)
    (job.out / "results").mkdir(parents=True, exist_ok=True)
    specs = {name: spec.to_dict() for name, spec in job.config.evals.items()}
    for name, spec in specs.items():
        evaluators.check(name, spec, job.config.model_name)
    opened = possible.open_all(specs, job.data_dir, job.log)
    if not opened.data:
        raise ValueError("nothing can be evaluated: every evaluator was left out, see above")
    unused_boxes.report([specs[name] for name in opened.data], job.data_dir, job.log)
    mark, log = found.fingerprint, job.log
    questions = results.question_sets(specs, opened.data, job.data_dir, mark, log)
    former = results.entries_that_stay(job.out, mark, questions, opened.left_out, log)
    calibration = calibration_lib.of(job.checkpoint) if job.calibrated else None
    if calibration is not None:
        log(f"confidence: calibrated on {calibration.about()}")
    return _Run(job, found, opened, questions, former, calibration)


def _entry(run: _Run, name: str) -> Entry:
    # Runs an evaluator, unless its result is there, and returns its entry for the summary.
    job, questions = run.job, run.questions[name]
    records, pixels = results.read_samples(job.out, name, job.log)
    result = results.read_result(job.out, name, questions.key) if records else None
    former: Mapping[str, Any] = {}
    if result is None:
        result = _ask(run, name)
        records, pixels = sample_files.read(job.out / "samples", name)
    else:
        job.log(f"{name}: already evaluated")
        former = run.former.get(name) or {}
    cls = spec_lib.class_of(questions.spec["type"])
    changed = calibrated.apply(records, run.calibration, cls)
    grades = grading.grades(job.judge, name, questions.spec, records, former, job.log)
    if grades.new or changed:
        sample_files.write(job.out / "samples", name, records, pixels)
    data = run.opened.data[name]
    return results.entry_of(questions, data, records, result, grades, job.bootstrap)


def _ask(run: _Run, name: str) -> Result:
    # Runs an evaluator and writes its result and its samples.
    job, questions, start = run.job, run.questions[name], time.monotonic()
    functions, cached = run.model.functions, None
    if "queue" in spec_lib.class_of(questions.spec["type"]).needs:
        folder = job.out / "answers" / f"{name}-{questions.question[:16]}"
        cached = answer_cache.CachedQueue(functions["queue"], folder, job.part_size)
        functions = collections.ChainMap({"queue": cached}, functions)
    evaluator = evaluators.build(
        name,
        questions.spec,
        predict_fns=functions,
        tokenizer=run.model.tokenizer,
        data_dir=job.data_dir,
        samples_dir=job.out / "samples",
        data=run.opened.data[name],
    )
    evaluator.confident = True
    metrics = {k: float(v) for k, v in evaluator.run(run.model.params)}
    result = Result(key=questions.key, metrics=metrics, seconds=time.monotonic() - start)
    results.write_result(job.out, name, result)
    if cached is not None:
        cached.clear()
    return result


def _write(run: _Run, entries: Mapping[str, Entry]) -> Summary:
    # Writes and returns the summary of these entries and of the earlier ones that still hold.
    job = run.job
    former = {
        name: results.with_intervals(entry, name, job.out, job.bootstrap, run.calibration)
        for name, entry in run.former.items()
        if name not in entries
    }
    evals = {n: entries[n] for n in run.questions if n in entries} | former
    evals = confidence.with_blanks(evals, lambda n: sample_files.read(job.out / "samples", n)[0])
    unfinished = [n for n in run.questions if n not in evals]
    summary = results.summary_of(
        job.checkpoint, run.checkpoint, evals, unfinished, run.opened.left_out, job.bootstrap
    )
    summary["calibration"] = None if run.calibration is None else run.calibration.about()
    content = json.dumps(sample_files.without_nan(summary), indent=1, ensure_ascii=False)
    files.write_whole(job.out / "summary.json", content)
    text = summaries.markdown(summary) + confidence_text.markdown(summary)
    files.write_whole(job.out / "results.md", text)
    evaluation_page.write(summary, job.out, job.log)
    return summary


def _rescue(run: _Run, entries: Mapping[str, Entry]) -> None:
    # After an error or a stop, writes summary and page for the evaluators that are finished.
    if not entries:
        return
    log, left = run.job.log, ", ".join(name for name in run.questions if name not in entries)
    try:
        _write(run, entries)
    except Exception as e:  # Must not hide the error that stopped the evaluation.
        log(f"the summary of what is finished could not be written: {e}")
        return
    log(f"finished and written to {run.job.out}: {', '.join(entries)}; not finished: {left}")


def job_of(argv: Sequence[str] | None = None) -> Job:
    """Returns the job of a command line.

    Args:
        argv: the arguments; None takes those of this process.

    Raises:
        ValueError: options do not fit each other, the checkpoint or its evaluators.
        OSError: a file is missing.
    """
    args = _parser().parse_args(argv)
    if args.limit < 0:
        raise ValueError(f"--limit={args.limit}: give a number of questions from 1; 0 is all")
    config = _config(args)
    out = pathlib.Path(args.out or _folder_of(args.checkpoint))
    with config.unlocked():
        controls.choose(config.evals, args.only, args.controls, args.limit)
    options = dict(by=args.by, resamples=args.resamples, judge=_judge(args, out))
    return Job(config, args.checkpoint, args.data_dir, out, **options)


def _config(args: argparse.Namespace) -> ml_collections.ConfigDict:
    if args.config and args.data:
        raise ValueError("give --data or --config, not both")
    if args.folder != "default" and not args.data:
        raise ValueError(f"--folder={args.folder} goes with --data=folder")
    if args.config:
        return config_lib.load(args.config, finetune.fit)
    if args.data:
        return data_config(args.checkpoint, args.data, args.split, args.folder)
    return run_config(args.checkpoint)


def _folder_of(checkpoint: str) -> pathlib.Path:
    # A step that is named explicitly gets its own folder, so that it does not replace the results
    # of the run's checkpoint.
    if weights.kind(checkpoint) != "orbax":
        raise ValueError(f"give --out=FOLDER: {checkpoint} is no run directory")
    place = run_dir.locate(checkpoint)
    return place.workdir / (f"evaluation_step{place.step}" if place.named else "evaluation")


def _judge(args: argparse.Namespace, out: pathlib.Path) -> llm_score.Judge | None:
    if bool(args.judge_url) != bool(args.judge_model):
        raise ValueError("--judge_url and --judge_model go together")
    if not args.judge_url:
        return None
    key = os.environ.get("JUDGE_API_KEY", "")
    options = dict(cache=out / "judge", key=key, max_tokens=args.judge_max_tokens, log=print)
    return llm_score.Judge(args.judge_url, args.judge_model, **options)


def data_parser(program: str, description: str | None) -> argparse.ArgumentParser:
    """Returns a parser with the options that name a checkpoint and datasets.

    Args:
        program: how the program is called, such as "python -m big_rad.evaluate".
        description: the text above the options.
    """
    parser = argparse.ArgumentParser(
        prog=program,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--checkpoint", required=True, help="run, RUN/checkpoints/N, Hugging Face folder or npz"
    )
    parser.add_argument("--data", default="", help="datasets, such as slake+vqa_rad")
    parser.add_argument("--folder", default="default", help="name of a folder, with --data=folder")
    return parser


def _parser() -> argparse.ArgumentParser:
    parser = data_parser("python -m big_rad.evaluate", __doc__)
    parser.add_argument("--split", default="", help="of --data; default: see configs/evaluate.py")
    parser.add_argument("--config", default="", help="a config file with evals, in place of --data")
    parser.add_argument("--data_dir", default="data", help="where the built datasets lie")
    parser.add_argument("--out", default="", help="a folder; default: evaluation/ in the run")
    parser.add_argument("--only", default="", help="some evaluators, by name: report,vqa")
    parser.add_argument("--controls", action="store_true", help="also without the true images")
    parser.add_argument("--limit", type=int, default=0, help="questions of each, at most; 0: all")
    parser.add_argument("--by", choices=summaries.BY, default="image", help="what is resampled")
    parser.add_argument("--resamples", type=int, default=10_000)
    parser.add_argument("--judge_url", default="", help="an OpenAI-compatible endpoint, .../v1")
    parser.add_argument("--judge_model", default="", help="its model; key: $JUDGE_API_KEY")
    parser.add_argument(
        "--judge_max_tokens",
        type=int,
        default=llm_score.MAX_TOKENS,
        help="of its answer; a model that reasons first needs thousands",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the command line; returns its exit code."""
    runtime.quiet_libraries()
    try:
        job = job_of(argv)
        summary = run(job)
        if job.judge is not None and not summaries.judged(summary, job.config.evals):
            raise llm_score.Unavailable(
                f"the judge at {job.judge.url} graded no answer; everything else is in {job.out}. "
                "The same command asks it again, and nothing else"
            )
    except llm_score.Unavailable as e:
        print(f"error: {e}", file=sys.stderr)
        return 1
    except (OSError, ValueError) as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; the same command goes on from the answers it has", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
