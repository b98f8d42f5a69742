"""Checks a whole config before anything slow starts: each field, and whether fields fit together.

The rules for single fields are in `fields`; this module checks that fields agree with each other.
It reads only the config, and no data, weights or tokenizer, so that a check is quick.
"""

import inspect
import pkgutil
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from big_rad import evaluators, fields, models, registry, sharding
from big_rad.config import defaults
from big_rad.config import recipes as config_lib
from big_rad.config.defaults import Config
from big_rad.datasets import core
from big_rad.evaluators import headlines
from big_rad.evaluators import spec as spec_lib
from big_rad.grounding.codec import get_codec
from big_rad.models import gemma, lora, mask_decoder, siglip, two_towers
from big_rad.pp import builder as pp_builder
from big_rad.pp import check as pp_check
from big_rad.pp import ops_detect
from big_rad.registry import did_you_mean
from big_rad.training import losses, optim

_OF_TRAINER = ("groups",)  # Arguments of a loss that the trainer sets, so a config may not.
_OF_FLAX = ("parent", "name")
# The parts of a model, and the class whose arguments each field of `config.model` has.
_PARTS: dict[str, Any] = {
    "img": siglip.Model,
    "llm": gemma.Model,
    "txt": two_towers.TextTower,
    "mask_decoder": mask_decoder.Model,
}
_LENGTHS = ("total_steps", "total_epochs", "total_examples")


def check(config: Config) -> None:
    """Checks a config.

    Args:
        config: the whole config; big_rad/config/defaults.py explains its fields.

    Raises:
        ValueError: A field is unknown or outside its range, or fields do not fit each other. The
            message names every such field, and its allowed values.
    """
    found = fields.problems(config, _options(config))
    if not found:  # The further checks rely on values of the right types.
        config = defaults.filled(config)
        parts = (_length, _mixture, _model, _sizes, _loss, _optimizer, _devices, _evals, _scores)
        found = [problem for part in parts for problem in part(config)]
    if len(found) == 1:
        raise ValueError(found[0])
    if found:
        raise ValueError(f"{len(found)} settings cannot be used:\n  " + "\n  ".join(found))


def check_best(config: Config) -> None:
    """Checks that `config.ckpt_best` names a score that is evaluated during training.

    Raises:
        ValueError: There is no such score, it cannot say which step is the best (a count, or a
            share of errors with the mode "max"), or it belongs to a test split.
    """
    name, evals = config.ckpt_best, config.evals
    if config.ckpt_best_mode not in ("max", "min"):
        raise ValueError('config.ckpt_best_mode: use "max" or "min"')
    if not name:
        return
    if wrong := headlines.unknown_score(name, evals):
        raise ValueError(f"config.ckpt_best is {name!r}: {wrong}")
    if wrong := headlines.cannot_choose(name, evals, config.ckpt_best_mode):
        raise ValueError(f"config.ckpt_best is {name!r}: {wrong}")
    spec = evals[name.partition("/")[0]]
    if not spec.get("every", 0):
        raise ValueError(
            f"config.ckpt_best is {name!r}: name a metric as EVALUATOR/METRIC, of an entry of "
            "config.evals that has `every`, so that it is evaluated while training"
        )
    if spec["split"].startswith("test"):
        raise ValueError(
            f"config.ckpt_best is {name!r}, of the split {spec['split']!r}: a checkpoint "
            "chosen by test data has no test left. Use a validation split"
        )


def _options(config: Config) -> dict[str, list[str]]:
    # Returns a dict from each entry of `evals` to the options that its class accepts. An entry
    # whose class cannot be found is left out.
    found = {}
    evals = config.get("evals")
    for name, spec in evals.items() if hasattr(evals, "items") else ():
        cls = spec_lib.class_of(spec.get("type")) if hasattr(spec, "items") else spec_lib.Statement
        if cls.scores:
            found[name] = list(spec_lib.options(cls))
    return found


def _length(config: Config) -> Iterator[str]:
    given = [n for n in _LENGTHS if config.get(n) is not None]
    if len(given) != 1:
        yield from _said(config_lib.num_steps, config, 1)
    elif given != ["total_epochs"]:  # The number of steps of an epoch depends on the data.
        yield from _said(optim.check_warmup, config.schedule, config_lib.num_steps(config, 1))
    batch, parts = config.input.batch_size, config.grad_accum
    if batch % parts:
        yield (
            f"config.input.batch_size {batch} does not divide into config.grad_accum {parts} "
            "microbatches"
        )


