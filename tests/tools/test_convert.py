import json
import shutil
import subprocess

import flax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from big_rad import predict, weights
from big_rad.inference import calibration
from big_rad.models import paligemma, radgrounder
from big_rad.pp import tokenizer as tokenizers
from big_rad.weights import huggingface, npz, orbax, source_config
from big_rad.workdir import checkpoint
from tests.helpers import foreign
from tools import convert

ROWS = 3158  # More than the tiny tokenizer has ids, fewer than its padded table has rows.
CFG = dict(
    img=dict(width=16, depth=2, mlp_dim=32, num_heads=2, patch_size=14),
    llm=dict(
        width=16,
        depth=2,
        mlp_dim=32,
        num_heads=4,
        num_kv_heads=2,
        head_dim=8,
        vocab_size=ROWS,
        query_scale=0.2,
        attn_logits_softcap=40.0,
        final_logits_softcap=20.0,
    ),
)
SIZE = 28
TABLE = "llm/embedder/input_embedding"


def flat(params):
    return flax.traverse_util.flatten_dict(params, sep="/")


def run(*args, **kw):
    lines = []
    sums = convert.convert(*args, log=lines.append, **kw)
    return sums, lines


def read(path):
    return flat(weights.load(path, log=lambda _: None))


def assert_same(a, b):
    assert a.keys() == b.keys()
    for name in a:
        assert a[name].dtype == b[name].dtype
        assert a[name].tobytes() == b[name].tobytes(), name


@pytest.fixture(scope="module")
def source(tiny, tmp_path_factory):
    """A Hugging Face folder with the tokenizer of a released detection model.

    Its query scale and soft caps are not those of PaliGemma 2.
    """
    image, tokens = jnp.zeros((1, SIZE, SIZE, 3)), jnp.ones((1, 2), jnp.int32)
    model = paligemma.Model(**CFG)
    shapes = jax.eval_shape(model.init, jax.random.key(0), image, tokens, tokens)["params"]
    folder = tmp_path_factory.mktemp("convert") / "hf"
    tokenizer = tokenizers.load("tiny", sets=("detection",))
    huggingface.save(folder, CFG, tiny.randomise(shapes), tokenizer, cc_by_nc_sa=True)
    return folder


def test_every_way_around_keeps_every_bit_and_the_config(source, tmp_path):
    want = read(source)
    run(source, tmp_path / "a.npz")
    run(tmp_path / "a.npz", tmp_path / "back")
    assert_same(read(tmp_path / "a.npz"), want)
    assert_same(read(tmp_path / "back"), want)
    a, b = (json.loads((p / "config.json").read_text()) for p in (source, tmp_path / "back"))
    assert a == b
    assert "BY-NC-SA" in (tmp_path / "back/NOTICE").read_text()


def test_a_run_is_made_that_predict_can_load(source, tmp_path):
    _, lines = run(source, tmp_path / "run", to="orbax")
    assert any("rows added" in line for line in lines)
    params, meta = checkpoint.load_params(tmp_path / "run")
    want, got = read(source), flat(params)
    np.testing.assert_array_equal(got[TABLE][:ROWS], want.pop(TABLE))
    assert len(got.pop(TABLE)) == tokenizers.load("tiny").padded_vocab_size
    assert_same(got, want)
    assert meta["config"]["tokenizer"]["sets"] == ["detection"]
    assert meta["config"]["codec"] == dict(name="radgrounder", grid=224)
    model = predict.RadGrounder.load(tmp_path / "run")
    assert model.codec.name.startswith("radgrounder")
    run(tmp_path / "run", tmp_path / "hf")
    again = tokenizers.load(tmp_path / "hf", sets=("detection",))
    assert again.markup == tokenizers.load(source, sets=("detection",)).markup


def test_an_npz_made_of_a_released_folder_is_used_as_the_folder_is(source, tmp_path):
    run(source, tmp_path / "a.npz")
    (tmp_path / "tokenizer.model").write_bytes((source / "tokenizer.model").read_bytes())
    want, got = source_config.read(source), source_config.read(tmp_path / "a.npz")
    assert want["codec"] == got["codec"] == dict(name="radgrounder", grid=224)
    for field in ("model", "image"):
        assert got[field] == want[field]
    assert got["tokenizer"]["sets"] == want["tokenizer"]["sets"] == ["detection"]
    run(tmp_path / "a.npz", tmp_path / "run", to="orbax", tokenizer=tmp_path / "tokenizer.model")
    made = source_config.read(tmp_path / "run")
    assert made["codec"] == want["codec"] and made["tokenizer"]["sets"] == ["detection"]


