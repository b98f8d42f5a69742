"""The folder that `tools.export` writes: parameters and everything that they must be used with.

    OUT/
        config.json         settings, names and shapes of the parameters; see `read_config`
        params/             the parameters, as `orbax.checkpoint.StandardCheckpointer` writes them
        tokenizer.model
        SHA256SUMS          the SHA-256 of every other file

An export is read only after its files have been compared with SHA256SUMS, so a changed byte is an
error. `tools.export` explains the other files.
"""

import hashlib
import json
import pathlib
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
from jaxtyping import Num

from big_rad import files, quiet
from big_rad.weights import tensors

FORMAT, VERSION = "big_rad export", 1
CONFIG, PARAMS, TOKENIZER, SUMS = "config.json", "params", "tokenizer.model", "SHA256SUMS"
SCALES = "int8_scales/"  # The names of the scales of int8 arrays begin with this.
CALIBRATION = "calibration.json"
_AGAIN = "copy the export again, or make it again: python -m tools.export RUN OUT"


def is_export(path: str | pathlib.Path) -> bool:
    """Returns whether a path is a folder that `tools.export` wrote.

    A folder with parameters whose config.json is damaged counts as an export, and so does a folder
    that SHA256SUMS calls one and from which the parameters or config.json were removed.
    """
    path = pathlib.Path(path)
    if not (path / PARAMS).is_dir() or not (path / CONFIG).is_file():
        return _listed(path)
    try:
        found = json.loads((path / CONFIG).read_text(encoding="utf-8"))
    except ValueError:
        return (path / SUMS).is_file()
    return isinstance(found, dict) and (
        found.get("format") == FORMAT or (path / SUMS).is_file() and "model_type" not in found
    )


def _listed(path: pathlib.Path) -> bool:
    try:
        text = (path / SUMS).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
    return f"  {PARAMS}/" in text and f"  {CONFIG}\n" in text


def read_config(path: str | pathlib.Path) -> dict[str, Any]:
    """Reads the settings of an export.

    Args:
        path: The folder.

    Returns:
        A dict. Its fields are `dtype`, one of "run", "bfloat16" and "int8"; `params`, the shape and
        the dtype of each parameter by its name; `meta`, which holds what the meta of a run's
        checkpoint holds (`config`, `tokenizer`, `classes`, `data`, `versions`); `source`, with the
        `step` of the run; and `tokens`, which says what a program needs to know about the ids.

    Raises:
        ValueError: The file is damaged, or another version of big_rad wrote it.
    """
    folder = pathlib.Path(path)
    problems = damaged(folder, only=(CONFIG, TOKENIZER))
    if problems:
        raise ValueError(f"{path} is damaged: {'; '.join(problems)}; {_AGAIN}")
    found = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    if found.get("format_version") != VERSION:
        raise ValueError(
            f"{folder / CONFIG}: its field `format_version` is {found.get('format_version')!r}, "
            f"and this version of big_rad reads {VERSION}; install the version that wrote it"
        )
    return found


def read(
    path: str | pathlib.Path, *, log: Callable[[str], None] = lambda line: None
) -> tuple[dict[str, tensors.Lazy], dict[str, Any]]:
    """Lists the parameters of an export as flat lazy arrays.

    Arrays of int8 are multiplied by their scales when they are read.

    Args:
        path: The folder.
        log: A function that receives a line with the step of the run that it was made from.

    Returns:
        The arrays by name, and `meta`, see `read_config`.

    Raises:
        ValueError: A file differs from SHA256SUMS, or is missing.
    """
    folder, found = pathlib.Path(path), read_config(path)
    problems = damaged(folder, only=(PARAMS,))
    if problems:
        raise ValueError(f"{path} is damaged: {'; '.join(problems)}; {_AGAIN}")
    log(f"{path}: an export ({found['dtype']}) of step {found['source'].get('step')}")
    stored = {n: (tuple(shape), dtype) for n, (shape, dtype) in found[PARAMS].items()}
    lazy = tensors.lazies(
        stored, lambda names: _read_arrays(folder / PARAMS, {n: stored[n] for n in names})
    )
    flat = {}
    for name, array in lazy.items():
        if not name.startswith(SCALES):
            whole = _scaled(array, lazy[SCALES + name]) if SCALES + name in lazy else array
            flat[name] = tensors.check_when_read(whole, name, path)
    return flat, found["meta"]


