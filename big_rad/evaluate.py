"""Evaluates a checkpoint on datasets: samples, scores with intervals, a table and a page.

    python -m big_rad.evaluate --checkpoint=runs/demo
    python -m big_rad.evaluate --checkpoint=weights/radgrounder --data=slake+vqa_rad --controls

Without `--data` or `--config` the evaluators are those of the run's own config. Started again after
a kill it goes on from the answers that it has. Knows no metric and no dataset.
"""

import argparse
import collections
import dataclasses
import hashlib
import json
import os
import pathlib
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import ml_collections

from big_rad import evaluators, files, finetune, runtime, weights
from big_rad.config import companions
from big_rad.config import recipes as config_lib
from big_rad.datasets import pointed
from big_rad.evaluators import answer_cache as answers
from big_rad.evaluators import controls, headlines, possible, results
from big_rad.evaluators import functions as function_lib
from big_rad.evaluators import samples as sample_files
from big_rad.evaluators import spec as specs
from big_rad.evaluators import summary as summaries
from big_rad.evaluators.judges import llm_score
from big_rad.inference import load as load_lib
from big_rad.pages import evaluation as evaluation_page
from big_rad.pp import tokenizer as tokenizers
from big_rad.weights import recipe, sidecar
from big_rad.workdir import info as run_info
from big_rad.workdir import run_dir

Log = Callable[[str], None]
_CONFIG = companions.folder("configs") / "evaluate.py"


@dataclasses.dataclass(frozen=True)
class Model:
    """A checkpoint that can be asked.

    Attributes:
        functions: see `evaluators.functions.Functions`.
        params: its parameters, on the device.
        tokenizer: its own.
    """

    functions: Mapping[str, Callable[..., Any]]
    params: Any
    tokenizer: tokenizers.Tokenizer


@dataclasses.dataclass
class _Evaluation:
    # What one start asks of one checkpoint.
    config: Any
    checkpoint: str
    out: pathlib.Path
    log: Log
    by: str
    resamples: int
    seed: int
    judge: llm_score.Judge | None
    mark: str  # fingerprint of the checkpoint
    data_dir: str
    opened: possible.Opened
    asked: dict[str, results.Asked]  # in the config's order
    former: dict[str, Any]  # entries of the last summary that still hold
    model: Model | None = None  # loaded for the first question

    @property
    def bootstrap(self) -> dict[str, Any]:
        return {"by": self.by, "resamples": self.resamples, "seed": self.seed}


def evaluate(
    config: Any,
    checkpoint: str | pathlib.Path,
    data_dir: str,
    out: str | pathlib.Path,
    *,
    log: Log = print,
    by: str = "image",
    resamples: int = 10_000,
    seed: int = 0,
    judge: llm_score.Judge | None = None,
) -> dict[str, Any]:
    """Runs the evaluators of a config.

    Writes into `out`: `samples/<evaluator>.jsonl` (a line a sample), `summary.json`, `results.md`
    and `report.html`; each appears whole. An evaluator whose question set, checkpoint and options
    are those of a result that lies there is not run again, and other results of the same checkpoint
    stay. All data are opened and checked before the first question; an evaluator without anything
    to ask is left out by name. What is finished is written even if a later evaluator fails.

    Args:
        config: `evals`, and the `recipe.FIELDS` of the checkpoint.
        checkpoint: a run directory or one of its steps, a Hugging Face folder or an npz.
        data_dir: where the built datasets lie.
        out: a folder; made.
        log: receives the lines of progress.
        by: what is resampled, see `summary.BY`.
        resamples: of the bootstrap.
        seed: of the bootstrap.
        judge: also grades the answers about real images.

    Returns:
        What `summary.json` has.

    Raises:
        FileNotFoundError: no checkpoint or no dataset.
        CheckpointError: the checkpoint cannot be run.
        ValueError: a split that is not the one that the config names by its sha256, a field that
            does not fit, or nothing to ask at all.
    """
    out = pathlib.Path(out)
    summaries.clusters((), by, ())
    if not config.get("evals"):
        raise ValueError("there is nothing to evaluate: give --data or --config")
    options = dict(by=by, resamples=resamples, seed=seed, judge=judge, log=log)
    run = _planned(config, str(checkpoint), data_dir, out, options)
    entries: dict[str, Any] = {}
    try:
        for name in run.opened.by_data():
            entries[name] = _entry(run, name)
    except BaseException:
        _rescue(run, entries)
        raise
    summary = _write(run, entries)
    log(summaries.markdown(summary, groups=False))
    log(f"page: {out / 'report.html'}")
    return summary


