"""Shows a model's parameters and the memory of its training state, without allocating any of it.

    python -m tools.inspect_model --config=configs/radgrounder_det.py
    python -m tools.inspect_model --variant=3b --size=224

With `--config` (any field can be overridden, as for training) it prints every parameter, totals of
each subtree, and the bytes of weights, gradients and optimizer state. With `--variant` it prints
the tree of the original checkpoint of that size. Everything is evaluated as shapes, so it runs in
seconds on any machine. It knows nothing of activations: those depend on the batch and on
`remat_policy`.
"""

import dataclasses
import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from absl import flags
from ml_collections import config_flags

from big_rad import models, optim, parameter_table, train_step
from big_rad.models import common, paligemma
from big_rad.pp import tokenizer as tokenizer_lib

_PALIGEMMA_PIECES = 257_152


@dataclasses.dataclass(frozen=True)
class Memory:
    """A row of the memory table."""

    what: str
    dtype: str
    size: int
    gib: float


def parameter_shapes(config: Any, vocab_size: int | None = None) -> dict[str, Any]:
    """Returns the flat parameters of a config's model as shapes.

    Args:
        config: reads `model_name`, `model` and `image.size`.
        vocab_size: rows that the tokenizer needs; None leaves the table to the model config.
    """
    if vocab_size is None:
        model = models.get(config.model_name).Model(**config.model)
    else:
        model = models.make(config.model_name, config.model, vocab_size)
    return common.flatten(train_step.init_shapes(model, config))


def table_rows(tokenizer: Any) -> tuple[int, str]:
    """Returns the rows of the embedding table that a config's tokenizer needs, and a remark.

    Args:
        tokenizer: `path` and `sets`. If the file is not at hand it is taken for PaliGemma's.
    """
    try:
        return tokenizer_lib.load(tokenizer.path, tuple(tokenizer.sets)).padded_vocab_size, ""
    except FileNotFoundError:
        markup = sum(len(tokenizer_lib.MARKUP_SETS[s]) for s in tokenizer.sets)
        rows = _PALIGEMMA_PIECES + 1 + markup  # One row stays reserved.
        return -(-rows // 128) * 128, (
            f"no tokenizer file {tokenizer.path}: the embedding table is that of PaliGemma's "
            f"{_PALIGEMMA_PIECES:,} pieces and {markup} markup tokens"
        )


def training_state(
    config: Any, params: Mapping[str, Any]
) -> tuple[list[parameter_table.Parameter], list[Memory]]:
    """Returns the parameter table of a recipe and the memory of its training state.

    Args:
        config: the whole recipe.
        params: flat parameters (shapes suffice).

    Returns:
        (parameters in the dtype they are kept in, memory rows ending with the total).
    """
    optimizer = optim.make(config, params, total_steps=1000)  # The length changes no shape.
    kept = {True: jnp.dtype("float32"), False: jnp.dtype(config.frozen_dtype)}
    held = {
        n: jax.ShapeDtypeStruct(p.shape, kept[optimizer.trainable[n]]) for n, p in params.items()
    }
    trained = {n: p for n, p in held.items() if optimizer.trainable[n]}
    frozen = {n: p for n, p in held.items() if not optimizer.trainable[n]}
    parts = {"weights, trained": trained, "weights, frozen": frozen, "gradients": trained}
    if config.get("grad_accum", 1) > 1:
        parts["gradients, summed over microbatches"] = trained
    parts[f"optimizer state ({config.optimizer})"] = jax.eval_shape(optimizer.tx.init, trained)
    memory = [row for what, tree in parts.items() for row in _memory(what, tree)]
    memory.append(Memory("all", "", sum(m.size for m in memory), sum(m.gib for m in memory)))
    return parameter_table.rows(held, optimizer.trainable), memory


def report(config: Any) -> str:
    """Returns the text for a recipe."""
    vocab_size, remark = table_rows(config.tokenizer)
    rows, memory = training_state(config, parameter_shapes(config, vocab_size))
    notes = filter(None, [remark, "activations are not counted"])
    return "\n\n".join(
        [
            parameter_table.text(rows),
            parameter_table.text(parameter_table.subtree_totals(rows)),
            parameter_table.text(memory),
            "\n".join(f"note: {n}" for n in notes),
        ]
    )


def report_variant(variant: str, size: int) -> str:
    """Returns the text for the original checkpoint of a size.

    Args:
        variant: a name in `paligemma.VARIANTS`.
        size: pixels a side.

    Raises:
        ValueError: an unknown variant.
    """
    if variant not in paligemma.VARIANTS:
        raise ValueError(f"no variant {variant!r}; known: {', '.join(paligemma.VARIANTS)}")
    config = ml_collections.ConfigDict(
        dict(model_name="paligemma", model=paligemma.VARIANTS[variant], image=dict(size=size))
    )
    params = parameter_shapes(config)
    rows = parameter_table.rows(params, dict.fromkeys(params, True))
    memory = [
        m
        for dtype in ("float32", "bfloat16")
        for m in _memory(f"weights as {dtype}", params, jnp.dtype(dtype))
    ]
    return "\n\n".join(
        [
            parameter_table.text(rows),
            parameter_table.text(parameter_table.subtree_totals(rows)),
            parameter_table.text(memory),
        ]
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Reads the command line and prints."""
    argv = ["inspect_model", *(sys.argv[1:] if argv is None else argv)]
    values = flags.FlagValues()
    config_flags.DEFINE_config_file(
        "config", None, "Config file, as path.py:arguments.", flag_values=values, sys_argv=argv
    )
    flags.DEFINE_enum(
        "variant", None, list(paligemma.VARIANTS), "Instead of a config.", flag_values=values
    )
    flags.DEFINE_integer("size", 224, "Pixels a side, with --variant.", flag_values=values)
    flags.DEFINE_bool("help", False, "Shows this.", flag_values=values)
    try:
        rest = values(argv)[1:]
    except AttributeError as e:  # What config_flags raises for a field that does not exist.
        sys.exit(_error(f"no such field in the config: {e}"))
    except flags.Error as e:
        sys.exit(_error(e))
    try:
        if values.help:
            print(__doc__)
        elif rest or (values.config is None) == (values.variant is None):
            raise flags.Error(f"give either --config or --variant{f', not {rest}' if rest else ''}")
        elif values.config is not None:
            print(report(values.config))
        else:
            print(report_variant(values.variant, values.size))
    except (flags.Error, ValueError, OSError) as e:
        sys.exit(_error(e))


def _error(e: object) -> int:
    print(f"error: {e}", file=sys.stderr)
    return 2


def _memory(what: str, tree: Any, dtype: Any = None) -> list[Memory]:
    sizes: dict[Any, int] = {}
    for leaf in jax.tree.leaves(tree):
        kind = np.dtype(dtype or leaf.dtype)
        sizes[kind] = sizes.get(kind, 0) + math.prod(leaf.shape)
    return [Memory(what, k.name, n, n * k.itemsize / 2**30) for k, n in sizes.items()]


if __name__ == "__main__":
    main()
