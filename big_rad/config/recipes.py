"""Loads recipes, reads their arguments, and writes configs as JSON.

A recipe is a Python file with a function `get_config(arg)` that returns a config. In
`configs/radgrounder_det.py:variant=tiny,data=phantom` the text after the colon is `arg`; a recipe
reads it with `parse_arg`.
"""

import importlib.util
import json
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ml_collections

from big_rad import quiet
from big_rad.config import companions, defaults
from big_rad.registry import did_you_mean

Config = defaults.Config
Finish = Callable[[Config], Config]  # Completes the config of a recipe, as `finetune.fit` does.
_FOLDER = "configs"


def parse_arg(arg: str | None, **defaults: Any) -> Config:
    """Reads the arguments `key=value,key=value` of a recipe; a boolean key alone means True.

        parse_arg("size=448,packed", size=224, packed=False, data=("real", "phantom"))
        -> size=448, packed=True, data="real"

    Args:
        arg: the text after the colon, or None.
        **defaults: every known key with its default value, whose type the values get. A tuple
            lists the allowed values, beginning with the default.

    Returns:
        A config with the value of every key.

    Raises:
        ValueError: A key is unknown, has two values, or has a value of another type or one that is
            not allowed.
    """
    choices = {k: v for k, v in defaults.items() if isinstance(v, tuple)}
    defaults |= {k: v[0] for k, v in choices.items()}
    result, given = dict(defaults), {}
    for item in filter(None, (arg or "").split(",")):
        key, sep, value = item.partition("=")
        if key not in defaults:
            raise ValueError(
                f"config argument {key!r}: unknown; known: {', '.join(defaults)}"
                + did_you_mean(key, defaults)
            )
        if given.setdefault(key, item) != item:
            raise ValueError(f"config arguments {given[key]!r} and {item!r}: give one of them")
        kind = type(defaults[key])
        try:
            if kind is bool:
                result[key] = {"": True, "true": True, "false": False, "1": True, "0": False}[
                    value.lower()
                ]
            elif not sep:
                raise ValueError
            else:
                result[key] = kind(value)
        except (ValueError, KeyError):
            raise ValueError(f"config argument {item!r}: needs {key}=<{kind.__name__}>") from None
        if key in choices and result[key] not in choices[key]:
            known = ", ".join(map(str, choices[key]))
            like = did_you_mean(value, choices[key])
            raise ValueError(f"config argument {item!r}: {key} is one of {known}{like}")
    return ml_collections.ConfigDict(result)


def locate(spec: str, log: Callable[[str], None] = quiet.to_stderr) -> str:
    """Finds the file of `path.py` or `path.py:arg`.

    A file with that path is taken first. If it does not exist, `configs/NAME.py` means the recipe
    of that name that comes with big_rad, whatever the working directory is.

    Args:
        spec: the path, with or without arguments.
        log: receives a line if the recipe that comes with big_rad is taken.

    Returns:
        The path with the arguments; the path of a recipe that comes with big_rad is absolute.

    Raises:
        FileNotFoundError: There is no such file; the message lists the recipes of big_rad.
    """
    path, colon, arg = spec.partition(":")
    if pathlib.Path(path).is_file():
        return spec
    parts = pathlib.PurePath(path).parts
    recipes = companions.folder(_FOLDER)
    own = recipes.joinpath(*parts[1:])
    if parts[:1] == (_FOLDER,) and ".." not in parts and own.is_file():
        log(f"config: there is no {path} here; big_rad's own is used, {own}")
        return f"{own}{colon}{arg}"
    written = "/".join(parts[-2:])  # Only "configs/NAME.py" is compared with the known names.
    names = sorted(f"{_FOLDER}/{p.name}" for p in recipes.glob("[!_]*.py") if p.name != "common.py")
    raise FileNotFoundError(
        f"config file {path!r} does not exist here ({pathlib.Path.cwd()}); the recipes of big_rad "
        f"are {', '.join(names) or 'not beside it'}{did_you_mean(written, names)}"
    )


