"""The released mask decoder against PyTorch code written here from its description.

Let h be the prompt, P its initial value, K the projected image tokens, and LN a layer norm. Block i
computes:

    h <- LN(h + attn(q=k=h (+P if i>0), v=h))
    h <- LN(h + attn(q=h+P, k=v=K))
    h <- LN(h + mlp(h))
    K <- LN(K + attn(q=K, k=h+P, v=h))

After the last block h <- LN(h + attn(q=h, k=v=K)). The logits are linear(K + h), 16 x 16 numbers,
which are resized bilinearly to 224 x 224. The loss is binary cross entropy plus dice.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from big_rad.models import mask_decoder
from big_rad.training import losses
from big_rad.weights import mask_decoder as weights

torch = pytest.importorskip("torch")
F = torch.nn.functional

C, D, N, M, HEADS = 24, 32, 256, 5, 8
PREFIX = "segmentation_head."


def random_state(seed=0):
    """Returns a state dict with the published names; all tensors are random, norms included."""
    rng = np.random.default_rng(seed)
    state = {}

    def linear(name, out, into):
        state[f"{name}.weight"] = rng.normal(0, into**-0.5, (out, into)).astype(np.float32)
        state[f"{name}.bias"] = rng.normal(0, 0.3, out).astype(np.float32)

    def norm(name):
        state[f"{name}.weight"] = rng.normal(1, 0.3, D).astype(np.float32)
        state[f"{name}.bias"] = rng.normal(0, 0.3, D).astype(np.float32)

    def attention(name):
        for part in "qkv":
            linear(f"{name}.{part}_proj", D, D)
        linear(f"{name}.out_proj", D, D)

    linear("img_projection", D, C)
    for i in range(2):
        at = f"transformer.layers.{i}"
        for name in ("self_attn", "cross_attn_token_to_image", "cross_attn_image_to_token"):
            attention(f"{at}.{name}")
        for k in range(1, 5):
            norm(f"{at}.norm{k}")
        linear(f"{at}.mlp.0", 4 * D, D)
        linear(f"{at}.mlp.2", D, 4 * D)
    attention("transformer.final_attn_token_to_image")
    norm("transformer.norm_final_attn")
    linear("output_proj", 1, D)
    return state


def oracle(state, features, prompt, size):
    """Returns the logits [M, size, size] by the formulas above."""

    def linear(x, name):
        return F.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])

    def norm(x, name):
        return F.layer_norm(x, (D,), state[f"{name}.weight"], state[f"{name}.bias"], 1e-5)

    def attn(q, k, v, name):
        q, k, v = (
            linear(x, f"{name}.{p}_proj").unflatten(-1, (HEADS, D // HEADS)).transpose(1, 2)
            for p, x in zip("qkv", (q, k, v))
        )
        mixed = torch.softmax(q @ k.transpose(-1, -2) / (D // HEADS) ** 0.5, -1) @ v
        return linear(mixed.transpose(1, 2).flatten(2), f"{name}.out_proj")

    h, keys = prompt[:, None], linear(features, "img_projection")
    p = h
    for i in range(2):
        at = f"transformer.layers.{i}"
        q = h + p if i else h
        h = norm(h + attn(q, q, h, f"{at}.self_attn"), f"{at}.norm1")
        h = norm(h + attn(h + p, keys, keys, f"{at}.cross_attn_token_to_image"), f"{at}.norm2")
        h = norm(h + linear(F.gelu(linear(h, f"{at}.mlp.0")), f"{at}.mlp.2"), f"{at}.norm3")
        image = attn(keys, h + p, h, f"{at}.cross_attn_image_to_token")
        keys = norm(keys + image, f"{at}.norm4")
    last = attn(h, keys, keys, "transformer.final_attn_token_to_image")
    h = norm(h + last, "transformer.norm_final_attn")
    logits = linear(keys + h, "output_proj").transpose(1, 2).reshape(-1, 1, 16, 16)
    return F.interpolate(logits, (size, size), mode="bilinear", align_corners=False)[:, 0]


def oracle_loss(logits, target):
    bce = F.binary_cross_entropy_with_logits(logits, target)
    p = torch.sigmoid(logits)
    both, sums = (p * target).sum((1, 2)), p.sum((1, 2)) + target.sum((1, 2)) + 1e-6
    return bce + (1 - 2 * both / sums).mean()


@pytest.fixture(scope="module")
def case():
    rng = np.random.default_rng(1)
    features = rng.normal(0, 2, (M, N, C)).astype(np.float32)
    prompt = rng.normal(0, 2, (M, D)).astype(np.float32)
    target = np.zeros((M, 224, 224), np.float32)
    for k in range(M):
        target[k, 20 * k : 20 * k + 90, 30:140] = 1
    return random_state(), features, prompt, target


def ours(state):
    cfg, params = weights.mask_decoder_from_torch(state)
    return mask_decoder.Model(**cfg), params


def test_mask_logits_are_those_of_the_description(case):
    state, features, prompt, _ = case
    model, params = ours(state)
    found, out = jax.jit(model.apply)({"params": params}, features, prompt)
    tensors = {k: torch.from_numpy(v) for k, v in state.items()}
    want = oracle(tensors, torch.from_numpy(features), torch.from_numpy(prompt), 224).numpy()
    assert found.shape == (M, 224, 224) and out["small"].shape == (M, 16, 16)
    assert np.ptp(want) > 1
    np.testing.assert_allclose(found, want, atol=1e-4)


def test_loss_and_gradients_are_those_of_the_description(case):
    state, features, prompt, target = case
    model, params = ours(state)

    def loss(params, features, prompt):
        logits, _ = model.apply({"params": params}, features, prompt)
        return (losses.bce(logits, target) + losses.dice(logits, target)).mean()

    value, grads = jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2)))(params, features, prompt)
    tensors = {k: torch.tensor(v, requires_grad=True) for k, v in state.items()}
    inputs = [torch.tensor(x, requires_grad=True) for x in (features, prompt)]
    want = oracle_loss(oracle(tensors, *inputs, 224), torch.from_numpy(target))
    want.backward()
    np.testing.assert_allclose(value, want.item(), atol=1e-5)
    flat = weights.to_torch(grads[0])
    for name in (
        "img_projection.weight",
        "transformer.layers.0.self_attn.v_proj.weight",
        "transformer.layers.1.cross_attn_token_to_image.q_proj.weight",
        "transformer.layers.1.mlp.0.bias",
        "transformer.norm_final_attn.weight",
        "output_proj.weight",
    ):
        wanted = tensors[name].grad.numpy()
        error = np.abs(flat[name] - wanted).max() / np.abs(wanted).max()
        assert error < 1e-4, (name, error)
    for found, tensor in zip(grads[1:], inputs, strict=True):
        wanted = tensor.grad.numpy()
        assert np.abs(np.asarray(found) - wanted).max() < 1e-4 * np.abs(wanted).max()


@pytest.mark.parametrize("name", sorted(random_state()))
def test_every_tensor_matters_that_softmax_can_see(case, name):
    state, features, prompt, _ = case
    model, params = ours(state)
    _, other = ours(state | {name: np.zeros_like(state[name])})
    a, b = (model.apply({"params": p}, features, prompt)[1]["small"] for p in (params, other))
    difference = jnp.abs(a - b).max()
    # The bias of the keys adds one number to all logits of a query, and softmax ignores that. Over
    # a single token the softmax is always 1, so queries and keys do not matter.
    over_one_token = any(k in name for k in (".self_attn.", ".cross_attn_image_to_token."))
    unseen = name.endswith("k_proj.bias") or (
        over_one_token and any(k in name for k in (".q_proj.", ".k_proj."))
    )
    assert difference < 1e-4 if unseen else difference > 1e-3
