"""Builds the optimizer and the schedules of a config.

Three lists of (regex, value) decide for each parameter whether it is trained and by which schedule
(`config.schedule`), its learning rate (`lr_mults`) and its weight decay (`wd_mults`). Parameters
are a flat dict from a name such as "llm/layers/mlp/linear" to an array. The first pattern that
matches the whole name counts. Every parameter must match a pattern of each list, and every pattern
must match a parameter, so that a misspelt pattern is an error.
"""

import dataclasses
import inspect
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, BFloat16, Float, Int, Key, PyTree

from big_rad import extras, trees
from big_rad.config.defaults import Config

with extras.needed("train"):
    import optax
    import optax.contrib

Step = int | Int[Array, ""]
Schedule = Callable[[Step], float | Float[Array, ""]]
Flat = dict[str, jax.Array]
# The weight matrices inside the layers: pattern -> (input axes, output axes). The remaining axes
# count separate matrices, such as the layers of a scanned stack.
_MATRICES = {
    r"encoderblock/.*/(query|key|value)/kernel$": ((1,), (2, 3)),
    r"encoderblock/.*/out/kernel$": ((1, 2), (3,)),
    r"encoderblock/.*/Dense_\d/kernel$": ((1,), (2,)),
    r"layers/attn/q_einsum/w$": ((2,), (1, 3)),
    r"layers/attn/kv_einsum/w$": ((3,), (2, 4)),
    r"layers/attn/attn_vec_einsum/w$": ((1, 2), (3,)),
    r"layers/mlp/gating_einsum$": ((2,), (3,)),
    r"layers/mlp/linear$": ((1,), (2,)),
}
_LAYERED = re.compile(r"(^|/)(layers|encoderblock)/")


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """An optimizer with what the trainer has to know about it.

    Attributes:
        tx: the Optax transformation, over the flat dict of trained parameters.
        trainable: a dict from the name of each parameter to whether it is trained.
        learning_rate: a function from a step to the learning rate of the largest trained array,
            for logging.
    """

    tx: optax.GradientTransformation
    trainable: dict[str, bool]
    learning_rate: Schedule


def make_schedule(
    total_steps: int,
    *,
    decay_type: str = "cosine",
    warmup_steps: int | None = None,
    warmup_percent: float | None = None,
    end: float = 0.0,
) -> Schedule:
    """Returns a schedule: a function from a step to a factor of the learning rate in [0, 1].

    The factor rises linearly during the warm-up and then decays.

    Args:
        total_steps: the number of steps of the run.
        decay_type: the kind of decay, "cosine", "linear", "rsqrt" or "constant".
        warmup_steps: the number of steps of the warm-up.
        warmup_percent: the length of the warm-up as a share of `total_steps` (0.1 is a tenth), in
            place of `warmup_steps`. If neither is given there is no warm-up.
        end: the factor at the last step of the decays "cosine" and "linear".

    Raises:
        ValueError: Both lengths of the warm-up are given, or the decay is unknown.
    """
    if warmup_steps is not None and warmup_percent is not None:
        raise ValueError("schedule: give warmup_steps or warmup_percent, not both")
    warmup = warmup_steps if warmup_steps is not None else int((warmup_percent or 0) * total_steps)
    rest = max(total_steps - warmup, 1)
    decays: dict[str, Schedule] = {
        "cosine": optax.cosine_decay_schedule(1.0, rest, alpha=end),
        "linear": optax.linear_schedule(1.0, end, rest),
        # Optax also evaluates this during the warm-up, with steps below 0, and ignores the result.
        "rsqrt": lambda step: jnp.sqrt(max(warmup, 1) / (jnp.maximum(step, 0) + max(warmup, 1))),
        "constant": optax.constant_schedule(1.0),
    }
    if decay_type not in decays:
        raise ValueError(f"schedule: decay_type {decay_type!r}; known: {', '.join(decays)}")
    if not warmup:
        return decays[decay_type]
    ramp = lambda step: (step + 1) / warmup  # noqa: E731 -- the first step's factor is not 0
    return optax.join_schedules([ramp, decays[decay_type]], [warmup])