def load_model(config: Any, checkpoint: str | pathlib.Path, log: Log = print) -> Model:
    """Loads the model of a checkpoint of any format, in float32, with adapters merged.

    Args:
        config: the `recipe.FIELDS` of the checkpoint.
        checkpoint: see `evaluate`.
        log: receives what was left out, guessed or filled.

    Raises:
        CheckpointError: nothing there, or it cannot be run; see `inference.load.load`.
    """
    fields = recipe.of_config(config)
    found = load_lib.load(checkpoint, fields, log=log)
    functions = function_lib.Functions(found.model, found.tokenizer, None, found.never)
    return Model(functions, found.params, found.tokenizer)


def fingerprint(checkpoint: str | pathlib.Path) -> str:
    """Returns a text that is another for another checkpoint, from names, sizes and times of files.

    Raises:
        FileNotFoundError: nothing there.
    """
    path = pathlib.Path(checkpoint).resolve()
    weights.check(path)
    whole = hashlib.sha256()
    folder = run_dir.files_of(path) if run_dir.is_run(path) else path
    beside = [folder, sidecar.path(folder)]  # Of an npz.
    for file in sorted(folder.rglob("*")) if folder.is_dir() else beside:
        if file.is_file():
            stat = file.stat()
            whole.update(f"{file}\n{stat.st_size}\n{stat.st_mtime_ns}\n".encode())
    return whole.hexdigest()


def data_config(
    checkpoint: str | pathlib.Path, data: str, split: str = "", folder: str = "default"
) -> Any:
    """Returns the config that asks a checkpoint `data`, such as "slake+vqa_rad"; see
    configs/evaluate.py."""
    spec = f"init={checkpoint},data={data},folder={folder},split={split}"
    return config_lib.load(f"{_CONFIG}:{spec}")


def _planned(
    config: Any, checkpoint: str, data_dir: str, out: pathlib.Path, options: dict[str, Any]
) -> _Evaluation:
    # Everything that can be wrong is looked at here, before the model is loaded and asked.
    log, mark = options["log"], fingerprint(checkpoint)
    (out / "results").mkdir(parents=True, exist_ok=True)
    specs = {name: spec.to_dict() for name, spec in config.evals.items()}
    opened = possible.open_all(specs, data_dir, log)
    if not opened.data:
        raise ValueError("nothing can be evaluated: every evaluator was left out, see above")
    pointed.say([specs[name] for name in opened.data], data_dir, log)
    asked = {}
    for name, data in opened.data.items():
        spec = specs[name]
        evaluators.build(
            name, spec, predict_fns={}, tokenizer=None, data_dir=data_dir, data=data
        )  # Options that do not fit are errors now.
        asked[name] = results.asked(name, spec, data, mark, log)
    former = results.beside(out, mark, asked, opened.left_out, log)
    return _Evaluation(
        config, checkpoint, out, mark=mark, data_dir=data_dir, opened=opened, asked=asked,
        former=former, **options,
    )  # fmt: skip


