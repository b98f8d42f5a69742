"""The original npz format of big_vision: flat `/`-joined names, bf16 stored as void `|V2`.

Arrays are read and written one at a time. Knows no model: fitting is `models.load`.
"""

import os
import pathlib
import zipfile
import zlib
from collections.abc import Callable, Mapping
from typing import IO, Any

import flax
import numpy as np

from big_rad.weights import tensors

_STAMP = (1980, 1, 1, 0, 0, 0)  # No clock in the file.


def split_subtree(path: str | pathlib.Path) -> tuple[pathlib.Path, str]:
    """Splits `file.npz:img/head` into (file, "img/head"); without a colon the latter is ""."""
    text = str(path)
    if ".npz:" in text:
        file, _, subtree = text.partition(".npz:")
        return pathlib.Path(file + ".npz"), subtree.strip("/")
    return pathlib.Path(text), ""


def load(
    path: str | pathlib.Path,
    *,
    dtype: tensors.Dtypes = None,
    sharding: tensors.Shardings = None,
) -> dict[str, Any]:
    """Reads an npz checkpoint, array by array, the largest first.

    Args:
        path: the file, optionally with `:subtree`. Names may carry a `params/` prefix.
        dtype: what to convert to, or a function of the name; None keeps what is stored.
        sharding: where to put arrays, or a function of the name; None gives numpy arrays.

    Returns:
        Nested dict of arrays; bf16 as `ml_dtypes.bfloat16`.

    Raises:
        ValueError: no npz file, a truncated one, one that holds Python objects, or an empty
            subtree.
    """
    flat = tensors.materialise(read(path), dtype, sharding)
    return flax.traverse_util.unflatten_dict(flat, sep="/")


def read(path: str | pathlib.Path) -> dict[str, tensors.Lazy]:
    """Lists an npz checkpoint as flat lazy arrays; only headers are read.

    Raises:
        ValueError: as `load`.
    """
    file, subtree = split_subtree(path)
    flat = {}
    try:
        with zipfile.ZipFile(file) as archive:
            for member in archive.namelist():
                if not member.endswith(".npy"):
                    raise ValueError(f"it holds {member!r}, which is no array")
                name = member.removesuffix(".npy").removeprefix("params/")
                if subtree and not f"{name}/".startswith(f"{subtree}/"):
                    continue
                name = name[len(subtree) :].lstrip("/") if subtree else name
                with archive.open(member) as f:
                    shape, dtype = _header(f)
                name = name or subtree.rsplit("/", 1)[-1]
                array = tensors.Lazy(shape, dtype, _reader(file, member))
                flat[name] = tensors.check_when_read(array, name, file)
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as e:
        raise ValueError(_unreadable(file, e)) from e
    if not flat:
        raise ValueError(f"checkpoint {str(file)!r} holds nothing under {subtree!r}")
    return flat


def save(path: str | pathlib.Path, params: Mapping[str, Any]) -> None:
    """Writes nested parameters in the original format (no prefix, bf16 as `|V2`).

    The file appears under its name only when it is whole. Names are sorted, so that the same
    parameters give the same bytes.

    Args:
        path: the file; it should end in `.npz`.
        params: nested arrays, `tensors.Lazy` ones included, which are read one at a time.
    """
    path = pathlib.Path(path)
    partial = path.with_name(path.name + ".partial")
    try:
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
            flat = flax.traverse_util.flatten_dict(dict(params), sep="/")
            for name in sorted(flat):
                value = np.asarray(flat[name])
                if value.dtype == tensors.BFLOAT16:
                    value = value.view("V2")
                info = zipfile.ZipInfo(f"{name}.npy", _STAMP)
                with archive.open(info, "w", force_zip64=True) as f:
                    np.lib.format.write_array(f, value, allow_pickle=False)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _header(f: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    version = np.lib.format.read_magic(f)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"npy version {version} is not supported")
    parse = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    shape, _, dtype = parse(f)
    if dtype.hasobject:
        raise ValueError("it holds Python objects (a pickle), which are never loaded")
    return shape, tensors.BFLOAT16 if dtype == np.dtype("V2") else dtype


def _reader(file: pathlib.Path, member: str) -> Callable[[], np.ndarray]:
    def read_member() -> np.ndarray:
        try:
            with zipfile.ZipFile(file) as archive, archive.open(member) as f:
                value = np.lib.format.read_array(f, allow_pickle=False)
        except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as e:
            raise ValueError(_unreadable(file, f"{member}: {e}")) from e
        return value.view(tensors.BFLOAT16) if value.dtype == np.dtype("V2") else value

    return read_member


def _unreadable(file: pathlib.Path, why: Exception | str) -> str:
    return (
        f"checkpoint {str(file)!r} is no readable npz file ({why}). If it was downloaded, compare "
        "its size and checksum with the source and download it again."
    )
