"""The queue gives each request the same answer as the plain loop, in fewer steps."""

import dataclasses
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from big_rad.inference import decode, sampling
from big_rad.inference import queue as queue_lib
from big_rad.inference import rows as rows_lib
from big_rad.models import paligemma, radgrounder

NEW = 12
SIZES = dict(max_new_tokens=NEW, vocab_size=60, never=(0, 7))
SMALL = dict(prompt_buckets=(4, 8), slot_bucket=8)


def make_requests(count=22, images=5):
    """Ragged prompts of 1 to 8 tokens, several about each image."""
    rng = np.random.default_rng(5)
    image = rng.uniform(-1, 1, (images, 8, 8, 3)).astype(np.float32)
    return [
        queue_lib.Request(image[i % images], rng.integers(12, 60, 1 + i * 7 % 8, np.int32))
        for i in range(count)
    ]


def plain(model, params, requests, rng=None, **kw):
    """The plain loop's results, all requests in one batch."""
    text = np.stack([np.pad(r.text, (0, 8 - len(r.text))) for r in requests])
    image = np.stack([r.image for r in requests])
    run = decode.make_generate(model, **{**SIZES, **kw})
    return jax.tree.map(np.asarray, run(params, image, text, 0 * text, rng))


def queue(model, **kw):
    return queue_lib.Queue(model, **{**SIZES, **SMALL, **kw})


def assert_same(results, want, logits="mask_logits"):
    assert len(results) == len(want["tokens"])
    for i, result in enumerate(results):
        np.testing.assert_array_equal(result["tokens"], want["tokens"][i])
        np.testing.assert_allclose(result["logprob"], want["logprob"][i], atol=1e-4)
        assert result["length"] == want["length"][i]
        for name in {"token_logprobs", "top_ids", "top_logprobs"} & set(want):
            np.testing.assert_allclose(result[name], want[name][i], atol=1e-4)
        if logits in want:
            n = want["num_masks"][i]
            assert len(result[logits]) == n
            np.testing.assert_allclose(result[logits], want[logits][i, :n], atol=1e-3)


@pytest.fixture(scope="module")
def params(tiny):
    """Parameters with a mask decoder, of a model that writes many different tokens."""
    decoder = dict(depth=1, dim=16, num_heads=2, mlp_dim=16)
    model = radgrounder.Model(img=tiny.make().img, llm=tiny.make().llm, mask_decoder=decoder)
    text = np.ones((1, 4), np.int32)
    params = jax.jit(model.init)(jax.random.key(3), tiny.image[:1], text, 0 * text)["params"]
    params = {**params, **tiny.params}
    table = jnp.asarray(params["llm"]["embedder"]["input_embedding"])
    params["llm"] = {**params["llm"], "embedder": {"input_embedding": 0.3 * table}}
    return params


@pytest.fixture(scope="module", params=paligemma.MASK_MODES)
def setup(request, tiny, params):
    """Model, requests, an EOS that rows reach at different steps, and the plain loop's results."""
    decoder = dict(depth=1, dim=16, num_heads=2, mlp_dim=16)
    base = tiny.make()
    model = radgrounder.Model(
        img=base.img, llm=base.llm, mask_decoder=decoder, mask_mode=request.param
    )
    requests = make_requests()
    endless = plain(model, params, requests, eos_id=-1)["tokens"]
    ends = {e: {(r == e).argmax() for r in endless if e in r} for e in np.unique(endless)}
    eos = int(max(ends, key=lambda e: len(ends[e])))
    seg_end = int(np.bincount(endless[endless != eos]).argmax())
    kw = dict(eos_id=eos, seg_end_id=seg_end, max_masks=2, token_logprobs=True, alternatives=2)
    want = plain(model, params, requests, **kw)
    assert len(np.unique(want["length"])) > 3 and len(np.unique(want["tokens"])) > 10
    assert want["num_masks"].max() == 2 and want["num_masks"].min() == 0
    return SimpleNamespace(model=model, params=params, requests=requests, kw=kw, want=want)


@pytest.fixture(scope="module")
def small(setup):
    """A queue of five rows whose cache grows, its results, and how many programs it needed."""
    made = queue(setup.model, rows=5, chunk=2, logits=True, window=22, **setup.kw)
    before = rows_lib.compiled()
    results = made.run(setup.params, setup.requests)
    return made, results, {k: n - before[k] for k, n in rows_lib.compiled().items()}


