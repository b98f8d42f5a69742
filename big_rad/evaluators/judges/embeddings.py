"""Gets embedding vectors of phrases from an OpenAI-compatible endpoint and keeps them in a file.

`metrics.similarity.read_vectors` reads the file, so that later uses do not need the endpoint.
"""

import io
import pathlib
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from big_rad import endpoint, files
from big_rad.metrics import similarity

_BATCH = 64  # How many phrases a request has.


def embed(
    phrases: Iterable[str],
    url: str,
    model: str,
    file: str | pathlib.Path,
    *,
    key: str = "",
    log: Callable[[str], None] = lambda line: None,
    **options: Any,
) -> dict[str, np.ndarray]:
    """Returns a vector for each phrase, from the file or else from the endpoint.

    Args:
        phrases: the phrases; case and surrounding white space do not matter.
        url: the URL of the endpoint, such as "http://localhost:8000/v1".
        model: the name of the model at the endpoint.
        file: an npz with `phrases`, `vectors` and `model`; new vectors are added to it. It is made
            if it is missing.
        key: the API key, sent as a bearer token; "" sends none.
        log: receives a line if phrases were embedded.
        options: other arguments of `endpoint.Endpoint`.

    Returns:
        Phrase in lower case -> vector, float32 [D], for all phrases of the file and of the call.

    Raises:
        ValueError: the file is of another model, or the endpoint gave no vector for some phrases.
            The vectors of the other phrases are kept, so a second call asks only for the missing
            ones.
    """
    file = pathlib.Path(file)
    known = _read_file(file, model)
    wanted = sorted({similarity.plain(p) for p in phrases} - set(known) - {""})
    url = url.rstrip("/").removesuffix("/embeddings") + "/embeddings"
    bodies = [
        {"model": model, "input": wanted[i : i + _BATCH], "encoding_format": "float"}
        for i in range(0, len(wanted), _BATCH)
    ]
    asked = endpoint.Endpoint(url, key, **options).ask(bodies, _read)
    for body, (vectors, _) in zip(bodies, asked, strict=True):
        if vectors is not None:
            known |= zip(body["input"], vectors, strict=True)
    if wanted:
        _save(file, known, model)
        log(f"{len(wanted):,} phrases embedded with {model}")
    failed = [(len(b["input"]), e) for b, (v, e) in zip(bodies, asked, strict=True) if v is None]
    if failed:
        raise ValueError(
            f"{url}: no vector for {sum(n for n, _ in failed)} of {len(wanted)} phrases "
            f"({failed[0][1]}); the others are kept in {file}, so run it again"
        )
    return known


def model_of(file: str | pathlib.Path) -> str:
    """Returns the name of the model in a file of vectors, or "" if the file does not name it."""
    with np.load(file, allow_pickle=False) as content:
        return str(content["model"]) if "model" in content.files else ""


def _read(body: endpoint.Body, reply: object) -> list[np.ndarray]:
    rows = sorted(reply["data"], key=lambda row: row["index"])
    vectors = np.array([row["embedding"] for row in rows], np.float32)
    if vectors.ndim != 2 or len(vectors) != len(body["input"]) or not np.isfinite(vectors).all():
        raise ValueError(f"{len(body['input'])} phrases gave vectors of shape {vectors.shape}")
    return list(vectors)


def _read_file(file: pathlib.Path, model: str) -> dict[str, np.ndarray]:
    if not file.exists():
        return {}
    vectors, made_by = similarity.read_vectors(file), model_of(file)
    if made_by != model:
        raise ValueError(
            f"{file} holds vectors of {made_by or 'a model that it does not name'}, and {model} is "
            "asked for: give another file"
        )
    return vectors


def _save(file: pathlib.Path, known: dict[str, np.ndarray], model: str) -> None:
    if not known:
        return
    content = io.BytesIO()
    np.savez_compressed(
        content,
        phrases=np.array(list(known)),
        vectors=np.array(list(known.values()), np.float32),
        model=np.array(model),
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    files.write_whole(file, content.getvalue())
