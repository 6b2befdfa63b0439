"""The pipeline on a real store with a clock that is told the time: a team, what fires, and the roles' ticks called by hand.

kim is on duty (two contacts, the second 5 minutes after the first), lee leads, max manages; ops are the emergency contacts.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import structlog
from structlog.typing import FilteringBoundLogger, Processor

from correlator.service import Correlator
from correlator.service import build as build_correlator
from notifier.service import Notifier
from notifier.service import build as build_notifier
from tests.fakes.receiver import Receiver
from tests.invariants import all_incidents, ask, broken
from tocsin.policy.events import Event
from tocsin.policy.fingerprint import fingerprint
from tocsin.policy.incident import Decision, decide
from tocsin.policy.model import Alert, AlertStatus, Incident
from tocsin.policy.rules import Rules, group_key, shard_of_group, shard_of_number
from tocsin.runtime.clock import ManualClock
from tocsin.runtime.inforce import RulesInForce
from tocsin.runtime.metrics import Metrics
from tocsin.runtime.service import Deps
from tocsin.runtime.settings import Settings
from tocsin.store import codec
from tocsin.store.commit import Commit
from tocsin.store.connection import connect
from tocsin.store.store import Committed, Store
from tocsin.store.wire import Script

NOW = 1_800_000_000_000
MINUTE = 60_000
HOUR = 60 * MINUTE
LIMIT_S = 20.0
TURNS_MAX = 50

RULES = """version: 1
people:
  kim: {{name: Kim, contacts: [{{to: '{at}/kim/1'}}, {{to: '{at}/kim/2', after: 5m}}]}}
  lee: {{name: Lee, contacts: [{{to: '{at}/lee/1'}}]}}
  max: {{name: Max, contacts: [{{to: '{at}/max/1'}}]}}
roles: {{duty: {{people: [kim]}}, lead: {{people: [lee]}}, manager: {{people: [max]}}}}
severities:
  - {{level: 1, matchers: ['severity="critical"']}}
  - {{level: 2, matchers: ['severity="warning"']}}
ladders:
  standard:
    rungs:
      1: {{0s: duty, 30m: lead, 2h: manager}}
      2: {{0s: duty, 1h: lead}}
      3: {{0s: duty}}
    last_resort: [manager]
