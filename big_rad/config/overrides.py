"""The command line of a config: its fields set one by one, and errors that name them."""

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
    """A command line that cannot be; the message names the flag or the field."""


class _NotFinishedError(Exception):
    """What follows a recipe could not be done; its cause says why."""


class _Loader(flags.ArgumentParser):
    """Loads a config file and completes it, before fields of the command line are set."""

    def __init__(self, loader: flags.ArgumentParser, finish: config_lib.Finish):
        self._loader, self._finish = loader, finish

    def parse(self, argument: str) -> ml_collections.ConfigDict:
        """Returns the config of a file; an error that is kept for later stays one."""
        config = self._loader.parse(argument)
        try:
            return config_lib.completed(config, self._finish)
        except Exception as e:  # absl would put words of its own around it.
            raise _NotFinishedError from e

    def flag_type(self) -> str:
        """Returns what help texts call it."""
        return self._loader.flag_type()


def parse(
    argv: Sequence[str],
    values: flags.FlagValues = flags.FLAGS,
    finish: config_lib.Finish = config_lib.as_it_is,
) -> list[str]:
    """Reads a command line with `--config=FILE:ARGUMENTS` and `--config.FIELD=VALUE`.

    `--config.FIELD=None` unsets a field, such as the length that a recipe has set; a field that
    holds a text becomes "".

    Args:
        argv: the command line, the program first.
        values: the flags, among them `config` of `config_flags.DEFINE_config_file`.
        finish: completes what a recipe returns, see `finetune.fit`. Fields of the command line win
            over what it sets.

    Returns:
        What is no flag, the program first.

    Raises:
        CommandLineError: a flag, a file, a field or a value that cannot be.
    """
    try:
        argv = config_lib.located(argv)
    except FileNotFoundError as e:
        raise CommandLineError(str(e)) from e
    file = _file(argv)
    kept, unset = _without_none(argv)
    loader = values["config"].parser
    values["config"].parser = _Loader(loader, finish)
    try:
        with companions.recipes_of(file.partition(":")[0]):
            rest = values(kept)
            if file:  # An error of reading or writing is kept until the config is looked at.
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
        said = " ".join(_said(e, file, argv, finish).split())
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
    # The command line without the fields that are to be unset, and these.
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


def _said(error: Exception, file: str, argv: Sequence[str], finish: config_lib.Finish) -> str:
    if isinstance(error, _NotFinishedError):
        return _of_file(error.__cause__ or error, file)
    if isinstance(error, flags.Error):
        if _OF_FILE not in str(error):
            return str(error).removeprefix("flag ")
        root: BaseException = error  # What the config file itself said is the useful part.
        while _OF_FILE in str(root) and (root.__cause__ or root.__context__):
            root = root.__cause__ or root.__context__
        return str(root)
    paths = [m[1] for m in map(_OVERRIDE.fullmatch, argv) if m]
    try:
        return file and _no_field(config_lib.load(file, finish), paths) or str(error)
    except Exception as e:  # The file's own error, which loading it a second time shows.
        return _of_file(e, file)


def _of_file(error: BaseException, file: str) -> str:
    if isinstance(error, ValueError | OSError):
        return str(error)
    return f"{file} cannot be loaded: {type(error).__name__}: {error}"


def _no_field(config: ml_collections.ConfigDict, paths: Iterable[str]) -> str:
    # Says which of the fields is not there; "" if all are.
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
