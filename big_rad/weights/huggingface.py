"""Reading and writing PaliGemma 2 in the format of Hugging Face; every tensor is accounted for.

`load` and `read` take `google/paligemma2-*`, fine-tuned models with added tokens, and the released
RadGrounder models with their mask decoder. `save` writes a folder for
`transformers.PaliGemmaForConditionalGeneration.from_pretrained`. `models.load` fits the parameters
to a model of another size.
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

# Tensors that are left out, by name. A line is printed for each.
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
    """Loads a PaliGemma 2 folder as a model config and parameters.

    The two are enough to run the model:

        cfg, params = huggingface.load(folder)
        radgrounder.Model(**cfg).apply({"params": params}, image, text, mask_ar)

    Args:
        path: The folder with `config.json` and safetensors or `pytorch_model*.bin` files.
        dtype: The dtype to convert to, or a function of our parameter name that returns it. None
            keeps the stored dtypes.
        sharding: The sharding of the arrays, or a function of our parameter name that returns it.
            None returns numpy arrays.
        final_logits_softcap: The soft cap of the output logits; None takes the one that follows
            from the folder, see `hf_config.to_model_cfg`.
        log: A function that receives a line for each tensor that is left out, and other remarks.

    Returns:
        The arguments of `radgrounder.Model`, and the nested parameters.

    Raises:
        ValueError: The folder holds PaliGemma 1 or another model; files are damaged; or tensors are
            missing, unexpected or of another shape, and then the message lists each of them.
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
    """Lists a PaliGemma 2 folder as a model config and flat lazy parameters; see `load`."""
    folder = pathlib.Path(path)
    where = str(folder / "config.json")
    unusable.check_folder(folder)
    config = hf_config.read(folder)
    cfg, image_size = hf_config.to_model_cfg(config, where, final_logits_softcap, log)
    stored = shards.read(shards.find(folder))
    unusable.check(stored, folder)
    remark = unusable.ignored_quantisation(config, where)
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
        The arguments of `siglip.Model`, and the flat parameters without `img/head`.

    Raises:
        ValueError: The folder does not hold the image tower; see `load`.
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
    """Logs a line for each tensor that is left out on purpose, and returns the other names."""
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
    """Compares the tensors of a checkpoint with those of its model.

    Args:
        source: The arrays by canonical name.
        expected: The shapes by canonical name.
        where: The name of the checkpoint, for messages.
        unexpected: The names that have no canonical name.
        log: A function that receives a line for each tensor that is left out.

    Returns:
        The arrays of `source` that the model needs.

    Raises:
        ValueError: Tensors are missing, unexpected or of another shape; the message lists them.
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
    # Returns the mask decoder's tensors by their names without prefix, and all other names.
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
    # The embedding table and the output head are one matrix. Some writers store both, which must
    # then be equal. Others, such as safetensors.torch.save_model, store only the output head.
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

    def read() -> np.ndarray:  # They are compared only when read, since both are large.
        value = np.asarray(table)
        if not np.array_equal(np.asarray(head), value):
            raise ValueError(differs)
        return value

    source[hf_layout.EMBEDDING] = tensors.Lazy(table.shape, table.dtype, read)
