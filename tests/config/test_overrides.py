"""Fields of a config on the command line."""

import pathlib

import pytest
from absl import flags
from ml_collections import config_flags

from big_rad.config import overrides, recipes

DEMO = f"--config={pathlib.Path(__file__).parents[2] / 'configs/demo.py'}"


def parsed(*args, finish=recipes.as_it_is):
    argv, values = ["train", *args], flags.FlagValues()
    config_flags.DEFINE_config_file("config", None, "", flag_values=values, sys_argv=argv)
    rest = overrides.parse(argv, values, finish)
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
    config, _ = parsed(DEMO, "--config.ckpt_best=None", "--config.model_init=None")
    assert (config.ckpt_best, config.model_init) == ("", "")
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
        ([f"{DEMO}:steps=ten"], "config argument 'steps=ten': needs steps=<int>"),
        ([DEMO.replace("demo", "finetune") + ":epochs=ten"], "'epochs=ten': needs epochs=<float>"),
        (
            [DEMO.replace("demo", "radgrounder_det") + ":variant=tinny"],
            "variant is one of 3b, 10b, 28b, tiny; did you mean 'tiny'",
        ),
    ],
)
def test_an_error_of_the_file_or_its_arguments_is_said_as_it_is(args, said):
    with pytest.raises(overrides.CommandLineError, match=said):
        parsed(*args, "--config.lr=1")


@pytest.mark.parametrize(
    "code, said",
    [
        ("{}['tinny']", r"recipe.py cannot be loaded: KeyError: 'tinny'"),
        ("1 / 0", r"recipe.py cannot be loaded: ZeroDivisionError: division by zero"),
        ("open('/nowhere/data.jsonl')", "No such file .*/nowhere/data.jsonl"),
        ("(_ for _ in ()).throw(ValueError('lr: too high'))", "^lr: too high$"),
    ],
)
@pytest.mark.parametrize("more", [[], ["--config.lr=1"]])
def test_an_error_of_any_kind_inside_the_file_is_said(tmp_path, code, said, more):
    (tmp_path / "recipe.py").write_text(f"def get_config(arg=None):\n    return {code}\n")
    with pytest.raises(overrides.CommandLineError, match=said):
        parsed(f"--config={tmp_path / 'recipe.py'}", *more)


def test_what_a_file_raises_from_another_error_is_what_is_said(tmp_path):
    (tmp_path / "recipe.py").write_text(
        "def get_config(arg=None):\n"
        "    try:\n        int('x')\n"
        "    except ValueError as e:\n        raise ValueError('mine') from e\n"
    )
    with pytest.raises(overrides.CommandLineError, match="^mine$"):
        parsed(f"--config={tmp_path / 'recipe.py'}")


def test_a_flag_without_a_value_leaves_the_next_field_alone():
    config, _ = parsed(DEMO, "--config.eval_before", "--config.total_steps=None")
    assert config.eval_before is True and config.total_steps is None
    config, _ = parsed(DEMO, "--config.seed", "-1", "--config.total_steps", "None")
    assert config.seed == -1 and config.total_steps is None


def test_fields_of_the_command_line_win_over_what_completes_a_recipe():
    def finish(config):
        with config.unlocked():
            config.lr, config.wd, config.evals.added = 0.25, 0.75, dict(every=3)
        return config

    config, _ = parsed(DEMO, "--config.lr=0.5", "--config.evals.added.every=4", finish=finish)
    assert (config.lr, config.wd, config.evals.added.every) == (0.5, 0.75, 4)


def test_an_error_of_completing_a_recipe_is_said_as_it_is():
    def finish(config):
        raise FileNotFoundError("my_data: no data.jsonl")

    with pytest.raises(overrides.CommandLineError, match="^my_data: no data.jsonl$"):
        parsed(DEMO, "--config.lr=0.5", finish=finish)
