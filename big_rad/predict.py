"""Predicts on images from the command line.

    python -m big_rad.predict --checkpoint=runs/demo image.dcm --task=report --ground=boxes

Standard output has one line of JSON for each slice. Progress, notes and errors go to standard
error. Several images are answered together.

For use in Python, import `RadGrounder` from here. For the privacy of patients, the only values of
the DICOM header that appear in the outputs are modality, plane and orientation.
"""

import argparse
import dataclasses
import datetime
import functools
import itertools
import json
import os
import pathlib
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from big_rad.datasets import progress as progress_lib
from big_rad.dicom import objects, web
from big_rad.dicom import read as dicom_read
from big_rad.dicom import series as series_lib
from big_rad.dicom.image import MODALITIES, PLANES
from big_rad.inference import dicom_results, jobs, on_beam, predictions
from big_rad.inference.asks import Ask
from big_rad.inference.load import CheckpointError
from big_rad.inference.organs import detect_question, join_answers, organs
from big_rad.inference.predictions import Entity, Prediction
from big_rad.inference.radgrounder import RadGrounder
from big_rad.inference.series_files import SeriesFiles
from big_rad.pages import series as series_page

__all__ = [
    "Ask", "CheckpointError", "Entity", "Prediction", "RadGrounder", "detect_question", "main",
]  # fmt: skip


