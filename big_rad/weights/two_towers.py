"""Reads and writes a whole SigLIP: both towers, in the names of others.

Three layouts of names are in use besides our own, which is that of big_vision:

- transformers' `SiglipModel` (SigLIP 1 and 2), a folder with `config.json`;
- open_clip, a torch or safetensors file, whose image tower has timm's names;
- big_vision's npz, whose blocks lie apart (`encoderblock_0`, ...) and not stacked.

Every tensor is accounted for: a missing, surplus or mis-shaped one is an error. The tables of names
are in `siglip_names`.
"""

import pathlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from big_rad.weights import (
    hf_config,
    hf_layout,
    infer,
    shards,
    sidecar,
    siglip_names,
    tensors,
    unusable,
)
from big_rad.weights.hf_layout import VISION
from big_rad.weights.siglip_names import LAYOUTS as LAYOUTS
from big_rad.weights.siglip_names import RULES, TEXT

Flat = Mapping[str, Any]


def is_whole(path: str | pathlib.Path) -> bool:
    """Returns whether a folder of transformers or a file of open_clip holds a text tower as well.

    Raises:
        ValueError: The file is damaged.
    """
    return any(n.endswith(_TOKENS) for n in _stored(pathlib.Path(path)))


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
    stored = _stored(place)
    unusable.check(stored, place)
    source, found, kind = _canonical(stored, place)
    heads = num_heads or _known_heads(place)
    cfg, axes = _sizes(source, heads, place)
    depths = (cfg["img"]["depth"], cfg["txt"]["depth"])
    wanted = {e.theirs for e in siglip_names.layout(kind, *depths)}
    problems = [f"missing: {n}" for n in sorted(wanted - set(found))]
    problems += [f"unexpected: {n}" for n in found if n not in wanted]
    shapes = hf_layout.expected(RULES, axes)
    if not problems:  # A tensor of a wrong form gives no canonical one.
        problems = [f"shape: {n} has a wrong number of axes" for n in shapes if n not in source]
    problems += [
        f"shape: {n} is {tuple(source[n].shape)}, the other tensors ask for {shape}"
        for n, shape in shapes.items()
        if n in source and tuple(source[n].shape) != tuple(shape)
    ]
    if problems:
        raise ValueError(f"{place} is no whole SigLIP:\n  " + "\n  ".join(problems))
    flat = {r.ours: hf_layout.to_ours(r, source, axes[r.ours.split("/")[0]]) for r in RULES}
    return cfg, flat


def model_cfg(flat: Flat, where: str | pathlib.Path) -> dict[str, Any]:
    """Returns the arguments of `two_towers.Model` with explicit dimensions, from shapes.

    Args:
        flat: The arrays, or their shapes, by our names.
        where: The name of the checkpoint, for messages.

    Raises:
        ValueError: A tensor that shows a dimension is missing.
    """
    block = "txt/Encoder_0/encoderblock/"
    heads, mlp = "MultiHeadDotProductAttention_0/query/kernel", "MlpBlock_0/Dense_0/kernel"
    names = ("txt/Embed_0/embedding", "txt/pos_embedding", "txt/head/bias")
    names += (block + heads, block + mlp)
    missing = [n for n in names if n not in flat]
    if missing:
        raise ValueError(f"{where} is no whole SigLIP:\n  missing: " + ", ".join(missing))
    table, positions, head, query, dense = (tuple(flat[n].shape) for n in names)
    txt = dict(
        width=table[1], depth=dense[0], mlp_dim=dense[2], num_heads=query[2], vocab_size=table[0],
        length=positions[1], num_classes=head[0],
    )  # fmt: skip
    img = infer.vision_cfg(flat, str(where), "img/")
    if "img/head/bias" in flat:
        img["num_classes"] = flat["img/head/bias"].shape[0]
    return dict(img=img, txt=txt)


def check_ours(flat: Flat, where: str | pathlib.Path, foreign: bool = True) -> None:
    """Checks that parameters are exactly those of a whole SigLIP.

    Args:
        flat: The arrays by name.
        where: The name of the checkpoint, for messages.
        foreign: Whether another program is to read them, whose image tower has no further layer
            behind its attention pool.

    Raises:
        ValueError: Parameters are missing, unexpected or of another shape; the message lists them.
    """
    cfg = model_cfg(flat, where)
    axes = _axes(cfg["img"], flat["img/pos_embedding"].shape[1], cfg["txt"])
    shapes = {r.ours: hf_layout.our_shape(r, axes[r.ours.split("/")[0]]) for r in RULES}
    features = cfg["img"].get("num_classes")
    if features:
        shapes["img/head/kernel"] = (cfg["img"]["width"], features)
        shapes["img/head/bias"] = (features,)
    problems = tensors.problems(flat, shapes, "the other tensors ask for")
    if features and foreign:
        problems.append(
            "img/head: no other program has a layer behind the attention pool of the image tower; "
            "train with config.model.img.num_classes = 0, or keep this model as npz or a run"
        )
    if problems:
        raise ValueError(f"{where} is no whole SigLIP:\n  " + "\n  ".join(problems))


