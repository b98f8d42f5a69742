"""The number of operations and bytes that a model needs, computed from its dimensions.

One multiply-add is 2 FLOPs. Matrix products are counted; norms, softmax and other elementwise work
are not. The mask decoder is left out, since it costs less than one hundredth of the language model.
There are two counts of a training step:

- Useful FLOPs count real text tokens, attention pairs that the mask allows, the output head at
  positions with a loss, and the forward pass of SigLIP.
- Hardware FLOPs count the work of the device, which includes padding and recomputation.

MFU is useful FLOPs / seconds / peak FLOPs per second, and HFU is the same for hardware FLOPs. The
peak rates are those of the makers' data sheets for dense bfloat16, without sparsity.
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

# How many forward passes a backward pass recomputes: (products with weights, the products of
# attention itself, which are those of queries with keys and of probabilities with values).
_RECOMPUTED = {"none": (0, 0), "dots": (0, 0), "dots_no_batch": (0, 1), "full": (1, 1)}


@dataclasses.dataclass(frozen=True)
class Dims:
    """The dimensions of both towers.

    Attributes:
        img: The dimensions of the image tower, as in a model config without a variant.
        llm: The dimensions of the language model, as in a model config without a variant.
        pixels: The side of the square image in pixels.
    """

    img: Mapping[str, int]
    llm: Mapping[str, int]
    pixels: int

    @property
    def image_tokens(self) -> int:
        """The number of image tokens, N."""
        return (self.pixels // self.img["patch_size"]) ** 2


def dims_of(config: Any) -> Dims:
    """Returns the dimensions of the model in a recipe's config."""
    return Dims(config.model.img.to_dict(), config.model.llm.to_dict(), config.image.size)


def body_params(d: Dims) -> int:
    """Returns the number of the decoder's parameters, norms included, token table excluded."""
    m = d.llm
    norms = 4 * m["width"]
    return m["depth"] * (_layer_weights(d) + norms) + m["width"]


def embedding_params(d: Dims) -> int:
    """Returns the number of parameters of the token table, which is also the output head."""
    return d.llm["vocab_size"] * d.llm["width"]


def siglip_params(d: Dims) -> int:
    """Returns the number of the image tower's parameters, without the projector."""
    w, f = d.img["width"], d.img["mlp_dim"]
    layer = 4 * (w * w + w) + 2 * w * f + w + f + 4 * w
    patch = 3 * d.img["patch_size"] ** 2 * w + w
    return d.img["depth"] * layer + patch + d.image_tokens * w + 2 * w


def projector_params(d: Dims) -> int:
    """Returns the number of parameters of the projector."""
    return (d.img["width"] + 1) * d.llm["width"]


def token_flops(d: Dims) -> float:
    """Returns the forward FLOPs of one token in all blocks, for the products with weights."""
    return 2 * d.llm["depth"] * _layer_weights(d)


def pair_flops(d: Dims) -> float:
    """Returns the forward FLOPs of one query against one key in all blocks."""
    return 4 * d.llm["depth"] * d.llm["num_heads"] * d.llm["head_dim"]


def head_flops(d: Dims) -> float:
    """Returns the forward FLOPs of the output head at one position."""
    return 2 * embedding_params(d)


def siglip_flops(d: Dims) -> float:
    """Returns the forward FLOPs of the image tower for one image, without the projector."""
    w, n = d.img["width"], d.image_tokens
    layer = 2 * n * (4 * w * w + 2 * w * d.img["mlp_dim"]) + 4 * n * n * w
    return d.img["depth"] * layer + 2 * n * 3 * d.img["patch_size"] ** 2 * w


