"""Config files: loading, arguments after the colon, checks, and a JSON form.

A config file is Python with `get_config(arg)`; `arg` is what stands after the colon in
`configs/radgrounder_det.py:variant=tiny,data=phantom`. Knows nothing of models or data.
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
Finish = Callable[[Config], Config]  # of what a recipe returns, such as `finetune.fit`
_FOLDER = "configs"


def parse_arg(arg: str | None, **defaults: Any) -> Config:
    """Reads `key=value,key=value` against typed defaults; a bare boolean key means True.

    Args:
        arg: the text after the colon, or None.
        **defaults: every known key with its default; values take the default's type. A tuple
            lists the values there are, the default first.

    Raises:
        ValueError: an unknown key, a value of another type, or two values for one key.
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
    """Finds the file of `path.py` or `path.py:arg`, from whatever folder one works in.

    A file of that path counts first. Where there is none, `configs/NAME.py` is the recipe of that
    name that comes with big_rad.

    Args:
        spec: the path, perhaps with an argument.
        log: receives which file is meant, if it is one that comes with big_rad.

    Returns:
        The path, absolute if it is big_rad's own, and the argument.

    Raises:
        FileNotFoundError: no such file; the message says which recipes come with big_rad.
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
    written = "/".join(parts[-2:])  # However long the path before it is.
    names = sorted(f"{_FOLDER}/{p.name}" for p in recipes.glob("[!_]*.py") if p.name != "common.py")
    raise FileNotFoundError(
        f"config file {path!r} does not exist here ({pathlib.Path.cwd()}); the recipes of big_rad "
        f"are {', '.join(names) or 'not beside it'}{did_you_mean(written, names)}"
    )


def located(argv: Sequence[str]) -> list[str]:
    """Returns a command line whose `--config` is what `locate` found.

    Raises:
        FileNotFoundError: no such file.
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
    """Returns a config as it is: the `Finish` of recipes that are whole."""
    return config


def completed(config: Config, finish: Finish = as_it_is) -> Config:
    """Returns what a recipe has returned as a whole config, finished and with every field.

    Args:
        config: of the recipe; changed in place. Anything else that a file may return is left as it
            is, for `config_check` to refuse.
        finish: called first.
    """
    if isinstance(config, Config):
        config = finish(config)
        defaults.fill(config)
    return config


def load(spec: str, finish: Finish = as_it_is) -> Config:
    """Loads `path.py` or `path.py:arg`, see `locate`.

    `from configs import ...` in it means what `companions.recipes_of` says.

    Args:
        spec: the path, perhaps with an argument.
        finish: see `completed`.

    Raises:
        FileNotFoundError: no such file.
    """
    path, _, arg = locate(spec).partition(":")
    module_spec = importlib.util.spec_from_file_location("_config", path)
    module = importlib.util.module_from_spec(module_spec)
    with companions.recipes_of(path):
        module_spec.loader.exec_module(module)
        return completed(module.get_config(arg or None), finish)


def num_steps(config: Config, examples_per_epoch: int) -> int:
    """Returns the training steps that `total_steps`, `total_epochs` or `total_examples` gives.

    Raises:
        ValueError: none or several of them are set.
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
    """Returns a copy of a config with some fields set, `{"model.llm.depth": 2}`."""
    new = config.copy_and_resolve_references()
    with new.unlocked():
        new.update_from_flattened_dict(fields)
    return new


def to_json(config: Config | Mapping[str, Any]) -> str:
    """Returns the config as JSON, keys sorted."""
    plain = config.to_dict() if isinstance(config, ml_collections.ConfigDict) else config
    return json.dumps(plain, indent=1, sort_keys=True, default=_plain)


def from_json(text: str) -> Config:
    """Inverse of `to_json`; sequences come back as tuples."""
    return ml_collections.ConfigDict(_tuples(json.loads(text)))


def _plain(x: object) -> Any:
    if isinstance(x, Mapping):
        return dict(x)
    raise TypeError(f"config: a value of type {type(x).__name__} has no JSON form; use a literal")


def _tuples(x: object) -> Any:
    if isinstance(x, dict):
        return {k: _tuples(v) for k, v in x.items()}
    return tuple(_tuples(v) for v in x) if isinstance(x, list) else x