def widened(
    values: Num[np.ndarray, "..."], scale: Num[np.ndarray, "..."]
) -> Num[np.ndarray, "..."]:
    """Returns an int8 array as float32: its values multiplied by the scales of its channels."""
    wide = values.astype(np.float32)
    wide *= scale
    return wide


def _scaled(array: tensors.Lazy, scale: tensors.Lazy) -> tensors.Lazy:
    def read() -> np.ndarray:
        return widened(np.asarray(array), np.asarray(scale))

    return tensors.Lazy(array.shape, np.float32, read)


def digest(file: pathlib.Path) -> str:
    """Returns the SHA-256 (hex) of a file."""
    with open(file, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def write_sums(folder: pathlib.Path) -> None:
    """Writes the SHA-256 of every file of an export into SHA256SUMS, as `sha256sum -c` reads it."""
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    lines = [f"{digest(folder / n)}  {n}\n" for n in names if n != SUMS]
    files.write_whole(folder / SUMS, "".join(lines))


def damaged(folder: pathlib.Path, only: Collection[str] | None = None) -> list[str]:
    """Compares files of an export with SHA256SUMS.

    Args:
        folder: The export.
        only: The names of files and folders at its top that are compared; None compares all.

    Returns:
        A line for each file that was changed, is missing, or is not in SHA256SUMS; empty if all is
        as it was written.
    """
    sums = folder / SUMS
    if not sums.is_file():
        return [f"{SUMS} is missing"]
    wanted: dict[str, str] = {}
    for number, line in enumerate(sums.read_bytes().split(b"\n"), 1):
        if not line:
            continue
        value, gap, name = line.decode(errors="replace").partition("  ")
        if not gap or len(value) != 64 or not name:
            return [f"{SUMS}, line {number}: it is no line of sha256sum"]
        wanted[name] = value

    def chosen(name: str) -> bool:
        return only is None or name.partition("/")[0] in only

    there = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()} - {SUMS}
    lines = [f"{n} is missing" for n in sorted(wanted.keys() - there) if chosen(n)]
    lines += [f"{n} is not in {SUMS}" for n in sorted(there - wanted.keys()) if chosen(n)]
    for name in sorted(there & wanted.keys()):
        if chosen(name) and digest(folder / name) != wanted[name]:
            lines.append(f"{name} is not what was written")
    return lines


@quiet.without_warnings()
def _read_arrays(
    folder: pathlib.Path, stored: Mapping[str, tuple[tuple[int, ...], str]]
) -> dict[str, np.ndarray]:
    # Reads some arrays of a folder that Orbax wrote, and no others.
    import orbax.checkpoint as ocp

    target: dict[str, Any] = {}
    options: dict[str, Any] = {}
    for name, (shape, dtype) in stored.items():
        *path, last = name.split("/")
        here, there = target, options
        for key in path:
            here, there = here.setdefault(key, {}), there.setdefault(key, {})
        here[last] = np.broadcast_to(np.zeros((), tensors.dtype_of(dtype)), shape)
        there[last] = ocp.RestoreArgs(restore_type=np.ndarray)
    args = ocp.args.PyTreeRestore(item=target, restore_args=options, partial_restore=True)
    with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as reader:
        found = reader.restore(folder.absolute(), args=args)
    result = {}
    for name, (shape, dtype) in stored.items():
        value = found
        for key in name.split("/"):
            value = value[key]
        if value.shape != shape or value.dtype != tensors.dtype_of(dtype):
            raise ValueError(
                f"{folder}: {name} is {value.dtype} {value.shape}, and {CONFIG} says {dtype} "
                f"{shape}; {_AGAIN}"
            )
        result[name] = value
    return result
