"""Keeps the processes of `tocsin serve` alive: the store, and each role in a process of its own.

Owns starting, restarting with a growing pause, passing on SIGHUP, and the order of the end: roles first, together and within 15 s; the
store last and never by force. Knows no role by name and no flag: it is given `Child`s (`tocsin/runtime/commands/serve.py` makes them). A
child that dies is started again while the others go on. Nothing depends on a polite end: kill -9 of any process, this one included, loses
nothing; the kernel then ends the children (Linux).

Read `Supervisor.run`, then `_keep`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from structlog.typing import FilteringBoundLogger

from tocsin.store.server_process import EXEC_SHIM

STOP_LIMIT_S: Final = 15.0
"""From SIGTERM until the last role is gone; then it is ended by force, which loses nothing."""


@dataclass(frozen=True, slots=True)
class Child:
    """One process to keep alive: its name in the log, its command, its whole environment."""

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before what died is started again: doubling, and forgotten after a life of `calm_s`."""

    first_s: float = 0.1
    max_s: float = 10.0
    calm_s: float = 60.0

    def after(self, last_s: float | None, lived_s: float) -> float:
        """The pause after a life of `lived_s`, when the pause before it was `last_s` (None: the first life)."""
        return self.first_s if last_s is None or lived_s >= self.calm_s else min(last_s * 2, self.max_s)


class CannotStart(Exception):
    """Something that everything else needs could not be started; the text says what to do."""


class KeptStore(Protocol):
    """The embedded store as the supervisor sees it."""

    async def start(self) -> None:
        """Return when it serves, also after its death. Raises CannotStart."""

    async def wait(self) -> int | None:
        """Return when it has died: its exit code, or None when that cannot be known."""

    async def stop(self) -> None:
        """End it gently, however long that takes; also after a cancelled `start`."""


async def _nothing() -> None:
    pass


