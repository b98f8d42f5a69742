"""Reads `--config=FILE:ARGUMENTS` and `--config.FIELD=VALUE` from a command line."""

import re
from collections.abc import Iterable, Sequence

import ml_collections
from absl import flags

from big_rad.config import companions
from big_rad.config import recipes as config_lib
from big_rad.registry import did_you_mean

_OVERRIDE = re.compile(r"--?(?:no)?config\.([^=]+)(=.*)?", re.DOTALL)
_CONFIG = re.compile(r"--?config(?:=(.*))?", re.DOTALL)
_EARLIER = "Configuration is not available because of an earlier failure to load: "
_OF_FILE = "Error whilst parsing config file"


class CommandLineError(flags.Error, ValueError):
    """A command line is wrong; the message names the flag or the field."""


class _NotFinishedError(Exception):
    """The function `finish` failed on the config of a recipe; the cause says why."""


class _Loader(flags.ArgumentParser):
    """Loads a config file and completes the config before the command line sets fields."""

    def __init__(self, loader: flags.ArgumentParser, finish: config_lib.Finish, fill: bool):
        self._loader, self._finish, self._fill = loader, finish, fill

    def parse(self, argument: str) -> ml_collections.ConfigDict:
        """Returns the completed config of a file."""
        config = self._loader.parse(argument)
        try:
            return config_lib.completed(config, self._finish, self._fill)
        except Exception as e:  # absl would wrap the message of any other error in its own text.
            raise _NotFinishedError from e

    def flag_type(self) -> str:
        """Returns the name of the type for help texts."""
        return self._loader.flag_type()


def parse(
    argv: Sequence[str],
    values: flags.FlagValues = flags.FLAGS,
    finish: config_lib.Finish = config_lib.as_it_is,
    fill: bool = True,
) -> list[str]:
    """Reads a command line with `--config=FILE:ARGUMENTS` and `--config.FIELD=VALUE`.

    `--config.FIELD=None` unsets a field, such as the length of the run that a recipe has set; a
    field that holds a string becomes "".

    Args:
        argv: the command line, beginning with the program.
        values: the flags, among them `config`, defined by `config_flags.DEFINE_config_file`. They
            receive the values.
        finish: a function that completes the config of a recipe, see `finetune.fit`. Fields that
            the command line sets win over those that it sets.
        fill: whether the fields of the trainer are filled in, see `recipes.completed`.

    Returns:
        The words that are no flags, beginning with the program.

    Raises:
        CommandLineError: A flag, file, field or value is unknown or wrong.
    """
    try:
        argv = config_lib.located(argv)
    except FileNotFoundError as e:
        raise CommandLineError(str(e)) from e
    file = _file(argv)
    kept, unset = _without_none(argv)
    loader = values["config"].parser
    values["config"].parser = _Loader(loader, finish, fill)
    try:
        with companions.recipes_of(file.partition(":")[0]):
            rest = values(kept)
            if file:  # absl raises an error of loading the file only when the config is read.
                hasattr(values["config"].value, "items")
        for path in unset:
            *parents, name = path.split(".")
            holder = values["config"].value
            for parent in parents:
                holder = holder[parent]
            if name not in holder:
                raise KeyError(name)
            holder[name] = "" if isinstance(holder[name], str) else None
    except Exception as e:  # A wrong flag, an error of the config file, an unknown field.
        said = " ".join(_said(e, file, argv, finish, fill).split())
        raise CommandLineError(said.removeprefix(_EARLIER)) from e
    finally:
        values["config"].parser = loader
    return rest


def _file(argv: Sequence[str]) -> str:
    for word, after in zip(argv, [*argv[1:], ""], strict=True):
        if found := _CONFIG.fullmatch(word):
            return found[1] if found[1] is not None else after
    return ""


def _without_none(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    # Returns the command line without the words `--config.FIELD=None`, and these fields.
    kept, unset, words = [], [], list(argv)
    while words:
        word = words.pop(0)
        found = _OVERRIDE.fullmatch(word)
        if found and found[2] == "=None":
            unset.append(found[1])
        elif found and found[2] is None and words[:1] == ["None"]:
            unset.append(found[1])
            words.pop(0)
        else:
            kept.append(word)
    return kept, unset


def _said(
    error: Exception, file: str, argv: Sequence[str], finish: config_lib.Finish, fill: bool
) -> str:
    if isinstance(error, _NotFinishedError):
        return _of_file(error.__cause__ or error, file)
    if isinstance(error, flags.Error):
        if _OF_FILE not in str(error):
            return str(error).removeprefix("flag ")
        # Only the innermost error, which the config file raised, is useful to the user.
        root: BaseException = error
        while _OF_FILE in str(root) and (root.__cause__ or root.__context__):
            root = root.__cause__ or root.__context__
        return str(root)
    paths = [m[1] for m in map(_OVERRIDE.fullmatch, argv) if m]
    try:
        return file and _no_field(config_lib.load(file, finish, fill), paths) or str(error)
    except Exception as e:  # Loading the file a second time has raised the file's own error.
        return _of_file(e, file)


def _of_file(error: BaseException, file: str) -> str:
    if isinstance(error, ValueError | OSError):
        return str(error)
    return f"{file} cannot be loaded: {type(error).__name__}: {error}"


def _no_field(config: ml_collections.ConfigDict, paths: Iterable[str]) -> str:
    # Returns a message on the first field that does not exist; "" if all exist.
    for path in paths:
        place, holder = "config", config
        for part in path.split("."):
            if not hasattr(holder, "items"):
                return f"{place} is {holder!r} and has no field {part!r}"
            if part not in holder:
                known = list(holder)
                place = "the config" if place == "config" else place
                return (
                    f"{place} has no field {part!r}; known: {', '.join(sorted(known))}"
                    f"{did_you_mean(part, known)}"
                )
            place, holder = f"{place}.{part}", holder[part]
    return ""
