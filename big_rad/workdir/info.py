"""Writes the files that describe a run: `config.json`, `run.json` and `parameters.txt`.

`run.json` has an entry for every start of the trainer: its time and first step, the packages, the
git revision, the hardware and the arguments, the numbers of parameters and trained parameters of
each subtree, the settings that changed since the previous start, and how and why it ended. The
entry describes the kind of machine but never names it: host and user names are not written, and the
home folder is written as `~`.
"""

import contextlib
import datetime
import importlib.metadata
import json
import os
import pathlib
import platform
import shlex
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import jax

from big_rad import files, runtime
from big_rad.config import recipes as config_lib
from big_rad.config.defaults import Config
from big_rad.models import parameter_table

Log = Callable[[str], None]
_GIT_SECONDS = 20
_LONGEST = 4000  # The number of characters after which an error message is cut.
_LOST = "it did not say how it ended: kill -9, out of memory, or power"


class TrainingError(RuntimeError):
    """Training cannot go on; the message says where, why and what to do."""


class Ending:
    """How a start ends, for its entry in `run.json`.

    Attributes:
        step: the last step that was trained.
        how: "stopped" (by a signal) or "finished". After an error the entry gets "failed" or
            "interrupted" instead.
    """

    def __init__(self, step: int):
        self.step, self.how = step, "stopped"


@contextlib.contextmanager
def recorded(workdir: str | pathlib.Path, step: int, log: Log = print) -> Iterator[Ending]:
    """A context that records a start in `run.json`: its beginning, and how and why it ended.

    A process that is killed (`kill -9`, out of memory, loss of power) cannot record its end. The
    next start then records it as lost.

    Args:
        workdir: the run directory.
        step: the step that the start goes on from, as far as it is known.
        log: receives the error of the previous start, if it failed.

    Yields:
        The ending, in which the run notes its last step and whether it finished.
    """
    first = jax.process_index() == 0
    if first:
        _begin(pathlib.Path(workdir), step, log)
    ending = Ending(step)
    try:
        yield ending
    except BaseException as e:
        ending.how = "failed" if isinstance(e, Exception) else "interrupted"
        if first:
            with contextlib.suppress(OSError, ValueError):  # Do not hide the error of the run.
                _end(pathlib.Path(workdir), ending, _why(e))
        raise
    if first:
        _end(pathlib.Path(workdir), ending, "")


def write(
    workdir: str | pathlib.Path,
    config: Config,
    step: int,
    total_steps: int,
    params: Mapping[str, Any],
    trainable: Mapping[str, bool],
    changes: Mapping[str, Sequence[Any]] | None = None,
    identity: Mapping[str, Any] | None = None,
) -> str:
    """Writes the three files when training starts; only the first process may call it.

    Args:
        workdir: the run directory.
        config: the config of the run. It is not written if the run is already finished.
        step: the step that the run goes on from.
        total_steps: the number of steps of the whole run.
        params: a dict from the name of each parameter to its array or shape with dtype.
        trainable: a dict from the name of each parameter to whether it is trained.
        changes: a dict from each setting that changed since the previous start to (old, new), see
            `resume.Past`.
        identity: the identity of the data, see `datasets.core.identity`.

    Returns:
        The table of parameters as text.
    """
    workdir = pathlib.Path(workdir)
    if step < total_steps:
        files.write_whole(workdir / "config.json", config_lib.to_json(config))
    rows = parameter_table.rows(params, trainable)
    totals = parameter_table.subtree_totals(rows)
    tables = f"{parameter_table.text(rows)}\n\n{parameter_table.text(totals)}\n"
    files.write_whole(workdir / "parameters.txt", tables)
    starts = read(workdir)
    # The entry that `recorded` has begun is completed; without one, a new entry is added.
    begun = bool(starts) and "ended" in starts[-1] and starts[-1].get("parameters") is None
    start = starts.pop() if begun else _entry(step)
    start |= {
        "step": step,
        "total_steps": total_steps,
        "parameters": {t.subtree: [t.size, t.trained] for t in totals},
        "changes": {n: list(x) for n, x in (changes or {}).items()},
        "data": dict(identity or {}),
    }
    _save(workdir, [*starts, start])
    return tables


def next_commands(
    workdir: str | pathlib.Path, data_dir: str, tasks: Collection[str], config: Mapping[str, Any]
) -> list[str]:
    """Returns shell commands that evaluate a finished run and use it, one per line.

    Args:
        workdir: the run directory.
        data_dir: the folder of the built datasets.
        tasks: the tasks of its evaluators, see `evaluators.spec.Statement.task`; empty if it has no
            evaluators.
        config: the config of the run. Two towers search instead of predicting, and their image
            tower is what another recipe can start from.
    """
    run = shlex.quote(f"--checkpoint={workdir}")
    task = ""
    if set(tasks) - {""} == {"vqa"}:
        task = " --task=vqa --question='Is there a finding?'"
    data = shlex.quote(f"--data_dir={data_dir}")
    lines = [f"  python -m big_rad.evaluate {run} {data} --controls"] if tasks else []
    if config.get("model_name") == "two_towers":
        tower, img = shlex.quote(f"--config.model_init_img={workdir}"), config["model"]["img"]
        recipe = "configs/radgrounder_det.py"
        if img.get("variant") == "tiny":  # The demo is the recipe with a tower of this size.
            recipe = f"configs/demo.py:tower=frozen --config.model.img.depth={img['depth']}"
        searched = next(map(_data, config["evals"].values()), "DATASET:SPLIT")
        searched = shlex.quote(f"--data={searched}")
        lines += [
            f"  python -m tools.retrieve {run} {data} {searched} --query='lesion in the liver'",
            f"  python -m big_rad.train --config={recipe} {tower} {data}",
        ]
        yours = "" if config["evals"] else ", with a dataset of yours for DATASET:SPLIT"
        return [f"next{yours}:", *lines]
    lines.append(f"  python -m big_rad.predict {run} IMAGE.dcm{task}")
    return ["next, with an image of yours for IMAGE.dcm:", *lines]


