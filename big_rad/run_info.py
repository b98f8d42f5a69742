"""What a run directory says of its run: `config.json`, `run.json` and `parameters.txt`.

`run.json` has an entry for every start: when and from which step, with which packages, revision,
hardware and arguments, and how many parameters each subtree has and trains. Of the machine it knows
the kind alone: no host, no user, and a home folder is written `~`. Knows no model and no data.
"""

import datetime
import importlib.metadata
import json
import os
import pathlib
import platform
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import jax

from big_rad import config as config_lib
from big_rad import parameter_table, runtime, watch

_FIXED = ("model_name", "model", "tokenizer", "codec", "image")
_GIT_SECONDS = 20


def check_same_config(config: Any, workdir: str | pathlib.Path) -> None:
    """Checks that a run directory with checkpoints is of this model, tokenizer, codec and image.

    Raises:
        TrainingError: it is of another.
    """
    path = pathlib.Path(workdir) / "config.json"
    if not path.exists() or not (path.parent / "checkpoints").exists():
        return
    old = config_lib.from_json(path.read_text(encoding="utf-8"))
    new = config_lib.from_json(config_lib.to_json(config))
    for name in _FIXED:
        if old.get(name) != new.get(name):
            raise watch.TrainingError(
                f"{workdir} holds a run whose config.{name} is {old.get(name)}, not "
                f"{new.get(name)}. Choose another --workdir, or remove this one."
            )


def write(
    workdir: str | pathlib.Path,
    config: Any,
    step: int,
    total_steps: int,
    params: Mapping[str, Any],
    trainable: Mapping[str, bool],
) -> str:
    """Writes the three files as a run starts; for the first process alone.

    Args:
        workdir: the run directory.
        config: of the run; that of a finished run stays as it was.
        step: that the run goes on from.
        total_steps: that it is to have in the end.
        params: name -> array or shape with dtype.
        trainable: name -> whether it is trained.

    Returns:
        The table of parameters, to be shown.
    """
    workdir = pathlib.Path(workdir)
    if step < total_steps:
        runtime.write_whole(workdir / "config.json", config_lib.to_json(config))
    rows = parameter_table.rows(params, trainable)
    totals = parameter_table.subtree_totals(rows)
    tables = f"{parameter_table.text(rows)}\n\n{parameter_table.text(totals)}\n"
    runtime.write_whole(workdir / "parameters.txt", tables)
    now = datetime.datetime.now(datetime.UTC)
    start = {
        "time": now.isoformat(timespec="seconds"),
        "step": step,
        "total_steps": total_steps,
        "arguments": arguments(),
        "git": revision(),
        "hardware": hardware(),
        "parameters": {t.subtree: [t.size, t.trained] for t in totals},
        "versions": versions(),
    }
    starts = [*read(workdir), start]
    runtime.write_whole(workdir / "run.json", json.dumps({"starts": starts}, indent=1))
    return tables


def read(workdir: str | pathlib.Path) -> list[dict[str, Any]]:
    """Returns the starts of a run, first to last; none if it is older than `run.json`.

    Raises:
        ValueError: a file that is broken.
    """
    path = pathlib.Path(workdir) / "run.json"
    if not path.exists():
        return []
    try:
        return list(json.loads(path.read_text(encoding="utf-8"))["starts"])
    except (ValueError, KeyError, TypeError) as e:
        raise ValueError(f"{path} is broken ({type(e).__name__}: {e}); remove it") from e


def versions() -> dict[str, str]:
    """Returns the versions of Python and of every package that is installed, by name."""
    found = {
        d.metadata["Name"]: d.version
        for d in importlib.metadata.distributions()
        if d.metadata["Name"]
    }
    return {"python": platform.python_version(), **dict(sorted(found.items(), key=_folded))}


def revision(file: str | pathlib.Path = __file__) -> dict[str, Any] | None:
    """Returns `revision` of the checkout that a file belongs to, and whether it is `dirty`.

    Dirty is a checkout in which a file that git knows was changed. None outside a checkout, in one
    that does not know the file, or without git.
    """
    path = pathlib.Path(file).resolve()
    known = _git(path, "ls-files", "--error-unmatch", path.name)
    head = _git(path, "rev-parse", "HEAD") if known else None
    if not head:
        return None
    changes = _git(path, "status", "--porcelain", "--untracked-files=no")
    return {"revision": head, "dirty": None if changes is None else bool(changes)}


def hardware() -> dict[str, Any]:
    """Returns the kinds and numbers of devices, processes and cores, and bytes of memory.

    `device_memory` is what JAX may use of a device, None where it does not say.
    """
    devices = jax.devices()
    stats = jax.local_devices()[0].memory_stats() or {}
    return {
        "platform": devices[0].platform,
        "device_kind": devices[0].device_kind,
        "devices": len(devices),
        "device_memory": stats.get("bytes_limit"),
        "processes": jax.process_count(),
        "cores": runtime.cores(),
        "processor": _processor(),
        "memory": _memory(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def arguments() -> list[str]:
    """Returns the command line of this process, with `~` for the home folder."""
    home = os.path.expanduser("~")
    program, *rest = sys.argv or [""]
    shown = [pathlib.PurePath(program).name, *rest]
    return [x.replace(home + os.sep, "~" + os.sep) if len(home) > 1 else x for x in shown]


def _git(path: pathlib.Path, *command: str) -> str | None:
    # What git says of the folder of a file; None if it fails or is not there.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", "-C", str(path.parent), *command],
            capture_output=True,
            text=True,
            env=environment | {"GIT_OPTIONAL_LOCKS": "0"},
            timeout=_GIT_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _folded(item: tuple[str, str]) -> str:
    return item[0].lower()


def _processor() -> str:
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None
