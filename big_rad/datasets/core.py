"""Random-access sources of examples: what every dataset looks like to the input pipeline.

An example is a dict with id, patient and one image: `image` (packed, see `pp.packed`), modality,
plane, body_part, texts and, where there are any, `segmap` (packed) and `boxes`. One with several
images to draw from has them in `images`, each a dict of these fields; the op `view` chooses.
Knows nothing of any particular dataset or of batches.
"""

import importlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from big_rad.pp import packed

Example = dict[str, Any]
_PACKED = ("image", "segmap")


class Source(Protocol):
    """Anything with a length and examples by index."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Example: ...


def load_source(name: str, split: str, data_dir: str | Path, **kw: Any) -> Source:
    """Opens a dataset by name.

    Args:
        name: a module in `big_rad.datasets` that has `load(split, data_dir, **kw)`.
        split: a split's name, or a slice of one such as "train[:100]".
        data_dir: the folder the datasets were built under.
        kw: passed on, for example `config="demo"`.

    Returns:
        A source of examples with random access; it may be pickled and read by many threads.

    Raises:
        ValueError: there is no such dataset or split.
        FileNotFoundError: the dataset is not built; the message names folder and command.
    """
    try:
        module = importlib.import_module(f"big_rad.datasets.{name}")
        load = module.load
    except (ModuleNotFoundError, AttributeError) as e:
        if isinstance(e, ModuleNotFoundError) and not str(e.name).startswith("big_rad.datasets"):
            raise
        raise ValueError(f"no dataset named {name!r}; known: {', '.join(names())}") from e
    return load(split, data_dir, **kw)


def names() -> list[str]:
    """Returns the names of the datasets in this package."""
    folder = Path(__file__).parent
    return sorted(p.parent.name for p in folder.glob("*/__init__.py"))


class RecordSource:
    """A dataset built by `datasets.records`.

    Args:
        folder: the version folder of the built dataset.
        split: a split's name or a slice of it.
        command: what builds it, for the error message.
    """

    def __init__(self, folder: str | Path, split: str, command: str):
        self._folder, self._split, self._command = str(folder), split, command
        self._open()

    def _open(self) -> None:
        import tensorflow_datasets as tfds  # slow to import; only readers of records need it

        if not (Path(self._folder) / "dataset_info.json").exists():
            raise FileNotFoundError(f"{self._folder} holds no dataset; build it: {self._command}")
        builder = tfds.builder_from_directory(self._folder)
        known = sorted(builder.info.splits)
        if self._split.split("[")[0] not in known:
            raise ValueError(f"no split {self._split!r} in {self._folder}; there are {known}")
        self._data = builder.as_data_source(split=self._split)
        self._lock = threading.Lock()

    def __getstate__(self) -> tuple[str, str, str]:
        return self._folder, self._split, self._command

    def __setstate__(self, state: tuple[str, str, str]) -> None:
        self._folder, self._split, self._command = state
        self._open()

    def __len__(self) -> int:
        return len(self._data)

    def __getitem__(self, index: int) -> Example:
        if not -len(self) <= index < len(self):
            raise IndexError(f"example {index} of {len(self)} in {self._folder}, {self._split}")
        record = self._data[int(index) % len(self)]
        columns = record["images"]
        images = [
            _image(dict(zip(columns, row, strict=True)))
            for row in zip(*columns.values(), strict=True)
        ]
        example = {"id": record["id"].decode(), "patient": record["patient"].decode()}
        return {**images[0], **example} if len(images) == 1 else {**example, "images": images}

    def __iter__(self) -> Iterator[Example]:
        return (self[i] for i in range(len(self)))


class expand:
    """A source with one text an item, for evaluation.

    Args:
        source: the source to take texts from.
        task: "report", "vqa" or "detect"; None keeps all.
        lang: "en", "de" or None.
        question_type: of vqa texts, "open", "yesno", ... or None.
        per_image: at most so many texts of an image, drawn with `seed`; None keeps all.
        seed: of that draw.

    Items are examples whose `texts` has one entry and whose `id` is "<image id>#<text number>";
    the image's own id is in `image_id`.
    """

    def __init__(
        self,
        source: Source,
        task: str | None = None,
        lang: str | None = None,
        question_type: str | None = None,
        per_image: int | None = None,
        seed: int = 0,
    ):
        self._source = source
        self._items: list[tuple[int, int]] = []
        wanted = {"task": task, "lang": lang, "question_type": question_type}
        wanted = {k: v for k, v in wanted.items() if v is not None}
        for i in range(len(source)):
            found = [
                j
                for j, t in enumerate(source[i]["texts"])
                if all(t.get(k) == v for k, v in wanted.items())
            ]
            if per_image is not None and len(found) > per_image:
                rng = np.random.default_rng([seed, i])
                found = sorted(rng.choice(found, per_image, replace=False).tolist())
            self._items += [(i, j) for j in found]

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> Example:
        i, j = self._items[index]
        example = dict(self._source[i])
        example["image_id"] = example["id"]
        example["id"] = f"{example['id']}#{j}"
        example["texts"] = [example["texts"][j]]
        return example

    def __iter__(self) -> Iterator[Example]:
        return (self[i] for i in range(len(self)))


def unpacked(example: Example) -> Example:
    """Returns an example (or an entry of its `images`) with its packed arrays as arrays."""
    return {k: packed.array(v) if k in _PACKED else v for k, v in example.items()}


def _image(row: dict[str, bytes]) -> dict[str, Any]:
    """Returns an image's fields as the ops expect them; arrays stay packed."""
    image = {k: v if k in _PACKED else v.decode() for k, v in row.items()}
    image |= {k: json.loads(image[k]) for k in ("boxes", "texts")}
    return {k: v for k, v in image.items() if k not in ("segmap", "boxes") or v}