class Supervisor:
    """`children` is asked once the store serves (it may raise CannotStart); `when_started` follows their launch. Both may take long."""

    def __init__(
        self,
        children: Callable[[], Awaitable[Sequence[Child]]],
        *,
        store: KeptStore | None,
        monotonic: Callable[[], float],
        log: FilteringBoundLogger,
        when_started: Callable[[], Awaitable[None]] = _nothing,
        backoff: Backoff = Backoff(),
        stop_limit_s: float = STOP_LIMIT_S,
    ) -> None:
        self._children = children
        self._store = store
        self._monotonic = monotonic
        self._log = log
        self._when_started = when_started
        self._backoff = backoff
        self._stop_limit_s = stop_limit_s
        self._stopping = asyncio.Event()
        self._names: tuple[str, ...] = ()
        self._running: dict[str, Process] = {}
        self._keepers: list[asyncio.Task[None]] = []
        self._store_keeper: asyncio.Task[None] | None = None
        self._exit_code = 0

    async def run(self) -> int:
        """Run until SIGTERM or SIGINT; 0, or 1 when nothing could be started or a child had to be ended by force."""
        self._watch_signals()
        try:
            async with asyncio.TaskGroup() as group:
                starting = group.create_task(self._start(group))
                await self._stopping.wait()
                starting.cancel()
                await self._end_children()
                if self._store_keeper is not None:
                    self._store_keeper.cancel()
        finally:
            if self._store is not None:
                await self._store.stop()
        self._log.info("stopped", exit_code=self._exit_code)
        return self._exit_code

    def stop(self) -> None:
        """Begin the end; once begun, asking again changes nothing, so a second Ctrl-C cannot hurt the store."""
        if self._stopping.is_set():
            self._log.info("stop_asked_again", waiting_for=sorted(self._running) or ["store"])
            return
        self._log.info("stopping", roles=list(self._running))
        self._stopping.set()

    def reload(self) -> None:
        """Have every child reload the rules (SIGHUP)."""
        self._log.info("reload_passed_on", roles=list(self._running))
        self._signal_all(signal.SIGHUP)

    def _watch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        on_terminal = sys.stderr.isatty()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        loop.add_signal_handler(signal.SIGHUP, lambda: self._hung_up(on_terminal))

    def _hung_up(self, was_on_terminal: bool) -> None:
        """SIGHUP means reload, but a closed terminal sends it too, and then nobody would see the pages of `log:` contacts."""
        if was_on_terminal and not sys.stderr.isatty():
            self.stop()
        else:
            self.reload()

    async def _start(self, group: asyncio.TaskGroup) -> None:
        try:
            if self._store is not None:
                await self._store.start()
                self._store_keeper = group.create_task(self._keep_store(self._store))
            children = await self._children()
        except CannotStart as error:
            self._log.error("not_started", problem=str(error))
            self._exit_code = 1
            self._stopping.set()
            return
        self._names = tuple(child.name for child in children)
        assert len(set(self._names)) == len(self._names), "two children of one name"
        self._keepers = [group.create_task(self._keep(child)) for child in children]
        await self._when_started()

    async def _keep(self, child: Child) -> None:
        """Have `child` running until the end begins."""
        pause_s: float | None = None
        while not self._stopping.is_set():
            born = self._monotonic()
            code = await self._live(child)
            if self._stopping.is_set():
                return
            lived_s = self._monotonic() - born
            pause_s = self._backoff.after(pause_s, lived_s)
            self._log.error("role_died", role=child.name, exit_code=code, lived_s=round(lived_s, 3), again_in_s=pause_s)
            await self._pause(pause_s)

    async def _live(self, child: Child) -> int | None:
        """Run `child` once; its exit code (negative: a signal), or None when it could not even be started."""
        try:
            process = await launch(child)
        except OSError as error:  # out of processes or memory: like a death, and tried again like one
            self._log.error("role_not_launched", role=child.name, problem=str(error))
            return None
        self._log.info("role_launched", role=child.name, pid=process.pid)
        self._running[child.name] = process
        if self._stopping.is_set():  # the end began while it was launched
            process.terminate()
        try:
            return await process.wait()
        finally:
            del self._running[child.name]

    async def _keep_store(self, store: KeptStore) -> None:
        """Start the store again whenever it dies; children find it at its old address by themselves."""
        pause_s: float | None = None
        while True:
            born = self._monotonic()
            code = await store.wait()
            problem = f"exit code {code}"
            serving = False
            while not serving:
                lived_s = self._monotonic() - born
                pause_s = self._backoff.after(pause_s, lived_s)
                self._log.error("store_died", problem=problem, lived_s=round(lived_s, 3), again_in_s=pause_s)
                await asyncio.sleep(pause_s)
                born = self._monotonic()
                try:
                    await store.start()
                    serving = True
                except CannotStart as error:
                    problem = str(error)

    async def _end_children(self) -> None:
        """SIGTERM to all in their order, then wait for them together."""
        self._signal_all(signal.SIGTERM)
        if not self._keepers:
            return
        _, alive = await asyncio.wait(self._keepers, timeout=self._stop_limit_s)
        if alive:
            self._log.error("roles_ended_by_force", roles=list(self._running), after_s=self._stop_limit_s)
            self._exit_code = 1
            self._signal_all(signal.SIGKILL)
            await asyncio.wait(alive)

    def _signal_all(self, number: signal.Signals) -> None:
        for process in [self._running[name] for name in self._names if name in self._running]:
            try:
                process.send_signal(number)
            except ProcessLookupError:  # it has just died
                continue

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return


async def launch(child: Child) -> Process:
    """Start `child` in a session of its own: Ctrl-C does not reach it, no terminal can stop it, and on Linux it gets SIGTERM when we die.

    Call it from the main thread: the kernel ties the child to the thread that started it.
    """
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        "-S",
        str(EXEC_SHIM),
        str(os.getpid()),
        *child.argv,
        env=dict(child.environment),
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
