"""Lists and embeds the images of a built dataset.

An example may have several images, and an image may be in several examples, for example once for
each of its sentences. Each image is embedded once, and all its report sentences are kept with it.
"""

import collections
import concurrent.futures
import dataclasses
import importlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from big_rad.datasets import core
from big_rad.datasets import progress as progress_lib
from big_rad.pp.example import Example
from tools.retrieval.towers import Towers

_REASON = 300  # The number of characters of a reason that are kept.
_THREADS = 8


@dataclasses.dataclass
class Row:
    """An image of the data.

    Attributes:
        example: the id of the example; the first one, if the image is in several.
        image: the id of the image.
        item: the number of this example in the split.
        view: the number of the image in the example.
        subject: a running number that images of one patient share. The pseudonym of the patient is
            not kept.
        modality, plane, body_part: the fields of the image with these names; "" if unknown.
        texts: (language, sentence) of each report sentence, in their order.
    """

    example: str
    image: str
    item: int
    view: int
    subject: int
    modality: str
    plane: str
    body_part: str
    texts: list[tuple[str, str]]


@dataclasses.dataclass
class Embedded:
    """The images of a split with their embeddings.

    Attributes:
        rows: the images that could be read.
        vectors: their embeddings f32 [N, D], of length 1.
        rejects: what could not be read: dicts with `example`, `image`, `error` and `reason`.
    """

    rows: list[Row]
    vectors: Float[np.ndarray, "rows features"]
    rejects: list[dict[str, str]]


@dataclasses.dataclass(frozen=True)
class Data:
    """A split of a built dataset.

    Attributes:
        name, config, split: the names of the dataset, of its variant and of the split.
        source: its examples.
    """

    name: str
    config: str
    split: str
    source: core.Source

    def __str__(self) -> str:
        return f"{self.name}{f'/{self.config}' * bool(self.config)} {self.split}"

    def about(self) -> dict[str, str]:
        """Returns what identifies the data, as texts."""
        module = importlib.import_module(f"big_rad.datasets.{self.name}")
        found = core.identity(self.source)
        return {
            "dataset": self.name,
            "dataset_config": self.config,
            "dataset_version": str(module.VERSION),
            "split": self.split,
            "examples": str(found["items"]),
            "data_sha256": found["sha256"],
        }

    def image(self, row: Row) -> Example:
        """Returns the example of an image, with this image alone."""
        return core.images_of(self.source[row.item])[row.view]


def open_data(data: str, data_dir: str) -> Data:
    """Opens the data that an option `--data` names.

    Args:
        data: NAME:SPLIT or NAME/VARIANT:SPLIT, such as "phantom:validation" or "folder/ct:train".
        data_dir: the folder of the built datasets.

    Raises:
        ValueError: the option names no split, or there is no such dataset or split, or it is empty.
        FileNotFoundError: the dataset is not built.
    """
    place, _, split = data.partition(":")
    name, _, config = place.partition("/")
    if not name or not split:
        raise ValueError(
            f"--data={data}: give NAME:SPLIT, such as phantom:validation, or NAME/VARIANT:SPLIT; "
            f"the datasets are {', '.join(core.names())}"
        )
    source = core.load_source(name, split, data_dir, **({"config": config} if config else {}))
    return Data(name, config, split, source)


def embed(data: Data, towers: Towers, batch_size: int) -> Embedded:
    """Embeds all images of a split.

    Images are read by several threads while the device embeds the batch before.

    Args:
        data: the split.
        towers: the model.
        batch_size: how many images go through the image tower together.

    Raises:
        ValueError: no image can be read.
    """
    listing = _Listing(data.source)
    rows: list[Row] = []
    vectors: list[Any] = []
    progress = progress_lib.Progress("embed", len(data.source), "examples")
    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
        for batch in _batches(listing, towers.prepare, pool, batch_size, progress):
            rows += [row for row, _ in batch]
            images = np.stack([image for _, image in batch])
            fill = np.repeat(images[-1:], batch_size - len(batch), axis=0)  # One shape, one program
            found = towers.embed_images(np.concatenate([images, fill]))
            if vectors:  # The batch before is done by now, or nearly.
                vectors[-1] = np.asarray(vectors[-1])
            vectors.append(found[: len(batch)])
    if not rows:
        first = listing.rejects[0]
        raise ValueError(
            f"no image of {data} can be read; the first is {first['image'] or first['example']!r}: "
            f"{first['error']}: {first['reason']}"
        )
    return Embedded(rows, np.concatenate([np.asarray(v) for v in vectors]), listing.rejects)


class _Listing:
    # Goes through a source, and yields each image when it comes for the first time. The texts of
    # an image that comes again are added to its row.

    def __init__(self, source: core.Source):
        self._source = source
        self._rows: dict[str, Row] = {}
        self._subjects: dict[Any, int] = {}
        self.rejects: list[dict[str, str]] = []

    def images(self, item: int) -> Iterator[tuple[Row, Example]]:
        try:
            images = core.images_of(self._source[item])
        except Exception as e:  # A damaged record may raise anything.
            self.reject(f"item {item}", "", e)
            return
        for view, image in enumerate(images):
            id = str(image.get("image_id") or image["id"])
            texts = _sentences(image)
            if id in self._rows:
                held = self._rows[id].texts
                held += [t for t in texts if t not in held]
                continue
            # The dataset may name no patient; the image then counts as a patient of its own.
            patient = image.get("patient") or ("image", id)
            subject = self._subjects.setdefault(patient, len(self._subjects))
            about = [str(image.get(k) or "") for k in ("modality", "plane", "body_part")]
            self._rows[id] = Row(str(image["id"]), id, item, view, subject, *about, texts)
            yield self._rows[id], image

    def reject(self, example: str, image: str, error: Exception) -> None:
        reason = " ".join([str(error), *getattr(error, "__notes__", ())])[:_REASON]
        found = dict(example=example, image=image, error=type(error).__name__, reason=reason)
        self.rejects.append(found)

    def __len__(self) -> int:
        return len(self._source)


def _batches(
    listing: _Listing,
    prepare: Callable[[Example], np.ndarray],
    pool: concurrent.futures.Executor,
    size: int,
    progress: progress_lib.Progress,
) -> Iterator[list[tuple[Row, np.ndarray]]]:
    waiting: collections.deque[tuple[Row, concurrent.futures.Future]] = collections.deque()
    ready: list[tuple[Row, np.ndarray]] = []
    for item in range(len(listing)):
        waiting.extend((row, pool.submit(prepare, image)) for row, image in listing.images(item))
        progress.step()
        while len(waiting) >= size or (waiting and item + 1 == len(listing)):
            row, future = waiting.popleft()
            try:
                ready.append((row, future.result()))
            except Exception as e:  # The image of one row; the others go on.
                listing.reject(row.example, row.image, e)
            if len(ready) == size:
                yield ready
                ready = []
    if ready:
        yield ready


def _sentences(image: Example) -> list[tuple[str, str]]:
    found: Sequence[Any] = [t for t in image.get("texts", ()) if t.get("task") == "report"]
    return list(dict.fromkeys((str(t.get("lang", "")), str(t["sentence"])) for t in found))
