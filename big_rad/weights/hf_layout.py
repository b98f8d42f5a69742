"""The rules that map Hugging Face tensors to our parameters, with the axes of both.

Three layouts of names are in use for the same tensors: that of the files on the hub
(`vision_tower.vision_model.*`, `language_model.model.*`), that of the state dict of transformers
4.5x (`model.vision_tower.vision_model.*`, `model.language_model.*`), and that of 5.x
(`model.vision_tower.*`). `canonical` maps all of them to the first, and removes the prefixes that
training frameworks put before all names. A `Rule` then describes each parameter. For example,

    Rule("llm/layers/attn/q_einsum/w", (f"{layer}.self_attn.q_proj.weight",), "(n h) d -> n d h")

rearranges a matrix [heads * head_dim, width] of each layer to [heads, width, head_dim], and stacks
the layers into an array [depth, heads, width, head_dim].
"""

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from jaxtyping import Shaped

from big_rad.weights import rearrange, tensors

VISION, TEXT = "vision_tower.vision_model.", "language_model.model."
LM_HEAD = "language_model.lm_head.weight"
EMBEDDING = TEXT + "embed_tokens.weight"

_KNOWN = re.compile(
    r"(?:model\.)?(?:"
    r"vision_tower\.(?:vision_model\.)?(?P<vision>(?:embeddings|encoder|post_layernorm|head)\..+)"
    r"|(?P<projector>multi_modal_projector\.linear\..+)"
    r"|language_model\.(?:model\.)?(?P<text>(?:embed_tokens|layers|norm)\..+)"
    r"|(?:language_model\.)?(?P<lm_head>lm_head\.weight))"
)
_ANCHOR = "multi_modal_projector.linear.weight"  # Every checkpoint has this tensor exactly once.


@dataclasses.dataclass(frozen=True)
class Rule:
    """A rule: one parameter of our tree, and the Hugging Face tensors that it is made of.

    Attributes:
        ours: The name of the parameter in our tree.
        theirs: The names of their tensors, in which "{i}" stands for the number of the layer. If
            there are several, they are stacked on the axis after the layers.
        pattern: The pattern that rearranges the axes of one of their tensors to ours, without the
            layer axis; see `rearrange`.
    """

    ours: str
    theirs: tuple[str, ...]
    pattern: str

    @property
    def stacked(self) -> bool:
        """Whether the parameter's first axis is that of the layers."""
        return "{i}" in self.theirs[0]


def _vision() -> list[Rule]:
    return [
        Rule(
            "img/embedding/kernel",
            (VISION + "embeddings.patch_embedding.weight",),
            "w c p q -> p q c w",
        ),
        Rule("img/embedding/bias", (VISION + "embeddings.patch_embedding.bias",), "w"),
        Rule(
            "img/pos_embedding", (VISION + "embeddings.position_embedding.weight",), "n w -> 1 n w"
        ),
        *norm("img/Transformer/encoder_norm", VISION + "post_layernorm"),
        *encoder_block("img/Transformer/encoderblock", VISION + "encoder.layers.{i}"),
    ]


def encoder_block(ours: str, theirs: str) -> list[Rule]:
    """Returns the rules of a pre-norm transformer block of SigLIP, which both towers have.

    Args:
        ours: The name of the block in our tree.
        theirs: The prefix of its tensors' names, without the last dot.
    """
    return [
        *attention(f"{ours}/MultiHeadDotProductAttention_0", f"{theirs}.self_attn"),
        *mlp(f"{ours}/MlpBlock_0", f"{theirs}.mlp"),
        *norm(f"{ours}/LayerNorm_0", f"{theirs}.layer_norm1"),
        *norm(f"{ours}/LayerNorm_1", f"{theirs}.layer_norm2"),
    ]


def attention(ours: str, theirs: str) -> list[Rule]:
    """Returns the rules of an attention with biases; see `encoder_block`."""
    rules = [
        Rule(f"{ours}/out/kernel", (f"{theirs}.out_proj.weight",), "w (a h) -> a h w"),
        Rule(f"{ours}/out/bias", (f"{theirs}.out_proj.bias",), "w"),
    ]
    for name in ("query", "key", "value"):
        part = f"{theirs}.{name[0]}_proj"
        rules.append(Rule(f"{ours}/{name}/kernel", (f"{part}.weight",), "(a h) w -> w a h"))
        rules.append(Rule(f"{ours}/{name}/bias", (f"{part}.bias",), "(a h) -> a h"))
    return rules