def test_a_calibration_goes_with_the_weights_that_it_was_made_for(source, tmp_path):
    folder = tmp_path / "hf"
    shutil.copytree(source, folder)
    fit = calibration.Fit({"option": 0.5}, -1.0, 0.01)
    made = calibration.Calibration({"yes_no": {"": fit}}, step=60, date="2026-01-02")
    made.write(calibration.path_of(folder))
    _, lines = run(folder, tmp_path / "a.npz")
    assert any("calibration" in line and "is copied" in line for line in lines)
    run(tmp_path / "a.npz", tmp_path / "run", to="orbax", tokenizer=folder / "tokenizer.model")
    run(tmp_path / "run", tmp_path / "back")
    assert calibration.of(tmp_path / "a.npz") == calibration.of(tmp_path / "back") == made
    kept = calibration.of(tmp_path / "run")
    assert kept.fits == made.fits and kept.digest and kept.step == 60
    said = (tmp_path / "back/SHA256SUMS").read_text()
    assert "model.safetensors" in said and "calibration" not in said


def test_a_calibration_is_left_out_where_answers_will_be_others(source, tmp_path):
    place = tmp_path / "a.npz"
    run(source, place)
    beside = json.loads((tmp_path / "a.npz.json").read_text())
    beside["model"]["mask_mode"] = "image_isolated"
    (tmp_path / "a.npz.json").write_text(json.dumps(beside))
    calibration.Calibration({}).write(calibration.path_of(place))
    _, lines = run(place, tmp_path / "b", dry_run=True, allow_other_mask=True)
    assert any("left out: the calibration" in line and "attention mask" in line for line in lines)
    _, lines = run(place, tmp_path / "b.npz", dry_run=True)
    assert any("is copied" in line for line in lines)


def test_a_run_made_of_a_checkpoint_without_rows_for_markup_remembers_it(tmp_path):
    place = foreign.write_npz(tmp_path / "a", foreign.ORDINARY)
    tokenizer = place.with_name("paligemma_tokenizer.model")
    _, lines = run(place, tmp_path / "run", to="orbax", tokenizer=tokenizer)
    assert any("no trained row for <p bbox=" in line for line in lines)
    model = predict.RadGrounder.load(tmp_path / "run")
    assert model.pointing == "none"
    short = foreign.write_npz(tmp_path / "b", 64)
    with pytest.raises(ValueError, match="64 rows.*do not belong together"):
        run(short, tmp_path / "other", to="orbax", tokenizer=tokenizer)


# ---- Mask decoders ----


@pytest.fixture(scope="module", params=["released", "paper"])
def with_masks(request, tiny, tmp_path_factory):
    """A run with a mask decoder: (variant, folder)."""
    decoder = dict(variant=request.param, dim=16, mlp_dim=64)
    model = radgrounder.Model(**CFG, mask_decoder=decoder)
    image, tokens = jnp.zeros((1, SIZE, SIZE, 3)), jnp.ones((1, 2), jnp.int32)
    shapes = jax.eval_shape(model.init, jax.random.key(0), image, tokens, tokens)["params"]
    folder = tmp_path_factory.mktemp("masks") / "run"
    tokenizer = tokenizers.load("tiny", sets=("segmentation",))
    config = dict(
        model_name="radgrounder",
        model=CFG | dict(mask_decoder=decoder, mask_mode="paligemma"),
        tokenizer=dict(path="tiny", sets=["segmentation"]),
        codec=dict(name="radgrounder", grid=224),
        image=dict(size=SIZE, normalize="medgemma"),
    )
    orbax.save(folder, tiny.randomise(shapes), config, tokenizer)
    return request.param, folder


