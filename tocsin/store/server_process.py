"""One server process as the operating system sees it: started, found again, asked to end, awaited.

Owns process identity (a pid counts only together with its start time, because pids are reused) and waiting without
polling where the kernel offers it. Knows nothing of Redis; `server` decides what to run and when. It never sends
SIGKILL: with fsync always nothing would be lost, but a rewrite would be cut off and the next start be slower.

Read `ServerProcess` from `launch` and `find` down.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

EXEC_SHIM: Final = Path(__file__).with_name("exec_shim.py")
POLL_S: Final = 0.1
PS_TIMEOUT_S: Final = 5.0


class ServerProcess:
    """A running server, our child or an orphan of an earlier launcher."""

    def __init__(self, pid: int, started: str, child: subprocess.Popen[bytes] | None) -> None:
        self.pid = pid
        self.started = started
        self._child = child

    @classmethod
    def launch(cls, binary: Path, *, config: bytes, lock_fd: int, log_fd: int, dies_with_launcher: bool) -> ServerProcess:
        """Start the server in its own session with `config` on its standard input and `lock_fd` inherited.

        The kernel ties the child to the *thread* that calls this: call it from the main thread, or from one that lives
        as long as the store should.
        """
        command = [str(binary), "-"]
        if dies_with_launcher:
            command = [sys.executable, "-I", "-S", str(EXEC_SHIM), str(os.getpid()), *command]
        child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=log_fd,
            stderr=log_fd,
            start_new_session=True,
            pass_fds=(lock_fd,),
        )
        assert child.stdin is not None
        try:
            child.stdin.write(config)  # about one kilobyte: fits the pipe, cannot block
            child.stdin.close()
        except BrokenPipeError:
            pass  # the child is dead already; the caller learns it from `gone` with the exit code
        return cls(child.pid, start_token(child.pid) or "", child)

    @classmethod
    def find(cls, pid: int, started: str) -> ServerProcess | None:
        """The process recorded under this pid and start time, if it still lives."""
        return cls(pid, started, None) if start_token(pid) == started else None

    @property
    def adopted(self) -> bool:
        """Whether an earlier launcher started it (its exit code cannot be known then)."""
        return self._child is None

    @property
    def tied_to_launcher(self) -> bool:
        """Whether this system can end it with the launcher (Linux)."""
        return sys.platform == "linux"

    def alive(self) -> bool:
        """Whether it still runs; reaps it when it is our child and has ended."""
        if self._child is not None:
            return self._child.poll() is None
        return start_token(self.pid) == self.started

    def terminate(self) -> None:
        """Ask it to flush and end (SIGTERM); nothing happens when it has ended."""
        if self.alive():
            os.kill(self.pid, signal.SIGTERM)

    async def gone(self) -> int | None:
        """Wait, without limit, until it has ended; its exit code, or None for an adopted one."""
        pidfd = _open_pidfd(self.pid)
        try:
            if pidfd is not None and self.alive():
                await _readable(pidfd)
            while self.alive():  # noqa: ASYNC110 - no pidfd on this system: nothing announces the death
                await asyncio.sleep(POLL_S)
        finally:
            if pidfd is not None:
                os.close(pidfd)
        return None if self._child is None else self._child.returncode


def start_token(pid: int) -> str | None:
    """What tells this process from a later one with the same pid; None when it is gone or a zombie."""
    if sys.platform != "linux":
        return _start_token_from_ps(pid)
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()  # the name in parentheses may hold anything
    state, started_ticks = fields[0], fields[19]
    if state in ("Z", "X"):
        return None
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{boot_id}:{started_ticks}"


def _start_token_from_ps(pid: int) -> str | None:
    ps = ["ps", "-o", "stat=,lstart=", "-p", str(pid)]
    answer = subprocess.run(ps, capture_output=True, text=True, timeout=PS_TIMEOUT_S, check=False)
    state, _, started = answer.stdout.strip().partition(" ")
    return None if not state or state.startswith("Z") else started.strip()


def _open_pidfd(pid: int) -> int | None:
    if sys.platform != "linux":
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:  # gone already, or a sandbox that forbids the call: `gone` polls then
        return None


async def _readable(fd: int) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(fd, wake)
    try:
        await ready
    finally:
        loop.remove_reader(fd)