def pair_of_towers_flops(
    img: Mapping[str, int], txt: Mapping[str, int], pixels: int, length: int, texts: float = 1
) -> float:
    """Returns the forward FLOPs of an image and its texts in the two towers of SigLIP.

    Padding counts as well, since the text tower has no mask. A training step needs three times as
    much, and four times if gradients are accumulated, see `training.step`. The products of
    embeddings with each other are left out.

    Args:
        img, txt: The dimensions of the towers, as in a model config without a variant.
        pixels: The side of the square image in pixels.
        length: The context length in tokens.
        texts: The number of texts of an image.
    """
    w, f, n = img["width"], img["mlp_dim"], (pixels // img["patch_size"]) ** 2
    # The keys and values of all tokens, then one query, its attention, and the MLP block.
    pool = 4 * n * w * w + 4 * w * w + 4 * n * w + 4 * w * f
    text, head = txt["width"], img.get("num_classes") or w
    layer = 2 * length * (4 * text * text + 2 * text * txt["mlp_dim"]) + 4 * length**2 * text
    per_text = txt["depth"] * layer + 2 * text * head
    return siglip_flops(Dims(img, {}, pixels)) + pool + texts * per_text


def projector_flops(d: Dims) -> float:
    """Returns the forward FLOPs of the projector for one image."""
    return 2 * d.image_tokens * d.img["width"] * d.llm["width"]


def useful_pairs(image_tokens: int, prefix: float, suffix: float) -> float:
    """Returns the number of attention pairs that the mask allows in a row with one text.

    Args:
        image_tokens: The number of image tokens, N.
        prefix: The number of prefix tokens; image and prefix see each other fully.
        suffix: The number of causal tokens that the model reads.
    """
    seen = image_tokens + prefix
    return seen * seen + suffix * seen + suffix * (suffix + 1) // 2


def useful_train_flops(d: Dims, prefix: Sequence[int], suffix: Sequence[int]) -> float:
    """Returns the useful FLOPs of one training pass over examples, each with its own image.

    A forward and a backward pass together cost three forward passes. The frozen image tower counts
    once, and the projector twice, since nothing before it needs a gradient. The same count applies
    to every way of training, so that they can be compared. A way in which several texts share an
    image may do less work than this, and its MFU may then exceed its HFU.

    Args:
        d: The dimensions.
        prefix: The number of prefix tokens of each example.
        suffix: The number of tokens of each example that are learned; the model reads all of them
            but the last.
    """
    return sum(useful_example_flops(d, int(p), int(s)) for p, s in zip(prefix, suffix, strict=True))


def useful_example_flops(d: Dims, prefix: float, suffix: float, tower: bool = False) -> float:
    """Returns the useful FLOPs of one example in a training pass; see `useful_train_flops`.

    With the mean lengths of many examples it returns approximately their mean.

    Args:
        d: The dimensions.
        prefix: The number of prefix tokens.
        suffix: The number of tokens that are learned.
        tower: Whether the image tower is trained too; then it and the projector count three times.
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
    last_block_positions: int | None = None,
) -> float:
    """Returns the hardware FLOPs of one training step with a frozen image tower.

    Args:
        d: The dimensions.
        rows: The number of rows of the batch.
        text: The number of text positions of each row, padding included.
        head: The number of positions of the whole batch at which logits are computed.
        remat: The `remat_policy` of the language model.
        block: The length of a text block in tokens, if a text token attends only to the image and
            its own block, and the image does not see the text. None if every position attends to
            every other.
        last_block_positions: The number of positions of each row at which the last block computes
            its queries, its output and its feed-forward part; None if it does so at all positions.
    """
    n, m = d.image_tokens, d.llm
    length = n + text
    pairs = length**2 if block is None else n * n + text * (n + block)
    weights, own = _RECOMPUTED[remat]
    layer = _layer_weights(d)
    products = 2 * m["depth"] * layer * length
    attention = pair_flops(d) * pairs
    if last_block_positions is not None:
        kv = 2 * m["num_kv_heads"] * m["head_dim"] * m["width"]
        products -= 2 * (layer - kv) * (length - last_block_positions)
        attention -= pair_flops(d) / m["depth"] * pairs * (1 - last_block_positions / length)
    image = siglip_flops(d) + 2 * projector_flops(d)
    each = (3 + weights) * products + (3 + own) * attention + image
    return rows * each + 3 * head * head_flops(d)


def train_bytes(d: Dims, *, rows: int, text: int, head: int, compute: int, remat: str) -> float:
    """Returns a lower bound of the bytes that one training step moves, from its large arrays alone.

    It counts the float32 master weights, which are read, cast and updated, with float32 gradients
    (the factored statistics of the optimizer are small); the cast weights, which each pass reads;
    the kept activations of every layer, which are written and read once; and the float32 logits
    with their gradient. A step moves more wherever the compiler does not fuse operations.

    Args:
        d: The dimensions.
        rows: The number of rows of the batch.
        text: The number of text positions of each row.
        head: The number of positions of the whole batch at which logits are computed.
        compute: The size in bytes of a number in matrix products.
        remat: The `remat_policy` of the language model.
    """
    m = d.llm
    trained = body_params(d) + embedding_params(d) + projector_params(d)
    passes = 3 + _RECOMPUTED[remat][0]
    # Six float32 transfers: the weights are read for the cast; the gradient is written, read for
    # its norm and read for the update; the weights are read and written by the update.
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
    """Returns the bytes of weights that one decode step reads, without the KV cache.

    Args:
        d: The dimensions.
        size: The size of a number in bytes.
    """
    return size * (body_params(d) + embedding_params(d))


def kv_bytes(d: Dims, size: int = 2) -> int:
    """Returns the bytes of one token's keys and values in all blocks.

    Args:
        d: The dimensions.
        size: The size of a number in bytes.
    """
    return size * 2 * d.llm["depth"] * d.llm["num_kv_heads"] * d.llm["head_dim"]


def _layer_weights(d: Dims) -> int:
    # Returns the number of parameters in the matrices of one block.
    m = d.llm
    heads = 2 * m["num_heads"] + 2 * m["num_kv_heads"]
    return m["width"] * (heads * m["head_dim"] + 3 * m["mlp_dim"])


@dataclasses.dataclass(frozen=True)
class Device:
    """The peak rates of a device, as a roofline model needs them.

    Attributes:
        tflops: The peak rate of dense bfloat16 products, in 1e12 FLOPs per second.
        gbs: The memory bandwidth, in 1e9 bytes per second.
        kind: A regular expression of the device's name in JAX, in lower case.
    """

    tflops: float
    gbs: float
    kind: str


_SXM = r"(?!.*\b(pcie|nvl)\b)"  # PCIe and NVL cards are slower.
DEVICES = {
    "h100": Device(989, 3350, rf"\bh100\b{_SXM}"),
    "h200": Device(989, 4800, rf"\bh200\b{_SXM}"),
    "a100": Device(312, 2039, r"\ba100\b"),  # The bandwidth is that of the SXM card with 80 GB.
    "l4": Device(121, 300, r"\bl4\b"),
    "4090": Device(165, 1008, r"\b4090$"),
}


def find_device(kind: str) -> Device | None:
    """Returns the peak rates of a device by its name in JAX; None if the device is unknown."""
    return next((d for d in DEVICES.values() if re.search(d.kind, kind.lower())), None)