# The options that only one task uses, with this task.
_TASK_OF_OPTION = {"organ": "detect", "choice": "vqa", "clinical": "report"}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit code.

    Args:
        argv: the arguments; None takes those of this process.
    """
    args = _parser().parse_args(argv)
    try:
        if args.out:
            pathlib.Path(args.out).mkdir(parents=True, exist_ok=True)
            _check_outputs(args.out, args.images)
        _check_task(args)
        _check_numbers(args)
        _check_series(args)
        for name in args.organ:
            meant = organs([name])
            if len(meant) > 1:
                each = ", ".join(getattr(c, args.lang) for c in meant)
                print(f"--organ={name}: asked for as {each}", file=sys.stderr)
        return _predict_all(args)
    except (CheckpointError, ValueError, OSError, ImportError) as e:
        _print_error(e)
        return 2
    except KeyboardInterrupt:
        more = "; the same command with --resume goes on" if args.out and not args.beam else ""
        _print_error(f"stopped{more}")
        return 130


def _check_task(args: argparse.Namespace) -> None:
    # Refuses options that the task does not use, and missing ones that it needs, before a model is
    # loaded.
    for name, task in _TASK_OF_OPTION.items():
        if getattr(args, name) and args.task != task:
            raise ValueError(
                f"--{name} belongs to --task={task}, and the task is {args.task}: change the task, "
                "or leave the option out"
            )
    asks = args.task == "vqa" or (args.task == "detect" and not args.organ)
    if asks and not args.question.strip():
        more = ", or --organ" if args.task == "detect" else ""
        raise ValueError(f"the question is empty; give --question{more}")
    if args.organ and args.question.strip():
        raise ValueError("give --organ or --question, not both: each organ is asked for by itself")


def _asks(image: dicom_read.Slice, args: argparse.Namespace) -> list[Ask]:
    first = Ask(
        image,
        task=args.task,
        question=args.question,
        clinical=args.clinical,
        choices=tuple(args.choice),
        lang=args.lang,
        ground=args.ground,
        max_new_tokens=args.max_new_tokens,
        temperature=args.temperature,
        top_p=args.top_p,
        seed=args.seed,
        constrained=args.constrained,
        min_score=args.min_score,
    )
    if not args.organ:
        return [first]
    each = organs(args.organ)
    return [dataclasses.replace(first, question=detect_question(c.en, args.lang)) for c in each]


def _check_numbers(args: argparse.Namespace) -> None:
    for ask in _asks(None, args):
        try:
            ask.check()
        except ValueError as e:
            raise ValueError(f"--{str(e).replace('choices', 'choice', 1)}") from None
    if not args.temperature and (args.top_p != 1 or args.seed):
        raise ValueError("--top_p and --seed are for drawing; give --temperature above 0 as well")


def _check_series(args: argparse.Namespace) -> None:
    if not (args.images or args.wado):
        raise ValueError("give files or folders, or --wado and --study")
    if args.wado and not args.out:
        raise ValueError("--wado needs --out=DIR, where the study is kept in DIR/fetched")
    if args.stow and not args.dicom:
        raise ValueError("--stow sends DICOM objects; give --dicom=seg,sr as well")
    web.Options.parse(args)  # An error now, and not after the predictions.
    for name in ("every", "rows"):
        number = getattr(args, name)
        if number is not None and number < 1:
            raise ValueError(f"--{name}={number}: give a whole number from 1")
    unknown = [n for n in args.dicom.split(",") if n and n not in dicom_results.WANTED]
    if unknown:
        raise ValueError(
            f"--dicom={args.dicom}: {', '.join(unknown)} is unknown; give some of "
            f"{', '.join(dicom_results.WANTED)}"
        )
    if args.beam:
        on_beam.check(args)
    for name in ("dicom", "resume"):
        if getattr(args, name) and not args.out:
            raise ValueError(f"--{name} needs --out=DIR")
    if args.dicom and args.frame is not None:
        raise ValueError(
            "--dicom is about whole series, and --frame names one slice; leave one of them out"
        )
    if args.frame is not None and any(pathlib.Path(p).is_dir() for p in args.images):
        raise ValueError("--frame names a slice of one file; give files, and no folders")
    args.now = _time(args.now)
    if "sc" in args.dicom.split(",") and not args.now:
        raise ValueError(
            "--dicom=sc needs --now=2026-01-31T12:00:00, because a picture states no date"
        )
    if args.now and not args.dicom:
        raise ValueError("--now is the date of DICOM objects; give --dicom, or leave it out")
    if args.dicom:
        objects.package()  # An error now, and not after the predictions.


def _time(text: str) -> datetime.datetime | None:
    try:
        return datetime.datetime.fromisoformat(text).replace(tzinfo=None) if text else None
    except ValueError:
        raise ValueError(
            f"--now={text} is no date and time; give one as 2026-01-31T12:00:00"
        ) from None


def _predict_all(args: argparse.Namespace) -> int:
    """Predicts on each image that can be read, and returns the exit code."""
    if args.beam:
        return _on_beam(args)
    remote = web.Options.parse(args) if args.wado or args.stow else None
    if remote is not None:
        for warning in remote.warnings:
            print(f"big_rad.predict: {warning}", file=sys.stderr)
    if args.wado:
        args.images = [*args.images, _fetched(remote, args)]
    wanted = _wanted(args)
    work = jobs.Jobs(wanted, _print_error)
    asks = work.asks()
    first = next(asks, None)
    if first is not None:  # Otherwise nothing is to be predicted, and no model is loaded.
        progress = progress_lib.Progress("predict", work.total, "slices")
        model = RadGrounder.load(args.checkpoint, **wanted.loading)
        work.seen = model.seen
        if "seg" in args.dicom and model.pointing != "masks":
            _print_error("no SEG will be written: the model does not point with masks")
        for plain in _answer(work, model, first, asks, args):
            indent = 1 if args.pretty else None
            if not _printed(json.dumps(plain, ensure_ascii=False, indent=indent)) and not args.out:
                return work.code  # Nobody reads on, and there is nothing else to write.
            progress.step()
    work.finish(functools.partial(_page, args))
    _sum_up(work, args)
    if args.stow:
        _send(remote, work)
    return work.code


def _printed(line: str) -> bool:
    # Prints a line, and returns whether somebody reads it. `predict | head` is no error.
    try:
        print(line, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True


def _sum_up(work: jobs.Jobs, args: argparse.Namespace) -> None:
    if work.folders:
        made = "".join(f", {path.parent.name}/{path.name}" for path in work.written)
        said = f"{work.done:,} of {work.total:,} slices predicted, {work.folders} series"
        print(f"{said} in {args.out}{made}", file=sys.stderr)


def _fetched(remote: web.Options, args: argparse.Namespace) -> str:
    # Fetches a study, and returns its folder.
    folder = pathlib.Path(args.out) / "fetched"
    progress = progress_lib.Progress("fetch", 0, "images")
    found = web.fetch(
        remote.wado.url,
        study=remote.study,
        series=remote.series or None,
        folder=folder,
        access=remote.access,
        done=lambda count, total: progress.step(),
    )
    print(f"fetched {found.new} images; {found.kept} were there already", file=sys.stderr)
    return str(folder)


def _send(remote: web.Options, work: jobs.Jobs) -> None:
    # Sends the DICOM objects that were written.
    if not work.written:
        print("big_rad.predict: --stow: there is no DICOM object to send", file=sys.stderr)
        return
    sent = web.send(remote.stow.url, work.written, access=remote.access)
    print(f"sent {len(sent.stored)} DICOM objects to {remote.stow.host}", file=sys.stderr)


def _page(
    args: argparse.Namespace,
    series: series_lib.Series,
    files: SeriesFiles,
    read: Callable[[series_lib.SliceRef], dicom_read.Slice],
) -> None:
    about = files.read_json()["calibration"]
    facts = {
        "checkpoint": pathlib.Path(args.checkpoint).name,
        "task": args.task,
        "language": args.lang,
        "question": args.question,
        "organs": ", ".join(args.organ),
        "choices": ", ".join(args.choice),
        "confidences": f"calibrated on {about}" if about else "",
    }
    series_page.of_files(series, files, read, {k: v for k, v in facts.items() if v})


def _answer(
    work: jobs.Jobs,
    model: RadGrounder,
    first: Ask,
    asks: Iterator[Ask],
    args: argparse.Namespace,
) -> Iterator[dict[str, Any]]:
    # Answers everything, and yields the predictions as plain data.
    model.as_stored = args.as_stored
    alone = work.alone() and len(work.found[0].asks) == 1
    rest = itertools.chain([first], asks)
    # A list of one question is answered in a single row.
    answers = model.ask([*rest] if alone else rest, errors="return", max_new_tokens=first.limit)
    for made in answers:
        job = work.found.popleft()  # Its pixels are not kept until the last image is answered.
        found = [made, *itertools.islice(answers, len(job.asks) - 1)]
        errors = [x for x in found if isinstance(x, Exception)]
        for why in dict.fromkeys(map(str, errors)):  # Several organs may have one error.
            work.failed(why, job)
        if not errors:
            joined = join_answers(organs(args.organ), found, args.lang) if args.organ else made
            yield work.take(job, joined)


def _on_beam(args: argparse.Namespace) -> int:
    def answer(work: jobs.Jobs, model: RadGrounder) -> Iterator[dict[str, Any]]:
        asks = work.asks()
        first = next(asks, None)
        if first is not None:
            yield from _answer(work, model, first, asks, args)

    wanted, out = _wanted(args), pathlib.Path(args.out)
    made = on_beam.run(wanted, answer, out, shlex.split(args.beam), args.shards)
    predicted, failed, notes = (made[name] for name in on_beam.OUTPUTS)
    said = f"{predicted:,} slices predicted, {failed:,} failures, {notes:,} notes"
    print(f"{said}, in {out}", file=sys.stderr)
    return 2 if failed else 0


def _wanted(args: argparse.Namespace) -> jobs.Wanted:
    reading = dict(frame=args.frame, plane=args.plane, modality=args.modality, offset=args.offset)
    names = ("question", "clinical", "choice", "organ", "ground", "max_new_tokens", "constrained",
             "min_score", "temperature", "top_p", "seed", "as_stored", "task", "lang")  # fmt: skip
    asked = {name: getattr(args, name) for name in names} | {
        k: v for k, v in reading.items() if k != "frame"
    }
    return jobs.Wanted(
        paths=args.images,
        asks=lambda image: _asks(image, args),
        reading=reading,
        every=args.every,
        out=pathlib.Path(args.out) if args.out else None,
        resume=args.resume,
        dicom=tuple(filter(None, args.dicom.split(","))),
        now=args.now,
        checkpoint=args.checkpoint,
        loading={} if args.rows is None else dict(rows=args.rows),
        asked=asked,
        lang=args.lang,
        fields=dict(task=args.task, lang=args.lang)
        | {k: v for k in ("question", "choice", "organ") if (v := getattr(args, k))},
    )


def _print_error(error: Exception | str) -> None:
    print(f"big_rad.predict: {' '.join(str(error).split())}", file=sys.stderr)


def _check_outputs(folder: str, images: Sequence[str]) -> None:
    for stem in jobs.stems(images):
        outputs = predictions.outputs(folder, stem)
        for path in images:
            if outputs.fullmatch(str(pathlib.Path(path).resolve())):
                raise ValueError(
                    f"{path} would be overwritten by the output for {stem}; give another --out"
                )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m big_rad.predict",
        description=f"Prints one line of JSON for each slice. {predictions.NOTE}.",
    )
    add = parser.add_argument
    add("images", nargs="*", help="DICOM, NIfTI, PNG, JPEG or NPY files, and folders of them")
    add(
        "--checkpoint",
        required=True,
        help="run (its best step, else its last), RUN/checkpoints/N, Hugging Face folder or npz",
    )
    add("--task", choices=("report", "vqa", "detect"), default="report")
    add("--question", default="", help="the question (vqa, detect), or the referrer's (report)")
    add("--clinical", default="", help="clinical information (report)")
    add("--choice", action="append", default=[], help="an answer to choose from (vqa); repeat")
    add("--organ", action="append", default=[], help="an organ to find (detect); repeat")
    add("--lang", choices=("en", "de"), default="en")
    add("--ground", choices=("boxes", "masks", "none"), help="what the model can, by default")
    add("--frame", type=int, help="which frame of a multi-frame file or slice of a volume, from 0")
    add("--plane", choices=PLANES, help="of a file that does not say it; NIfTI is sliced in it")
    add("--modality", choices=MODALITIES, help="of files that do not say it; overrides DICOM's")
    add("--offset", type=float, default=0, help="added to values of CT to make them HU, as -1024")
    add("--as_stored", action="store_true", help="do not turn images to their usual display")
    add("--max_new_tokens", type=int, help="by default the task's own limit")
    add("--constrained", action="store_true", default=True, help="readable texts only (default)")
    add("--noconstrained", dest="constrained", action="store_false", help="whatever is written")
    add("--min_score", type=float, default=0.0, help="withhold boxes and masks less sure than this")
    add(
        "--temperature",
        type=float,
        default=0.0,
        help="0: the likeliest tokens; else they are drawn",
    )
    add("--top_p", type=float, default=1.0, help="draw from the likeliest tokens of this mass")
    add("--seed", type=int, default=0, help="of the drawing")
    add("--rows", type=int, help="how many answers are decoded together, by default 8")
    add("--pretty", action="store_true", help="JSON on several lines, for people")
    add("--every", type=int, default=1, help="of a series, predict on each N-th slice")
    add("--out", default="", help="folder for JSON, overlays, masks and all files of a series")
    add("--resume", action="store_true", help="slices of series that have outputs are skipped")
    add("--dicom", default="", help="also write DICOM objects, with --out: seg,sr,sc")
    add("--now", default="", help="date and time of DICOM objects, as 2026-01-31T12:00:00")
    add("--wado", default="", help="fetch a study from an archive: its DICOMweb address")
    add("--study", default="", help="with --wado: the StudyInstanceUID")
    add("--series", default="", help="with --wado: a SeriesInstanceUID, for one series alone")
    add("--stow", default="", help="send the DICOM objects to an archive: its DICOMweb address")
    add("--ca_file", default="", help="certificates that an archive is trusted by")
    add("--insecure_http", action="store_true", help="allow http to archives on other machines")
    add("--beam", default="", help="predict on studies with Apache Beam: its options, in quotes")
    add("--shards", type=int, default=16, help="with --beam, the number of files of predictions")
    return parser


if __name__ == "__main__":
    sys.exit(main())
