"""Random PaliGemma 2 models in transformers, with which the parity tests compare ours.

Every tensor is drawn at random, norms and biases included (transformers leaves half of them
constant), and queries and keys are so large that attention logits pass the soft cap of 50.
"""

import functools
import json
from types import SimpleNamespace

import jax
import numpy as np
import pytest
import torch
import transformers

from big_rad.models import radgrounder
from big_rad.weights import huggingface

torch.set_num_threads(2)

# heads x head_dim differs from width, and no two axes have the same length.
TEXT = dict(
    model_type="gemma2",
    hidden_size=48,
    num_hidden_layers=3,
    intermediate_size=80,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=20,
    query_pre_attn_scalar=20,
    vocab_size=301,
    final_logit_softcapping=None,
)
VISION = dict(
    model_type="siglip_vision_model",
    hidden_size=36,
    num_hidden_layers=2,
    intermediate_size=52,
    num_attention_heads=3,
    patch_size=7,
    image_size=28,
    vision_use_head=False,
)


def make_reference(seed=0, text=None, vision=None, **gains):
    """Returns a random `PaliGemmaForConditionalGeneration` with eager attention (soft cap on)."""
    text = TEXT | (text or {})
    config = transformers.PaliGemmaConfig(
        text_config=text,
        vision_config=VISION | dict(projection_dim=text["hidden_size"]) | (vision or {}),
        projection_dim=text["hidden_size"],
        hidden_size=text["hidden_size"],
        image_token_index=text["vocab_size"] - 1,
        attn_implementation="eager",
    )
    model = transformers.PaliGemmaForConditionalGeneration(config).float().eval()
    randomise(model, seed, **gains)
    model.generation_config.eos_token_id = 1
    return model


def randomise(model, seed=0, query_key=3.5, embedding=1.0):
    """Draws every parameter of a torch module.

    With `embedding` below 1 the token embeddings are small beside the outputs of the layers, so
    that a token does not predict itself for ever.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            gain = 0.3
            if p.ndim > 1:
                gain = (p.numel() / p.shape[0]) ** -0.5  # Products keep their variance.
            if "embed_tokens" in name:
                gain = embedding * p.shape[1] ** -0.5
            if "language_model" in name and ("q_proj" in name or "k_proj" in name):
                gain *= query_key
            if name.endswith("language_model.norm.weight"):
                gain /= embedding
            p.copy_(gain * torch.randn(p.shape, generator=generator))
            if "layer_norm" in name and name.endswith("weight"):
                p.add_(1)


def make_batch(model, seed=0, rows=4, length=14):
    """Returns ragged prompts with suffixes and padding, in our form and in theirs."""
    config, rng = model.config, np.random.default_rng(seed)
    vocab, size = config.text_config.vocab_size, config.vision_config.image_size
    num_image = (size // config.vision_config.patch_size) ** 2
    image = rng.uniform(-1, 1, (rows, size, size, 3)).astype(np.float32)
    text = rng.integers(3, vocab - 1, (rows, length)).astype(np.int32)
    text[:, 0] = 2
    mask_ar = np.zeros_like(text)
    for i in range(rows):
        prefix, total = 2 + 2 * i, length - 2 * i
        mask_ar[i, prefix:total] = 1
        text[i, total:] = 0
    ids = np.concatenate([np.full((rows, num_image), config.image_token_id), text], axis=1)
    valid = np.concatenate([np.ones((rows, num_image), int), text != 0], axis=1)
    kinds = np.concatenate([np.zeros((rows, num_image), int), mask_ar], axis=1)
    theirs = dict(
        input_ids=torch.tensor(ids),
        attention_mask=torch.tensor(valid),
        token_type_ids=torch.tensor(kinds),
        pixel_values=torch.tensor(image.transpose(0, 3, 1, 2)),
    )
    return SimpleNamespace(
        image=image, text=text, mask_ar=mask_ar, theirs=theirs, num_image=num_image
    )


def reference_logits(model, batch):
    """Returns the logits of transformers at the text, [rows, length, vocab]."""
    with torch.no_grad():
        logits = model(**batch.theirs).logits
    return logits[:, batch.num_image :].numpy()


def our_logits(cfg, params, batch):
    """Returns our logits at the text, [rows, length, vocab]."""
    forward = _forward(json.dumps(cfg))
    return np.asarray(forward(params, batch.image, batch.text, batch.mask_ar))


@functools.cache
def _forward(cfg):
    model = radgrounder.Model(**json.loads(cfg))
    return jax.jit(lambda params, *inputs: model.apply({"params": params}, *inputs)[0])


def difference(a, b, batch):
    """Returns the largest difference between two arrays of logits at valid positions."""
    return np.abs(a - b)[batch.text != 0].max()


@pytest.fixture(scope="session")
def parity():
    """The functions and settings above, for the tests, which cannot import a conftest."""
    return SimpleNamespace(
        make_reference=make_reference,
        randomise=randomise,
        make_batch=make_batch,
        reference_logits=reference_logits,
        our_logits=our_logits,
        difference=difference,
        vision=VISION,
        text=TEXT,
    )


@pytest.fixture(scope="session")
def reference():
    """A random PaliGemma 2 of tiny dimensions."""
    return make_reference()


@pytest.fixture(scope="session")
def folder(reference, tmp_path_factory):
    """The folder in which transformers saved `reference`."""
    path = tmp_path_factory.mktemp("reference") / "hf"
    reference.save_pretrained(path)
    return path


@pytest.fixture(scope="session")
def loaded(folder):
    """`reference` as big_rad loads it: (model config, parameters)."""
    return huggingface.load(folder, log=lambda _: None)


@pytest.fixture(scope="session")
def batch(reference):
    """Prompts of different lengths for `reference`."""
    return make_batch(reference)
