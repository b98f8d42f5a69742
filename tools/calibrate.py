"""Makes the calibration of a checkpoint, so that its confidences are honest probabilities.

    python -m tools.calibrate --checkpoint=runs/demo --data_dir=data
    python -m tools.calibrate --checkpoint=radgrounder_hf --data=slake+vqa_rad --out=eval/own

It asks the questions of the validation split (`big_rad.evaluate` does the asking), compares the
confidence of each answer, box and mask with what is right, and writes the calibration to its place
with the checkpoint, where prediction finds it. Without --data, the questions are of the kinds that
the run's own config evaluates. The words of reports are not calibrated. docs/inference.md says what
the table means.
"""

import argparse
import datetime
import json
import pathlib
import sys
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import ml_collections

import big_rad
from big_rad import evaluate, runtime, weights
from big_rad.evaluators import controls
from big_rad.evaluators import data as eval_data
from big_rad.evaluators import samples as sample_files
from big_rad.evaluators import spec as spec_lib
from big_rad.evaluators.records import Confidence, Entry, Record
from big_rad.inference import calibration, calibration_fits
from big_rad.inference.calibration_fits import Item
from big_rad.weights import exported
from big_rad.workdir import run_dir

Log = Callable[[str], None]
Spec = Mapping[str, Any]
LIMIT = 2000  # Questions of each evaluator: an isotonic regression needs 1,000 items.
_RESAMPLES = 200  # For the intervals of scores, which matter less here.
_HEAD = "| kind | language | n | patients | method | ECE | | Brier score | | |"
_RULE = "|---|---|---|---|---|---|---|---|---|---|"
_COLUMNS = "| | | | | | before | after | before | after | of the mean |"


def calibrate(
    checkpoint: str,
    config: ml_collections.ConfigDict,
    data_dir: str,
    out: pathlib.Path,
    notes: Sequence[str] = (),
    log: Log = print,
) -> calibration.Calibration:
    """Asks a checkpoint the questions of a config, and fits its confidences.

    Args:
        checkpoint: one step of a run, a Hugging Face folder or an npz.
        config: a config whose `evals` are those of `chosen`.
        data_dir: the folder of the built datasets.
        out: the folder of the evaluation.
        notes: sentences on the limits of the calibration.
        log: receives the lines of progress.

    Raises:
        OSError, ValueError: see `evaluate.run` and `fitted`.
    """
    job = evaluate.Job(
        config,
        checkpoint,
        data_dir,
        out,
        log,
        by="patient",
        resamples=_RESAMPLES,
        calibrated=False,  # A calibration must not be judged by the answers it was made from.
    )
    summary = evaluate.run(job)
    evals = {n: summary["evals"][n] for n in config.evals if n in summary["evals"]}
    data = {n: eval_data.load(entry["asked"], data_dir) for n, entry in evals.items()}
    items, sources = read(out, evals, {n: x.patients() for n, x in data.items()}, log)
    made = fitted(items, sources, log)
    step, digest = summary["step"], calibration.digest_of(checkpoint)
    date, version = datetime.datetime.now(datetime.UTC).date().isoformat(), big_rad.__version__
    return calibration.Calibration(
        made.fits, made.left_out, made.sources, step, digest, date, version, tuple(notes)
    )


def fitted(
    items: Sequence[Item], sources: Sequence[calibration.Source], log: Log = print
) -> calibration.Calibration:
    """Returns the calibration that items give.

    Args:
        items: the answers and places whose outcome is known.
        sources: the questions that they are from.
        log: receives a line for each kind and language without a fit.

    Raises:
        ValueError: there are no items, too few for any fit, or one with a value outside of 0..1.
    """
    names = ", ".join(s.evaluator for s in sources)
    if not items:
        raise ValueError(
            f"the records of {names} hold no confidences of answers, boxes or masks; they were "
            "written by an older version, or the model neither answers questions nor points. "
            "Give --data with such questions, or another --out"
        )
    fits, left_out = calibration_fits.fit_all(items, log)
    if not fits:
        raise ValueError(
            f"nothing of {names} can be calibrated, see above; ask more questions (--limit=0 asks "
            "all), or give --data with other datasets"
        )
    return calibration.Calibration(fits, left_out, tuple(sources))


