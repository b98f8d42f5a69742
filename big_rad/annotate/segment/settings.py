"""How TotalSegmentator is run."""

import dataclasses
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from big_rad.annotate.faults import Failed

DEVICES = re.compile(r"gpu(:\d+)?|cpu|mps")
# Variables that a program needs to find its libraries and its device. Nothing else is passed on: a
# PYTHONPATH, for example, would give TotalSegmentator the packages of this environment.
_PASSED = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TZ", "SYSTEMROOT")
_PASSED_PREFIXES = ("CUDA_", "NVIDIA_", "ROCR_", "HIP_", "OMP_", "MKL_")
_DEFAULT_WEIGHTS = Path(".totalsegmentator", "nnunet", "results")


class SettingsError(Failed):
    """TotalSegmentator cannot run with these settings; the message says what to change."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """How TotalSegmentator is run.

    Attributes:
        command: the command with its first arguments. TotalSegmentator should be installed in an
            environment of its own; then give the path of the command there.
        python: the Python of that environment; "" finds it from the command.
        weights: the folder of the weights; None is the default of TotalSegmentator,
            ~/.totalsegmentator/nnunet/results. Nothing is downloaded.
        home: a folder in which each run gets a home of its own, which is deleted afterwards; None
            is the folder given to the run.
        device: "gpu", "gpu:N", "cpu" or "mps".
        fast: whether to use the model with voxels of 3 mm.
        timeout_s: the most seconds of one run.
        env: further environment variables.

    Raises:
        SettingsError: a value is impossible.
    """

    command: Sequence[str] = ("TotalSegmentator",)
    python: str = ""
    weights: Path | None = None
    home: Path | None = None
    device: str = "gpu"
    fast: bool = False
    timeout_s: float = 600.0
    env: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        if isinstance(self.command, str) or not self.command:
            raise SettingsError('command is a list of words, such as ["TotalSegmentator"]')
        if not DEVICES.fullmatch(self.device):
            raise SettingsError("device is one of gpu, gpu:N (such as gpu:1), cpu and mps")
        if not 0 < self.timeout_s < float("inf"):
            raise SettingsError("timeout_s is a number of seconds above 0")

    def environment(self) -> dict[str, str]:
        """Returns the environment variables that are passed on, with those of `env`."""
        found = {
            name: value
            for name, value in os.environ.items()
            if name in _PASSED or name.startswith(_PASSED_PREFIXES)
        }
        return {**found, **self.env}

    def weights_folder(self) -> Path:
        """Returns the folder in which the weights must lie."""
        return Path.home() / _DEFAULT_WEIGHTS if self.weights is None else Path(self.weights)

    def program(self) -> Path:
        """Returns the path of the command.

        Raises:
            SettingsError: there is no such command.
        """
        found = shutil.which(self.command[0], path=self.environment().get("PATH"))
        if found is None:
            raise SettingsError(
                "the command of TotalSegmentator is not found; install it in an environment of its "
                "own (pip install TotalSegmentator) and give the path of the command there, or use "
                "segment=precomputed"
            )
        return Path(found)

    def interpreter(self) -> Path:
        """Returns the path of the Python that runs the command.

        Raises:
            SettingsError: it cannot be found.
        """
        if self.python:
            likely = [self.python]
        else:
            program = self.program()
            is_python = program.name.startswith("python")
            likely = [str(program)] if is_python else _of_script(program)
        path = self.environment().get("PATH")
        found = next((p for p in (shutil.which(word, path=path) for word in likely) if p), None)
        if not found:
            raise SettingsError(
                "the Python in which TotalSegmentator is installed cannot be found from its "
                "command; give its path as `python`"
            )
        return Path(found)


def _of_script(program: Path) -> list[str]:
    """Returns what may be the interpreter in the first lines of a script that pip installed."""
    try:
        with program.open("rb") as file:
            first, second = (file.readline(4096).decode() for _ in range(2))
    except (OSError, UnicodeDecodeError):
        return []
    if not first.startswith("#!"):
        return []
    words = first[2:].split()
    # pip writes a line of the shell where the path is too long for a first line.
    if words == ["/bin/sh"] and (match := re.match(r"""'''exec' "?([^"]+?)"? "\$0" """, second)):
        return [match[1]]
    if words and Path(words[0]).name == "env":
        words = words[1:]
    # The path may hold spaces, and options may follow it.
    return [w for w in (first[2:].strip(), *words[:1]) if "python" in Path(w).name]
