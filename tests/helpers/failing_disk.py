"""Makes large writes or flushes of this process fail, as if the disk were full or broken.

A seccomp filter (Linux) refuses the system calls. So the calls of compiled libraries fail too, on
every file system, and no privileges are needed. The filter cannot be switched off again.
"""

import ctypes
import errno
import platform
import struct

_CALLS = {
    "x86_64": (0xC000003E, dict(write=1, pwrite64=18, fsync=74, fdatasync=75)),
    "aarch64": (0xC00000B7, dict(write=64, pwrite64=68, fsync=82, fdatasync=83)),
}
_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_LARGE = 2048  # In bytes. Smaller writes succeed.
_NUMBER, _ARCHITECTURE, _THIRD_ARGUMENT = 0, 4, 32  # Offsets in the data of a system call.


def supported():
    """Returns whether this machine has such filters."""
    return platform.system() == "Linux" and platform.machine() in _CALLS


def start(kind):
    """Lets writes of 2 kB or more fail with ENOSPC ("full"), or flushes with EIO ("broken")."""
    architecture, calls = _CALLS[platform.machine()]
    names = {"full": ("write", "pwrite64"), "broken": ("fsync", "fdatasync")}[kind]
    error = {"full": errno.ENOSPC, "broken": errno.EIO}[kind]
    program = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_JUMP_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _ALLOW),
        (_LOAD, 0, 0, _NUMBER),
    ]
    # Each call jumps to the check of its size, two instructions behind the last comparison.
    for i, name in enumerate(names):
        program.append((_JUMP_EQUAL, len(names) - i, 0, calls[name]))
    program += [
        (_RETURN, 0, 0, _ALLOW),
        (_LOAD, 0, 0, _THIRD_ARGUMENT),
        (_JUMP_AT_LEAST, 1, 0, _LARGE if kind == "full" else 0),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _ERRNO | error),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))
    packed = struct.pack("HxxxxxxQ", len(program), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    no_new_privileges, set_mode_filter, all_threads = 38, 1, 1
    seccomp = {"x86_64": 317, "aarch64": 277}[platform.machine()]
    libc.prctl(no_new_privileges, 1, 0, 0, 0)
    if libc.syscall(seccomp, set_mode_filter, all_threads, ctypes.create_string_buffer(packed)):
        raise OSError(ctypes.get_errno(), "this machine allows no seccomp filter")
