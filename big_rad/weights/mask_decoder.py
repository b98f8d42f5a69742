"""Converting the mask decoder of the released RadGrounder from torch tensors, and back.

The released checkpoint calls it `segmentation_head`, and our tree calls it `mask_decoder`. The
functions work on lazy arrays, so a tensor is read only when it is used.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import flax
import numpy as np

from big_rad.models import common
from big_rad.weights import tensors

PREFIX = "segmentation_head."
HEADS = 8  # The tensors do not show the number of heads; the released code has 8.
_Rule = tuple[str, str, tuple[int, ...]]  # (our name, their name, their shape)
_ATTENTIONS = ("self_attn", "cross_attn_token_to_image", "cross_attn_image_to_token")


def mask_decoder_from_torch(
    state: Mapping[str, Any], num_heads: int = HEADS
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Converts the state dict of the released mask decoder to a model config and parameters.

    Args:
        state: The state dict as numpy arrays, with or without the prefix `segmentation_head.`.
        num_heads: The number of heads of its attentions.

    Returns:
        The arguments of `mask_decoder.Model`, and the nested parameters.

    Raises:
        ValueError: Tensors are missing, unexpected or of another shape.
    """
    cfg, flat = read({k.removeprefix(PREFIX): v for k, v in state.items()}, num_heads)
    params = {k: np.asarray(v) for k, v in flat.items()}
    return cfg, flax.traverse_util.unflatten_dict(params, sep="/")


def to_torch(params: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Converts nested parameters of the released variant to a state dict of numpy arrays.

    Raises:
        ValueError: The parameters are those of another variant.
    """
    flat = flax.traverse_util.flatten_dict(dict(params), sep="/")
    return {name: np.ascontiguousarray(value) for name, value in theirs(flat).items()}


def read(
    state: Mapping[str, Any], num_heads: int = HEADS, where: str = "the mask decoder"
) -> tuple[dict[str, Any], dict[str, tensors.Lazy]]:
    """Lists the tensors of the released mask decoder as flat lazy parameters.

    Args:
        state: The arrays, which may be lazy, by their names without `segmentation_head.`.
        num_heads: The number of heads of the attentions.
        where: The name of the checkpoint, for messages.

    Returns:
        The arguments of `mask_decoder.Model`, and the flat parameters.

    Raises:
        ValueError: Tensors are missing, unexpected or of another shape.
    """
    layers = [int(m[1]) for n in state if (m := re.match(r"transformer\.layers\.(\d+)\.", n))]
    depth = max(layers, default=-1) + 1
    anchors = ("img_projection.weight", "transformer.layers.0.mlp.0.weight")
    missing = [a for a in anchors if a not in state or len(state[a].shape) != 2]
    if missing:
        raise ValueError(
            f"{where} has no matrix {PREFIX}{missing[0]}; take the released checkpoint"
        )
    (dim, features), (mlp_dim, _) = (state[a].shape for a in anchors)
    expected = {t: (o, shape) for o, t, shape in _rules(depth, dim, mlp_dim, features)}
    wanted = {n: shape for n, (_, shape) in expected.items()}
    problems = tensors.problems(state, wanted, "the other tensors ask for", PREFIX)
    if problems:
        raise ValueError(f"{where} does not hold the model:\n  " + "\n  ".join(problems))
    flat = {ours: _turned(state[name]) for name, (ours, _) in expected.items()}
    cfg = dict(variant="released", dim=dim, depth=depth, num_heads=num_heads, mlp_dim=mlp_dim)
    return cfg, flat


def theirs(flat: Mapping[str, Any]) -> dict[str, tensors.Lazy]:
    """Returns flat parameters as lazy torch tensors, by their names without `segmentation_head.`.

    Raises:
        ValueError: The parameters are those of another variant, or their shapes do not fit each
            other.
    """
    depth = len({n.split("/")[0] for n in flat if n.startswith("block_")})
    names = {ours: name for ours, name, _ in _rules(depth, 0, 0, 0)}
    other = sorted(names.keys() ^ flat.keys())
    if other:
        raise ValueError(
            f"the mask decoder is not of the released variant ({other[0]}): the released format "
            "holds no other"
        )
    state = {name: _turned(flat[ours]) for ours, name in names.items()}
    read(state)  # Checks the shapes.
    return state


def check_widths(flat: Mapping[str, Any], model_cfg: Mapping[str, Any], where: str) -> None:
    """Checks that the mask decoder's widths are those of the two towers.

    Args:
        flat: The arrays by our names.
        model_cfg: The arguments of `radgrounder.Model` with explicit dimensions.
        where: The name of the checkpoint, for messages.

    Raises:
        ValueError: The widths differ.
    """
    held = tuple(flat["img_projection/kernel"].shape)
    wanted = (model_cfg["img"]["width"], model_cfg["llm"]["width"])
    if held != wanted:
        raise ValueError(
            f"{where}: {PREFIX}img_projection.weight maps {held[0]} to {held[1]} numbers, the "
            f"model has {wanted[0]} of an image token and {wanted[1]} of a text token"
        )


def _rules(depth: int, dim: int, mlp_dim: int, features: int) -> Iterator[_Rule]:

    def linear(ours: str, name: str, out: int, into: int) -> Iterator[_Rule]:
        yield f"{ours}/kernel", f"{name}.weight", (out, into)
        yield f"{ours}/bias", f"{name}.bias", (out,)

    def norm(ours: str, name: str) -> Iterator[_Rule]:
        yield f"{ours}/scale", f"{name}.weight", (dim,)
        yield f"{ours}/bias", f"{name}.bias", (dim,)

    def attention(ours: str, name: str) -> Iterator[_Rule]:
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            yield from linear(f"{ours}/{part}", f"{name}.{part}", dim, dim)

    yield from linear("img_projection", "img_projection", dim, features)
    for i in range(depth):
        block, layer = f"block_{i}", f"transformer.layers.{i}"
        for name in _ATTENTIONS:
            yield from attention(f"{block}/{name}", f"{layer}.{name}")
        for k in range(1, 5):
            yield from norm(f"{block}/norm{k}", f"{layer}.norm{k}")
        yield from linear(f"{block}/mlp_0", f"{layer}.mlp.0", mlp_dim, dim)
        yield from linear(f"{block}/mlp_2", f"{layer}.mlp.2", dim, mlp_dim)
    last = "final_attn_token_to_image"
    yield from attention(last, f"transformer.{last}")
    yield from norm("norm_final_attn", "transformer.norm_final_attn")
    yield from linear("output_proj", "output_proj", 1, dim)


def _turned(value: common.ArrayInfo) -> tensors.Lazy:
    # Torch stores matrices as [out, in].
    return tensors.Lazy(value.shape[::-1], value.dtype, lambda: np.asarray(value).T)
