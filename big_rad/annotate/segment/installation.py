"""What is known about an installed TotalSegmentator: its version, its tables and its weights."""

import json
import re
import subprocess
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from big_rad.annotate.segment import harmonised
from big_rad.annotate.segment.settings import Settings, SettingsError

OLDEST = (2, 5)  # Before it, the task total_mr had 56 classes.
# This runs in TotalSegmentator's environment. The table is plain data, and torch is not imported.
_SCRIPT = """
import importlib.metadata, json
from totalsegmentator.map_to_binary import class_map
print(json.dumps({
    "version": importlib.metadata.version("TotalSegmentator"),
    "tasks": {task: class_map.get(task, {}) for task in %r},
}))
"""
_SECONDS = 120.0
# The numbers of the models of each task, with and without `fast`.
MODELS = {
    ("total", False): (291, 292, 293, 294, 295),
    ("total", True): (297,),
    ("total_mr", False): (850, 851),
    ("total_mr", True): (852,),
}
_WEIGHTS = "*/fold_0/checkpoint_final.pth"
_known: dict[tuple[Any, ...], dict[str, Any]] = {}
_lock = threading.Lock()


def installed(settings: Settings) -> dict[str, Any]:
    """Reads version and tables of the tasks from the installed TotalSegmentator.

    It runs the Python of TotalSegmentator's environment once for each process and settings, and
    does not import torch.

    Args:
        settings: how TotalSegmentator is run.

    Returns:
        {"version": "2.18.0", "tasks": {"total": {1: "spleen", ...}, "total_mr": {...}}}.

    Raises:
        SettingsError: TotalSegmentator is not installed there, or it is too old.
    """
    python = str(settings.interpreter())
    key = (python, tuple(settings.command), tuple(sorted(settings.env.items())))
    with _lock:
        if key not in _known:
            _known[key] = _ask(python, settings)
        return _known[key]


def check(settings: Settings, modalities: Iterable[str]) -> list[str]:
    """Checks everything that a run needs, before the first one.

    Args:
        settings: how TotalSegmentator is run.
        modalities: "CT", "MR" or both.

    Returns:
        Sentences that each say how the tables of the installed TotalSegmentator differ from those
        of the 121 classes; see `harmonised.compare`.

    Raises:
        SettingsError: the command, the weights or a supported version is missing.
    """
    settings.program()
    for modality in sorted(set(modalities) & set(harmonised.TASK_OF)):
        check_weights(settings, harmonised.TASK_OF[modality])
    return harmonised.compare(installed(settings)["tasks"])


def check_weights(settings: Settings, task: str) -> None:
    """Checks that the weights of a task lie in their folder and are whole.

    TotalSegmentator would download missing weights, and several runs would do so at once; a folder
    of weights that was unpacked by half would count as whole.

    Args:
        settings: how TotalSegmentator is run.
        task: "total" or "total_mr".

    Raises:
        SettingsError: a model is missing.
    """
    folder = settings.weights_folder()
    for number in MODELS[task, settings.fast]:
        if not any(folder.glob(f"Dataset{number}_*/{_WEIGHTS}")):
            option = f"{task}_fast".replace("_mr_fast", "_fast_mr") if settings.fast else task
            raise SettingsError(
                f"the weights of task {task} are missing or not whole: no Dataset{number}_* with "
                "fold_0/checkpoint_final.pth in the folder of weights; run "
                f"totalseg_download_weights -t {option} on a machine with internet, and give the "
                "folder as `weights`"
            )


def _ask(python: str, settings: Settings) -> dict[str, Any]:
    script = _SCRIPT % (tuple(harmonised.TASKS),)
    try:
        done = subprocess.run(
            [python, "-c", script],
            env=settings.environment(),
            cwd=Path(
                python
            ).parent,  # A package in the current folder would hide the installed one.
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
        )
        said = json.loads(done.stdout.decode().splitlines()[-1])
        version = str(said["version"])
        tasks = {
            task: {int(label): str(name) for label, name in table.items()}
            for task, table in said["tasks"].items()
        }
    except (OSError, subprocess.TimeoutExpired, ValueError, LookupError, AttributeError) as e:
        raise SettingsError(
            "the installed TotalSegmentator cannot be asked for its version and classes "
            f"({type(e).__name__}); check that `python` is the Python of its environment"
        ) from None
    if _number(version) < OLDEST:
        raise SettingsError(
            f"TotalSegmentator {version} is too old, because its classes of MR are others; install "
            f"{'.'.join(map(str, OLDEST))} or later"
        )
    return {"version": version, "tasks": tasks}


def _number(version: str) -> tuple[int, ...]:
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, found[0].split("."))) if found else (0,)
