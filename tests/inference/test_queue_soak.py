"""A queue that serves many mixed requests, some cancelled and some late, from a source that blocks.

`make prove` does this with 500 requests, otherwise there are 50.
"""

import dataclasses
import gc
import os
import threading
import time

import jax
import numpy as np
import pytest

from big_rad.inference import pickers
from big_rad.inference import queue as queue_lib

COUNT = int(os.environ.get("BIG_RAD_REQUESTS", "50"))
CANCELLED, LATE = COUNT // 25, COUNT // 25
NEW = 24


def mixed(count, rng):
    """Requests of all kinds about a few images, of which some share one."""
    images = rng.uniform(-1, 1, (7, 8, 8, 3)).astype(np.float32)
    found = []
    for i in range(count):
        text = rng.integers(12, 60, 1 + i * 7 % 8, np.int32)
        more = {}
        if i % 3 == 0:
            key = jax.random.key_data(jax.random.key(i))
            more = dict(temperature=0.5 + i % 4, top_p=(1.0, 0.7)[i % 2], key=key)
        if i % 5 == 0:
            more["candidates"] = [[3 + i % 4, 1], [9, 11, 1]]
        limit = int(rng.integers(1, NEW + 1))
        found.append(queue_lib.Request(images[i % 7], text, max_new_tokens=limit, **more))
    return found


def live_bytes():
    gc.collect()
    return sum(x.nbytes for x in jax.live_arrays())


@pytest.mark.parametrize("mode", ["paligemma", "image_isolated"])
def test_everybody_elses_tokens_are_as_if_alone_and_memory_stays_flat(tiny, mode):
    rng = np.random.default_rng(3)
    requests, now = mixed(COUNT, rng), [0.0]
    queue = queue_lib.Queue(
        tiny.make(mode), max_new_tokens=NEW, vocab_size=60, never=(0, 7), rows=4, chunk=2,
        prompt_buckets=(8,), slot_bucket=32, window=8, picker=pickers.PerRow(),
        clock=lambda: now[0],
    )  # fmt: skip
    params = jax.device_put(tiny.params)
    alone = [queue.run(params, [r])[0] for r in requests]
    odd = rng.permutation(COUNT)[: CANCELLED + LATE]
    cancelled, late = set(odd[:CANCELLED].tolist()), set(odd[CANCELLED:].tolist())
    inbox, before = queue_lib.Inbox(), live_bytes()

    def feed():
        for i, request in enumerate(requests):
            if i % 17 == 0:
                time.sleep(0.02)  # The source has nothing for a while, and the rows go on.
            deadline = now[0] if i in late else None  # It is over before the answer can be.
            inbox.put(dataclasses.replace(request, deadline=deadline))
            if i in cancelled:
                inbox.cancel(i)
        inbox.close()

    thread = threading.Thread(target=feed)
    thread.start()
    answers, most = {}, 0
    for answer in queue.serve(params, inbox):
        now[0] += 1.0
        assert answer.number not in answers
        answers[answer.number] = answer
        if len(answers) % 20 == 0:
            most = max(most, live_bytes() - before)
    thread.join(timeout=60)
    assert not thread.is_alive() and sorted(answers) == list(range(COUNT))
    status = {n: sorted(i for i, a in answers.items() if a.status == n) for n in queue_lib.STATUSES}
    assert status["cancelled"] == sorted(cancelled) and status["expired"] == sorted(late)
    assert status["refused"] == []
    for i in status["done"]:
        np.testing.assert_array_equal(answers[i].result["tokens"], alone[i]["tokens"])
        np.testing.assert_allclose(
            answers[i].result["logprob"], alone[i]["logprob"], rtol=1e-4, atol=1e-4
        )
        assert ("candidate_logprobs" in answers[i].result) == (i % 5 == 0)
    state = 4 * (4 + 8 + NEW + 32) * 4 * 2 * 2 * 8 * 4  # About what the rows need, in bytes.
    print(f"{mode}: {len(status['done'])} as if alone; {most:,} bytes on the device at most")
    assert most < 40 * state and live_bytes() - before < 10_000
