import numpy as np
import pytest
import torch

from big_rad import weights
from big_rad.models import siglip
from big_rad.weights import siglip_names, siglip_torch


def state(width=768, depth=2, mlp=8, patch=2, positions=4, prefix="visual.trunk."):
    """Returns a tower of zeros with the names of timm."""
    shapes = {
        "patch_embed.proj.weight": (width, 3, patch, patch),
        "patch_embed.proj.bias": (width,),
        "pos_embed": (1, positions, width),
        "norm.weight": (width,),
        "norm.bias": (width,),
    }
    for i in range(depth):
        b = f"blocks.{i}."
        shapes |= {f"{b}norm{j}.{k}": (width,) for j in (1, 2) for k in ("weight", "bias")}
        shapes |= {f"{b}attn.qkv.weight": (3 * width, width), f"{b}attn.qkv.bias": (3 * width,)}
        shapes |= {f"{b}attn.proj.weight": (width, width), f"{b}attn.proj.bias": (width,)}
        shapes |= {f"{b}mlp.fc1.weight": (mlp, width), f"{b}mlp.fc1.bias": (mlp,)}
        shapes |= {f"{b}mlp.fc2.weight": (width, mlp), f"{b}mlp.fc2.bias": (width,)}
    return {prefix + n: torch.zeros(s) for n, s in shapes.items()}


def load(tmp_path, tensors, **kw):
    torch.save(tensors, tmp_path / "a.pt")
    return siglip_torch.load(tmp_path / "a.pt", log=lambda _: None, **kw)


def test_heads_of_published_widths_are_known_and_others_are_asked_for(tmp_path):
    attention = load(tmp_path, state())["Transformer"]["encoderblock"]
    kernel = attention["MultiHeadDotProductAttention_0"]["query"]["kernel"]
    assert kernel.shape == (2, 768, 12, 64)
    with pytest.raises(ValueError, match="Give num_heads"):
        load(tmp_path, state(width=36))
    kernel = load(tmp_path, state(width=36), num_heads=3)
    kernel = kernel["Transformer"]["encoderblock"]["MultiHeadDotProductAttention_0"]["out"]
    assert kernel["kernel"].shape == (2, 3, 12, 36)
    assert siglip.VARIANTS["So400m/14"]["num_heads"] == siglip_names.HEADS[1152]


def test_query_key_and_value_come_in_this_order(tmp_path):
    tensors = state()
    tensors["visual.trunk.blocks.1.attn.qkv.bias"] = torch.arange(3.0).repeat_interleave(768)
    block = load(tmp_path, tensors)["Transformer"]["encoderblock"]
    for value, name in enumerate(("query", "key", "value")):
        bias = block["MultiHeadDotProductAttention_0"][name]["bias"]
        np.testing.assert_array_equal(bias[1], np.full((12, 64), value))


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda s: s.pop("visual.trunk.blocks.0.mlp.fc1.bias"), "missing: .*layers.0.mlp.fc1.bias"),
        (lambda s: s.pop("visual.trunk.pos_embed"), "missing: embeddings.position_embedding"),
        (
            lambda s: s.update({"visual.trunk.blocks.0.ls1.gamma": torch.zeros(1)}),
            "unexpected: visual.trunk.blocks.0.ls1.gamma",
        ),
        (
            lambda s: s.update({"visual.trunk.blocks.1.mlp.fc1.weight": torch.zeros(768, 8)}),
            r"shape: .*layers.1.mlp.fc1.weight is \(768, 8\)",
        ),
        (lambda s: s.pop("visual.trunk.patch_embed.proj.weight"), "no SigLIP image tower"),
    ],
)
def test_a_tensor_that_is_missing_extra_or_misshaped_is_named(change, message, tmp_path):
    tensors = state()
    change(tensors)
    with pytest.raises(ValueError, match=message):
        load(tmp_path, tensors)


def test_the_tower_goes_through_the_common_door_as_img(tmp_path):
    torch.save(state(), tmp_path / "a.pt")
    tree = weights.load(tmp_path / "a.pt", log=lambda _: None)
    assert list(tree) == ["img"] and "head" not in tree["img"]
