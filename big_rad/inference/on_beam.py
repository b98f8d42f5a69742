"""Predicts on any number of studies with Apache Beam.

    out/predictions-00003-of-00016.jsonl   predictions, a line for each slice
    out/failed-00000-of-00001.jsonl        what could not be predicted, and why
    out/notes-00000-of-00001.jsonl         what was skipped, and what is odd about a series

A study is a folder with its series, or a file. Each worker process loads the model once and answers
the slices of a study through its queue, which holds a few slices at a time. The names of the files
are always the same, so a pipeline that runs again replaces its own files.

Beam is not a requirement of big_rad, so it is imported only when it is used. Install it with
`pip install apache-beam -c constraints.txt`.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from big_rad.datasets import on_beam
from big_rad.dicom import series, walk
from big_rad.inference import jobs
from big_rad.inference.load import CheckpointError
from big_rad.inference.radgrounder import RadGrounder

OUTPUTS = ("predictions", "failed", "notes")
Answer = Callable[[jobs.Jobs, Any], Iterator[dict[str, Any]]]
_LOCK = threading.Lock()  # Beam's workers are threads of one process; one of them loads the model.
_models: dict[str, RadGrounder] = {}


def studies(paths: Sequence[str]) -> list[str]:
    """Returns the studies in files and folders, in their order.

    A folder that has folders in it is an archive: each of them is a study, and so are the files
    beside them, together with the archive's other files. Any other folder is a study.
    """
    found: list[str] = []
    for path in map(pathlib.Path, paths):
        inner = sorted(p for p in path.iterdir() if p.is_dir()) if path.is_dir() else []
        if not inner:
            found.append(str(path))
            continue
        found += map(str, inner)
        found += map(str, sorted(p for p in path.iterdir() if p.is_file()))
    return found


def run(
    wanted: jobs.Wanted, answer: Answer, out: pathlib.Path, arguments: Sequence[str], shards: int
) -> dict[str, int]:
    """Predicts on studies.

    Args:
        wanted: what is to be done. Its `paths` are split into studies, and its `out` is not used.
        answer: a function of `Jobs` and a model that answers everything and yields the predictions
            as plain data.
        out: the folder of the outputs.
        arguments: the arguments of Beam's options.
        shards: the number of files with predictions.

    Returns:
        The number of lines of each kind, of `OUTPUTS`.

    Raises:
        ValueError: Beam is not installed.
    """
    beam_options = on_beam.options(arguments)
    import apache_beam as beam

    numbered = list(enumerate(studies(wanted.paths)))
    base = dataclasses.replace(wanted, paths=(), out=None)

    def predict(study: tuple[int, str]) -> Iterator[Any]:
        for name, line in predicted(study, base, answer):
            yield line if name == main else beam.pvalue.TaggedOutput(name, line)

    out.mkdir(parents=True, exist_ok=True)
    for name in OUTPUTS:
        for old in out.glob(f"{name}-*.jsonl"):
            old.unlink()
    main, *others = OUTPUTS
    with beam.Pipeline(options=beam_options) as pipeline:
        parts = (
            pipeline
            | "studies" >> beam.Create(numbered)
            | "spread" >> beam.Reshuffle()
            | "predict" >> beam.FlatMap(predict).with_outputs(*others, main=main)
        )
        for name in OUTPUTS:
            write = beam.io.WriteToText(
                str(out / name),
                file_name_suffix=".jsonl",
                num_shards=shards if name == main else 1,
            )
            parts[name] | f"write {name}" >> write
    counts = {}
    for name in OUTPUTS:
        lines = (open(f, encoding="utf-8") for f in sorted(out.glob(f"{name}-*.jsonl")))
        counts[name] = sum(1 for file in lines for _ in file)
    return counts


def predicted(
    study: tuple[int, str], wanted: jobs.Wanted, answer: Answer
) -> Iterator[tuple[str, str]]:
    """Predicts on one study, and yields lines of JSON.

    Args:
        study: its number and its path.
        wanted: what is to be done.
        answer: see `run`.

    Yields:
        Pairs (name of the output, line). No line names the study's folder. Failures and notes do
        not name the file either, since files may be named after patients.
    """
    number, path = study
    work = None
    try:
        work = jobs.Jobs(dataclasses.replace(wanted, paths=(path,)), lambda text: None)
        if work.total:
            for plain in answer(work, _model(wanted)):
                yield OUTPUTS[0], json.dumps({"study": number, **plain}, ensure_ascii=False)
        errors, notes = work.errors, work.notes
    except CheckpointError:
        raise  # All studies would fail.
    except Exception as e:  # A study that fails must not fail the pipeline.
        errors = [*(work.errors if work else ()), f"{type(e).__name__}: {e}"]
        notes = work.notes if work else []
    for name, texts in zip(OUTPUTS[1:], (errors, notes), strict=True):
        for text in texts:
            line = {"study": number, "reason": _without_names(text, path)}
            yield name, json.dumps(line, ensure_ascii=False)


def _model(wanted: jobs.Wanted) -> RadGrounder:
    key = f"{wanted.checkpoint} {dict(wanted.loading)}"
    with _LOCK:
        if key not in _models:
            _models[key] = RadGrounder.load(wanted.checkpoint, **wanted.loading)
        return _models[key]


def _without_names(text: str, path: str) -> str:
    study = pathlib.Path(path)
    names = {study.name}
    for file in walk.files([path])[0]:
        names |= {*file.parts[len(study.parts) :], series.key_of_file(file)}
    text = text.replace(f"{study.parent}{os.sep}", "")
    for name in sorted(names, key=len, reverse=True):
        # A folder "images" does not change the word in "no images". Of several series with the
        # same name, all but the first have a number behind it.
        text = re.sub(rf"(?<!\w){re.escape(name)}(_\d+)?(?!\w)", "(file)", text)
    return text


def check(args: argparse.Namespace) -> None:
    """Checks options of the command line that do not go with Beam.

    Raises:
        ValueError: an option does not fit.
    """
    given = [n for n in ("resume", "dicom", "pretty") if getattr(args, n)]
    if given:
        raise ValueError(f"--{given[0]} does not go with --beam, which writes JSON lines alone")
    if not args.out:
        raise ValueError("--beam needs --out=DIR, which all workers can write to")
    if args.shards < 1:
        raise ValueError(f"--shards={args.shards}: give a whole number from 1")
