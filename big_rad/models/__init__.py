"""Building and loading the models, which are written in pure Flax linen.

Each model has a module of its own, which `get` finds by its name. It offers `Model`, the Flax
module, and `LOADING`, the rules by which `load` fits a checkpoint to it:

    model = models.make("radgrounder", config.model, models.rows("radgrounder", tokenizer))
    shapes = models.init_shapes(model, config)
    params = models.load("radgrounder", shapes, weights.load(path))
"""

import importlib
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from big_rad.models import common


def get(name: str) -> ModuleType:
    """Returns the model module called `name`, such as "paligemma".

    Raises:
        ValueError: There is no model of that name.
    """
    try:
        return importlib.import_module(f"big_rad.models.{name}")
    except ModuleNotFoundError as e:
        raise ValueError(f"config.model_name {name!r}: no such module in big_rad/models") from e


def rows(name: str, tokenizer: Any) -> int:
    """Returns how many rows the token table of a model needs for a tokenizer.

    A text tower reads plain text alone, so its table has exactly the rows of a SigLIP's. Every
    other model has rows for the tokens of grounding as well, and is padded.

    Args:
        name: The name of the model's module.
        tokenizer: A tokenizer of `pp.tokenizer.load`.

    Raises:
        ValueError: The model writes text, and the tokenizer is that of the first SigLIP.
    """
    if name == "two_towers":
        return tokenizer.text_size
    if tokenizer.family != "gemma":
        raise ValueError(
            f"config.tokenizer.path: {tokenizer.source} is the tokenizer of SigLIP, which has no "
            f"tokens for grounding and which only two_towers reads; a {name} needs one of the "
            "Gemma family, such as paligemma_tokenizer.model"
        )
    return tokenizer.padded_vocab_size


def make(name: str, model_cfg: Mapping[str, Any], vocab_size: int) -> nn.Module:
    """Builds a model whose token table has a row for every token.

    Args:
        name: The name of the model's module.
        model_cfg: The arguments of its `Model`; `vocab_size` of the part that reads text, `llm` or
            `txt`, may be left out.
        vocab_size: How many rows the tokenizer needs, padding included.

    Raises:
        ValueError: `vocab_size` is given, and it is smaller than what the tokenizer needs.
    """
    cfg = {k: dict(v) if hasattr(v, "items") else v for k, v in model_cfg.items()}
    part = "llm" if "llm" in cfg else "txt"
    rows = cfg[part].setdefault("vocab_size", vocab_size)
    if rows < vocab_size:
        raise ValueError(
            f"config.model.{part}.vocab_size is {rows}, the tokenizer needs {vocab_size}"
        )
    return get(name).Model(**cfg)


def init_params(model: nn.Module, config: Any, rng: jax.Array) -> dict[str, Any]:
    """Returns random nested parameters of a model for images of `config.image.size`."""
    image = jnp.zeros((1, config.image.size, config.image.size, 3))
    tokens = jnp.ones((1, 4), jnp.int32)
    return model.init(rng, image, tokens, jnp.zeros_like(tokens))["params"]


def init_shapes(model: nn.Module, config: Any) -> dict[str, Any]:
    """Returns the nested parameters of a model as shapes, without allocating them."""
    return jax.eval_shape(lambda: init_params(model, config, jax.random.key(0)))


def load(
    name: str,
    init_params: Mapping[str, Any],
    tree: Mapping[str, Any],
    dont_load: Sequence[str] = (),
) -> dict[str, Any]:
    """Fits the parameter tree of a checkpoint to a model, and accounts for every tensor.

    `LOADING` in the model's module lists the permitted differences between the two. For example, a
    position embedding of another grid is resized, and a smaller token table is extended.

    Args:
        name: The name of the model's module, such as "radgrounder".
        init_params: The nested parameters of the model, or their shapes; see `common.merge`.
        tree: The nested tree that was read from a checkpoint; its arrays may be lazy.
        dont_load: Regular expressions of parameter names, which must match the whole name. These
            parameters keep their initial values.

    Returns:
        A nested tree with the same names as `init_params`.

    Raises:
        ValueError: Some tensors are missing, unexpected or of another shape; or a trained mask
            decoder would be left out.
    """
    loading = get(name).LOADING
    if loading.check is not None:
        loading.check(init_params, tree, dont_load)
    new = [part for part in loading.may_lack if part in init_params and part not in tree]
    kept = (*dont_load, *(f"{part}/.*" for part in new))
    return common.merge(init_params, tree, dont_load=kept, adapt=loading.adapt)
