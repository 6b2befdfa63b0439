"""How a role runs: wiring, waiting for the store, loops in one task group, signals, graceful stop.

`run_role` is one straight function on purpose: read it to see what a process consists of. A role that loses its fence, or whose loop ends
unexpectedly, ends its process; the supervisor starts it again.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from aiohttp import web
from structlog.typing import FilteringBoundLogger

from tocsin.runtime import listener
from tocsin.runtime.clock import Clock, SystemClock
from tocsin.runtime.inforce import NoRules, RulesInForce
from tocsin.runtime.log import configure_logging, get_logger
from tocsin.runtime.metrics import Metrics
from tocsin.runtime.rulesfile import RulesInvalid
from tocsin.runtime.settings import Settings, SettingsInvalid
from tocsin.store.bell import Bell, Message, RosterChanged, RulesPublished
from tocsin.store.connection import connect
from tocsin.store.durability import check_durability, heal_truncated_log
from tocsin.store.store import Fenced, LayoutMismatch, Store
from tocsin.store.wire import StoreAway, StoreFull

STORE_RETRY_S = 0.2
HEARTBEAT_S = 5.0

BIG_BUFFER_BYTES = 1024 * 1024
_M_MMAP_THRESHOLD = -3  # malloc.h

INTAKE_NICE = 5
"""When the processors are busy, pages and answers come before more alerts: senders wait, people do not."""

EXIT_FAILED, EXIT_USAGE, EXIT_RULES_INVALID = 1, 2, 4


@dataclass(frozen=True, slots=True)
class Deps:
    """What a role is built from."""

    settings: Settings
    clock: Clock
    store: Store
    rules: RulesInForce
    metrics: Metrics
    log: FilteringBoundLogger


class Role(Protocol):
    """One of the four: what `run_role` needs of it."""

    name: str

    def add_routes(self, app: web.Application) -> None:
        """Add the role's own HTTP."""

    async def start(self) -> None:
        """Take over and load. Raises StoreAway to be tried again."""

    def early_loops(self) -> Sequence[Callable[[], Coroutine[None, None, None]]]:
        """Loops that run from the first moment, even while there is no store."""

    def loops(self) -> Sequence[Callable[[], Coroutine[None, None, None]]]:
        """The role's loops, each running until cancelled."""

    def on_change(self, message: Message) -> None:
        """Something was committed somewhere."""

    def on_gap(self) -> None:
        """Messages may have been missed."""

    def not_ready(self) -> str | None:
        """Why the role cannot do its work now."""

    async def drain(self) -> None:
        """Stop taking work and finish what was begun."""


@dataclass(slots=True)
class _Running:
    """What the signal handlers and the health routes look at."""

    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    starting: str | None = "starting"
    exit_code: int = 0


def main(name: str, build: Callable[[Deps], Role], arguments: Sequence[str] | None = None) -> int:
    """Run one role from the command line (`python -m ingest --storage.url ...`); return the exit code."""
    try:
        settings = Settings.from_arguments(sys.argv[1:] if arguments is None else arguments, os.environ)
    except SettingsInvalid as error:
        print(f"{name}: {error}", file=sys.stderr)  # noqa: T201  the command line's own words
        return EXIT_USAGE
    configure_logging(level=settings.log_level, fmt=settings.log_format)
    return asyncio.run(run_role(name, build, settings))


def _collect_garbage_seldom() -> None:
    """A body of alerts makes thousands of objects that die together, and the alert book holds many that stay: looking at them often costs
    a tenth of a storm and finds nothing, since our values hold no cycles."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def _give_big_buffers_back() -> None:
    """Have bodies of megabytes returned to the system when they are freed: by default glibc learns to keep such sizes in its heap, and a
    process that has seen one body of 64 MB stays that much larger. Elsewhere than on glibc nothing happens."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, BIG_BUFFER_BYTES)


async def run_role(name: str, build: Callable[[Deps], Role], settings: Settings) -> int:
    """Run a role until SIGTERM or SIGINT, or until it cannot go on; return the exit code."""
    _collect_garbage_seldom()
    _give_big_buffers_back()
    if name == "ingest":
        os.nice(INTAKE_NICE)
    log = get_logger().bind(role=name)
    metrics = Metrics()
    running = _Running()
    _watch_signals(running)
    if settings.storage_url is None:
        log.error("no_store_given", remedy="start with `tocsin serve`, or give --storage.url")
        return EXIT_USAGE
    client = connect(settings.storage_url, max_connections=settings.connections_max, timeout_s=settings.store_timeout_s)
    store = Store(client, shards=settings.shards, origin=f"{name}-{os.getpid()}")
    clock = SystemClock(on_jump=lambda kind, seconds: _clock_jumped(log, metrics, kind, seconds))
    rules = RulesInForce(store, clock, metrics, log, file=settings.config_file)
    deps = Deps(settings, clock, store, rules, metrics, log)
    role = build(deps)
    app = web.Application(client_max_size=settings.body_bytes_max)
    listener.add_health_routes(app, metrics=metrics, not_ready=lambda: running.starting or role.not_ready(), reload=rules.reload)
    role.add_routes(app)
    host, port = settings.listen_address(name)
    runner = await listener.listen(app, host, port, silent_max_s=settings.read_timeout_s)
    log.info("listening", address=f"{host}:{port}")
    try:
        await _run(role, deps, clock, running)
    finally:
        running.starting = "stopping"
        await runner.cleanup()
        await store.close()
    log.info("stopped", exit_code=running.exit_code)
    return running.exit_code


