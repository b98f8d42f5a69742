"""Operations and bytes of a model, counted from its dimensions: pure functions, nothing is run.

1 multiply-add is 2 FLOP. Counted are matrix products; norms, softmax and other elementwise work are
not. "Useful" counts real text tokens, attention pairs that are not masked, the head where there is
loss, and SigLIP's forward pass alone; "hardware" what a way of training makes the device do, with
padding and recomputation. MFU is useful FLOPs / seconds / peak, HFU the same of hardware FLOPs.
The mask decoder is left out: it is below one part in a hundred of the language model. The peak
rates of devices are from their makers' data sheets: dense bfloat16, without sparsity.
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

# Forward passes that a backward pass recomputes: (products with weights, attention's own).
_RECOMPUTED = {"none": (0, 0), "dots": (0, 0), "dots_no_batch": (0, 1), "full": (1, 1)}


@dataclasses.dataclass(frozen=True)
class Dims:
    """Dimensions of both towers; `img` and `llm` as in a model config, spelt out."""

    img: Mapping[str, int]
    llm: Mapping[str, int]
    pixels: int

    @property
    def image_tokens(self) -> int:
        """N."""
        return (self.pixels // self.img["patch_size"]) ** 2


def dims_of(config: Any) -> Dims:
    """Returns the dimensions of a recipe."""
    return Dims(config.model.img.to_dict(), config.model.llm.to_dict(), config.image.size)


def body_params(d: Dims) -> int:
    """Returns the decoder's parameters without its table, norms included."""
    m = d.llm
    norms = 4 * m["width"]
    return m["depth"] * (_layer_weights(d) + norms) + m["width"]


def embedding_params(d: Dims) -> int:
    """Returns the parameters of the table, which is the head too."""
    return d.llm["vocab_size"] * d.llm["width"]


def siglip_params(d: Dims) -> int:
    """Returns the image tower's parameters, without the projector."""
    w, f = d.img["width"], d.img["mlp_dim"]
    layer = 4 * (w * w + w) + 2 * w * f + w + f + 4 * w
    patch = 3 * d.img["patch_size"] ** 2 * w + w
    return d.img["depth"] * layer + patch + d.image_tokens * w + 2 * w


def projector_params(d: Dims) -> int:
    """Returns the parameters of the projector."""
    return (d.img["width"] + 1) * d.llm["width"]


def token_flops(d: Dims) -> float:
    """Returns the FLOPs of one token through the blocks, forward, attention's own left out."""
    return 2 * d.llm["depth"] * _layer_weights(d)


def pair_flops(d: Dims) -> float:
    """Returns the FLOPs of one query against one key in all blocks, forward."""
    return 4 * d.llm["depth"] * d.llm["num_heads"] * d.llm["head_dim"]


def head_flops(d: Dims) -> float:
    """Returns the FLOPs of the output head at one position, forward."""
    return 2 * embedding_params(d)


def siglip_flops(d: Dims) -> float:
    """Returns the FLOPs of the image tower for one image, forward, without the projector."""
    w, n = d.img["width"], d.image_tokens
    layer = 2 * n * (4 * w * w + 2 * w * d.img["mlp_dim"]) + 4 * n * n * w
    return d.img["depth"] * layer + 2 * n * 3 * d.img["patch_size"] ** 2 * w


def projector_flops(d: Dims) -> float:
    """Returns the FLOPs of the projector for one image, forward."""
    return 2 * d.image_tokens * d.img["width"] * d.llm["width"]


def useful_pairs(image_tokens: int, prefix: float, suffix: float) -> float:
    """Returns the attention pairs that the mask of one text in a row allows.

    Args:
        image_tokens: N.
        prefix: tokens that all of image and prefix see.
        suffix: causal tokens that are read.
    """
    seen = image_tokens + prefix
    return seen * seen + suffix * seen + suffix * (suffix + 1) // 2


def useful_train_flops(d: Dims, prefix: Sequence[int], suffix: Sequence[int]) -> float:
    """Returns the useful FLOPs of one pass over examples, each with its own image.

    Forward and backward are three forward passes; of the frozen image tower only one counts, of
    the projector two, since nothing before it is trained. This is the yardstick for every way:
    with a shared image a way may do less than this, and its MFU may pass what the device did.

    Args:
        d: dimensions.
        prefix: of each example, tokens.
        suffix: of each example, tokens that are learned; all but the last are read.
    """
    return sum(useful_example_flops(d, int(p), int(s)) for p, s in zip(prefix, suffix, strict=True))


def useful_example_flops(d: Dims, prefix: float, suffix: float, tower: bool = False) -> float:
    """Returns what one example adds to `useful_train_flops`; of mean lengths, about the mean.

    Args:
        d: dimensions.
        prefix: its tokens.
        suffix: its tokens that are learned.
        tower: the image tower is trained too, so that it and the projector count three times.
    """
    n = d.image_tokens
    return (
        3 * (n + prefix + suffix - 1) * token_flops(d)
        + 3 * useful_pairs(n, prefix, suffix - 1) * pair_flops(d)
        + 3 * suffix * head_flops(d)
        + (3 if tower else 1) * siglip_flops(d)
        + (3 if tower else 2) * projector_flops(d)
    )


