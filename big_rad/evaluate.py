"""Evaluates a checkpoint on datasets: samples, scores with intervals, a table and a page.

    python -m big_rad.evaluate --checkpoint=runs/demo
    python -m big_rad.evaluate --checkpoint=weights/radgrounder --data=slake+vqa_rad --controls

Without `--data` or `--config` the evaluators are those of the run's own config. Started again after
a kill it goes on from the answers that it has. Knows no metric and no dataset.
"""

import argparse
import dataclasses
import datetime
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

from big_rad import config as config_lib
from big_rad import (
    evaluators,
    load,
    metrics,
    run_dir,
    run_info,
    run_page,
    run_state,
    runtime,
    weights,
)
from big_rad.datasets import pointed
from big_rad.evaluators import (
    answers,
    generate,
    llm_score,
    page,
    page_parts,
    page_script,
    page_style,
    score_cards,
)
from big_rad.evaluators import data as eval_data
from big_rad.evaluators import samples as sample_files
from big_rad.evaluators import summary as summaries
from big_rad.pp import tokenizer as tokenizers
from big_rad.weights import recipe

Log = Callable[[str], None]
CONTROLS = {"grounded": ("blank", "shuffled", "mirrored"), "vqa": ("blank", "shuffled")}
_RECORDS = 2  # what records hold; those of another number are asked for again
_CONFIG = pathlib.Path(__file__).parents[1] / "configs/evaluate.py"


@dataclasses.dataclass(frozen=True)
class Model:
    """A checkpoint that can be asked.

    Attributes:
        queue: see `generate.make_queue_fn`.
        params: its parameters, on the device.
        tokenizer: its own.
    """

    queue: generate.Answer
    params: Any
    tokenizer: tokenizers.Tokenizer


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
    are those of a result that lies there is not run again.

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
        ValueError: a split that is not the one that the config names by its sha256, or a field
            that does not fit.
    """
    out = pathlib.Path(out)
    summaries.clusters((), by, ())
    if not config.get("evals"):
        raise ValueError("there is nothing to evaluate: give --data or --config")
    (out / "results").mkdir(parents=True, exist_ok=True)
    mark, model = fingerprint(checkpoint), None
    pointed.say(config.evals.values(), data_dir, log)
    entries: dict[str, Any] = {}
    for name, spec in config.evals.items():
        start, spec = time.monotonic(), spec.to_dict()
        data = eval_data.load(spec, data_dir)
        if why := _impossible(spec, data):
            log(f"{name}: left out, {why}")
            continue
        digest = _checked(name, spec, data, log)
        question, path = _key(spec, digest, mark), out / "results" / f"{name}.json"
        key = f"{question}-{metrics.VERSION}"
        records, pixels = _samples(out, name, log)
        known = _known(path, key) if records else None
        if known is None:
            if judge is not None:
                judge.probe()  # Before anything slow.
            model = load_model(config, checkpoint, log) if model is None else model
            kept = answers.Kept(model.queue, out / "answers" / f"{name}-{question[:16]}")
            evaluator = evaluators.build(
                name,
                spec,
                predict_fns={"queue": kept},
                tokenizer=model.tokenizer,
                data_dir=data_dir,
                samples_dir=out / "samples",
            )
            found = {k: float(v) for k, v in evaluator.run(model.params)}
            known = {"key": key, "metrics": found, "seconds": time.monotonic() - start}
            runtime.write_whole(path, json.dumps(sample_files.finite(known), indent=1))
            kept.clear()
            records, pixels = sample_files.read(out / "samples", name)
        else:
            log(f"{name}: already evaluated")
        graded = {}
        if judge is not None and (spec.get("control") or "none") == "none":
            graded = _grade(judge, records, "report" if spec["type"] == "grounded" else "vqa")
            sample_files.write(out / "samples", name, records, pixels)
            log(f"{name}: {page.graded(graded)}{_failures(records)}")
        of = summaries.clusters(records, by, data.patients())
        entries[name] = {
            "type": spec["type"],
            "dataset": spec["builder"],
            "builder_args": dict(spec.get("builder_args") or {}),
            "split": spec["split"],
            "control": spec.get("control") or "none",
            "n": len(data),
            "images": len({sample_files.image_of(r) for r in records}),
            "subjects": len(set(data.patients())),
            "unnamed": data.unnamed(),
            "sha256": digest,
            "metrics_version": metrics.VERSION,
            "metrics": {**known["metrics"], **graded},
            "intervals": summaries.intervals(records, of, resamples, seed),
            "seconds": known["seconds"],
        }
    if not entries:
        raise ValueError("nothing was evaluated: every evaluator was left out, see above")
    summary = {
        "checkpoint": str(checkpoint),
        "step": run_dir.locate(checkpoint).step if run_dir.is_run(checkpoint) else None,
        "fingerprint": mark,
        "versions": run_info.versions(),
        "revision": run_info.revision(),
        "device": jax.devices()[0].device_kind,
        "by": by,
        "resamples": resamples,
        "seed": seed,
        "judge": None if judge is None else judge.model,
        "evals": entries,
    }
    _write(config, summary, out, log)
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
        FileNotFoundError: nothing there.
        ValueError: tensors that do not fit.
    """
    fields = {name: config[name] for name in recipe.FIELDS}
    found = load.load(checkpoint, fields, log=log)
    queue = generate.make_queue_fn(found.model, found.tokenizer, never=found.never)
    return Model(queue, found.params, found.tokenizer)


