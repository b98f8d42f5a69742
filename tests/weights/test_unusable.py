"""Quantised weights and adapters of PEFT are refused, in every format, with what to do instead."""

import json

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch

from big_rad import weights
from big_rad.weights import huggingface, npz

CFG = dict(
    img=dict(width=16, depth=2, mlp_dim=32, num_heads=2, patch_size=4),
    llm=dict(width=16, depth=2, mlp_dim=32, num_heads=4, num_kv_heads=2, head_dim=8, vocab_size=64),
)
LAYER = "language_model.model.layers.1.mlp.down_proj."
REMEDY = r"original checkpoint.*dequantize\(\)"


@pytest.fixture
def folder(tiny, tmp_path):
    huggingface.save(tmp_path / "hf", CFG, tiny.params)
    return tmp_path / "hf"


def read(folder):
    return safetensors.numpy.load_file(folder / "model.safetensors")


def load(folder):
    lines = []
    weights.load(folder, log=lines.append)
    return lines


def write(folder, state):
    tensors = {n: x if isinstance(x, torch.Tensor) else torch.tensor(x) for n, x in state.items()}
    safetensors.torch.save_file(tensors, folder / "model.safetensors")


# ---- Quantised ----

Z = np.zeros
# The tensors that each library stores instead of a weight [16, 32], or beside it.
QUANTISED = {
    "int8 alone": ({"weight": Z((16, 32), np.int8)}, r"int8, without the scales"),
    "uint8 alone": ({"weight": Z((16, 32), np.uint8)}, r"uint8, without the scales"),
    "int64 alone": ({"weight": Z((16, 32), np.int64)}, r"int64, without the scales"),
    "fp8 alone": ({"weight": torch.zeros(16, 32, dtype=torch.float8_e4m3fn)}, "float8_e4m3fn"),
    "fp8": (
        {
            "weight": torch.zeros(16, 32, dtype=torch.float8_e4m3fn),
            "weight_scale_inv": Z((1, 1), np.float32),
        },
        "FP8",
    ),
    "bitsandbytes 8 bit": (
        {"weight": Z((16, 32), np.int8), "SCB": Z(16, np.float32)},
        "bitsandbytes",
    ),
    "bitsandbytes 4 bit": (
        {
            "weight": Z((256, 1), np.uint8),
            "weight.absmax": Z(8, np.float32),
            "weight.quant_map": Z(16, np.float32),
            "weight.quant_state.bitsandbytes__nf4": Z(8, np.uint8),
        },
        "bitsandbytes",
    ),
    "GPTQ": (
        {
            "qweight": Z((2, 16), np.int32),
            "qzeros": Z((1, 2), np.int32),
            "scales": Z((1, 16), np.float16),
            "g_idx": Z(32, np.int32),
        },
        "GPTQ or AWQ",
    ),
    "AWQ": (
        {
            "qweight": Z((32, 2), np.int32),
            "qzeros": Z((1, 2), np.int32),
            "scales": Z((1, 16), np.float16),
        },
        "GPTQ or AWQ",
    ),
    "compressed-tensors": (
        {"weight_packed": Z((16, 4), np.int32), "weight_scale": Z((16, 1), np.float16)},
        "compressed-tensors",
    ),
    "HQQ": ({"W_q": Z((16, 16), np.uint8), "scale": Z((16, 1), np.float16)}, "HQQ"),
    "quanto": ({"weight._data": Z((16, 32), np.int8), "weight._scale": Z(16)}, "quanto"),
}


@pytest.mark.parametrize("kind", QUANTISED)
def test_quantised_weights_are_refused_by_name(kind, folder):
    tensors, message = QUANTISED[kind]
    state = read(folder)
    state.pop(LAYER + "weight")
    write(folder, state | {LAYER + n: x for n, x in tensors.items()})
    with pytest.raises(ValueError, match=rf"(?s)down_proj\..*{message}|{message}.*down_proj\."):
        load(folder)
    with pytest.raises(ValueError, match=REMEDY):
        load(folder)


