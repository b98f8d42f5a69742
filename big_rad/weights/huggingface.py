"""PaliGemma 2 in the format of Hugging Face, in and out, every tensor accounted for.

In: `google/paligemma2-*`, fine-tuned ones with added tokens, and the released RadGrounder models,
with their mask decoder. Out: a folder for
`transformers.PaliGemmaForConditionalGeneration.from_pretrained`. Knows neither how a model computes
nor how a parameter tree is fitted to a model of another size.
"""

import pathlib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import flax
import numpy as np

from big_rad.pp.tokenizer import Tokenizer
from big_rad.weights import hf_config, hf_export, hf_layout, mask_decoder, shards, tensors, unusable
from big_rad.weights.mask_decoder import mask_decoder_from_torch as mask_decoder_from_torch

Log = Callable[[str], None]

# Left out by name. Each is printed.
_LEFT_OUT = (
    (r"(.*\.)?vision_model\.head\..*", "SigLIP's attention pool, unused by PaliGemma"),
    (r"(.*\.)?(position_ids|inv_freq|embed_scale|normalizer)", "a constant, not a weight"),
)


def load(
    path: str | pathlib.Path,
    *,
    dtype: tensors.Dtypes = None,
    sharding: tensors.Shardings = None,
    final_logits_softcap: float | None = None,
    log: Log = print,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Loads a PaliGemma 2 folder: `Model(**model_cfg).apply({"params": params}, ...)` just runs.

    Args:
        path: folder with `config.json` and safetensors or `pytorch_model*.bin` files.
        dtype: what to convert to, or a function of our name; None keeps what is stored.
        sharding: where to put arrays, or a function of our name; None gives numpy arrays.
        final_logits_softcap: overrides what follows from the folder, see `hf_config`.
        log: receives what was left out, and other remarks.

    Returns:
        (arguments of `radgrounder.Model`, nested parameters).

    Raises:
        ValueError: PaliGemma 1 or another model, damaged files, or tensors that are missing,
            unexpected or of another shape; the message lists each of them.
    """
    cfg, flat = read(path, final_logits_softcap=final_logits_softcap, log=log)
    params = tensors.materialise(flat, dtype, sharding)
    return cfg, flax.traverse_util.unflatten_dict(params, sep="/")


def read(
    path: str | pathlib.Path,
    *,
    final_logits_softcap: float | None = None,
    log: Log = print,
) -> tuple[dict[str, Any], dict[str, tensors.Lazy]]:
    """Lists a PaliGemma 2 folder as flat lazy parameters of our names; see `load`."""
    folder = pathlib.Path(path)
    where = str(folder / "config.json")
    unusable.check_folder(folder)
    config = hf_config.read(folder)
    cfg, image_size = hf_config.to_model_cfg(config, where, final_logits_softcap, log)
    stored = shards.read(shards.find(folder))
    unusable.check(stored, folder)
    remark = unusable.remark(config, where)
    if remark:
        log(remark)
    names, others = hf_layout.canonical(stored)
    head, others = _split_head(others, stored, folder)
    unexpected = leave_out(others, log)
    source = {canonical: stored[name] for name, canonical in names.items()}
    if len(source) != len(names):
        raise ValueError(f"{folder} holds some tensors twice, under names of two layouts")
    _tie_head(source, folder, log)
    table = source.get(hf_layout.EMBEDDING)
    if table is not None and table.ndim == 2 and table.shape[0] != cfg["llm"]["vocab_size"]:
        log(f"the embedding has {table.shape[0]} rows, {where} says {cfg['llm']['vocab_size']}")
        cfg["llm"]["vocab_size"] = table.shape[0]
    tokens = (image_size // cfg["img"]["patch_size"]) ** 2
    axes = hf_layout.sizes(cfg, tokens)
    source = check(source, hf_layout.expected(hf_layout.RULES, axes), folder, unexpected, log)
    flat = {
        rule.ours: hf_layout.to_ours(rule, source, axes[rule.ours.split("/")[0]])
        for rule in hf_layout.RULES
    }
    if head:
        cfg["mask_decoder"], masks = mask_decoder.read(head, where=str(folder))
        mask_decoder.check_widths(masks, cfg, str(folder))
        flat |= {f"mask_decoder/{name}": value for name, value in masks.items()}
    return cfg, flat


def read_siglip(
    path: str | pathlib.Path, log: Log = print
) -> tuple[dict[str, int], dict[str, tensors.Lazy]]:
    """Lists the image tower of a Hugging Face SigLIP folder as flat lazy parameters `img/...`.

    Returns:
        (arguments of `siglip.Model`, flat parameters without `img/head`).

    Raises:
        ValueError: as `load`.
    """
    folder = pathlib.Path(path)
    cfg = hf_config.siglip_cfg(hf_config.read(folder), str(folder / "config.json"))
    stored = shards.read(shards.find(folder))
    unusable.check(stored, folder)
    source, unexpected = {}, []
    for name, value in stored.items():
        found = re.fullmatch(
            r"(?:vision_model\.)?((?:embeddings|encoder|post_layernorm)\..*)", name
        )
        if found:
            source[hf_layout.VISION + found[1]] = value
        elif not re.match(r"text_model\.|(vision_model\.)?head\.|logit_(scale|bias)", name):
            unexpected.append(name)
        else:
            log(f"left out: {name} (not the image tower)")
    positions = source.get(hf_layout.VISION + "embeddings.position_embedding.weight")
    axes = {"img": hf_layout.vision_sizes(cfg, positions.shape[0] if positions is not None else 0)}
    rules = hf_layout.VISION_RULES
    source = check(source, hf_layout.expected(rules, axes), folder, unexpected, log)
    return cfg, {r.ours: hf_layout.to_ours(r, source, axes["img"]) for r in rules}


def save(
    path: str | pathlib.Path,
    model_cfg: Mapping[str, Any],
    params: Mapping[str, Any],
    tokenizer: Tokenizer | str | pathlib.Path | None = None,
    **options: Any,
) -> list[str]:
    """Writes a folder that transformers loads; see `hf_export.save` for the options.

    Returns:
        The names of the files.
    """
    flat = flax.traverse_util.flatten_dict(dict(params), sep="/")
    return hf_export.save(pathlib.Path(path), model_cfg, flat, tokenizer, **options)


def leave_out(names: Iterable[str], log: Log) -> list[str]:
    """Prints what is left out on purpose; returns the rest."""
    rest = []
    for name in names:
        why = next((why for p, why in _LEFT_OUT if re.fullmatch(p, name)), None)
        if why is None:
            rest.append(name)
        else:
            log(f"left out: {name}: {why}")
    return rest


def check(
    source: Mapping[str, Any],
    expected: Mapping[str, tuple[int, ...]],
    where: str | pathlib.Path,
    unexpected: Iterable[str],
    log: Log,
) -> dict[str, Any]:
    """Compares the tensors of a file with those of its model.

    Args:
        source: canonical name -> array.
        expected: canonical name -> shape.
        where: the checkpoint, for messages.
        unexpected: names that were not understood at all.
        log: receives what is left out.

    Returns:
        `source`, without what was left out.

    Raises:
        ValueError: lists all that is missing, unexpected or mis-shaped.
    """
    surplus = [n for n in source if n not in expected]
    unexpected = [*unexpected, *leave_out(surplus, log)]
    problems = [f"missing: {n}" for n in expected if n not in source]
    problems += [f"unexpected: {n}" for n in unexpected]
    problems += [
        f"shape: {n} is {tuple(source[n].shape)}, config.json gives {shape}"
        for n, shape in expected.items()
        if n in source and tuple(source[n].shape) != shape
    ]
    if problems:
        raise ValueError(f"{where} does not hold the model:\n  " + "\n  ".join(sorted(problems)))
    return {n: source[n] for n in expected}


def _split_head(
    names: Iterable[str], stored: Mapping[str, Any], folder: pathlib.Path
) -> tuple[dict[str, Any], list[str]]:
    # Returns the mask decoder's tensors, without what is in front of their names, and other names.
    head, rest = {}, []
    for name in names:
        _, found, inner = name.rpartition(mask_decoder.PREFIX)
        if not found:
            rest.append(name)
        elif inner in head:
            raise ValueError(f"{folder} holds {found}{inner} twice, under names of two layouts")
        else:
            head[inner] = stored[name]
    return head, rest


def _tie_head(source: dict[str, Any], folder: pathlib.Path, log: Log) -> None:
    # Input and output are one matrix. Some writers store both, which must be equal then, and some
    # store it under the name of the output alone, such as safetensors.torch.save_model.
    head, table = source.pop(hf_layout.LM_HEAD, None), source.get(hf_layout.EMBEDDING)
    if head is None:
        return
    if table is None:
        source[hf_layout.EMBEDDING] = head
        log(
            "lm_head.weight is taken for the embedding, which the file does not hold: they are tied"
        )
        return
    differs = f"{folder}: lm_head.weight differs from embed_tokens.weight; PaliGemma 2 ties them"
    if head.shape != table.shape:
        raise ValueError(differs)

    def read() -> np.ndarray:  # Compared when it is read, since both are large.
        value = np.asarray(table)
        if not np.array_equal(np.asarray(head), value):
            raise ValueError(differs)
        return value

    source[hf_layout.EMBEDDING] = tensors.Lazy(table.shape, table.dtype, read)
