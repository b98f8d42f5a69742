"""Loss and gradients of a random PaliGemma 2 against transformers'."""

import flax
import jax
import numpy as np
import pytest
import torch

from big_rad.models import radgrounder
from big_rad.training import losses

# Our name: (their name, a function from their array to ours).
TENSORS = {
    "img/embedding/kernel": (
        "model.vision_tower.embeddings.patch_embedding.weight",
        lambda x: x.transpose(2, 3, 1, 0),
    ),
    "llm/layers/attn/q_einsum/w": (
        "model.language_model.layers.{}.self_attn.q_proj.weight",
        lambda x: x.reshape(4, 20, 48).transpose(0, 2, 1),
    ),
    "llm/layers/post_ffw_norm/scale": (
        "model.language_model.layers.{}.post_feedforward_layernorm.weight",
        lambda x: x,
    ),
    "llm/embedder/input_embedding": ("model.language_model.embed_tokens.weight", lambda x: x),
}


@pytest.fixture(scope="module")
def ours(loaded, batch):
    """Our loss, and our gradients by flat name."""
    cfg, params = loaded
    inputs = dict(
        image=batch.image,
        text=batch.text,
        mask_ar=batch.mask_ar,
        mask_loss=batch.mask_ar,  # The suffix is learned.
    )

    def loss(p):
        return losses.text_xent(radgrounder.Model(**cfg), p, inputs, None)[0]

    value, grads = jax.jit(jax.value_and_grad(loss))(params)
    return float(value), flax.traverse_util.flatten_dict(grads, sep="/")


@pytest.fixture(scope="module")
def theirs(reference, batch):
    """The loss and the gradients by name in transformers."""
    labels = batch.theirs["input_ids"].clone()
    labels[batch.theirs["token_type_ids"] == 0] = -100
    reference.zero_grad()
    out = reference(**batch.theirs, labels=labels)
    out.loss.backward()
    grads = {n: p.grad.numpy().copy() for n, p in reference.named_parameters()}
    reference.zero_grad()
    return out.loss.item(), grads


def test_text_loss_of_a_batch_agrees(ours, theirs):
    assert theirs[0] > 1
    assert abs(ours[0] - theirs[0]) < 1e-5


@pytest.mark.parametrize("name", TENSORS)
def test_gradient_agrees(name, ours, theirs):
    template, to_ours = TENSORS[name]
    if "{}" in template:
        want = np.stack([to_ours(theirs[1][template.format(i)]) for i in range(3)])
    else:
        want = to_ours(theirs[1][template])
    got = np.asarray(ours[1][name])
    assert np.abs(want).max() > 1e-3
    assert np.linalg.norm(got - want) < 1e-4 * np.linalg.norm(want)


def test_no_gradient_depends_on_torch_state_left_behind(reference):
    assert all(p.grad is None or not torch.any(p.grad) for p in reference.parameters())
