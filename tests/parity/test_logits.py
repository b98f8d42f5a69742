"""Logits of a random PaliGemma 2 against transformers'."""

import flax
import numpy as np
import pytest
import transformers.models.gemma2.modeling_gemma2 as gemma2

from big_rad.weights import huggingface

TOLERANCE = 1e-4


def quiet(_):
    pass


def swap(params, a, b):
    flat = flax.traverse_util.flatten_dict(params, sep="/")
    flat[a], flat[b] = flat[b], flat[a]
    return flax.traverse_util.unflatten_dict(flat, sep="/")


def without(params, name):
    flat = flax.traverse_util.flatten_dict(params, sep="/")
    flat[name] = np.zeros_like(flat[name])
    return flax.traverse_util.unflatten_dict(flat, sep="/")


def largest_attention_logits(reference, batch, parity):
    """Returns the largest attention logit of each layer, before the soft cap."""
    found = []

    def look(module, args, kwargs):
        x = kwargs["hidden_states"]
        q, k = (
            f(x).view(*x.shape[:2], -1, module.head_dim).transpose(1, 2)
            for f in (module.q_proj, module.k_proj)
        )
        q, k = gemma2.apply_rotary_pos_emb(q, k, *kwargs["position_embeddings"])
        k = gemma2.repeat_kv(k, module.num_key_value_groups)
        found.append(float((q @ k.transpose(2, 3) * module.scaling).abs().max()))

    layers = reference.model.language_model.layers
    hooks = [x.self_attn.register_forward_pre_hook(look, with_kwargs=True) for x in layers]
    parity.reference_logits(reference, batch)
    for hook in hooks:
        hook.remove()
    return found


def test_the_oracle_reaches_the_soft_cap_and_has_no_constant_tensor(reference, batch, parity):
    assert min(largest_attention_logits(reference, batch, parity)) > 50
    for name, p in reference.named_parameters():
        assert p.detach().std() > 0.05 * (p.numel() > 1), name


def test_logits_agree_over_ragged_prompts_with_padding(reference, loaded, batch, parity):
    want = parity.reference_logits(reference, batch)
    got = parity.our_logits(*loaded, batch)
    assert want.std() > 0.5
    assert parity.difference(got, want, batch) < TOLERANCE


def test_final_soft_cap_of_the_config_is_applied(tmp_path, batch, parity):
    reference = parity.make_reference(seed=1, text=dict(final_logit_softcapping=2.0))
    reference.save_pretrained(tmp_path)
    cfg, params = huggingface.load(tmp_path, log=quiet)
    assert cfg["llm"]["final_logits_softcap"] == 2.0
    want = parity.reference_logits(reference, batch)
    assert parity.difference(parity.our_logits(cfg, params, batch), want, batch) < TOLERANCE
    uncapped = parity.our_logits(
        *huggingface.load(tmp_path, final_logits_softcap=0, log=quiet), batch
    )
    assert parity.difference(uncapped, want, batch) > 0.1


def test_query_scale_of_the_27b_decoder_is_that_of_the_config(tmp_path, batch, parity):
    reference = parity.make_reference(text=dict(query_pre_attn_scalar=25))
    reference.save_pretrained(tmp_path)
    cfg, params = huggingface.load(tmp_path, log=quiet)
    assert cfg["llm"]["query_scale"] == 0.2 != cfg["llm"]["head_dim"] ** -0.5
    got = parity.our_logits(cfg, params, batch)
    want = parity.reference_logits(reference, batch)
    assert parity.difference(got, want, batch) < TOLERANCE


MUTATIONS = {
    "two norms swapped": lambda cfg, p: (
        cfg,
        swap(p, "llm/layers/post_attention_norm/scale", "llm/layers/pre_ffw_norm/scale"),
    ),
    "soft cap off": lambda cfg, p: (cfg | {"llm": cfg["llm"] | {"attn_logits_softcap": 0.0}}, p),
    "projector bias dropped": lambda cfg, p: (cfg, without(p, "img/head/bias")),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mutation_is_noticed(name, reference, loaded, batch, parity):
    want = parity.reference_logits(reference, batch)
    got = parity.our_logits(*MUTATIONS[name](*loaded), batch)
    assert parity.difference(got, want, batch) > 10 * TOLERANCE


def test_every_tensor_matters_to_the_logits(reference, loaded, batch, parity):
    # The exception is SigLIP's key bias. It adds one number to all logits of a query, and softmax
    # ignores that.
    cfg, params = loaded
    want = parity.reference_logits(reference, batch)
    for name in flax.traverse_util.flatten_dict(params, sep="/"):
        got = parity.our_logits(cfg, without(params, name), batch)
        noticed = parity.difference(got, want, batch) > 10 * TOLERANCE
        assert noticed == (not name.endswith("/key/bias")), name


@pytest.mark.slow
def test_logits_agree_at_the_true_widths_of_3b(tmp_path, parity):
    text = dict(
        hidden_size=2304,
        num_hidden_layers=2,
        intermediate_size=9216,
        num_attention_heads=8,
        num_key_value_heads=4,
        head_dim=256,
        query_pre_attn_scalar=256,
        vocab_size=4096,
    )
    vision = dict(
        hidden_size=1152,
        num_hidden_layers=2,
        intermediate_size=4304,
        num_attention_heads=16,
        patch_size=14,
        image_size=224,
    )
    reference = parity.make_reference(text=text, vision=vision)
    batch = parity.make_batch(reference, rows=2, length=12)
    assert min(largest_attention_logits(reference, batch, parity)) > 50
    want = parity.reference_logits(reference, batch)
    reference.save_pretrained(tmp_path, max_shard_size="300MB")
    del reference
    got = parity.our_logits(*huggingface.load(tmp_path, log=quiet), batch)
    assert parity.difference(got, want, batch) < TOLERANCE
