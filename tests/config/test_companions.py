"""`from configs import ...` in recipes, when other packages are called `configs` too."""

import sys
import types

import pytest
from absl import flags
from ml_collections import config_flags

from big_rad.config import companions, overrides
from big_rad.config import recipes as config_lib
from configs import common, radgrounder_det


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A function (name, text) that writes a recipe to `configs` in the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").mkdir()

    def write(name, text):
        (tmp_path / "configs" / name).write_text(text, encoding="utf-8")
        return f"configs/{name}"

    return write


def test_a_recipe_of_ones_own_finds_those_of_big_rad(here):
    here("settings.py", "LR = 0.25\n")
    path = here(
        "mine.py",
        "from configs import common, radgrounder_det, settings\n"
        "from configs.radgrounder_seg import get_config as seg\n"
        "def get_config(arg=None):\n"
        "    c = radgrounder_det.get_config('variant=tiny,data=phantom')\n"
        "    c.lr, c.codec = settings.LR, common.CODEC\n"
        "    return c\n",
    )
    config = config_lib.load(path)
    assert config.lr == 0.25 and config.codec.to_dict() == common.CODEC


@pytest.mark.parametrize("init", [None, "", "MINE = 1\n"])
def test_a_file_of_ones_own_counts_for_ones_own_recipes_only(here, init):
    if init is not None:
        here("__init__.py", init)
    here("common.py", "WHOSE = 'mine'\n")
    here("evaluate.py", "raise RuntimeError('nobody asked for this')\n")
    path = here(
        "mine.py",
        "from configs import common, radgrounder_det\n"
        "def get_config(arg=None):\n"
        "    return common.WHOSE, radgrounder_det.common.CODEC\n",
    )
    assert config_lib.load(path) == ("mine", common.CODEC)
    expected = config_lib.to_json(radgrounder_det.get_config("variant=tiny"))
    own = config_lib.load("configs/radgrounder_det.py:variant=tiny")
    assert config_lib.to_json(own) == expected


def test_the_flag_of_the_trainer_reads_such_a_recipe_too(here):
    path = here(
        "mine.py",
        "from configs import common\ndef get_config(arg=None):\n    return common.base()\n",
    )
    values = flags.FlagValues()
    argv = ["train", f"--config={path}", "--config.lr=0.5"]
    config_flags.DEFINE_config_file("config", None, "", flag_values=values, sys_argv=argv)
    assert overrides.parse(argv, values) == ["train"]
    assert values["config"].value.lr == 0.5


def test_the_recipe_may_be_in_another_folder_called_configs(here, tmp_path, monkeypatch):
    here("settings.py", "LR = 0.25\n")
    path = here(
        "mine.py", "from configs import settings\ndef get_config(arg=None): return settings.LR\n"
    )
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert config_lib.load(f"../{path}") == 0.25
    monkeypatch.chdir(tmp_path / "configs")
    assert config_lib.load("mine.py") == 0.25


def test_a_package_of_the_program_that_loads_a_recipe_is_left_alone(here, monkeypatch):
    others = types.ModuleType("configs"), types.ModuleType("configs.common")
    for module in others:
        monkeypatch.setitem(sys.modules, module.__name__, module)
    path = here(
        "mine.py", "from configs import common\ndef get_config(arg=None): return common.CODEC\n"
    )
    before = {n for n in sys.modules if n.startswith("configs")}
    assert config_lib.load(path) == common.CODEC
    assert config_lib.load("configs/radgrounder_det.py:variant=tiny").lr
    path = here("broken.py", "from configs import no_such_recipe\n")
    with pytest.raises(ImportError, match="no_such_recipe"):
        config_lib.load(path)
    assert tuple(sys.modules[m.__name__] for m in others) == others
    assert {n for n in sys.modules if n.startswith("configs")} == before


def test_a_checkout_has_both_folders_beside_the_package():
    assert not companions.in_wheel()
    assert (companions.folder("configs") / "common.py").samefile(common.__file__)
    assert companions.package("configs") == "configs" and sys.modules["configs"].common is common
