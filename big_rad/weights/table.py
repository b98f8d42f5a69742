"""The embedding table of a foreign checkpoint beside the tokens that it is to be used with.

A table has a row for every token, and padding. One that never met the markup tokens may lack their
rows: these are appended when a model is built, and count as untrained. One that is taller than the
padded vocabulary is cut: its spare rows stand for no token. One that is shorter than the ordinary
vocabulary, or of another order of magnitude, belongs to another tokenizer.
"""

import pathlib
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from big_rad.pp import tokenizer as tokenizers
from big_rad.weights import tensors

NAME = "llm/embedder/input_embedding"


def check(rows: int, tokenizer: tokenizers.Tokenizer, where: str | pathlib.Path) -> None:
    """Refuses a table that belongs to another tokenizer.

    Args:
        rows: of the table.
        tokenizer: what the checkpoint is to be used with.
        where: the checkpoint, for messages.

    Raises:
        ValueError: there are too few rows, or more than twice as many as tokens.
    """
    ordinary = tokenizer.reserved_id  # Text, location and segment tokens.
    if ordinary <= rows <= 2 * tokenizer.padded_vocab_size:
        return
    how = "fewer rows than that" if rows < ordinary else "far more rows than that"
    raise ValueError(
        f"{where}: its embedding table has {rows:,} rows, and the tokenizer "
        f"{tokenizer.source or 'given'} has {ordinary:,} tokens without markup: {how}, so they do "
        "not belong together. Give the tokenizer that the checkpoint was trained with "
        "(paligemma_tokenizer.model of PaliGemma 2 has 257,152 tokens)"
    )


def untrained(
    rows: int, tokenizer: tokenizers.Tokenizer, named: Collection[str] | None = None
) -> tuple[str, ...]:
    """Returns the markup tokens that a checkpoint has no trained row for, in the order of ids.

    Args:
        rows: of its table.
        tokenizer: what the checkpoint is to be used with.
        named: the tokens that the checkpoint's own files name; padding has rows too, but a token
            without a name was never trained. None if its files name no tokens at all.
    """
    return tuple(
        token
        for token, i in tokenizer.markup.items()
        if i >= rows or (named is not None and token not in named)
    )


def unusable(tokenizer: tokenizers.Tokenizer, missing: Collection[str]) -> tuple[str, ...]:
    """Returns the markup tokens that must not be written: all of every set that is not whole.

    Args:
        tokenizer: what the checkpoint is used with.
        missing: of `untrained`.
    """
    sets = [tokenizers.MARKUP_SETS[name] for name in tokenizer.sets]
    return tuple(token for tokens in sets if set(tokens) & set(missing) for token in tokens)


def cut(
    tree: Mapping[str, Any], rows: int, where: str | pathlib.Path, log: Callable[[str], None]
) -> dict[str, Any]:
    """Leaves out the rows of a table that stand for no token.

    Args:
        tree: nested parameters, lazy ones included.
        rows: the most that are of use.
        where: the checkpoint, for the line.
        log: receives a line if rows are left out.

    Returns:
        The same tree, with a lazy table of at most `rows` rows.
    """
    found = tree.get("llm", {}).get("embedder", {}).get("input_embedding")
    if found is None or len(found.shape) != 2 or found.shape[0] <= rows:
        return dict(tree)
    spare = found.shape[0] - rows
    log(
        f"{where}: {spare} of {found.shape[0]:,} rows of the embedding table stand for no token of "
        "the tokenizer and are left out"
    )
    table = tensors.Lazy((rows, found.shape[1]), found.dtype, lambda: np.asarray(found)[:rows])
    embedder = {**tree["llm"]["embedder"], "input_embedding": table}
    return {**tree, "llm": {**tree["llm"], "embedder": embedder}}


def say(
    missing: Collection[str], where: str | pathlib.Path, log: Callable[[str], None], trained: bool
) -> None:
    """Says which tokens have no trained row.

    Args:
        missing: of `untrained`.
        where: the checkpoint.
        log: receives a line if there are any.
        trained: whether they are about to be trained.
    """
    if not missing:
        return
    line = f"{where}: no trained row for {', '.join(missing)}"
    if trained:
        log(f"{line}; training starts them near the mean of the other rows")
    else:
        log(f"{line}; a markup set that is not whole is never written")
