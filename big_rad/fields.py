"""The rules that say which values each field of a config may have.

`FIELDS` is the table: a rule for each field that big_rad/config/defaults.py has a default for, and
further tables for the sections that a config names itself (datasets, evaluators). A rule is a
function that returns "" for an allowed value, and otherwise describes the allowed values in words:

    whole(1)(24) == ""
    whole(1)(0) == "a whole number of at least 1"

`config_check` checks whether several fields fit each other.
"""

import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from big_rad.config import defaults
from big_rad.pp import strings
from big_rad.registry import did_you_mean

Rule = Callable[[object], str]  # From a value to "" or a description of the allowed values.
ANY = "*"  # The key of a table for fields of any name.
DTYPES = ("float32", "bfloat16", "float16")


def problems(
    config: Mapping[str, Any], options: Mapping[str, Collection[str]] | None = None
) -> list[str]:
    """Returns the problems of the fields of a config, each field taken alone.

    Args:
        config: the whole config.
        options: a dict from the name of an evaluator to the options that its class accepts. An
            evaluator that is missing here may have any of `EVAL_OPTIONS`.

    Returns:
        A message for each field that is unknown, missing, or outside its range.
    """
    missing = [n for n in defaults.REQUIRED if config.get(n) is None]
    found = [f"config.{n} is missing; big_rad/config/defaults.py has every field" for n in missing]
    table = FIELDS
    if options:
        entries = {name: EVAL | EVAL_OPTIONS for name in config["evals"]}
        for name, own in options.items():
            entries[name] = EVAL | {n: EVAL_OPTIONS.get(n, anything) for n in own}
        table = FIELDS | {"evals": entries}
    found += _walk("config", config, table)
    return found


def check(place: str, values: Mapping[str, Any], table: Mapping[str, Any]) -> Iterator[str]:
    """Yields a message for each wrong value of one section.

    Args:
        place: the name of the section for messages, such as "config.optimizer_args".
        values: the fields of the section with their values.
        table: the rule of each field.
    """
    return _walk(place, values, table)


def check_arguments(given: Mapping[str, Any], **ranges: Rule) -> None:
    """Checks the arguments of a recipe, as `config.recipes.parse_arg` returns them.

    Args:
        given: the arguments with their values.
        **ranges: a rule for each argument that has a range.

    Raises:
        ValueError: An argument is outside its range.
    """
    for name, rule in ranges.items():
        if wrong := rule(given[name]):
            raise ValueError(f"config argument '{name}={given[name]}': it has to be {wrong}")


def _walk(place: str, values: object, table: Mapping[str, Any]) -> Iterator[str]:
    if not _is_section(values):
        yield f"{place} is {values!r}: it has to be a section of fields, {{name: value}}"
        return
    for name, value in values.items():
        rule, where = table.get(name, table.get(ANY)), f"{place}.{name}"
        known = [n for n in table if n != ANY]
        # Only sections may have a name of the user's choice, so a single value with an unknown name
        # is a misspelt field.
        open_ended = name not in table and known and not _is_section(value)
        if rule is None or open_ended:
            yield (
                f"{place} has no field {name!r}; known: {', '.join(sorted(known))}"
                + did_you_mean(name, known)
            )
        elif isinstance(rule, Mapping):
            yield from _walk(where, value, rule)
        elif wrong := rule(value):
            yield f"{where} is {value!r}: it has to be {wrong}"


def _is_section(value: object) -> bool:
    return isinstance(value, Mapping) or hasattr(value, "items")


# ---- Rules -------------------------------------------------------------------------------------


def whole(low: int, high: int | None = None) -> Rule:
    """Returns the rule for a whole number of at least `low` and, if given, at most `high`."""
    words = f"a whole number of at least {low}" + (f" and at most {high}" if high else "")

    def rule(x: object) -> str:
        good = isinstance(x, int) and not isinstance(x, bool) and x >= low
        return "" if good and (high is None or x <= high) else words

    return rule


def number(
    low: float | None = None,
    above: float | None = None,
    high: float | None = None,
    below: float | None = None,
    words: str = "",
) -> Rule:
    """Returns the rule for a finite number within bounds.

    Args:
        low: the smallest allowed number.
        above: a number that the value must be larger than.
        high: the largest allowed number.
        below: a number that the value must be smaller than.
        words: the description of the allowed values; "" makes one from the bounds.
    """
    bounds = {"of at least": low, "above": above, "of at most": high, "below": below}
    said = " and ".join(f"{k} {v:g}" for k, v in bounds.items() if v is not None)
    words = words or f"a finite number {said}".strip()

    def rule(x: object) -> str:
        if isinstance(x, bool) or not isinstance(x, int | float) or not math.isfinite(x):
            return words
        good = (low is None or x >= low) and (above is None or x > above)
        good = good and (high is None or x <= high) and (below is None or x < below)
        return "" if good else words

    return rule


