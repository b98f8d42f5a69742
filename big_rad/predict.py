"""Predicts on images from the command line.

    python -m big_rad.predict --checkpoint=runs/demo image.dcm --task=report --ground=boxes

For use in Python, import `RadGrounder` from here. For the privacy of patients, the only values of
the DICOM header that appear in the outputs are modality, plane and orientation.
"""

import argparse
import json
import pathlib
import sys
from collections.abc import Sequence

from big_rad.dicom import read as dicom_read
from big_rad.dicom.image import MODALITIES, PLANES
from big_rad.grounding.unicode import nfc
from big_rad.inference import inputs, predictions
from big_rad.inference.load import CheckpointError
from big_rad.inference.organs import detect_question, organs
from big_rad.inference.predictions import Entity, Prediction
from big_rad.inference.radgrounder import RadGrounder

__all__ = ["CheckpointError", "Entity", "Prediction", "RadGrounder", "detect_question", "main"]


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
        for name in args.organ:
            meant = organs([name])
            if len(meant) > 1:
                each = ", ".join(getattr(c, args.lang) for c in meant)
                print(f"--organ={name}: asked for as {each}", file=sys.stderr)
        return _predict_all(args)
    except (CheckpointError, ValueError, OSError) as e:
        _print_error(e)
        return 2


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


def _predict_all(args: argparse.Namespace) -> int:
    """Predicts on each image that can be read, and returns the exit code."""
    options = dict(frame=args.frame, plane=args.plane, modality=args.modality, offset=args.offset)
    model, code = None, 0
    for path, stem in zip(args.images, _stems(args.images), strict=True):
        try:
            image = inputs.read(path, **options)
        except (ValueError, OSError) as e:  # One bad file does not stop the others.
            _print_error(e)
            code = 2
            continue
        if model is None:
            model = RadGrounder.load(args.checkpoint)
            model.as_stored = args.as_stored
        _predict_one(model, image, stem, args)
    return code


def _print_error(error: Exception) -> None:
    print(f"big_rad.predict: {' '.join(str(error).split())}", file=sys.stderr)


def _check_outputs(folder: str, images: Sequence[str]) -> None:
    for stem in _stems(images):
        outputs = predictions.outputs(folder, stem)
        for path in images:
            if outputs.fullmatch(str(pathlib.Path(path).resolve())):
                raise ValueError(
                    f"{path} would be overwritten by the output for {stem}; give another --out"
                )


def _predict_one(
    model: RadGrounder, image: dicom_read.Slice, stem: str, args: argparse.Namespace
) -> None:
    options = dict(lang=args.lang)
    if args.max_new_tokens is not None:
        options["max_new_tokens"] = args.max_new_tokens
    if args.task == "report":
        options |= dict(clinical=args.clinical, question=args.question, ground=args.ground)
        prediction = model.report(image, **options)
    elif args.task == "vqa":
        prediction = model.answer(image, args.question, choices=args.choice, **options)
    else:
        prediction = model.detect(image, args.organ or args.question, **options)
    fields = dict(file=stem, task=args.task, lang=args.lang)
    if args.out:
        plain = predictions.write(prediction, image, args.out, stem, **fields)
    else:
        plain = predictions.to_json(prediction, image, **fields)
    print(json.dumps(plain, ensure_ascii=False, indent=1 if len(args.images) == 1 else None))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m big_rad.predict",
        description=f"Prints JSON, for several images a line each. {predictions.NOTE}.",
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
