"""Becomes the store server after asking the kernel for SIGTERM when the launcher dies.

Owns the few lines between fork and exec that may not run in the launcher: a `preexec_fn` is unsafe beside threads, a
fresh interpreter is not. It keeps its pid through exec. Not imported by anything: `server_process` runs this file by
path as `python -I -S exec_shim.py LAUNCHER_PID BINARY ARGUMENT...`, so it uses the standard library only.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(launcher_pid: int, command: list[str]) -> None:
    """Tie this process to the launcher, then exec; a launcher that died in between ends it here."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) was refused")
        if os.getppid() != launcher_pid:
            raise SystemExit("the launcher died before the server began")
    os.execv(command[0], command)  # noqa: S606 - no shell is the point


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
