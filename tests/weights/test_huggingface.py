import argparse
import json
import pathlib
import re

import flax
import jax
import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch

from big_rad.models import mask_decoder, radgrounder
from big_rad.pp import tokenizer as tokenizers
from big_rad.weights import hf_config, huggingface
from big_rad.weights import mask_decoder as weights_mask_decoder

# A tiny PaliGemma 2 that transformers 4.51.3 saved (with torch 2.13.0), and the logits it computed.
SAVED_BY_4_51 = pathlib.Path(__file__).with_name("saved_by_4_51_3")
CFG = dict(
    img=dict(width=16, depth=2, mlp_dim=32, num_heads=2, patch_size=4),
    llm=dict(width=16, depth=2, mlp_dim=32, num_heads=4, num_kv_heads=2, head_dim=8, vocab_size=64),
)


def flat(params):
    return flax.traverse_util.flatten_dict(params, sep="/")


@pytest.fixture
def folder(tiny, tmp_path):
    """A small PaliGemma 2 in the layout of the hub."""
    huggingface.save(tmp_path / "hf", CFG, tiny.params)
    return tmp_path / "hf"


def read(folder):
    return safetensors.numpy.load_file(folder / "model.safetensors")


def write(folder, state):
    safetensors.numpy.save_file(state, folder / "model.safetensors", {"format": "pt"})


def edit_config(folder, **changes):
    path = folder / "config.json"
    config = json.loads(path.read_text())
    for key, value in changes.items():
        node = config
        *above, leaf = key.split("__")
        for name in above:
            node = node[name]
        if value is None:
            node.pop(leaf)
        else:
            node[leaf] = value
    path.write_text(json.dumps(config))


def load(folder, **kw):
    lines = []
    cfg, params = huggingface.load(folder, log=lines.append, **kw)
    return cfg, params, lines


def assert_same(params, want):
    got, want = flat(params), flat(want)
    assert got.keys() == want.keys()
    for name in want:
        np.testing.assert_array_equal(got[name], want[name], err_msg=name)


# ---- What is read ----


def test_the_model_config_and_parameters_just_run(folder, tiny):
    cfg, params, _ = load(folder)
    text = np.full((4, 3), 5, np.int32)
    model = radgrounder.Model(**cfg)
    logits, _ = model.apply({"params": params}, tiny.image, text, 0 * text)
    want, _ = tiny.make().apply({"params": tiny.params}, tiny.image, text, 0 * text)
    np.testing.assert_array_equal(logits, want)
    assert cfg["mask_decoder"] is None


