"""Greedy generation of a random PaliGemma 2 against transformers'."""

import numpy as np
import torch

from big_rad.inference import decode
from big_rad.models import radgrounder
from big_rad.weights import huggingface

STEPS = 64


def theirs(reference, batch, row, length):
    """Generates for one row without padding, so that transformers handles no padding."""
    width = batch.num_image + length
    inputs = {k: v[row : row + 1, :width] for k, v in batch.theirs.items() if k != "pixel_values"}
    inputs["token_type_ids"] = torch.zeros_like(inputs["token_type_ids"])
    with torch.no_grad():
        out = reference.generate(
            **inputs,
            pixel_values=batch.theirs["pixel_values"][row : row + 1],
            max_new_tokens=STEPS,
            do_sample=False,
            eos_token_id=None,
        )
    return out[0, width:].numpy()


def test_greedy_generation_gives_the_same_64_tokens_for_ragged_prompts(tmp_path, batch, parity):
    reference = parity.make_reference(query_key=2.0, embedding=0.3)
    reference.save_pretrained(tmp_path)
    cfg, params = huggingface.load(tmp_path, log=lambda _: None)
    lengths = [9, 4, 7]
    text = batch.text[:3].copy()
    for row, length in enumerate(lengths):
        text[row, length:] = 0
    generate = decode.make_generate(
        radgrounder.Model(**cfg),
        max_new_tokens=STEPS,
        vocab_size=cfg["llm"]["vocab_size"],
        never=(),
        eos_id=-1,
    )
    got = generate(params, batch.image[:3], text, np.zeros_like(text))
    want = np.stack([theirs(reference, batch, i, n) for i, n in enumerate(lengths)])
    assert len(np.unique(want)) > 30
    np.testing.assert_array_equal(got["tokens"], want)