def read(
    folder: pathlib.Path,
    evals: Mapping[str, Entry],
    patients: Mapping[str, Sequence[Hashable]],
    log: Log = print,
) -> tuple[list[Item], list[calibration.Source]]:
    """Reads the items and the sources of an evaluation.

    A question that several evaluators ask, such as "vqa" and "yes_no", counts once.

    Args:
        folder: the folder of the evaluation.
        evals: name -> entry of its summary, for the evaluators to read.
        patients: name -> the patient of each question.
        log: receives a line if questions were asked several times.

    Raises:
        ValueError: a samples file is broken.
    """
    items, sources, asked, twice = [], [], set(), 0
    for name, entry in evals.items():
        records, _ = sample_files.read(folder / "samples", name)
        cls, dataset = spec_lib.class_of(entry["type"]), entry["dataset"]
        for record in records:
            key = (dataset, str(entry["builder_args"]), record["id"], record.get("prompt"))
            twice += key in asked
            if key in asked:
                continue
            asked.add(key)
            try:
                patient = (dataset, patients[name][record["index"]])
                items += items_of(record, patient, cls)
            except (ValueError, TypeError, LookupError, AttributeError) as e:
                raise ValueError(
                    f"{folder / 'samples' / name}.jsonl: record {record['id']} is broken "
                    f"({type(e).__name__}: {e}); remove the file and start again"
                ) from e
        fields = {k: entry[k] for k in ("dataset", "builder_args", "split", "sha256", "n")}
        sources.append(calibration.Source(evaluator=name, **fields))
    if twice:
        log(f"{twice} questions were asked by several evaluators and count once")
    return items, sources


def items_of(record: Record, patient: Hashable, cls: type[spec_lib.Statement]) -> list[Item]:
    """Returns the answer, boxes and masks of a record whose confidence and outcome are known.

    Args:
        record: a record of an evaluator.
        patient: its patient.
        cls: the class of the evaluator. Answers are taken of evaluators of questions (`task` is
            "vqa"), with the accuracy as the outcome; boxes and masks of those that point, with the
            IoU.
    """
    found, lang = [], record.get("lang", "")
    right = record["scores"].get("accuracy")
    if cls.task == "vqa" and right is not None:
        found.append(_item(record.get("confidence"), lang, right, patient))
    for entity in record.get("boxes", {}).get("prediction", ()) if cls.points else ():
        iou = entity.get("iou") or 0.0  # Without a counterpart of its class there is no IoU.
        found.append(_item(entity.get("confidence"), lang, iou, patient))
    return [x for x in found if x is not None]


