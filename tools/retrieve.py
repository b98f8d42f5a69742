"""Searches a dataset with the two towers of an adapted SigLIP, by texts and by images.

    python -m tools.retrieve --checkpoint=runs/siglip --data=phantom:validation \\
        --query="nodule in the left lower lobe" --query="Pleuraerguss rechts" --out=search.html
    python -m tools.retrieve --checkpoint=runs/siglip --data=folder/ct:train --image=slice.dcm

Writes a self-contained page with the images that are nearest to each query, their similarity and
their report sentences, and prints a line for each of them. A query is in any language that the
towers were trained on.

All images of the data are embedded once. Their embeddings are written as a Parquet file, the index,
with the fingerprint of the model; the next search with the same file only reads it. An index of
other weights, other data or another preprocessing is refused.
"""

import argparse
import datetime
import pathlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from big_rad.dicom.image import MODALITIES, PLANES
from big_rad.inference import draw
from tools.retrieval import images as images_lib
from tools.retrieval import index, page, queries, towers

_REJECTS_PRINTED = 10


def main(argv: Sequence[str] | None = None) -> None:
    """Reads the command line, writes the index and the page, and prints what was found."""
    args = _parser().parse_args(argv)
    try:
        path = run(args)
    except (ValueError, OSError, ImportError) as e:
        print(f"error: {' '.join(str(e).split())}", file=sys.stderr)
        sys.exit(2)
    print(f"page: {path}, {path.stat().st_size / 1e6:.1f} MB")


def run(args: argparse.Namespace) -> pathlib.Path:
    """Searches, and returns the path of the page.

    Args:
        args: the options of the command line.

    Raises:
        ValueError: an option has a value that does not fit, the checkpoint has no two towers, an
            image cannot be read, or the index is of another model or other data.
        OSError: the checkpoint or the data are missing, or a file cannot be written.
    """
    _check(args)
    data = images_lib.open_data(args.data, args.data_dir)
    model = towers.load(args.checkpoint, _say)
    asked = _queries(args, model)  # Before the slow work, because a file may be unreadable.
    held, about = _embedded(args, data, model)
    top = min(args.top, len(held.rows))
    if top < args.top:
        _say(f"--top={args.top}: the data have {top} images, and all of them are shown")
    results = [page.Result(q, *queries.nearest(q.vector, held.vectors, top)) for q in asked]
    pictures = _pictures((h.place for r in results for h in r.hits), held.rows, data, model)
    for result in results:
        _print(result, held.rows)
    facts = {
        "checkpoint": model.name,
        "fingerprint": model.fingerprint[:12],
        "data": str(data),
        "images": f"{len(held.rows):,}",
        "could not be read": f"{len(held.rejects):,}" if held.rejects else "",
        "embedded": about["made"],
    }
    facts = {k: v for k, v in facts.items() if v}
    return page.write(args.out, results, held.rows, pictures, facts, about, held.rejects)


def _check(args: argparse.Namespace) -> None:
    if not args.query and not args.image:
        raise ValueError("there is nothing to search for: give --query=TEXT or --image=FILE")
    if any(not text.strip() for text in args.query):
        raise ValueError("--query is empty; give some words to search for")
    for name in ("top", "batch_size"):
        if getattr(args, name) < 1:
            raise ValueError(f"--{name}={getattr(args, name)}: give a whole number from 1")
    reading = [n for n in ("frame", "plane", "modality") if getattr(args, n) is not None]
    reading += ["offset"] if args.offset else []
    if reading and not args.image:
        raise ValueError(f"--{reading[0]} says how --image is read; give --image, or leave it out")


def _queries(args: argparse.Namespace, model: towers.Towers) -> list[queries.Query]:
    found = [queries.of_text(text, model) for text in args.query]
    reading = dict(frame=args.frame, plane=args.plane, modality=args.modality, offset=args.offset)
    for number, path in enumerate(args.image, 1):
        found.append(queries.of_image(path, number, model, **reading))
    for query in found:
        for note in query.notes:
            _say(f"{query.title}: {note}")
    return found


def _embedded(
    args: argparse.Namespace, data: images_lib.Data, model: towers.Towers
) -> tuple[images_lib.Embedded, dict[str, str]]:
    # Reads the index, or makes it and writes it.
    path = pathlib.Path(args.index or pathlib.Path(args.out).with_suffix(".parquet"))
    about = {**data.about(), **model.about()}
    if path.exists():
        held, about = index.read(path, about)
        _say(f"index: {path}, {len(held.rows):,} images, made {about['made']}")
    else:
        now = datetime.datetime.now(datetime.UTC)
        about |= {"checkpoint": model.name, "made": f"{now:%Y-%m-%d %H:%M} UTC"}
        held = images_lib.embed(data, model, args.batch_size)
        index.write(path, held, about)
        _say(f"index: {path}, {len(held.rows):,} images embedded")
    for reject in held.rejects[:_REJECTS_PRINTED]:
        what = reject["image"] or reject["example"]
        _say(f"could not be read: {what}: {reject['error']}: {reject['reason']}")
    if len(held.rejects) > _REJECTS_PRINTED:
        _say(f"could not be read: {len(held.rejects):,} in all; the page and the index list them")
    return held, about


def _pictures(
    places: Iterable[int],
    rows: Sequence[images_lib.Row],
    data: images_lib.Data,
    model: towers.Towers,
) -> Mapping[int, np.ndarray]:
    found: dict[int, Any] = {}
    for place in dict.fromkeys(places):
        row = rows[place]
        try:
            found[place] = draw.seen(model.prepare(data.image(row)), row.modality)
        except Exception as e:  # It was read when it was embedded; the rest of the page is of use.
            _say(f"{row.image}: no picture on the page: {type(e).__name__}: {e}")
    return found


def _print(result: page.Result, rows: Sequence[images_lib.Row]) -> None:
    print(_printable(f"{result.query.title}: the {len(result.hits)} nearest of {len(rows):,}"))
    for hit in result.hits:
        row = rows[hit.place]
        text = queries.found_text(row.texts) or "no report sentence"
        print(_printable(f"  {row.image:20s} {hit.similarity:7.4f}  {text}"))


def _printable(text: str) -> str:
    # Texts come from data, and control characters could change a terminal.
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _say(line: str) -> None:
    print(_printable(line), file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tools.retrieve",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--checkpoint", required=True, help="a run of two towers, RUN/checkpoints/N, or a SigLIP")
    add("--data", required=True, help="NAME:SPLIT or NAME/VARIANT:SPLIT of a built dataset")
    add("--data_dir", default="data", help="the folder of the built datasets [data]")
    add("--query", action="append", default=[], help="a text to search for; repeat")
    add("--image", action="append", default=[], help="an image file to search for; repeat")
    add("--frame", type=int, help="which slice of the volume that --image names, from 0")
    add("--plane", choices=PLANES, help="of a file that does not say it; NIfTI is sliced in it")
    add("--modality", choices=MODALITIES, help="of files that do not say it; overrides DICOM's")
    add("--offset", type=float, default=0, help="added to values of CT to make them HU, as -1024")
    add("--top", type=int, default=12, help="how many images of each query are shown [12]")
    add("--out", default="search.html", help="the page [search.html]")
    add("--index", help="the Parquet file of the embeddings [--out, with the ending .parquet]")
    add("--batch_size", type=int, default=64, help="how many images are embedded together [64]")
    return parser


if __name__ == "__main__":
    main()