def fingerprint(checkpoint: str | pathlib.Path) -> str:
    """Returns a text that is another for another checkpoint, from names, sizes and times of files.

    Raises:
        FileNotFoundError: nothing there.
    """
    path = pathlib.Path(checkpoint).resolve()
    weights.check(path)
    whole = hashlib.sha256()
    folder = path / "checkpoints" if (path / "checkpoints").is_dir() else path
    if run_dir.is_run(path) and (place := run_dir.locate(path)).best is not None:
        folder = place.folder  # Another step may become the best one.
    for file in sorted(folder.rglob("*")) if folder.is_dir() else [folder]:
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


def add_controls(evals: ml_collections.ConfigDict) -> None:
    """Adds, beside each evaluator of real images, the same questions with images of controls."""
    for name, spec in list(evals.items()):
        if (spec.get("control") or "none") != "none":
            continue
        for control in CONTROLS[spec.type]:
            if f"{name}_{control}" not in evals:
                evals[f"{name}_{control}"] = dict(spec.to_dict(), control=control)


def _checked(name: str, spec: Mapping[str, Any], data: eval_data.EvalData, log: Log) -> str:
    # The hash of what is asked, said, and compared with the one that the config names.
    digest = data.sha256()
    log(f"{name}: {spec['builder']} {spec['split']}, n={len(data)}, sha256 {digest}")
    if count := data.unnamed():
        log(f"{name}: {summaries.without_patients(count)}")
    wanted = spec.get("sha256")
    if wanted and not digest.startswith(wanted):
        raise ValueError(
            f"config.evals.{name}: {spec['builder']} {spec['split']} has sha256 {digest}, and the "
            f"config names {wanted}: these are other questions or references (another version of "
            "the data, another limit?)"
        )
    return digest


def _impossible(spec: Mapping[str, Any], data: eval_data.EvalData) -> str:
    # Why a control cannot be asked of these data; "" if it can.
    if spec.get("control") == "shuffled" and len(set(data.patients())) < 2:
        return (
            "control shuffled: all images are of one patient, so there is no other's image to show"
        )
    return ""


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


def _key(spec: Mapping[str, Any], digest: str, mark: str) -> str:
    asked = {k: v for k, v in spec.items() if k not in ("every", "sha256")}
    whole = json.dumps([_RECORDS, asked, digest, mark], sort_keys=True)
    return hashlib.sha256(whole.encode()).hexdigest()