def shapes(kind: str, cfg: Mapping[str, Any], tokens: int) -> dict[str, tuple[int, ...]]:
    """Returns the shapes of all tensors of another layout, by name, without allocating any.

    Args:
        kind: One of `LAYOUTS`.
        cfg: The arguments of `two_towers.Model`, as `model_cfg` gives them.
        tokens: The number of image tokens.
    """
    canonical = hf_layout.expected(RULES, _axes(cfg["img"], tokens, cfg["txt"]))
    result = {}
    for entry in siglip_names.layout(kind, cfg["img"]["depth"], cfg["txt"]["depth"]):
        first = canonical[entry.parts[0]]
        joined = (sum(canonical[n][0] for n in entry.parts), *first[1:])
        result[entry.theirs] = {"scalar": (), "lead": (1, *first)}.get(entry.form, joined)
    return result


def write(flat: Flat, kind: str) -> Iterator[tuple[str, np.ndarray]]:
    """Yields the tensors of another layout, by name.

    Args:
        flat: The flat parameters, as `read` gives them.
        kind: One of `LAYOUTS`.

    Raises:
        ValueError: They are not the parameters of a whole SigLIP.
    """
    check_ours(flat, "the model")
    canonical: dict[str, np.ndarray] = {}
    cfg = model_cfg(flat, "the model")
    axes = _axes(cfg["img"], flat["img/pos_embedding"].shape[1], cfg["txt"])
    for rule in RULES:
        value = np.asarray(flat[rule.ours])
        canonical |= dict(hf_layout.to_theirs(rule, value, axes[rule.ours.split("/")[0]]))
    depths = (axes["img"]["depth"], axes["txt"]["depth"])
    for entry in siglip_names.layout(kind, *depths):
        yield entry.theirs, siglip_names.joined(canonical, entry)


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


# The tensor of the text tower that tells it from those of other models.
_TOKENS = ("text_model.embeddings.token_embedding.weight", "text.token_embedding.weight")


def _stored(place: pathlib.Path) -> dict[str, tensors.Lazy]:
    return shards.read(shards.find(place) if place.is_dir() else [place])


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
    depths = (siglip_names.depth(named, p[kind]) for p in (_IMAGE_LAYER, _TEXT_LAYER))
    source: dict[str, tensors.Lazy] = {}
    for entry in siglip_names.layout(kind, *depths):
        if entry.theirs in named:
            source |= siglip_names.parts(named[entry.theirs], entry)
    return source, list(named), kind


_IMAGE_LAYER = {
    "huggingface": r"vision_model\.encoder\.layers\.(\d+)\..*",
    "open_clip": r"visual\.trunk\.blocks\.(\d+)\..*",
}
_TEXT_LAYER = {
    "huggingface": r"text_model\.encoder\.layers\.(\d+)\..*",
    "open_clip": r"text\.transformer\.resblocks\.(\d+)\..*",
}


def _known_heads(place: pathlib.Path) -> tuple[int, int] | None:
    # The numbers of heads in config.json, or in the file that tools.convert writes beside a file.
    if not place.is_dir():
        cfg = sidecar.read(place).get("model") or {}
        return tuple(cfg[n]["num_heads"] for n in ("img", "txt")) if "txt" in cfg else None
    if not (place / "config.json").is_file():
        return None
    config, name = hf_config.read(place), str(place / "config.json")
    img = hf_config.siglip_cfg(config, name)
    return img["num_heads"], hf_config.siglip_text_heads(config, name)


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
    if len(patch) != 4:
        raise ValueError(
            f"{place}: its patches are embedded by a matrix {tuple(patch)}, as in the NaFlex "
            "models of SigLIP 2, which take images of any shape; take a model of a fixed size, "
            "such as google/siglip2-so400m-patch14-224"
        )
    widths = (patch[0], table[1])
    heads = heads or tuple(siglip_names.HEADS.get(w, 0) for w in widths)
    for width, count in zip(widths, heads, strict=True):
        if not count or width % count:
            raise ValueError(
                f"{place}: how many heads does a tower of width {width} have? Give num_heads "
                f"(known widths: {siglip_names.HEADS})"
            )
    img = dict(
        width=patch[0],
        depth=siglip_names.depth(source, re.escape(VISION) + r"encoder\.layers\.(\d+)\..*"),
        mlp_dim=mlp[0],
        num_heads=heads[0],
        patch_size=patch[-1],
    )
    txt = dict(
        width=table[1],
        depth=siglip_names.depth(source, re.escape(TEXT) + r"encoder\.layers\.(\d+)\..*"),
        mlp_dim=txt_mlp[0],
        num_heads=heads[1],
        vocab_size=table[0],
        length=context[0],
        num_classes=head[0],
    )
    return dict(img=img, txt=txt), _axes(img, tokens[0], txt)


def _axes(img: Mapping[str, int], tokens: int, txt: Mapping[str, int]) -> dict[str, dict[str, int]]:
    text = dict(
        depth=txt["depth"], w=txt["width"], f=txt["mlp_dim"], a=txt["num_heads"],
        h=txt["width"] // txt["num_heads"], v=txt["vocab_size"], n=txt["length"],
        o=txt["num_classes"],
    )  # fmt: skip
    one = dict(depth=1, x=1)
    image = hf_layout.vision_sizes(img, tokens) | dict(x=1, y=1)
    return {"img": image, "txt": text, "t": one, "b": one}
