"""Measures the speed of greedy decoding, against another way to decode in the same run.

The peer is the `generate` of transformers, or (`--peer=constrained`) our own decoding under a
grammar.

All rows of a batch have prompts of the same length and get the same number of tokens n, since no
token ends a row. Two times are measured: t(1) for one token, which is mostly the prefill, and t(n)
for all of them. The time of one further token is (t(n) - t(1)) / (n - 1). In float32, the tokens of
both sides are compared.
"""

import argparse
import functools
import statistics
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import ml_collections
import numpy as np

from big_rad.grounding.codec import get_codec
from big_rad.inference import constrain, decode, pickers
from big_rad.models import counts
from tools.benchmarks import devices, rounds, sizes, training

Decoders = dict[int, Callable[..., np.ndarray]]  # By the number of tokens that they generate.
OURS, HF, CONSTRAINED = "big_rad", "hf", "constrained"
_PROMPT = 24  # The number of tokens of a prompt, <bos> included.


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of this command."""
    parser.add_argument("--size", choices=sizes.SIZES, default="mid")
    parser.add_argument("--dtype", choices=sizes.DTYPES, default="float32")
    parser.add_argument("--batch", default="1,8,32", help="batch sizes")
    parser.add_argument("--softcap", type=float, default=50.0, help="of attention; 0 turns it off")
    parser.add_argument("--tokens", type=int, default=32, help="new tokens of a row")
    parser.add_argument("--peer", choices=("none", HF, CONSTRAINED), default=HF)
    parser.add_argument(
        "--cache", choices=("dynamic", "static"), default="dynamic", help="of the peer"
    )
    parser.add_argument("--bandwidth_gbs", type=float, help="of the device, if not in the table")
    parser.add_argument(
        "--no-data", action="store_true", help="synthetic prompts (there are no others here)"
    )


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measures each batch size, prints a table of it, and returns the tables by batch size."""
    if args.tokens < 2:
        sys.exit("python -m tools.bench decode: --tokens is at least 2")
    cap = {"model.llm.attn_logits_softcap": args.softcap}
    config = sizes.make_config(args.size, "det", args.dtype, cap)
    params = inference_params(config, args.dtype)
    counts_of = (1, args.tokens)
    peer: dict[str, Decoders] = {}
    if args.peer == HF:
        from tools.benchmarks import peer_hf

        hf = peer_hf.Peer(config, params)
        peer[HF] = {n: hf.decoder(n, args.cache) for n in counts_of}
    elif args.peer == CONSTRAINED:
        peer[CONSTRAINED] = ours(config, params, args.tokens, pickers.PerRow(grammar(config)))
    print(f"{jax.devices()[0].device_kind}; size {args.size}, {args.dtype}")
    result: dict[str, Any] = {}
    for rows in map(int, args.batch.split(",")):
        result[str(rows)] = _measure(args, config, params, peer, rows)
    return result


def ours(
    config: ml_collections.ConfigDict,
    params: Mapping[str, Any],
    tokens: int,
    picker: pickers.Picker | None = None,
) -> Decoders:
    """Returns our functions that generate one token, and all tokens.

    Args:
        config: the config of the model.
        params: the model's parameters.
        tokens: the number of all tokens.
        picker: what chooses the tokens; None takes the likeliest.

    Returns:
        For 1 and for `tokens`, a function (image [B, H, W, 3], text [B, T]) -> new tokens
        [B, `tokens`], with zeros behind the first 1 or `tokens` of them.
    """
    generate = generator(config, tokens, picker)

    def run(limit: int, image: np.ndarray, text: np.ndarray) -> np.ndarray:
        made = generate(params, image, text, np.zeros_like(text), limit=np.int32(limit))
        return np.asarray(made["tokens"])

    return {n: functools.partial(run, n) for n in (1, tokens)}


def generator(
    config: ml_collections.ConfigDict, tokens: int, picker: pickers.Picker | None = None
) -> decode.Generate:
    """Returns the compiled function that generates text, in which only `limit` ends a row.

    Args:
        config: the config of the model.
        tokens: the largest number of tokens.
        picker: what chooses the tokens; None takes the likeliest.
    """
    return decode.make_generate(
        sizes.model(config),
        max_new_tokens=tokens,
        vocab_size=config.model.llm.vocab_size,
        never=(),
        eos_id=-1,
        picker=picker,
    )


