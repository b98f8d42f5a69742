import itertools
import json

import numpy as np
import pytest
import torch
import transformers

from big_rad import trees, weights
from big_rad.inference import load
from big_rad.weights import npz, sidecar
from tests.helpers import siglips
from tools import convert

FORMATS = {
    "npz": "a.npz", "huggingface": "hf", "open_clip": "a.safetensors", "torch": "a.bin",
    "orbax": "run",
}  # fmt: skip


def quiet(_):
    pass


def read(path):
    return trees.flatten(weights.load(path, log=quiet))


@pytest.fixture(scope="module")
def spiece(tmp_path_factory):
    file = tmp_path_factory.mktemp("tokenizer") / "spiece.model"
    file.write_bytes(siglips.spiece())
    return file


@pytest.fixture(scope="module")
def run(spiece, tmp_path_factory):
    return siglips.run(tmp_path_factory.mktemp("siglip") / "run", spiece)


@pytest.fixture(scope="module")
def written(run, tmp_path_factory):
    """The run in every format, converted from the run."""
    folder = tmp_path_factory.mktemp("written")
    sums = []
    for kind, name in FORMATS.items():
        to = "orbax" if kind == "orbax" else None
        sums.append(convert.convert(run, folder / name, to=to, log=quiet))
    assert all(x == sums[0] for x in sums)
    return folder


@pytest.mark.parametrize("old, new", list(itertools.permutations(FORMATS, 2)))
def test_every_way_around_keeps_every_bit(run, written, spiece, old, new, tmp_path):
    to = "orbax" if new == "orbax" else None
    given = dict(tokenizer=str(spiece)) if new == "orbax" else {}
    convert.convert(written / FORMATS[old], tmp_path / FORMATS[new], to=to, log=quiet, **given)
    found, want = read(tmp_path / FORMATS[new]), read(run)
    assert found.keys() == want.keys()
    for name, value in want.items():
        assert found[name].dtype == value.dtype and found[name].tobytes() == value.tobytes(), name


def test_transformers_loads_the_folder_with_its_tokenizer_and_gives_our_embeddings(run, written):
    theirs = transformers.SiglipModel.from_pretrained(written / "hf").eval()
    ours = load.load(run, log=quiet)
    tokenizer = transformers.SiglipTokenizer.from_pretrained(str(written / "hf"))
    text = tokenizer(["the liver"], padding="max_length")["input_ids"]
    ids = ours.tokenizer.encode("the liver", eos=True)
    assert text == [[*ids, *[1] * (6 - len(ids))]]
    image = np.random.default_rng(0).uniform(-1, 1, (1, siglips.SIDE, siglips.SIDE, 3))
    image = image.astype(np.float32)
    with torch.no_grad():
        want = theirs(torch.tensor(text), torch.tensor(image.transpose(0, 3, 1, 2)))
    found, _ = ours.model.apply({"params": ours.params}, image, np.array(text))
    np.testing.assert_allclose(found[0], want.image_embeds, atol=1e-4)
    np.testing.assert_allclose(found[1], want.text_embeds, atol=1e-4)


def test_settings_of_a_run_go_along(run, written, spiece):
    fields = load.load(written / "hf", log=quiet).fields
    assert fields["image"] == dict(size=siglips.SIDE, normalize="medgemma")
    assert fields["text"] == dict(clean="", max_text=200)
    beside = sidecar.read(written / "a.npz")
    assert beside["normalize"] == "medgemma" and beside["model"]["txt"]["length"] == 6
    assert json.loads((written / "hf/config.json").read_text())["text_config"]["pad_token_id"] == 1


def test_rows_of_padding_of_a_run_are_left_out(tmp_path):
    run, lines = siglips.run(tmp_path / "run", "tiny", padding=100), []
    convert.convert(run, tmp_path / "a.npz", log=lines.append)
    assert any("100 of 2,100 rows" in line for line in lines)
    assert lines[-1].startswith(f"{tmp_path / 'a.npz'} holds no tokenizer")
    name = "txt/Embed_0/embedding"
    np.testing.assert_array_equal(read(tmp_path / "a.npz")[name], read(run)[name][:2000])


def test_an_image_tower_alone_is_written_for_timm_and_read_back(run, tmp_path):
    lines = []
    convert.convert(run, tmp_path / "tower.safetensors", to="timm", log=lines.append)
    assert {"left out: txt", "left out: img/MAPHead_0"} <= {x.split(" of ")[0] for x in lines}
    tower = read(tmp_path / "tower.safetensors")
    want = {n: x for n, x in read(run).items() if n.startswith("img/") and "MAPHead" not in n}
    assert tower.keys() == want.keys()
    for name, value in want.items():
        np.testing.assert_array_equal(tower[name], value)
    with pytest.raises(ValueError, match="has no text tower, and open_clip needs one"):
        convert.convert(tmp_path / "tower.safetensors", tmp_path / "b.safetensors", log=quiet)


def test_what_a_format_cannot_hold_is_said(run, written, spiece, tmp_path):
    with pytest.raises(ValueError, match="has no tokenizer, and a run needs one"):
        convert.convert(written / "a.npz", tmp_path / "run", to="orbax", log=quiet)
    with pytest.raises(ValueError, match="a file for open_clip ends in"):
        convert.convert(run, tmp_path / "a.xyz", to="open_clip", log=quiet)
    with pytest.raises(ValueError, match="no masks, and takes no adapters"):
        convert.convert(run, tmp_path / "b.npz", without_masks=True, log=quiet)
    other = tmp_path / "other.npz"
    npz.save(other, trees.unflatten(siglips.flat(77)))
    with pytest.raises(ValueError, match="77 rows, and the tokenizer .*spiece.model has 44 pieces"):
        convert.convert(other, tmp_path / "hf", tokenizer=str(spiece), log=quiet)
    assert not (tmp_path / "hf").exists()
