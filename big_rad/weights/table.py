"""Fitting the embedding table of a foreign checkpoint to the tokens of a tokenizer.

A table has a row for every token, and rows of padding. It may differ from the tokenizer in height:

- The rows of the markup tokens are missing if the checkpoint was never trained with these tokens.
  They are appended when the model is loaded, and count as untrained.
- A table that is taller than the padded vocabulary is cut, since its spare rows stand for no token.
- A table that is shorter than the vocabulary without markup, or more than twice as tall as the
  padded one, belongs to another tokenizer, which is an error.
"""

import pathlib
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from big_rad import trees
from big_rad.pp import tokenizer as tokenizers
from big_rad.weights import tensors

NAME = "llm/embedder/input_embedding"
TEXT = "txt/Embed_0/embedding"  # The table of a text tower, which reads plain text alone.


def check(rows: int, tokenizer: tokenizers.Tokenizer, where: str | pathlib.Path) -> None:
    """Checks that a table may belong to a tokenizer.

    Args:
        rows: The number of rows of the table.
        tokenizer: The tokenizer that the checkpoint is to be used with.
        where: The name of the checkpoint, for messages.

    Raises:
        ValueError: The table has fewer rows than there are tokens without markup, or more than
            twice as many as the padded vocabulary.
    """
    ordinary = tokenizer.reserved_id  # Tokens of text, <locNNNN> and <segNNN>.
    if ordinary <= rows <= 2 * tokenizer.padded_vocab_size:
        return
    how = "fewer rows than that" if rows < ordinary else "far more rows than that"
    raise ValueError(
        f"{where}: its embedding table has {rows:,} rows, and the tokenizer "
        f"{tokenizer.source or 'given'} has {ordinary:,} tokens without markup: {how}, so they do "
        "not belong together. Give the tokenizer that the checkpoint was trained with "
        "(paligemma_tokenizer.model of PaliGemma 2 has 257,152 tokens)"
    )


def check_text(
    rows: int, tokenizer: tokenizers.Tokenizer, where: str | pathlib.Path, own: bool
) -> None:
    """Checks that the table of a text tower belongs to a tokenizer.

    Args:
        rows: The number of rows of the table.
        tokenizer: The tokenizer that the checkpoint is to be used with.
        where: The name of the checkpoint, for messages.
        own: Whether the checkpoint is a run, whose table may have rows of padding at its end.

    Raises:
        ValueError: The table does not have a row for each piece, or it has further rows.
    """
    need = tokenizer.text_size
    if rows == need or (own and need < rows <= tokenizer.padded_vocab_size):
        return
    raise ValueError(
        f"{where}: the table of its text tower has {rows:,} rows, and the tokenizer "
        f"{tokenizer.source or 'given'} has {need:,} pieces: they do not belong together. Give the "
        "tokenizer that the checkpoint was trained with, config.tokenizer.path: SigLIP has 32,000 "
        "pieces (spiece.model), SigLIP 2 those of Gemma, 256,000 (tokenizer.model or "
        "tokenizer.json)"
    )


def untrained(
    rows: int, tokenizer: tokenizers.Tokenizer, named: Collection[str] | None = None
) -> tuple[str, ...]:
    """Returns the markup tokens for which a table has no trained row, in the order of ids.

    Args:
        rows: The number of rows of the table.
        tokenizer: The tokenizer that the checkpoint is to be used with.
        named: The tokens that the checkpoint's own files name. A token that they do not name was
            never trained, even if the table has a row at its id, which is then padding. None if
            its files name no tokens at all.
    """
    return tuple(
        token
        for token, i in tokenizer.markup.items()
        if i >= rows or (named is not None and token not in named)
    )


def unusable(tokenizer: tokenizers.Tokenizer, missing: Collection[str]) -> tuple[str, ...]:
    """Returns the markup tokens that a model must not generate.

    These are all tokens of each markup set in which a token is untrained.

    Args:
        tokenizer: The tokenizer that the checkpoint is used with.
        missing: The markup tokens without a trained row, from `untrained`.
    """
    sets = [tokenizers.MARKUP_SETS[name] for name in tokenizer.sets]
    return tuple(token for tokens in sets if set(tokens) & set(missing) for token in tokens)


def cut(
    tree: Mapping[str, Any], rows: int, where: str | pathlib.Path, log: Callable[[str], None]
) -> dict[str, Any]:
    """Removes the rows of a table that stand for no token.

    Args:
        tree: The nested parameters, which may be lazy.
        rows: The largest number of rows that are kept.
        where: The name of the checkpoint, for the message.
        log: A function that receives a line if rows are removed.

    Returns:
        The same tree; its table is lazy if rows were removed.
    """
    flat = trees.flatten(tree)
    name = TEXT if TEXT in flat else NAME
    found = flat.get(name)
    if found is None or len(found.shape) != 2 or found.shape[0] <= rows:
        return dict(tree)
    spare = found.shape[0] - rows
    log(
        f"{where}: {spare} of {found.shape[0]:,} rows of the embedding table stand for no token of "
        "the tokenizer and are left out"
    )
    table = tensors.Lazy((rows, found.shape[1]), found.dtype, lambda: np.asarray(found)[:rows])
    return trees.unflatten({**flat, name: table})


def say(
    missing: Collection[str], where: str | pathlib.Path, log: Callable[[str], None], trained: bool
) -> None:
    """Reports the tokens that have no trained row.

    Args:
        missing: The markup tokens without a trained row, from `untrained`.
        where: The name of the checkpoint, for the message.
        log: A function that receives a line if there are such tokens.
        trained: Whether the model is about to be trained.
    """
    if not missing:
        return
    line = f"{where}: no trained row for {', '.join(missing)}"
    if trained:
        log(f"{line}; training starts them near the mean of the other rows")
    else:
        log(f"{line}; a markup set that is not whole is never written")
