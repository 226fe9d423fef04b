"""``python leash.py PROGRAM ARGUMENT...``: run a program that gets SIGTERM when its parent dies, however that dies.

Without it, whoever kills the supervisor with SIGKILL leaves its programs running. Linux has this; elsewhere the
program simply runs. It imports nothing of ours, because it starts before everything.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Tie this process to its parent, then become the program."""
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:  # it died before it could matter
            sys.exit(1)
    os.execvp(arguments[0], arguments)  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
