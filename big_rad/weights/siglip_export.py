"""Writes SigLIPs for other programs: folders for transformers, files for open_clip and timm.

All tensors of a file are in memory at once, since such a file is written as a whole.
"""

import json
import pathlib
import shutil
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from big_rad.models import common
from big_rad.pp import siglip_tokenizer
from big_rad.pp import tokenizer as tokenizers
from big_rad.weights import (
    hf_config,
    hf_export,
    hf_layout,
    infer,
    siglip_names,
    tensors,
    two_towers,
)

Flat = Mapping[str, common.ArrayInfo]
Tokenizer = tokenizers.Tokenizer | siglip_tokenizer.SiglipTokenizer
# The suffixes of files for open_clip and timm.
SUFFIXES = (".safetensors", ".bin", ".pt", ".pth")


def save_file(file: pathlib.Path, flat: Flat, kind: str) -> None:
    """Writes a file of open_clip (both towers) or of timm (the image tower without its pool).

    Args:
        file: The new file, whose suffix is in `SUFFIXES`.
        flat: The arrays by our names, of which timm's are `img/...` without `head` and `MAPHead_0`.
        kind: "open_clip" or "timm".

    Raises:
        ValueError: The suffix is another one, or the arrays are not those of such a model.
    """
    if file.suffix not in SUFFIXES:
        raise ValueError(
            f"{file}: a file for {kind} ends in {', '.join(SUFFIXES)}; give another name"
        )
    found = two_towers.write(flat, kind) if kind == "open_clip" else _trunk(flat)
    if file.suffix == ".safetensors":
        import safetensors.numpy

        file.touch()  # safetensors makes files that only their owner can read.
        mode = file.stat().st_mode & 0o777
        safetensors.numpy.save_file(dict(found), file, {"format": "pt"})
        file.chmod(mode)
    else:
        import torch

        torch.save({name: _torch(value) for name, value in found}, file)


def save_folder(
    folder: pathlib.Path,
    flat: Flat,
    tokenizer: Tokenizer | pathlib.Path | None = None,
    settings: Mapping[str, Any] | None = None,
    cc_by_nc_sa: bool = False,
) -> None:
    """Writes a folder that transformers' `SiglipModel.from_pretrained` loads.

    Args:
        folder: The folder, which is created.
        flat: The arrays by our names.
        tokenizer: The tokenizer or its file, or a folder whose tokenizer files are copied; None
            writes none.
        settings: The normalisation of images and the text settings, for `source_config`.
        cc_by_nc_sa: See `hf_export.notice`.

    Raises:
        ValueError: The arrays are not those of a whole SigLIP.
    """
    import safetensors.numpy

    cfg, side = two_towers.model_cfg(flat, folder), infer.image_size(flat, str(folder))
    copied = tokenizer if isinstance(tokenizer, pathlib.Path) and tokenizer.is_dir() else None
    if isinstance(tokenizer, pathlib.Path):
        tokenizer = tokenizers.load(tokenizer, ())
    pad = None if tokenizer is None else tokenizer.caption_pad_id
    dtype = str(flat["txt/Embed_0/embedding"].dtype)
    config = _config(cfg, side, dtype, pad)
    if settings:
        config[hf_config.SETTINGS] = dict(settings)
    state = dict(two_towers.write(flat, "huggingface"))
    folder.mkdir(parents=True)
    _write_json(folder / "config.json", config)
    tokens = (side // cfg["img"]["patch_size"]) ** 2
    preprocessor = hf_export.preprocessor(side, tokens) | dict(processor_class="SiglipProcessor")
    _write_json(folder / "preprocessor_config.json", preprocessor)
    if cc_by_nc_sa:
        (folder / "NOTICE").write_text(hf_export.notice(True), encoding="utf-8")
    if copied is not None:
        for name in (*hf_export.TOKENIZER_FILES, "spiece.model"):
            if (copied / name).is_file():
                shutil.copy(copied / name, folder / name)
    elif tokenizer is not None:
        _write_tokenizer(folder, tokenizer, cfg["txt"]["length"])
    file = folder / "model.safetensors"
    safetensors.numpy.save_file(state, file, {"format": "pt"})
    file.chmod((folder / "config.json").stat().st_mode & 0o777)


def _config(cfg: Mapping[str, Any], side: int, dtype: str, pad: int | None) -> dict[str, Any]:
    shared = dict(hidden_act="gelu_pytorch_tanh", layer_norm_eps=1e-6, attention_dropout=0.0)
    towers = {
        name: dict(
            hidden_size=cfg[name]["width"],
            num_hidden_layers=cfg[name]["depth"],
            intermediate_size=cfg[name]["mlp_dim"],
            num_attention_heads=cfg[name]["num_heads"],
            torch_dtype=dtype,
            **shared,
        )
        for name in ("img", "txt")
    }
    img, txt = cfg["img"], cfg["txt"]
    return dict(
        architectures=["SiglipModel"],
        model_type="siglip",
        torch_dtype=dtype,
        dtype=dtype,
        vision_config=towers["img"]
        | dict(model_type="siglip_vision_model", patch_size=img["patch_size"], image_size=side),
        text_config=towers["txt"]
        | dict(
            model_type="siglip_text_model",
            vocab_size=txt["vocab_size"],
            max_position_embeddings=txt["length"],
            projection_size=txt["num_classes"],
            bos_token_id=None,
            eos_token_id=1,
        )
        | ({} if pad is None else dict(pad_token_id=pad)),
    )


def _write_tokenizer(folder: pathlib.Path, tokenizer: Tokenizer, length: int) -> None:
    # transformers has a class for the SentencePiece model of SigLIP. It reads that of Gemma, which
    # SigLIP 2 has, without the lower case of SigLIP's texts.
    common = dict(model_max_length=length, clean_up_tokenization_spaces=False)
    if tokenizer.family == "siglip":
        (folder / "spiece.model").write_bytes(tokenizer.model)
        own = dict(
            tokenizer_class="SiglipTokenizer", processor_class="SiglipProcessor",
            eos_token="</s>", pad_token="</s>", unk_token="<unk>", do_lower_case=True,
        )  # fmt: skip
    else:
        (folder / "tokenizer.model").write_bytes(tokenizer.model)
        own = dict(
            tokenizer_class="GemmaTokenizer", processor_class="SiglipProcessor",
            bos_token="<bos>", eos_token="<eos>", pad_token="<pad>", unk_token="<unk>",
            add_bos_token=False, add_eos_token=True, padding_side="right",
        )  # fmt: skip
    _write_json(folder / "tokenizer_config.json", own | common)


def _trunk(flat: Flat) -> Iterable[tuple[str, np.ndarray]]:
    where = "the image tower"
    cfg = infer.vision_cfg(flat, where, "img/")
    axes = hf_layout.vision_sizes(cfg, flat["img/pos_embedding"].shape[1])
    canonical: dict[str, np.ndarray] = {}
    for rule in hf_layout.VISION_RULES:
        canonical |= dict(hf_layout.to_theirs(rule, np.asarray(flat[rule.ours]), axes))
    for entry in siglip_names.trunk(cfg["depth"]):
        yield entry.theirs, siglip_names.joined(canonical, entry)


def _torch(value: np.ndarray) -> Any:
    import torch

    if value.dtype == tensors.BFLOAT16:
        return torch.from_numpy(value.view(np.int16).copy()).view(torch.bfloat16)
    return torch.from_numpy(value.copy())


def _write_json(path: pathlib.Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
