"""Shows a model's parameters and the memory that its training needs, without allocating any of it.

    python -m tools.inspect_model --config=configs/radgrounder_det.py
    python -m tools.inspect_model --config=configs/radgrounder_det.py --card=24
    python -m tools.inspect_model --variant=3b --size=224

With `--config` it prints every parameter, the totals of each subtree, and the predicted peak memory
of a training step on one device (see `big_rad.training.memory`). Any field can be overridden, as
for training. With `--card`, in GB, it also prints whether the step fits this card, and what to
change if it does not. With `--variant` it prints the parameters of the original checkpoint of that
variant. Only shapes are computed, so it runs in seconds on any machine.
"""

import sys
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import ml_collections
from absl import flags
from ml_collections import config_flags

from big_rad import finetune, models, trees
from big_rad.config import overrides
from big_rad.config import recipes as config_lib
from big_rad.models import paligemma, parameter_table
from big_rad.pp import tokenizer as tokenizers
from big_rad.training import memory, optim
from big_rad.training import step as train_step
from configs import radgrounder_det

_PALIGEMMA_PIECES, _GEMMA_PIECES = 257_152, 256_000


def parameter_shapes(
    config: ml_collections.ConfigDict, vocab_size: int | None = None
) -> dict[str, Any]:
    """Returns the flat parameters of a config's model as shapes.

    Args:
        config: the config; only `model_name`, `model` and `image.size` are read.
        vocab_size: the number of rows that the tokenizer needs in the token table; None takes that
            of the model config.
    """
    if vocab_size is None:
        model = models.get(config.model_name).Model(**config.model)
    else:
        model = models.make(config.model_name, config.model, vocab_size)
    return trees.flatten(models.init_shapes(model, config))


def table_rows(
    tokenizer: ml_collections.ConfigDict, model_name: str = "radgrounder"
) -> tuple[int, str]:
    """Returns the number of rows that a tokenizer needs in the embedding table, and a remark.

    Args:
        tokenizer: `path` and `sets`. If the file is missing, PaliGemma's tokenizer is assumed, or
            that of SigLIP 2 for two towers, and the remark says so; otherwise the remark is "".
        model_name: the model that reads the tokens.
    """
    try:
        return models.rows(model_name, tokenizers.load(tokenizer.path, tuple(tokenizer.sets))), ""
    except FileNotFoundError:
        if model_name == "two_towers":
            return _GEMMA_PIECES, (
                f"no tokenizer file {tokenizer.path}: the token table is that of Gemma's "
                f"{_GEMMA_PIECES:,} pieces, as in SigLIP 2"
            )
        markup = sum(len(tokenizers.MARKUP_SETS[s]) for s in tokenizer.sets)
        rows = _PALIGEMMA_PIECES + 1 + markup  # One row stays reserved.
        return -(-rows // 128) * 128, (
            f"no tokenizer file {tokenizer.path}: the embedding table is that of PaliGemma's "
            f"{_PALIGEMMA_PIECES:,} pieces and {markup} markup tokens"
        )


def report(config: ml_collections.ConfigDict, card: float | None = None) -> str:
    """Returns the report for a recipe.

    Args:
        config: the whole config.
        card: the memory of a card in GB; the report then ends with whether the recipe fits it.
    """
    vocab_size, remark = table_rows(config.tokenizer, config.model_name)
    params = parameter_shapes(config, vocab_size)
    trainable = optim.make(config, params, total_steps=1000).trainable
    held = train_step.kept_shapes(config, params, trainable)
    found = memory.predict(config, vocab_size)
    table = [*found.state, *found.meanwhile, memory.Part("peak", "", 0, found.peak)]
    texts = _tables(parameter_table.rows(held, trainable), table)
    if remark:
        texts.append(f"note: {remark}")
    if card:
        texts.append(advice(config, vocab_size, card, found))
    return "\n\n".join(texts)