def test_a_mask_decoder_goes_along_in_npz_and_the_released_one_in_a_folder(with_masks, tmp_path):
    variant, folder = with_masks
    want = read(folder)
    assert any(name.startswith("mask_decoder/") for name in want)
    run(folder, tmp_path / "a.npz")
    assert_same(read(tmp_path / "a.npz"), want)
    text = {n: x for n, x in want.items() if not n.startswith("mask_decoder/")}
    if variant == "released":
        run(tmp_path / "a.npz", tmp_path / "hf")
        assert_same(read(tmp_path / "hf"), want)
    else:
        with pytest.raises(ValueError, match="Leave it out"):
            run(tmp_path / "a.npz", tmp_path / "hf")
    run(tmp_path / "a.npz", tmp_path / "text", without_masks=True)
    assert_same(read(tmp_path / "text"), text)
    with pytest.raises(ValueError, match="keep them in a run"):
        run(folder, tmp_path / "again", to="orbax", without_masks=True)
    run(tmp_path / "a.npz", tmp_path / "again", to="orbax", tokenizer=folder)
    got, meta = checkpoint.load_params(tmp_path / "again")
    assert meta["config"]["model"]["mask_decoder"]["variant"] == variant
    got, want = ({n: x for n, x in tree.items() if n != TABLE} for tree in (flat(got), want))
    assert_same(got, want)


def test_a_mask_decoder_is_accounted_for(with_masks, tmp_path):
    _, folder = with_masks
    run(folder, tmp_path / "a.npz")
    arrays = read(tmp_path / "a.npz")
    name = "mask_decoder/img_projection/kernel"
    for value, message in ((None, "missing: "), (np.zeros((3, 16), np.float32), "shape: ")):
        changed = {n: x for n, x in arrays.items() if n != name}
        changed |= {} if value is None else {name: value}
        np.savez(tmp_path / "b.npz", **changed)
        shutil.copy(tmp_path / "a.npz.json", tmp_path / "b.npz.json")
        with pytest.raises(ValueError, match=message + name):
            run(tmp_path / "b.npz", tmp_path / "c.npz")
    (tmp_path / "b.npz.json").unlink()
    with pytest.raises(ValueError, match="b.npz.json of its conversion"):
        run(tmp_path / "b.npz", tmp_path / "c.npz")


def test_dtype_is_converted_by_rounding(source, tmp_path):
    run(source, tmp_path / "a.npz", dtype="bfloat16")
    want = {n: x.astype("bfloat16") for n, x in read(source).items()}
    assert_same(read(tmp_path / "a.npz"), want)


@pytest.mark.parametrize("to", ["a.npz", "a"])
@pytest.mark.parametrize("value", [1e5, -65536.0])
def test_values_out_of_range_of_float16_are_refused_and_nothing_is_left(
    to, value, source, tmp_path, capsys
):
    arrays = read(source)
    arrays["img/head/bias"] = np.full_like(arrays["img/head/bias"], value)
    np.savez(tmp_path / "in.npz", **arrays)
    command = [str(tmp_path / "in.npz"), str(tmp_path / to), "--dtype"]
    assert convert.main([*command, "float16"]) == 2
    said = capsys.readouterr().err
    assert f"img/head/bias holds {value:g}, which float16 cannot hold" in said
    assert "bfloat16 or float32" in said and [p.name for p in tmp_path.iterdir()] == ["in.npz"]
    assert convert.main([*command, "bfloat16"]) == 0


def test_an_array_that_is_not_finite_is_named_and_nothing_is_left(source, tmp_path, capsys):
    arrays = read(source)
    arrays[TABLE] = arrays[TABLE].copy()
    arrays[TABLE][17, 3] = np.nan
    np.savez(tmp_path / "in.npz", **arrays)
    assert convert.main([str(tmp_path / "in.npz"), str(tmp_path / "a.npz")]) == 2
    assert f"{TABLE} is not finite: 1 of its 50,528" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["in.npz"]


def test_dry_run_prints_every_tensor_and_writes_nothing(source, tmp_path):
    sums, lines = run(source, tmp_path / "a.npz", dry_run=True)
    assert list(tmp_path.iterdir()) == []
    text = "\n".join(lines)
    assert all(name in text for name in sums) and len(sums) == 34
    assert f"{sum(x.size for x in read(source).values()):,} parameters" in text


