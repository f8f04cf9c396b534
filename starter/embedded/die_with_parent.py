"""Run a program that does not outlive the process that started it.

    python die_with_parent.py SIGNAL PARENT UID GID PROGRAM [ARGUMENT ...]

On Linux the kernel sends SIGNAL to the program when the process PARENT dies, for whatever reason. The
program runs as user UID and group GID, which are set first, since changing them resets that request.

This is a separate script and not a ``preexec_fn``: Temporal's client has threads, and Python code must
not run between fork and exec in a process with threads.
"""

from __future__ import annotations

import ctypes
import os
import sys

_PR_SET_PDEATHSIG = 1


def main(signal: int, parent: int, uid: int, gid: int, command: list[str]) -> None:
    """Ask the kernel to send ``signal`` when ``parent`` dies, then replace this process by ``command``."""
    if os.geteuid() == 0 and uid != 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal)
        if os.getppid() != parent:  # it died before the request took effect
            sys.exit(f"{command[0]}: the process that started it is gone")
    try:
        os.execv(command[0], command)
    except OSError as error:
        sys.exit(f"error: {command[0]}: {error.strerror}")


if __name__ == "__main__":
    signal, parent, uid, gid = map(int, sys.argv[1:5])
    main(signal, parent, uid, gid, sys.argv[5:])