def advice(
    config: ml_collections.ConfigDict, vocab_size: int, card: float, found: memory.Prediction
) -> str:
    """Returns whether a recipe fits a card, and what to change if it does not.

    Args:
        config: the whole config.
        vocab_size: the number of rows that the tokenizer needs in the token table.
        card: the memory of the card in GB.
        found: the predicted memory of the recipe.
    """
    room = memory.USABLE * card
    line = f"{found.peak:.1f} GiB at its fullest, of the {room:.1f} that a card of {card:g} GB has"
    if found.fits(card):
        return f"{line}: it fits"
    lines = [f"{line}: it does not fit"]
    ways = {"the same recipe": config}
    if config.model.get("llm") and not config.model.get("lora"):
        ways["adapters alone (argument lora=16)"] = with_lora(config)
    for what, way in ways.items():
        changes = memory.fit(way, vocab_size, card)
        if changes is None:
            lines.append(f"{what}: does not fit, whatever the rows of a microbatch")
            continue
        flags_ = " ".join(f"--config.{n}={v}" for n, v in changes.items()) or "nothing else"
        peak = memory.predict(config_lib.changed(way, changes), vocab_size).peak
        lines.append(f"{what}: fits with {flags_} ({peak:.1f} GiB)")
    return "\n".join(lines)


def with_lora(config: ml_collections.ConfigDict, rank: int = 16) -> ml_collections.ConfigDict:
    """Returns a config that trains only adapters, and the mask decoder if there is one."""
    new = config.copy_and_resolve_references()
    with new.unlocked():
        radgrounder_det.add_lora(new, rank, masks=bool(new.model.get("mask_decoder")))
    return new


def report_variant(variant: str, size: int) -> str:
    """Returns the report for an original checkpoint.

    Args:
        variant: a name in `paligemma.VARIANTS`.
        size: the side of the image in pixels.

    Raises:
        ValueError: the variant is unknown.
    """
    if variant not in paligemma.VARIANTS:
        raise ValueError(f"no variant {variant!r}; known: {', '.join(paligemma.VARIANTS)}")
    config = ml_collections.ConfigDict(
        dict(model_name="paligemma", model=paligemma.VARIANTS[variant], image=dict(size=size))
    )
    params = parameter_shapes(config)
    rows = parameter_table.rows(params, dict.fromkeys(params, True))
    held = [
        part
        for dtype in ("float32", "bfloat16")
        for part in memory.parts(f"weights as {dtype}", params, jnp.dtype(dtype))
    ]
    return "\n\n".join(_tables(rows, held))


def main(argv: Sequence[str] | None = None) -> None:
    """Reads the command line and prints the report."""
    argv = ["inspect_model", *(sys.argv[1:] if argv is None else argv)]
    try:
        argv = config_lib.located(argv)
    except FileNotFoundError as e:
        sys.exit(_error(e))
    values = flags.FlagValues()
    config_flags.DEFINE_config_file(
        "config", None, "Config file, as path.py:arguments.", flag_values=values, sys_argv=argv
    )
    flags.DEFINE_enum(
        "variant", None, list(paligemma.VARIANTS), "Instead of a config.", flag_values=values
    )
    flags.DEFINE_float("card", None, "GB of a card that it is to fit.", flag_values=values)
    flags.DEFINE_integer("size", 224, "Pixels a side, with --variant.", flag_values=values)
    flags.DEFINE_bool("help", False, "Shows this.", flag_values=values)
    try:
        rest = overrides.parse(argv, values, finetune.fit)[1:]
    except flags.Error as e:
        sys.exit(_error(e))
    try:
        if values.help:
            print(__doc__ + values.get_help())
        elif rest or (values.config is None) == (values.variant is None):
            raise flags.Error(f"give either --config or --variant{f', not {rest}' if rest else ''}")
        elif values.config is not None:
            print(report(values.config, values.card))
        else:
            print(report_variant(values.variant, values.size))
    except (flags.Error, ValueError, OSError) as e:
        sys.exit(_error(e))


def _error(e: object) -> int:
    print(f"error: {e}", file=sys.stderr)
    return 2


def _tables(rows: list[parameter_table.Parameter], parts: list[memory.Part]) -> list[str]:
    totals = parameter_table.subtree_totals(rows)
    return [parameter_table.text(table) for table in (rows, totals, parts)]


if __name__ == "__main__":
    main()
