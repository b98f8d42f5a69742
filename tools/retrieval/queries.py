"""The queries of a search, and the images that are nearest to them."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from big_rad.inference import draw, inputs
from tools.retrieval.towers import Towers

_TITLE = 100  # The number of characters of a query that its title shows.
_DIGITS = 6  # Similarities are compared after rounding to this number of decimal places.


@dataclasses.dataclass(frozen=True)
class Query:
    """A query.

    Attributes:
        title: the query for readers, shortened if it is long. The name of an image's file is not in
            it, because it may name a patient.
        vector: its embedding f32 [D], of length 1.
        notes: sentences that say what was cut or guessed.
        text: the text; "" for an image.
        seen: what the model saw of an image, see `draw.seen`; None for a text.
    """

    title: str
    vector: Float[np.ndarray, " features"]
    notes: tuple[str, ...] = ()
    text: str = ""
    seen: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class Hit:
    """An image that was found.

    Attributes:
        place: the number of the image in the index.
        similarity: the cosine similarity to the query, from -1 to 1.
    """

    place: int
    similarity: float


def of_text(text: str, towers: Towers) -> Query:
    """Returns the query of a text, in any language that the towers were trained on.

    Raises:
        ValueError: the text is empty.
    """
    text = " ".join(text.split())
    vector, left = towers.embed_text(text)
    notes = ()
    if left is not None:
        notes = (
            f"The query is longer than the {towers.length} tokens of the text tower and is cut to: "
            f"“{left.strip()}”.",
        )
    title = text if len(text) <= _TITLE else f"{text[: _TITLE - 1]}…"
    return Query(f"“{title}”", vector, notes, text=text)


def of_image(path: str | pathlib.Path, number: int, towers: Towers, **reading: Any) -> Query:
    """Returns the query of an image, which is read as `big_rad.predict` reads it.

    Args:
        path: a file with one slice, or with several and `frame` in `reading`.
        number: the number of this image among the images that are searched for, from 1.
        towers: the model.
        reading: the arguments `frame`, `plane`, `modality` and `offset` of `inputs.read`.

    Raises:
        ValueError: the image cannot be read, or it is not said which slice is meant.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        raise ValueError(
            f"--image={path.name}: this is a folder; give the file of one slice, or of a volume "
            "with --frame"
        )
    found = inputs.read(path, **reading)
    shown, _, warnings = inputs.to_model(found, as_stored=False)
    fields = dict(modality=shown.modality, plane=shown.plane, body_part="")
    image = towers.prepare({"id": "query", "image": shown.pixels, "texts": [], **fields})
    frame = reading.get("frame")
    what = ["" if frame is None else f"slice {frame}", shown.modality, shown.plane]
    about = ", ".join(filter(None, what))
    return Query(
        f"Image {number} ({about})",
        np.asarray(towers.embed_images(image[None])[0]),
        tuple(f"The image: {w}." for w in warnings),
        seen=draw.seen(image, shown.modality),
    )


def nearest(
    query: Float[np.ndarray, " features"], vectors: Float[np.ndarray, "rows features"], top: int
) -> tuple[list[Hit], float]:
    """Finds the images nearest to a query by cosine similarity.

    Images of equal similarity keep the order of the data.

    Args:
        query: the embedding of the query, of length 1.
        vectors: the embeddings of the images, of length 1.
        top: how many images are returned; all, if there are fewer.

    Returns:
        The images, the nearest first; and the median of the similarity over all images.
    """
    similarity = np.round((vectors @ query).astype(np.float64), _DIGITS)
    order = np.argsort(-similarity, kind="stable")[:top]
    return [Hit(int(i), float(similarity[i])) for i in order], float(np.median(similarity))


def found_text(texts: Sequence[tuple[str, str]]) -> str:
    """Returns the sentences of an image in one language: English, or else its first language."""
    langs = [lang for lang, _ in texts]
    chosen = "en" if "en" in langs else next(iter(langs), "")
    return " ".join(sentence for lang, sentence in texts if lang == chosen)
