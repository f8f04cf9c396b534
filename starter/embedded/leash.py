"""Run a program that does not outlive the process that started it.

    python leash.py SIGNAL PARENT UID GID PROGRAM [ARGUMENT ...]

On Linux the kernel sends SIGNAL to the program when PARENT dies, however it dies. It becomes user
UID and group GID first, for changing them later would undo that. A script of its own, and not a
function run between fork and exec: Temporal's client has threads, and Python code must not run in
the fork of a process with threads.
"""

from __future__ import annotations

import ctypes
import os
import sys

_PR_SET_PDEATHSIG = 1


def main(signal: int, parent: int, uid: int, gid: int, command: list[str]) -> None:
    """Bind this process to ``parent``, then become the program ``command``."""
    if os.geteuid() == 0 and uid != 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal)
        if os.getppid() != parent:  # it died before the kernel was told to watch it
            sys.exit(f"{command[0]}: the process that started it is gone")
    try:
        os.execv(command[0], command)
    except OSError as error:
        sys.exit(f"error: {command[0]}: {error.strerror}")


if __name__ == "__main__":
    signal, parent, uid, gid = map(int, sys.argv[1:5])
    main(signal, parent, uid, gid, sys.argv[5:])