def located(argv: Sequence[str]) -> list[str]:
    """Returns a command line in which `--config` has the path that `locate` finds.

    Raises:
        FileNotFoundError: There is no such file.
    """
    found = list(argv)
    for i, item in enumerate(found):
        flag, equals, value = item.partition("=")
        if flag not in ("--config", "-config"):
            continue
        if equals:
            found[i] = f"{flag}={locate(value)}"
        elif i + 1 < len(found):
            found[i + 1] = locate(found[i + 1])
    return found


def as_it_is(config: Config) -> Config:
    """Returns a config unchanged: the `Finish` of recipes that need no completion."""
    return config


def completed(config: Config, finish: Finish = as_it_is, fill: bool = True) -> Config:
    """Completes the config of a recipe, so that it has every field.

    Args:
        config: the config that the recipe has returned, which is changed in place. A value that is
            no config is returned unchanged; `config_check` later raises an error for it.
        finish: a function that is called before missing fields are filled in.
        fill: whether the fields of the trainer are filled in, which other programs do not have.
    """
    if isinstance(config, Config):
        config = finish(config)
        if fill:
            defaults.fill(config)
    return config


def load(spec: str, finish: Finish = as_it_is, fill: bool = True) -> Config:
    """Loads the config of `path.py` or `path.py:arg`, see `locate`.

    `companions.recipes_of` says what `from configs import ...` finds in the file.

    Args:
        spec: the path, with or without arguments.
        finish, fill: see `completed`.

    Raises:
        FileNotFoundError: There is no such file.
    """
    path, _, arg = locate(spec).partition(":")
    module_spec = importlib.util.spec_from_file_location("_config", path)
    module = importlib.util.module_from_spec(module_spec)
    with companions.recipes_of(path):
        module_spec.loader.exec_module(module)
        return completed(module.get_config(arg or None), finish, fill)


def num_steps(config: Config, examples_per_epoch: int) -> int:
    """Returns the number of training steps by `total_steps`, `total_epochs` or `total_examples`.

    Args:
        config: the config.
        examples_per_epoch: the number of examples in an epoch.

    Raises:
        ValueError: Not exactly one of the three fields is set.
    """
    names = ("total_steps", "total_epochs", "total_examples")
    given = {n: config.get(n) for n in names if config.get(n) is not None}
    if len(given) != 1:
        raise ValueError(
            f"config: set exactly one of {', '.join(names)}; set: {sorted(given)}. On the command "
            "line --config.NAME=None unsets one"
        )
    ((name, value),) = given.items()
    if name == "total_steps":
        return int(value)
    examples = value if name == "total_examples" else value * examples_per_epoch
    return max(1, round(examples / config.input.batch_size))


def changed(config: Config, fields: Mapping[str, Any]) -> Config:
    """Returns a copy of a config with other values of some fields.

    Args:
        config: the config.
        fields: a dict from the path of a field to its value, such as `{"model.llm.depth": 2}`.
    """
    new = config.copy_and_resolve_references()
    with new.unlocked():
        new.update_from_flattened_dict(fields)
    return new


def to_json(config: Config | Mapping[str, Any]) -> str:
    """Returns the config as JSON with sorted keys."""
    plain = config.to_dict() if isinstance(config, ml_collections.ConfigDict) else config
    return json.dumps(plain, indent=1, sort_keys=True, default=_plain)


def from_json(text: str) -> Config:
    """Returns the config that `to_json` wrote; all sequences become tuples."""
    return ml_collections.ConfigDict(_tuples(json.loads(text)))


def _plain(x: object) -> Any:
    if isinstance(x, Mapping):
        return dict(x)
    raise TypeError(f"config: a value of type {type(x).__name__} has no JSON form; use a literal")


def _tuples(x: object) -> Any:
    if isinstance(x, dict):
        return {k: _tuples(v) for k, v in x.items()}
    return tuple(_tuples(v) for v in x) if isinstance(x, list) else x