def test_many_more_requests_than_rows_give_the_plain_loops_tokens_logprobs_and_masks(setup, small):
    assert_same(small[1], setup.want)


def test_the_order_of_requests_does_not_matter_and_another_run_compiles_nothing(setup, small):
    made, _, sizes = small
    order = np.random.default_rng(0).permutation(len(setup.requests))
    before = rows_lib.compiled()
    results = made.run(setup.params, [setup.requests[i] for i in order])
    assert_same(results, {k: v[order] for k, v in setup.want.items()})
    after = rows_lib.compiled()
    sizes = {k: sizes[k] + after[k] - before[k] for k in sizes}
    # The cache has 8, 16 or 24 slots beyond the image. Batches have 1 or 4 rows and prompts of 4 or
    # 8 tokens.
    assert sizes["advance"] <= 3 and sizes["resize"] <= 6 and sizes["collect"] <= 2
    assert sizes["prefill"] + sizes["prefill_text"] <= 4 and sizes["prefill_image"] <= 2
    assert sizes["insert"] <= 12
    assert_same(made.run(setup.params, setup.requests), setup.want)
    assert rows_lib.compiled() == after


def test_images_are_prefilled_once_where_they_may_be_shared(setup, small):
    made = small[0]
    before = dict(made.prefilled)
    made.run(setup.params, setup.requests)
    images, batches, prompts = (made.prefilled[n] - before[n] for n in before)
    assert prompts == len(setup.requests)
    if setup.model.mask_mode == "image_isolated":
        # A batch of four images and one of a single image, although the requests about an image do
        # not follow each other.
        assert images == 5 and batches == 2
    else:
        assert images == prompts and batches == 0


@pytest.mark.parametrize("rows, chunk, window", [(1, 3, 1), (32, 5, 4)])
def test_rows_chunk_and_window_do_not_matter(setup, rows, chunk, window):
    kw = dict(rows=rows, chunk=chunk, window=window, prompt_buckets=(8,), slot_bucket=32)
    results = queue(setup.model, **kw, **setup.kw).run(setup.params, iter(setup.requests))
    for i, result in enumerate(results):
        logits = setup.want["mask_logits"][i, : setup.want["num_masks"][i]]
        assert result["masks"].shape == logits.shape and result["masks"].dtype == bool
        sure = np.abs(logits) > 1e-3
        np.testing.assert_array_equal(result["masks"][sure], (logits > 0)[sure])
    assert_same(results, {k: v for k, v in setup.want.items() if k != "mask_logits"})


# ---- Sampling ----


@pytest.mark.parametrize("mode, rows, chunk", [("paligemma", 3, 2), ("image_isolated", 2, 5)])
def test_samples_depend_on_the_key_of_the_request_and_are_those_of_the_plain_loop(
    tiny, mode, rows, chunk
):
    model = tiny.make(mode)
    keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(7), jnp.arange(9))
    requests = [
        dataclasses.replace(r, key=k) for r, k in zip(make_requests(9, 3), keys, strict=True)
    ]
    kw = dict(temperature=1.5, top_p=0.9, eos_id=1)
    want = plain(model, tiny.params, requests, jax.random.key(7), **kw)  # Derives the same keys.
    kw |= dict(rows=rows, chunk=chunk, prompt_buckets=(8,), slot_bucket=32)
    made = queue(model, **kw)
    assert_same(made.run(tiny.params, requests), want)
    some = np.array([7, 2, 8, 0])  # In another order, with other rows in the batch.
    results = made.run(tiny.params, [requests[i] for i in some])
    assert_same(results, {k: v[some] for k, v in want.items()})
    assert len(np.unique(want["tokens"])) > 20
    again = dataclasses.replace(requests[0], key=np.array(jax.random.key_data(keys[1])))
    (other,) = made.run(tiny.params, [again])
    assert (other["tokens"] != want["tokens"][0]).any()


