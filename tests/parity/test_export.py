"""transformers loads the folders that big_rad writes, and a round trip loses no bit."""

import json

import flax
import jax
import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
import transformers
from PIL import Image

from big_rad.pp import tokenizer as tokenizers
from big_rad.weights import huggingface, npz


def quiet(_):
    pass


def flat(params):
    return flax.traverse_util.flatten_dict(params, sep="/")


def tensors_of(folder):
    found = {}
    for file in folder.glob("*.safetensors"):
        found |= safetensors.numpy.load_file(file)
    return found


def assert_same_bits(a, b):
    assert a.keys() == b.keys()
    for name in a:
        x, y = np.asarray(a[name]), np.asarray(b[name])
        assert x.dtype == y.dtype and x.shape == y.shape, name
        assert x.tobytes() == y.tobytes(), name


@pytest.mark.parametrize("shard", [2**31, 30_000])
def test_transformers_loads_what_is_exported_and_gives_the_same_logits(
    shard, tmp_path, reference, loaded, batch, parity
):
    files = huggingface.save(tmp_path / "out", *loaded, max_shard_bytes=shard, image_token=300)
    assert ("model.safetensors" in files) == (shard > 1e6)
    model, info = transformers.PaliGemmaForConditionalGeneration.from_pretrained(
        tmp_path / "out", attn_implementation="eager", output_loading_info=True
    )
    assert not info["missing_keys"] and not info["unexpected_keys"]
    assert not info["mismatched_keys"] and not info.get("error_msgs")
    got = parity.reference_logits(model.eval(), batch)
    np.testing.assert_array_equal(got, parity.reference_logits(reference, batch))


def test_bf16_is_exported_and_loaded_as_bf16(tmp_path, loaded):
    cfg, params = loaded
    half = jax.tree.map(lambda x: x.astype(ml_dtypes.bfloat16), params)
    huggingface.save(tmp_path / "out", cfg, half, image_token=300)
    config = json.loads((tmp_path / "out/config.json").read_text())
    assert config["dtype"] == "bfloat16"
    model = transformers.PaliGemmaForConditionalGeneration.from_pretrained(tmp_path / "out")
    assert str(model.dtype) == "torch.bfloat16"
    assert_same_bits(flat(huggingface.load(tmp_path / "out", log=quiet)[1]), flat(half))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_hf_to_npz_to_hf_is_bit_equal(dtype, tmp_path, folder, reference, loaded):
    cfg, params = huggingface.load(folder, dtype=dtype, log=quiet)
    npz.save(tmp_path / "a.npz", params)
    back = npz.load(tmp_path / "a.npz")
    assert_same_bits(flat(params), flat(back))
    huggingface.save(tmp_path / "hf", cfg, back)
    got = tensors_of(tmp_path / "hf")
    assert {str(x.dtype) for x in got.values()} == {dtype}
    if dtype == "float32":
        want = tensors_of(folder)
        renamed = {
            n.replace("vision_tower.", "vision_tower.vision_model."): x for n, x in want.items()
        }
        assert_same_bits(got, renamed)


def test_npz_to_big_rad_to_npz_is_equal_byte_for_byte(tmp_path, loaded):
    _, params = loaded
    params = {**params, "img": jax.tree.map(lambda x: x.astype(ml_dtypes.bfloat16), params["img"])}
    npz.save(tmp_path / "a.npz", params)
    npz.save(tmp_path / "b.npz", npz.load(tmp_path / "a.npz"))
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_the_processor_of_transformers_makes_our_rows_from_an_exported_folder(tmp_path, parity):
    reference = parity.make_reference(text=dict(vocab_size=3200))
    reference.save_pretrained(tmp_path / "theirs")
    tokenizer = tokenizers.load("tiny")
    huggingface.save(tmp_path / "out", *huggingface.load(tmp_path / "theirs", log=quiet), tokenizer)
    processor = transformers.AutoProcessor.from_pretrained(tmp_path / "out")
    prefix, suffix = "<image>Größe der Milz?", "<seg>Milz</seg> 3 cm"
    red = Image.new("RGB", (40, 30), (255, 0, 0))
    row = processor(images=red, text=prefix, suffix=suffix, return_tensors="pt")
    want = [tokenizer.reserved_id] * 16
    want += tokenizer.encode("Größe der Milz?\n", bos=True)
    target = tokenizer.encode(suffix, eos=True, specials=True)
    assert row["input_ids"][0].tolist() == want + target
    assert row["token_type_ids"][0].tolist() == [0] * len(want) + [1] * len(target)
    pixels = row["pixel_values"][0].numpy()
    np.testing.assert_allclose(pixels, np.broadcast_to([[[1]], [[-1]], [[-1]]], (3, 28, 28)))
    text = processor.tokenizer.decode(target, skip_special_tokens=True)
    assert text == suffix
