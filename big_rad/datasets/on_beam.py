"""Makes the records of `datasets.build.build` on Apache Beam, for datasets too large for a machine.

Beam is not a requirement of big_rad, so it is imported only when it is used. Install it with
`pip install apache-beam -c constraints.txt`.
"""

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

Job = TypeVar("Job")


def split(
    pipeline: Any,
    make: Callable[[Job], Iterable[tuple[str | None, dict[str, Any]]]],
    name: str,
    jobs: Sequence[Job],
    scratch: Path,
) -> Any:
    """Adds the steps that make a split to a pipeline.

    Args:
        pipeline: the Beam pipeline.
        make: a function that turns a job into pairs (id, record), or (None, problem).
        name: the name of the split.
        jobs: the jobs of the split.
        scratch: the folder for the problems; every worker must be able to write to it.

    Returns:
        a PCollection of (id, record).
    """
    import apache_beam as beam

    def route(job: Job) -> Iterator[object]:
        for id, result in make(job):
            if id is None:
                yield beam.pvalue.TaggedOutput("rejects", json.dumps(result, ensure_ascii=False))
            else:
                yield id, result

    parts = (
        pipeline
        | f"jobs of {name}" >> beam.Create(list(jobs))
        | f"spread {name}" >> beam.Reshuffle()
        | f"make {name}" >> beam.FlatMap(route).with_outputs("rejects", main="records")
    )
    where = str(scratch / name)
    parts.rejects | f"rejects of {name}" >> beam.io.WriteToText(where, num_shards=1)
    return parts.records


def rejects(scratch: Path, name: str) -> list[dict[str, Any]]:
    """Returns the problems of a split, after the pipeline has run."""
    return [
        json.loads(line)
        for path in sorted(scratch.glob(f"{name}-*"))
        for line in path.read_text(encoding="utf-8").splitlines()
    ]


def options(arguments: Sequence[str]) -> Any:
    """Returns the options of Beam from arguments such as "--runner=FnApiRunner".

    Raises:
        ValueError: Beam is not installed.
    """
    try:
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError as e:
        raise ValueError(
            "--beam needs Apache Beam: pip install apache-beam -c constraints.txt"
        ) from e
    logging.getLogger("apache_beam").setLevel(logging.ERROR)
    return PipelineOptions(list(arguments))
