"""Inferring the model config from the names and shapes of the parameters.

Formats without a config, such as npz, need this. Shapes do not show the soft caps or the query
scale. The soft caps have the defaults of the models. The query scale is that of the variant in
`gemma.VARIANTS` with the same sizes, and the default if there is no such variant.
"""

import math
from collections.abc import Mapping
from typing import Any

from big_rad.models import gemma, siglip

_NOT_2 = (
    "this is PaliGemma 1 (its decoder, Gemma 1, has no {}), another architecture; take a "
    "PaliGemma 2 checkpoint, such as paligemma2-3b-pt-224"
)


def model_cfg(flat: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Returns the arguments of `radgrounder.Model` with explicit dimensions.

    Args:
        flat: The arrays, or their shapes, by the names `img/...` and `llm/...`.
        where: The name of the checkpoint, for messages.

    Raises:
        ValueError: The checkpoint is PaliGemma 1, or it lacks a tensor that shows a dimension.
    """
    check_version(flat, where)
    rows, width = _shape(flat, "llm/embedder/input_embedding", 2, where)
    depth, heads, _, head_dim = _shape(flat, "llm/layers/attn/q_einsum/w", 4, where)
    kv_heads = _shape(flat, "llm/layers/attn/kv_einsum/w", 5, where)[2]
    llm = dict(
        width=width,
        depth=depth,
        mlp_dim=_shape(flat, "llm/layers/mlp/linear", 3, where)[1],
        num_heads=heads,
        num_kv_heads=kv_heads,
        head_dim=head_dim,
    )
    known = next((v for v in gemma.VARIANTS.values() if v | llm == v), {})
    return dict(
        img=vision_cfg(flat, where, "img/"),
        llm=llm | {k: v for k, v in known.items() if k not in llm} | dict(vocab_size=rows),
        mask_decoder=None,
        mask_mode="paligemma",
    )


def vision_cfg(flat: Mapping[str, Any], where: str, prefix: str = "") -> dict[str, int]:
    """Returns the arguments of `siglip.Model`; see `model_cfg`."""
    block = f"{prefix}Transformer/encoderblock"
    patch, _, _, width = _shape(flat, f"{prefix}embedding/kernel", 4, where)
    query = f"{block}/MultiHeadDotProductAttention_0/query/kernel"
    depth, _, heads, _ = _shape(flat, query, 4, where)
    mlp = _shape(flat, f"{block}/MlpBlock_0/Dense_0/kernel", 3, where)[2]
    return dict(width=width, depth=depth, mlp_dim=mlp, num_heads=heads, patch_size=patch)


def image_size(flat: Mapping[str, Any], where: str, prefix: str = "img/") -> int:
    """Returns the side in pixels of the images that the position embedding fits.

    Raises:
        ValueError: The number of positions is not a square number.
    """
    tokens = _shape(flat, f"{prefix}pos_embedding", 3, where)[1]
    side = math.isqrt(tokens)
    if side * side != tokens:
        raise ValueError(f"{where}: {prefix}pos_embedding has {tokens} positions, no square grid")
    return side * _shape(flat, f"{prefix}embedding/kernel", 4, where)[0]


def explicit(cfg: Mapping[str, Any], rows: int) -> dict[str, Any]:
    """Returns a model config with explicit dimensions in place of variants.

    Args:
        cfg: The arguments of `radgrounder.Model` or `paligemma.Model`.
        rows: The number of rows of the embedding table.
    """
    img = siglip.Model(**{k: v for k, v in cfg["img"].items() if k != "num_classes"}).dims()
    dims = gemma.Model(**{**cfg["llm"], "vocab_size": rows}).dims()
    names = ("width", "depth", "mlp_dim", "num_heads", "num_kv_heads", "head_dim", "vocab_size")
    names += ("query_scale", "attn_logits_softcap", "final_logits_softcap")
    llm = {n: getattr(dims, n) for n in names}
    if llm["query_scale"] is None:
        del llm["query_scale"]
    return dict(
        img=dict(img),
        llm=llm,
        mask_decoder=cfg.get("mask_decoder"),
        mask_mode=cfg.get("mask_mode", "paligemma"),
    )


def check_version(flat: Mapping[str, Any], where: str) -> None:
    """Checks that a checkpoint is not PaliGemma 1.

    Raises:
        ValueError: The decoder has layers, but not the norms of Gemma 2.
    """
    lacking = "llm/layers/post_attention_norm/scale"
    if "llm/layers/attn/q_einsum/w" in flat and not any("post_" in n for n in flat):
        raise ValueError(f"{where}: {_NOT_2.format(lacking)}")


def _shape(flat: Mapping[str, Any], name: str, rank: int, where: str) -> tuple[int, ...]:
    if name not in flat:
        raise ValueError(f"{where} does not hold the model:\n  missing: {name}")
    shape = tuple(flat[name].shape)
    if len(shape) != rank:
        raise ValueError(f"{where}: {name} has shape {shape}; PaliGemma 2 has {rank} axes there")
    return shape
