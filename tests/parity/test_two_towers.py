"""The two towers and their loss against transformers' SiglipModel with random weights."""

import jax
import numpy as np
import pytest
import torch
import transformers

from big_rad import trees
from big_rad.models import two_towers
from big_rad.training import losses
from big_rad.weights import two_towers as weights

SIZES = dict(hidden_size=36, num_hidden_layers=2, num_attention_heads=3)
TEXT = dict(SIZES, intermediate_size=52, vocab_size=99, max_position_embeddings=12)
VISION = dict(SIZES, intermediate_size=60, image_size=28, patch_size=7)
CFG = dict(
    img=dict(width=36, depth=2, mlp_dim=60, num_heads=3, patch_size=7),
    txt=dict(width=36, depth=2, mlp_dim=52, num_heads=3, vocab_size=99, length=12),
)
ROWS = 6


@pytest.fixture(scope="module")
def theirs(parity):
    """A random SiglipModel."""
    config = transformers.SiglipConfig(text_config=TEXT, vision_config=VISION)
    model = transformers.SiglipModel(config).eval()
    parity.randomise(model, seed=3)
    with torch.no_grad():
        model.logit_scale.fill_(1.7)
        model.logit_bias.fill_(-2.3)
    return model


@pytest.fixture(scope="module")
def loaded(theirs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("siglip")
    theirs.save_pretrained(folder)
    cfg, flat = weights.read(folder)
    return cfg, trees.unflatten({n: np.asarray(x) for n, x in flat.items()})


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)
    text = rng.integers(2, 99, (ROWS, 12)).astype(np.int32)
    text[2, 5:] = 1  # Padding is seen like any other token.
    keys = np.arange(1, ROWS + 1, dtype=np.int32)
    keys = np.stack([keys, keys], 1)
    return {
        "image": rng.uniform(-1, 1, (ROWS, 28, 28, 3)).astype(np.float32),
        "text": text,
        "image_key": keys,
        "text_keys": keys[:, None],
    }


def theirs_of(model, batch):
    image = torch.tensor(batch["image"].transpose(0, 3, 1, 2))
    return model(torch.tensor(batch["text"]).long(), image, return_loss=True)


def test_the_config_is_read_from_the_folder(loaded):
    txt = CFG["txt"] | dict(num_classes=36)
    assert loaded[0] == CFG | dict(txt=txt)


def test_embeddings_and_loss_agree(theirs, loaded, batch):
    cfg, params = loaded
    with torch.no_grad():
        want = theirs_of(theirs, batch)
    model = two_towers.Model(**cfg)
    (image, text), out = jax.jit(model.apply)({"params": params}, batch["image"], batch["text"])
    assert want.image_embeds.numpy().std(0).mean() > 0.01  # They depend on the image.
    np.testing.assert_allclose(image, want.image_embeds, atol=1e-4)
    np.testing.assert_allclose(text, want.text_embeds, atol=1e-4)
    np.testing.assert_allclose(out["t"], np.exp(1.7), rtol=1e-6)
    loss, metrics = losses.get("sigmoid_pairs()")(model, params, batch, None)
    np.testing.assert_allclose(loss, want.loss.item(), rtol=1e-5)
    assert metrics["positives"] == 1


def test_gradients_agree(theirs, loaded, batch):
    cfg, params = loaded
    theirs.zero_grad()
    theirs_of(theirs, batch).loss.backward()
    state = {n: p.grad for n, p in theirs.named_parameters()}
    model = two_towers.Model(**cfg)
    loss = losses.get("sigmoid_pairs()")
    grads = jax.jit(jax.grad(lambda p: loss(model, p, batch, None)[0]))(params)
    flat = trees.flatten(grads)
    pairs = [
        (flat["img/embedding/bias"], state["vision_model.embeddings.patch_embedding.bias"]),
        (flat["img/MAPHead_0/probe"], state["vision_model.head.probe"]),
        (
            flat["txt/Embed_0/embedding"],
            state["text_model.embeddings.token_embedding.weight"],
        ),
        (flat["txt/head/kernel"].T, state["text_model.head.weight"]),
        (flat["t"], state["logit_scale"]),
        (flat["b"], state["logit_bias"]),
    ]
    for ours, want in pairs:
        want = want.numpy()
        assert np.abs(ours - want).max() <= 1e-4 * np.abs(want).max()


