"""Keeps the answers of a model on disk, so that an interrupted evaluation can go on.

`CachedQueue` wraps the "queue" function of a model. It answers the requests in parts of
`part_size` and writes each part to a file as soon as it is complete. A second call with the same
requests reads those files and asks the model only for the parts that are missing.
"""

import io
import itertools
import math
import pathlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from big_rad import files

Answer = Mapping[str, np.ndarray]
PART_SIZE = 256
_SHAPE = "shape of "
_PACKED = "masks"  # Bool arrays of one size, which are stored as bits.


class CachedQueue:
    """A queue that asks the model only for answers that are not on disk yet.

    Args:
        queue: the function that answers, see `inference.answer.make_answer_requests`.
        folder: the folder of the parts. Each set of requests and each model needs its own folder.
        part_size: the number of requests in a part. At most this many answers are lost when the
            process is killed.
    """

    def __init__(
        self, queue: Callable[..., Any], folder: str | pathlib.Path, part_size: int = PART_SIZE
    ):
        self._queue, self._folder = queue, pathlib.Path(folder)
        self._part_size = part_size

    def __call__(
        self, params: Mapping[str, Any], requests: Iterable[Any], **options: int | bool
    ) -> list[Answer]:
        """Answers the requests, from the disk where possible.

        Args:
            params: the parameters of the model, passed on to the queue.
            requests: the requests, see `inference.queue.Request`. They must be the same, and in
                the same order, as in earlier calls with this folder: a part is recognised by its
                number and its length alone.
            options: other arguments of the queue, such as `rows` and `max_new_tokens`.

        Returns:
            One answer for each request, in their order.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        rest, results = iter(requests), []
        for number in itertools.count():
            part = list(itertools.islice(rest, self._part_size))
            if not part:
                return results
            path = self._folder / f"{number:05d}.npz"
            found = _read(path) if path.exists() else None
            if found is None or len(found) != len(part):
                found = self._queue(params, part, **options)
                _write(path, found)
            results += found

    def clear(self) -> None:
        """Removes the parts. Call it once the scores have been written."""
        for path in self._folder.glob("*.npz"):
            path.unlink()
        if self._folder.is_dir():
            self._folder.rmdir()


def _write(path: pathlib.Path, results: list[Answer]) -> None:
    arrays: dict[str, np.ndarray] = {}
    for name in dict.fromkeys(n for r in results for n in r if n != _PACKED):
        # The arrays of a field may differ in length, and some results may not have it.
        rows = [np.asarray(r[name]) if name in r else None for r in results]
        arrays[name] = np.concatenate([x.ravel() for x in rows if x is not None])
        none = [-1] * max(x.ndim for x in rows if x is not None)
        arrays[_SHAPE + name] = np.array([none if x is None else x.shape for x in rows])
    if _PACKED in results[0]:
        masks = np.concatenate([r["masks"] for r in results])
        arrays["masks_of"] = np.array([len(r["masks"]) for r in results])
        arrays["mask_shape"] = np.array(masks.shape[1:])
        flat = masks.reshape(len(masks), int(np.prod(masks.shape[1:])))
        arrays["masks"] = np.packbits(flat, axis=1)
    packed = io.BytesIO()
    np.savez(packed, **arrays)
    files.write_whole(path, packed.getvalue())


def _read(path: pathlib.Path) -> list[dict[str, np.ndarray]] | None:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
    except Exception:  # A broken file, whatever is wrong with it, is written again.
        return None
    shapes = {n.removeprefix(_SHAPE): x for n, x in arrays.items() if n.startswith(_SHAPE)}
    if not shapes:
        return None
    results: list[dict[str, np.ndarray]] = [{} for _ in next(iter(shapes.values()))]
    for name, rows in shapes.items():
        start = 0
        for result, shape in zip(results, rows.tolist(), strict=True):
            if -1 not in shape:
                end = start + math.prod(shape)
                result[name] = arrays[name][start:end].reshape(shape)
                start = end
    if "masks" in arrays:
        height, width = arrays["mask_shape"]
        bits = np.unpackbits(arrays["masks"], axis=1, count=height * width).astype(bool)
        masks = bits.reshape(-1, height, width)
        ends = np.cumsum(arrays["masks_of"])
        for result, own in zip(results, np.split(masks, ends[:-1]), strict=True):
            result["masks"] = own
    return results
