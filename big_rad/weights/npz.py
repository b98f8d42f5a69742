"""Reading and writing the npz format of big_vision, in which the original weights are published.

An npz holds flat arrays whose names are joined with "/". It stores bfloat16 as void `|V2`. Arrays
are read and written one at a time, and `models.load` fits them to a model.
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

_STAMP = (1980, 1, 1, 0, 0, 0)  # A fixed date, so that equal parameters give equal files.


def split_subtree(path: str | pathlib.Path) -> tuple[pathlib.Path, str]:
    """Splits a path such as `file.npz:img/head` into the file and the subtree "img/head".

    The subtree is "" if the path names none.
    """
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
    """Reads an npz checkpoint one array at a time, the largest first.

    Args:
        path: The file, optionally with `:subtree`. A prefix `params/` of the names is removed.
        dtype: The dtype to convert to, or a function of an array's name that returns it. None keeps
            the stored dtypes.
        sharding: The sharding of the arrays, or a function of an array's name that returns it. None
            returns numpy arrays.

    Returns:
        The nested arrays; bfloat16 arrays have the dtype `ml_dtypes.bfloat16`.

    Raises:
        ValueError: The file is not an npz or is truncated, it holds Python objects, or the subtree
            is empty.
    """
    flat = tensors.materialise(read(path), dtype, sharding)
    return flax.traverse_util.unflatten_dict(flat, sep="/")


def read(path: str | pathlib.Path) -> dict[str, tensors.Lazy]:
    """Lists an npz checkpoint as flat lazy arrays, and reads only the headers.

    Raises:
        ValueError: The file cannot be used; see `load`.
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
    """Writes nested parameters in the original format, with names that have no `params/` prefix.

    The file appears under its name only when it is complete. The names are sorted, so that the same
    parameters give the same bytes.

    Args:
        path: The file, which should end in `.npz`.
        params: The nested arrays. They may be `tensors.Lazy`, and are read one at a time.
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