def grammar(config: ml_collections.ConfigDict) -> constrain.Grammar:
    """Returns the grammar of a tokenizer with as many ids as the model has rows.

    The last ids are its locations, classes and markup tokens, as in PaliGemma's; the others are
    words. No text ends by itself.
    """
    size = config.model.llm.vocab_size
    markup = ("<p bbox=", "</p>", "id=", "<seg>", "</seg>")
    first = size - len(markup) - 1024 - 128
    pieces: list[str | None] = [None] * size
    pieces[4:first] = ["word"] * (first - 4)
    pieces[4:6] = [" ", ">"]
    tokenizer = types.SimpleNamespace(
        vocab_size=size,
        pieces=lambda: pieces,
        loc_ids=np.arange(first, first + 1024),
        seg_ids=np.arange(first + 1024, first + 1152),
        markup={name: size - len(markup) + i for i, name in enumerate(markup)},
        eos_id=1,
        encode=lambda text: [0],
    )
    return constrain.make_grammar(tokenizer, get_codec("radgrounder"))


def inference_params(config: ml_collections.ConfigDict, dtype: str) -> dict[str, Any]:
    """Returns random weights in the dtype of the matrix products, as for serving."""
    params = training.init_state(config)["params"]
    return jax.block_until_ready(
        jax.jit(lambda p: jax.tree.map(lambda x: x.astype(dtype), p), donate_argnums=0)(params)
    )


def prompts(
    config: ml_collections.ConfigDict, rows: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Returns random images f32 [B, H, W, 3] and prompts i32 [B, T]."""
    rng = np.random.default_rng(seed)
    size = config.image.size
    image = rng.uniform(-1, 1, (rows, size, size, 3)).astype(np.float32)
    text = rng.integers(4, config.model.llm.vocab_size - 1, (rows, _PROMPT)).astype(np.int32)
    text[:, 0] = 2
    return image, text


def per_token(whole: Sequence[float], prefill: Sequence[float], tokens: int) -> list[float]:
    """Returns the seconds of one token after the first, for each round.

    Args:
        whole: the seconds of all tokens, for each round.
        prefill: the seconds of one token, for each round.
        tokens: the number of all tokens.
    """
    return [(w - p) / (tokens - 1) for w, p in zip(whole, prefill, strict=True)]


def _measure(
    args: argparse.Namespace,
    config: ml_collections.ConfigDict,
    params: Mapping[str, Any],
    peer: Mapping[str, Decoders],
    rows: int,
) -> dict[str, Any]:
    image, text = prompts(config, rows)
    makers = {OURS: ours(config, params, args.tokens), **peer}
    made = {name: by_count[args.tokens](image, text) for name, by_count in makers.items()}
    equal = 1.0
    if HF in peer:
        equal = float((made[OURS] == made[HF]).mean())
        if equal < 1 and args.dtype == "float32":
            sys.exit(
                f"python -m tools.bench decode: only {equal:.1%} of the tokens are the same as the "
                "peer's, so the two do not do the same work"
            )
    ways = {
        (name, n): (lambda make=make: make(image, text))
        for name, by_count in makers.items()
        for n, make in by_count.items()
    }
    seconds = rounds.measure(ways, args.rounds)
    base = next(iter(peer), OURS)
    print(f"\nbatch {rows}, {args.tokens} tokens a row, prompts of {_PROMPT}")
    parts = {
        "prefill": (lambda name: seconds[name, 1], rows),
        "token": (
            lambda name: per_token(seconds[name, args.tokens], seconds[name, 1], args.tokens),
            rows,
        ),
        "whole": (lambda name: seconds[name, args.tokens], rows * args.tokens),
    }
    result: dict[str, Any] = {"equal_tokens": equal}
    for part, (times, items) in parts.items():
        result[part] = {name: rounds.summary(times(name), times(base), items) for name in makers}
        rounds.show(result[part], part, "images" if part == "prefill" else "tokens")
    result["ratio"] = result["whole"][OURS]["ratio"]
    bandwidth = devices.bandwidth(args.bandwidth_gbs)
    if bandwidth:
        d, size = counts.dims_of(config), 2 if args.dtype == "bfloat16" else 4
        slots = d.image_tokens + _PROMPT + args.tokens / 2
        moved = counts.decode_bytes(d, size) + rows * slots * counts.kv_bytes(d, size)
        step = statistics.median(parts["token"][0](OURS))
        result["share_of_bandwidth"] = moved / step / bandwidth
        print(f"{result['share_of_bandwidth']:.0%} of the memory bandwidth a step")
    return result
