import jax
import ml_collections
import numpy as np
import pytest

from big_rad import models, trees
from big_rad.pp import tokenizer as tokenizers
from big_rad.training import state
from big_rad.weights import npz
from tests.helpers import siglips

TOK = tokenizers.load("tiny")
LLM = dict(width=24, depth=1, mlp_dim=16, num_heads=2, num_kv_heads=1, head_dim=8)


def quiet(_):
    pass


def begin(name="two_towers", log=quiet, **fields):
    """Returns the flat parameters of step 0, and those of a new model, which all are 0.5."""
    model = dict(img=siglips.IMG, llm=LLM)
    if name == "two_towers":
        model = dict(img=siglips.IMG, txt=dict(siglips.TXT, length=6))
    config = dict(model_name=name, model=model, image=dict(size=siglips.SIDE), dont_load=())
    config = ml_collections.ConfigDict(config | dict(model_init="", model_init_img="") | fields)
    made = models.make(name, config.model, models.rows(name, TOK))
    place = jax.sharding.SingleDeviceSharding(jax.devices()[0])

    shapes = models.init_shapes(made, config)
    drawn = {n: np.full(x.shape, 0.5, np.float32) for n, x in trees.flatten(shapes).items()}
    target = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place),
        shapes,
    )
    found = state.initial_params(config, lambda _: drawn, target, jax.random.key(0), TOK, log)
    return trees.flatten(found), drawn


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of two towers whose table has rows of padding."""
    return siglips.run(tmp_path_factory.mktemp("state") / "run", "tiny", padding=48)


@pytest.fixture(scope="module")
def held():
    return siglips.flat(TOK.text_size + 48)


def test_two_towers_start_from_a_run_without_its_rows_of_padding(run, held):
    lines = []
    params, _ = begin(model_init=str(run), log=lines.append)
    assert any("48 of 2,048 rows" in line for line in lines)
    held = held | {"txt/Embed_0/embedding": held["txt/Embed_0/embedding"][:2000]}
    jax.tree.map(np.testing.assert_array_equal, params, held)


def test_another_context_length_is_refused_with_the_one_to_take(run):
    model = dict(img=siglips.IMG, txt=dict(siglips.TXT, length=9))
    with pytest.raises(ValueError, match=r"length is 9.* 6 tokens.*siglip_refrad2d.py:length=6"):
        begin(model_init=str(run), model=model)


@pytest.mark.parametrize(
    "name, field",
    [
        ("two_towers", "model_init"),
        ("two_towers", "model_init_img"),
        ("radgrounder", "model_init_img"),
    ],
)
def test_towers_of_other_sizes_are_refused_with_the_fields_to_change(run, name, field):
    model = dict(img=dict(siglips.IMG, depth=4), llm=LLM)
    if name == "two_towers":
        model = dict(img=model["img"], txt=dict(siglips.TXT, length=9, width=16))
    with pytest.raises(ValueError, match="have other sizes") as e:
        begin(name, model=model, **{field: str(run)})
    told = str(e.value).splitlines()
    assert f"  config.model.img.depth is 4, {run} has {siglips.IMG['depth']}" in told
    assert f"--config.model.img.depth={siglips.IMG['depth']}" in told[-1]
    whole = field == "model_init"
    assert (f"--config.model.txt.width={siglips.TXT['width']}" in told[-1]) == whole


def test_the_table_of_another_tokenizer_is_refused(tmp_path):
    npz.save(tmp_path / "a.npz", trees.unflatten(siglips.flat(90)))
    with pytest.raises(ValueError, match=r"has 90 rows, and the tokenizer .* has 2,000 pieces"):
        begin(model_init=str(tmp_path / "a.npz"))


@pytest.mark.parametrize("head", [0, 24], ids=["", "with a layer behind the pool"])
def test_a_radgrounder_takes_the_adapted_tower_without_pool_and_keeps_its_projector(
    run, held, head, tmp_path
):
    path = str(run)
    if head:  # It has the shape of a projector, but is not one.
        more = {"img/head/kernel": np.ones((24, head)), "img/head/bias": np.ones(head)}
        npz.save(tmp_path / "a.npz", trees.unflatten({**held, **more}))
        path = str(tmp_path / "a.npz")
    lines = []
    params, drawn = begin("radgrounder", lines.append, model_init_img=path)
    tower = {n: x for n, x in held.items() if n.startswith("img/") and "MAPHead" not in n}
    kept = {n: x for n, x in drawn.items() if n not in tower}
    assert {"img/head/kernel", "img/head/bias"} <= kept.keys()
    jax.tree.map(np.testing.assert_array_equal, params, {**tower, **kept})
    assert any("left out: img/MAPHead_0" in line for line in lines)
    assert any("has no img/head: that of the model is kept" in line for line in lines)


def test_two_towers_take_an_image_tower_alone_and_keep_their_pool(held, tmp_path):
    tower = {n: x for n, x in held.items() if n.startswith("img/") and "MAPHead" not in n}
    npz.save(tmp_path / "tower.npz", trees.unflatten(tower))
    lines = []
    params, drawn = begin(model_init_img=str(tmp_path / "tower.npz"), log=lines.append)
    jax.tree.map(np.testing.assert_array_equal, params, {**drawn, **tower})
    assert any("has no img/MAPHead_0: that of the model is kept" in line for line in lines)
