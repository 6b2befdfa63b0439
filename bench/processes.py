"""The processes of a product, seen from outside: started, found, measured, ended by their number.

Owns what is read from /proc (Linux): processor time, memory, and who belongs to whom.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PROC = Path("/proc")
END_S = 40.0


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [server.getsockname()[1] for server in held]
    finally:
        for server in held:
            server.close()


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory of processes in bytes. `rss` counts a page they share once for each of them, `pss` once."""

    rss: int
    pss: int


@dataclass(slots=True)
class Family:
    """A process that we started and everything below it."""

    process: subprocess.Popen[bytes]

    def pids(self) -> list[int]:
        """The numbers of all that live."""
        parents: dict[int, list[int]] = {}
        for stat in PROC.glob("[0-9]*/stat"):
            try:
                fields = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            except OSError:  # it has just ended
                continue
            parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
        found = [self.process.pid] if self.process.poll() is None else []
        for pid in found:
            found += parents.get(pid, [])
        return found

    def processor_s(self) -> dict[str, float]:
        """Processor seconds used so far, by the name of the process."""
        used: dict[str, float] = {}
        for pid in self.pids():
            try:
                fields = (PROC / f"{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
                name = process_name(pid)
            except OSError:
                continue
            used[name] = used.get(name, 0.0) + (int(fields[11]) + int(fields[12])) / TICKS_PER_S
        return used

    def memory(self) -> dict[str, Memory]:
        """Memory by the name of the process."""
        found: dict[str, Memory] = {}
        for pid in self.pids():
            try:
                rollup = (PROC / f"{pid}/smaps_rollup").read_text(encoding="ascii", errors="replace")
                name = process_name(pid)
            except OSError:
                continue
            sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in rollup.splitlines()[1:]}
            found[name] = Memory(sizes["Rss"], sizes["Pss"])
        return found

    async def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Ask the first of them to end and wait for all; what lives on after 40 s is ended by force."""
        pids = self.pids()
        if self.process.poll() is None:
            self.process.send_signal(number)
        await _until_gone(pids, END_S)
        for pid in _alive(pids):
            _kill(pid)
        self.process.wait(timeout=END_S)

    async def kill(self) -> None:
        """SIGKILL to all of them at once."""
        pids = self.pids()
        for pid in pids:
            _kill(pid)
        self.process.wait(timeout=END_S)
        await _until_gone(pids, END_S)


async def _until_gone(pids: Sequence[int], limit_s: float) -> None:
    """Return when all have ended (the first of them as a zombie, until it is waited for), or at the limit."""
    give_up_s = monotonic() + limit_s
    while monotonic() < give_up_s:
        if not _alive(pids):
            return
        await asyncio.sleep(0.01)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _alive(pids: Sequence[int]) -> list[int]:
    return [pid for pid in pids if _state(pid) not in ("", "Z", "X")]


def _state(pid: int) -> str:
    try:
        return (PROC / f"{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0]
    except OSError:
        return ""


def process_name(pid: int) -> str:
    """What a process is called in the table: the role, `store`, `supervisor`, or its program."""
    words = (PROC / f"{pid}/cmdline").read_bytes().decode(errors="replace").replace("\0", " ").split()
    for role in ("ingest", "correlator", "notifier", "console"):
        if role in words:
            return role
    program = Path(words[0]).name if words else "other"
    if program.startswith(("valkey", "redis")):
        return "store"
    return "supervisor" if "serve" in words else program


def start(argv: Sequence[str], *, environment: Mapping[str, str], folder: Path, log: Path) -> Family:
    """Start a program in a folder of its own, its output in a file."""
    with log.open("ab") as out:
        process = subprocess.Popen(
            list(argv), cwd=folder, env=dict(environment), stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT
        )
    return Family(process)
