"""Reads and writes a whole SigLIP: both towers, in the names of others.

Three layouts of names are in use besides our own, which is that of big_vision:

- transformers' `SiglipModel` (SigLIP 1 and 2), a folder with `config.json`;
- open_clip, a torch or safetensors file, whose image tower has timm's names;
- big_vision's npz, whose blocks lie apart (`encoderblock_0`, ...) and not stacked.

The names of open_clip are mapped to those of transformers, of which one table of rules makes our
parameters. Every tensor is accounted for: a missing, surplus or mis-shaped one is an error.
"""

import dataclasses
import pathlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from big_rad.weights import hf_config, hf_layout, shards, tensors, unusable
from big_rad.weights.hf_layout import VISION, Rule

Flat = Mapping[str, Any]
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
# The number of heads of the published towers by their width, which no shape shows.
HEADS = {384: 6, 768: 12, 1024: 16, 1152: 16, 1536: 16}

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
        ("visual.trunk.", VISION, _IMAGE, img_depth, "blocks.{i}.attn.qkv."),
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
        yield Entry(f"visual.trunk.attn_pool.kv.{kind}", parts)
    positions = "embeddings.position_embedding.weight"
    yield Entry("visual.trunk.pos_embed", (VISION + positions,), "lead")
    yield Entry("visual.trunk.attn_pool.latent", (f"{_HEAD}.probe",))
    yield Entry("text.positional_embedding", (TEXT + positions,))
    yield Entry("text.token_embedding.weight", (TEXT + "embeddings.token_embedding.weight",))
    yield Entry("logit_scale", ("logit_scale",), "scalar")
    yield Entry("logit_bias", ("logit_bias",), "scalar")


def read(
    path: str | pathlib.Path, num_heads: tuple[int, int] | None = None
) -> tuple[dict[str, Any], dict[str, tensors.Lazy]]:
    """Lists a whole SigLIP of transformers or open_clip as flat lazy parameters.

    Args:
        path: The folder of transformers or open_clip, or a torch or safetensors file.
        num_heads: The numbers of heads of the image tower and the text tower; None takes those of
            `config.json`, or of the published towers of these widths.

    Returns:
        The arguments of `two_towers.Model`, and the flat parameters.

    Raises:
        ValueError: The file is damaged or holds something else; or tensors are missing, unexpected
            or of another shape, and then the message lists each of them.
    """
    place = pathlib.Path(path)
    stored = shards.read(shards.find(place) if place.is_dir() else [place])
    unusable.check(stored, place)
    source, found, kind = _canonical(stored, place)
    heads = num_heads or _config_heads(place)
    cfg, axes = _sizes(source, heads, place)
    depths = (cfg["img"]["depth"], cfg["txt"]["depth"])
    wanted = {e.theirs for e in layout(kind, *depths)}
    problems = [f"missing: {n}" for n in sorted(wanted - set(found))]
    problems += [f"unexpected: {n}" for n in found if n not in wanted]
    shapes = hf_layout.expected(RULES, axes)
    problems += [
        f"shape: {n} is {tuple(source[n].shape)}, the other tensors ask for {shape}"
        for n, shape in shapes.items()
        if n in source and tuple(source[n].shape) != tuple(shape)
    ]
    if problems:
        raise ValueError(f"{place} is no whole SigLIP:\n  " + "\n  ".join(problems))
    flat = {r.ours: hf_layout.to_ours(r, source, axes[r.ours.split("/")[0]]) for r in RULES}
    return cfg, flat


def write(flat: Flat, kind: str, num_heads: tuple[int, int]) -> Iterator[tuple[str, np.ndarray]]:
    """Yields the tensors of another layout, by name.

    Args:
        flat: The flat parameters, as `read` gives them.
        kind: One of `LAYOUTS`.
        num_heads: The numbers of heads of the image tower and the text tower.
    """
    canonical: dict[str, np.ndarray] = {}
    axes = _our_sizes(flat, num_heads)
    for rule in RULES:
        value = np.asarray(flat[rule.ours])
        canonical |= dict(hf_layout.to_theirs(rule, value, axes[rule.ours.split("/")[0]]))
    depths = (axes["img"]["depth"], axes["txt"]["depth"])
    for entry in layout(kind, *depths):
        value = np.concatenate([canonical[n] for n in entry.parts])
        if entry.form:
            value = value[None] if entry.form == "lead" else value.reshape(())
        yield entry.theirs, np.ascontiguousarray(value)