def hardware_train_flops(
    d: Dims,
    *,
    rows: int,
    text: int,
    head: int,
    remat: str = "none",
    block: int | None = None,
    wanted: int | None = None,
) -> float:
    """Returns the FLOPs that one batch makes the device do, the image tower frozen.

    Args:
        d: dimensions.
        rows: of the batch.
        text: positions of each row, padding included.
        head: positions of the whole batch where logits are computed.
        remat: `remat_policy` of the language model.
        block: text is attended block by block, of this many tokens, and the image does not see it;
            None: every position against every other.
        wanted: positions of each row at which the last block's query, output and feed-forward
            products are computed; None: at all of them.
    """
    n, m = d.image_tokens, d.llm
    length = n + text
    pairs = length**2 if block is None else n * n + text * (n + block)
    weights, own = _RECOMPUTED[remat]
    layer = _layer_weights(d)
    products = 2 * m["depth"] * layer * length
    attention = pair_flops(d) * pairs
    if wanted is not None:
        kv = 2 * m["num_kv_heads"] * m["head_dim"] * m["width"]
        products -= 2 * (layer - kv) * (length - wanted)
        attention -= pair_flops(d) / m["depth"] * pairs * (1 - wanted / length)
    image = siglip_flops(d) + 2 * projector_flops(d)
    each = (3 + weights) * products + (3 + own) * attention + image
    return rows * each + 3 * head * head_flops(d)


def train_bytes(d: Dims, *, rows: int, text: int, head: int, compute: int, remat: str) -> float:
    """Returns the bytes that one step moves at least, by the large items alone.

    Counted: float32 master weights read, cast and updated (with float32 gradients and factored
    statistics, which are small); cast weights read by each pass; the kept activations of every
    layer written and read once; float32 logits and their gradient. What a compiler fuses badly
    comes on top.

    Args:
        d: dimensions.
        rows: of the batch.
        text: positions of each row.
        head: positions of the batch with logits.
        compute: bytes of a number in matrix products.
        remat: `remat_policy` of the language model.
    """
    m = d.llm
    trained = body_params(d) + embedding_params(d) + projector_params(d)
    passes = 3 + _RECOMPUTED[remat][0]
    # Read to cast; gradient written, read for the norm and for the update; weights read, written.
    weights = trained * (4 * 6 + compute * (1 + passes)) + siglip_params(d) * compute
    width, mlp = m["width"], m["mlp_dim"]
    kept = width
    if remat != "full":
        kept += 2 * (m["num_heads"] + m["num_kv_heads"]) * m["head_dim"] + 2 * width + 3 * mlp
    tokens = rows * (d.image_tokens + text)
    activations = 2 * compute * tokens * m["depth"] * kept
    logits = 4 * 4 * head * m["vocab_size"]
    return weights + activations + logits


def decode_bytes(d: Dims, size: int = 2) -> int:
    """Returns the bytes of weights that one decode step reads, the cache left out.

    Args:
        d: dimensions.
        size: bytes of a number.
    """
    return size * (body_params(d) + embedding_params(d))


def kv_bytes(d: Dims, size: int = 2) -> int:
    """Returns the bytes of keys and values of one token in all blocks."""
    return size * 2 * d.llm["depth"] * d.llm["num_kv_heads"] * d.llm["head_dim"]


def _layer_weights(d: Dims) -> int:
    # Parameters of one block's matrices.
    m = d.llm
    heads = 2 * m["num_heads"] + 2 * m["num_kv_heads"]
    return m["width"] * (heads * m["head_dim"] + 3 * m["mlp_dim"])


@dataclasses.dataclass(frozen=True)
class Device:
    """What a roofline needs.

    Attributes:
        tflops: 1e12 FLOP/s, dense bfloat16.
        gbs: memory bandwidth, 1e9 bytes/s.
        kind: pattern of the name by which JAX calls it, in lower case.
    """

    tflops: float
    gbs: float
    kind: str


_SXM = r"(?!.*\b(pcie|nvl)\b)"  # Those of the other kinds are slower.
DEVICES = {
    "h100": Device(989, 3350, rf"\bh100\b{_SXM}"),
    "h200": Device(989, 4800, rf"\bh200\b{_SXM}"),
    "a100": Device(312, 2039, r"\ba100\b"),  # Bandwidth: SXM, 80 GB.
    "l4": Device(121, 300, r"\bl4\b"),
    "4090": Device(165, 1008, r"\b4090$"),
}


def find_device(kind: str) -> Device | None:
    """Returns what is known of a device by the name that JAX gives it; None of others."""
    return next((d for d in DEVICES.values() if re.search(d.kind, kind.lower())), None)
