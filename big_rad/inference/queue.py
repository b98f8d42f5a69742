"""Answers many requests with a few rows: a row that has ended makes room for a waiting request.

`decode.make_generate` runs a batch until its longest row ends. In the queue, rows begin and end one
by one, so short answers do not wait for long ones:

    queue = Queue(model, max_new_tokens=64, vocab_size=tokenizer.vocab_size, rows=32)
    results = queue.run(params, [Request(image, text) for image, text in prompts])

The device runs chunks of steps. The host starts the next chunk before it looks at which rows the
last chunk has ended, so that the device need not wait for the host. The price is that a row which
wrote EOS stays idle until the end of the next chunk. Here are six requests, a to f, in three rows
with `chunk=4` and `max_new_tokens=12`. A letter is a token of a request, and "-" an idle step:

    chunk        0      1      2      3      4      5
    row 0      aaaa | aa-- | ---- | eeee | ---- | ----
    row 1      bbbb | bbbb | bbbb | ffff | ffff | f---
    row 2      ccc- | ---- | dddd | d--- | ---- | ----

While chunk 1 runs, the host reads that c has ended in chunk 0, so d begins with chunk 2. Request b
ends by its limit of 12 tokens. The host knows this without looking, so f follows at once.

In mask mode "image_isolated" the questions about one image share one prefill of it, and images of
waiting requests fill up the batches in which images are prefilled.

With several processes, every process must pass all requests, and every process gets all results.
"""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Shaped, UInt32

from big_rad import sharding as sharding_lib
from big_rad.inference import pickers, queue_host, sampling
from big_rad.inference import rows as rows_lib
from big_rad.inference.requests import (
    STATUSES,
    Answer,
    FromIterable,
    Inbox,
    Request,
    Source,
)

__all__ = ["STATUSES", "Answer", "Inbox", "Queue", "Request", "Source"]

_BATCHES = (1, 4, 16)  # The batch sizes of a prefill. Every further size would be a compilation.