def text(empty: bool = True) -> Rule:
    """Returns the rule for a string; with `empty=False` it must not be ""."""

    def rule(x: object) -> str:
        return (
            "" if isinstance(x, str) and (x or empty) else "a text" + ("" if empty else ', not ""')
        )

    return rule


def flag(x: object) -> str:
    """The rule for True or False."""
    return "" if isinstance(x, bool) else "True or False"


def one_of(*values: object) -> Rule:
    """Returns the rule for one of the given values, of the same type."""

    def rule(x: object) -> str:
        if any(x == v and type(x) is type(v) for v in values):
            return ""
        return f"one of {', '.join(map(repr, values))}{did_you_mean(str(x), map(str, values))}"

    return rule


def maybe(rule: Rule) -> Rule:
    """Returns the rule for None or a value that another rule allows."""

    def optional(x: object) -> str:
        wrong = "" if x is None else rule(x)
        return wrong and f"None or {wrong}"

    return optional


def either(*rules: Rule) -> Rule:
    """Returns the rule for a value that at least one of several rules allows."""

    def rule(x: object) -> str:
        wrong = [r(x) for r in rules]
        return "" if "" in wrong else ", or ".join(wrong)

    return rule


def listed(rule: Rule, words: str, rising: bool = False) -> Rule:
    """Returns the rule for a tuple of values that another rule allows.

    Args:
        rule: the rule for each value.
        words: the description of the allowed tuples.
        rising: whether each value must be larger than the one before.
    """

    def each(x: object) -> str:
        good = isinstance(x, tuple | list) and not any(map(rule, x))
        return "" if good and (not rising or list(x) == sorted(set(x))) else words

    return each


def anything(x: object) -> str:
    """The rule that allows any value, for fields that are checked by the code that reads them."""
    del x
    return ""


def section(x: object) -> str:
    """The rule for a section with any fields."""
    return "" if _is_section(x) else "a section of fields, {name: value}"


def pattern(x: object) -> str:
    """The rule for a regular expression."""
    try:
        re.compile(x)
    except (re.error, TypeError) as e:
        return f"a regular expression ({e})"
    return ""


def rules(rule: Rule, example: str) -> Rule:
    """Returns the rule for a list of (regular expression, value).

    Args:
        rule: the rule for each value.
        example: a valid list, which the description shows.
    """

    def each(x: object) -> str:
        words = f"a list of (pattern, value), such as {example}"
        if not isinstance(x, tuple | list) or not x:
            return words
        for item in x:
            if not isinstance(item, tuple | list) or len(item) != 2:
                return words
            if wrong := pattern(item[0]) or rule(item[1]):
                return f"{words}; the value of {item[0]!r} has to be {wrong}"
        return ""

    return each


def _schedule(x: object) -> str:
    wrong = "; ".join(_walk("schedule", x, SCHEDULE)) if x is not None else ""
    return wrong and f"None (frozen) or the arguments of a schedule: {wrong}"


def _axis(x: object) -> str:
    good = isinstance(x, tuple | list) and len(x) == 2 and isinstance(x[0], str)
    return "" if good and (x[1] == -1 or not whole(1)(x[1])) else "(name, size)"


# ---- Tables ------------------------------------------------------------------------------------