@pytest.mark.parametrize(
    "key, message",
    [
        (None, "request 0 has no key, and this queue samples: give each request one"),
        (7, r"request 0 has a key of int64 \(\), and this queue takes one key of threefry2x32"),
        (np.zeros(4, np.uint32), r"request 0 has a key of uint32 \(4,\).*one key of threefry2x32"),
    ],
)
def test_a_queue_that_samples_needs_a_key_for_each_request(tiny, key, message):
    request = dataclasses.replace(make_requests(1)[0], key=key)
    with pytest.raises(ValueError, match=message):
        queue(tiny.make(), temperature=1.0).run(tiny.params, [request])


def test_settings_of_sampling_that_are_out_of_range_are_errors(tiny):
    with pytest.raises(ValueError, match="need temperature >= 0 and 0 < top_p <= 1"):
        queue(tiny.make(), temperature=float("nan"))


# ---- Tests for which one mask mode is enough ----


class NoRepeats:
    """A user's own picker: chooses the likeliest token except the one that the row got last."""

    draws = False

    def start(self, keys):
        return {"last": jnp.zeros(keys.shape[0], jnp.int32)}

    def pick(self, logits, state):
        last = state.picker["last"][:, None] == jnp.arange(logits.shape[1])
        token, logprob = sampling.greedy(jnp.where(last, -jnp.inf, logits))
        return token, logprob, {"last": token}


def test_a_picker_of_ones_own_chooses_in_the_queue_as_in_the_plain_loop(tiny):
    requests, options = make_requests(9, 2), dict(eos_id=-1, max_new_tokens=6)
    plainly = plain(tiny.make(), tiny.params, requests, **options)["tokens"]
    want = plain(tiny.make(), tiny.params, requests, picker=NoRepeats(), **options)
    repeats = [(t[:, 1:] == t[:, :-1]).any() for t in (plainly, want["tokens"])]
    assert repeats == [True, False]
    made = queue(tiny.make(), rows=4, chunk=2, picker=NoRepeats(), **options)
    assert_same(made.run(tiny.params, requests), want)


@pytest.fixture(scope="module")
def one(tiny):
    """A queue without masks, of four rows and chunks of two."""
    return queue(tiny.make(), rows=4, chunk=2, prompt_buckets=(8,), slot_bucket=32, eos_id=1)


def test_steps_are_about_the_sum_of_lengths_over_rows_and_not_the_sum_of_the_longest(tiny):
    requests = make_requests(48, 1)
    endless = plain(tiny.make(), tiny.params, requests, eos_id=-1)["tokens"]
    ends = {e: (endless == e).any(axis=1).sum() for e in np.unique(endless)}
    eos = int(min(ends, key=lambda e: abs(ends[e] - 36)))  # Three quarters end before the limit.
    want = plain(tiny.make(), tiny.params, requests, eos_id=eos)
    written = (want["tokens"] != 0).sum(axis=1)
    rows, chunk = 4, 1
    kw = dict(prompt_buckets=(8,), slot_bucket=32, window=48)
    made = queue(tiny.make(), rows=rows, chunk=chunk, eos_id=eos, **kw)
    assert_same(made.run(tiny.params, requests), want)
    batches = sum(written[i : i + rows].max() for i in range(0, 48, rows))
    # The host sees one chunk late that a row has ended. At the end, rows are empty for the time of
    # one answer at most.
    most = (written + 2 * chunk).sum() / rows + NEW
    assert written.sum() / rows <= made.steps <= most < batches
    assert made.steps < 0.9 * batches


def test_no_requests_give_no_results(tiny, one):
    assert one.run(tiny.params, []) == []


@pytest.mark.parametrize(
    "text, message",
    [
        ([], "request 1 has an empty prompt: give it at least <bos>"),
        ([3, 4, 0], "request 1 has padding in its prompt: cut the zeros off"),
        ([3] * 9, "request 1 has a prompt of 9 tokens.*is 8: shorten it or add a bucket"),
    ],
)
def test_a_prompt_that_cannot_be_answered_is_an_error_that_names_the_remedy(
    tiny, one, text, message
):
    good = make_requests(1)[0]
    bad = queue_lib.Request(good.image, np.array(text, np.int32))
    with pytest.raises(ValueError, match=message):
        one.run(tiny.params, [good, bad])