@pytest.mark.parametrize("kind", weights.LAYOUTS)
def test_both_directions_are_bit_equal(theirs, loaded, kind, tmp_path):
    cfg, params = loaded
    flat, heads = trees.flatten(params), (3, 3)
    written = dict(weights.write(flat, kind))
    torch.save({n: torch.tensor(x) for n, x in written.items()}, tmp_path / "siglip.pt")
    again, back = weights.read(tmp_path / "siglip.pt", heads)
    assert again == cfg and back.keys() == flat.keys()
    for name, value in back.items():
        np.testing.assert_array_equal(np.asarray(value), flat[name], err_msg=name)
    if kind == "huggingface":
        state = theirs.state_dict()
        assert written.keys() == state.keys()
        for name, value in written.items():
            np.testing.assert_array_equal(value, state[name].numpy(), err_msg=name)


def renamed(state):
    """Returns the tensors of a SiglipModel under open_clip's names, renamed one by one."""
    words = {
        "vision_model.embeddings.patch_embedding": "visual.trunk.patch_embed.proj",
        "vision_model.post_layernorm": "visual.trunk.norm",
        "vision_model.encoder.layers.": "visual.trunk.blocks.",
        "vision_model.head.": "visual.trunk.attn_pool.",
        "text_model.embeddings.token_embedding": "text.token_embedding",
        "text_model.final_layer_norm": "text.ln_final",
        "text_model.head": "text.text_projection",
        "text_model.encoder.layers.": "text.transformer.resblocks.",
    }
    found = {}
    for name, value in state.items():
        for theirs, word in words.items():
            name = name.replace(theirs, word)
        if name.startswith("visual."):
            pairs = [("layer_norm", "norm"), ("layernorm", "norm"), ("attention.out_proj", "proj")]
            pairs += [("self_attn.out_proj", "attn.proj"), (".probe", ".latent")]
        else:
            pairs = [("layer_norm", "ln_"), ("self_attn", "attn")]
            pairs += [("mlp.fc1", "mlp.c_fc"), ("mlp.fc2", "mlp.c_proj")]
        for theirs, word in pairs:
            name = name.replace(theirs, word)
        found[name] = value
    found["visual.trunk.pos_embed"] = found.pop(
        "vision_model.embeddings.position_embedding.weight"
    )[None]
    found["text.positional_embedding"] = found.pop(
        "text_model.embeddings.position_embedding.weight"
    )
    for kind in ("weight", "bias"):
        q, k, v = found.pop(f"visual.trunk.attn_pool.attention.in_proj_{kind}").chunk(3)
        found[f"visual.trunk.attn_pool.q.{kind}"] = q
        found[f"visual.trunk.attn_pool.kv.{kind}"] = torch.cat([k, v])
        for i in range(2):
            for block, name in (
                (f"visual.trunk.blocks.{i}.self_attn", f"visual.trunk.blocks.{i}.attn.qkv.{kind}"),
                (
                    f"text.transformer.resblocks.{i}.attn",
                    f"text.transformer.resblocks.{i}.attn.in_proj_{kind}",
                ),
            ):
                parts = [found.pop(f"{block}.{n}_proj.{kind}") for n in "qkv"]
                found[name] = torch.cat(parts)
    for name in ("logit_scale", "logit_bias"):
        found[name] = found[name].reshape(())
    return found


def test_embeddings_agree_if_the_tensors_have_open_clips_names(theirs, batch, tmp_path):
    torch.save(renamed(theirs.state_dict()), tmp_path / "open_clip_pytorch_model.bin")
    cfg, flat = weights.read(tmp_path / "open_clip_pytorch_model.bin", num_heads=(3, 3))
    params = trees.unflatten({n: np.asarray(x) for n, x in flat.items()})
    with torch.no_grad():
        want = theirs_of(theirs, batch)
    model = two_towers.Model(**cfg)
    (image, text), _ = jax.jit(model.apply)({"params": params}, batch["image"], batch["text"])
    np.testing.assert_allclose(image, want.image_embeds, atol=1e-4)
    np.testing.assert_allclose(text, want.text_embeds, atol=1e-4)