def _mixture(config: Config) -> Iterator[str]:
    names = list(config.input.data)
    if not names:
        yield "config.input.data is empty: name at least one dataset with its weight"
    for name in names:
        if name not in config.input:
            known = [k for k, v in config.input.items() if hasattr(v, "items") and k != "data"]
            yield (
                f"config.input.data names {name!r}, and there is no config.input.{name} that says "
                f"how to read it; there are {', '.join(known) or 'none'}{did_you_mean(name, known)}"
            )
            continue
        yield from _source(f"config.input.{name}", config.input[name])
        yield from _ops(config, f"config.input.{name}.pp", config.input[name].get("pp"))
    for name, spec in config.sources.items():
        if name not in core.names():
            like = did_you_mean(name, core.names())
            yield f"config.sources.{name}: no such dataset; known: {', '.join(core.names())}{like}"
        if "source" not in spec:
            yield f"config.sources.{name} has no `source`: give the folder of the raw data"


def _source(place: str, spec: Mapping[str, Any]) -> Iterator[str]:
    for name in ("builder", "split", "pp"):
        if not spec.get(name):
            yield f"{place}.{name} is missing"
    builder = spec.get("builder")
    if builder and builder not in core.names():
        like = did_you_mean(builder, core.names())
        yield f"{place}.builder is {builder!r}; known: {', '.join(core.names())}{like}"
    asked = (*_parameters(core.DetectionQuestions), *_parameters(ops_detect.get_detect_vqa))
    for name, known in (("expand", _parameters(core.OneTextPerItem)), ("asked", asked)):
        known = [k for k in known if k not in ("source", "kw")]
        yield from _unknown(f"{place}.{name}", spec.get(name) or {}, known)
    given = {k: v for k, v in (spec.get("expand") or {}).items() if k in fields.EXPAND}
    yield from fields.check(f"{place}.expand", given, fields.EXPAND)


def _model(config: Config) -> Iterator[str]:
    try:
        cls = models.get(config.model_name).Model
    except (ValueError, AttributeError):
        known = [m.name for m in pkgutil.iter_modules(models.__path__)]
        yield f"config.model_name is {config.model_name!r}: no such model" + did_you_mean(
            config.model_name, known
        )
        return
    yield from _members("config.model", config.model, cls)
    for part, kind in _PARTS.items():
        spec = config.model.get(part)
        if hasattr(spec, "items"):
            yield from _members(f"config.model.{part}", spec, kind)
    if config.model.get("lora"):
        yield from _said(lora.check, config.model.lora)
    segmentation = "segmentation" in config.tokenizer.sets
    if config.model.get("mask_decoder") and not segmentation:
        yield (
            "config.model.mask_decoder needs the tokens of config.tokenizer.sets 'segmentation'; "
            f"the sets are {tuple(config.tokenizer.sets)}"
        )


def _members(place: str, spec: Mapping[str, Any], cls: type) -> Iterator[str]:
    known = [n for n in cls.__dataclass_fields__ if n not in _OF_FLAX]
    yield from _unknown(place, spec, known)
    given = {k: v for k, v in spec.items() if k in known and k in fields.MODEL}
    yield from fields.check(place, given, fields.MODEL)


def _sizes(config: Config) -> Iterator[str]:
    # Finds sizes that make no model, or with which pixels would be ignored, and checks the codec.
    if config.get("codec", {}).get("name"):
        wrong = _said(get_codec, config.codec.name, config.codec.get("grid"))
        yield from (f"config.codec: {w}" for w in wrong)
    dims = {}
    for part, kind in _PARTS.items():
        spec = config.model.get(part)
        if not hasattr(spec, "items"):
            continue
        try:
            given = {k: v for k, v in spec.items() if k in (*fields.DIMENSIONS, "variant")}
            more = {"num_classes": 1} if part == "txt" else {}
            dims[part] = kind(**given, **more).dims()
        except ValueError as e:
            yield f"config.model.{part}: {e}"
        except TypeError:  # The class has other fields; `_members` reports the unknown ones.
            continue
    patch = dims["img"]["patch_size"] if "img" in dims else 1
    if config.image.size % patch:
        yield (
            f"config.image.size is {config.image.size}: it has to be a multiple of {patch}, the "
            "patch_size of config.model.img; the rest of the image would not be seen"
        )
    llm = dims.get("llm")
    if llm and llm.num_heads % llm.num_kv_heads:
        yield (
            f"config.model.llm: num_heads {llm.num_heads} has to be a multiple of num_kv_heads "
            f"{llm.num_kv_heads}"
        )


def _devices(config: Config) -> Iterator[str]:
    yield from _said(sharding.check_rules, config.sharding_strategy, config.mesh)