async def _start(role: Role, deps: Deps, clock: SystemClock, running: _Running) -> None:
    """Wait for the store as long as it takes, check it, load the rules, let the role take over."""
    waiting = False
    while not running.stopping.is_set():
        try:
            await deps.store.ping()
            await deps.store.ensure_layout()
            await _require_durable(deps.store, deps.log)
            clock.raise_floor(await latest_instant(deps.store))
            await deps.rules.start()
            await role.start()
        except StoreAway as error:
            if not waiting:
                deps.log.warning("store_awaited", why=str(error))
            waiting = True
            running.starting = "the store does not answer"
            await _pause(running.stopping, STORE_RETRY_S)
        else:
            running.starting = None
            deps.log.info("ready")
            return


class _NotDurable(Exception):
    """The store would lose what it has answered."""


async def latest_instant(store: Store) -> int:
    """Return the latest instant (ms UTC) at which anybody has acted, or said that it works: from there on it is everybody's present.

    Else, after the machine's clock was set back, a process that was restarted would let the pages wait that another has made due.
    """
    return max(await store.clock_floor(), *(await store.heartbeats()).values(), 0)


async def _require_durable(store: Store, log: FilteringBoundLogger) -> None:
    findings = [finding for finding in await check_durability(store.client) if not finding.ok]
    for finding in findings:
        log.warning("store_finding", name=finding.name, severity=finding.severity, what=finding.what, remedy=finding.remedy)
    fatal = [finding for finding in findings if finding.severity == "fatal"]
    if fatal:
        raise _NotDurable("; ".join(f"{finding.what}: {finding.remedy}" for finding in fatal))
    await heal_truncated_log(store.client)


async def _run(role: Role, deps: Deps, clock: SystemClock, running: _Running) -> None:
    """Start, run the loops until a signal comes, then drain."""
    rules_published = asyncio.Event()

    def on_message(message: Message) -> None:
        if isinstance(message, RulesPublished | RosterChanged):
            rules_published.set()
        role.on_change(message)

    def on_gap() -> None:
        rules_published.set()
        role.on_gap()

    bell = Bell(deps.settings.storage_url or "", intake=role.name == "correlator", on_message=on_message, on_gap=on_gap)
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(loop()) for loop in role.early_loops()]
            await _start(role, deps, clock, running)
            if not running.stopping.is_set():
                tasks += [group.create_task(loop()) for loop in role.loops()]
                tasks += [group.create_task(bell.run()), group.create_task(_follow_rules(deps, rules_published))]
                tasks += [group.create_task(_beat(role.name, deps, clock)), group.create_task(_reload_on_hangup(deps))]
                await running.stopping.wait()
                running.starting = "stopping"
                await _drain(role, deps)
            for task in tasks:
                task.cancel()
    except* Fenced:
        deps.log.error("fenced", consequence="another process has taken over this role; this one ends")
        running.exit_code = EXIT_FAILED
    except* (RulesInvalid, NoRules) as errors:
        deps.log.error("rules_unusable", problem="; ".join(str(error) for error in errors.exceptions))
        running.exit_code = EXIT_RULES_INVALID
    except* (LayoutMismatch, _NotDurable) as errors:
        deps.log.error("store_unusable", problem="; ".join(str(error) for error in errors.exceptions))
        running.exit_code = EXIT_FAILED


async def _drain(role: Role, deps: Deps) -> None:
    deps.log.info("draining")
    try:
        async with asyncio.timeout(deps.settings.drain_s):
            await role.drain()
    except TimeoutError:
        deps.log.warning("drain_cut_short", after_s=deps.settings.drain_s)


async def _follow_rules(deps: Deps, published: asyncio.Event) -> None:
    while True:
        await published.wait()
        published.clear()
        try:
            await deps.rules.follow()
        except StoreAway:
            await asyncio.sleep(STORE_RETRY_S)
            published.set()


async def _beat(name: str, deps: Deps, clock: SystemClock) -> None:
    """Say every few seconds that this role works, hear what time it is for the others, and keep `store_up` true to life."""
    while True:
        try:
            await deps.store.beat(name, deps.clock.now_ms())
            clock.raise_floor(await latest_instant(deps.store))
            deps.metrics.store_up.set(1)
        except StoreAway:
            deps.metrics.store_up.set(0)
        except StoreFull:
            deps.metrics.store_up.set(1)  # it answers; acknowledgements and the ladder go on
        await asyncio.sleep(HEARTBEAT_S)


async def _reload_on_hangup(deps: Deps) -> None:
    hangup = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hangup.set)
    while True:
        await hangup.wait()
        hangup.clear()
        try:
            await deps.rules.reload()
        except (RulesInvalid, OSError, UnicodeDecodeError, StoreAway) as error:
            deps.log.error("reload_failed", problem=str(error))


def _watch_signals(running: _Running) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, running.stopping.set)
    loop.add_signal_handler(signal.SIGHUP, lambda: None)


async def _pause(stopping: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stopping.wait()
    except TimeoutError:
        return


def _clock_jumped(log: FilteringBoundLogger, metrics: Metrics, kind: str, seconds: float) -> None:
    metrics.clock_jumps.labels(kind).inc()
    log.warning("clock_jumped", kind=kind, seconds=round(seconds, 3))
