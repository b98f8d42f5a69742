"""A queue that serves: requests come while it decodes, and some are cancelled, late or refused."""

import dataclasses
import threading
import time

import jax
import numpy as np
import pytest

from big_rad.inference import pickers, rows
from big_rad.inference import queue as queue_lib

NEW = 12


@pytest.fixture(scope="module")
def requests():
    """Prompts of 1 to 8 tokens about five images."""
    rng = np.random.default_rng(5)
    image = rng.uniform(-1, 1, (5, 8, 8, 3)).astype(np.float32)
    return [
        queue_lib.Request(image[i % 5], rng.integers(12, 60, 1 + i * 7 % 8, np.int32))
        for i in range(24)
    ]


class Clock:
    """Time stands still until a test moves it."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture(scope="module")
def served(tiny, requests):
    """A queue whose answers never end by themselves, its clock, and every request's answer."""
    clock = Clock()
    queue = queue_lib.Queue(
        tiny.make(), max_new_tokens=NEW, vocab_size=60, never=(0, 7), eos_id=-1, rows=4, chunk=2,
        prompt_buckets=(8,), slot_bucket=32, window=8, picker=pickers.PerRow(), clock=clock,
    )  # fmt: skip
    return queue, clock, queue.run(tiny.params, requests)


def inbox_of(requests):
    inbox = queue_lib.Inbox()
    for request in requests:
        inbox.put(request)
    return inbox


def test_answers_come_one_by_one_and_are_those_of_a_run(tiny, served, requests):
    queue, _, want = served
    inbox = inbox_of(requests)
    inbox.close()
    answers = queue.serve(tiny.params, inbox)
    first = next(answers)
    assert first.status == "done"
    seen = [first, *answers]
    assert sorted(a.number for a in seen) == list(range(24))
    for answer in seen:
        np.testing.assert_array_equal(answer.result["tokens"], want[answer.number]["tokens"])


def test_a_source_that_waits_does_not_hold_up_the_rows(tiny, served, requests):
    queue, _, want = served
    inbox, seen = queue_lib.Inbox(), []
    for request in requests[:3]:
        inbox.put(request)
    answers = queue.serve(tiny.params, inbox)
    seen += [next(answers) for _ in range(3)]  # Though nobody has put or closed anything since.

    def later():
        time.sleep(0.2)
        inbox.put(requests[3])
        inbox.close()

    thread = threading.Thread(target=later)
    thread.start()
    seen += answers
    thread.join()
    assert [a.status for a in seen] == ["done"] * 4
    for answer in seen:
        np.testing.assert_array_equal(answer.result["tokens"], want[answer.number]["tokens"])


def test_cancelled_and_late_requests_end_and_the_others_are_as_if_alone(tiny, served, requests):
    queue, clock, want = served
    clock.now = 0.0
    late = {5: 0.0, 9: 5.0, 23: 5.0}
    asked = [dataclasses.replace(r, deadline=late.get(i)) for i, r in enumerate(requests)]
    inbox = inbox_of(asked)
    inbox.close()
    inbox.cancel(7)
    inbox.cancel(1000)  # There is no such request.
    seen = []
    for answer in queue.serve(tiny.params, inbox):
        seen.append(answer)
        if len(seen) == 4:
            inbox.cancel(22)
            inbox.cancel(seen[0].number)  # Too late: it has been answered.
        if len(seen) == 8:
            clock.now = 6.0
    status = {a.number: a.status for a in seen}
    assert len(seen) == 24 == len(status)
    assert status[7] == status[22] == "cancelled"
    assert status[5] == "expired"
    for answer in seen:
        tokens = want[answer.number]["tokens"]
        if answer.status == "done":
            np.testing.assert_array_equal(answer.result["tokens"], tokens)
        elif answer.status == "cancelled" or answer.number == 5:  # It had not begun.
            assert answer.result is None
        elif answer.result is not None:  # The tokens up to the deadline.
            n = answer.result["length"]
            np.testing.assert_array_equal(answer.result["tokens"][:n], tokens[:n])
    assert sum(s == "done" for s in status.values()) >= 19