def mlp(ours: str, theirs: str) -> list[Rule]:
    """Returns the rules of the two dense layers of a block; see `encoder_block`."""
    return [
        Rule(f"{ours}/Dense_0/kernel", (f"{theirs}.fc1.weight",), "f w -> w f"),
        Rule(f"{ours}/Dense_0/bias", (f"{theirs}.fc1.bias",), "f"),
        Rule(f"{ours}/Dense_1/kernel", (f"{theirs}.fc2.weight",), "w f -> f w"),
        Rule(f"{ours}/Dense_1/bias", (f"{theirs}.fc2.bias",), "w"),
    ]


def norm(ours: str, theirs: str) -> list[Rule]:
    """Returns the rules of a layer norm; see `encoder_block`."""
    return [
        Rule(f"{ours}/scale", (f"{theirs}.weight",), "w"),
        Rule(f"{ours}/bias", (f"{theirs}.bias",), "w"),
    ]


def _text() -> list[Rule]:
    layer = TEXT + "layers.{i}"
    attn, mlp = f"{layer}.self_attn", f"{layer}.mlp"
    norms = {
        "pre_attention_norm": "input_layernorm",
        "post_attention_norm": "post_attention_layernorm",
        "pre_ffw_norm": "pre_feedforward_layernorm",
        "post_ffw_norm": "post_feedforward_layernorm",
    }
    return [
        Rule("llm/embedder/input_embedding", (EMBEDDING,), "v d"),
        Rule("llm/final_norm/scale", (TEXT + "norm.weight",), "d"),
        Rule("llm/layers/attn/q_einsum/w", (f"{attn}.q_proj.weight",), "(n h) d -> n d h"),
        Rule(
            "llm/layers/attn/kv_einsum/w",
            (f"{attn}.k_proj.weight", f"{attn}.v_proj.weight"),
            "(k h) d -> k d h",
        ),
        Rule("llm/layers/attn/attn_vec_einsum/w", (f"{attn}.o_proj.weight",), "d (n h) -> n h d"),
        Rule(
            "llm/layers/mlp/gating_einsum",
            (f"{mlp}.gate_proj.weight", f"{mlp}.up_proj.weight"),
            "f d -> d f",
        ),
        Rule("llm/layers/mlp/linear", (f"{mlp}.down_proj.weight",), "d f -> f d"),
        *(
            Rule(f"llm/layers/{ours}/scale", (f"{layer}.{theirs}.weight",), "d")
            for ours, theirs in norms.items()
        ),
    ]


_HEAD = [
    Rule("img/head/kernel", ("multi_modal_projector.linear.weight",), "d w -> w d"),
    Rule("img/head/bias", ("multi_modal_projector.linear.bias",), "d"),
]
VISION_RULES, RULES = _vision(), [*_vision(), *_HEAD, *_text()]


