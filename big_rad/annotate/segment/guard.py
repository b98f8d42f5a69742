"""A small program that runs another one, and kills all of its processes if need be.

    python -I -S guard.py SECONDS COMMAND...

It kills the command with all its children when the time is over, when its standard input is closed
(which also happens when the process that started it is killed), or when it gets SIGTERM. It prints
one line of JSON, {"code": exit code or minus the signal, "ended": "exit", "time" or "stopped"},
and then the last output of the command.

The command runs in a process group of its own, so that its children are killed with it. A program
does this instead of our own process because that one may have threads, in which a function between
fork and exec is unsafe, and because it may be killed itself. It needs the standard library only.
"""

import contextlib
import ctypes
import json
import os
import selectors
import signal
import subprocess
import sys
import time

_TAIL = 1 << 15  # The bytes of the last output. They fit into a pipe.
_TICK = 0.05  # The seconds between two looks at the command.
_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Runs the command line."""
    parent = os.getppid()
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    _die_with_parent(signal.SIGTERM)
    if os.getppid() != parent:
        return
    until = time.monotonic() + float(sys.argv[1])
    child = subprocess.Popen(
        sys.argv[2:],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=lambda: _die_with_parent(signal.SIGKILL),
    )
    ended, tail = _watch(child, until, stopped)
    # The child is not waited for yet, so its number cannot be that of another process group.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    code = child.wait()
    with contextlib.suppress(OSError):
        answer = json.dumps({"code": code, "ended": ended}).encode()
        os.write(1, answer + b"\n" + tail)


def _watch(child: subprocess.Popen, until: float, stopped: list[int]) -> tuple[str, bytes]:
    """Waits for the end; returns what it was, and the last output."""
    tail = b""
    os.set_blocking(child.stdout.fileno(), False)
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        selector.register(0, selectors.EVENT_READ)
        while True:
            # Whether it has ended is asked first, so that its last output is read below.
            done = _has_ended(child)
            for key, _ in selector.select(0 if done else _TICK):
                data = _read(key.fd)
                if data is None:
                    continue
                if not data:
                    selector.unregister(key.fileobj)
                    if key.fd == 0:
                        stopped.append(0)
                elif key.fd != 0:
                    tail = (tail + data)[-_TAIL:]
                    done = False  # There may be more.
            if done:
                return "exit", tail
            if stopped:
                return "stopped", tail
            if time.monotonic() > until:
                return "time", tail


def _read(fd: int) -> bytes | None:
    try:
        return os.read(fd, _TAIL)
    except BlockingIOError:
        return None


def _has_ended(child: subprocess.Popen) -> bool:
    if not hasattr(os, "waitid"):
        return child.poll() is not None
    return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _die_with_parent(number: int) -> None:
    """Asks Linux to send this process a signal when its parent ends; elsewhere does nothing."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)


if __name__ == "__main__":
    main()
