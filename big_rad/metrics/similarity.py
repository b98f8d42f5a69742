"""How alike two phrases are, for G-IoU: by the lexicon of classes, or by vectors.

Functions (n phrases, m phrases) -> [n, m], whose `__name__` becomes part of the metric's name.
Knows no network: vectors come from a file or from whoever asks a model for them.
"""

import pathlib
import zipfile
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Float

from big_rad.grounding import classes
from big_rad.grounding.unicode import nfc

Similarity = Callable[[Sequence[str], Sequence[str]], Float[np.ndarray, "n m"]]


def lexicon(a: Sequence[str], b: Sequence[str]) -> Float[np.ndarray, "n m"]:
    """Shared classes over all classes that two phrases name, English or German.

    "left kidney" and "linke Niere" are 1, "kidneys" and "left kidney" 0.5. Phrases that the lexicon
    does not know are 1 if they are the same but for case and outer white space, else 0.

    Args:
        a: n phrases.
        b: m phrases.

    Returns:
        Values in 0..1.
    """
    left, right = ([_named(x) for x in side] for side in (a, b))
    result = [[len(x & y) / len(x | y) for y in right] for x in left]
    return np.array(result, float).reshape(len(a), len(b))


def cosine(vectors: Mapping[str, Float[np.ndarray, " width"]], name: str) -> Similarity:
    """Returns the similarity of phrases by the cosine of their vectors.

    Args:
        vectors: phrase -> vector; phrases are looked up as `plain` gives them.
        name: of the model that made them.

    Returns:
        A function named `embedding:<name>`, whose values are in -1..1.

    Raises:
        ValueError: (by the function) a phrase that has no vector, or one of length 0.
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
        ValueError: a file that is not such a one.
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
    return found or frozenset([plain(phrase)])


def plain(phrase: str) -> str:
    """Returns a phrase as vectors are kept by: lower case, composed Unicode, no outer spaces."""
    return nfc(phrase.strip().lower())
