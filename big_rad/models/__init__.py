"""The models, in pure Flax linen: each model's module offers `Model` and `load`."""

import importlib
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp


def get(name: str) -> ModuleType:
    """Returns the model module called `name`, such as "paligemma".

    Raises:
        ValueError: no such model.
    """
    try:
        return importlib.import_module(f"big_rad.models.{name}")
    except ModuleNotFoundError as e:
        raise ValueError(f"config.model_name {name!r}: no such module in big_rad/models") from e


def make(name: str, model_cfg: Mapping[str, Any], vocab_size: int) -> nn.Module:
    """Builds a model whose table has a row for every token.

    Args:
        name: module name.
        model_cfg: arguments of its `Model`; `llm.vocab_size` may be left out.
        vocab_size: rows that the tokenizer needs, padding included.

    Raises:
        ValueError: `llm.vocab_size` is given and smaller.
    """
    cfg = {k: dict(v) if hasattr(v, "items") else v for k, v in model_cfg.items()}
    rows = cfg["llm"].setdefault("vocab_size", vocab_size)
    if rows < vocab_size:
        raise ValueError(f"config.model.llm.vocab_size is {rows}, the tokenizer needs {vocab_size}")
    return get(name).Model(**cfg)


def init_params(model: Any, config: Any, rng: jax.Array) -> dict[str, Any]:
    """Returns random nested parameters of a model for `config.image.size`."""
    image = jnp.zeros((1, config.image.size, config.image.size, 3))
    tokens = jnp.ones((1, 4), jnp.int32)
    return model.init(rng, image, tokens, jnp.zeros_like(tokens))["params"]


def init_shapes(model: Any, config: Any) -> dict[str, Any]:
    """Returns the nested parameters of a model as shapes, without allocating them."""
    return jax.eval_shape(lambda: init_params(model, config, jax.random.key(0)))
