"""Converting `config.json` of a Hugging Face PaliGemma 2 to a model config, and back.

A value that the file leaves out is that of PaliGemma 2 3B, and a remark names those for which
transformers has another default. A setting that would need another model than ours is an error that
names it. `sliding_window` is ignored, since Google's big_vision
code has no window; a remark says so if the window is at most the number of image tokens.
"""

import json
import math
import pathlib
import re
from collections.abc import Callable, Mapping
from typing import Any

_VISION_DEFAULTS = dict(
    hidden_size=1152,
    num_hidden_layers=27,
    intermediate_size=4304,
    num_attention_heads=16,
    patch_size=14,
    image_size=224,
)
_TEXT_DEFAULTS = dict(
    hidden_size=2304,
    num_hidden_layers=26,
    intermediate_size=9216,
    num_attention_heads=8,
    num_key_value_heads=4,
    head_dim=256,
    query_pre_attn_scalar=256,
    attn_logit_softcapping=50.0,
    final_logit_softcapping=30.0,
    vocab_size=257152,
    sliding_window=4096,
)
_SIGLIP_DEFAULTS = dict(  # Those of transformers.
    hidden_size=768,
    num_hidden_layers=12,
    intermediate_size=3072,
    num_attention_heads=12,
    patch_size=16,
    image_size=224,
)
# The settings that the models support. Other values are errors.
_VISION_SUPPORTED = dict(
    hidden_act="gelu_pytorch_tanh", layer_norm_eps=1e-6, attention_dropout=0.0, num_channels=3
)
_SIGLIP_TEXT_SUPPORTED = {k: v for k, v in _VISION_SUPPORTED.items() if k != "num_channels"}
_TEXT_SUPPORTED = dict(
    hidden_activation="gelu_pytorch_tanh",
    rms_norm_eps=1e-6,
    attention_bias=False,
    attention_dropout=0.0,
    rope_theta=10_000.0,
    tie_word_embeddings=True,
)
IMAGE_TOKEN = 257_152
# The field of config.json in which big_rad stores `config.text`. transformers keeps and ignores it.
RADGROUNDER_FIELD = "radgrounder_text"
# The field of a SigLIP's config.json with the settings that are beside a file in `<name>.json`.
SETTINGS = "big_rad"
# PaliGemma in transformers ignores `final_logit_softcapping` from 4.52 (whose first release on PyPI
# is 4.52.1) to 5.22.2. Up to 4.51.3 it applied the soft cap by way of Gemma2ForCausalLM. Each
# minor release was checked by reading its code, and 4.51.3, 4.52.1, 4.54.1, 5.22.2 and 5.23.0 were
# also run.
_CAP_IGNORED_FROM, _CAP_APPLIED_AGAIN_FROM = (4, 52), (5, 23)


def read(folder: pathlib.Path) -> dict[str, Any]:
    """Reads `config.json`.

    Raises:
        ValueError: The file is missing or damaged.
    """
    path = folder / "config.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as e:
        raise ValueError(f"{folder} has no config.json: not a Hugging Face checkpoint") from e
    except ValueError as e:
        raise ValueError(f"{path} is no JSON ({e}); download it again") from e