@pytest.mark.parametrize(
    "change, why",
    [
        (dict(text=np.zeros(0, np.int32)), "empty prompt"),
        (dict(image=np.zeros((9, 9, 3), np.float32)), "resize them to one size"),
        (dict(max_new_tokens=NEW + 1), "this queue gives 1 to 12"),
        (dict(max_new_tokens=0), "this queue gives 1 to 12"),
        (dict(temperature=0.5), "has no key"),
        (dict(temperature=-1.0), "need temperature >= 0"),
        (dict(top_p=0.0), "need temperature >= 0 and 0 < top_p <= 1"),
    ],
)
def test_a_request_that_cannot_be_answered_is_refused_and_the_others_are_not(
    tiny, served, requests, change, why
):
    queue, _, want = served
    asked = [requests[0], dataclasses.replace(requests[1], **change), requests[2]]
    answers = {a.number: a for a in queue.serve(tiny.params, asked)}
    assert [answers[i].status for i in range(3)] == ["done", "refused", "done"]
    assert why in answers[1].why
    np.testing.assert_array_equal(answers[2].result["tokens"], want[2]["tokens"])
    with pytest.raises(ValueError, match=why.partition(" and ")[0]):
        queue.run(tiny.params, asked)


@pytest.mark.parametrize("image", [np.zeros((9, 9), np.float32), np.zeros((3, 3, 3), np.float32)])
def test_an_image_that_the_model_cannot_take_affects_no_other_even_if_it_is_the_first(
    tiny, served, requests, image
):
    queue, _, want = served
    asked = [dataclasses.replace(requests[0], image=image), requests[1]]
    answers = {a.number: a for a in queue.serve(tiny.params, asked)}
    assert [answers[i].status for i in range(2)] == ["refused", "done"]
    assert f"an image of shape {image.shape}" in answers[0].why
    np.testing.assert_array_equal(answers[1].result["tokens"], want[1]["tokens"])


def test_each_request_has_its_own_limit_and_temperature(tiny, served, requests):
    queue, _, want = served
    key = jax.random.key(3)
    asked = [
        dataclasses.replace(requests[0], max_new_tokens=3),
        dataclasses.replace(requests[1], temperature=5.0, key=key),
        requests[2],
        dataclasses.replace(requests[1], temperature=5.0, key=key),
    ]
    found = queue.run(tiny.params, asked)
    np.testing.assert_array_equal(found[0]["tokens"][:3], want[0]["tokens"][:3])
    assert found[0]["length"] == 3 and not found[0]["tokens"][3:].any()
    assert (found[1]["tokens"] != want[1]["tokens"]).any()
    np.testing.assert_array_equal(found[1]["tokens"], found[3]["tokens"])
    np.testing.assert_array_equal(found[2]["tokens"], want[2]["tokens"])


def test_a_queue_that_decodes_all_rows_alike_refuses_settings_of_a_row(tiny, requests):
    queue = queue_lib.Queue(tiny.make(), max_new_tokens=NEW, vocab_size=60)
    (answer,) = queue.serve(tiny.params, [dataclasses.replace(requests[0], constrained=True)])
    assert answer.status == "refused" and "constrained" in answer.why


def test_a_closed_inbox_takes_nothing_and_an_empty_one_ends(tiny, served):
    inbox = queue_lib.Inbox()
    inbox.close()
    assert list(served[0].serve(tiny.params, inbox)) == []
    with pytest.raises(ValueError, match="closed"):
        inbox.put(None)


def test_a_request_that_others_overtake_is_answered_all_the_same(tiny, served, requests):
    queue, _, _ = served
    count = 120  # All others expect longer answers, and there is always one more waiting.
    asked = [requests[0]] + [
        dataclasses.replace(requests[i % 24], expected=9, max_new_tokens=1) for i in range(count)
    ]
    order = [a.number for a in queue.serve(tiny.params, asked)]
    assert order.index(0) < count - 8


