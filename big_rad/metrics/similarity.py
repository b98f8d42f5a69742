"""Similarities of phrases for G-IoU: by the lexicon of classes, or by embedding vectors.

A similarity is a function (n phrases, m phrases) -> [n, m]. Its `__name__` becomes part of the
metric's name. The vectors come from a file (`read_vectors`), or from a caller that asks a model.
"""

import pathlib
import zipfile
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Float

from big_rad.grounding import classes, mentions
from big_rad.grounding.unicode import nfc

Similarity = Callable[[Sequence[str], Sequence[str]], Float[np.ndarray, "n m"]]


def lexicon(a: Sequence[str], b: Sequence[str]) -> Float[np.ndarray, "n m"]:
    """Returns the share of common classes among all classes that two phrases name.

    Phrases may be English or German. "left kidney" and "linke Niere" have similarity 1, "kidneys"
    and "left kidney" 0.5. A phrase that is no name of a class has the classes of the anatomy in it,
    such as the liver for "Lebermetastasen". If the lexicon knows neither phrase, the similarity is
    1 if they differ only in case and outer white space, and otherwise 0.

    Args:
        a: the n phrases of the rows.
        b: the m phrases of the columns.

    Returns:
        The similarities, in 0..1.
    """
    left, right = ([_named(x) for x in side] for side in (a, b))
    result = [[len(x & y) / len(x | y) for y in right] for x in left]
    return np.array(result, float).reshape(len(a), len(b))


def cosine(vectors: Mapping[str, Float[np.ndarray, " width"]], name: str) -> Similarity:
    """Returns a similarity that is the cosine of the vectors of two phrases.

    Args:
        vectors: the vector of each phrase. The keys are phrases in the form of `plain`.
        name: the name of the model that made the vectors.

    Returns:
        A function named `embedding:<name>`, whose values are in -1..1. It raises ValueError if a
        phrase has no vector, or one of length 0.
    """

    def unit(phrases: Sequence[str]) -> np.ndarray:
        keys = [plain(p) for p in phrases]
        missing = [k for k in keys if k not in vectors]
        if missing:
            raise ValueError(
                f"no vector for {', '.join(map(repr, sorted(set(missing))[:5]))}: embed all "
                f"phrases of both sides with {name}"
            )
        rows = np.array([vectors[k] for k in keys], np.float64)
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        if not norms.all():
            raise ValueError(f"{name} gave a vector of zeros: {keys[int(np.argmin(norms))]!r}")
        return rows / norms

    def embedding(a: Sequence[str], b: Sequence[str]) -> Float[np.ndarray, "n m"]:
        return np.clip(unit(a) @ unit(b).T, -1, 1)

    embedding.__name__ = f"embedding:{name}"
    return embedding


def read_vectors(path: str | pathlib.Path) -> dict[str, Float[np.ndarray, " width"]]:
    """Reads vectors from an npz with `phrases` (text [N]) and `vectors` (float [N, D]).

    Raises:
        ValueError: the file is not such an npz.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            phrases, vectors = file["phrases"], file["vectors"]
    except (KeyError, ValueError, EOFError, zipfile.BadZipFile) as e:
        raise ValueError(
            f"{path} is not a file of vectors ({e}): give an npz with `phrases` (text [N]) and "
            "`vectors` (float [N, D])"
        ) from e
    if vectors.ndim != 2 or phrases.shape != vectors.shape[:1]:
        raise ValueError(
            f"{path}: `phrases` has shape {phrases.shape} and `vectors` {vectors.shape}; give [N] "
            "and [N, D]"
        )
    return {plain(str(p)): v for p, v in zip(phrases, vectors, strict=True)}


def _named(phrase: str) -> frozenset[int | str]:
    found = frozenset(c.id for c in classes.lookup_all(phrase))
    found = found or frozenset(
        i for m in mentions.at(phrase, 0, len(phrase)) for i in m.possible_ids
    )
    return found or frozenset([plain(phrase)])


def plain(phrase: str) -> str:
    """Returns the key of a phrase in `cosine`: lower case, composed Unicode, no outer spaces."""
    return nfc(phrase.strip().lower())
