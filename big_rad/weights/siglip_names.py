"""The names of SigLIP's tensors in transformers, open_clip and timm, and the rules that map them.

The names of open_clip and timm are mapped to those of transformers, of which one table of rules
makes our parameters. The names of transformers are canonical, except that the image tower has the
prefix of PaliGemma's, and that query, key and value of the attention pool lie apart.
"""

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from big_rad.weights import hf_layout, tensors
from big_rad.weights.hf_layout import VISION, Rule

# The number of heads of the published SigLIP towers (base, large, So400m, giant) by their width.
# The shape of the fused query-key-value matrix does not show it.
HEADS = {768: 12, 1024: 16, 1152: 16, 1536: 16}
TRUNK = "visual.trunk."
TEXT = "text_model."
_POOL, _HEAD = "img/MAPHead_0", VISION + "head"
RULES: tuple[Rule, ...] = (
    *hf_layout.VISION_RULES,
    Rule(f"{_POOL}/probe", (f"{_HEAD}.probe",), "x y w -> x y w"),
    *hf_layout.attention(f"{_POOL}/MultiHeadDotProductAttention_0", f"{_HEAD}.attention"),
    *hf_layout.mlp(f"{_POOL}/MlpBlock_0", f"{_HEAD}.mlp"),
    *hf_layout.norm(f"{_POOL}/LayerNorm_0", f"{_HEAD}.layernorm"),
    Rule("txt/Embed_0/embedding", (TEXT + "embeddings.token_embedding.weight",), "v w"),
    Rule("txt/pos_embedding", (TEXT + "embeddings.position_embedding.weight",), "n w -> 1 n w"),
    *hf_layout.encoder_block("txt/Encoder_0/encoderblock", TEXT + "encoder.layers.{i}"),
    *hf_layout.norm("txt/Encoder_0/encoder_norm", TEXT + "final_layer_norm"),
    Rule("txt/head/kernel", (TEXT + "head.weight",), "o w -> w o"),
    Rule("txt/head/bias", (TEXT + "head.bias",), "o"),
    Rule("t", ("logit_scale",), "x"),
    Rule("b", ("logit_bias",), "x"),
)

LAYOUTS = ("huggingface", "open_clip")


@dataclasses.dataclass(frozen=True)
class Entry:
    """A tensor of another layout.

    Attributes:
        theirs: Its name.
        parts: The canonical names of what it holds. Several are joined along the first axis.
        form: "" for the canonical shape; "scalar" for a number without an axis, where the canonical
            one has one axis of length 1; "lead" for a leading axis of length 1 that the canonical
            one does not have.
    """

    theirs: str
    parts: tuple[str, ...]
    form: str = ""


# The names of single modules in open_clip, whose image tower is one of timm, and the canonical
# ones. Each has a weight and a bias. {i} is the number of the layer.
_IMAGE = {
    "patch_embed.proj": "embeddings.patch_embedding",
    "norm": "post_layernorm",
    "attn_pool.q": "head.attention.q_proj",
    "attn_pool.proj": "head.attention.out_proj",
    "attn_pool.norm": "head.layernorm",
    "attn_pool.mlp.fc1": "head.mlp.fc1",
    "attn_pool.mlp.fc2": "head.mlp.fc2",
    "blocks.{i}.norm1": "encoder.layers.{i}.layer_norm1",
    "blocks.{i}.norm2": "encoder.layers.{i}.layer_norm2",
    "blocks.{i}.attn.proj": "encoder.layers.{i}.self_attn.out_proj",
    "blocks.{i}.mlp.fc1": "encoder.layers.{i}.mlp.fc1",
    "blocks.{i}.mlp.fc2": "encoder.layers.{i}.mlp.fc2",
}
_TEXT = {
    "ln_final": "final_layer_norm",
    "text_projection": "head",
    "transformer.resblocks.{i}.ln_1": "encoder.layers.{i}.layer_norm1",
    "transformer.resblocks.{i}.ln_2": "encoder.layers.{i}.layer_norm2",
    "transformer.resblocks.{i}.attn.out_proj": "encoder.layers.{i}.self_attn.out_proj",
    "transformer.resblocks.{i}.mlp.c_fc": "encoder.layers.{i}.mlp.fc1",
    "transformer.resblocks.{i}.mlp.c_proj": "encoder.layers.{i}.mlp.fc2",
}


def layout(kind: str, img_depth: int, txt_depth: int) -> list[Entry]:
    """Returns all tensors of another layout, for towers of these depths.

    Args:
        kind: One of `LAYOUTS`.
        img_depth, txt_depth: The numbers of layers.
    """
    return list((_huggingface if kind == "huggingface" else _open_clip)(img_depth, txt_depth))