def test_candidates_get_their_log_probabilities_and_change_no_answer(tiny, served, requests):
    queue, _, want = served
    asked = []
    for i, request in enumerate(requests):  # The model's own answer, and beginnings of it.
        own = want[i]["tokens"]
        texts = [own, own[: 1 + i % 5], own[:1]] if i % 3 else []
        asked.append(dataclasses.replace(request, candidates=texts))
    found = queue.run(tiny.params, asked)
    for i, (result, expected) in enumerate(zip(found, want, strict=True)):
        np.testing.assert_array_equal(result["tokens"], expected["tokens"])
        assert ("candidate_logprobs" in result) == bool(i % 3)
        if i % 3:
            whole, part, first = result["candidate_logprobs"]
            assert whole == pytest.approx(float(expected["logprob"]), abs=2e-4)
            assert whole <= part + 1e-5 <= first + 2e-5
            if i % 5 == 0:
                assert part == first


def test_several_processes_refuse_deadlines_on_which_their_clocks_could_not_agree(
    tiny, served, requests, monkeypatch
):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    late = dataclasses.replace(requests[0], deadline=5.0)
    (answer,) = served[0].serve(tiny.params, [late])
    assert answer.status == "refused" and "several processes" in answer.why


@pytest.mark.parametrize("ids", [[], [0], [3, 0], [3, 60], [-1, 3]])
def test_a_candidate_without_tokens_with_padding_or_with_unknown_ids_is_refused(
    tiny, served, requests, ids
):
    bad = dataclasses.replace(requests[0], candidates=[[5], ids])
    with pytest.raises(ValueError, match="request 0 has a candidate"):
        served[0].run(tiny.params, [bad])


def test_the_probabilities_of_all_locations_are_kept_for_the_first_boxes(tiny, requests):
    queue = queue_lib.Queue(
        tiny.make(), max_new_tokens=NEW, vocab_size=60, never=(0, 7), eos_id=-1, rows=4, chunk=2,
        prompt_buckets=(8,), slot_bucket=32, token_logprobs=True, locations=(8, 52), max_boxes=2,
    )  # fmt: skip
    kept = 0
    for result in queue.run(tiny.params, requests[:6]):
        tokens, probs = result["tokens"], result["location_probs"]
        at = np.flatnonzero(tokens >= 8)
        assert len(probs) == min(8, len(at))
        np.testing.assert_allclose(probs.astype(float).sum(axis=1), 1, atol=5e-3)
        for k, row in enumerate(probs):
            # Among the locations: the written one is the likeliest, and never less likely than
            # among all ids.
            assert row.argmax() == tokens[at[k]] - 8
            assert row.max() >= np.exp(result["token_logprobs"][at[k]]) - 1e-3
            kept += 1
    assert kept > 8


@pytest.mark.parametrize("mode", ["paligemma", "image_isolated"])
def test_what_is_the_same_on_a_blank_image_is_no_effect_of_the_image(tiny, mode):
    rng = np.random.default_rng(2)
    blank = np.full((8, 8, 3), rows.BLANK, np.float32)
    images = [blank, rng.uniform(-1, 1, (8, 8, 3)).astype(np.float32), blank]
    texts = [rng.integers(12, 60, n, np.int32) for n in (1, 5, 8)]
    queue = queue_lib.Queue(
        tiny.make(mode), max_new_tokens=NEW, vocab_size=60, never=(0, 7), eos_id=-1, rows=4,
        chunk=2, prompt_buckets=(8,), slot_bucket=32, token_logprobs=True, locations=(8, 52),
        max_boxes=2, without_image=True,
    )  # fmt: skip
    asked = [queue_lib.Request(i, t) for i, t in zip(images, texts, strict=True)]
    change = []
    for result in queue.run(tiny.params, asked):
        own, other = result["location_probs"], result["blank_location_probs"]
        assert own.shape == other.shape and len(own) > 4
        change.append(np.abs(own.astype(float) - other.astype(float)).sum(axis=1).mean() / 2)
    assert change[0] < 2e-3 > change[2] and change[1] > 0.02