_RATE = number(above=0)
_SHARE = number(low=0, high=1)
SCHEDULE = {
    "decay_type": one_of("cosine", "linear", "rsqrt", "constant"),
    "warmup_steps": maybe(whole(0)),
    "warmup_percent": maybe(
        number(low=0, below=1, words="a share of the run of at least 0 and below 1, such as 0.1")
    ),
    "end": _SHARE,
}
_SOURCE = {  # Fields that say which data are read, for training and for evaluation.
    "builder": text(empty=False),
    "split": text(empty=False),
    "builder_args": section,
    "only": either(one_of("grounded", ""), maybe(one_of("grounded"))),
    "asked": maybe(section),
    "expand": maybe(section),
    "pp": text(empty=False),
}
EVAL = _SOURCE | {  # Fields that an evaluator of any type may have.
    "type": text(empty=False),
    "limit": maybe(whole(1)),
    "every": whole(0),
    "control": maybe(text()),
    "sha256": maybe(text()),
}
# The rules of options that several evaluators share. The signature of an evaluator's class says
# which options it accepts.
EVAL_OPTIONS = {
    "batch_size": whole(1),
    "max_new_tokens": whole(1),
    "codec": either(maybe(text(empty=False)), section),
    "grid": maybe(whole(2)),
    "blank_value": number(),
    "captions": flag,
}
DIMENSIONS = (
    *("width", "depth", "mlp_dim", "num_heads", "num_kv_heads", "head_dim", "patch_size", "dim"),
)
# The rules of fields that several models share. The class of a model says which fields it has.
MODEL = {
    "dtype_mm": one_of(*DTYPES),
    "remat_policy": one_of("none", "dots", "dots_no_batch", "full"),
    "attention": one_of("xla", "structured", "cudnn", "auto"),
    "mask_mode": one_of("paligemma", "image_isolated"),
    "last_block": one_of("all", "wanted"),
    "posemb_init": one_of("normal", "sincos2d"),
    "scan": flag,
    "text_block": whole(0),
    "attn_logits_softcap": number(low=0),
    "final_logits_softcap": number(low=0),
} | dict.fromkeys(DIMENSIONS, maybe(whole(1)))
EXPAND = {  # The arguments of `datasets.core.OneTextPerItem`.
    "task": maybe(one_of("report", "vqa", "detect")),
    "lang": maybe(one_of("en", "de", "zh")),
    "question_type": maybe(text(empty=False)),
    "per_image": maybe(whole(1)),
    "seed": whole(0),
    "items": maybe(whole(1)),
    "view": one_of("first", "all"),
    "together": flag,
}
LOSS = {
    "mean": one_of("token", "example"),
    "tile": maybe(whole(1)),
    "lambda_seg": number(low=0),
    "masks": one_of("focal_dice", "bce_dice"),
    "gamma": number(low=0),
    "alpha": maybe(_SHARE),
}
_DECAY = number(low=0, below=1)  # The decay of a running mean, which at 1 would never change.
# The rules of `optimizer_args` for all optimizers. `optim.arguments` says which of them an
# optimizer accepts.
OPTIMIZER = {
    "decay_rate": number(above=0, high=1),
    "clip_threshold": number(above=0),
    "min_dim_size_to_factor": whole(1),
    "b1": _DECAY,
    "b2": _DECAY,
    "eps": number(above=0),
    "eps_root": number(low=0),
    "mu_dtype": maybe(one_of(*DTYPES)),
    "nesterov": flag,
    "rms": number(above=0),
    "beta": _DECAY,
    "ns_steps": whole(1),
}
FIELDS: dict[str, Any] = {
    "seed": whole(0, 2**31 - 1),
    "total_steps": maybe(whole(1)),
    "total_epochs": maybe(_RATE),
    "total_examples": maybe(whole(1)),
    "log_training_steps": whole(1),
    "ckpt_steps": whole(1),
    "ckpt_keep": whole(1),
    "ckpt_best": text(),
    "ckpt_best_mode": one_of("max", "min"),
    "bad_steps": {
        "action": one_of("stop", "skip"),
        "spike": either(one_of(0, 0.0), number(above=1)),
        "most": whole(0),
    },
    "input": {
        "data": {ANY: _RATE},
        "weights": one_of("shares", "epochs"),
        "batch_size": whole(1),
        "num_threads": whole(0),
        "num_workers": whole(0),
        "prefetch": whole(0),
        "buckets": listed(whole(1), "a tuple of rising lengths, such as (64, 128)", rising=True),
        "bucket_window": whole(1),
        "max_reject_share": _SHARE,
        ANY: _SOURCE,
    },
    "sources": {ANY: section},
    "tokenizer": {
        "path": text(empty=False),
        "sets": listed(one_of("detection", "segmentation"), "a tuple of detection, segmentation"),
    },
    "codec": {"name": text(empty=False), "grid": maybe(whole(2))},
    "image": {
        "size": whole(1),
        "normalize": one_of("medgemma", "dataset_stats", "min_max"),
    },
    "text": {"clean": one_of(*strings.CLEANERS), "max_text": whole(1)},
    "model_name": text(empty=False),
    "model": section,
    "model_init": text(),
    "model_init_img": text(),
    "dont_load": listed(pattern, "a tuple of regular expressions, such as ('mask_decoder/.*',)"),
    "loss": text(empty=False),
    "grad_accum": whole(1),
    "optimizer": one_of("adafactor", "adamw", "muon"),
    "optimizer_args": section,
    "optimizer_state_dtype": one_of("float32", "bfloat16"),
    "lr": _RATE,
    "wd": number(low=0),
    "grad_clip_norm": number(low=0),
    "schedule": rules(_schedule, "(('.*', {'decay_type': 'cosine', 'warmup_percent': 0.1}),)"),
    "lr_mults": rules(number(low=0), "(('.*', 1.0),)"),
    "wd_mults": rules(number(low=0), "(('.*', 1.0),)"),
    "frozen_dtype": one_of(*DTYPES),
    "compilation_cache": text(),
    "mesh": listed(_axis, "a list of axes (name, size), such as (('data', -1),)"),
    "sharding_strategy": rules(text(empty=False), "(('.*', 'fsdp'),)"),
    "card": number(low=0),
    "evals": {ANY: EVAL | EVAL_OPTIONS},
    "summary": {ANY: text(empty=False)},
    "eval_before": flag,
}
