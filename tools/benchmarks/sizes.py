"""The sizes of the models that are timed, and the configs that have them.

The config of a size is that of the recipe `radgrounder_det` or `radgrounder_seg` with other
dimensions and random weights. This module must import only packages that `tools.bench` names and
must read no file, so that the benchmarks run on any GPU machine.
"""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import ml_collections

from big_rad import models
from big_rad.config import recipes as config_lib
from configs import radgrounder_det

TASKS = ("det", "seg")
DTYPES = ("float32", "bfloat16")
# The dimensions of each size. "3b" is PaliGemma 2. Its embedding table includes the rows of the
# added tokens, and its height is a multiple of 128.
SIZES: dict[str, dict[str, Any]] = {
    "tiny": dict(
        pixels=56,
        img=dict(width=48, depth=2, mlp_dim=96, num_heads=2, patch_size=14),
        llm=dict(
            width=64, depth=2, mlp_dim=128, num_heads=4, num_kv_heads=2, head_dim=16,
            vocab_size=512,
        ),
        mask_decoder=dict(dim=32, num_heads=2, mlp_dim=64),
    ),
    "mid": dict(  # 58 million parameters and 256 image tokens.
        pixels=224,
        img=dict(width=256, depth=8, mlp_dim=1024, num_heads=4, patch_size=14),
        llm=dict(
            width=448, depth=12, mlp_dim=1792, num_heads=8, num_kv_heads=4, head_dim=64,
            vocab_size=32_768,
        ),
        mask_decoder=dict(dim=64, num_heads=4, mlp_dim=256),
    ),
    "300m": dict(
        pixels=224,
        img=dict(width=768, depth=12, mlp_dim=3072, num_heads=12, patch_size=14),
        llm=dict(
            width=1024, depth=12, mlp_dim=4096, num_heads=8, num_kv_heads=4, head_dim=128,
            vocab_size=65_536,
        ),
        mask_decoder=dict(dim=256, num_heads=8, mlp_dim=1024),
    ),
    "3b": dict(
        pixels=224,
        img=dict(width=1152, depth=27, mlp_dim=4304, num_heads=16, patch_size=14),
        llm=dict(
            width=2304, depth=26, mlp_dim=9216, num_heads=8, num_kv_heads=4, head_dim=256,
            vocab_size=257_280,
        ),
        mask_decoder=dict(dim=256, num_heads=8, mlp_dim=2048),
    ),
}  # fmt: skip


def make_config(
    size: str,
    task: str = "det",
    dtype: str = "bfloat16",
    overrides: Mapping[str, Any] | None = None,
) -> ml_collections.ConfigDict:
    """Returns the model config of a task with the dimensions of a size.

    Args:
        size: a name in `SIZES`.
        task: "det", or "seg" with a mask decoder.
        dtype: the dtype of matrix products and frozen weights. Trained weights are float32.
        overrides: new values by field, such as `{"model.llm.remat_policy": "full"}`.
    """
    c = radgrounder_det.model_config("3b", SIZES[size]["pixels"])
    if task == "seg":
        radgrounder_det.add_masks(c)
    return _sized(c, size, dtype, overrides)


def published(
    size: str,
    task: str = "det",
    dtype: str = "bfloat16",
    overrides: Mapping[str, Any] | None = None,
) -> ml_collections.ConfigDict:
    """Returns the whole config of a task as it is trained, with the dimensions of a size.

    Unlike `recipe`, it keeps the recipe's own batch, microbatches, length buckets and loss.

    Args:
        size: a name in `SIZES`.
        task: "det", or "seg" with a mask decoder.
        dtype: the dtype of matrix products and frozen weights.
        overrides: new values by field.
    """
    ground = {"det": "boxes", "seg": "masks"}[task]
    c = radgrounder_det.get_config(f"size={SIZES[size]['pixels']},ground={ground}")
    return _sized(c, size, dtype, overrides)


def _sized(
    c: ml_collections.ConfigDict, size: str, dtype: str, overrides: Mapping[str, Any] | None
) -> ml_collections.ConfigDict:
    dims = SIZES[size]
    c.model.img.update(dims["img"], dtype_mm=dtype)
    c.model.llm.update(dims["llm"], dtype_mm=dtype)
    c.frozen_dtype = dtype
    if c.model.get("mask_decoder"):
        c.model.mask_decoder.update(dims["mask_decoder"], dtype_mm=dtype)
    return config_lib.changed(c, overrides or {})


def model(config: ml_collections.ConfigDict) -> nn.Module:
    """Builds the model of a config."""
    return models.make(config.model_name, config.model, config.model.llm.vocab_size)


def image_token(config: ml_collections.ConfigDict) -> int:
    """Returns the id that stands for image tokens in the peer. No text contains it."""
    return config.model.llm.vocab_size - 1