class Queue:
    """Answers requests with the tokens that `decode.make_generate` would give each of them.

    Args:
        model: a `paligemma.Model` or `radgrounder.Model`.
        options: the settings of decoding. If tokens are drawn at random (the temperature is above
            0, or the picker draws), each request needs a key.
        rows: how many rows decode together.
        chunk: how many steps the device runs between two looks of the host.
        prompt_buckets: the lengths to which prompts are padded.
        slot_bucket: the number of cache slots beyond the image is a multiple of this.
        window: how many requests are read ahead and sorted, images included; None is 4 x `rows`.
        logits: whether results have `mask_logits` instead of `masks`.
        sharding: how the rows are split over devices, such as `sharding.batch_sharding(mesh)`.
            Parameters stay where the caller has put them.
        lean: whether to need little memory on a CPU, and more time, see `compiling`.
        clock: the clock of the requests' deadlines, in seconds.
        **fields: fields of `sampling.Options`, which replace those of `options` or stand alone.

    Attributes:
        steps: how many steps have been run so far. One step advances all rows.
        prefilled: how many `images` and `prompts` have been run so far, copies that fill up a
            batch included, and in how many `image_batches` images were run without prompts.

    Raises:
        TypeError: a name is neither an argument nor an option.
        ValueError: a size is not positive, the rows do not divide over the devices, or an option
            is out of range, see `sampling.Options`.
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
        lean: bool = False,
        clock: Callable[[], float] = time.monotonic,
        **fields: Any,
    ):
        options = sampling.Options.of(options, fields)
        if min(rows, chunk, slot_bucket, *prompt_buckets) < 1:
            raise ValueError("rows, chunk and buckets must be positive")
        split = _split(sharding, rows)
        self.rows, self.chunk, self.options = rows, chunk, options
        self.window = 4 * rows if window is None else max(1, window)
        self.share = model.mask_mode == "image_isolated"
        self.picker, self.clock = options.choose_picker(), clock
        self.slot_bucket, self._buckets = slot_bucket, sorted(prompt_buckets)
        self._batches = [split * n for n in _BATCHES if split * n <= rows]
        self._sharding = sharding
        self._features: dict[tuple[int, ...], jax.ShapeDtypeStruct] = {}
        self.steps, self.prefilled = 0, {"images": 0, "image_batches": 0, "prompts": 0}
        sampler = sampling.Sampler(model, options)
        self.device = rows_lib.Rows(sampler, chunk, logits, sharding, lean)

    def run(
        self, params: Mapping[str, Any], requests: Iterable[Request]
    ) -> list[dict[str, np.ndarray]]:
        """Answers requests.

        Args:
            params: the model's parameters.
            requests: the requests, which are read when they are needed, at most `window` ahead.

        Returns:
            One dict for each request, in the order of the requests: `tokens` i32 [max_new_tokens]
            (EOS is kept, and zeros follow it), `logprob` f32 and `length` i32. With masks also
            `masks` bool [n, H, W], or `mask_logits` f32 of this shape, for the first n `</seg>`
            tokens, where n is at most `max_masks`, and `mask_scores` f32 [n]. The option
            `token_logprobs` adds `token_logprobs` f32 [max_new_tokens], and `alternatives` adds
            `top_ids` i32 and `top_logprobs` f32, both [max_new_tokens, alternatives]. The option
            `max_boxes` adds `location_probs` f16 [n, locations] for the first n location tokens.
            The option `without_image` adds the same on a blank image, `blank_location_probs`, and
            with masks `mask_change` f32 [n], see `rows.Rows.without_image`; neither is there if
            no text of a batch points at anything.
            A request with candidates gets `candidate_logprobs` f32, one for each of them.

        Raises:
            ValueError: a prompt is empty, padded or longer than the largest bucket, the images
                have several sizes, or a request has no usable key although tokens are sampled.
        """
        results = {}
        for answer in self.serve(params, FromIterable(requests)):
            if answer.status == "refused":
                raise ValueError(answer.why)
            results[answer.number] = answer.result
        return [results[i] for i in range(len(results))]

    def serve(
        self, params: Mapping[str, Any], source: Source | Iterable[Request]
    ) -> Iterator[Answer]:
        """Answers requests as they come, and gives each answer as soon as it has ended.

        Args:
            params: the model's parameters.
            source: where the requests come from, such as an `Inbox`. While something is being
                decoded, the queue takes what is there and does not wait for more.

        Yields:
            One answer for each request, in the order in which they end. A request that cannot be
            answered is refused, and the others are not affected.

        Raises:
            ValueError: an `Inbox` is used with several processes, which could not agree on what it
                holds.
        """
        if isinstance(source, Iterable):
            source = FromIterable(source)
        if jax.process_count() > 1 and not isinstance(source, FromIterable):
            raise ValueError("with several processes give the queue the requests themselves")
        host = queue_host.Host(self, params, source)
        flags: list[
            tuple[int, Bool[Array, " rows"]]
        ] = []  # Each chunk that the host has not looked at yet, with `done` of its rows.
        for chunk in itertools.count():
            host.draw()
            host.admit(chunk)
            if not host.live:
                yield from host.answers()
                if host.exhausted():
                    return
                continue
            host.make_room(chunk)
            host.state, done = self.device.advance(host.weights, host.state)
            self.steps += self.chunk
            flags.append((chunk, done))
            yield from host.answers()
            # The host looks one chunk late, so the device already runs the next one meanwhile.
            host.retire(chunk, *(flags.pop(0) if len(flags) > 1 else (-1, None)))

    def bucket(self, length: int) -> int:
        """Returns the padded length of a prompt."""
        return next(b for b in self._buckets if b >= length)

    def batch(self, count: int) -> int:
        """Returns the largest batch size up to `count`, or the smallest size if all are larger."""
        return max((n for n in self._batches if n <= count), default=self._batches[0])

    def features(
        self, params: Mapping[str, Any], image: Float[np.ndarray, "height width 3"]
    ) -> jax.ShapeDtypeStruct:
        """Returns the shape and dtype of the features of an image of this size."""
        if image.shape not in self._features:  # Tracing the model takes long.
            self._features[image.shape] = self.device.image_features(params, image)
        return self._features[image.shape]

    def put(self, rows: Sequence[Shaped[np.ndarray, "..."]]) -> Shaped[Array, "rows ..."]:
        """Stacks one array for each row of a batch, and puts the result onto the devices."""
        return sharding_lib.put(np.stack(rows), self._sharding)

    def key(self, i: int, request: Request) -> UInt32[np.ndarray, " words"]:
        """Returns the data of a request's key, or zeros if this queue does not sample.

        Args:
            i: the number of the request, for error messages.
            request: the request.

        Raises:
            ValueError: the queue samples, and the key is missing or of another kind.
        """
        own = isinstance(self.picker, sampling.PerRow)  # Rows that are greedy need no key.
        if not self.picker.draws or (own and not request.temperature):
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

    def settings(self, batch: Sequence[queue_host.Waiting]) -> dict[str, list[np.generic]]:
        """Returns what the rows of a batch set for the picker, by name."""
        if not isinstance(self.picker, sampling.PerRow):
            return {}
        found = {}
        for name, default in pickers.SETTINGS.items():
            values = [getattr(w.request, name) for w in batch]
            found[name] = [default if v is None else type(default)(v) for v in values]
        return found

    def check(self, i: int, request: Request) -> None:
        """Checks the prompt and the settings of a request.

        Args:
            i: the number of the request, for error messages.
            request: the request.

        Raises:
            ValueError: the prompt is empty, padded or too long, a candidate has no usable tokens,
                or a setting is out of range or not one of this queue.
        """
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
        if any(not len(ids) or not np.all(ids) for ids in request.candidates):
            raise ValueError(
                f"request {i} has a candidate that is empty or padded: give its tokens"
            )
        known = self.options.vocab_size
        if any(not 0 <= token < known for ids in request.candidates for token in ids):
            raise ValueError(
                f"request {i} has a candidate with an id outside 0..{known - 1}: encode it with "
                "the model's tokenizer"
            )
        if request.deadline is not None and jax.process_count() > 1:
            raise ValueError(
                f"request {i} has a deadline, and several processes, whose clocks differ, could "
                "not agree on when it is over: leave it out"
            )
        most = self.options.max_new_tokens
        if not 1 <= (request.max_new_tokens or most) <= most or request.max_new_tokens == 0:
            raise ValueError(
                f"request {i} asks for {request.max_new_tokens} new tokens; this queue gives 1 to "
                f"{most}"
            )
        given = [name for name in pickers.SETTINGS if getattr(request, name) is not None]
        if given and not isinstance(self.picker, sampling.PerRow):
            raise ValueError(
                f"request {i} sets {', '.join(given)}, and this queue decodes all rows alike: make "
                "it with picker=PerRow(...)"
            )
        sampling.make_picker(
            request.temperature or 0.0, 1.0 if request.top_p is None else request.top_p
        )


def _split(sharding: jax.sharding.Sharding | None, rows: int) -> int:
    # Returns the number of parts into which the sharding splits the rows.
    try:
        return 1 if sharding is None else rows // sharding.shard_shape((rows,))[0]
    except ValueError as e:
        raise ValueError(
            f"{rows} rows (the batch_size of an eval) do not divide over the devices: {e}"
        ) from e