def test_sha256sums_are_those_of_the_files(source, tmp_path):
    run(source, tmp_path / "a.npz")
    run(source, tmp_path / "b.npz")
    run(source, tmp_path / "hf")
    for folder, files in ((tmp_path, {"a.npz", "a.npz.json", "b.npz", "b.npz.json"}),):
        held = {line.split()[1] for line in (folder / "SHA256SUMS").read_text().splitlines()}
        assert held == files
    for folder in (tmp_path, tmp_path / "hf"):
        done = subprocess.run(
            ["sha256sum", "-c", "--strict", "SHA256SUMS"], cwd=folder, capture_output=True
        )
        assert done.returncode == 0, done.stdout


def test_an_npz_without_its_sidecar_goes_by_the_shapes(source, tmp_path):
    run(source, tmp_path / "a.npz")
    (tmp_path / "a.npz.json").unlink()
    run(tmp_path / "a.npz", tmp_path / "hf")
    assert_same(read(tmp_path / "hf"), read(source))


def test_what_does_not_read_back_gets_no_name(source, tmp_path, monkeypatch):
    save = npz.save

    def faulty(path, params):
        save(path, params)
        again = npz.load(path)
        again["img"]["head"]["bias"][0] += 1
        save(path, again)

    monkeypatch.setattr(npz, "save", faulty)
    with pytest.raises(ValueError, match="does not read back.*img/head/bias"):
        run(source, tmp_path / "a.npz")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("change", ["dropped", "extra", "transposed"])
def test_tensors_of_an_npz_are_accounted_for(change, source, tmp_path):
    arrays, name = read(source), "llm/layers/attn/attn_vec_einsum/w"
    if change == "dropped":
        del arrays[name]
        want = f"missing: {name}"
    elif change == "extra":
        arrays["llm/more"] = np.zeros(2)
        want = "unexpected: llm/more"
    else:
        arrays[name] = arrays[name].swapaxes(1, 2)
        want = f"shape: {name}"
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(ValueError, match=want):
        run(tmp_path / "a.npz", tmp_path / "hf")
    assert not (tmp_path / "hf").exists()


def test_an_image_tower_converts_to_npz_only(tmp_path):
    tower = {"visual.trunk.patch_embed.proj.weight": torch.zeros(768, 3, 2, 2)}
    tower |= {"visual.trunk.patch_embed.proj.bias": torch.zeros(768)}
    tower |= {"visual.trunk.pos_embed": torch.zeros(1, 4, 768)}
    tower |= {f"visual.trunk.norm.{k}": torch.zeros(768) for k in ("weight", "bias")}
    b = "visual.trunk.blocks.0."
    for name, (n, m) in dict(qkv=(2304, 768), proj=(768, 768)).items():
        tower |= {f"{b}attn.{name}.weight": torch.zeros(n, m)}
        tower |= {f"{b}attn.{name}.bias": torch.zeros(n)}
    for name, (n, m) in dict(fc1=(8, 768), fc2=(768, 8)).items():
        tower |= {f"{b}mlp.{name}.weight": torch.zeros(n, m), f"{b}mlp.{name}.bias": torch.zeros(n)}
    tower |= {f"{b}norm{i}.{k}": torch.ones(768) for i in (1, 2) for k in ("weight", "bias")}
    torch.save(tower, tmp_path / "a.pt")
    run(tmp_path / "a.pt", tmp_path / "a.npz")
    assert all(name.startswith("img/") for name in read(tmp_path / "a.npz"))
    with pytest.raises(ValueError, match="image tower alone"):
        run(tmp_path / "a.pt", tmp_path / "hf")


def test_mistakes_of_the_command_line_are_one_line_and_exit_code_2(source, tmp_path, capsys):
    assert convert.main([str(tmp_path / "none.npz"), str(tmp_path / "b.npz")]) == 2
    assert "Kaggle" in capsys.readouterr().err
    (tmp_path / "b.npz").touch()
    assert convert.main([str(source), str(tmp_path / "b.npz")]) == 2
    assert "exists" in capsys.readouterr().err
    run(source, tmp_path / "a.npz")
    assert convert.main([str(tmp_path / "a.npz"), str(tmp_path / "r"), "--to=orbax"]) == 2
    assert "--tokenizer" in capsys.readouterr().err
    args = [str(tmp_path / "a.npz"), str(tmp_path / "r"), "--to=orbax", "--tokenizer=tiny"]
    assert convert.main(args) == 0