@pytest.mark.parametrize(
    "dtype, said",
    [(torch.int8, "int8"), (torch.float8_e5m2, "float8_e5m2"), (torch.bool, "bool")],
)
def test_torch_files_are_looked_at_as_well(dtype, said, folder):
    state = {n: torch.tensor(x) for n, x in read(folder).items()}
    state[LAYER + "weight"] = state[LAYER + "weight"].to(dtype)
    (folder / "model.safetensors").unlink()
    torch.save(state, folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match=f"{LAYER}weight.* {said}"):
        load(folder)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, ml_dtypes.float8_e4m3fn])
def test_an_npz_is_looked_at_as_well(dtype, tiny, tmp_path):
    params = dict(tiny.params, img=dict(tiny.params["img"]))
    params["img"]["head"] = {n: x.astype(dtype) for n, x in params["img"]["head"].items()}
    npz.save(tmp_path / "a.npz", params)
    with pytest.raises(ValueError, match=r"img/head/\w+.*read as plain numbers"):
        weights.load(tmp_path / "a.npz")


def test_constants_of_another_dtype_and_a_config_left_behind_are_no_quantisation(folder):
    write(
        folder, read(folder) | {"vision_tower.vision_model.embeddings.position_ids": Z((1, 4), int)}
    )
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = dict(quant_method="bitsandbytes", load_in_4bit=True)
    (folder / "config.json").write_text(json.dumps(config))
    lines = load(folder)
    assert any("quantization_config (bitsandbytes) is ignored" in line for line in lines)


def test_a_gguf_file_says_what_it_is(tmp_path):
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    with pytest.raises(ValueError, match="GGUF file.*checkpoint that it was made from"):
        weights.load(tmp_path / "model.gguf")


# ---- Adapters of PEFT ----


def adapters(folder, **config):
    folder.mkdir(exist_ok=True)
    config = dict(peft_type="LORA", base_model_name_or_path="google/paligemma2-3b-pt-224") | config
    (folder / "adapter_config.json").write_text(json.dumps(config))
    name = "base_model.model.model.language_model.layers.0.self_attn.q_proj.lora_"
    state = {f"{name}A.weight": Z((4, 16), np.float32), f"{name}B.weight": Z((32, 4), np.float32)}
    safetensors.numpy.save_file(state, folder / "adapter_model.safetensors")


MERGE = r"(?s)adapters of PEFT.*Merge them.*{}.*merge_and_unload\(\).*save_pretrained\('merged'\)"


def test_a_folder_of_adapters_says_how_to_merge_them(tmp_path):
    adapters(tmp_path / "a")
    for ask in (weights.load, weights.kind, huggingface.load):
        with pytest.raises(ValueError, match=MERGE.format("google/paligemma2-3b-pt-224")):
            ask(tmp_path / "a")
    (tmp_path / "a/adapter_config.json").write_text("{")
    with pytest.raises(ValueError, match=MERGE.format("BASE_MODEL")):
        weights.load(tmp_path / "a")


def test_adapters_beside_their_model_are_not_passed_over(folder):
    adapters(folder)
    with pytest.raises(ValueError, match=MERGE.format("google/paligemma2-3b-pt-224")) as error:
        load(folder)
    assert "also holds a whole model" in str(error.value)
    (folder / "adapter_model.safetensors").unlink()  # As after merging, if only the config is left.
    load(folder)


@pytest.mark.parametrize(
    "name",
    [
        LAYER + "lora_A.default.weight",
        LAYER + "lora_B.weight",
        LAYER + "base_layer.weight",
        LAYER + "lora_magnitude_vector.default.weight",
        "language_model.model.embed_tokens.lora_embedding_A",
        "base_model.model.multi_modal_projector.modules_to_save.default.weight",
        LAYER + "ia3_l",
    ],
)
def test_a_state_dict_with_adapters_in_it_is_not_read_without_them(name, folder):
    write(folder, read(folder) | {name: Z((4, 4), np.float32)})
    with pytest.raises(ValueError, match=MERGE.format("BASE_MODEL")):
        load(folder)


def test_the_file_of_adapters_itself_is_refused_too(tmp_path):
    adapters(tmp_path / "a")
    with pytest.raises(ValueError, match=MERGE.format("BASE_MODEL")):
        weights.load(tmp_path / "a/adapter_model.safetensors")
