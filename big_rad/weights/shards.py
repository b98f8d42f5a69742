"""Reading files of tensors from other programs: safetensors and torch pickles, whole or sharded.

Tensors are listed lazily and read one at a time. torch is imported only to read its own pickles.
These are read only with `weights_only=True`, since a pickle can run any code.
"""

import json
import pathlib
import pickle
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import ml_dtypes  # noqa: F401  (safetensors finds bfloat16 by this name's registration)
import numpy as np

from big_rad.weights import tensors

_WEIGHTS = {"BF16": "bfloat16", "F16": "float16", "F32": "float32", "F64": "float64"}
# Tensors of these dtypes are listed too, so that `unusable.check` can name them in its error.
_OTHERS = {"I8": "int8", "I16": "int16", "I32": "int32", "I64": "int64", "U8": "uint8"}
_OTHERS |= {"U16": "uint16", "U32": "uint32", "U64": "uint64", "BOOL": "bool"}
_OTHERS |= {"F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2"}
_STEMS = ("model.safetensors", "pytorch_model.bin")


def find(folder: pathlib.Path) -> list[pathlib.Path]:
    """Returns the weight files of a Hugging Face folder; if there is an index, it lists them.

    Raises:
        ValueError: The folder has no weights, or it lacks a shard.
    """
    for stem in _STEMS:
        index = folder / f"{stem}.index.json"
        if index.is_file():
            try:
                names = sorted(
                    set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
                )
            except (ValueError, KeyError) as e:
                raise ValueError(f"{index} is no index of shards ({e}); download it again") from e
            missing = [n for n in names if not (folder / n).is_file()]
            if missing:
                raise ValueError(
                    f"{folder} lacks {', '.join(missing)}, which {index.name} names; download them"
                )
            return [folder / n for n in names]
        if (folder / stem).is_file():
            return [folder / stem]
    raise ValueError(
        f"{folder} holds no weights: neither {' nor '.join(_STEMS)}, whole or with an index"
    )


def read(files: Iterable[pathlib.Path]) -> dict[str, tensors.Lazy]:
    """Lists the tensors of several files; to read a tensor that is not finite is an error.

    Raises:
        ValueError: A file is damaged or of an unknown kind, or two files hold the same name.
    """
    result: dict[str, tensors.Lazy] = {}
    for file in files:
        found = read_safetensors(file) if file.suffix == ".safetensors" else read_torch(file)
        twice = sorted(result.keys() & found)
        if twice:
            raise ValueError(f"{file}: {', '.join(twice[:5])} were in an earlier shard already")
        result |= {name: tensors.check_when_read(x, name, file) for name, x in found.items()}
    return result


def read_safetensors(file: pathlib.Path) -> dict[str, tensors.Lazy]:
    """Lists the tensors of a safetensors file.

    Raises:
        ValueError: The file is truncated or is not a safetensors file, or a tensor has an unknown
            dtype.
    """
    import safetensors

    def open_file() -> Any:
        return safetensors.safe_open(file, framework="np", backend="pread")

    def reader(name: str) -> Callable[[], np.ndarray]:
        def read_one() -> np.ndarray:
            with open_file() as f:
                return f.get_tensor(name)

        return read_one

    result = {}
    try:
        with open_file() as f:
            for name in f.keys():
                part = f.get_slice(name)
                kind = part.get_dtype()
                dtype = (_WEIGHTS | _OTHERS).get(kind)
                if dtype is None:
                    raise ValueError(
                        f"{file}: {name} has dtype {kind}; known: {', '.join(_WEIGHTS)}. "
                        "Quantised checkpoints have to be converted to one of these first."
                    )
                result[name] = tensors.Lazy(tuple(part.get_shape()), dtype, reader(name))
    except safetensors.SafetensorError as e:
        raise ValueError(
            f"{file} is no readable safetensors file ({e}); it may be truncated: download it again"
        ) from e
    return result


def read_torch(file: pathlib.Path) -> dict[str, tensors.Lazy]:
    """Lists the tensors of a torch checkpoint: a state dict, or a dict that holds one.

    Raises:
        ValueError: The file is damaged or holds other Python objects, or torch is not installed.
    """
    try:
        import torch
    except ModuleNotFoundError as e:
        raise ValueError(
            f"{file} is a torch file, and torch is not installed: `pip install torch`, or re-save "
            "it as safetensors"
        ) from e
    try:
        loaded = torch.load(file, map_location="cpu", weights_only=True, mmap=_is_zip(file))
    except pickle.UnpicklingError as e:
        if "weights_only" not in str(e).lower():
            raise ValueError(f"{file} is no readable torch file ({e}); download it again") from e
        what = re.search(r"GLOBAL (\S+)|class (\S+)", str(e))
        raise ValueError(
            f"{file} holds Python objects{f' ({what[0]})' if what else ''} beside tensors, and "
            "big_rad never runs a pickle. Where you trust the file, re-save its tensors alone: "
            "torch.save(torch.load(FILE, weights_only=False)['state_dict'], 'state_dict.pt') "
            "(or `model.state_dict()`, if it holds a whole model)"
        ) from e
    except (RuntimeError, EOFError, OSError, ValueError) as e:
        if isinstance(e, FileNotFoundError):
            raise
        raise ValueError(
            f"{file} is no readable torch file ({str(e).splitlines()[0]}); it may be truncated: "
            "download it again"
        ) from e
    return _from_state_dict(loaded, file)


def _from_state_dict(loaded: Any, file: pathlib.Path) -> dict[str, tensors.Lazy]:
    import torch

    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
            break
    if not isinstance(loaded, Mapping):
        raise ValueError(f"{file} holds a {type(loaded).__name__}, not a state dict of tensors")
    odd = [str(k) for k, v in loaded.items() if not isinstance(v, torch.Tensor)]
    if odd:
        raise ValueError(
            f"{file}: {', '.join(odd[:5])} are no tensors; re-save the state_dict alone"
        )

    def reader(tensor: torch.Tensor) -> Callable[[], np.ndarray]:
        def read_one() -> np.ndarray:
            if tensor.dtype == torch.bfloat16:
                return tensor.contiguous().view(torch.int16).numpy().view(tensors.BFLOAT16)
            return tensor.detach().numpy()

        return read_one

    result = {}
    for name, t in loaded.items():
        try:
            dtype = np.dtype(str(t.dtype).removeprefix("torch."))
        except TypeError as e:
            raise ValueError(
                f"{file}: {name} has dtype {t.dtype}; known: {', '.join(_WEIGHTS.values())}. "
                "Quantised checkpoints have to be converted to one of these first."
            ) from e
        result[name] = tensors.Lazy(tuple(t.shape), dtype, reader(t.detach()))
    return result


def _is_zip(file: pathlib.Path) -> bool:
    with open(file, "rb") as f:
        return f.read(2) == b"PK"