def _loss(config: Config) -> Iterator[str]:
    try:
        name, args, given = registry.parse_call(config.loss)
        takes = losses.LOSSES.get(name)
    except ValueError as e:
        yield f"config.loss: {e}"
        return
    if args:
        yield f"config.loss {config.loss!r}: write the arguments by name"
    parameters = inspect.signature(takes).parameters.values()
    known = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.name not in _OF_TRAINER]
    yield from _unknown(f"config.loss {name}", given, known)
    ranged = {k: v for k, v in given.items() if k in known and k in fields.LOSS}
    yield from fields.check(f"config.loss {name}", ranged, fields.LOSS)
    if (name == "sigmoid_pairs") != (config.model_name == "two_towers"):
        yield (
            f"config.loss {name} does not go with config.model_name {config.model_name!r}; the "
            "loss of two_towers is sigmoid_pairs, and no other model has it"
        )
    if name == "text_and_masks" and not config.model.get("mask_decoder"):
        yield (
            "config.loss text_and_masks trains masks, and the model has no config.model."
            "mask_decoder; use text_xent(), or a recipe with ground=masks"
        )


def _optimizer(config: Config) -> Iterator[str]:
    given = config.optimizer_args
    known = optim.arguments(config.optimizer)
    yield from _unknown("config.optimizer_args", given, known)
    ranged = {k: v for k, v in given.items() if k in known and k in fields.OPTIMIZER}
    yield from fields.check("config.optimizer_args", ranged, fields.OPTIMIZER)
    if all(args is None for _, args in config.schedule):
        yield "config.schedule freezes every parameter; nothing is left to train"
    for pattern, args in config.schedule:
        both = [k for k in ("warmup_steps", "warmup_percent") if args and args.get(k) is not None]
        if len(both) == 2:
            yield f"config.schedule: give {' or '.join(both)} of {pattern!r}, not both"


def _evals(config: Config) -> Iterator[str]:
    for name, spec in config.evals.items():
        if "/" in name:
            yield f"config.evals: the name {name!r} has a slash, which parts evaluator and score"
        yield from _said(evaluators.check, name, spec, config.model_name)
        yield from _source(f"config.evals.{name}", spec)
        yield from _ops(config, f"config.evals.{name}.pp", spec.get("pp"), boxes=False)
        codec, grid = spec.get("codec"), spec.get("grid")
        if hasattr(codec, "items"):
            codec, grid = codec.get("name", ""), codec.get("grid")
        wrong = _said(get_codec, codec, grid) if codec is not None else ()
        yield from (f"config.evals.{name}.codec: {w}" for w in wrong)


def _scores(config: Config) -> Iterator[str]:
    # Checks that each name of a score is one that an evaluator yields.
    evals, summary = config.evals, config.summary
    if summary and not evals:
        yield (
            f"config.evals is empty, and config.summary names scores of it ({', '.join(summary)}): "
            'empty both, with --config.summary="{}"'
        )
        summary = {}
    for alias, name in summary.items():
        if wrong := headlines.unknown_score(name, evals):
            yield f"config.summary.{alias} is {name!r}: {wrong}"
    yield from _said(check_best, config)


def _ops(config: Config, place: str, pp: str | None, boxes: bool = True) -> Iterator[str]:
    # Finds ops that do not exist, have wrong arguments, or contradict the fields of the config.
    wrong = list(_said(lambda: list(pp_builder.calls(pp)))) if pp else []
    yield from (f"{place}: {w}" for w in wrong)
    if pp and not wrong:
        yield from _said(pp_check.check_pp, config, place, pp, boxes=boxes)
        yield from (f"{place}: {w}" for w in _said(pp_builder.check, pp))
        yield from _blocks(config, place, pp)


def _blocks(config: Config, place: str, pp: str) -> Iterator[str]:
    # With `text_block`, attention over packed rows is computed block by block. A text that crosses
    # the border of a block could not attend to its own first part.
    size = config.model.get("text_block", 0)
    for _, tok in pp_builder.calls(pp, only=("tok",)) if size else ():
        if tok["pack"] and (not tok["block"] or size % tok["block"]):
            yield (
                f"{place}: config.model.text_block is {size}, and tok has block={tok['block']}: "
                "texts would cross the borders of attention; make both equal"
            )


def _parameters(taker: Callable[..., object]) -> list[str]:
    return list(inspect.signature(taker).parameters)


def _unknown(place: str, given: Mapping[str, Any], known: Collection[str]) -> Iterator[str]:
    for name in given:
        if name not in known:
            yield f"{place} has no {name!r}; known: {', '.join(known)}{did_you_mean(name, known)}"


def _said(check: Callable[..., object], *args: object, **kwargs: object) -> Iterator[str]:
    # Yields the message of the ValueError that another check raises, if it raises one.
    try:
        check(*args, **kwargs)
    except ValueError as e:
        yield str(e)
