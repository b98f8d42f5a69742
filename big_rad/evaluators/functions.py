"""The functions of a model that evaluators call, such as answering questions or computing a loss.

A class of evaluators names the functions that it calls in `needs`. `Functions` makes each one when
it is first used, because making it may compile. `MAKERS` has the maker for each name; a model with
another function (for example an `embed` of a model with two towers) adds a maker there.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float

from big_rad import sharding as sharding_lib
from big_rad.pp import tokenizer as tokenizers

Params = Mapping[str, Any]
Watch = Callable[[Iterable[Any]], Iterable[Any]]


class Functions(Mapping[str, Callable[..., Any]]):
    """The functions of one model, by name; a function is made when it is first looked up.

        functions = Functions(model, tokenizer)
        answers = functions["queue"](params, requests, rows=16, max_new_tokens=200)

    Args:
        model: a `paligemma.Model` or `radgrounder.Model`.
        tokenizer: the tokenizer of the model.
        mesh: the devices that the rows of a batch are split over; None uses one device.
        never: the token ids that are never predicted, see `inference.load.Loaded.never`.
        watch: wraps the questions that a function is given, so that a signal can end an evaluation
            between two questions (`runtime.StopSignal.watch`); None runs to the end.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: tokenizers.Tokenizer,
        mesh: jax.sharding.Mesh | None = None,
        never: Sequence[int] = (),
        watch: Watch | None = None,
    ):
        self.model, self.tokenizer, self.mesh, self.never = model, tokenizer, mesh, tuple(never)
        self.watch: Watch = watch or (lambda questions: questions)
        self._made: dict[str, Callable[..., Any]] = {}

    def __getitem__(self, name: str) -> Callable[..., Any]:
        if name not in self._made:
            self._made[name] = MAKERS[name](self)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(MAKERS)

    def __contains__(self, name: object) -> bool:
        return name in MAKERS

    def __len__(self) -> int:
        return len(MAKERS)

    @property
    def sharding(self) -> jax.sharding.Sharding | None:
        """The sharding of rows over the mesh; None without a mesh."""
        return None if self.mesh is None else sharding_lib.batch_sharding(self.mesh)


def _answer_requests(functions: Functions) -> Callable[..., Any]:
    # (params, requests, rows=..., max_new_tokens=...) -> answers, as `make_answer_requests` says.
    from big_rad.inference import answer

    answer_requests = answer.make_answer_requests(
        functions.model, functions.tokenizer, functions.sharding, functions.never
    )
    return lambda params, requests, **kw: answer_requests(params, functions.watch(requests), **kw)


def _answer_batch(functions: Functions) -> Callable[..., Any]:
    # (params, batch, max_new_tokens=...) -> answers of a batch, see `answer.make_answer_batch`.
    from big_rad.inference import answer

    answer_batch = answer.make_answer_batch(functions.model, functions.tokenizer, functions.never)

    def watched(
        params: Params, batch: Mapping[str, np.ndarray], **kw: int | bool
    ) -> Mapping[str, np.ndarray]:
        (batch,) = functions.watch([batch])
        return answer_batch(params, batch, **kw)

    return watched


def _loss(functions: Functions) -> Callable[..., dict[str, Float[np.ndarray, " batch"]]]:
    """Makes the function that computes the loss of target tokens, row by row.

    Returns:
        A function (params, batch) -> dict of arrays with one value for each row of the batch:
        `loss` is the cross-entropy in nats summed over the target tokens of the row, `tokens` is
        the number of these tokens, and `correct` is how many of them the model considers the most
        likely token. The batch has `image`, `text`, `mask_ar` and `mask_loss` as a training batch
        has them; other fields are ignored. The number of rows need not be a multiple of the number
        of devices. Every process passes the whole batch and receives all results.
    """
    from big_rad.training import losses

    replicated = None if functions.mesh is None else sharding_lib.replicated(functions.mesh)
    parts = 1 if functions.mesh is None else functions.mesh.shape["data"]

    @jax.jit
    def each(params: Params, batch: Mapping[str, Array]) -> dict[str, Float[Array, " batch"]]:
        sums = losses.each_row(functions.model, params, batch)
        return sums if replicated is None else jax.lax.with_sharding_constraint(sums, replicated)

    def loss(
        params: Params, batch: Mapping[str, np.ndarray]
    ) -> dict[str, Float[np.ndarray, " batch"]]:
        (batch,) = functions.watch([batch])
        rows = len(batch["text"])
        more = -rows % parts
        put = {}
        for name in losses.ROW_FIELDS:
            array = np.asarray(batch[name])
            whole = np.concatenate([array, np.repeat(array[-1:], more, axis=0)])
            put[name] = sharding_lib.put(whole, functions.sharding)
        return {name: x[:rows] for name, x in jax.device_get(each(params, put)).items()}

    return loss


def _embed(functions: Functions) -> Callable[..., dict[str, Float[np.ndarray, "batch features"]]]:
    """Makes the function that embeds images and texts, for a model with two towers.

    Returns:
        A function (params, batch) -> {"image": f32 [B, D], "text": f32 [B, D]}, of length 1, for
        those of the two fields that the batch has. Every process passes the whole batch and
        receives all results.
    """
    replicated = None if functions.mesh is None else sharding_lib.replicated(functions.mesh)
    parts = 1 if functions.mesh is None else functions.mesh.shape["data"]

    @jax.jit
    def embedded(params: Params, batch: Mapping[str, Array]) -> dict[str, Array]:
        both, _ = functions.model.apply({"params": params}, batch.get("image"), batch.get("text"))
        out = {k: x for k, x in zip(("image", "text"), both, strict=True) if x is not None}
        return out if replicated is None else jax.lax.with_sharding_constraint(out, replicated)

    def embed(
        params: Params, batch: Mapping[str, np.ndarray]
    ) -> dict[str, Float[np.ndarray, "batch features"]]:
        (batch,) = functions.watch([batch])
        rows = len(next(iter(batch.values())))
        more = -rows % parts
        put = {
            k: sharding_lib.put(np.concatenate([x, np.repeat(x[-1:], more, 0)]), functions.sharding)
            for k, x in batch.items()
        }
        return {k: x[:rows] for k, x in jax.device_get(embedded(params, put)).items()}

    return embed


def missing(names: Sequence[str], model_name: str) -> list[str]:
    """Returns which functions a model does not have.

    Args:
        names: names of functions, such as the `needs` of a class of evaluators.
        model_name: the model, as `config.model_name` has it. Two towers embed images and texts, and
            cannot answer; all other models answer, and cannot embed.
    """
    towers = model_name == "two_towers"
    return [n for n in names if n not in MAKERS or (n == "embed") != towers]


MAKERS: dict[str, Callable[[Functions], Callable[..., Any]]] = {
    "queue": _answer_requests,
    "generate": _answer_batch,
    "loss": _loss,
    "embed": _embed,
}