def _known(path: pathlib.Path, key: str) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if found.get("key") == key else None


def _samples(out: pathlib.Path, name: str, log: Log) -> tuple[list[Any], dict[int, Any]]:
    # Those that lie there; none where they are broken.
    try:
        return sample_files.read(out / "samples", name)
    except ValueError as e:
        log(f"{e}: it is evaluated again")
        return [], {}


def _write(config: Any, summary: Mapping[str, Any], out: pathlib.Path, log: Log) -> None:
    content = json.dumps(sample_files.finite(summary), indent=1, ensure_ascii=False)
    runtime.write_whole(out / "summary.json", content)
    runtime.write_whole(out / "results.md", summaries.markdown(summary))
    results = {name: entry["metrics"] for name, entry in summary["evals"].items()}
    sections = page.sections_of(config.evals, results, {}, out / "samples")
    revision = (summary["revision"] or {}).get("revision", "")
    controls = sum(e["control"] != "none" for e in summary["evals"].values())
    facts = {
        "checkpoint": _called(summary),
        "evaluations": f"{len(results) - controls}, and {controls} of controls",
        "intervals by": summary["by"],
        "seed": str(summary["seed"]),
        "made": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC",
        "device": summary["device"],
        "revision": revision[:12] or "no checkout",
    }
    parts = [
        page_parts.header({"title": "RadGrounder: evaluation", "facts": facts}),
        score_cards.html(summary, sections),
        page.scores(sections),
        _curves(summary["checkpoint"], config.evals, sections, log),
        page.galleries(sections),
    ]
    style = page_style.RUN + page_style.GALLERY + page_style.TILES
    title = "RadGrounder: evaluation"
    page_parts.save(out / "report.html", title, parts, style, page_script.GALLERY)


def _called(summary: Mapping[str, Any]) -> str:
    path = summary["checkpoint"]
    if summary["step"] is None:
        return pathlib.Path(path).name
    return f"{run_dir.workdir_of(path).name}, step {summary['step']:,}"


def _curves(
    checkpoint: str, evals: Mapping[str, Any], sections: Sequence[page.Section], log: Log
) -> str:
    # Of a run directory how it was trained; other checkpoints do not say. Scores over steps only of
    # what is asked here too.
    workdir = run_dir.workdir_of(checkpoint)
    if not (workdir / "metrics.jsonl").exists():
        return ""
    try:
        run = run_state.read(workdir)
    except ValueError as e:
        log(f"no curves on the page: {e}")
        return ""
    asked = (run.config or {}).get("evals") or {}
    same = {n for n in evals if n in asked and _question(asked[n]) == _question(evals[n])}
    kept = []
    for section in sections:
        names = {c: n for c, n in section.names.items() if n in same}
        kept.append(dataclasses.replace(section, names=names))
    return run_page.charts(run, kept)


def _question(spec: Mapping[str, Any]) -> tuple[str, Any]:
    return evaluators.data_key(spec), spec.get("control") or "none"


def _config(args: argparse.Namespace) -> Any:
    if args.config and args.data:
        raise ValueError("give --data or --config, not both")
    if args.folder != "default" and not args.data:
        raise ValueError(f"--folder={args.folder} goes with --data=folder")
    if args.config:
        return config_lib.load(args.config)
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
            if args.controls:
                add_controls(config.evals)
            if args.only:
                names = args.only.split(",")
                unknown = [n for n in names if n not in config.evals]
                if unknown:
                    raise ValueError(
                        f"--only: no evaluator {', '.join(unknown)}; there are "
                        f"{', '.join(config.evals)}"
                    )
                if args.controls:  # Of what is asked for.
                    more = [f"{n}_{c}" for n in names for c in CONTROLS[config.evals[n].type]]
                    names += [n for n in more if n in config.evals]
                config.evals = {n: config.evals[n] for n in names}
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
