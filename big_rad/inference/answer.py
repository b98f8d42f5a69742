"""Functions that answer prompts by greedy decoding: of one batch, or of any number of requests.

They are built from a model and its tokenizer, which says where a text ends and which ids are never
predicted.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from big_rad.grounding.codec import BoxCodec
from big_rad.inference import confidence, decode, sampling
from big_rad.inference import queue as queue_lib
from big_rad.pp import tokenizer as tokenizers

AnswerBatch = Callable[..., Mapping[str, np.ndarray]]
AnswerRequests = Callable[..., Sequence[Mapping[str, np.ndarray]]]
MODEL_FIELDS = ("image", "text", "mask_ar")
MAX_MASKS = 16  # The largest number of masks of one text. Entities beyond it get no mask.


def make_answer_batch(
    model: nn.Module, tokenizer: tokenizers.Tokenizer, never: Sequence[int] = ()
) -> AnswerBatch:
    """Builds the function that answers a batch, which evaluators know as "generate".

    Args:
        model: a `paligemma.Model` or `radgrounder.Model`.
        tokenizer: the model's tokenizer. Its padding and reserved rows are never predicted.
        never: further ids that are never predicted, see `inference.load.Loaded.never`.

    Returns:
        A function (params, batch, max_new_tokens=..., masks=True, logits=False) -> dict of numpy
        arrays: `tokens` i32 [rows, max_new_tokens], `logprob` f32 [rows], `length` i32 [rows]. The
        batch has `image`, `text` and `mask_ar`. With a mask decoder, unless `masks=False`, there
        are also `num_masks` i32 [rows] and `masks` bool [rows, MAX_MASKS, height, width]. With
        `logits=True`, `mask_logits` f32 of the same shape replaces `masks`.

    Raises:
        ValueError: the model has a mask decoder, and the tokenizer cannot write `</seg>`.
    """
    check_mask_tokens(model, tokenizer)
    positive = jax.jit(lambda x: x > 0)

    make = functools.cache(functools.partial(decode.make_generate, model))

    def answer_batch(
        params: Mapping[str, Any],
        batch: Mapping[str, np.ndarray],
        *,
        max_new_tokens: int,
        masks: bool = True,
        logits: bool = False,
    ) -> dict[str, np.ndarray]:
        arrays = [np.asarray(batch[k]) for k in MODEL_FIELDS]
        options = decoding_options(model, tokenizer, never, max_new_tokens, masks=masks)
        out = make(options)(params, *arrays)
        if "mask_logits" in out and not logits:  # Bool needs a quarter of the bytes.
            out = {**out, "masks": positive(out["mask_logits"])}
            del out["mask_logits"]
        return jax.device_get(out)

    return answer_batch


def make_answer_requests(
    model: nn.Module,
    tokenizer: tokenizers.Tokenizer,
    sharding: jax.sharding.Sharding | None = None,
    never: Sequence[int] = (),
) -> AnswerRequests:
    """Builds the function that answers any number of requests, which evaluators know as "queue".

    Args:
        model: a `paligemma.Model` or `radgrounder.Model`.
        tokenizer: the model's tokenizer. Its padding and reserved rows are never predicted.
        sharding: how the rows are split over devices, see `queue.Queue`.
        never: further ids that are never predicted, see `inference.load.Loaded.never`.

    Returns:
        A function (params, requests, rows=..., max_new_tokens=..., masks=True, logits=False,
        codec=None) -> list of the results of `queue.Queue.run`. `rows` is how many rows decode
        together. With the codec of the model's boxes, the results have `token_logprobs` and
        `expected_iou` too, from which `confidence` is made.

    Raises:
        ValueError: the model has a mask decoder, and the tokenizer cannot write `</seg>`.
    """
    check_mask_tokens(model, tokenizer)

    make = functools.cache(functools.partial(queue_lib.Queue, model, sharding=sharding))

    def answer_requests(
        params: Mapping[str, Any],
        requests: Iterable[queue_lib.Request],
        *,
        rows: int,
        max_new_tokens: int,
        masks: bool = True,
        logits: bool = False,
        codec: BoxCodec | None = None,
    ) -> list[dict[str, np.ndarray]]:
        options = decoding_options(model, tokenizer, never, max_new_tokens, masks=masks)
        if codec is None:
            return make(options, rows=rows, logits=logits).run(params, requests)
        options = with_confidence(options, tokenizer, codec)
        results = make(options, rows=rows, logits=logits).run(params, requests)
        return [confidence.condense(result, tokenizer, codec) for result in results]

    return answer_requests


def decoding_options(
    model: nn.Module,
    tokenizer: tokenizers.Tokenizer,
    never: Sequence[int],
    max_new_tokens: int,
    *,
    masks: bool = True,
) -> sampling.Options:
    """Returns the options of greedy decoding with a tokenizer.

    Args:
        model: a `paligemma.Model` or `radgrounder.Model`.
        tokenizer: the model's tokenizer.
        never: ids that are never predicted, besides padding, `<bos>` and the reserved row.
        max_new_tokens: the largest number of tokens of an answer, EOS included.
        masks: False makes no masks, even if the model has a mask decoder.
    """
    options = sampling.Options(
        max_new_tokens=max_new_tokens,
        vocab_size=tokenizer.vocab_size,
        never=(tokenizer.pad_id, tokenizer.bos_id, tokenizer.reserved_id, *never),
        eos_id=tokenizer.eos_id,
    )
    if not (masks and _makes_masks(model)):
        return options
    return dataclasses.replace(options, seg_end_id=tokenizer.markup["</seg>"], max_masks=MAX_MASKS)


def with_confidence(
    options: sampling.Options, tokenizer: tokenizers.Tokenizer, codec: BoxCodec
) -> sampling.Options:
    """Returns options that keep what `confidence` is made of: token by token, and for each box.

    Args:
        options: the options.
        tokenizer: the model's tokenizer.
        codec: the codec of the model's boxes.
    """
    locations = int(tokenizer.loc_ids[0]), min(codec.max_bin + 1, len(tokenizer.loc_ids))
    boxes = confidence.MAX_BOXES if "<p bbox=" in tokenizer.markup else 0
    return dataclasses.replace(
        options,
        token_logprobs=True,
        locations=locations,
        max_boxes=boxes,
        without_image=bool(boxes or options.max_masks),
    )


def _makes_masks(model: nn.Module) -> bool:
    return getattr(model, "mask_decoder", None) is not None


def check_mask_tokens(model: nn.Module, tokenizer: tokenizers.Tokenizer) -> None:
    """Checks that a model with a mask decoder has the tokens for its masks.

    Raises:
        ValueError: the model has a mask decoder, and the tokenizer cannot write `</seg>`.
    """
    if _makes_masks(model) and "</seg>" not in tokenizer.markup:
        raise ValueError(
            'config.model.mask_decoder needs the tokens of config.tokenizer.sets "segmentation", '
            f"which has only {', '.join(tokenizer.sets)}"
        )
