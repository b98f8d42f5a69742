"""What lies where a model is expected and is none: quantised weights, and adapters of PEFT alone.

Read as plain numbers, either would be another model, so both are refused with what to do instead.
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
# Names that go with quantised weights, and who writes them.
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
    """Refuses a folder whose adapters of PEFT are not merged into a model.

    Args:
        folder: a checkpoint, with or without `adapter_config.json`.

    Raises:
        ValueError: it holds adapters; the message says how to merge them.
    """
    path = folder / "adapter_config.json"
    if not path.is_file():
        return
    whole = any(folder.glob("model*.safetensors")) or any(folder.glob("pytorch_model*.bin"))
    if whole and not any(folder.glob("adapter_model*")):
        return  # They were merged, and their config was left behind.
    try:
        base = json.loads(path.read_text(encoding="utf-8")).get("base_model_name_or_path")
    except (ValueError, AttributeError):
        base = None
    raise ValueError(_merge_first(folder, base or "BASE_MODEL", "adapter_config.json"))


def check(stored: Mapping[str, common.ArrayInfo], where: str | pathlib.Path) -> None:
    """Refuses tensors that are no plain weights: adapters of PEFT, and quantised ones.

    Args:
        stored: name -> array with a dtype; nothing is read.
        where: the file or folder, for messages.

    Raises:
        ValueError: names the tensors, and says what to do.
    """
    adapters = [n for n in stored if _PEFT.fullmatch(n)]
    if adapters:
        folder = pathlib.Path(where)
        folder = folder if folder.is_dir() else folder.parent
        raise ValueError(_merge_first(folder, "BASE_MODEL", _some(adapters)))
    other = {n: x for n, x in stored.items() if np.dtype(x.dtype) not in _FLOATS}
    other = {n: x for n, x in other.items() if not _CONSTANTS.fullmatch(n)}
    for pattern, writer in _QUANTISED[: None if other else -1]:
        found = [n for n in stored if re.fullmatch(pattern, n)]
        if found:
            raise ValueError(
                f"{where}: the weights are quantised ({writer}: it has {_some(found)}), which "
                f"big_rad does not read. {_REMEDY}"
            )
    if other:
        kinds = ", ".join(sorted({_kind(x.dtype) for x in other.values()}))
        raise ValueError(
            f"{where}: {_some(list(other))} are of dtype {kinds}, without the scales that would "
            f"turn them into weights; read as plain numbers they would be another model. {_REMEDY}"
        )


def remark(config: Mapping[str, Any], where: str) -> str:
    """Returns a line about a quantisation that config.json names and the weights lack, or ""."""
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


def _merge_first(folder: pathlib.Path, base: str, sign: str) -> str:
    return (
        f"{folder} holds adapters of PEFT ({sign}) and not a whole model. Merge them into their "
        "base model first, where peft and transformers are installed, and give the new folder:\n"
        f"  from peft import PeftModel\n"
        f"  from transformers import AutoProcessor, PaliGemmaForConditionalGeneration as Model\n"
        f"  processor = AutoProcessor.from_pretrained({str(folder)!r})\n"
        f"  model = Model.from_pretrained({base!r}, dtype='bfloat16')\n"
        "  # If tokens were added: model.resize_token_embeddings(len(processor.tokenizer))\n"
        f"  model = PeftModel.from_pretrained(model, {str(folder)!r}).merge_and_unload()\n"
        "  model.save_pretrained('merged'); processor.save_pretrained('merged')"
    )
