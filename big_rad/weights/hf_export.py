"""Writing a Hugging Face folder of a PaliGemma 2: weights in shards, configs, tokenizer, notices.

The tensors have the names of the files on the hub, which every release of transformers and vLLM
reads. The tensors of a mask decoder have the names of the released RadGrounder, and those programs
ignore them. Parameters are read one at a time and written shard by shard, so that a large model
needs little memory.
"""

import json
import pathlib
import shutil
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from jax.typing import DTypeLike

from big_rad.models import common
from big_rad.pp import tokenizer_json
from big_rad.pp.tokenizer import Tokenizer
from big_rad.weights import hf_config, hf_layout, infer, mask_decoder, tensors

_GEMMA = """\
If the weights in this folder come from PaliGemma 2 or Gemma:
Gemma is provided under and subject to the Gemma Terms of Use found at ai.google.dev/gemma/terms.
They are modified files in the sense of those terms; whoever passes them on passes on the terms.
"""
_CC = """\

The weights come from a checkpoint under the Creative Commons licence BY-NC-SA 4.0
(https://creativecommons.org/licenses/by-nc-sa/4.0/): give credit, no commercial use, and share
what you make of it under the same licence.
"""
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)


def save(
    folder: pathlib.Path,
    model_cfg: Mapping[str, Any],
    flat: Mapping[str, common.ArrayInfo],
    tokenizer: Tokenizer | str | pathlib.Path | None = None,
    *,
    dtype: DTypeLike | None = None,
    max_shard_bytes: int = 2**31,
    image_token: int | None = None,
    cc_by_nc_sa: bool = False,
    allow_other_mask: bool = False,
    without_masks: bool = False,
    text: Mapping[str, Any] | None = None,
) -> list[str]:
    """Writes a folder that `PaliGemmaForConditionalGeneration.from_pretrained` loads.

    Args:
        folder: The folder, which is created. It must not hold files.
        model_cfg: The arguments of the model, by variant or by dimensions.
        flat: The arrays by name; they may be `tensors.Lazy`.
        tokenizer: A `pp.tokenizer.Tokenizer`, or a folder whose tokenizer files are copied; None
            writes no tokenizer.
        dtype: The dtype to convert to; None keeps the stored dtypes.
        max_shard_bytes: The largest size of a shard in bytes. Only a shard with a single tensor may
            be larger.
        image_token: The token id that stands for image tokens. None takes the reserved row of the
            tokenizer, or that of PaliGemma 2.
        cc_by_nc_sa: Whether the weights come from a checkpoint under that licence; the notice then
            says so.
        allow_other_mask: Whether to export a model with a `mask_mode` that transformers does not
            compute.
        without_masks: Whether to leave out the mask decoder. The model still writes and answers.
        text: The text settings of the model, see `pp.strings.text_of`. None leaves them out, and
            then big_rad takes the folder for a released RadGrounder if its tokenizer names markup
            tokens.

    Returns:
        The names of the files.

    Raises:
        FileExistsError: The folder holds files.
        ValueError: Parameters are missing, unexpected or of another shape; or transformers does not
            compute this model; or its mask decoder is not of the released variant.
    """
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty; name a new folder")
    where = "the parameters"
    _check_function(model_cfg, allow_other_mask)
    flat, masks = _split_masks(model_cfg, flat, without_masks)
    rows = infer.model_cfg(flat, where)["llm"]["vocab_size"]
    cfg = infer.explicit(model_cfg, rows)
    image_size = infer.image_size(flat, where)
    tokens = (image_size // cfg["img"]["patch_size"]) ** 2
    axes = hf_layout.sizes(cfg, tokens)
    hf_layout.check_ours(flat, axes, where)
    head = mask_decoder.theirs(masks) if masks else {}
    if masks:
        mask_decoder.check_widths(masks, cfg, where)
    folder.mkdir(parents=True, exist_ok=True)
    stored = tensors.dtype_of(dtype) if dtype is not None else flat["llm/final_norm/scale"].dtype
    if image_token is None:
        image_token = getattr(tokenizer, "reserved_id", hf_config.IMAGE_TOKEN)
    config = hf_config.from_model_cfg(cfg, image_size, str(stored), image_token)
    if text is not None:
        config[hf_config.RADGROUNDER_FIELD] = dict(text)
    _write_json(folder / "config.json", config)
    _write_json(folder / "generation_config.json", _generation())
    _write_json(folder / "preprocessor_config.json", preprocessor(image_size, tokens))
    (folder / "NOTICE").write_text(notice(cc_by_nc_sa), encoding="utf-8")
    _write_tokenizer(folder, tokenizer)
    _write_weights(folder, flat, head, axes, dtype, max_shard_bytes)
    return sorted(p.name for p in folder.iterdir())


def notice(cc_by_nc_sa: bool) -> str:
    """Returns the notice about the licences of weights.

    Args:
        cc_by_nc_sa: Whether they come from a checkpoint under that licence.
    """
    return _GEMMA + (_CC if cc_by_nc_sa else "")


def preprocessor(image_size: int, tokens: int) -> dict[str, Any]:
    """Returns the `preprocessor_config.json`, which maps pixels to [-1, 1], as the model needs.

    CT windows and min-max scaling are left to the caller.

    Args:
        image_size: The side of the images in pixels.
        tokens: The number of image tokens.
    """
    return dict(
        image_processor_type="SiglipImageProcessor",
        processor_class="PaliGemmaProcessor",
        do_convert_rgb=True,
        do_resize=True,
        size=dict(height=image_size, width=image_size),
        resample=2,  # Bilinear.
        do_rescale=True,
        rescale_factor=1 / 255,
        do_normalize=True,
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
        image_seq_length=tokens,
    )


def _check_function(model_cfg: Mapping[str, Any], allow_other_mask: bool) -> None:
    mode = model_cfg.get("mask_mode", "paligemma")
    if mode != "paligemma" and not allow_other_mask:
        raise ValueError(
            f"mask_mode is {mode!r}, and transformers knows only 'paligemma', in which image "
            "tokens see the prompt: the same weights would give other outputs there. Set "
            "allow_other_mask to export them all the same."
        )


def _split_masks(
    model_cfg: Mapping[str, Any], flat: Mapping[str, common.ArrayInfo], without: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    # Returns the parameters of the two towers, and those of the mask decoder if it is exported.
    prefix, cfg = "mask_decoder/", model_cfg.get("mask_decoder")
    masks = {n.removeprefix(prefix): x for n, x in flat.items() if n.startswith(prefix)}
    if cfg is None or without:
        return {n: x for n, x in flat.items() if not (without and n.startswith(prefix))}, {}
    if cfg.get("variant", "paper") != "released" or cfg.get("num_heads") not in (
        None,
        mask_decoder.HEADS,
    ):
        raise ValueError(
            f"the format of the released RadGrounder holds no mask decoder but its own "
            f"({mask_decoder.HEADS} heads); this one is {dict(cfg)}. Leave it out (without_masks), "
            "or keep it as npz or a run."
        )
    if not masks:
        raise ValueError("the parameters: no mask decoder:\n  missing: mask_decoder/*")
    return {n: x for n, x in flat.items() if not n.startswith(prefix)}, masks


def _write_weights(
    folder: pathlib.Path,
    flat: Mapping[str, common.ArrayInfo],
    head: Mapping[str, tensors.Lazy],
    axes: Mapping[str, Mapping[str, int]],
    dtype: DTypeLike | None,
    max_shard_bytes: int,
) -> None:
    import safetensors.numpy

    plan = _plan(flat, head, axes, dtype, max_shard_bytes)
    number = plan[-1][1] + 1
    names = (
        ["model.safetensors"]
        if number == 1
        else [f"model-{i + 1:05d}-of-{number:05d}.safetensors" for i in range(number)]
    )
    shard_of = {name: names[shard] for name, shard, _ in plan}
    held: dict[str, np.ndarray] = {}
    pieces = _pieces(flat, head, axes, dtype)
    for i, (name, shard, _) in enumerate(plan):
        got, value = next(pieces)
        assert got == name
        held[name] = value
        if i + 1 == len(plan) or plan[i + 1][1] != shard:
            path = folder / names[shard]
            safetensors.numpy.save_file(held, path, {"format": "pt"})
            # safetensors makes files that only their owner can read. Take the permissions of the
            # other files.
            path.chmod((folder / "config.json").stat().st_mode & 0o777)
            held = {}
    if number > 1:
        index = {
            "metadata": {"total_size": sum(size for _, _, size in plan)},
            "weight_map": shard_of,
        }
        _write_json(folder / "model.safetensors.index.json", index)


def _plan(
    flat: Mapping[str, common.ArrayInfo],
    head: Mapping[str, tensors.Lazy],
    axes: Mapping[str, Mapping[str, int]],
    dtype: DTypeLike | None,
    max_shard_bytes: int,
) -> list[tuple[str, int, int]]:
    # Returns (name, number of the shard, bytes) for each tensor, in the order of `_pieces`.
    shapes = [
        (name, shape, flat[rule.ours].dtype)
        for rule in hf_layout.RULES
        for name, shape in hf_layout.expected([rule], axes).items()
    ]
    shapes += [(mask_decoder.PREFIX + name, x.shape, x.dtype) for name, x in head.items()]
    plan, shard, filled = [], 0, 0
    for name, shape, held in shapes:
        size = int(np.prod(shape)) * tensors.dtype_of(dtype or held).itemsize
        if filled and filled + size > max_shard_bytes:
            shard, filled = shard + 1, 0
        filled += size
        plan.append((name, shard, size))
    return plan


def _pieces(
    flat: Mapping[str, common.ArrayInfo],
    head: Mapping[str, tensors.Lazy],
    axes: Mapping[str, Mapping[str, int]],
    dtype: DTypeLike | None,
) -> Iterator[tuple[str, np.ndarray]]:
    for rule in hf_layout.RULES:
        value = np.asarray(flat[rule.ours])
        value = common.cast(value, tensors.dtype_of(dtype or value.dtype), rule.ours)
        yield from hf_layout.to_theirs(rule, value, axes[rule.ours.split("/")[0]])
    for name, value in head.items():
        value = common.cast(np.asarray(value), tensors.dtype_of(dtype or value.dtype), name)
        yield mask_decoder.PREFIX + name, np.ascontiguousarray(value)


def _write_tokenizer(
    folder: pathlib.Path, tokenizer: Tokenizer | str | pathlib.Path | None
) -> None:
    if tokenizer is None:
        return
    if isinstance(tokenizer, str | pathlib.Path):
        for name in TOKENIZER_FILES:
            if (pathlib.Path(tokenizer) / name).is_file():
                shutil.copy(pathlib.Path(tokenizer) / name, folder / name)
        return
    (folder / "tokenizer.model").write_bytes(tokenizer.model)
    _write_json(folder / "tokenizer.json", tokenizer_json.from_tokenizer(tokenizer), indent=None)
    special = dict(bos_token="<bos>", eos_token="<eos>", pad_token="<pad>", unk_token="<unk>")
    _write_json(
        folder / "tokenizer_config.json",
        special
        | dict(
            tokenizer_class="GemmaTokenizer",
            processor_class="PaliGemmaProcessor",
            add_bos_token=False,  # As Google's PaliGemma 2 has it; the processor writes `<bos>`.
            add_eos_token=False,
            additional_special_tokens=[tokenizer_json.IMAGE],
            clean_up_tokenization_spaces=False,
            model_max_length=8192,
        ),
    )
    _write_json(
        folder / "special_tokens_map.json",
        special | dict(additional_special_tokens=[tokenizer_json.IMAGE]),
    )


def _generation() -> dict[str, Any]:
    return dict(bos_token_id=2, eos_token_id=1, pad_token_id=0, do_sample=False)


def _write_json(path: pathlib.Path, value: Mapping[str, Any], indent: int | None = 2) -> None:
    path.write_text(json.dumps(value, indent=indent, ensure_ascii=False), encoding="utf-8")
