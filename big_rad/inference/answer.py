"""The functions that answer prompts: greedy decoding of a batch, and of any number of requests.

Made of a model and its tokenizer; know no data, no markup and no score.
"""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from big_rad.inference import decode
from big_rad.inference import queue as queue_lib

Generate = Callable[..., Mapping[str, np.ndarray]]
Answer = Callable[..., Sequence[Mapping[str, np.ndarray]]]
MODEL_FIELDS = ("image", "text", "mask_ar")
MAX_MASKS = 16  # of a text; more are not made


def make_generate_fn(model: Any, tokenizer: Any, never: Sequence[int] = ()) -> Generate:
    """Builds `predict_fns["generate"]` of a model: greedy decoding of a batch.

    Args:
        model: a `paligemma.Model`.
        tokenizer: its tokenizer; padded and reserved rows are never predicted.
        never: further ids that are never predicted, see `inference.load.Loaded.never`.

    Returns:
        A function (params, batch, max_new_tokens=...) -> dict of numpy `tokens` i32 [B, L],
        `logprob` f32 [B], `length` i32 [B]. The batch has `image`, `text`, `mask_ar`. With a mask
        decoder, unless `masks=False`, also `num_masks` i32 [B] and `masks` bool [B, K, H, W], or
        with `logits=True` `mask_logits` f32 in their place.

    Raises:
        ValueError: a mask decoder, and a tokenizer that cannot write `</seg>`.
    """
    options, ends = _decode_options(model, tokenizer, never)
    positive = jax.jit(lambda x: x > 0)

    @functools.cache
    def made(max_new_tokens: int, masks: bool) -> decode.Generate:
        extra = ends if masks else {}
        return decode.make_generate(model, max_new_tokens=max_new_tokens, **options, **extra)

    def generate(
        params: Any,
        batch: Mapping[str, np.ndarray],
        *,
        max_new_tokens: int,
        masks: bool = True,
        logits: bool = False,
    ) -> dict[str, np.ndarray]:
        arrays = [np.asarray(batch[k]) for k in MODEL_FIELDS]
        out = made(max_new_tokens, masks and bool(ends))(params, *arrays)
        if "mask_logits" in out and not logits:  # An eighth of the bytes for the host.
            out = {**out, "masks": positive(out["mask_logits"])}
            del out["mask_logits"]
        return jax.device_get(out)

    return generate


def make_queue_fn(
    model: Any,
    tokenizer: Any,
    sharding: jax.sharding.Sharding | None = None,
    never: Sequence[int] = (),
) -> Answer:
    """Builds `predict_fns["queue"]` of a model: greedy decoding of any number of requests.

    Args:
        model: a `paligemma.Model`.
        tokenizer: its tokenizer; padded and reserved rows are never predicted.
        sharding: of the rows over devices, see `queue.Queue`.
        never: further ids that are never predicted, see `inference.load.Loaded.never`.

    Returns:
        A function (params, requests, rows=..., max_new_tokens=..., masks=True, logits=False) ->
        list of results, as `queue.Queue.run`; `rows` decode together.

    Raises:
        ValueError: a mask decoder, and a tokenizer that cannot write `</seg>`.
    """
    options, ends = _decode_options(model, tokenizer, never)
    made = functools.cache(
        lambda masks, **sizes: queue_lib.Queue(
            model, sharding=sharding, **options, **sizes, **(ends if masks else {})
        )
    )

    def answer(
        params: Any,
        requests: Iterable[queue_lib.Request],
        *,
        rows: int,
        max_new_tokens: int,
        masks: bool = True,
        logits: bool = False,
    ) -> list[dict[str, np.ndarray]]:
        sizes = dict(rows=rows, max_new_tokens=max_new_tokens, logits=logits)
        return made(masks and bool(ends), **sizes).run(params, requests)

    return answer


def _decode_options(
    model: Any, tokenizer: Any, never: Sequence[int]
) -> tuple[dict[str, Any], dict[str, Any]]:
    # What decoding needs to know of the tokens, and what making masks needs besides.
    options = dict(
        vocab_size=tokenizer.vocab_size,
        never=(tokenizer.pad_id, tokenizer.bos_id, tokenizer.reserved_id, *never),
        eos_id=tokenizer.eos_id,
    )
    if getattr(model, "mask_decoder", None) is None:
        return options, {}
    if "</seg>" not in tokenizer.markup:
        raise ValueError(
            'config.model.mask_decoder needs the tokens of config.tokenizer.sets "segmentation", '
            f"which has only {', '.join(tokenizer.sets)}"
        )
    return options, {"seg_end_id": tokenizer.markup["</seg>"], "max_masks": MAX_MASKS}