def _huggingface(img_depth: int, txt_depth: int) -> Iterator[Entry]:
    joined = f"{_HEAD}.attention."
    for rule in RULES:
        depth = (img_depth if rule.ours.startswith("img/") else txt_depth) if rule.stacked else 1
        for i in range(depth):
            (name,) = (n.replace("{i}", str(i)) for n in rule.theirs)
            if not re.match(re.escape(joined) + "[qkv]_proj", name):
                yield Entry(name.replace(VISION, "vision_model."), (name,))
    for kind in ("weight", "bias"):
        parts = tuple(f"{joined}{n}_proj.{kind}" for n in "qkv")
        yield Entry(f"vision_model.head.attention.in_proj_{kind}", parts)


def _open_clip(img_depth: int, txt_depth: int) -> Iterator[Entry]:
    towers = (
        (TRUNK, VISION, _IMAGE, img_depth, "blocks.{i}.attn.qkv."),
        ("text.", TEXT, _TEXT, txt_depth, "transformer.resblocks.{i}.attn.in_proj_"),
    )
    for theirs, ours, names, depth, qkv in towers:
        for kind in ("weight", "bias"):
            for name, canonical in names.items():
                for i in range(depth if "{i}" in name else 1):
                    a, b = (x.replace("{i}", str(i)) for x in (name, canonical))
                    yield Entry(f"{theirs}{a}.{kind}", (f"{ours}{b}.{kind}",))
            for i in range(depth):
                attention = f"{ours}encoder.layers.{i}.self_attn."
                parts = tuple(f"{attention}{n}_proj.{kind}" for n in "qkv")
                yield Entry(theirs + qkv.replace("{i}", str(i)) + kind, parts)
    for kind in ("weight", "bias"):
        parts = tuple(f"{_HEAD}.attention.{n}_proj.{kind}" for n in "kv")
        yield Entry(f"{TRUNK}attn_pool.kv.{kind}", parts)
    positions = "embeddings.position_embedding.weight"
    yield Entry(f"{TRUNK}pos_embed", (VISION + positions,), "lead")
    yield Entry(f"{TRUNK}attn_pool.latent", (f"{_HEAD}.probe",))
    yield Entry("text.positional_embedding", (TEXT + positions,))
    yield Entry("text.token_embedding.weight", (TEXT + "embeddings.token_embedding.weight",))
    yield Entry("logit_scale", ("logit_scale",), "scalar")
    yield Entry("logit_bias", ("logit_bias",), "scalar")


def trunk(depth: int) -> list[Entry]:
    """Returns the tensors of an image tower of timm alone, without its attention pool.

    Args:
        depth: The number of layers.
    """
    return [
        Entry(e.theirs.removeprefix(TRUNK), e.parts, e.form)
        for e in _open_clip(depth, 0)
        if e.theirs.startswith(TRUNK) and not any(p.startswith(_HEAD) for p in e.parts)
    ]


def joined(canonical: Mapping[str, np.ndarray], entry: Entry) -> np.ndarray:
    """Returns one of their tensors, made of the canonical ones."""
    value = np.concatenate([canonical[n] for n in entry.parts])
    if entry.form:
        value = value[None] if entry.form == "lead" else value.reshape(())
    return np.ascontiguousarray(value).reshape(value.shape)


def depth(names: Iterable[str], pattern: str) -> int:
    """Returns the number of layers, from a pattern whose group is the number of a layer."""
    found = (re.fullmatch(pattern, n) for n in names)
    return max((int(m[1]) for m in found if m), default=-1) + 1


def parts(value: tensors.Lazy, entry: Entry) -> dict[str, tensors.Lazy]:
    """Returns the canonical tensors that one of their tensors holds.

    The result is empty if the tensor does not have the form that its entry says.
    """
    count, shape = len(entry.parts), value.shape
    if entry.form == "scalar":
        one = {entry.parts[0]: value.cut((1,), lambda x: np.reshape(x, (1,)))}
        return one if value.size == 1 else {}
    if entry.form == "lead":
        first = {entry.parts[0]: value.cut(shape[1:], lambda x: x[0])}
        return first if shape[:1] == (1,) else {}
    if count == 1:
        return {entry.parts[0]: value}
    if not shape or shape[0] % count:
        return {}
    piece = (shape[0] // count, *shape[1:])
    return {n: value.cut(piece, tensors.share(i, count)) for i, n in enumerate(entry.parts)}
