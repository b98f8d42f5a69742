"""Many requests through a few rows: a row that has ended makes room for a waiting request.

`decode.make_generate` runs a batch until its longest row ends; here rows come and go one by one,
so the work is that of the tokens written. The host starts a chunk of steps before it looks at
which rows the last one ended, so the device need not wait for it. In mask mode "image_isolated"
the questions of one image share its prefill, and up to 16 images are prefilled ahead. Of several
processes each gets all requests and has all results. Greedy or sampled.
"""

import dataclasses
import hashlib
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, Shaped, UInt32

from big_rad import sharding as sharding_lib
from big_rad.inference import rows as rows_lib
from big_rad.inference import sampling

_BATCHES = (1, 4, 16)  # rows of a prefill; each other size would be another compilation
_Group = bytes | int  # what requests about one image have in common: its digest, else their number
_RandomKey = Key[Array, ""] | UInt32[Array, " words"] | UInt32[np.ndarray, " words"]


@dataclasses.dataclass(frozen=True)
class Request:
    """A prompt about an image.

    Attributes:
        image: the image as the model takes it, of one size in a queue.
        text: the prompt from `<bos>` to its last token, without padding.
        expected: tokens of the answer, if there is a guess: the longest start first.
        key: a key of `jax.random`; a queue that samples needs one. The same key gives the same
            samples, whatever else the queue has to do, and those that `decode.make_generate` gives
            a row with this key. Two requests with the same key and prompt get the same answer.
    """

    image: Float[np.ndarray, "height width 3"]
    text: Int[np.ndarray, " prompt"]
    expected: int = 0
    key: _RandomKey | None = None


@dataclasses.dataclass(eq=False)
class _Waiting:
    index: int
    request: Request
    length: int  # of the prompt
    group: _Group
    key: UInt32[np.ndarray, " words"]


@dataclasses.dataclass(eq=False)
class _Live:
    index: int
    length: int  # of the prompt
    first: int  # the chunk it began with


class Queue:
    """Answers requests with the tokens that `decode.make_generate` would give each of them.

    Args:
        model: a `paligemma.Model` or `radgrounder.Model`.
        options: what is asked of it. If tokens are drawn (with a temperature above 0, or by a
            picker that draws), each request needs a key.
        rows: that decode together.
        chunk: steps between two looks of the host.
        prompt_buckets: prompts are padded to one of these lengths.
        slot_bucket: the cache has room for a multiple of so many tokens beyond the image.
        window: requests that are drawn ahead, to be sorted, images included; by default 4 x rows.
        logits: give `mask_logits` in the place of `masks`.
        sharding: of the rows over devices, such as `sharding.batch_sharding(mesh)`; parameters lie
            where the caller has put them.
        **fields: fields of `sampling.Options`, in place of `options` or to change some of it.

    Attributes:
        steps: of all rows together, run so far.
        prefilled: `images` and `prompts` run so far, the fill of batches included, and
            `image_batches`, the prefills of images without their prompts.

    Raises:
        TypeError: a name that is no argument and no option.
        ValueError: sizes that are not positive, rows that do not divide over the devices, or
            options out of range, see `sampling.Options`.
    """

    def __init__(
        self,
        model: nn.Module,
        options: sampling.Options | None = None,
        *,
        rows: int = 32,
        chunk: int = 8,
        prompt_buckets: Sequence[int] = (32, 64, 128, 256),
        slot_bucket: int = 128,
        window: int | None = None,
        logits: bool = False,
        sharding: jax.sharding.Sharding | None = None,
        **fields: Any,
    ):
        options = sampling.Options.of(options, fields)
        if min(rows, chunk, slot_bucket, *prompt_buckets) < 1:
            raise ValueError("rows, chunk and buckets must be positive")
        split = _split(sharding, rows)
        self.rows, self.chunk, self.options = rows, chunk, options
        self.window = 4 * rows if window is None else max(1, window)
        self.share = model.mask_mode == "image_isolated"
        self.draws = options.choose_picker().draws
        self.slot_bucket, self._buckets = slot_bucket, sorted(prompt_buckets)
        self._batches = [split * n for n in _BATCHES if split * n <= rows]
        self._sharding = sharding
        self.steps, self.prefilled = 0, {"images": 0, "image_batches": 0, "prompts": 0}
        self.device = rows_lib.Rows(sampling.Sampler(model, options), chunk, logits, sharding)

    def run(
        self, params: Mapping[str, Any], requests: Iterable[Request]
    ) -> list[dict[str, np.ndarray]]:
        """Answers requests.

        Args:
            params: the model's parameters.
            requests: drawn as they are needed, `window` ahead.

        Returns:
            For each request, in order: `tokens` i32 [max_new_tokens] (EOS kept, zeros after it),
            `logprob` f32 and `length` i32, and with masks `masks` bool [n, H, W], or
            `mask_logits` f32, of its first n `</seg>`, n at most `max_masks`. With
            `token_logprobs` also `token_logprobs` f32 [max_new_tokens], and with `alternatives`
            `top_ids` i32 and `top_logprobs` f32, both [max_new_tokens, alternatives].

        Raises:
            ValueError: a prompt that is empty, padded or longer than the largest bucket, images of
                several sizes, or no usable key where tokens are sampled.
        """
        run = _Run(self, params, requests)
        weights = None
        flags: list[
            tuple[int, Bool[Array, " rows"]]
        ] = []  # of chunks that the host has not looked at
        for chunk in itertools.count():
            run.admit(chunk)
            if not run.live:
                return run.results()
            if weights is None:
                weights = self.device.prepare(params)
            run.make_room(chunk)
            run.state, done = self.device.advance(weights, run.state)
            self.steps += self.chunk
            flags.append((chunk, done))
            run.fetch()
            # One chunk late: the device has the next one to do while the host looks.
            run.retire(chunk, *(flags.pop(0) if len(flags) > 1 else (-1, None)))

    def bucket(self, length: int) -> int:
        """Returns the padded length of a prompt."""
        return next(b for b in self._buckets if b >= length)

    def batch(self, count: int) -> int:
        """Returns the largest batch that `count` fill, or else the smallest there is."""
        return max((n for n in self._batches if n <= count), default=self._batches[0])

    def put(self, rows: Sequence[Shaped[np.ndarray, "..."]]) -> Shaped[Array, "rows ..."]:
        """Stacks as many arrays as a batch has, and puts them onto the devices."""
        return sharding_lib.put(np.stack(rows), self._sharding)

    def key(self, i: int, request: Request) -> UInt32[np.ndarray, " words"]:
        """Returns the data of a request's key, zeros where nothing is sampled.

        Raises:
            ValueError: there is no key, or one of another kind.
        """
        if not self.draws:
            return np.zeros(2, np.uint32)
        if request.key is None:
            raise ValueError(
                f"request {i} has no key, and this queue samples: give each request one of its "
                "own, such as jax.random.fold_in(jax.random.key(0), number)"
            )
        data = np.asarray(sampling.key_data(request.key))
        if data.shape != (2,) or data.dtype != np.uint32:
            raise ValueError(
                f"request {i} has a key of {data.dtype} {data.shape}, and this queue takes one key "
                f'of {sampling.KEY_IMPL}: make it by jax.random.key(..., impl="'
                f'{sampling.KEY_IMPL}")'
            )
        return data

    def check(self, i: int, request: Request) -> None:
        """Raises ValueError for a prompt that cannot be answered."""
        text = np.asarray(request.text)
        if text.ndim != 1 or not len(text):
            raise ValueError(f"request {i} has an empty prompt: give it at least <bos>")
        if not text.all():
            raise ValueError(f"request {i} has padding in its prompt: cut the zeros off")
        if len(text) > self._buckets[-1]:
            raise ValueError(
                f"request {i} has a prompt of {len(text)} tokens and the largest of "
                f"prompt_buckets is {self._buckets[-1]}: shorten it or add a bucket"
            )


