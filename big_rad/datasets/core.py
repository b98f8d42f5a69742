"""Opens datasets as sources: objects with a length and one example for each index.

`pp.example` lists the fields of an example. An example from a dataset has `id`, `patient`, and the
fields of one image with its `texts`. Arrays are packed (see `pp.packed`), and `segmap`, `boxes` and
`unsure` are left out if they are empty. A record with several images to choose from has them in
`images`, each a dict of these fields; the op `view` chooses one.

    source = load_source("phantom", "train", "data", config="demo")
    source[0]   # {"id": ..., "patient": ..., "image": b"...", "texts": [...], ...}
"""

import collections
import hashlib
import importlib
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypedDict

import numpy as np

from big_rad import extras
from big_rad.pp import ops_detect, packed
from big_rad.pp.example import Example, one_of_several

_PACKED = ("image", "segmap")


class Source(Protocol):
    """Anything with a length and examples by index."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Example: ...


class Identity(TypedDict):
    """Identifies a source by its number of items and a digest of its files ("" without files)."""

    items: int
    sha256: str


def load_source(name: str, split: str, data_dir: str | Path, **kw: str) -> Source:
    """Opens a dataset by name.

    Args:
        name: the name of a package in `big_rad.datasets` that has `load(split, data_dir, **kw)`.
        split: the name of a split, or a slice of one such as "train[:100]".
        data_dir: the folder under which the datasets were built.
        kw: further arguments of the dataset's `load`, for example `config="demo"`.

    Returns:
        a source of examples; it can be pickled and read by several threads.

    Raises:
        ValueError: The dataset or the split does not exist.
        FileNotFoundError: The dataset is not built; the message names the folder and the command.
    """
    try:
        module = importlib.import_module(f"big_rad.datasets.{name}")
        load = module.load
    except (ModuleNotFoundError, AttributeError) as e:
        if isinstance(e, ModuleNotFoundError) and not str(e.name).startswith("big_rad.datasets"):
            raise
        raise ValueError(f"no dataset named {name!r}; known: {', '.join(names())}") from e
    return load(split, data_dir, **kw)


def make_source(spec: Mapping[str, Any], data_dir: str) -> Source:
    """Returns the random-access source that a dataset's config names.

    Args:
        spec: a dict with `builder` and `split`. It may also have `builder_args`, `only` ("grounded"
            keeps the examples that have boxes or a label map), `asked` (arguments of
            `DetectionQuestions`, whose questions replace the texts), and `expand` (arguments of
            `OneTextPerItem`).
        data_dir: the folder in which the datasets lie.

    Raises:
        ValueError: `only` has another value than "grounded".
    """
    source = load_source(
        spec["builder"], spec["split"], data_dir, **dict(spec.get("builder_args", {}))
    )
    if spec.get("only", "grounded") != "grounded":
        raise ValueError(f"only={spec['only']!r} of a dataset's config: there is 'grounded'")
    if spec.get("only"):
        source = GroundedExamples(source)
    if spec.get("asked"):
        source = DetectionQuestions(source, **dict(spec["asked"]))
    if spec.get("expand"):
        source = OneTextPerItem(source, **dict(spec["expand"]))
    return source


def names() -> list[str]:
    """Returns the names of the datasets in this package."""
    folder = Path(__file__).parent
    return sorted(p.parent.name for p in folder.glob("*/__init__.py"))


class RecordSource:
    """A dataset built by `datasets.build`.

    Args:
        folder: the version folder of the built dataset.
        split: the name of a split or a slice of it.
        command: the command that builds the dataset, for the error message.
    """

    def __init__(self, folder: str | Path, split: str, command: str):
        self._folder, self._split, self._command = str(folder), split, command
        self._open()

    def _open(self) -> None:
        # This import is slow, and only readers of records need it.
        with extras.needed("train"):
            import tensorflow_datasets as tfds

        if not (Path(self._folder) / "dataset_info.json").exists():
            raise FileNotFoundError(f"{self._folder} holds no dataset; build it: {self._command}")
        builder = tfds.builder_from_directory(self._folder)
        known = sorted(builder.info.splits)
        if self._split.split("[")[0] not in known:
            raise ValueError(f"no split {self._split!r} in {self._folder}; there are {known}")
        if not builder.info.splits[self._split].num_examples:  # A slice, as "train[:0]".
            raise ValueError(
                f"{self._split!r} of {self._folder} has no example; give a larger part"
            )
        self._data = builder.as_data_source(split=self._split)
        self._lock = threading.Lock()

    def __getstate__(self) -> tuple[str, str, str]:
        return self._folder, self._split, self._command

    def __setstate__(self, state: tuple[str, str, str]) -> None:
        self._folder, self._split, self._command = state
        self._open()

    def sha256(self) -> str:
        """Returns a digest of the split's files, or "" if `build.json` does not list digests."""
        path = Path(self._folder) / "build.json"
        if not path.exists():
            return ""
        files = json.loads(path.read_text(encoding="utf-8")).get("sha256") or {}
        part = f"-{self._split.split('[')[0]}.array_record"
        mine = sorted((k, v) for k, v in files.items() if part in k)
        return hashlib.sha256(json.dumps(mine).encode()).hexdigest() if mine else ""

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
        if len(images) > 1:
            return {**example, "images": images}
        return {**images[0], **example, "patient": images[0].get("patient", example["patient"])}

    def __iter__(self) -> Iterator[Example]:
        return (self[i] for i in range(len(self)))


