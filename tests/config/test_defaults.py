"""Fields that a config lacks get their default values when it is loaded."""

import ml_collections

from big_rad.config import defaults
from big_rad.config import recipes as config_lib
from configs import common, demo


def test_every_field_is_filled_but_those_that_a_config_has_to_say_itself():
    config = ml_collections.ConfigDict(dict(input=dict(batch_size=3), bad_steps=dict(spike=7.0)))
    defaults.fill(config)
    declared = common.base()
    unsaid = {*defaults.REQUIRED, *defaults.OF_CHECKPOINT} - {"input"}
    assert set(config) == set(declared) - unsaid
    assert config.input.to_dict() == declared.input.to_dict() | {"batch_size": 3}
    assert config.bad_steps.to_dict() == declared.bad_steps.to_dict() | {"spike": 7.0}


def test_a_whole_config_stays_as_it_is_and_a_filled_copy_leaves_the_first_alone():
    config = demo.get_config()
    text = config_lib.to_json(config)
    assert config_lib.to_json(defaults.filled(config)) == text
    del config.grad_accum
    assert defaults.filled(config).grad_accum == common.base().grad_accum
    assert "grad_accum" not in config


def test_a_field_without_a_value_keeps_its_type():
    config = ml_collections.ConfigDict()
    defaults.fill(config)
    assert config.total_steps is None and config.get_type("total_steps") is int


def test_a_recipe_without_the_shared_fields_is_filled_when_it_is_loaded(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(
        "import ml_collections\n"
        "def get_config(arg=None):\n    return ml_collections.ConfigDict({'lr': 0.5})\n"
    )
    config = config_lib.load(str(path))
    assert (config.lr, config.ckpt_keep) == (0.5, common.base().ckpt_keep)
    assert "loss" not in config