def stack(flat: Mapping[str, tensors.Lazy]) -> dict[str, tensors.Lazy]:
    """Stacks the blocks of an npz of big_vision, whose names are `.../encoderblock_0/...`.

    Names without a number, as in checkpoints of scanned layers, stay as they are.

    Raises:
        ValueError: A layer lacks a tensor that another one has, or has it in another shape.
    """
    groups: dict[str, dict[int, tensors.Lazy]] = {}
    result = {}
    for name, value in flat.items():
        found = _BLOCK.fullmatch(name)
        if found is None:
            result[name] = value
        else:
            groups.setdefault(f"{found[1]}encoderblock/{found[3]}", {})[int(found[2])] = value
    for name, layers in groups.items():
        depth = max(max(g) for n, g in groups.items() if n.split("/")[0] == name.split("/")[0]) + 1
        missing = [i for i in range(depth) if i not in layers]
        if missing or len({x.shape for x in layers.values()}) > 1:
            raise ValueError(
                f"{name}: layers of different shapes, or missing ones ({missing}); the file is "
                "damaged"
            )
        result[name] = _stacked([layers[i] for i in range(depth)])
    return result


_BLOCK = re.compile(r"(.*/)encoderblock_(\d+)/(.+)")


def _stacked(layers: list[tensors.Lazy]) -> tensors.Lazy:
    shape = (len(layers), *layers[0].shape)
    return tensors.Lazy(shape, layers[0].dtype, lambda: np.stack([np.asarray(x) for x in layers]))


def _canonical(
    stored: Mapping[str, tensors.Lazy], place: pathlib.Path
) -> tuple[dict[str, tensors.Lazy], list[str], str]:
    """Returns the tensors by canonical name, their names without a prefix, and the layout."""
    anchors = {
        "huggingface": "vision_model.embeddings.patch_embedding.weight",
        "open_clip": "visual.trunk.patch_embed.proj.weight",
    }
    found = ((kind, n) for kind, anchor in anchors.items() for n in stored if n.endswith(anchor))
    kind, full = next(found, ("", ""))
    if not kind:
        raise ValueError(
            f"{place} holds no SigLIP of transformers or open_clip; it has "
            f"{', '.join(list(stored)[:5])}, ..."
        )
    anchor = anchors[kind]
    prefix = full.removesuffix(anchor)
    named = {n.removeprefix(prefix): x for n, x in stored.items()}
    constant = re.compile(r"(?:.*\.)?position_ids")
    named = {n: x for n, x in named.items() if not constant.fullmatch(n)}
    depths = (_depth(named, VISION_LAYER[kind]), _depth(named, TEXT_LAYER[kind]))
    source: dict[str, tensors.Lazy] = {}
    for entry in layout(kind, *depths):
        if entry.theirs in named:
            source |= _parts(named[entry.theirs], entry)
    return source, list(named), kind


VISION_LAYER = {
    "huggingface": r"vision_model\.encoder\.layers\.(\d+)\..*",
    "open_clip": r"visual\.trunk\.blocks\.(\d+)\..*",
}
TEXT_LAYER = {
    "huggingface": r"text_model\.encoder\.layers\.(\d+)\..*",
    "open_clip": r"text\.transformer\.resblocks\.(\d+)\..*",
}


def _depth(names: Mapping[str, Any], pattern: str) -> int:
    found = (re.fullmatch(pattern, n) for n in names)
    return max((int(m[1]) for m in found if m), default=-1) + 1