def _data(spec: Mapping[str, Any]) -> str:
    # The data of an evaluator, as `tools.retrieve --data` names them.
    variant = (spec.get("builder_args") or {}).get("config")
    return "/".join(filter(None, (spec["builder"], variant))) + f":{spec['split']}"


def read(workdir: str | pathlib.Path) -> list[dict[str, Any]]:
    """Returns the entries of `run.json`, one per start, first to last.

    Returns:
        The entries; empty if the run has no `run.json`, such as a run of an older version.

    Raises:
        ValueError: The file is broken.
    """
    path = pathlib.Path(workdir) / "run.json"
    if not path.exists():
        return []
    try:
        return list(json.loads(path.read_text(encoding="utf-8"))["starts"])
    except (ValueError, KeyError, TypeError) as e:
        raise ValueError(f"{path} is broken ({type(e).__name__}: {e}); remove it") from e


def versions(packages: Collection[str] = ()) -> dict[str, str]:
    """Returns the versions of packages, or of Python and every package that is installed.

    Args:
        packages: the names of the packages, of which those that are not installed are left out. If
            it is empty, Python and all installed packages are listed, sorted by name.
    """
    if packages:
        some = {}
        for name in packages:
            with contextlib.suppress(importlib.metadata.PackageNotFoundError):
                some[name] = importlib.metadata.version(name)
        return some
    found = {
        d.metadata["Name"]: d.version
        for d in importlib.metadata.distributions()
        if d.metadata["Name"]
    }
    return {"python": platform.python_version(), **dict(sorted(found.items(), key=_folded))}


def revision(file: str | pathlib.Path = __file__) -> dict[str, Any] | None:
    """Returns the git revision of the checkout that a file belongs to.

    Args:
        file: the file; by default a file of big_rad.

    Returns:
        `revision`, the commit, and `dirty`, whether any tracked file was changed since (None if
        that is not known). None without git, outside a checkout, or if git does not track the file.
    """
    path = pathlib.Path(file).resolve()
    known = _git(path, "ls-files", "--error-unmatch", path.name)
    head = _git(path, "rev-parse", "HEAD") if known else None
    if not head:
        return None
    changes = _git(path, "status", "--porcelain", "--untracked-files=no")
    return {"revision": head, "dirty": None if changes is None else bool(changes)}


def hardware() -> dict[str, Any]:
    """Returns the kinds and numbers of devices, processes and cores, and the memory in bytes.

    `device_memory` is the memory of a device that JAX may use; None if JAX does not report it.
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
    program, *rest = sys.argv or [""]
    return [_without_home(x) for x in (pathlib.PurePath(program).name, *rest)]


def _begin(workdir: pathlib.Path, step: int, log: Log) -> None:
    starts = read(workdir)
    for start in starts:
        if start.get("ended", ...) is None:
            start["ended"] = {"how": "lost", "why": _LOST, "step": None, "time": None}
    last = (starts[-1].get("ended") or {}) if starts else {}
    if last.get("how") in ("failed", "lost"):
        log(f"the last start {last['how']}: {last['why'].splitlines()[0]}")
    _save(workdir, [*starts, _entry(step)])


def _end(workdir: pathlib.Path, ending: Ending, why: str) -> None:
    starts = read(workdir)
    starts[-1]["ended"] = {"how": ending.how, "why": why, "step": ending.step, "time": _now()}
    _save(workdir, starts)


def _entry(step: int) -> dict[str, Any]:
    return {
        "time": _now(),
        "step": step,
        "total_steps": None,
        "arguments": arguments(),
        "git": revision(),
        "hardware": hardware(),
        "parameters": None,
        "versions": versions(),
        "ended": None,
    }


def _save(workdir: pathlib.Path, starts: Sequence[Mapping[str, Any]]) -> None:
    workdir.mkdir(parents=True, exist_ok=True)
    files.write_whole(workdir / "run.json", json.dumps({"starts": starts}, indent=1))


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _why(error: BaseException) -> str:
    # The messages of these errors are written for users; for other errors the type helps as well.
    plain = isinstance(error, TrainingError | OSError | ValueError | RuntimeError)
    text = str(error) or type(error).__name__
    text = text if plain else f"{type(error).__name__}: {error}"
    return _without_home(text[:_LONGEST])


def _without_home(text: str) -> str:
    home = os.path.expanduser("~")
    return text.replace(home + os.sep, "~" + os.sep) if len(home) > 1 else text


def _git(path: pathlib.Path, *command: str) -> str | None:
    # Returns the output of a git command in the folder of a file; None if git fails or is missing.
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