class OneTextPerItem:
    """A source in which each item has one text, for evaluation; or, with `together`, one image.

    An item is an example whose `texts` has one entry and whose `id` is
    "<image id>#<text number>"; the id of the image itself is in `image_id`.

    Args:
        source: the source whose texts are taken.
        task: the task of the texts that are kept: "report", "vqa" or "detect"; None keeps all.
        lang: the language of the texts that are kept, such as "en" or "de"; None keeps all.
        question_type: the type of the questions that are kept, such as "open" or "yesno"; None
            keeps all.
        per_image: the most texts that are kept of one image, drawn with `seed`; None keeps all.
        seed: the seed of that draw.
        items: the number of examples of the source that are kept; the draw is always the same.
            None keeps all. The published evaluation drew the same number of sentences from another
            order, so its sentences are different ones.
        view: which images of an example with several are kept: "first" or "all".
        together: whether an item has all texts that are kept of an image, for captions. Its id is
            then that of the image, and images without such a text are left out.

    Attributes:
        wanted: {field: value} for those of `task`, `lang` and `question_type` that are not None.
        texts: {(task, lang, question_type): number of texts}, counted before texts are selected.
    """

    def __init__(
        self,
        source: Source,
        task: str | None = None,
        lang: str | None = None,
        question_type: str | None = None,
        per_image: int | None = None,
        seed: int = 0,
        items: int | None = None,
        view: str = "first",
        together: bool = False,
    ):
        if view not in ("first", "all"):
            raise ValueError(f"expand: view={view!r} is neither 'first' nor 'all'")
        for name, count in (("per_image", per_image), ("items", items)):
            if count is not None and count < 1:
                raise ValueError(f"expand: {name}={count}: give a number from 1, or None for all")
        self._source = source
        self._items: list[tuple[int, int, list[int]]] = []
        self._together = together
        wanted = {"task": task, "lang": lang, "question_type": question_type}
        self.texts: collections.Counter[tuple[str, ...]] = collections.Counter()
        fields = tuple(wanted)
        self.wanted = wanted = {k: v for k, v in wanted.items() if v is not None}
        chosen: Sequence[int] = range(len(source))
        if items is not None and items < len(source):
            chosen = np.random.default_rng(42).choice(len(source), items, replace=False).tolist()
        for i in chosen:
            images = images_of(source[i])
            for k, image in enumerate(images[:1] if view == "first" else images):
                self.texts.update(tuple(str(t.get(f, "")) for f in fields) for t in image["texts"])
                found = [
                    j
                    for j, t in enumerate(image["texts"])
                    if all(t.get(k) == v for k, v in wanted.items())
                ]
                if per_image is not None and len(found) > per_image:
                    rng = np.random.default_rng([seed, i, k] if k else [seed, i])
                    found = sorted(rng.choice(found, per_image, replace=False).tolist())
                kept = [found] if found and together else [[j] for j in found]
                self._items += [(i, k, js) for js in kept]

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> Example:
        i, k, js = self._items[index]
        example = dict(images_of(self._source[i])[k])
        example["image_id"] = example.get("image_id", example["id"])
        if not self._together:
            example["id"] = f"{example['image_id']}#{js[0]}"
        example["texts"] = [example["texts"][j] for j in js]
        return example

    def __iter__(self) -> Iterator[Example]:
        return (self[i] for i in range(len(self)))


class GroundedExamples:
    """The examples of a source that have a box, or a label map that shows a class.

    Args:
        source: the source; all of it is read once.
    """

    def __init__(self, source: Source):
        self._source = source
        self._items = [i for i in range(len(source)) if any(map(_points, images_of(source[i])))]

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> Example:
        return self._source[self._items[index]]


class DetectionQuestions:
    """The examples of a source, with detection questions instead of their own texts.

    It is meant for evaluation: the questions of an example are always the same. `OneTextPerItem`
    makes an item of each question.

    Args:
        source: the source.
        seed: the seed of the draw of questions.
        kw: the arguments of the op `detect_vqa`.
    """

    def __init__(self, source: Source, seed: int = 0, **kw: Any):  # The op checks `kw`.
        self._source, self._seed, self._ask = source, seed, ops_detect.get_detect_vqa(**kw)

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Example:
        rng = np.random.default_rng([self._seed, index])
        example = self._ask({**self._source[index], "texts": [], "rng": rng})
        return {k: v for k, v in example.items() if k != "rng"}


# The earlier names of the three classes, for programs that import them.
expand, grounded, asked = OneTextPerItem, GroundedExamples, DetectionQuestions


def identity(source: Source) -> Identity:
    """Returns the number of items of a source, and the digest of its files, or "" without files.

    Args:
        source: a source from `load_source`, or one of the sources of this module around it.
    """
    inner = source
    while hasattr(inner, "_source"):
        inner = inner._source
    return {"items": len(source), "sha256": inner.sha256() if hasattr(inner, "sha256") else ""}


def images_of(example: Example) -> list[Example]:
    """Returns the images of an example, each as an example with one image.

    If there are several images, each result has the `id` of the example, and the id of the image
    itself as `image_id`. The patient is that of the image, if the images may differ in it.
    """
    if "images" not in example:
        return [example]
    shared = {k: v for k, v in example.items() if k != "images"}
    return [one_of_several(image, shared) for image in example["images"]]


def _points(image: Example) -> bool:
    return bool(image.get("boxes")) or (
        "segmap" in image and bool(np.any(packed.array(image["segmap"])))
    )


def unpacked(example: Example) -> Example:
    """Returns an example (or an entry of its `images`) with its packed arrays unpacked."""
    return {k: packed.array(v) if k in _PACKED else v for k, v in example.items()}


def _image(row: dict[str, bytes]) -> Example:
    """Returns an image's fields as the ops expect them; arrays stay packed."""
    image = {k: v if k in _PACKED else v.decode() for k, v in row.items()}
    image |= {k: json.loads(image[k]) for k in ("boxes", "unsure", "texts") if k in image}
    return {k: v for k, v in image.items() if k not in ("segmap", "boxes", "unsure") or v}
