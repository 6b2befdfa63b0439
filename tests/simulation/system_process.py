"""A simulated process: a role as `tocsin/runtime/service.py` runs it, on a seam instead of a network, and every way in which it may end.

Killed means: none of its calls has an effect from this instant on, whatever its tasks still do while they unwind; the next one starts from
the store. Frozen means: none of its callbacks runs until it thaws, then it goes on as if nothing had been, perhaps beside its successor.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextvars import Context, copy_context
from dataclasses import replace
from typing import ClassVar, Protocol

from structlog.typing import FilteringBoundLogger

from console.service import Console
from ingest.entries import EntryBuilder
from ingest.intake import Intake
from tests.simulation.system_seam import Network, seam_client
from tests.simulation.system_timeline import NOBODY, OWNER, SimulatedClock
from tocsin.policy.model import Alert
from tocsin.policy.rules import Rules
from tocsin.runtime.clock import Jump
from tocsin.runtime.inforce import NoRules, RulesInForce
from tocsin.runtime.metrics import Metrics
from tocsin.runtime.rulesfile import load_rules
from tocsin.runtime.service import HEARTBEAT_S, STORE_RETRY_S, Deps, latest_instant
from tocsin.runtime.settings import Settings
from tocsin.store.bell import IntakeRung, Message, RosterChanged, RulesPublished
from tocsin.store.store import Fenced, Store
from tocsin.store.wire import StoreAway

TEXTS_MAX = 32

Loops = Sequence[Callable[[], Coroutine[None, None, None]]]


class KnownRules(RulesInForce):
    """Reads each text once for all processes: reading YAML costs as much as a quarter of a day."""

    _texts: ClassVar[dict[str, Rules]] = {}

    async def _load_published(self) -> Rules | None:
        published = await self._store.published_rules()
        if published is None:
            return None
        rules = self._texts.get(published.text)
        if rules is None:
            rules = self._texts[published.text] = load_rules(published.text, file_name="town", environment={}, read_file=str)
            if len(self._texts) > TEXTS_MAX:
                del self._texts[next(iter(self._texts))]
        return replace(rules, version=published.version)


class Role(Protocol):
    """What a process needs of a role; the roles of the product have more."""

    name: str

    async def start(self) -> None: ...
    def early_loops(self) -> Loops: ...
    def loops(self) -> Loops: ...
    def on_change(self, message: Message) -> None: ...
    def on_gap(self) -> None: ...


class Door:
    """Ingest without its HTTP: what a request does once its body is read."""

    name = "ingest"

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._intake = Intake(deps.store, deps.clock, deps.settings, deps.metrics, deps.log)

    async def push(self, alerts: Sequence[Alert]) -> None:
        """Return when the alerts are on disk, which is when the sender is told 2xx. Raises StoreAway."""
        deps = self._deps
        entry_bytes_max = deps.settings.entry_bytes_max
        builder = EntryBuilder(deps.rules.rules, shards=deps.store.shards, received_at=deps.clock.now_ms(), entry_bytes_max=entry_bytes_max)
        builder.add(alerts)
        await self._intake.append(builder.entries, hold_up=False)

    async def start(self) -> None:
        return

    def early_loops(self) -> Loops:
        return ()

    def loops(self) -> Loops:
        return (self._intake.write_waiting, self._intake.watch_backlog)

    def on_change(self, message: Message) -> None:
        return

    def on_gap(self) -> None:
        return


class Counter:
    """The console without its HTTP and its read model: the desk at which people answer."""

    name = "console"

    def __init__(self, deps: Deps) -> None:
        self.deps = deps
        self.desk = Console(deps).desk

    async def start(self) -> None:
        return

    def early_loops(self) -> Loops:
        return ()

    def loops(self) -> Loops:
        return ()

    def on_change(self, message: Message) -> None:
        return

    def on_gap(self) -> None:
        return


class Process:
    """One life of a role. `ready` once it has started; `gone` when its supervisor may start the next one."""

    def __init__(self, name: str, life: int, network: Network, settings: Settings, log: FilteringBoundLogger) -> None:
        self.name = name
        self.life = life
        self.dead = False
        self.frozen = False
        self.held: list[asyncio.Handle] = []
        self.ready = False
        self.gone = asyncio.Event()
        self.fault = ""
        self.jumps = 0
        self.role: Role | None = None
        self.clock: SimulatedClock | None = None
        self.context: Context = NOBODY.run(copy_context)
        self.context.run(OWNER.set, self)
        self._network = network
        self._settings = settings
        self._log = log.bind(role=name)
        self._task: asyncio.Task[None] | None = None
        self._rules_published = asyncio.Event()

    @property
    def label(self) -> str:
        return f"{self.name}-{self.life}"

    def begin(self, group: asyncio.TaskGroup, build: Callable[[Deps, Process], Role], wall: Callable[[], float]) -> None:
        """Start it."""
        self._task = group.create_task(self._live(build, wall), name=self.label, context=self.context)

    def die(self) -> None:
        """Be killed, at this very instant."""
        if self.dead:
            return
        self.dead = True
        if self.frozen:
            self._network.timeline.thaw(self)
        if self._task is not None:
            self._task.cancel()
        self.gone.set()

    def hears(self, message: Message) -> None:
        """The bell rings."""
        if self.dead or self.role is None or not self.ready:
            return
        if isinstance(message, IntakeRung) and self.name != "correlator":
            return
        if isinstance(message, RulesPublished | RosterChanged):
            self._rules_published.set()
        self.role.on_change(message)

    def misses(self) -> None:
        """The bell may have rung unheard: its connection is a new one."""
        if not self.dead and self.role is not None and self.ready:
            self._rules_published.set()
            self.role.on_gap()

    async def _live(self, build: Callable[[Deps, Process], Role], wall: Callable[[], float]) -> None:
        store = Store(seam_client(self._network, self), shards=self._settings.shards, origin=self.label)
        clock = self.clock = SimulatedClock(on_jump=self._jumped, read_wall=wall, read_monotonic=self._network.timeline.time)
        metrics = Metrics()
        rules = KnownRules(store, clock, metrics, self._log, file=None, environment={})
        deps = Deps(self._settings, clock, store, rules, metrics, self._log)
        role = build(deps, self)
        try:
            async with asyncio.TaskGroup() as group:
                for loop in role.early_loops():
                    group.create_task(loop())
                await self._start(role, deps, clock)
                for loop in role.loops():
                    group.create_task(loop())
                group.create_task(self._follow_rules(deps))
                group.create_task(self._beat(deps, clock))
                role.on_gap()
        except* Fenced:
            self.fault = "fenced"
        except* Exception as errors:  # top of a tick: a process that ends by itself is what the day reports
            self.fault = "; ".join(f"{type(error).__name__}: {error}" for error in errors.exceptions)
        self.dead = True
        self.gone.set()

    async def _start(self, role: Role, deps: Deps, clock: SimulatedClock) -> None:
        while True:
            try:
                await deps.store.ping()
                await deps.store.ensure_layout()
                clock.raise_floor(await latest_instant(deps.store))
                await deps.rules.start()
                await role.start()
            except (StoreAway, NoRules):
                await self._network.timeline.pause(STORE_RETRY_S)
            else:
                self.role, self.ready = role, True
                return

    async def _follow_rules(self, deps: Deps) -> None:
        while True:
            await self._rules_published.wait()
            self._rules_published.clear()
            try:
                await deps.rules.follow()
            except StoreAway:
                await self._network.timeline.pause(STORE_RETRY_S)
                self._rules_published.set()

    async def _beat(self, deps: Deps, clock: SimulatedClock) -> None:
        while True:
            try:
                await deps.store.beat(self.name, deps.clock.now_ms())
                clock.raise_floor(await latest_instant(deps.store))
            except StoreAway:
                pass  # the next one says it
            await deps.clock.wait(HEARTBEAT_S, asyncio.Event())

    def _jumped(self, _kind: Jump, _seconds: float) -> None:
        self.jumps += 1
