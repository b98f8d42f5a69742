"""Computes the G-IoU of a finished evaluation, in any mode and with any similarity.

    python -m tools.g_iou runs/demo/evaluation
    python -m tools.g_iou runs/demo/evaluation --mode=paper,reference_det --similarity=embedding \\
        --embed_url=http://localhost:8000/v1 --embed_model=google/embeddinggemma-300m

It reads the samples that `big_rad.evaluate` wrote. The checkpoint is not needed; only the
similarity "embedding" asks a model, for vectors of phrases. Numbers of different modes or
similarities are not comparable, see docs/evaluation.md.
"""

import argparse
import os
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool

from big_rad.evaluators import samples as sample_files
from big_rad.evaluators.judges import embeddings
from big_rad.evaluators.records import Entity, Record
from big_rad.grounding import markup, masks
from big_rad.metrics import bootstrap, grounding, similarity

_SIMILARITIES = (*grounding.SIMILARITIES, "embedding")


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the command line; returns its exit code."""
    args = _parser().parse_args(argv)
    try:
        found = read(args.evaluation)
        rows = [
            _row(name, records, mode, backend, args)
            for backend in _backends(args, found)
            for name, records in found.items()
            for mode in _modes(args, records)
        ]
    except (OSError, ValueError) as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    print("| evaluator | metric | mean (95 %) | n | images |\n|---|---|---|---|---|")
    print("\n".join(rows))
    return 0


def read(folder: str | pathlib.Path) -> dict[str, list[Record]]:
    """Returns name -> records of each evaluator with grounded texts, including controls.

    Raises:
        ValueError: the folder has no samples of grounded texts, or a file is broken.
    """
    samples = pathlib.Path(folder) / "samples"
    found = {p.stem: sample_files.read(samples, p.stem)[0] for p in sorted(samples.glob("*.jsonl"))}
    found = {k: v for k, v in found.items() if v and "g_iou" in v[0]["scores"]}
    if not found:
        raise ValueError(
            f"{samples} has no samples of grounded texts: give the --out of big_rad.evaluate, or a "
            "run directory"
        )
    return found


def sides(records: Sequence[Record]) -> dict[str, Any]:
    """Returns the entities of records as arguments of `metrics.grounding.g_iou`."""
    result: dict[str, Any] = {}
    with_masks = has_masks(records)
    for side, short in (("prediction", "pred"), ("reference", "ref")):
        result[f"{short}s"] = [
            [
                markup.Entity(
                    e["phrase"],
                    e["class_id"] or 0,
                    e["box"],
                    k if with_masks else None,
                    tuple(e["span"]),
                )
                for k, e in enumerate(r["boxes"][side])
            ]
            for r in records
        ]
        if with_masks:
            result[f"{short}_masks"] = [
                [_mask(e, r["image_size"]) for e in r["boxes"][side]] for r in records
            ]
    return result


def has_masks(records: Sequence[Record]) -> bool:
    """Returns whether the entities of records are masks."""
    return any("mask" in e for r in records for side in r["boxes"].values() for e in side)


def _mask(entity: Entity, size: Sequence[int]) -> Bool[np.ndarray, "height width"]:
    return masks.from_runs(entity["mask"]) if entity["mask"] else np.zeros(tuple(size), bool)


def _row(
    name: str,
    records: Sequence[Record],
    mode: str,
    backend: str | similarity.Similarity,
    args: argparse.Namespace,
) -> str:
    result = grounding.g_iou(**sides(records), mode=mode, similarity=backend)
    scores = [s["g_iou"] for s in result["per_sample"]]
    images = [sample_files.image_of(r) for r in records]
    x = bootstrap.interval(scores, clusters=images, resamples=args.resamples)
    return (
        f"| {name} | {result['name']} | {bootstrap.interval_text(vars(x))} | {x.n} | {x.clusters} |"
    )


def _modes(args: argparse.Namespace, records: Sequence[Record]) -> list[str]:
    # The modes that were asked for, or else all modes that fit boxes or masks.
    other = "reference_det" if has_masks(records) else "reference_seg"
    return args.mode or [m for m in grounding.MODES if m != other]


def _backends(args: argparse.Namespace, found: Mapping[str, Any]) -> list[Any]:
    backends: list[Any] = []
    for name in args.similarity:
        if name not in _SIMILARITIES:
            raise ValueError(f"--similarity={name}: there are {', '.join(_SIMILARITIES)}")
        backends.append(_embedding(args, found) if name == "embedding" else name)
    return backends


def _embedding(args: argparse.Namespace, found: Mapping[str, Any]) -> similarity.Similarity:
    phrases = {
        e["phrase"]
        for records in found.values()
        for r in records
        for side in r["boxes"].values()
        for e in side
    }
    file, model = args.vectors or args.evaluation / "vectors.npz", args.embed_model
    if args.embed_url:
        if not model:
            raise ValueError("--embed_url and --embed_model go together")
        key = os.environ.get("EMBED_API_KEY", "")
        vectors = embeddings.embed(phrases, args.embed_url, model, file, key=key, log=_say)
        return similarity.cosine(vectors, model)
    if not file.exists():
        raise ValueError(
            f"--similarity=embedding needs --embed_url, or --vectors=FILE.npz: {file} is not there"
        )
    vectors, made_by = similarity.read_vectors(file), embeddings.model_of(file)
    if model and made_by and model != made_by:
        raise ValueError(f"{file} holds vectors of {made_by}, and --embed_model is {model}")
    return similarity.cosine(vectors, made_by or model or file.stem)


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    def names(text: str) -> list[str]:
        return [n for n in text.split(",") if n]

    parser = argparse.ArgumentParser(
        prog="python -m tools.g_iou",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("evaluation", type=pathlib.Path, help="--out of big_rad.evaluate, or a run")
    parser.add_argument("--mode", type=names, default=[], help=", ".join(grounding.MODES))
    parser.add_argument(
        "--similarity", type=names, default=["class_id"], help=", ".join(_SIMILARITIES)
    )
    parser.add_argument("--embed_url", default="", help="an OpenAI-compatible endpoint, .../v1")
    parser.add_argument("--embed_model", default="", help="its model; key: $EMBED_API_KEY")
    parser.add_argument("--vectors", type=pathlib.Path, help="npz of vectors, used and added to")
    parser.add_argument("--resamples", type=int, default=10_000)
    return parser


if __name__ == "__main__":
    sys.exit(main())
