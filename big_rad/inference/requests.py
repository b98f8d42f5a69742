"""What a queue is asked, what it gives back, and where its requests come from.

`Queue.run` takes any iterable of requests. A server does not know its requests in advance: it hands
the queue an `Inbox`, into which other threads put requests while the queue decodes.

    inbox = Inbox()
    threading.Thread(target=lambda: [inbox.put(r) for r in requests] and inbox.close()).start()
    for answer in queue.serve(params, inbox):
        print(answer.number, answer.status)
"""

import collections
import dataclasses
import itertools
import threading
from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
from jaxtyping import Array, Float, Int, Key, UInt32

RandomKey = Key[Array, ""] | UInt32[Array, " words"] | UInt32[np.ndarray, " words"]
STATUSES = ("done", "cancelled", "expired", "refused")


@dataclasses.dataclass(frozen=True)
class Request:
    """A prompt about an image.

    Attributes:
        image: the image as the model takes it. All images of one run have the same size.
        text: the prompt from `<bos>` to its last token, without padding.
        expected: a guess of the number of tokens in the answer, or 0. Of the waiting requests,
            those with the longest expected answers begin first.
        key: a key of `jax.random`, which is needed where tokens are drawn at random. The same key
            and prompt give the same answer, whatever the other requests are.
            `decode.make_generate` gives this answer too, for a row with this key.
        max_new_tokens: the most tokens of the answer, EOS included; None is the queue's.
        temperature: 0 is greedy. This setting and the next two need a queue with the picker
            `pickers.PerRow`; None is the picker's default.
        top_p: the nucleus, see `pickers.Sampled`.
        constrained: whether the picker's grammar limits the answer.
        deadline: the time, on the queue's clock, at which an answer is of no use any more; None
            for no deadline.
        candidates: texts whose probabilities are asked for as well, each as the ids of its tokens
            with EOS. They are scored after the prompt and do not affect the answer.
    """

    image: Float[np.ndarray, "height width 3"]
    text: Int[np.ndarray, " prompt"]
    expected: int = 0
    key: RandomKey | None = None
    max_new_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    constrained: bool | None = None
    deadline: float | None = None
    candidates: Sequence[Sequence[int]] = ()


@dataclasses.dataclass(frozen=True)
class Answer:
    """What became of a request.

    Attributes:
        number: the number of the request, from 0, in the order in which they were given.
        status: "done"; "cancelled"; "expired", if its deadline passed first; or "refused", if it
            could not be answered at all.
        result: what `Queue.run` returns for the request. With "expired" the tokens up to the
            deadline, or None if it had not begun; with "cancelled" and "refused" None.
        why: why it was refused, else "".
    """

    number: int
    status: str
    result: dict[str, np.ndarray] | None = None
    why: str = ""


class Source(Protocol):
    """Where a queue takes its requests from."""

    def take(self, most: int, wait: bool) -> list[tuple[int, Request | Exception]]:
        """Returns up to `most` requests with their numbers.

        An error in the place of a request refuses it.

        Args:
            most: how many there is room for.
            wait: True waits until a request is there or no more can come. The queue asks for that
                only while it decodes nothing. False returns what is there, perhaps an empty list.
        """

    def exhausted(self) -> bool:
        """Returns whether no more requests can come."""

    def cancelled(self) -> set[int]:
        """Returns the numbers of requests that were cancelled since the last call."""


class FromIterable:
    """The requests of an iterable, which are drawn when there is room for them."""

    def __init__(self, requests: Iterable[Request]):
        self._left, self._exhausted = enumerate(requests), False

    def take(self, most: int, wait: bool) -> list[tuple[int, Request]]:
        """See `Source.take`; an iterable that blocks is always waited for."""
        del wait
        found = list(itertools.islice(self._left, most))
        self._exhausted = len(found) < most
        return found

    def exhausted(self) -> bool:
        """See `Source.exhausted`."""
        return self._exhausted

    def cancelled(self) -> set[int]:
        """Returns an empty set."""
        return set()


class Inbox:
    """Requests that other threads put in while a queue decodes."""

    def __init__(self):
        self._new: collections.deque[tuple[int, Request | Exception]] = collections.deque()
        self._cancelled: set[int] = set()
        self._count, self._closed = 0, False
        self._changed = threading.Condition()

    def put(self, request: Request | Exception) -> int:
        """Adds a request, and returns its number, by which it can be cancelled.

        Args:
            request: the request; or, if it could not be made, the error, with which it is refused
                when it is its turn.

        Raises:
            ValueError: the inbox is closed.
        """
        with self._changed:
            if self._closed:
                raise ValueError("the inbox is closed: no request can be added")
            number, self._count = self._count, self._count + 1
            self._new.append((number, request))
            self._changed.notify_all()
        return number

    def cancel(self, number: int) -> None:
        """Cancels a request. It is answered as cancelled, unless it has been answered already."""
        with self._changed:
            if 0 <= number < self._count:
                self._cancelled.add(number)
                self._changed.notify_all()

    def close(self) -> None:
        """Says that no more requests will come; `Queue.serve` ends with the last answer."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def take(self, most: int, wait: bool) -> list[tuple[int, Request | Exception]]:
        """See `Source.take`; a cancellation ends the waiting as well."""
        with self._changed:
            if wait:
                self._changed.wait_for(lambda: self._new or self._closed or self._cancelled)
            return [self._new.popleft() for _ in range(min(most, len(self._new)))]

    def exhausted(self) -> bool:
        """See `Source.exhausted`."""
        with self._changed:
            return self._closed and not self._new

    def cancelled(self) -> set[int]:
        """See `Source.cancelled`."""
        with self._changed:
            found, self._cancelled = self._cancelled, set()
            return found