def check_warmup(rules: trees.Rules, total_steps: int) -> None:
    """Checks that every warm-up of `config.schedule` ends before the run does.

    Args:
        rules: the list `config.schedule`.
        total_steps: the number of steps of the run.

    Raises:
        ValueError: A warm-up has as many steps as the run, or more.
    """
    for pattern, args in rules:
        warmup = (dict(args) if args is not None else {}).get("warmup_steps") or 0
        if warmup >= max(total_steps, 1):
            raise ValueError(
                f"config.schedule: the warm-up of {pattern!r} has {warmup} steps, and the run has "
                f"{total_steps}: nothing is left after it. Give fewer warmup_steps, or "
                "warmup_percent, a share of the run"
            )


def arguments(name: str) -> tuple[str, ...]:
    """Returns the names that `config.optimizer_args` may have for an optimizer.

    Args:
        name: the name of the optimizer, as in `config.optimizer`.

    Raises:
        ValueError: No optimizer has this name.
    """
    makers = {
        "adafactor": (_adafactor,),
        "adamw": (optax.scale_by_adam,),
        "muon": (_muon, optax.scale_by_adam),
    }
    if name not in makers:
        raise ValueError(f"config.optimizer {name!r}; known: {', '.join(makers)}")
    parameters = [p for make in makers[name] for p in inspect.signature(make).parameters.values()]
    return tuple(p.name for p in parameters if p.kind is not p.VAR_KEYWORD)


def make(config: Config, params: Mapping[str, Any], total_steps: int) -> Optimizer:
    """Builds the optimizer of a config.

    Args:
        config: the config, of which these fields are read: `optimizer` ("adafactor", "adamw" or
            "muon"), `optimizer_args`, `lr`, `wd`, `grad_clip_norm` (0 turns clipping off),
            `optimizer_state_dtype` ("float32", or "bfloat16" for half the memory, see
            `round_at_random`), and the lists of (regex, value) `schedule` (arguments of
            `make_schedule`, or None to freeze), `lr_mults` and `wd_mults` (factors).
        params: the flat dict of all parameters (shapes suffice).
        total_steps: the number of steps of the run.

    Returns:
        The optimizer. It clips the gradients by their global norm, preconditions them, adds
        wd * wd_mult * parameter, and multiplies the sum by -lr * schedule * lr_mult. The weight
        decay is thus multiplied by the learning rate.

    Raises:
        ValueError: A list does not match the parameters, every parameter is frozen, or the
            optimizer or its state's dtype is unknown.
    """
    names = list(params)
    rules = [
        (p, tuple(sorted(dict(a).items())) if a is not None else None) for p, a in config.schedule
    ]
    by_name = trees.match(names, rules, "config.schedule")
    trainable = {n: by_name[n] is not None for n in names}
    kept = [n for n in names if trainable[n]]
    if not kept:
        raise ValueError("config.schedule freezes every parameter; nothing is left to train")
    schedules = {a: make_schedule(total_steps, **dict(a)) for a in {by_name[n] for n in kept}}
    lr_mults = trees.match(names, config.lr_mults, "config.lr_mults")
    wd_mults = trees.match(names, config.wd_mults, "config.wd_mults")

    largest = max(kept, key=lambda n: math.prod(params[n].shape))

    def step_size(step: Step) -> dict[str, Any]:
        factors = {a: schedule(step) for a, schedule in schedules.items()}
        return {n: -config.lr * lr_mults[n] * factors[by_name[n]] for n in kept}

    parts = []
    if config.grad_clip_norm:
        parts.append(optax.clip_by_global_norm(config.grad_clip_norm))
    preconditioner = _preconditioner(config.optimizer, dict(config.optimizer_args))
    parts.append(_stored(preconditioner, config.optimizer_state_dtype))
    if config.wd:
        parts.append(_add_decay({n: config.wd * wd_mults[n] for n in kept}))
    parts.append(_scale_by_name(step_size))
    return Optimizer(
        tx=optax.chain(*parts),
        trainable=trainable,
        learning_rate=lambda step: -step_size(step)[largest],
    )