LAYOUTS = {
    "hub": lambda n: n,
    "saved by 5.23": lambda n: n.replace("vision_tower.vision_model.", "vision_tower."),
    "state dict of 4.54": lambda n: (
        "model." + n.replace("language_model.model.", "language_model.")
    ),
    "state dict of 5.23": lambda n: (
        "model."
        + n.replace("language_model.model.", "language_model.").replace("vision_model.", "")
    ),
    "wrapped": lambda n: "module.paligemma." + n,
    "wrapped state dict": lambda n: (
        "net.model." + n.replace("language_model.model.", "language_model.")
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_of_names_gives_the_same_parameters(layout, folder, tiny):
    write(folder, {LAYOUTS[layout](n): x for n, x in read(folder).items()})
    assert_same(load(folder)[1], tiny.params)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_torch_shards_are_read_like_safetensors(dtype, folder):
    state = {n: torch.tensor(x).to(dtype) for n, x in read(folder).items()}
    want = {n: x.float().numpy() for n, x in state.items()}
    (folder / "model.safetensors").unlink()
    names = sorted(state)
    shards = {"a.bin": names[::2], "b.bin": names[1::2]}
    for file, held in shards.items():
        torch.save({n: state[n] for n in held}, folder / file)
    index = {"weight_map": {n: f for f, held in shards.items() for n in held}}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    params = load(folder)[1]
    table = params["llm"]["embedder"]["input_embedding"]
    assert str(table.dtype) == str(dtype).removeprefix("torch.")
    name = "language_model.model.embed_tokens.weight"
    np.testing.assert_array_equal(table.astype(np.float32), want[name])


def test_an_old_style_torch_pickle_is_read(folder, tiny):
    state = {n: torch.tensor(x) for n, x in read(folder).items()}
    (folder / "model.safetensors").unlink()
    torch.save(state, folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    assert_same(load(folder)[1], tiny.params)


def test_a_tied_head_that_is_stored_too_is_accepted_and_another_one_is_not(folder, tiny):
    state = read(folder)
    table = state["language_model.model.embed_tokens.weight"]
    write(folder, state | {"language_model.lm_head.weight": table.copy()})
    assert_same(load(folder)[1], tiny.params)
    write(folder, state | {"lm_head.weight": table + 1})
    with pytest.raises(ValueError, match="lm_head.weight differs"):
        load(folder)


@pytest.mark.parametrize("layout", ["hub", "saved by 5.23", "state dict of 5.23", "wrapped"])
def test_a_table_that_is_stored_as_the_head_alone_is_taken(layout, folder, tiny):
    state = {LAYOUTS[layout](n): x for n, x in read(folder).items()}
    table = next(n for n in state if n.endswith("embed_tokens.weight"))
    prefix = "module.paligemma.language_model." if layout == "wrapped" else ""
    state[f"{prefix}lm_head.weight"] = state.pop(table)
    write(folder, state)
    cfg, params, lines = load(folder)
    assert_same(params, tiny.params)
    assert cfg["llm"]["vocab_size"] == 64 and any("lm_head.weight is taken" in x for x in lines)


def test_a_model_that_safetensors_saved_from_tied_modules_loads(folder, tiny):
    state = {n: torch.tensor(x) for n, x in read(folder).items()}
    module = torch.nn.Module()
    for name, value in state.items():
        *above, leaf = name.split(".")
        node = module
        for part in above:
            if part not in node._modules:
                node.add_module(part, torch.nn.Module())
            node = node._modules[part]
        node.register_parameter(leaf, torch.nn.Parameter(value))
    language = module.language_model
    language.add_module("lm_head", torch.nn.Module())
    language.lm_head.weight = language.model.embed_tokens.weight
    safetensors.torch.save_model(module, str(folder / "model.safetensors"))
    held = read(folder)
    assert sum(n.endswith(("lm_head.weight", "embed_tokens.weight")) for n in held) == 1
    assert_same(load(folder)[1], tiny.params)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_a_tensor_that_is_not_finite_is_named(bad, dtype, folder):
    state, name = read(folder), "language_model.model.layers.1.mlp.down_proj.weight"
    state[name] = state[name].astype(dtype)
    state[name][3, 5] = state[name][4, 0] = bad
    write(folder, state)
    message = rf"{re.escape(name)} is not finite: 2 of its 512 values.*\({bad}\) at \[3, 5\]"
    with pytest.raises(ValueError, match=message):
        load(folder)


def test_siglips_attention_pool_is_left_out_by_name_and_printed(folder, tiny):
    name = "vision_tower.vision_model.head.probe"
    write(folder, read(folder) | {name: np.zeros(2, np.float32)})
    _, params, lines = load(folder)
    assert_same(params, tiny.params)
    assert any(f"left out: {name}" in line for line in lines)


# ---- The released segmentation model ----


@pytest.fixture
def head():
    """Random tensors of a released mask decoder that fits `CFG`, and our parameters for them."""
    model = mask_decoder.Model(variant="released", dim=16, mlp_dim=64)
    shapes = flat(mask_decoder.shapes(model, 16, 16, 16))
    rng = np.random.default_rng(0)
    ours = {n: rng.standard_normal(x.shape).astype(np.float32) for n, x in shapes.items()}
    ours = flax.traverse_util.unflatten_dict(ours, sep="/")
    return weights_mask_decoder.to_torch(ours), ours


@pytest.mark.parametrize("prefix", ["", "model.", "module.paligemma.", "base."])
def test_the_released_segmentation_model_loads_whole_and_just_runs(prefix, folder, tiny, head):
    theirs, ours = head
    write(folder, read(folder) | {f"{prefix}segmentation_head.{n}": x for n, x in theirs.items()})
    cfg, params, lines = load(folder)
    assert cfg["mask_decoder"]["variant"] == "released" and not any("left out" in x for x in lines)
    assert_same(params, {**tiny.params, "mask_decoder": ours})
    text, at = np.full((4, 3), 5, np.int32), np.array([[1, 2]] * 4)
    model = radgrounder.Model(**cfg)
    _, out = model.apply({"params": params}, tiny.image, text, 0 * text, mask_pos=at)
    decoder = mask_decoder.Model(**cfg["mask_decoder"])
    size = tiny.image.shape[1:3]
    want, _ = decoder.apply(
        {"params": ours}, out["img/encoded"], out["hidden"][:, 2], size=tuple(size)
    )
    np.testing.assert_allclose(out["mask_logits"][:, 1], want, rtol=1e-5, atol=1e-5)
    alone_cfg, alone = huggingface.mask_decoder_from_torch(theirs)
    assert alone_cfg == cfg["mask_decoder"]
    assert_same(alone, ours)


@pytest.mark.parametrize("shard", [2**31, 10_000])
@pytest.mark.parametrize("dtype", [None, "bfloat16"])
def test_the_released_segmentation_model_writes_back_bit_for_bit(
    shard, dtype, folder, tmp_path, head
):
    write(folder, read(folder) | {f"segmentation_head.{n}": x for n, x in head[0].items()})
    cfg, params, _ = load(folder, dtype=dtype)
    huggingface.save(tmp_path / "again", cfg, params, max_shard_bytes=shard)
    again = {}
    for file in (tmp_path / "again").glob("*.safetensors"):
        again |= safetensors.numpy.load_file(file)
    want = read(folder)
    assert again.keys() == want.keys()
    for name, x in want.items():
        np.testing.assert_array_equal(again[name], x.astype(again[name].dtype), err_msg=name)
        assert again[name].dtype == np.dtype(dtype or "float32")


def test_tensors_of_the_mask_decoder_are_accounted_for(folder, head):
    text, theirs = read(folder), {f"segmentation_head.{n}": x for n, x in head[0].items()}
    name = "segmentation_head.transformer.norm_final_attn.bias"
    write(folder, text | {n: x for n, x in theirs.items() if n != name})
    with pytest.raises(ValueError, match=f"missing: {name}"):
        load(folder)
    write(folder, text | theirs | {"segmentation_head.more": np.zeros(2, np.float32)})
    with pytest.raises(ValueError, match="unexpected: segmentation_head.more"):
        load(folder)
    write(folder, text | theirs | {f"model.{name}": theirs[name]})
    with pytest.raises(ValueError, match="twice"):
        load(folder)
    name = "segmentation_head.img_projection.weight"
    write(folder, text | theirs | {name: np.zeros((16, 8), np.float32)})
    with pytest.raises(ValueError, match="maps 8 to 16 numbers, the model has 16"):
        load(folder)


def test_a_resized_embedding_gives_the_rows_of_the_file(folder):
    state, name = read(folder), "language_model.model.embed_tokens.weight"
    write(folder, state | {name: np.concatenate([state[name], state[name][:3]])})
    cfg, params, lines = load(folder)
    assert cfg["llm"]["vocab_size"] == 67 == len(params["llm"]["embedder"]["input_embedding"])
    assert any("67 rows" in line for line in lines)


def test_dtypes_go_by_our_names(folder):
    _, params, _ = load(folder, dtype=lambda n: "bfloat16" if n.startswith("img") else None)
    assert params["img"]["head"]["bias"].dtype == ml_dtypes.bfloat16
    assert params["llm"]["final_norm"]["scale"].dtype == np.float32


# ---- What is refused ----


@pytest.mark.parametrize("change", ["dropped", "renamed", "extra", "transposed"])
def test_a_tensor_that_is_dropped_renamed_extra_or_transposed_is_named(change, folder):
    state, name = read(folder), "language_model.model.layers.1.mlp.down_proj.weight"
    if change == "dropped":
        del state[name]
        want = [f"missing: {name}"]
    elif change == "renamed":
        state["language_model.model.layers.1.mlp.down.weight"] = state.pop(name)
        want = [f"missing: {name}", "unexpected: language_model.model.layers.1.mlp.down.weight"]
    elif change == "extra":
        state["adapter.lora_A"] = np.zeros(3, np.float32)
        want = ["unexpected: adapter.lora_A"]
    else:
        state[name] = np.ascontiguousarray(state[name].T)
        want = [f"shape: {name} is (32, 16), config.json gives (16, 32)"]
    write(folder, state)
    with pytest.raises(ValueError) as e:
        load(folder)
    assert [line.strip() for line in str(e.value).splitlines()[1:]] == want


def test_a_layer_too_many_is_unexpected(folder):
    edit_config(folder, text_config__num_hidden_layers=1)
    with pytest.raises(ValueError, match=r"unexpected: language_model\.model\.layers\.1"):
        load(folder)


@pytest.mark.parametrize(
    "changes, message",
    [
        (dict(text_config__model_type="gemma"), "PaliGemma 1"),
        (dict(text_config__model_type=None), "PaliGemma 1"),
        (dict(text_config__model_type="llama"), "'llama'"),
        (dict(model_type="gemma3"), "'gemma3'"),
        (dict(text_config__attention_bias=True), "attention_bias = True"),
        (dict(text_config__rope_theta=1e6), "rope_theta = 1000000.0"),
        (dict(text_config__rope_parameters=dict(rope_theta=1e6)), "rope_theta"),
        (dict(text_config__rope_parameters=dict(rope_type="yarn")), "rotary"),
        (dict(text_config__rms_norm_eps=1e-5), "rms_norm_eps"),
        (dict(vision_config__hidden_act="gelu"), "hidden_act = 'gelu'"),
        (dict(tie_word_embeddings=False), "tie_word_embeddings"),
    ],
)
def test_another_model_or_function_is_refused_by_name(changes, message, folder):
    edit_config(folder, **changes)
    with pytest.raises(ValueError, match=message):
        load(folder)


def test_damaged_files_are_named(folder, tmp_path):
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    for keep in (len(whole) - 8, 100, 0):
        path.write_bytes(whole[:keep])
        with pytest.raises(ValueError, match=r"model\.safetensors.*truncated"):
            load(folder)
    path.unlink()
    with pytest.raises(ValueError, match="holds no weights"):
        load(folder)
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match="lacks model-00001-of-00002.safetensors"):
        load(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(ValueError, match="config.json is no JSON"):
        load(folder)


def test_a_torch_file_with_foreign_objects_says_how_to_save_it_again(folder):
    state = {n: torch.tensor(x) for n, x in read(folder).items()}
    (folder / "model.safetensors").unlink()
    torch.save(
        {"state_dict": state, "args": argparse.Namespace(lr=1)}, folder / "pytorch_model.bin"
    )
    with pytest.raises(ValueError, match=r"Python objects.*re-save.*state_dict"):
        load(folder)
    (folder / "pytorch_model.bin").write_bytes(b"PK\x03\x04 no zip")
    with pytest.raises(ValueError, match="no readable torch file"):
        load(folder)


# ---- Final soft cap ----


@pytest.mark.parametrize(
    "version, cap, applied",
    [
        ("4.42.0", 30.0, True),
        ("4.46.0.dev0", 20.0, True),
        ("4.51.3", 30.0, True),
        ("4.52.1", 30.0, False),
        ("4.54.1", 30.0, False),
        ("4.57.6", 30.0, False),
        ("5.0.0", 30.0, False),
        ("5.0.0rc1", 30.0, False),
        ("5.22.2", 30.0, False),
        ("5.23.0", 30.0, True),
        ("5.24.0", 7.5, True),
        ("6.0.0", 30.0, True),
        (None, 30.0, False),
        ("unknown", 30.0, False),
        ("4.51.3", 0.0, False),
    ],
)
def test_final_soft_cap_follows_what_that_release_computed(version, cap, applied, folder):
    edit_config(folder, transformers_version=version, text_config__final_logit_softcapping=cap)
    lines = []
    config = hf_config.read(folder)
    cfg, _ = hf_config.to_model_cfg(config, "config.json", log=lines.append)
    assert cfg["llm"]["final_logits_softcap"] == (cap if applied else 0.0)
    said = [line for line in lines if "final_logit_softcapping" in line]
    assert len(said) == bool(cap) and all(("is not applied" in x) != applied for x in said)
    assert load(folder, final_logits_softcap=7)[0]["llm"]["final_logits_softcap"] == 7


def test_a_cap_that_config_json_leaves_out_is_that_of_transformers(folder):
    edit_config(folder, transformers_version="4.51.3")
    edit_config(folder, text_config__final_logit_softcapping=None)
    assert load(folder)[0]["llm"]["final_logits_softcap"] == 30.0


def test_a_model_saved_by_an_old_release_gives_that_release_s_logits():
    """transformers 4.51.3 wrote the folder and computed the logits (eager attention, float32)."""
    stored = np.load(SAVED_BY_4_51 / "logits.npz")
    cfg, params, lines = load(SAVED_BY_4_51)
    assert any("is applied, as transformers 4.51.3 does" in line for line in lines)
    inputs = [stored[n] for n in ("image", "text", "mask_ar")]
    logits, _ = jax.jit(radgrounder.Model(**cfg).apply)({"params": params}, *inputs)
    assert np.abs(stored["logits"]).max() > 29.9  # Without the soft cap they reach 211.
    np.testing.assert_allclose(logits, stored["logits"], atol=1e-4)


def test_an_export_keeps_its_own_cap(tiny, tmp_path):
    cfg = CFG | dict(llm=CFG["llm"] | dict(final_logits_softcap=20.0))
    huggingface.save(tmp_path / "hf", cfg, tiny.params)
    assert load(tmp_path / "hf")[0]["llm"]["final_logits_softcap"] == 20.0


def test_defaults_of_a_sparse_config_are_those_of_paligemma_2_3b():
    sparse = dict(
        model_type="paligemma",
        transformers_version="4.46.0",
        text_config=dict(model_type="gemma2", vocab_size=257216),
        vision_config=dict(model_type="siglip_vision_model"),
    )
    lines = []
    cfg, size = hf_config.to_model_cfg(sparse, "config.json", log=lines.append)
    assert size == 224
    assert any("num_attention_heads=16" in line and "leaves out" in line for line in lines)
    assert cfg["img"] == dict(width=1152, depth=27, mlp_dim=4304, num_heads=16, patch_size=14)
    want = dict(width=2304, depth=26, mlp_dim=9216, num_heads=8, num_kv_heads=4, head_dim=256)
    assert cfg["llm"].items() >= want.items()
    assert cfg["llm"]["query_scale"] == 1 / 16 and cfg["llm"]["vocab_size"] == 257216


def test_an_unsupported_setting_of_a_siglip_is_named_without_paligemma():
    for config in (dict(hidden_act="relu"), dict(vision_config=dict(hidden_act="relu"))):
        with pytest.raises(ValueError) as error:
            hf_config.siglip_cfg(config, "a/config.json")
        said = str(error.value)
        assert "hidden_act = 'relu'" in said and "hidden_act = 'gelu_pytorch_tanh'" in said
        assert "PaliGemma" not in said and ("vision_config" in said) == ("vision_config" in config)


def test_a_window_of_at_most_the_image_tokens_is_remarked():
    for window, remarked in ((255, True), (256, True), (257, False), (None, False)):
        lines = []
        text = dict(model_type="gemma2", sliding_window=window)
        config = dict(model_type="paligemma", text_config=text, vision_config={})
        hf_config.to_model_cfg(config, "config.json", log=lines.append)
        said = [line for line in lines if "sliding_window" in line]
        assert len(said) == remarked and all(f"{window} is at most the 256" in s for s in said)


# ---- What is written ----


def test_export_holds_configs_tokenizer_and_notices(tiny, tmp_path):
    tokenizer = tokenizers.load("tiny", sets=("detection",))
    files = huggingface.save(tmp_path / "hf", CFG, tiny.params, tokenizer, cc_by_nc_sa=True)
    assert files == [
        "NOTICE",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "preprocessor_config.json",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer.model",
        "tokenizer_config.json",
    ]
    notice = (tmp_path / "hf/NOTICE").read_text()
    assert "ai.google.dev/gemma/terms" in notice and "BY-NC-SA" in notice
    config = json.loads((tmp_path / "hf/config.json").read_text())
    assert config["image_token_index"] == tokenizer.reserved_id
    again = tokenizers.load(tmp_path / "hf", sets=("detection",))
    assert again.encode("<p bbox=", specials=True) == tokenizer.encode("<p bbox=", specials=True)


def test_shards_hold_what_the_index_says(tiny, tmp_path):
    huggingface.save(tmp_path / "hf", CFG, tiny.params, max_shard_bytes=10_000)
    index = json.loads((tmp_path / "hf/model.safetensors.index.json").read_text())
    seen = {}
    for file in (tmp_path / "hf").glob("model-*.safetensors"):
        held = safetensors.numpy.load_file(file)
        assert file.stat().st_mode == (tmp_path / "hf/config.json").stat().st_mode
        assert sum(x.nbytes for x in held.values()) <= 10_000 or len(held) == 1
        seen |= dict.fromkeys(held, file.name)
    assert seen == index["weight_map"] and len(set(seen.values())) > 2
    assert_same(load(tmp_path / "hf")[1], tiny.params)


def test_what_transformers_cannot_compute_is_not_exported(tiny, tmp_path):
    with pytest.raises(ValueError, match="image_isolated.*other outputs"):
        huggingface.save(tmp_path / "a", CFG | dict(mask_mode="image_isolated"), tiny.params)
    extra = {**tiny.params, "mask_decoder": {"w": np.zeros(2)}}
    with pytest.raises(ValueError, match="unexpected: mask_decoder/w"):
        huggingface.save(tmp_path / "a", CFG, extra)
    with pytest.raises(ValueError, match="no mask decoder but its own.*without_masks"):
        huggingface.save(tmp_path / "a", CFG | dict(mask_decoder={}), extra)
    with pytest.raises(ValueError, match=r"missing: mask_decoder/\*"):
        released = CFG | dict(mask_decoder=dict(variant="released"))
        huggingface.save(tmp_path / "a", released, tiny.params)
    with pytest.raises(ValueError, match="not of the released variant"):
        released = CFG | dict(mask_decoder=dict(variant="released"))
        huggingface.save(tmp_path / "a", released, extra)
    assert not (tmp_path / "a").exists()
    huggingface.save(tmp_path / "a", CFG | dict(mask_decoder={}), extra, without_masks=True)
    assert_same(load(tmp_path / "a")[1], tiny.params)


@pytest.mark.parametrize("target", ["export", "load"])
def test_values_out_of_the_range_of_float16_are_refused_by_name(target, folder, tiny, tmp_path):
    params = flax.traverse_util.unflatten_dict(
        flat(tiny.params) | {"img/head/bias": np.full(16, -1e5, np.float32)}, sep="/"
    )
    message = r"img/head/bias holds -100000.*float16 cannot hold.*65504.*bfloat16 or float32"
    with pytest.raises(ValueError, match=message):
        if target == "export":
            huggingface.save(tmp_path / "new", CFG, params, dtype="float16")
        else:
            huggingface.save(tmp_path / "new", CFG, params)
            load(tmp_path / "new", dtype="float16")
    assert load(folder, dtype="float16")[1]["img"]["head"]["bias"].dtype == np.float16


def test_a_folder_that_holds_files_is_not_overwritten(folder, tiny):
    with pytest.raises(FileExistsError, match="not empty"):
        huggingface.save(folder, CFG, tiny.params)
