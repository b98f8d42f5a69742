"""The dtype in which a model computes with each of its parameters.

A model casts a matrix to the dtype of its matrix products before it uses it. A checkpoint that
holds the matrix in that dtype gives the same function, bit for bit. The scales and biases of norms
are never cast.
"""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from jax.typing import DTypeLike

from big_rad.models import gemma, mask_decoder, siglip
from big_rad.weights import tensors

_PARTS = {"img": siglip.Model, "llm": gemma.Model, "mask_decoder": mask_decoder.Model}
# The parameters of norms: of Gemma, of the image tower, and of the mask decoder.
_NORM = re.compile(
    r"llm/(.*/)?\w*norm/scale"
    r"|img/(.*/)?(LayerNorm_\d+|encoder_norm)/(scale|bias)"
    r"|mask_decoder/(.*/)?\w*norm\w*/(scale|bias)"
)


def dtype_of(name: str, stored: DTypeLike, model: Mapping[str, Any]) -> np.dtype:
    """Returns the dtype in which a model computes with a parameter.

    Args:
        name: The flat name of the parameter, such as "llm/layers/mlp/linear".
        stored: The dtype in which it is stored, which is also the result for a norm.
        model: The arguments of the model.

    Raises:
        ValueError: The parameter belongs to no part of the model.
    """
    part = name.partition("/")[0]
    if part not in _PARTS:
        raise ValueError(f"{name} belongs to no part of the model; its parts: {', '.join(_PARTS)}")
    if is_norm(name):
        return tensors.dtype_of(stored)
    default = next(f.default for f in dataclasses.fields(_PARTS[part]) if f.name == "dtype_mm")
    return tensors.dtype_of((model.get(part) or {}).get("dtype_mm") or default)


def is_norm(name: str) -> bool:
    """Returns whether a parameter, by its flat name, belongs to a norm."""
    return _NORM.fullmatch(name) is not None