def canonical(names: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """Maps tensor names of any layout to the canonical names, which are those of the hub.

    Returns:
        A dict {name: canonical name}, and a list of the names that do not belong to PaliGemma.
    """
    names = list(names)
    # The prefix of all names in a wrapped checkpoint, such as "module." or "base.".
    anchor = next((n for n in names if n.endswith(_ANCHOR)), _ANCHOR)
    wrapper = anchor.removesuffix(_ANCHOR).removesuffix("model.")
    known, others = {}, []
    for name in names:
        found = _KNOWN.fullmatch(name.removeprefix(wrapper))
        if found is None or (wrapper and not name.startswith(wrapper)):
            others.append(name)
        elif found["vision"]:
            known[name] = VISION + found["vision"]
        elif found["text"]:
            known[name] = TEXT + found["text"]
        else:
            known[name] = found["projector"] or LM_HEAD
    return known, others


def sizes(model_cfg: Mapping[str, Any], num_positions: int = 0) -> dict[str, dict[str, int]]:
    """Returns the lengths of the axes in the rules, and "depth", for "img" and "llm".

    Args:
        model_cfg: A model config with explicit dimensions; see `hf_config`.
        num_positions: The number of image tokens.
    """
    llm = model_cfg["llm"]
    return {
        "img": vision_sizes(model_cfg["img"], num_positions) | {"d": llm["width"]},
        "llm": dict(
            depth=llm["depth"],
            d=llm["width"],
            f=llm["mlp_dim"],
            n=llm["num_heads"],
            k=llm["num_kv_heads"],
            h=llm["head_dim"],
            v=llm["vocab_size"],
        ),
    }


def vision_sizes(img: Mapping[str, Any], num_positions: int) -> dict[str, int]:
    """Returns the lengths of the axes in the rules of an image tower, and "depth"."""
    return dict(
        depth=img["depth"],
        w=img["width"],
        f=img["mlp_dim"],
        a=img["num_heads"],
        h=img["width"] // img["num_heads"],
        p=img["patch_size"],
        q=img["patch_size"],
        c=3,
        n=num_positions,
    )


def expected(rules: Iterable[Rule], by_tower: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    """Returns the shapes of all tensors that the rules use, by their canonical names."""
    result = {}
    for rule in rules:
        axes = by_tower[rule.ours.split("/")[0]]
        shape, _ = rearrange.shapes(rule.pattern, axes)
        for theirs in rule.theirs:
            for i in range(axes["depth"] if rule.stacked else 1):
                result[theirs.replace("{i}", str(i))] = shape
    return result


def our_shape(rule: Rule, axes: Mapping[str, int]) -> tuple[int, ...]:
    """Returns the shape of a rule's parameter in our tree."""
    _, piece = rearrange.shapes(rule.pattern, axes)
    depth, many = (axes["depth"],) * rule.stacked, (len(rule.theirs),) * (len(rule.theirs) > 1)
    return (*depth, *many, *piece)


def check_ours(
    flat: Mapping[str, Any], by_tower: Mapping[str, Mapping[str, int]], where: str
) -> None:
    """Checks that parameters are exactly those of a PaliGemma 2 of known sizes.

    Args:
        flat: The arrays by name.
        by_tower: The lengths of the axes; see `sizes`.
        where: The name of the checkpoint, for messages.

    Raises:
        ValueError: Parameters are missing, unexpected or of another shape; the message lists them.
    """
    shapes = {r.ours: our_shape(r, by_tower[r.ours.split("/")[0]]) for r in RULES}
    problems = tensors.problems(flat, shapes, "the other tensors ask for")
    if problems:
        raise ValueError(f"{where}: no PaliGemma 2:\n  " + "\n  ".join(problems))


def to_ours(rule: Rule, source: Mapping[str, Any], axes: Mapping[str, int]) -> tensors.Lazy:
    """Returns a lazy parameter that is made of their lazy tensors.

    Args:
        rule: The rule of the parameter.
        source: Their tensors by canonical name.
        axes: The lengths of the axes of the tower; see `sizes`.
    """
    _, piece = rearrange.shapes(rule.pattern, axes)
    depth = axes["depth"] if rule.stacked else 1
    names = [[t.replace("{i}", str(i)) for t in rule.theirs] for i in range(depth)]
    dtype = np.result_type(*{source[n].dtype for layer in names for n in layer})
    shape = our_shape(rule, axes)

    def read() -> np.ndarray:
        out = np.empty((depth, len(rule.theirs), *piece), dtype)
        for i, layer in enumerate(names):
            for j, name in enumerate(layer):
                out[i, j] = rearrange.apply(np.asarray(source[name]), rule.pattern, axes)
        return out.reshape(shape)

    return tensors.Lazy(shape, dtype, read)


def to_theirs(
    rule: Rule, value: Shaped[np.ndarray, "*ours"], axes: Mapping[str, int]
) -> Iterator[tuple[str, Shaped[np.ndarray, "*theirs"]]]:
    """Splits a parameter into their tensors, with canonical names.

    The tensors come in the order of `expected`.
    """
    depth = axes["depth"] if rule.stacked else 1
    _, piece = rearrange.shapes(rule.pattern, axes)
    value = value.reshape(depth, len(rule.theirs), *piece)
    back = rearrange.invert(rule.pattern)
    for j, theirs in enumerate(rule.theirs):
        for i in range(depth):
            piece = rearrange.apply(value[i, j], back, axes)
            yield theirs.replace("{i}", str(i)), np.ascontiguousarray(piece)
