"""Reads SigLIP image towers of open_clip or timm, and returns them as the `img` subtree.

The attention pool, the text tower and the logit scale of such a checkpoint are left out, by name.
The result has no `img/head`, which is PaliGemma's projector.
"""

import pathlib
import re
from collections.abc import Callable, Mapping
from typing import Any

import flax

from big_rad.weights import hf_layout, huggingface, shards, sidecar, siglip_names, tensors, unusable

_LAYER = r"blocks\.(\d+)\..*"
_ANCHOR = re.compile(r"(?P<prefix>.*?)patch_embed\.proj\.weight")
_LEFT_OUT = (
    (r".*attn_pool\..*", "SigLIP's attention pool, unused by PaliGemma"),
    (r"(.*\.)?text\..*", "the text tower"),
    (r"(.*\.)?logit_(scale|bias)", "a scalar of the contrastive loss"),
)


def load(
    path: str | pathlib.Path,
    *,
    num_heads: int | None = None,
    dtype: tensors.Dtypes = None,
    sharding: tensors.Shardings = None,
    log: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Loads an image tower.

    Args:
        path: A `.pt`, `.pth`, `.bin`, `.ckpt` or `.safetensors` file with names such as
            `model.visual.trunk.blocks.0.attn.qkv.weight`. The prefix, here `model.visual.trunk.`,
            is that of `patch_embed.proj.weight`, and must be the same for all tensors of the tower.
        num_heads: The number of heads of the attention; None takes that of the file that
            `tools.convert` writes beside this one, or of the published tower of this width.
        dtype: The dtype to convert to, or a function of our parameter name (without `img/`) that
            returns it. None keeps the stored dtypes.
        sharding: The sharding of the arrays, or a function of our parameter name (without `img/`)
            that returns it. None returns numpy arrays.
        log: A function that receives a line for each tensor that is left out.

    Returns:
        The nested `img` subtree, without `head`.

    Raises:
        ValueError: The file is damaged or holds no such tower, or tensors are missing, unexpected
            or of another shape; the message lists each of them.
    """
    flat = read(path, num_heads=num_heads, log=log)
    flat = {name.removeprefix("img/"): value for name, value in flat.items()}
    return flax.traverse_util.unflatten_dict(tensors.materialise(flat, dtype, sharding), sep="/")


def read(
    path: str | pathlib.Path,
    *,
    num_heads: int | None = None,
    log: Callable[[str], None] = print,
) -> dict[str, tensors.Lazy]:
    """Returns the parameters of a tower without reading them yet, as flat `img/...`; see `load`."""
    file = pathlib.Path(path)
    stored = shards.read([file])
    unusable.check(stored, file)
    anchor = next((m for m in map(_ANCHOR.fullmatch, stored) if m), None)
    if anchor is None:
        raise ValueError(
            f"{file} holds no SigLIP image tower of open_clip or timm: no tensor is called "
            f"*patch_embed.proj.weight; it has {', '.join(list(stored)[:5])}, ..."
        )
    prefix = anchor["prefix"]
    inner = {n.removeprefix(prefix): x for n, x in stored.items() if n.startswith(prefix)}
    entries = {e.theirs: e for e in siglip_names.trunk(siglip_names.depth(inner, _LAYER))}
    source: dict[str, Any] = {}
    for name, entry in entries.items():
        source |= siglip_names.parts(inner[name], entry) if name in inner else {}
    unexpected = []
    for name in stored:
        if not name.startswith(prefix) or name.removeprefix(prefix) not in entries:
            why = next((why for p, why in _LEFT_OUT if re.fullmatch(p, name)), None)
            log(f"left out: {name}: {why}") if why else unexpected.append(name)
    beside = (sidecar.read(file).get("model") or {}).get("img", {})
    axes = {"img": _axis_sizes(source, num_heads or beside.get("num_heads"), file)}
    expected = hf_layout.expected(hf_layout.VISION_RULES, axes)
    source = huggingface.check(source, expected, file, unexpected, log)
    return {r.ours: hf_layout.to_ours(r, source, axes["img"]) for r in hf_layout.VISION_RULES}


def _axis_sizes(
    source: Mapping[str, Any], num_heads: int | None, file: pathlib.Path
) -> dict[str, int]:
    names = ("embeddings.patch_embedding.weight", "embeddings.position_embedding.weight")
    names += ("encoder.layers.0.mlp.fc1.weight",)
    missing = [n for n in names if hf_layout.VISION + n not in source]
    if missing:
        raise ValueError(f"{file} does not hold the tower:\n  missing: " + ", ".join(missing))
    patch, positions, mlp = (source[hf_layout.VISION + n].shape for n in names)
    width = patch[0]
    heads = num_heads or siglip_names.HEADS.get(width)
    if not heads or width % heads:
        raise ValueError(
            f"{file}: how many heads does a tower of width {width} have? Give num_heads (known "
            f"widths: {siglip_names.HEADS})"
        )
    depth = siglip_names.depth(source, re.escape(hf_layout.VISION) + r"encoder\.layers\.(\d+)\..*")
    cfg = dict(width=width, depth=depth, mlp_dim=mlp[0], num_heads=heads, patch_size=patch[-1])
    return hf_layout.vision_sizes(cfg, positions[0])
