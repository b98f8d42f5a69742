"""Runs a program with a time limit, so that none of its processes outlives it or us."""

import dataclasses
import json
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from big_rad.annotate.segment import guard

_PATIENCE = 30.0  # The seconds that the guard has beyond the time limit of its command.


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a program ended.

    Attributes:
        code: its exit code, or minus the number of the signal that ended it.
        timed_out: whether it was killed because its time was over.
        output: the last bytes that it printed. They may hold paths and names, so no message may
            quote them.
    """

    code: int
    timed_out: bool
    output: bytes = dataclasses.field(repr=False)


def run(command: Sequence[str], *, env: Mapping[str, str], timeout_s: float, folder: Path) -> Ended:
    """Runs a program and waits for its end.

    When the time is over, when this call is interrupted, or when this process is killed, the
    program is killed with all its children.

    Args:
        command: the program and its arguments.
        env: its environment variables, all of them.
        timeout_s: the most seconds.
        folder: the folder in which it starts.

    Raises:
        OSError: it cannot be started.
    """
    guarded = [sys.executable, "-I", "-S", guard.__file__, str(timeout_s), *command]
    with subprocess.Popen(
        guarded,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=dict(env),
        cwd=folder,
        # A signal from the keyboard must reach the guard through this process only.
        start_new_session=True,
    ) as process:
        # The guard keeps the time; this is for the case that it is stopped itself.
        late = threading.Timer(timeout_s + _PATIENCE, process.kill)
        late.start()
        try:
            answer, _, rest = process.stdout.read().partition(b"\n")
        finally:
            late.cancel()
            process.stdin.close()
    try:
        said = json.loads(answer)
    except ValueError:
        raise OSError("the program could not be started") from None
    return Ended(int(said["code"]), said["ended"] == "time", rest)
