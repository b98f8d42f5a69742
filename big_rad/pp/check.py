"""Checks that a preprocessing string fits the config that a checkpoint will be used with."""

from collections.abc import Mapping
from typing import Any

from big_rad.pp import builder as pp_builder
from big_rad.pp import strings


def check_pp(config: Any, field: str, pp: str, boxes: bool = True) -> None:
    """Checks that a preprocessing string makes examples as the config describes them.

    Users of the checkpoint read the settings from its config, so training and evaluation data must
    be made with the same settings.

    Args:
        config: the whole config; `image`, `tokenizer`, `codec` and `text` are compared.
        field: the name of the config field that holds `pp`, for the message.
        pp: the preprocessing string.
        boxes: whether the codec is compared; the references of an evaluation may keep full
            precision.

    Raises:
        ValueError: An op differs from the config, or does not accept its arguments.
    """
    wanted = {
        "resize": {"size": "image.size"},
        "normalize": {"kind": "image.normalize"},
        "tok": {"tokenizer": "tokenizer.path", "sets": "tokenizer.sets"},
        "caption": {"tokenizer": "tokenizer.path"},
        "ground": {"codec": "codec.name", "grid": "codec.grid"} if boxes else {},
    }
    try:
        calls = list(pp_builder.calls(pp, only=wanted))
    except ValueError as e:
        raise ValueError(f"{field}: {e}") from e
    for name, arguments in calls:
        if name == "ground" and arguments["mode"] != "boxes":
            continue
        for argument, place in wanted[name].items():
            part, _, key = place.partition(".")
            value, given = config.get(part, {}).get(key), arguments[argument]
            if argument == "sets":
                given = (given,) if isinstance(given, str) else tuple(given)
                value = given if value is None else tuple(value)
            if given != value and part in config:
                raise ValueError(
                    f"{field}: {name} has {argument}={given!r}, but "
                    f"config.{place} is {value!r}. The checkpoint would be used with the latter: "
                    "make both equal (the config file builds this string; give the value there)"
                )
    if "text" in config:
        _check_text(strings.text_of(config), field, pp)


def _check_text(text: Mapping[str, Any], field: str, pp: str) -> None:
    # The string must clean reports exactly when the config says that users of the checkpoint clean
    # them. It may limit texts to fewer tokens than the config (rows of short blocks do so), but a
    # text must not be longer than what users of the checkpoint can give.
    wanted, most = text["clean"], text["max_text"]
    calls = list(pp_builder.calls(pp, only=("clean", "prompt", "tok")))
    used = [arguments["kind"] for name, arguments in calls if name == "clean"]
    tasks = ",".join(arguments["tasks"] for name, arguments in calls if name == "prompt")
    reports = "report" in [task.strip() for task in tasks.split(",")]
    given = used[0] if used else ""
    if given != wanted and (given or reports):
        raise ValueError(
            f"{field}: reports are cleaned by {given!r}, but config.text.clean is {wanted!r}. The "
            "checkpoint would be used with the latter: make both equal (the config file builds "
            "this string; give the value there)"
        )
    for length in (arguments["max_text"] for name, arguments in calls if name == "tok"):
        if isinstance(length, int) and length > most:
            raise ValueError(
                f"{field}: tok has max_text={length}, but config.text.max_text is {most}. The "
                "checkpoint would be used with the latter: raise it, or lower the former (the "
                "config file builds this string; give the value there)"
            )
