"""Repeats the published evaluation, from raw data and a checkpoint to the published table.

    python -m tools.reproduce --checkpoint=DIR --slake=DIR --vqa_rad=DIR

It builds SLAKE and VQA-RAD unless they are built already; the images of VQA-RAD are kept as they
are stored. It then asks the checkpoint SLAKE's validation questions (n = 1,053) and VQA-RAD's test
questions (n = 735, the split without shared images), prints the scores beside the published
numbers, and says how the two evaluations differ. The exit code is 1 if a score is below the
published interval.
"""

import argparse
import pathlib
import sys
from collections.abc import Sequence

from big_rad import evaluate, runtime
from big_rad.datasets import prepare
from tools import compare, published


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the command line; returns its exit code."""
    runtime.quiet_libraries()
    args = _parser().parse_args(argv)
    sources = {
        n: dict(source=p) for n, p in (("slake", args.slake), ("vqa_rad", args.vqa_rad)) if p
    }
    try:
        if not sources:
            raise ValueError("give --slake=DIR or --vqa_rad=DIR, the raw data")
        if args.vqa_rad and args.vqa_rad_splits:
            sources["vqa_rad"]["split_dir"] = args.vqa_rad_splits
        if args.vqa_rad:
            sources["vqa_rad"]["as_stored"] = True  # The released models were trained on these.
        for spec in sources.values():
            if args.allow_other_counts:
                spec["allow_other_counts"] = True
        config = evaluate.data_config(args.checkpoint, "+".join(sources))
        prepare.prepare(sources, args.data_dir)
        evaluate.evaluate(config, args.checkpoint, args.data_dir, args.out)
        masks = bool(config.model.get("mask_decoder"))
        model = args.model or ("segmentation" if masks else "detection")
        print(f"\nBeside the published {model} model:\n")
        code = compare.with_published(pathlib.Path(args.out), model, other_n=True)
    except (OSError, ValueError) as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    print(
        "\nWhat differs from the published runs: JAX in place of PyTorch, float32 weights, images "
        "resized by this package; intervals by image (published: by question). SLAKE's published "
        "numbers are of its validation split, and VQA-RAD's test split was watched in training."
    )
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tools.reproduce",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--checkpoint", required=True, help="run, Hugging Face folder or npz")
    parser.add_argument("--slake", default="", help="raw SLAKE 1.0")
    parser.add_argument("--vqa_rad", default="", help="raw VQA-RAD")
    parser.add_argument("--vqa_rad_splits", default="", help="folder of its split files, if apart")
    parser.add_argument("--data_dir", default="data", help="where the built datasets lie")
    parser.add_argument("--out", default="eval/reproduce", help="a folder for the evaluation")
    parser.add_argument("--model", choices=published.OWN, help="default: by the checkpoint")
    parser.add_argument(
        "--allow_other_counts", action="store_true", help="of data that are not the published ones"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