def _entry(run: _Evaluation, name: str) -> dict[str, Any]:
    # Asks, or takes the answers that are there, and returns the summary's entry.
    asked, data = run.asked[name], run.opened.data[name]
    spec = asked.spec
    control = specs.control_of(spec)
    records, pixels = results.samples(run.out, name, run.log)
    known = results.known(run.out, name, asked.key) if records else None
    former: dict[str, Any] = {}
    if known is None:
        known = _ask(run, name)
        records, pixels = sample_files.read(run.out / "samples", name)
    else:
        run.log(f"{name}: already evaluated")
        former = run.former.get(name) or {}
    graded, graded_by = _grades(former)
    cls = specs.of(spec["type"])
    if run.judge is not None and control == "none" and not cls.task:
        run.log(f"{name}: not graded, since its type {spec['type']!r} has no texts for a judge")
    elif run.judge is not None and control == "none":
        graded = _grade(run.judge, records, cls.task)
        graded_by = run.judge.model
        sample_files.write(run.out / "samples", name, records, pixels)
        run.log(f"{name}: {headlines.graded(graded)}{_failures(records)}")
    of = summaries.clusters(records, run.by, data.patients())
    return {
        **results.described(asked, data, records),
        "metrics": {**known["metrics"], **graded},
        "intervals": summaries.intervals(records, of, run.resamples, run.seed, cls.points),
        "bootstrap": run.bootstrap,
        "seconds": known["seconds"],
        "judge": graded_by,
    }


def _ask(run: _Evaluation, name: str) -> dict[str, Any]:
    # Runs an evaluator; its result and its samples are on disk afterwards.
    asked, start = run.asked[name], time.monotonic()
    if run.model is None:
        if run.judge is not None:
            run.judge.probe()  # Before anything slow.
        run.model = load_model(run.config, run.checkpoint, run.log)
    functions, kept = run.model.functions, None
    if "queue" in specs.of(asked.spec["type"]).needs:
        folder = run.out / "answers" / f"{name}-{asked.question[:16]}"
        kept = answers.Kept(functions["queue"], folder)
        functions = collections.ChainMap({"queue": kept}, functions)
    evaluator = evaluators.build(
        name,
        asked.spec,
        predict_fns=functions,
        tokenizer=run.model.tokenizer,
        data_dir=run.data_dir,
        samples_dir=run.out / "samples",
        data=run.opened.data[name],
    )
    found = {k: float(v) for k, v in evaluator.run(run.model.params)}
    known = {"key": asked.key, "metrics": found, "seconds": time.monotonic() - start}
    content = json.dumps(sample_files.finite(known), indent=1)
    files.write_whole(results.path_of(run.out, name), content)
    if kept is not None:
        kept.clear()
    return known


def _grades(former: Mapping[str, Any]) -> tuple[dict[str, Any], str | None]:
    # What a judge said of the same answers before, and which one: it holds without a judge, too.
    found = {k: v for k, v in former.get("metrics", {}).items() if k.startswith("llm_")}
    return found, former.get("judge") if found else None


def _write(run: _Evaluation, entries: Mapping[str, Any]) -> dict[str, Any]:
    # Writes and returns the summary of these entries and of those that still hold.
    former = {
        name: results.with_intervals(entry, name, run.out, **run.bootstrap)
        for name, entry in run.former.items()
        if name not in entries
    }
    evals = {n: entries[n] for n in run.asked if n in entries} | former
    summary = {
        "checkpoint": run.checkpoint,
        "step": run_dir.locate(run.checkpoint).step if run_dir.is_run(run.checkpoint) else None,
        "fingerprint": run.mark,
        "versions": run_info.versions(),
        "revision": run_info.revision(),
        "device": jax.devices()[0].device_kind,
        **run.bootstrap,
        "judge": ", ".join(sorted({e["judge"] for e in evals.values() if e["judge"]})) or None,
        "left_out": run.opened.left_out,
        "unfinished": [n for n in run.asked if n not in evals],
        "evals": evals,
    }
    content = json.dumps(sample_files.finite(summary), indent=1, ensure_ascii=False)
    files.write_whole(run.out / "summary.json", content)
    files.write_whole(run.out / "results.md", summaries.markdown(summary))
    evaluation_page.write(summary, run.out, run.log)
    return summary