services: [{{name: everything, group_by: [{group_by}]}}]
emergency: {{after: 60s, to: ['{at}/ops/1']}}
"""


class World:
    """One store, one clock, one receiver; roles are made as often as a test wants."""

    def __init__(self, url: str, receiver: Receiver, clock: ManualClock, directory: Path, shards: int) -> None:
        self.url = url
        self.receiver = receiver
        self.clock = clock
        self.shards = shards
        self.rules_file = directory / "alert_rules.yaml"
        self.stores: list[Store] = []
        self.rules: list[RulesInForce] = []
        self.write_rules()
        self.console = self.store("console")

    def write_rules(self, group_by: str = "alertname", edit: Callable[[str], str] = str) -> None:
        self.rules_file.write_text(edit(RULES.format(at=self.receiver.contact(""), group_by=group_by)), encoding="utf-8")

    def store(self, origin: str, url: str | None = None) -> Store:
        store = Store(connect(url or self.url, max_connections=10), shards=self.shards, origin=origin)
        self.stores.append(store)
        return store

    async def deps(self, origin: str, url: str | None = None, **settings: str) -> Deps:
        store = self.store(origin, url)
        metrics, log = Metrics(), quiet_log()
        rules = RulesInForce(store, self.clock, metrics, log, file=self.rules_file)
        await rules.start()
        self.rules.append(rules)
        found = Settings.from_environment({"TOCSIN_STORAGE_URL": self.url} | {f"TOCSIN_{k.upper()}": v for k, v in settings.items()})
        return Deps(found, self.clock, store, rules, metrics, log)

    async def correlator(self, origin: str = "correlator", url: str | None = None) -> Correlator:
        role = build_correlator(await self.deps(origin, url))
        await role.start()
        return role

    @asynccontextmanager
    async def notifier(self, origin: str = "notifier", url: str | None = None, **settings: str) -> AsyncIterator[Notifier]:
        """A notifier whose lanes run until the block ends; then it is as dead as after a kill: nothing is finished or given back."""
        role = build_notifier(await self.deps(origin, url, **settings))
        await role.start()
        try:
            async with asyncio.TaskGroup() as group:
                lanes = group.create_task(role.lanes.run())
                try:
                    yield role
                finally:
                    lanes.cancel()
        finally:
            await role.lanes.close()

    async def warm_up(self) -> None:
        """Let the server know every script, so that each later call of one is an EVALSHA that runs."""
        for name in ("commit", "begin", "claim", "take_over", "append"):
            await ask(self.console, "SCRIPT", "LOAD", Script(name).text)

    def entry(self, name: str, *, firing: bool = True, for_ms: int = 24 * HOUR, **labels: str) -> tuple[str, bytes, dict[str, str]]:
        full = {"alertname": name, "severity": "critical"} | labels
        status = AlertStatus.FIRING if firing else AlertStatus.RESOLVED
        ends_at = self.clock.now_ms() + (for_ms if firing else 0)
        alert = Alert(f"default:{fingerprint(full)}", "default", status, full, {"summary": name}, self.clock.now_ms(), ends_at)
        return alert.key, codec.alert_record(alert, codec.alert_body(alert)), full

    async def report(self, name: str, *, shard: int | None = None, firing: bool = True, for_ms: int = 24 * HOUR, **labels: str) -> None:
        """What ingest does with one alert: `firing=False` reports that it is over."""
        key, record, labels = self.entry(name, firing=firing, for_ms=for_ms, **labels)
        if shard is None:
            service = (await self.rules_in_force()).service_of(labels)
            shard = shard_of_group(group_key(service, labels), self.shards)
        await self.console.append([(shard, ["t", self.clock.now_ms(), key, record])])

    async def rules_in_force(self) -> Rules:
        rules = RulesInForce(self.console, self.clock, Metrics(), quiet_log(), file=None)
        await rules.follow()
        return rules.rules

    async def change_rules(self, group_by: str = "alertname", edit: Callable[[str], str] = str) -> None:
        """Write the file and put it in force everywhere, as a reload and the change bell do."""
        self.write_rules(group_by, edit)
        for rules in self.rules:
            await rules.reload()

    async def spoil(self, number: int, right: bytes = b'"severity":1', wrong: bytes = b'"severity":9') -> None:
        """Make an incident's document one that can be read and not be decided; with the arguments swapped, mend it."""
        key = self.console.at[shard_of_number(number, self.shards)].incidents
        document = await ask(self.console, "HGET", key, number)
        await ask(self.console, "HSET", key, number, document.replace(right, wrong))

    async def act(self, number: int, event: Event) -> Decision:
        """What the console does with a person's word: load, decide, commit."""
        rules = self.rules[0].rules if self.rules else await self.rules_in_force()
        while True:
            incident = await self.console.load(number)
            assert incident is not None
            decision = decide(incident, event, self.clock.now_ms(), rules)
            shard = shard_of_number(number, self.shards)
            if (
                not decision.changed
                or await self.console.commit(Commit(shard, self.clock.now_ms(), [decision], origin="console")) == Committed()
            ):
                return decision

    async def incidents(self) -> list[Incident]:
        return sorted((await all_incidents(self.console)).values(), key=lambda incident: incident.number)

    async def incident(self) -> Incident:
        [only] = await self.incidents()
        return only

    async def settle(self, notifier: Notifier) -> None:
        """Let the notifier turn until nothing is due at this instant and everything sent is recorded."""
        for _ in range(TURNS_MAX):
            done = await notifier.tick(self.clock.now_ms())
            await self.idle(notifier)
            due_at = await self.console.next_due()
            if not done.timers and not done.pages and (due_at is None or due_at > self.clock.now_ms()):
                return
        pytest.fail("the notifier does not come to rest")

    async def idle(self, notifier: Notifier) -> None:
        await until(lambda: notifier.lanes.under_way == 0)

    async def advance(self, notifier: Notifier, ms: int, step_ms: int = MINUTE) -> None:
        """Let time pass and the notifier live through it."""
        while ms > 0:
            self.clock.advance(min(step_ms, ms))
            ms -= step_ms
            await self.settle(notifier)

    def arrived(self) -> list[tuple[str, int]]:
        """Where pages arrived, and how many minutes after the beginning, in order."""
        return [(page.path, round(page.at_s * 1000) // MINUTE) for page in self.receiver.pages]

    async def check(self) -> None:
        """Everything that must hold of the store does."""
        faults = await broken(self.console)
        assert not faults, faults

    async def close(self) -> None:
        for store in self.stores:
            await store.close()


def quiet_log() -> FilteringBoundLogger:
    """Log lines without the pages of locals that a terminal gets."""
    processors: list[Processor] = [structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer()]
    log: FilteringBoundLogger = structlog.wrap_logger(structlog.PrintLogger(), processors=processors)
    return log


async def until(holds: Callable[[], object], limit_s: float = LIMIT_S) -> None:
    """Let others run until a condition holds."""
    async with asyncio.timeout(limit_s):
        while not holds():  # noqa: ASYNC110  what is waited for is in another task or process
            await asyncio.sleep(0)


async def until_true(holds: Callable[[], Awaitable[object]], limit_s: float = LIMIT_S) -> None:
    async with asyncio.timeout(limit_s):
        while not await holds():  # noqa: ASYNC110  as above
            await asyncio.sleep(0)
