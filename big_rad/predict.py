"""Predicts on images from the command line.

    python -m big_rad.predict --checkpoint=runs/demo image.dcm --task=report --ground=boxes

Standard output has one line of JSON for each slice. Progress, notes and errors go to standard
error. Several images are answered together.

For use in Python, import `RadGrounder` from here. For the privacy of patients, the only values of
the DICOM header that appear in the outputs are modality, plane and orientation.
"""

import argparse
import collections
import dataclasses
import itertools
import json
import pathlib
import sys
import time
from collections.abc import Iterator, Sequence

from big_rad.dicom import read as dicom_read
from big_rad.dicom.image import MODALITIES, PLANES
from big_rad.grounding.unicode import nfc
from big_rad.inference import inputs, predictions
from big_rad.inference.asks import Ask
from big_rad.inference.load import CheckpointError
from big_rad.inference.organs import detect_question, join_answers, organs
from big_rad.inference.predictions import Entity, Prediction
from big_rad.inference.radgrounder import RadGrounder

__all__ = [
    "Ask", "CheckpointError", "Entity", "Prediction", "RadGrounder", "detect_question", "main",
]  # fmt: skip


_SAY_EVERY = 5.0  # Seconds between two lines of progress.
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
        for name in args.organ:
            meant = organs([name])
            if len(meant) > 1:
                each = ", ".join(getattr(c, args.lang) for c in meant)
                print(f"--organ={name}: asked for as {each}", file=sys.stderr)
        return _predict_all(args)
    except (CheckpointError, ValueError, OSError) as e:
        _print_error(e)
        return 2
    except KeyboardInterrupt:
        _print_error("stopped")
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


@dataclasses.dataclass(frozen=True)
class _Job:
    # One slice: its file, the stem of its outputs, the slice, and what is asked about it.
    path: str
    stem: str
    image: dicom_read.Slice
    asks: list[Ask]


class _Jobs:
    """Reads the images one after the other, and remembers what is asked about each.

    An image that cannot be read is an error message, and the others go on.

    Attributes:
        found: the images that have been read and are not answered yet, in their order.
        code: the exit code so far.
    """

    def __init__(self, args: argparse.Namespace):
        self.found: collections.deque[_Job] = collections.deque()
        self.code = 0
        self._args = args

    def asks(self) -> Iterator[Ask]:
        """Yields everything that is asked, image by image."""
        args = self._args
        options = dict(
            frame=args.frame, plane=args.plane, modality=args.modality, offset=args.offset
        )
        for path, stem in zip(args.images, _stems(args.images), strict=True):
            try:
                image = inputs.read(path, **options)
            except (ValueError, OSError) as e:  # One bad file does not stop the others.
                self.failed(e)
                continue
            job = _Job(path, stem, image, _asks(image, args))
            self.found.append(job)  # Before its answer can come.
            yield from job.asks

    def failed(self, error: Exception | str) -> None:
        """Prints an error, which changes the exit code."""
        _print_error(error)
        self.code = 2


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


def _predict_all(args: argparse.Namespace) -> int:
    """Predicts on each image that can be read, and returns the exit code."""
    jobs = _Jobs(args)
    asks = jobs.asks()
    first = next(asks, None)
    if first is None:  # No image can be read, so no model is loaded.
        return jobs.code
    model = RadGrounder.load(args.checkpoint)
    model.as_stored = args.as_stored
    alone = len(args.images) == 1 and len(jobs.found[0].asks) == 1
    rest = itertools.chain([first], asks)
    # A list of one question is answered in a single row.
    answers = model.ask([*rest] if alone else rest, errors="return", max_new_tokens=first.limit)
    said = time.monotonic()
    for number in itertools.count():
        made = next(answers, None)
        if made is None:
            return jobs.code
        job = jobs.found.popleft()  # Its pixels are not kept until the last image is answered.
        found = [made, *itertools.islice(answers, len(job.asks) - 1)]
        errors = [x for x in found if isinstance(x, Exception)]
        if errors:
            for why in dict.fromkeys(map(str, errors)):  # Several organs may have one error.
                jobs.failed(f"{job.path}: {why}")
            continue
        joined = join_answers(organs(args.organ), found, args.lang) if args.organ else made
        _show(joined, job, args)
        if time.monotonic() > said + _SAY_EVERY:
            said = time.monotonic()
            print(f"{number + 1} of {len(args.images)} images", file=sys.stderr)


def _print_error(error: Exception | str) -> None:
    print(f"big_rad.predict: {' '.join(str(error).split())}", file=sys.stderr)


def _check_outputs(folder: str, images: Sequence[str]) -> None:
    for stem in _stems(images):
        outputs = predictions.outputs(folder, stem)
        for path in images:
            if outputs.fullmatch(str(pathlib.Path(path).resolve())):
                raise ValueError(
                    f"{path} would be overwritten by the output for {stem}; give another --out"
                )


def _show(prediction: Prediction, job: _Job, args: argparse.Namespace) -> None:
    fields = dict(file=job.stem, task=args.task, lang=args.lang)
    if args.out:
        plain = predictions.write(prediction, job.image, args.out, job.stem, **fields)
    else:
        plain = predictions.to_json(prediction, job.image, **fields)
    indent = 1 if args.pretty else None
    print(json.dumps(plain, ensure_ascii=False, indent=indent), flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m big_rad.predict",
        description=f"Prints one line of JSON for each slice. {predictions.NOTE}.",
    )
    add = parser.add_argument
    add("images", nargs="+", help="DICOM, NIfTI, PNG, JPEG or NPY files")
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
    add("--pretty", action="store_true", help="JSON on several lines, for people")
    add("--out", default="", help="folder for <stem>.json, <stem>_overlay.png and masks")
    return parser


def _stems(paths: Sequence[str]) -> list[str]:
    # Files of the same name from several folders must not overwrite the outputs of each other.
    stems: list[str] = []
    for path in paths:
        name = nfc(pathlib.Path(path).name)
        stem = unique = pathlib.Path(name.removesuffix(".zst")).stem
        while unique in stems:
            unique = f"{stem}_{sum(s.startswith(stem) for s in stems) + 1}"
        stems.append(unique)
    return stems


if __name__ == "__main__":
    sys.exit(main())
