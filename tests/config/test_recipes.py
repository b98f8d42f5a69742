import pathlib

import ml_collections
import pytest

from big_rad.config import recipes as config_lib

ROOT = pathlib.Path(__file__).parents[2]
_OF_CHECKPOINTS = ("evaluate", "finetune")  # These recipes need a checkpoint.
RECIPES = sorted(
    str(p)
    for p in (ROOT / "configs").glob("*.py")
    if "def get_config" in p.read_text(encoding="utf-8") and p.stem not in _OF_CHECKPOINTS
)


def test_arguments_take_the_type_of_their_default():
    got = config_lib.parse_arg(
        "variant=3b,size=448,lr=1e-3,packed", variant="tiny", size=224, lr=1.0, packed=False, n=3
    )
    assert got.to_dict() == dict(variant="3b", size=448, lr=1e-3, packed=True, n=3)
    assert config_lib.parse_arg(None, a=1).to_dict() == {"a": 1}


@pytest.mark.parametrize("text, value", [("x", True), ("x=true", True), ("x=False", False)])
def test_boolean_arguments(text, value):
    assert config_lib.parse_arg(text, x=not value).x is value


@pytest.mark.parametrize(
    "text, message",
    [
        ("siez=3", "'siez': unknown; known: size, packed"),
        ("size=big", "'size=big': needs size=<int>"),
        ("size", "'size': needs size=<int>"),
        ("packed=maybe", "'packed=maybe': needs packed=<bool>"),
    ],
)
def test_a_wrong_argument_is_an_error_that_says_what_is_possible(text, message):
    with pytest.raises(ValueError, match=message):
        config_lib.parse_arg(text, size=224, packed=False)


def test_a_file_is_loaded_with_what_stands_after_the_colon(tmp_path):
    path = tmp_path / "a.py"
    path.write_text("def get_config(arg=None):\n    return {'arg': arg}\n", encoding="utf-8")
    assert config_lib.load(str(path)) == {"arg": None}
    assert config_lib.load(f"{path}:x=1,y=a:b") == {"arg": "x=1,y=a:b"}
    with pytest.raises(FileNotFoundError, match="nowhere.py.*configs/"):
        config_lib.load("nowhere.py:x=1")


def test_a_recipe_is_found_from_any_folder_and_it_is_said_which(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = []
    found = config_lib.locate("configs/demo.py:steps=3", said.append)
    assert found == f"{ROOT}/configs/demo.py:steps=3"
    assert len(said) == 1 and f"{ROOT}/configs/demo.py" in said[0]
    assert config_lib.load("configs/demo.py:steps=3").total_steps == 3
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs/demo.py").write_text("def get_config(arg=None):\n    return 'mine'\n")
    assert config_lib.locate("configs/demo.py:x=1", said.append) == "configs/demo.py:x=1"
    assert config_lib.load("configs/demo.py") == "mine" and len(said) == 1


@pytest.mark.parametrize("path", ["demo.py", "configs/../setup.py", "configs/nope.py", "configs"])
def test_no_other_file_is_taken_for_a_recipe(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=f"'{path}' does not exist.*configs/finetune.py"):
        config_lib.locate(f"{path}:steps=3")


def test_the_config_of_a_command_line_is_found_however_it_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = f"{ROOT}/configs/demo.py"
    line = [
        "train",
        "--config=configs/demo.py:a=b",
        "--config.lr=1",
        "--workdir",
        "configs/demo.py",
    ]
    assert config_lib.located(line) == ["train", f"--config={own}:a=b", *line[2:]]
    assert config_lib.located(["x", "--config", "configs/demo.py"]) == ["x", "--config", own]
    assert config_lib.located(["x", "--config"]) == ["x", "--config"]


@pytest.mark.parametrize(
    "given, steps",
    [
        (dict(total_steps=7), 7),
        (dict(total_epochs=2), 25),  # 200 examples in batches of 8.
        (dict(total_epochs=0.5), 6),
        (dict(total_examples=80), 10),
        (dict(total_examples=1), 1),
        (dict(total_steps=0), 0),
    ],
)
def test_steps_follow_from_steps_epochs_or_examples(given, steps):
    config = ml_collections.ConfigDict(dict(given, input=dict(batch_size=8)))
    assert config_lib.num_steps(config, examples_per_epoch=100) == steps


@pytest.mark.parametrize("given", [{}, dict(total_steps=1, total_epochs=1), dict(total_steps=None)])
def test_none_or_several_lengths_are_an_error(given):
    config = ml_collections.ConfigDict(dict(given, input=dict(batch_size=8)))
    with pytest.raises(ValueError, match="exactly one of total_steps, total_epochs"):
        config_lib.num_steps(config, 100)


def test_json_keeps_everything_and_does_not_depend_on_the_order_of_keys():
    config = ml_collections.ConfigDict(
        dict(
            lr=5e-5, schedule=((".*", dict(warmup_percent=0.1)), ("x", None)), mesh=(("data", -1),)
        )
    )
    config.total_steps = ml_collections.config_dict.placeholder(int)
    text = config_lib.to_json(config)
    again = config_lib.from_json(text)
    assert config_lib.to_json(again) == text
    assert again.schedule == config.schedule and again.mesh == config.mesh
    assert again.total_steps is None
    swapped = ml_collections.ConfigDict(dict(b=1, a=2)), ml_collections.ConfigDict(dict(a=2, b=1))
    assert config_lib.to_json(swapped[0]) == config_lib.to_json(swapped[1])
    assert config_lib.to_json(swapped[0]) != config_lib.to_json(config)


def test_a_value_without_a_json_form_is_an_error():
    with pytest.raises(TypeError, match="function has no JSON form"):
        config_lib.to_json(ml_collections.ConfigDict(dict(f=lambda: 0)))


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: pathlib.Path(p).stem)
def test_every_recipe_survives_json(path):
    config = config_lib.load(path)
    text = config_lib.to_json(config)
    assert config_lib.to_json(config_lib.from_json(text)) == text
