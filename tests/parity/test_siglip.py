"""The image tower against transformers' SiglipVisionModel, from its own and from timm's names."""

import jax
import numpy as np
import pytest
import torch
import transformers

from big_rad.models import siglip
from big_rad.weights import huggingface, siglip_torch

TOLERANCE = 1e-4


def quiet(_):
    pass


@pytest.fixture(scope="module")
def tower(parity):
    """A random SiglipVisionModel, images, and its features for them."""
    fields = {k: v for k, v in parity.vision.items() if k != "model_type"}
    config = transformers.SiglipVisionConfig(**fields | dict(vision_use_head=True))
    model = transformers.SiglipVisionModel(config).eval()
    parity.randomise(model, seed=3)
    image = np.random.default_rng(0).uniform(-1, 1, (2, 28, 28, 3)).astype(np.float32)
    with torch.no_grad():
        features = model(torch.tensor(image.transpose(0, 3, 1, 2))).last_hidden_state
    return model, image, features.numpy()


def timm_names(model):
    """Renames the tensors of a SiglipVisionModel as open_clip saves a timm tower."""
    theirs = {n.removeprefix("vision_model."): t.detach() for n, t in model.state_dict().items()}
    out = {
        "patch_embed.proj.weight": theirs["embeddings.patch_embedding.weight"],
        "patch_embed.proj.bias": theirs["embeddings.patch_embedding.bias"],
        "pos_embed": theirs["embeddings.position_embedding.weight"][None],
        "norm.weight": theirs["post_layernorm.weight"],
        "norm.bias": theirs["post_layernorm.bias"],
        "attn_pool.latent": torch.zeros(1, 1, 36),
        "attn_pool.q.weight": torch.zeros(36, 36),
    }
    for i in range(model.config.num_hidden_layers):
        a, b = f"encoder.layers.{i}.", f"blocks.{i}."
        for kind in ("weight", "bias"):
            qkv = [theirs[f"{a}self_attn.{x}_proj.{kind}"] for x in "qkv"]
            out[f"{b}attn.qkv.{kind}"] = torch.cat(qkv)
            out[f"{b}attn.proj.{kind}"] = theirs[f"{a}self_attn.out_proj.{kind}"]
            for x, y in (("norm1", "layer_norm1"), ("norm2", "layer_norm2")):
                out[f"{b}{x}.{kind}"] = theirs[f"{a}{y}.{kind}"]
            for x in ("fc1", "fc2"):
                out[f"{b}mlp.{x}.{kind}"] = theirs[f"{a}mlp.{x}.{kind}"]
    return out


def features(cfg, params, image):
    _, out = siglip.Model(**cfg).apply({"params": params}, image)
    return np.asarray(out["encoded"])


CFG = dict(width=36, depth=2, mlp_dim=52, num_heads=3, patch_size=7)


def test_features_agree_from_the_names_of_transformers(tower, tmp_path):
    model, image, want = tower
    model.save_pretrained(tmp_path)
    cfg, flat = huggingface.read_siglip(tmp_path, log=quiet)
    assert cfg == CFG
    params = {}
    for name, value in flat.items():
        node = params
        *path, leaf = name.removeprefix("img/").split("/")
        for key in path:
            node = node.setdefault(key, {})
        node[leaf] = np.asarray(value)
    assert want.std() > 0.3
    assert np.abs(features(cfg, params, image) - want).max() < TOLERANCE


@pytest.mark.parametrize(
    "prefix", ["", "trunk.", "visual.trunk.", "model.visual.trunk.", "module.visual.trunk."]
)
def test_features_agree_from_the_names_of_timm(prefix, tower, tmp_path):
    model, image, want = tower
    state = {prefix + n: t for n, t in timm_names(model).items()}
    state |= {"model.text.token_embedding.weight": torch.zeros(2), "logit_scale": torch.ones(())}
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "tower.pt")
    left_out = []
    params = siglip_torch.load(tmp_path / "tower.pt", num_heads=3, log=left_out.append)
    assert np.abs(features(CFG, params, image) - want).max() < TOLERANCE
    assert len(left_out) == 4 and any("attn_pool.latent" in line for line in left_out)
    assert "head" not in params


def test_query_key_and_value_in_another_order_are_noticed(tower, tmp_path):
    model, image, want = tower
    state = timm_names(model)
    for name in [n for n in state if ".qkv." in n]:
        q, k, v = state[name].chunk(3)
        state[name] = torch.cat([k, q, v])
    torch.save(state, tmp_path / "tower.pt")
    params = siglip_torch.load(tmp_path / "tower.pt", num_heads=3, log=quiet)
    assert np.abs(features(CFG, params, image) - want).max() > 10 * TOLERANCE


def test_bf16_tower_keeps_its_bits(tower, tmp_path):
    state = {n: t.bfloat16() for n, t in timm_names(tower[0]).items()}
    torch.save(state, tmp_path / "tower.pth")
    params = siglip_torch.load(tmp_path / "tower.pth", num_heads=3, log=quiet)
    assert {str(x.dtype) for x in jax.tree.leaves(params)} == {"bfloat16"}
    want = state["norm.weight"].float().numpy()
    np.testing.assert_array_equal(
        params["Transformer"]["encoder_norm"]["scale"].astype(np.float32), want
    )
