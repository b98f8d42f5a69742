"""Feeds a queue with questions that a thread prepares, and gives back what becomes of each.

The thread reads images while the device decodes, a few questions ahead. A question that cannot be
prepared is answered by its error, and the others go on.
"""

import contextlib
import dataclasses
import itertools
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from big_rad.inference import prepare as prepare_lib
from big_rad.inference.requests import Answer, Inbox, Request, Source


@dataclasses.dataclass
class _Feed:
    # What the thread and the reader share. `contexts` has the context of each question that waits.
    inbox: Inbox
    contexts: dict[int, Any]
    room: threading.Semaphore
    failure: BaseException | None = None
    stopped: bool = False


def run(
    asks: Iterable[Any],
    prepare: Callable[[Any], Any],
    serve: Callable[[Source], Iterator[Answer]],
    read: Callable[[Any, Mapping[str, np.ndarray]], Any],
    ahead: int,
) -> Iterator[tuple[int, Any]]:
    """Answers questions.

    Args:
        asks: the questions.
        prepare: makes an object with `request` and `context` of a question.
        serve: answers the requests of a source, see `queue.Queue.serve`.
        read: makes the result of a context and of what the queue gives.
        ahead: how many questions are prepared before they are answered; 0 prepares without a
            thread, all of them first.

    Yields:
        Pairs (number of the question, its result or the error that it ended with), as they finish.

    Raises:
        Exception: what the iterable of questions raises.
    """
    feed = _Feed(Inbox(), {}, threading.Semaphore(max(1, ahead)))
    if ahead:
        threading.Thread(target=_fill, args=(feed, asks, prepare), name="feed", daemon=True).start()
    else:
        _fill(feed, asks, prepare, wait=False)
    try:
        for answer in serve(feed.inbox):
            context = feed.contexts.pop(answer.number, None)
            feed.room.release()
            yield answer.number, _result(answer, context, read)
        if feed.failure is not None:
            raise feed.failure
    finally:  # Also when the caller wants no more of it.
        feed.stopped = True
        feed.room.release()
        feed.inbox.close()


def delivered(found: Iterator[tuple[int, Any]], in_order: bool, errors: str) -> Iterator[Any]:
    """Gives the results of `run` in the order of the questions, or as they come.

    Args:
        found: what `run` yields.
        in_order: whether a result is held back until it is its turn; with False, pairs (number of
            the question, result) are given as they come.
        errors: "raise" raises an error when it is its turn; "return" gives it like a result.
    """
    held: dict[int, Any] = {}
    turn = 0
    with contextlib.closing(found):  # Else a kept error would keep the thread of `feed` alive.
        for number, result in found:
            held[number] = result
            ready = [number]
            if in_order:
                ready = list(itertools.takewhile(held.__contains__, itertools.count(turn)))
                turn += len(ready)
            for i in ready:
                made = held.pop(i)
                if errors == "raise" and isinstance(made, Exception):
                    raise made
                yield made if in_order else (i, made)


def one_by_one(
    answer_batch: Callable[..., Mapping[str, np.ndarray]],
    params: Mapping[str, Any],
    pointing: str,
    source: Source,
) -> Iterator[Answer]:
    """Serves requests with a function that answers a batch, one request in each batch.

    Args:
        answer_batch: see `answer.make_answer_batch`.
        params: the parameters of the model.
        pointing: "masks" asks the function for mask logits.
        source: where the requests come from.
    """
    more = {"logits": True} if pointing == "masks" else {}
    cancelled: set[int] = set()  # A request may be cancelled long before it is its turn.
    while True:
        taken = source.take(1, wait=True)
        if not taken and source.exhausted():
            return
        cancelled |= source.cancelled()
        for number, request in taken:
            status, why = _unanswered(request, number in cancelled)
            if status:
                yield Answer(number, status, why=why)
                continue
            batch = _batch(request)
            out = answer_batch(params, batch, max_new_tokens=request.max_new_tokens, **more)
            result = {k: np.asarray(out[k])[0] for k in ("tokens", "logprob")}
            if "mask_logits" in out:
                result["mask_logits"] = out["mask_logits"][0, : out["num_masks"][0]]
            yield Answer(number, "done", result)


def _unanswered(request: Request | Exception, cancelled: bool) -> tuple[str, str]:
    # Returns why a function for batches does not answer a request: the status and, if it is
    # "refused", a sentence. The status is "" for a request that it answers.
    if cancelled:
        return "cancelled", ""
    if isinstance(request, Exception):
        return "refused", str(request)
    if request.deadline is not None and request.deadline <= time.monotonic():
        return "expired", ""
    if request.temperature:
        return "refused", (
            f"temperature is {request.temperature}, and this model answers with a function of its "
            "own, which chooses the tokens itself; leave the temperature out"
        )
    return "", ""


def _fill(
    feed: _Feed, asks: Iterable[Any], prepare: Callable[[Any], Any], wait: bool = True
) -> None:
    try:
        for number, ask in enumerate(asks):
            if wait:
                feed.room.acquire()
            if feed.stopped:
                return
            try:
                made = prepare(ask)
            except Exception as e:
                feed.contexts[number] = e
                feed.inbox.put(e)
                continue
            feed.contexts[number] = made.context
            feed.inbox.put(made.request)
    except BaseException as e:  # Raised where the answers are read.
        feed.failure = e
    finally:
        feed.inbox.close()


def _result(
    answer: Answer, context: Any, read: Callable[[Any, Mapping[str, np.ndarray]], Any]
) -> Any:
    if isinstance(context, Exception):
        return context
    if answer.status == "done":
        try:
            return read(context, answer.result)
        except Exception as e:  # The others are not affected.
            return e
    if answer.status == "expired":
        return TimeoutError("the time of the question was over before its answer was complete")
    return ValueError(answer.why or f"the question was {answer.status}")


def _batch(request: Request) -> dict[str, np.ndarray]:
    length = prepare_lib.lengths(len(request.text))[-1]
    text = np.pad(np.int32(request.text), (0, length - len(request.text)))[None]
    return {"image": np.asarray(request.image)[None], "text": text, "mask_ar": np.zeros_like(text)}
