"""The functions of a model that evaluators need, each made when it is first asked for.

`MAKERS` has a maker for each name that a class of evaluators may state in `needs`; another kind of
model adds its own there (an `embed` of two towers, say). Knows no data and no score.
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
    """The functions of one model, by name; nothing is made of those that nobody asks for.

    Args:
        model: a `paligemma.Model` or `radgrounder.Model`.
        tokenizer: its tokenizer.
        mesh: the devices that rows are split over; None leaves all on one.
        never: ids that are never predicted, see `inference.load.Loaded.never`.
        watch: wraps what a function is asked, so that a signal ends an evaluation between two
            questions (`runtime.StopSignal.watch`); None waits for the end.
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
    """Makes the loss of targets that the model did not see in training.

    Returns:
        A function (params, batch) -> dict of arrays with a value for each row of the batch:
        `loss`, the cross-entropy summed over its targets; `correct`, how many of them the model
        would write itself; `tokens`, how many there are. The batch has `image`, `text`, `mask_ar`
        and `mask_loss` as a training batch; other fields are ignored. Rows need not divide over
        the devices. Every process gives the whole batch and has all results.
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


MAKERS: dict[str, Callable[[Functions], Callable[..., Any]]] = {
    "queue": _answer_requests,
    "generate": _answer_batch,
    "loss": _loss,
}