def round_at_random(x: Float[Array, "..."], rng: Key[Array, ""]) -> BFloat16[Array, "..."]:
    """Rounds to bfloat16 stochastically: up or down at random, so that the expected value is x.

    A running mean with decay 0.999 changes by less than half the distance between two bfloat16
    numbers at a time. With rounding to the nearest number it would never change.

    Args:
        x: the numbers to round, float32 in any shape.
        rng: the random key.

    Returns:
        The rounded numbers; infinities and NaN are kept.
    """
    below = jax.random.bits(rng, x.shape, jnp.uint16).astype(jnp.uint32)
    bits = jax.lax.bitcast_convert_type(x, jnp.uint32) + jnp.where(jnp.isfinite(x), below, 0)
    kept = jax.lax.bitcast_convert_type(bits & jnp.uint32(0xFFFF0000), jnp.float32)
    return kept.astype(jnp.bfloat16)


def _stored(tx: optax.GradientTransformation, dtype: str) -> optax.GradientTransformation:
    # Keeps the state of a transformation in fewer bits; the transformation still computes in
    # float32. Vectors and scalars stay in float32, because they are small.
    if dtype == "float32":
        return tx
    if dtype != "bfloat16":
        raise ValueError(f"config.optimizer_state_dtype {dtype!r}: float32 or bfloat16")

    def narrow(state: PyTree, count: Int[Array, ""]) -> PyTree:
        rng = jax.random.fold_in(jax.random.key(0), count)
        leaves, tree = jax.tree.flatten(state)
        large = [x.dtype == jnp.float32 and x.ndim > 1 for x in leaves]
        return tree.unflatten(
            round_at_random(x, jax.random.fold_in(rng, i)) if large[i] else x
            for i, x in enumerate(leaves)
        )

    def init(params: optax.Params) -> dict[str, Any]:
        count = jnp.zeros((), jnp.int32)
        return {"count": count, "state": narrow(tx.init(params), count)}

    def update(
        updates: optax.Updates, state: dict[str, Any], params: optax.Params | None = None
    ) -> tuple[optax.Updates, dict[str, Any]]:
        wide = jax.tree.map(
            lambda x: x.astype(jnp.float32) if x.dtype == jnp.bfloat16 else x, state["state"]
        )
        updates, new = tx.update(updates, wide, params)
        count = optax.safe_increment(state["count"])
        return updates, {"count": count, "state": narrow(new, count)}

    return optax.GradientTransformation(init, update)


def _preconditioner(name: str, args: dict[str, Any]) -> optax.GradientTransformation:
    if name == "adamw":
        return optax.scale_by_adam(**args)
    if name == "adafactor":
        return _adafactor(**args)
    if name == "muon":
        return _muon(**args)
    raise ValueError(f"config.optimizer {name!r}; known: adafactor, adamw, muon")