def _rescue(run: _Evaluation, entries: Mapping[str, Any]) -> None:
    # After an error or a stop: what is finished is worth a summary and a page.
    if not entries:
        return
    left = ", ".join(name for name in run.asked if name not in entries)
    try:
        _write(run, entries)
    except Exception as e:  # The error that came first counts more.
        run.log(f"the summary of what is finished could not be written: {e}")
        return
    run.log(f"finished and written to {run.out}: {', '.join(entries)}; not finished: {left}")


def _grade(
    judge: llm_score.Judge, records: Sequence[dict[str, Any]], task: str
) -> dict[str, float]:
    # Puts a judge's grades into records.
    items = [
        llm_score.Item(
            question=r["prompt"].strip(),
            candidate=r["prediction_text"],
            reference=r["reference_text"],
            task=task,
            lang="de" if r["lang"] == "de" else "en",
        )
        for r in records
    ]
    judge.probe(items)
    judgements = judge.judge(items)
    for record, found in zip(records, judgements, strict=True):
        record["scores"]["llm_score"] = found.score
        record["judge"] = {"answer": found.answer, "error": found.error}
    return llm_score.summarise(judgements)


def _failures(records: Sequence[Mapping[str, Any]]) -> str:
    # The most frequent reason why a judge gave no grade, "" if it graded all.
    errors = [r["judge"]["error"] for r in records if r["judge"]["error"]]
    if not errors:
        return ""
    most = max(set(errors), key=errors.count)
    return f"; {len(errors)} of {len(records)} not graded, most often: {most}"


def _config(args: argparse.Namespace) -> Any:
    if args.config and args.data:
        raise ValueError("give --data or --config, not both")
    if args.folder != "default" and not args.data:
        raise ValueError(f"--folder={args.folder} goes with --data=folder")
    if args.config:
        return config_lib.load(args.config, finetune.fit)
    if args.data:
        return data_config(args.checkpoint, args.data, args.split, args.folder)
    config = ml_collections.ConfigDict(recipe.read(args.checkpoint))
    config.evals = ml_collections.ConfigDict(recipe.evals(args.checkpoint))
    return config


def _folder_of(checkpoint: str) -> pathlib.Path:
    # Of a step that was named, another folder than that of the run.
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
    return llm_score.Judge(
        args.judge_url,
        args.judge_model,
        cache=out / "judge",
        key=key,
        max_tokens=args.judge_max_tokens,
        log=print,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m big_rad.evaluate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--checkpoint", required=True, help="run, RUN/checkpoints/N, Hugging Face folder or npz"
    )
    parser.add_argument("--data", default="", help="datasets, such as slake+vqa_rad")
    parser.add_argument("--folder", default="default", help="name of a folder, with --data=folder")
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
    args = _parser().parse_args(argv)
    try:
        if args.limit < 0:
            raise ValueError(f"--limit={args.limit}: give a number of questions from 1; 0 is all")
        config = _config(args)
        out = args.out
        if not args.out:
            out = _folder_of(args.checkpoint)
        with config.unlocked():
            controls.choose(config.evals, args.only, args.controls)
            for spec in config.evals.values():
                if args.limit:
                    spec.limit = args.limit
        summary = evaluate(
            config,
            args.checkpoint,
            args.data_dir,
            out,
            by=args.by,
            resamples=args.resamples,
            judge=_judge(args, pathlib.Path(out)),
        )
        if args.judge_url and not summaries.judged(summary, config.evals):
            raise llm_score.Unavailable(
                f"the judge at {args.judge_url} graded no answer; everything else is in {out}. The "
                "same command asks it again, and nothing else"
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
