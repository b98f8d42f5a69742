"""The host's side of a queue: which requests wait, which rows are live, and what has ended.

`queue.Queue.serve` makes one `Host` for each call, and calls its methods in turn.
"""

import dataclasses
import functools
import hashlib
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt32

from big_rad.inference import rows as rows_lib
from big_rad.inference import sampling
from big_rad.inference.requests import Answer, Request, Source

_Group = bytes | int  # The digest of an image whose prefill is shared, else the request's number.


@dataclasses.dataclass(eq=False)
class Waiting:
    """A request that waits for a free row."""

    index: int
    request: Request
    length: int  # The number of tokens in the prompt.
    group: _Group
    key: UInt32[np.ndarray, " words"]
    limit: int  # How many tokens the answer may have.


@dataclasses.dataclass(eq=False)
class Live:
    """A request that is being decoded."""

    index: int
    text: Int[np.ndarray, " prompt"]
    first: int  # The first chunk in which the row decodes.
    limit: int  # How many tokens the answer may have.
    deadline: float | None = None
    # The scores of the candidates of a batch, the row of this request, and how many it has.
    scores: tuple[Float[Array, "rows candidates"], int, int] | None = None
    status: str = "done"


class Host:
    """What the host remembers during one `Queue.serve`.

    Attributes:
        state: the rows on the device; None before the first request.
        live: the requests that are being decoded, by the number of their row.

    Args:
        queue: the `queue.Queue` (whose module imports this one).
        params: the model's parameters.
        source: where the requests come from.
    """

    def __init__(self, queue: Any, params: Mapping[str, Any], source: Source):
        self.state: sampling.State | None = None
        self.live: dict[int, Live] = {}
        self._queue, self._device, self._params = queue, queue.device, params
        self._source = source
        self._waiting: list[Waiting] = []
        # The prefilled images about which a request still waits.
        self._images: dict[_Group, rows_lib.Prefilled] = {}
        self._features: jax.ShapeDtypeStruct | None = None
        self._shape: tuple[int, ...] = ()
        self._slots = 0
        # Results that are still on the device.
        self._out: list[tuple[list[Live], dict[str, Array]]] = []
        self._answers: list[Answer] = []
        self._taken = 0  # The number of requests taken from the source.
        self._cancelled: set[int] = set()  # Cancelled requests that have not been taken yet.

    @functools.cached_property
    def weights(self) -> Mapping[str, Any]:
        """The model's parameters as `rows.Rows.advance` takes them."""
        return self._device.prepare(self._params)

    def exhausted(self) -> bool:
        """Returns whether all requests are answered and no more can come."""
        return not (self.live or self._waiting) and self._source.exhausted()

    def answers(self) -> list[Answer]:
        """Returns the answers that have ended since the last call."""
        self._fetch()
        found, self._answers = self._answers, []
        return found

    def draw(self) -> None:
        """Takes new requests while there is room, and drops those that are of no use any more.

        This waits for a request only if nothing is being decoded and no answer is to be given.
        """
        queue = self._queue
        idle = not (self.live or self._waiting or self._out or self._answers)
        if idle or len(self._waiting) <= queue.window // 2:
            for number, request in self._source.take(queue.window - len(self._waiting), wait=idle):
                self._accept(number, request)
            self._sort()
        self._drop()

    def admit(self, chunk: int) -> None:
        """Begins waiting requests in free rows, if enough rows are free.

        Args:
            chunk: the number of the next chunk, with which these rows begin to decode.
        """
        queue = self._queue
        free = [r for r in range(queue.rows) if r not in self.live]
        # Wait until a few rows are free: a prefill of four rows takes hardly longer than of one.
        if self.live and len(free) < min(queue.rows // 8, len(self._waiting)):
            return
        while free and self._waiting:
            size = queue.batch(min(len(free), len(self._waiting)))
            batch = self._waiting[: min(size, len(free))]
            self._waiting = self._waiting[len(batch) :]
            rows, free = free[: len(batch)], free[len(batch) :]
            filled = self._prefill(batch, size)
            scores = self._score(batch, size, filled)
            for i, (row, w) in enumerate(zip(rows, batch, strict=True)):
                own = (scores, i, len(w.request.candidates)) if w.request.candidates else None
                deadline = w.request.deadline
                self.live[row] = Live(
                    w.index, np.int32(w.request.text), chunk, w.limit, deadline, own
                )
            self.make_room(chunk, queue.bucket(max(w.length for w in batch)))
            # The copies that fill up the batch go to a row number beyond the last: `insert` drops
            # them.
            at = np.array(rows + [queue.rows] * (size - len(rows)), np.int32)
            self.state = self._device.insert(self.state, at, filled)
            if len(self._waiting) <= queue.window // 2:
                self.draw()
        wanted = {w.group for w in self._waiting}
        self._images = {k: v for k, v in self._images.items() if k in wanted}

    def make_room(self, chunk: int, prompt: int = 0) -> None:
        """Fits the number of cache slots to the live rows.

        Args:
            chunk: the number of the next chunk; there is room for all tokens until its end.
            prompt: the padded length of prompts that are about to be inserted, or 0.
        """
        queue = self._queue
        grown = (
            len(x.text) + min(x.limit, queue.chunk * (chunk + 1 - x.first))
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
            chunk: the number of the last chunk that was started.
            looked: the number of the chunk to which `done` belongs. Rows that began later have
                nothing to do with it.
            done: True for the rows that had ended after chunk `looked`; None if there is no such
                array yet.
        """
        queue = self._queue
        flags = None if done is None else np.asarray(done)
        ended = [
            row
            for row, x in self.live.items()
            if x.status != "done"
            or queue.chunk * (chunk + 1 - x.first) >= x.limit
            or (flags is not None and looked >= x.first and flags[row])
        ]
        for row in [row for row in ended if self.live[row].status == "cancelled"]:
            self._answers.append(Answer(self.live.pop(row).index, "cancelled"))
            ended.remove(row)
        while ended:
            size = queue.batch(len(ended))
            rows, ended = ended[:size], ended[size:]
            at = np.array(rows + rows[:1] * (size - len(rows)), np.int32)
            out = self._device.collect(self._params, self.state, at, self._shape[:2])
            self._out.append(([self.live.pop(row) for row in rows], out))

    def _score(
        self, batch: Sequence[Waiting], size: int, filled: sampling.State
    ) -> Float[Array, "rows candidates"] | None:
        # Returns the scores of the candidates of rows that begin, or None without candidates.
        texts = [w.request.candidates for w in batch]
        if not any(texts):
            return None
        # Few shapes, since each is a compilation.
        many = _power_of_two(max(map(len, texts)))
        longest = _power_of_two(max(len(ids) for own in texts for ids in own))
        padded = np.zeros((size, many, longest), np.int32)
        for row, own in enumerate(texts):
            for k, ids in enumerate(own):
                padded[row, k, : len(ids)] = ids
        return self._device.score(self.weights, filled, self._queue.put(list(padded)))

    def _without_image(
        self,
        lives: Sequence[Live],
        tokens: Int[np.ndarray, "rows tokens"],
        masks: Float[Array, "rows masks height width"] | None,
    ) -> dict[str, np.ndarray]:
        # What the texts would have been on a blank image; empty if none of them points.
        options, n = self._queue.options, len(lives)
        first, many = options.locations or (0, 0)
        located = (tokens >= first) & (tokens < first + many) & (options.max_boxes > 0)
        ended = (tokens == options.seg_end_id) & (options.max_masks > 0)
        if not (located[:n].any() or ended[:n].any()):
            return {}
        # The copies that fill up the batch have the prompt of the first row.
        prompts = [x.text for x in lives] + [lives[0].text] * (len(tokens) - n)
        answers = [row[row != 0] for row in tokens]
        longest = max(len(p) + len(a) for p, a in zip(prompts, answers, strict=True))
        text = np.zeros((len(tokens), _power_of_two(max(32, longest))), np.int32)
        mask_ar, most = np.zeros_like(text), int(located.sum(axis=1).max())
        kept = min(_power_of_two(max(16, most)), max(1, 4 * options.max_boxes))
        places = np.zeros((len(tokens), kept), np.int32)
        ends = np.zeros((len(tokens), max(1, options.max_masks)), np.int32)
        for i, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
            start, end = len(prompt), len(prompt) + len(answer)
            text[i, :end] = np.concatenate([prompt, answer])
            mask_ar[i, start:end] = 1
            for row, where in ((places[i], located[i]), (ends[i], ended[i])):
                at = start + np.flatnonzero(where)[: len(row)]
                row[: len(at)] = at
        put = [self._queue.put(list(x)) for x in (text, mask_ar, places, ends)]
        return jax.device_get(self._device.without_image(self._params, self._shape, *put, masks))

    def _fetch(self) -> None:
        # Copies the results of the rows that were freed to the host.
        for lives, out in self._out:
            masks = out.pop(rows_lib.MASK_LOGITS, None)
            arrays = jax.device_get(out)
            if self._queue.options.without_image:
                arrays |= self._without_image(lives, arrays["tokens"], masks)
            num = arrays.pop("num_masks", None)
            for i, x in enumerate(lives):
                result = {k: v[i] for k, v in arrays.items()}
                for name in ("masks", "mask_logits", "mask_scores", "mask_change"):
                    if name in result:  # A copy, so that the array of the batch can be freed.
                        result[name] = result[name][: num[i]].copy()
                if "location_probs" in result:
                    there = int(result.pop("num_locations"))
                    for name in ("location_probs", "blank_location_probs"):
                        if name in result:
                            result[name] = result[name][:there].copy()
                if x.scores is not None:
                    scores, row, count = x.scores
                    result["candidate_logprobs"] = np.array(scores[row, :count])
                self._answers.append(Answer(x.index, x.status, result))
        self._out = []

    def _accept(self, number: int, request: Request | Exception) -> None:
        # Lets a request wait, or refuses it.
        queue, self._taken = self._queue, number + 1
        if isinstance(request, Exception):
            self._answers.append(Answer(number, "refused", why=str(request)))
            return
        try:
            queue.check(number, request)
            key = queue.key(number, request)
            image = np.asarray(request.image)
            if self._features is None:
                self._features = self._features_of(number, image)
                self._shape = image.shape
            if image.shape != self._shape:
                raise ValueError(
                    f"request {number} has an image of shape {image.shape}, those before it have "
                    f"{self._shape}: resize them to one size, or use a queue for each"
                )
        except ValueError as e:
            self._answers.append(Answer(number, "refused", why=str(e)))
            return
        group = hashlib.blake2b(image.tobytes()).digest() if queue.share else number
        limit = request.max_new_tokens or queue.options.max_new_tokens
        self._waiting.append(Waiting(number, request, len(request.text), group, key, limit))

    def _features_of(self, number: int, image: np.ndarray) -> jax.ShapeDtypeStruct:
        # The first image that the model can take sets the size of all.
        try:
            return self._queue.features(self._params, image)
        except Exception as e:  # Of Flax or JAX, by what is wrong with the image.
            why = (str(e).splitlines() or [""])[0]
            raise ValueError(
                f"request {number} has an image of shape {image.shape} and dtype {image.dtype} "
                f"that the model cannot take: {type(e).__name__}: {why}"
            ) from e

    def _sort(self) -> None:
        # Requests about one image stand together. Images with the longest expected answer come
        # first, then those with short prompts, so that prompts of similar length share a batch. A
        # request that others have overtaken for long comes before all of them.
        queue = self._queue
        groups: dict[_Group, list[Waiting]] = {}
        for w in self._waiting:
            groups.setdefault(w.group, []).append(w)

        def place(group: list[Waiting]) -> tuple[bool, int, int]:
            overtaken = min(w.index for w in group) < self._taken - 4 * queue.window
            expected = max(w.request.expected for w in group)
            return not overtaken, -expected, queue.bucket(max(w.length for w in group))

        ordered = sorted(groups.values(), key=place)
        self._waiting = [w for g in ordered for w in sorted(g, key=lambda w: w.length)]

    def _drop(self) -> None:
        # Drops requests that were cancelled or whose deadline has passed. Rows that are being
        # decoded are freed by the next `retire`.
        self._cancelled |= self._source.cancelled()
        now, kept = self._queue.clock(), []
        for w in self._waiting:
            late = w.request.deadline is not None and w.request.deadline <= now
            if w.index in self._cancelled or late:
                status = "cancelled" if w.index in self._cancelled else "expired"
                self._answers.append(Answer(w.index, status))
            else:
                kept.append(w)
        self._waiting = kept
        for x in self.live.values():
            if x.index in self._cancelled:
                x.status = "cancelled"
            elif x.deadline is not None and x.deadline <= now:
                x.status = "expired"
        # All others were answered before, or have not been taken yet.
        self._cancelled = {i for i in self._cancelled if i >= self._taken}

    def _prefill(self, batch: list[Waiting], size: int) -> sampling.State:
        # Copies of the first request fill the batch up to `size`.
        queue = self._queue
        batch = batch + batch[:1] * (size - len(batch))
        length = queue.bucket(max(w.length for w in batch))
        text = queue.put([np.pad(np.int32(w.request.text), (0, length - w.length)) for w in batch])
        asked = rows_lib.Asked(
            queue.put([w.key for w in batch]),
            queue.put([np.int32(w.limit) for w in batch]),
            {name: queue.put(values) for name, values in queue.settings(batch).items()},
        )
        queue.prefilled["prompts"] += size
        if not queue.share:
            queue.prefilled["images"] += size
            image = queue.put([w.request.image for w in batch])
            return self._device.prefill(self._params, image, text, asked)
        # Images of requests that still wait fill up the batch: on a GPU, one image takes more than
        # a third of the time of sixteen.
        both = itertools.chain(batch, self._waiting)
        new = {w.group: w.request.image for w in both if w.group not in self._images}
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
        return self._device.prefill_text(self._params, shared, text, asked)


def _power_of_two(number: int) -> int:
    # The smallest power of two that is not below the number, and at least 2.
    return max(2, 1 << (number - 1).bit_length())