def to_model_cfg(
    config: Mapping[str, Any],
    file_name: str,
    final_logits_softcap: float | None = None,
    log: Callable[[str], None] = print,
) -> tuple[dict[str, Any], int]:
    """Converts a PaliGemma 2 config to the arguments of `radgrounder.Model`.

    The soft cap of the output logits depends on the release of transformers that wrote the file.
    In PaliGemma, releases up to 4.51.3 apply `final_logit_softcapping`, 4.52.1 to 5.22.2 ignore it,
    and 5.23.0 applies it again. The model computes the same as the release that the file names. If
    the file does not name its release, the soft cap is 0.

    Args:
        config: The contents of `config.json`.
        file_name: The name of the file, for messages.
        final_logits_softcap: A soft cap that overrides this rule, or None.
        log: A function that receives remarks.

    Returns:
        The model config with explicit dimensions, and the side of the images in pixels.

    Raises:
        ValueError: The config is that of PaliGemma 1 or of another model, or a setting is not
            supported.
    """
    text, vision = dict(config.get("text_config") or {}), dict(config.get("vision_config") or {})
    _check_kind(config, text, file_name)
    rope = text.get("rope_parameters") or {}
    text.setdefault("rope_theta", rope.get("rope_theta", 10_000.0))
    _check_supported(text, _TEXT_SUPPORTED, f"{file_name}: text_config")
    _check_supported(vision, _VISION_SUPPORTED, f"{file_name}: vision_config")
    if text.get("rope_scaling") or rope.get("rope_type", "default") != "default":
        raise ValueError(
            f"{file_name}: text_config asks for scaled rotary positions: not supported"
        )
    if not config.get("tie_word_embeddings", True):
        raise ValueError(f"{file_name}: tie_word_embeddings is false; PaliGemma 2 ties them")
    left_out = [
        n for n, x in _SIGLIP_DEFAULTS.items() if n not in vision and x != _VISION_DEFAULTS[n]
    ]
    if left_out:
        taken = ", ".join(f"{n}={_VISION_DEFAULTS[n]}" for n in left_out)
        log(f"{file_name}: vision_config leaves out sizes; those of PaliGemma 2 are taken: {taken}")
    text, vision = _TEXT_DEFAULTS | text, _VISION_DEFAULTS | vision
    if final_logits_softcap is None:
        final_logits_softcap = _final_cap(config, text, log)
    llm = dict(
        width=text["hidden_size"],
        depth=text["num_hidden_layers"],
        mlp_dim=text["intermediate_size"],
        num_heads=text["num_attention_heads"],
        num_kv_heads=text["num_key_value_heads"],
        head_dim=text["head_dim"],
        vocab_size=text["vocab_size"],
        query_scale=text["query_pre_attn_scalar"] ** -0.5,
        attn_logits_softcap=float(text["attn_logit_softcapping"] or 0),
        final_logits_softcap=float(final_logits_softcap),
    )
    cfg = dict(img=vision_cfg(vision), llm=llm, mask_decoder=None, mask_mode="paligemma")
    tokens = (vision["image_size"] // vision["patch_size"]) ** 2
    if (text["sliding_window"] or math.inf) <= tokens:
        log(
            f"{file_name}: sliding_window {text['sliding_window']} is at most the {tokens} image "
            "tokens; big_rad has no window, like Google's big_vision code"
        )
    return cfg, vision["image_size"]


def vision_cfg(vision: Mapping[str, Any]) -> dict[str, int]:
    """Returns the arguments of `siglip.Model` for a vision config that names all sizes."""
    return dict(
        width=vision["hidden_size"],
        depth=vision["num_hidden_layers"],
        mlp_dim=vision["intermediate_size"],
        num_heads=vision["num_attention_heads"],
        patch_size=vision["patch_size"],
    )


def siglip_cfg(config: Mapping[str, Any], file_name: str) -> dict[str, int]:
    """Converts the config of a Hugging Face SigLIP to the arguments of `siglip.Model`.

    Raises:
        ValueError: A setting is not supported.
    """
    nested = config.get("vision_config")
    vision = dict(nested or config)
    _check_supported(
        vision, _VISION_SUPPORTED, f"{file_name}: vision_config" if nested else file_name
    )
    return vision_cfg(_SIGLIP_DEFAULTS | vision)


def siglip_text_heads(config: Mapping[str, Any], file_name: str) -> int:
    """Returns the number of heads of the text tower of a Hugging Face SigLIP.

    Raises:
        ValueError: A setting is not supported.
    """
    text = dict(config.get("text_config") or {})
    _check_supported(text, _SIGLIP_TEXT_SUPPORTED, f"{file_name}: text_config")
    return int((_SIGLIP_DEFAULTS | text)["num_attention_heads"])


def from_model_cfg(
    model_cfg: Mapping[str, Any], image_size: int, dtype: str, image_token: int = IMAGE_TOKEN
) -> dict[str, Any]:
    """Returns the `config.json` of a model.

    Args:
        model_cfg: A model config with explicit dimensions.
        image_size: The side of the images in pixels.
        dtype: The name of the parameters' dtype.
        image_token: The token id that stands for image tokens.
    """
    img, llm = model_cfg["img"], model_cfg["llm"]
    num_image = (image_size // img["patch_size"]) ** 2
    return dict(
        architectures=["PaliGemmaForConditionalGeneration"],
        model_type="paligemma",
        bos_token_id=2,
        eos_token_id=1,
        pad_token_id=0,
        hidden_size=llm["width"],
        projection_dim=llm["width"],
        image_token_index=image_token,
        num_hidden_layers=llm["depth"],
        tie_word_embeddings=True,
        torch_dtype=dtype,
        dtype=dtype,
        transformers_version="5.23.0",  # The first release to apply the final soft cap again.
        text_config=_text_config(llm, num_image, dtype),
        vision_config=_vision_config(img, llm, image_size, dtype),
    )


def _check_kind(config: Mapping[str, Any], text: Mapping[str, Any], file_name: str) -> None:
    kind = config.get("model_type")
    if kind != "paligemma":
        raise ValueError(
            f"{file_name}: model_type is {kind!r}; big_rad loads paligemma (version 2)"
        )
    if text.get("model_type", "gemma") == "gemma":
        raise ValueError(
            f"{file_name}: this is PaliGemma 1 (text_config.model_type 'gemma'), another "
            "architecture; take a PaliGemma 2 checkpoint, such as google/paligemma2-3b-pt-224"
        )
    if text["model_type"] != "gemma2":
        raise ValueError(
            f"{file_name}: text_config.model_type is {text['model_type']!r}; PaliGemma 2 has "
            "'gemma2'"
        )


def _check_supported(given: Mapping[str, Any], supported: Mapping[str, Any], where: str) -> None:
    wrong = [k for k, v in supported.items() if given.get(k) is not None and given[k] != v]
    if wrong:
        needed = ", ".join(f"{k} = {supported[k]!r}" for k in wrong)
        found = ", ".join(f"{k} = {given[k]!r}" for k in wrong)
        raise ValueError(f"{where}: {found} is not supported; big_rad supports {needed}")


def _final_cap(
    config: Mapping[str, Any], text: Mapping[str, Any], log: Callable[[str], None]
) -> float:
    cap = float(text["final_logit_softcapping"] or 0)
    if not cap:
        return 0.0
    version = config.get("transformers_version")
    found = re.match(r"(\d+)\.(\d+)", str(version or ""))
    name = f"final_logit_softcapping {cap:g}"
    if found is None:
        log(
            f"{name} is not applied: config.json does not say which release of transformers wrote "
            "it (transformers_version), and most of them ignore it"
        )
        return 0.0
    release = (int(found[1]), int(found[2]))
    if _CAP_IGNORED_FROM <= release < _CAP_APPLIED_AGAIN_FROM:
        log(f"{name} is not applied: transformers {version}, which wrote config.json, ignores it")
        return 0.0
    log(f"{name} is applied, as transformers {version} does, which wrote config.json")
    return cap


def _text_config(llm: Mapping[str, Any], num_image: int, dtype: str) -> dict[str, Any]:
    head_dim = llm["head_dim"]
    scalar = (llm.get("query_scale") or head_dim**-0.5) ** -2
    if abs(scalar - round(scalar)) > 1e-6 * scalar:
        raise ValueError(
            f"llm.query_scale {llm['query_scale']} has no query_pre_attn_scalar: "
            "transformers wants 1 / query_scale^2 to be a whole number"
        )
    return dict(
        architectures=["Gemma2ForCausalLM"],
        model_type="gemma2",
        hidden_size=llm["width"],
        num_hidden_layers=llm["depth"],
        intermediate_size=llm["mlp_dim"],
        num_attention_heads=llm["num_heads"],
        num_key_value_heads=llm["num_kv_heads"],
        head_dim=head_dim,
        query_pre_attn_scalar=round(scalar),
        attn_logit_softcapping=llm.get("attn_logits_softcap", 50.0) or None,
        final_logit_softcapping=llm.get("final_logits_softcap", 0.0) or None,
        hidden_act="gelu_pytorch_tanh",
        hidden_activation="gelu_pytorch_tanh",
        rms_norm_eps=1e-6,
        max_position_embeddings=8192,
        sliding_window=4096,
        # As transformers fills it in; vLLM reads it. The window is wider than a row of 448 pixels.
        layer_types=[
            "full_attention" if i % 2 else "sliding_attention" for i in range(llm["depth"])
        ],
        num_image_tokens=num_image,
        vocab_size=llm["vocab_size"],
        tie_word_embeddings=True,
        torch_dtype=dtype,
    )


def _vision_config(
    img: Mapping[str, Any], llm: Mapping[str, Any], image_size: int, dtype: str
) -> dict[str, Any]:
    num_image = (image_size // img["patch_size"]) ** 2
    return dict(
        model_type="siglip_vision_model",
        hidden_size=img["width"],
        num_hidden_layers=img["depth"],
        intermediate_size=img["mlp_dim"],
        num_attention_heads=img["num_heads"],
        patch_size=img["patch_size"],
        image_size=image_size,
        num_image_tokens=num_image,
        num_positions=num_image,
        projection_dim=llm["width"],
        hidden_act="gelu_pytorch_tanh",
        layer_norm_eps=1e-6,
        torch_dtype=dtype,
        vision_use_head=False,
    )
