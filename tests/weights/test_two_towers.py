import pathlib

import jax
import numpy as np
import pytest
import torch

from big_rad import trees, weights
from big_rad.models import siglip
from big_rad.models import two_towers as models
from big_rad.weights import npz, sidecar, two_towers
from tests.helpers import siglips

ROWS = 50
GOLDEN = pathlib.Path(__file__).with_name("open_clip_so400m14_siglip.txt")


@pytest.fixture(scope="module")
def flat():
    return siglips.flat(ROWS)


def same(path, flat):
    found = trees.flatten(weights.load(path, log=lambda _: None))
    assert found.keys() == flat.keys()
    for name, value in flat.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def unstacked(flat):
    for name, value in flat.items():
        before, block, after = name.partition("/encoderblock/")
        for i, layer in enumerate(value) if block else ():
            yield f"{before}/encoderblock_{i}/{after}", layer
        if not block:
            yield name, value


def open_clip_file(folder, flat, change=lambda state: None):
    state = dict(two_towers.write(flat, "open_clip"))
    change(state)
    torch.save({n: torch.tensor(x) for n, x in state.items()}, folder / "siglip.bin")
    sidecar.write(folder / "siglip.bin", two_towers.model_cfg(flat, folder), {})
    return folder / "siglip.bin"


def test_names_and_shapes_of_open_clip_are_those_of_its_source():
    golden = {}
    lines = [x.split() for x in GOLDEN.read_text().splitlines() if not x.startswith("#")]
    for name, *shape in lines:
        for i in range(27 if "{i}" in name else 1):
            golden[name.replace("{i}", str(i))] = tuple(map(int, shape))
    txt = dict(models.TEXT_VARIANTS["So400m"], vocab_size=32_000, length=16, num_classes=1152)
    cfg = dict(img=siglip.VARIANTS["So400m/14"], txt=txt)
    assert two_towers.shapes("open_clip", cfg, tokens=256) == golden
    image = jax.ShapeDtypeStruct((1, 224, 224, 3), np.float32)
    text = jax.ShapeDtypeStruct((1, 16), np.int32)
    ours = jax.eval_shape(models.Model(**cfg).init, jax.random.key(0), image, text)["params"]
    two_towers.check_ours(trees.flatten(ours), "So400m")
    count = sum(int(np.prod(shape)) for shape in golden.values())
    assert sum(x.size for x in jax.tree.leaves(ours)) == count


def test_a_released_npz_is_read_with_and_without_stacked_layers_and_prefix(flat, tmp_path):
    npz.save(tmp_path / "stacked.npz", trees.unflatten(flat))
    npz.save(tmp_path / "apart.npz", {"params": trees.unflatten(dict(unstacked(flat)))})
    same(tmp_path / "stacked.npz", flat)
    same(tmp_path / "apart.npz", flat)


def test_a_layer_that_an_npz_lacks_is_named(flat, tmp_path):
    apart = dict(unstacked(flat))
    del apart["txt/Encoder_0/encoderblock_0/LayerNorm_0/bias"]
    npz.save(tmp_path / "a.npz", trees.unflatten(apart))
    with pytest.raises(ValueError, match=r"txt/Encoder_0/encoderblock/LayerNorm_0/bias: .*\[0\]"):
        weights.load(tmp_path / "a.npz")


def test_a_file_of_open_clip_is_read_whole_through_the_common_door(flat, tmp_path):
    same(open_clip_file(tmp_path, flat), flat)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda s: s.pop("text.ln_final.bias"), "missing: text.ln_final.bias"),
        (
            lambda s: s.update({"text.cls_emb": np.zeros(24)}),
            "unexpected: text.cls_emb",
        ),
        (
            lambda s: s.update({"text.ln_final.bias": np.zeros(7)}),
            r"shape: text_model.final_layer_norm.bias is \(7,\)",
        ),
        (
            lambda s: s.update({"logit_scale": np.zeros(2)}),
            "shape: logit_scale has a wrong number of axes",
        ),
        (
            lambda s: s.update({"visual.trunk.patch_embed.proj.weight": np.zeros((24, 147))}),
            "NaFlex",
        ),
    ],
)
def test_a_tensor_that_is_missing_extra_or_misshaped_is_named(flat, change, message, tmp_path):
    file = open_clip_file(tmp_path, flat, change)
    with pytest.raises(ValueError, match=message):
        weights.load(file)


def test_heads_are_asked_for_if_nothing_tells_them(flat, tmp_path):
    file = open_clip_file(tmp_path, flat)
    sidecar.path(file).unlink()
    with pytest.raises(ValueError, match="how many heads does a tower of width 24"):
        weights.load(file)


def test_a_layer_behind_the_pool_has_no_place_in_other_programs(flat):
    more = {**flat, "img/head/kernel": np.zeros((24, 9)), "img/head/bias": np.zeros(9)}
    two_towers.check_ours(more, "a run", foreign=False)
    with pytest.raises(ValueError, match="no other program has a layer behind the attention pool"):
        two_towers.check_ours(more, "a run")