def _parts(value: tensors.Lazy, entry: Entry) -> dict[str, tensors.Lazy]:
    # Cuts one of their tensors into canonical ones.
    count, shape = len(entry.parts), value.shape
    if entry.form == "scalar":
        return {entry.parts[0]: _cut(value, (1,), lambda x: np.reshape(x, (1,)))}
    if entry.form == "lead":
        return {entry.parts[0]: _cut(value, shape[1:], lambda x: x[0])}
    if count == 1:
        return {entry.parts[0]: value}
    if not shape or shape[0] % count:
        return {}
    piece = (shape[0] // count, *shape[1:])
    return {n: _cut(value, piece, _part_of(i, count)) for i, n in enumerate(entry.parts)}


def _part_of(i: int, count: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda x: np.split(x, count)[i]


def _cut(
    value: tensors.Lazy, shape: tuple[int, ...], cut: Callable[[np.ndarray], np.ndarray]
) -> tensors.Lazy:
    return tensors.Lazy(shape, value.dtype, lambda: cut(np.asarray(value)))


def _config_heads(place: pathlib.Path) -> tuple[int, int] | None:
    file = (place if place.is_dir() else place.parent) / "config.json"
    if not place.is_dir() or not file.is_file():
        return None
    config = hf_config.read(place)
    towers = (config.get("vision_config") or {}, config.get("text_config") or {})
    # transformers leaves out fields that have their default, which is 12 heads.
    return tuple(int(t.get("num_attention_heads", 12)) for t in towers)


def _sizes(
    source: Flat, heads: tuple[int, int] | None, place: pathlib.Path
) -> tuple[dict[str, Any], dict[str, dict[str, int]]]:
    """Returns the arguments of the model and the lengths of the axes, from the shapes."""
    needed = [
        VISION + "embeddings.patch_embedding.weight",
        VISION + "embeddings.position_embedding.weight",
        VISION + "encoder.layers.0.mlp.fc1.weight",
        TEXT + "embeddings.token_embedding.weight",
        TEXT + "embeddings.position_embedding.weight",
        TEXT + "encoder.layers.0.mlp.fc1.weight",
        TEXT + "head.weight",
    ]
    missing = [n for n in needed if n not in source]
    if missing:
        raise ValueError(f"{place} is no whole SigLIP:\n  missing: " + ", ".join(missing))
    patch, tokens, mlp, table, context, txt_mlp, head = (source[n].shape for n in needed)
    widths = (patch[0], table[1])
    heads = heads or tuple(HEADS.get(w, 0) for w in widths)
    for width, count in zip(widths, heads, strict=True):
        if not count or width % count:
            raise ValueError(
                f"{place}: how many heads does a tower of width {width} have? Give num_heads "
                f"(known widths: {HEADS})"
            )
    img = dict(
        width=patch[0],
        depth=_depth(source, re.escape(VISION) + r"encoder\.layers\.(\d+)\..*"),
        mlp_dim=mlp[0],
        num_heads=heads[0],
        patch_size=patch[-1],
    )
    txt = dict(
        width=table[1],
        depth=_depth(source, re.escape(TEXT) + r"encoder\.layers\.(\d+)\..*"),
        mlp_dim=txt_mlp[0],
        num_heads=heads[1],
        vocab_size=table[0],
        length=context[0],
        num_classes=head[0],
    )
    return dict(img=img, txt=txt), _axes(img, tokens[0], txt)


def _our_sizes(flat: Flat, heads: tuple[int, int]) -> dict[str, dict[str, int]]:
    kernel, block = flat["img/embedding/kernel"].shape, "encoderblock/MlpBlock_0/Dense_0/kernel"
    img_mlp = flat[f"img/Transformer/{block}"].shape
    txt_mlp = flat[f"txt/Encoder_0/{block}"].shape
    img = dict(
        width=kernel[-1], depth=img_mlp[0], mlp_dim=img_mlp[2], num_heads=heads[0],
        patch_size=kernel[0],
    )  # fmt: skip
    txt = dict(
        width=txt_mlp[1], depth=txt_mlp[0], mlp_dim=txt_mlp[2], num_heads=heads[1],
        vocab_size=flat["txt/Embed_0/embedding"].shape[0],
        length=flat["txt/pos_embedding"].shape[1], num_classes=flat["txt/head/bias"].shape[0],
    )  # fmt: skip
    return _axes(img, flat["img/pos_embedding"].shape[1], txt)


def _axes(img: Mapping[str, int], tokens: int, txt: Mapping[str, int]) -> dict[str, dict[str, int]]:
    text = dict(
        depth=txt["depth"], w=txt["width"], f=txt["mlp_dim"], a=txt["num_heads"],
        h=txt["width"] // txt["num_heads"], v=txt["vocab_size"], n=txt["length"],
        o=txt["num_classes"],
    )  # fmt: skip
    one = dict(depth=1, x=1)
    image = hf_layout.vision_sizes(img, tokens) | dict(x=1, y=1)
    return {"img": image, "txt": text, "t": one, "b": one}
