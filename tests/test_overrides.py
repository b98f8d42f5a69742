"""Fields of a config on the command line."""

import pathlib

import pytest
from absl import flags
from ml_collections import config_flags

from big_rad import overrides

DEMO = f"--config={pathlib.Path(__file__).parents[1] / 'configs/demo.py'}"


def parsed(*args):
    argv, values = ["train", *args], flags.FlagValues()
    config_flags.DEFINE_config_file("config", None, "", flag_values=values, sys_argv=argv)
    rest = overrides.parse(argv, values)
    return values.config, rest


@pytest.mark.parametrize(
    "arg, said",
    [
        ("--config.lr=fast", "--config.lr=fast: could not convert string to float"),
        ("--config.lr=", "--config.lr=: could not"),
        ("--config.total_steps=x", "--config.total_steps=x: invalid literal for int"),
        ("--config.eval_before=perhaps", "--config.eval_before=perhaps: "),
        ("--config.evals={", "--config.evals={: "),
        ("--config.optimizer_args.rms=x", "--config.optimizer_args.rms=x: "),
        ("--config.learning_rate=1", "the config has no field 'learning_rate'"),
        ("--config.ckpt_step=1", "did you mean 'ckpt_steps'"),
        ("--config.evals.vqa.limt=1", "config.evals.vqa has no field 'limt'; .*'limit'"),
        ("--config.evals.vqq.every=1", "config.evals has no field 'vqq'; .*'vqa'"),
        ("--config.loss.x=3", "config.loss is .* and has no field 'x'"),
        ("--config.total_step=None", "has no field 'total_step'; .*'total_steps'"),
        ("--nope=3", "nope"),
    ],
)
def test_an_error_names_the_field_in_one_line(arg, said):
    with pytest.raises(overrides.CommandLineError, match=said) as error:
        parsed(DEMO, arg)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("args", [["--config.total_steps=None"], ["--config.total_steps", "None"]])
def test_a_field_that_a_recipe_sets_can_be_unset(args):
    config, rest = parsed(DEMO, *args, "--config.total_epochs=2", "--config.lr", "0.5", "more")
    assert config.total_steps is None and (config.total_epochs, config.lr) == (2.0, 0.5)
    assert rest == ["train", "more"]
    config, _ = parsed(DEMO, "--config.evals.vqa.limit=None", "--config.total_steps=7")
    assert config.evals.vqa.limit is None and config.total_steps == 7


@pytest.mark.parametrize(
    "args, said",
    [
        ([f"{DEMO}:stepz=3"], "'stepz': unknown; known: steps, .*did you mean 'steps'"),
        ([f"{DEMO}:ground=boxs"], "one of boxes, masks; did you mean 'boxes'"),
        ([f"{DEMO}:steps=3,steps=4"], "'steps=3' and 'steps=4': give one of them"),
        (
            [DEMO.replace("demo.py", "dem.py")],
            "dem.py' does not exist here .*; .*did you mean .*demo.py",
        ),
    ],
)
def test_an_error_of_the_file_or_its_arguments_is_said_as_it_is(args, said):
    with pytest.raises(overrides.CommandLineError, match=said):
        parsed(*args, "--config.lr=1")
