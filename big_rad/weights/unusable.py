"""Refusing checkpoints that are not a whole plain model: quantised weights, and PEFT adapters.

If their tensors were read as plain weights, the result would silently be a different model. So both
are errors that say what to do instead.
"""

import json
import pathlib
import re
from collections.abc import Mapping
from typing import Any

import ml_dtypes
import numpy as np
from jax.typing import DTypeLike

from big_rad.models import common

_FLOATS = tuple(map(np.dtype, ("float16", ml_dtypes.bfloat16, "float32", "float64")))
_CONSTANTS = re.compile(r"(.*\.)?(position_ids|inv_freq|embed_scale|normalizer)")
_PEFT = re.compile(
    r"(?:.*\.)?(?:lora_[AB]\..+|lora_(?:embedding_[AB]|magnitude_vector)(?:\..+)?|"
    r"(?:base_layer|modules_to_save|original_module)\..+|hada_w[12]_[ab]\b.*|lokr_w[12]\b.*|"
    r"ia3_l(?:\..+)?|oft_[rR]\b.*|boft_[RS]\b.*|vera_(?:lambda_[bd]|[AB])\b.*)"
)
# Names of the tensors of quantised checkpoints, and the libraries that write them. The names of
# the last entry also occur in plain checkpoints, so they count only if some tensor has a dtype that
# is not in _FLOATS.
_QUANTISED = (
    (r".*\.(qweight|qzeros|g_idx)", "GPTQ or AWQ"),
    (
        r".*\.(SCB|absmax|quant_map|nested_absmax|nested_quant_map|weight_format|quant_state\..+)",
        "bitsandbytes",
    ),
    (
        r".*\.(weight_packed|weight_shape|weight_scale(_inv|_2)?|weight_zero_point|weight_g_idx|"
        r"weight_global_scale|(input|output|activation)_scale)",
        "compressed-tensors or FP8",
    ),
    (r".*\.(W_q|W_nbits)", "HQQ"),
    (r".*\.weight\._(data|scale|shift)", "quanto"),
    (r".*\.(scale|scales|zeros|zero_point)", "a quantiser"),
)
_REMEDY = (
    "Take the original checkpoint instead; or load this one with the library that wrote it, call "
    "model.dequantize(), and save it again in bfloat16."
)


def check_folder(folder: pathlib.Path) -> None:
    """Raises an error if a folder holds PEFT adapters that are not merged into a model.

    Args:
        folder: A checkpoint, with or without `adapter_config.json`.

    Raises:
        ValueError: The folder holds such adapters; the message says how to merge them.
    """
    path = folder / "adapter_config.json"
    if not path.is_file():
        return
    whole = any(folder.glob("model*.safetensors")) or any(folder.glob("pytorch_model*.bin"))
    if whole and not any(folder.glob("adapter_model*")):
        return  # The adapters were merged, but their config was not removed.
    try:
        base = json.loads(path.read_text(encoding="utf-8")).get("base_model_name_or_path")
    except (ValueError, AttributeError):
        base = None
    message = _merge_first(folder, base or "BASE_MODEL", "adapter_config.json")
    if whole:
        message += (
            "\nThe folder also holds a whole model. If the adapters are merged into it already, "
            "remove adapter_config.json and adapter_model* instead."
        )
    raise ValueError(message)


def check(stored: Mapping[str, common.ArrayInfo], where: str | pathlib.Path) -> None:
    """Checks that tensors are plain weights, and neither PEFT adapters nor quantised.

    Args:
        stored: The arrays by name. Only names and dtypes are used.
        where: The file or folder, for messages.

    Raises:
        ValueError: Some tensors are not plain weights; the message names them and says what to do.
    """
    adapters = [n for n in stored if _PEFT.fullmatch(n)]
    if adapters:
        folder = pathlib.Path(where)
        folder = folder if folder.is_dir() else folder.parent
        raise ValueError(_merge_first(folder, "BASE_MODEL", _some(adapters)))
    not_float = {n: x for n, x in stored.items() if np.dtype(x.dtype) not in _FLOATS}
    not_float = {n: x for n, x in not_float.items() if not _CONSTANTS.fullmatch(n)}
    for pattern, writer in _QUANTISED[: None if not_float else -1]:
        found = [n for n in stored if re.fullmatch(pattern, n)]
        if found:
            raise ValueError(
                f"{where}: the weights are quantised ({writer}: it has {_some(found)}), which "
                f"big_rad does not read. {_REMEDY}"
            )
    if not_float:
        kinds = ", ".join(sorted({_kind(x.dtype) for x in not_float.values()}))
        raise ValueError(
            f"{where}: {_some(list(not_float))} are of dtype {kinds}, without the scales that "
            "would turn them into weights; read as plain numbers they would be another model. "
            f"{_REMEDY}"
        )


def ignored_quantisation(config: Mapping[str, Any], where: str) -> str:
    """Returns a remark if config.json states a quantisation, or "".

    Call it after `check`, which has shown that the weights have none.
    """
    spec = config.get("quantization_config") or (config.get("text_config") or {}).get(
        "quantization_config"
    )
    if not spec:
        return ""
    method = spec.get("quant_method", "a method without a name") if hasattr(spec, "get") else spec
    return f"{where}: quantization_config ({method}) is ignored: the weights are not quantised"


def _kind(dtype: DTypeLike) -> str:
    name = np.dtype(dtype).name
    return "unknown 8-bit (FP8?)" if name == "void8" else name


def _some(names: list[str]) -> str:
    more = len(names) - 3
    return ", ".join(names[:3]) + (f" and {more} more" if more > 0 else "")


def _merge_first(folder: pathlib.Path, base: str, evidence: str) -> str:
    return (
        f"{folder} holds adapters of PEFT ({evidence}), which big_rad does not apply. Merge them "
        "into their base model first, where peft and transformers are installed, and give the new "
        "folder:\n"
        f"  from peft import PeftModel\n"
        f"  from transformers import AutoProcessor, PaliGemmaForConditionalGeneration as Model\n"
        f"  processor = AutoProcessor.from_pretrained({str(folder)!r})\n"
        f"  model = Model.from_pretrained({base!r}, dtype='bfloat16')\n"
        "  # If tokens were added: model.resize_token_embeddings(len(processor.tokenizer))\n"
        f"  model = PeftModel.from_pretrained(model, {str(folder)!r}).merge_and_unload()\n"
        "  model.save_pretrained('merged'); processor.save_pretrained('merged')"
    )