def test_images_of_several_sizes_are_an_error_that_names_the_remedy(tiny, one):
    first = make_requests(1)[0]
    other = queue_lib.Request(np.zeros((12, 8, 3), np.float32), first.text)
    with pytest.raises(ValueError, match="request 1.*resize them to one size"):
        one.run(tiny.params, [first, other])


@pytest.mark.parametrize("kw", [dict(rows=0), dict(chunk=0), dict(prompt_buckets=(0, 8))])
def test_sizes_that_are_not_positive_are_errors(tiny, kw):
    with pytest.raises(ValueError, match="must be positive"):
        queue(tiny.make(), **kw)


def test_masks_need_the_id_of_the_closing_tag(tiny):
    with pytest.raises(ValueError, match="seg_end_id"):
        queue(tiny.make(), max_masks=1)


def test_requests_are_drawn_no_further_than_the_window(tiny):
    """Images are made when requests are read, so only a window of them is in memory."""
    made = queue(tiny.make(), rows=2, chunk=6, window=4, prompt_buckets=(8,), slot_bucket=32)
    drawn = []  # For each request, how many steps had run before it was drawn.

    def requests():
        for request in make_requests(12, 1):
            drawn.append(made.steps)
            yield request

    made.run(tiny.params, requests())
    assert drawn.count(0) <= 2 + 4 and len(drawn) == 12


EIGHT_DEVICES = """
    import jax, numpy as np
    from big_rad import sharding, trees
    from big_rad.inference import decode
    from big_rad.inference import queue as queue_lib
    from big_rad.inference import rows as rows_lib
    from big_rad.models import radgrounder

    def check(mode):
        model = radgrounder.Model(
            img=dict(width=16, depth=1, mlp_dim=32, num_heads=2, patch_size=4),
            llm=dict(width=16, depth=1, mlp_dim=32, num_heads=2, num_kv_heads=1, head_dim=8,
                     vocab_size=64),
            mask_decoder=dict(depth=1, dim=16, num_heads=2, mlp_dim=16), mask_mode=mode,
        )
        rng = np.random.default_rng(0)
        image = rng.uniform(-1, 1, (3, 8, 8, 3)).astype(np.float32)
        requests = [
            queue_lib.Request(image[i % 3], rng.integers(3, 60, 1 + i % 5, np.int32))
            for i in range(19)
        ]
        text = np.ones((1, 4), np.int32)
        init = jax.jit(model.init)(jax.random.key(0), image[:1], text, 0 * text)["params"]
        init = jax.tree.map(np.asarray, init)

        kw = dict(max_new_tokens=5, vocab_size=60, eos_id=3, seg_end_id=9, max_masks=1)
        text = np.stack([np.pad(r.text, (0, 5 - len(r.text))) for r in requests])
        shown = np.stack([r.image for r in requests])
        want = jax.device_get(decode.make_generate(model, **kw)(init, shown, text, 0 * text))

        mesh = sharding.make_mesh((("data", -1),))
        places = trees.unflatten(sharding.infer(trees.flatten(init), ((".*", "fsdp"),), mesh))
        queue = queue_lib.Queue(
            model, rows=8, chunk=2, prompt_buckets=(8,), slot_bucket=16, **kw,
            sharding=sharding.batch_sharding(mesh),
        )

        class Watched(rows_lib.Rows):
            def advance(self, weights, state):
                for x in (state.cache[0]["k"], state.logits, state.tokens):
                    assert x.addressable_shards[0].data.shape[0] == 1, "not sharded"
                return super().advance(weights, state)

        queue.device = Watched(**vars(queue.device))
        results = queue.run(jax.device_put(init, places), requests)
        assert len(results) == 19
        for i, result in enumerate(results):
            np.testing.assert_array_equal(result["tokens"], want["tokens"][i])
            np.testing.assert_allclose(result["logprob"], want["logprob"][i], atol=1e-4)
            assert len(result["masks"]) == want["num_masks"][i]

    assert len(jax.devices()) == 8
    for mode in ("paligemma", "image_isolated"):
        check(mode)
    print("equal")
"""


@pytest.mark.slow
def test_eight_devices_answer_as_one_does_with_rows_split_over_them(on_eight_devices):
    assert on_eight_devices(EIGHT_DEVICES) == "equal"