class _Run:
    """What the host knows during a `Queue.run`."""

    def __init__(self, queue: Queue, params: Mapping[str, Any], requests: Iterable[Request]):
        self.state: sampling.State | None = None
        self.live: dict[int, _Live] = {}
        self._queue, self._device, self._params = queue, queue.device, params
        self._source = enumerate(requests)
        self._waiting: list[_Waiting] = []
        self._images: dict[_Group, rows_lib.Prefilled] = {}  # those that are still asked about
        self._features: jax.ShapeDtypeStruct | None = None
        self._shape: tuple[int, ...] = ()
        self._slots = 0
        # Results that are still on the device.
        self._out: list[tuple[list[_Live], dict[str, Array]]] = []
        self._done: dict[int, dict[str, np.ndarray]] = {}

    def results(self) -> list[dict[str, np.ndarray]]:
        """Returns all results, in order."""
        self.fetch()
        return [self._done[i] for i in range(len(self._done))]

    def admit(self, chunk: int) -> None:
        """Starts waiting requests in free rows, if enough are free; `chunk` is the next one."""
        queue = self._queue
        self._draw()
        free = [r for r in range(queue.rows) if r not in self.live]
        # A few at a time cost less: a prefill of four takes hardly longer than one of one.
        if self.live and len(free) < min(queue.rows // 8, len(self._waiting)):
            return
        while free and self._waiting:
            size = queue.batch(min(len(free), len(self._waiting)))
            batch = self._waiting[: min(size, len(free))]
            self._waiting = self._waiting[len(batch) :]
            rows, free = free[: len(batch)], free[len(batch) :]
            filled = self._prefill(batch, size)
            for row, w in zip(rows, batch, strict=True):
                self.live[row] = _Live(w.index, w.length, chunk)
            self.make_room(chunk, queue.bucket(max(w.length for w in batch)))
            # The fill of a batch goes to a row that there is not.
            at = np.array(rows + [queue.rows] * (size - len(rows)), np.int32)
            self.state = self._device.insert(self.state, at, filled)
            self._draw()
        wanted = {w.group for w in self._waiting}
        self._images = {k: v for k, v in self._images.items() if k in wanted}

    def make_room(self, chunk: int, prompt: int = 0) -> None:
        """Fits the cache to the live rows after this chunk, and to prompts of a padded length."""
        queue = self._queue
        grown = (
            x.length + min(queue.options.max_new_tokens, queue.chunk * (chunk + 1 - x.first))
            for x in self.live.values()
        )
        need = max(prompt, *grown)
        slots = self._features.shape[0] + -(-need // queue.slot_bucket) * queue.slot_bucket
        if self.state is None:
            self.state = self._device.empty(queue.rows, slots, self._features)
        elif slots != self._slots:
            self.state = self._device.resize(self.state, slots)
        self._slots = slots

    def retire(self, chunk: int, looked: int, done: Bool[Array, " rows"] | None) -> None:
        """Frees the rows that have ended.

        Args:
            chunk: the last that was started.
            looked: the chunk after which `done` was so; rows that began later are not meant.
            done: None if there is nothing to look at.
        """
        queue = self._queue
        flags = None if done is None else np.asarray(done)
        ended = [
            row
            for row, x in self.live.items()
            if queue.chunk * (chunk + 1 - x.first) >= queue.options.max_new_tokens
            or (flags is not None and looked >= x.first and flags[row])
        ]
        while ended:
            size = queue.batch(len(ended))
            rows, ended = ended[:size], ended[size:]
            at = np.array(rows + rows[:1] * (size - len(rows)), np.int32)
            out = self._device.collect(self._params, self.state, at, self._shape[:2])
            self._out.append(([self.live.pop(row) for row in rows], out))

    def fetch(self) -> None:
        """Brings the results of rows that were freed to the host."""
        for lives, out in self._out:
            arrays = jax.device_get(out)
            num = arrays.pop("num_masks", None)
            for i, x in enumerate(lives):
                result = {k: v[i] for k, v in arrays.items()}
                for name in ("masks", "mask_logits"):
                    if name in result:  # A copy: the whole batch's is not to be kept.
                        result[name] = result[name][: num[i]].copy()
                self._done[x.index] = result
        self._out = []

    def _draw(self) -> None:
        # Keeps up to a window of requests waiting: those of an image together, the longest
        # expected first, prompts of like length side by side.
        queue = self._queue
        if len(self._waiting) > queue.window // 2:
            return
        for i, request in itertools.islice(self._source, queue.window - len(self._waiting)):
            queue.check(i, request)
            key = queue.key(i, request)
            image = np.asarray(request.image)
            if self._features is None:
                self._shape = image.shape
                self._features = self._device.image_features(self._params, image)
            if image.shape != self._shape:
                raise ValueError(
                    f"request {i} has an image of shape {image.shape}, those before it have "
                    f"{self._shape}: resize them to one size, or use a queue for each"
                )
            group = hashlib.blake2b(image.tobytes()).digest() if queue.share else i
            self._waiting.append(_Waiting(i, request, len(request.text), group, key))
        groups: dict[_Group, list[_Waiting]] = {}
        for w in self._waiting:
            groups.setdefault(w.group, []).append(w)

        def place(group: list[_Waiting]) -> tuple[int, int]:
            expected = max(w.request.expected for w in group)
            return -expected, queue.bucket(max(w.length for w in group))

        ordered = sorted(groups.values(), key=place)
        self._waiting = [w for g in ordered for w in sorted(g, key=lambda w: w.length)]

    def _prefill(self, batch: list[_Waiting], size: int) -> sampling.State:
        # `batch` is filled up to `size` with its first.
        queue = self._queue
        batch = batch + batch[:1] * (size - len(batch))
        length = queue.bucket(max(w.length for w in batch))
        text = queue.put([np.pad(np.int32(w.request.text), (0, length - w.length)) for w in batch])
        rng = queue.put([w.key for w in batch])
        queue.prefilled["prompts"] += size
        if not queue.share:
            queue.prefilled["images"] += size
            image = queue.put([w.request.image for w in batch])
            return self._device.prefill(self._params, image, text, rng)
        # Images of requests that still wait fill the batches up: on a GPU one image takes more than
        # a third of the time of sixteen.
        asked = itertools.chain(batch, self._waiting)
        new = {w.group: w.request.image for w in asked if w.group not in self._images}
        while any(w.group not in self._images for w in batch):
            n = queue.batch(len(new))
            groups = list(new)[:n]
            images = [new.pop(g) for g in groups]
            queue.prefilled["images"] += n
            queue.prefilled["image_batches"] += 1
            image = queue.put(images + images[:1] * (n - len(images)))
            made = self._device.prefill_image(self._params, image)
            self._images |= dict(zip(groups, made, strict=False))
        shared = [self._images[w.group] for w in batch]
        return self._device.prefill_text(self._params, shared, text, rng)


def _split(sharding: jax.sharding.Sharding | None, rows: int) -> int:
    # Into how many parts the devices split the rows.
    try:
        return 1 if sharding is None else rows // sharding.shard_shape((rows,))[0]
    except ValueError as e:
        raise ValueError(
            f"{rows} rows (the batch_size of an eval) do not divide over the devices: {e}"
        ) from e