def _muon(
    rms: float = 0.2, beta: float = 0.95, ns_steps: int = 5, **adam: float
) -> optax.GradientTransformation:
    # Muon (Jordan 2024) for the matrices inside the layers, Adam for all other parameters (tables,
    # norms, biases, both ends of the image tower). The entries of an orthogonalised update of shape
    # [m, n] have the RMS max(m, n) ** -0.5. The update is scaled to the RMS `rms`, so that one
    # learning rate suits both kinds of parameters.
    rest = optax.scale_by_adam(**adam)

    def dims(name: str) -> optax.contrib.MuonDimensionNumbers | None:
        axes = [v for p, v in _MATRICES.items() if re.search(p, name)]
        return optax.contrib.MuonDimensionNumbers(*axes[0]) if axes else None

    def split(tree: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        inside = {n: x for n, x in tree.items() if dims(n)}
        return inside, {n: x for n, x in tree.items() if n not in inside}

    matrices = optax.contrib.scale_by_muon(
        beta=beta,
        ns_steps=ns_steps,
        weight_dimension_numbers=lambda tree: {n: dims(n) for n in tree},
    )

    def scale(name: str, x: Float[Array, "..."]) -> Float[Array, "..."]:
        size = lambda axes: math.prod(x.shape[i] for i in axes)  # noqa: E731
        return x * rms * max(size(dims(name).reduction_axis), size(dims(name).output_axis)) ** 0.5

    def init(params: Flat) -> dict[str, Any]:
        inside, others = split(params)
        return {"muon": matrices.init(inside), "adam": rest.init(others)}

    def update(
        updates: Flat, state: optax.OptState, params: Flat | None = None
    ) -> tuple[Flat, optax.OptState]:
        del params
        inside, others = split(updates)
        inside, muon = matrices.update(inside, state["muon"])
        others, adam_state = rest.update(others, state["adam"])
        inside = {n: scale(n, x) for n, x in inside.items()}
        return {n: (inside | others)[n] for n in updates}, {"muon": muon, "adam": adam_state}

    return optax.GradientTransformation(init, update)


def _adafactor(
    decay_rate: float = 0.8, clip_threshold: float = 1.0, min_dim_size_to_factor: int = 128
) -> optax.GradientTransformation:
    # As Adafactor of Hugging Face: factored second moments with exponent decay, and updates clipped
    # by their RMS per tensor; without scaling by the parameters, relative steps and momentum. A
    # scanned stack of layers is one array, but each layer has its own statistics and is clipped by
    # its own RMS.
    inner = optax.chain(
        optax.scale_by_factored_rms(
            decay_rate=decay_rate, min_dim_size_to_factor=min_dim_size_to_factor
        ),
        optax.clip_by_block_rms(clip_threshold),
    )

    def layered(fn: Callable[..., Any]) -> Callable[..., Any]:
        return lambda name, *xs: (jax.vmap(fn) if _LAYERED.search(name) else fn)(*xs)

    def init(params: Flat) -> dict[str, Any]:
        return {n: layered(inner.init)(n, p) for n, p in params.items()}

    def update(
        updates: Flat, state: dict[str, Any], params: Flat | None = None
    ) -> tuple[Flat, dict[str, Any]]:
        del params
        # scale_by_factored_rms reads only the shapes of the parameters, which the gradients share.
        both = {
            n: layered(lambda g, s: inner.update(g, s, g))(n, g, state[n])
            for n, g in updates.items()
        }
        return {n: u for n, (u, _) in both.items()}, {n: s for n, (_, s) in both.items()}

    return optax.GradientTransformation(init, update)


def _add_decay(decay: dict[str, float]) -> optax.GradientTransformation:
    def update(
        updates: Flat, state: optax.OptState, params: Flat | None = None
    ) -> tuple[Flat, optax.OptState]:
        return {n: u + decay[n] * params[n] if decay[n] else u for n, u in updates.items()}, state

    return optax.GradientTransformation(lambda _: optax.EmptyState(), update)


def _scale_by_name(step_size: Callable[[Any], dict[str, Any]]) -> optax.GradientTransformation:
    def update(
        updates: Flat, state: optax.OptState, params: Flat | None = None
    ) -> tuple[Flat, optax.OptState]:
        del params
        sizes = step_size(state.count)
        new = optax.ScaleByScheduleState(optax.safe_increment(state.count))
        return {n: u * sizes[n] for n, u in updates.items()}, new

    return optax.GradientTransformation(
        lambda _: optax.ScaleByScheduleState(jnp.zeros([], jnp.int32)), update
    )