def chosen(
    evals: Mapping[str, Spec],
    trained: Mapping[str, Spec],
    split: str,
    limit: int = LIMIT,
    log: Log = print,
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Returns the evaluators to ask, on the split of the calibration.

    They are the evaluators of real images that ask for answers or places. Two that differ only in
    their split are asked once.

    Args:
        evals: name -> entry of `config.evals`.
        trained: name -> entry of `config.input` of each dataset that the checkpoint was trained
            on, as far as that is known.
        split: the split.
        limit: the maximum number of questions of each evaluator; 0 asks all.
        log: receives a line for each evaluator that is left out.

    Returns:
        name -> entry, and sentences on the limits of the calibration.

    Raises:
        ValueError: no evaluator is left, or the checkpoint was trained on the split.
    """
    if wrong := _parts(split) & {"train", "all", ""}:
        raise ValueError(
            f"--split={split}: {min(wrong) or 'it'} is no held-out split. On images of its "
            "training a model is surer, and right more often, than on others; take validation"
        )
    found: dict[str, dict[str, Any]] = {}
    keys, same, kept = set(), [], []
    for name, spec in evals.items():
        cls = spec_lib.class_of(spec["type"])
        if spec_lib.control_of(spec) != "none" or not (cls.task == "vqa" or cls.points):
            kept.append(name)
            continue
        if known := [n for n, x in trained.items() if _same_data(x, spec, split)]:
            raise ValueError(
                f"{name}: the checkpoint was trained on {spec['builder']} {split} "
                f"(config.input.{known[0]}), where it is surer than on new images; give --split "
                "with patients that it was not trained on, or other --data"
            )
        new = {k: v for k, v in spec.items() if k != "sha256"}
        new |= {"split": split, "limit": limit or None}
        key = json.dumps([new["type"], spec_lib.data_key(new)])
        if key not in keys:
            found[name] = new
            keys.add(key)
        if _parts(spec["split"]) & _parts(split):
            same.append(name)
    if kept:
        log(f"not asked, they are controls or give no confidences: {', '.join(kept)}")
    if not found:
        raise ValueError(
            "there is nothing to calibrate: no evaluator asks for answers or places about real "
            "images; give --data, such as --data=slake"
        )
    return found, _notes(same, trained, split)


def table(made: calibration.Calibration) -> str:
    """Returns the figures of a calibration as a table, with what has no fit below it."""
    lines = [_HEAD, _RULE, _COLUMNS]
    for kind, fits in made.fits.items():
        for lang, fit in fits.items():
            x = fit.figures
            assert x is not None  # `calibration_fits.fit` measures them.
            lines.append(
                f"| {kind} | {lang or 'all'} | {x.n} | {x.patients} | {fit.method} "
                f"| {x.raw_ece:.3f} | {x.ece:.3f} "
                f"| {x.raw_brier:.3f} | {x.brier:.3f} | {x.base_brier:.3f} |"
            )
            if x.incomplete:
                lines[-1] += f" {x.incomplete} more lack a feature"
    for kind, reasons in made.left_out.items():
        lines += [f"no fit: {kind}, {lang or 'all'}: {why}" for lang, why in reasons.items()]
    return "\n".join(lines + [f"note: {x}" for x in made.notes])


def trained_on(checkpoint: str) -> dict[str, Spec]:
    """Returns name -> entry of `config.input` of the datasets that a run was trained on.

    It is empty for other checkpoints, and for runs whose config names no training data.
    """
    if weights.kind(checkpoint) != "orbax":
        return {}
    from big_rad.weights import orbax

    inputs = orbax.read(checkpoint)[1]["config"].get("input") or {}
    return {n: inputs[n] for n in inputs.get("data") or {} if n in inputs}


def _item(said: Confidence | None, lang: str, outcome: float, patient: Hashable) -> Item | None:
    if said is None or said["score"] is None:
        return None
    return Item(said["kind"], lang, said["features"], said["score"], outcome, patient)


def _parts(split: str) -> set[str]:
    # The names of the splits of which a split such as "validation[:50%]+test" consists.
    return {part.partition("[")[0].strip() for part in split.split("+")}


def _same_data(trained: Spec, spec: Spec, split: str) -> bool:
    if trained.get("builder") != spec["builder"]:
        return False
    ours, theirs = (dict(x.get("builder_args") or {}) for x in (spec, trained))
    agree = all(ours[k] == theirs[k] for k in ours.keys() & theirs.keys())
    return agree and bool(_parts(trained["split"]) & _parts(split))


def _notes(same: Sequence[str], trained: Mapping[str, Spec], split: str) -> list[str]:
    notes = []
    if same:
        notes.append(
            f"the scores of {', '.join(same)} are those of {split} too, the split of this "
            "calibration: calibrated confidences look better there than on new images, so report "
            "them on another split"
        )
    if not trained:
        notes.append(
            f"the training data of the checkpoint are not known here; if {split} was among them, "
            "the calibrated confidences are too high"
        )
    return notes


def _config(args: argparse.Namespace, checkpoint: str) -> tuple[Any, list[str]]:
    # The config of the evaluation, and the notes of `chosen`.
    if args.folder != "default" and not args.data:
        raise ValueError(f"--folder={args.folder} goes with --data=folder")
    if args.limit < 0:
        raise ValueError(f"--limit={args.limit}: give a number of questions from 1; 0 is all")
    if args.data:
        config = evaluate.data_config(checkpoint, args.data, folder=args.folder)
    else:
        config = evaluate.run_config(checkpoint)
    with config.unlocked():
        controls.choose(config.evals, args.only)
        evals = {n: x.to_dict() for n, x in config.evals.items()}
        found, notes = chosen(evals, trained_on(checkpoint), args.split, args.limit)
        config.evals = ml_collections.ConfigDict(found)
    return config, notes


def _one_step(checkpoint: str, out: str) -> tuple[str, pathlib.Path]:
    # The checkpoint, with the step named if it is of a run, and the folder of the evaluation.
    if weights.kind(checkpoint) == "orbax":
        place = run_dir.locate(checkpoint)
        print(f"{checkpoint}: {place}")
        folder = place.workdir / calibration.FOLDER / f"evaluation_step{place.step}"
        return str(place.folder), pathlib.Path(out or folder)
    if not out:
        raise ValueError(
            f"give --out=FOLDER for the answers: {checkpoint} is no run directory. The calibration "
            f"itself goes to {calibration.path_of(checkpoint)}"
        )
    return checkpoint, pathlib.Path(out)


def _make_way(checkpoint: str, path: pathlib.Path) -> None:
    # A calibration that cannot be used would also stop the evaluation, so it is removed.
    try:
        old = calibration.of(checkpoint)
    except ValueError as e:
        print(f"removed: {e}")
        path.unlink()
        return
    if old is not None:
        print(f"{path}, made on {old.date or 'an unknown date'}, will be replaced")


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the command line; returns its exit code."""
    runtime.quiet_libraries()
    args = _parser().parse_args(argv)
    try:
        checkpoint, out = _one_step(args.checkpoint, args.out)
        path = calibration.path_of(checkpoint)
        config, notes = _config(args, checkpoint)
        _make_way(checkpoint, path)
        made = calibrate(checkpoint, config, args.data_dir, out, notes)
        made.write(path)
        if weights.kind(checkpoint) == "export":
            exported.write_sums(path.parent)
    except (OSError, ValueError) as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; the same command goes on from the answers it has", file=sys.stderr)
        return 130
    print(f"{table(made)}\nwrote {path}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = evaluate.data_parser("python -m tools.calibrate", __doc__)
    parser.add_argument("--split", default="validation", help="a split of held-out patients")
    parser.add_argument("--data_dir", default="data", help="where the built datasets lie")
    parser.add_argument(
        "--out", default="", help="of the answers; default: calibration/evaluation_stepN in the run"
    )
    parser.add_argument("--only", default="", help="some evaluators, by name: report,vqa")
    parser.add_argument(
        "--limit", type=int, default=LIMIT, help=f"questions of each ({LIMIT}); 0: all"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
