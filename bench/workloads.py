"""What is measured: each workload starts a product fresh, lets it work, and notes figures.

Read `rate`, which the three workloads of throughput share, then `beside_storm`, then `crowd` (Tocsin alone: 100,000 open incidents) and
`fan_out` (Tocsin alone: pages to thousands of people at once).
How long a rate is timed: from the first POST until everything sent is worked off and visible in the product's own query.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, process_time
from typing import Final

from bench.bodies import Batches, Singles, events, fires, probe, request
from bench.processes import Memory
from bench.products import FAN_TEAM, TOKEN, Alertmanager, Make, Product, ProductFailed, Tocsin, fan_rules
from bench.receiver import Receiver, silent_port
from bench.traffic import Paced, post_all

BODY_CONNECTIONS: Final = 8
SINGLE_CONNECTIONS: Final = 32
ACTIVE_ALERTS: Final = 10_000
REPEAT_ROUNDS: Final = 30
STORM_ALERTS: Final = 50_000
SINGLES_KNOWN: Final = 1_000
SINGLES: Final = 30_000
IDLE_PER_S: Final = 20.0
IDLE_S: Final = 10.0
BESIDE_PER_S: Final = 25.0
BESIDE_S: Final = 6.0
CROWD: Final = 100_000
CROWD_BODY: Final = 5_000
LATE_PROBES: Final = 200
RUNG_AFTER_S: Final = 2.0
RESTARTS: Final = 3
PAGE_S: Final = 60.0
CALM_S: Final = 2.0
FAN_PEOPLE: Final = (1_000, 10_000)
FAN_SILENT: Final = 200


@dataclass(slots=True)
class Figures:
    """Everything measured: values by measure and product, one or many for each run."""

    values: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def add(self, measure: str, product: str, *values: float) -> None:
        """Note values."""
        self.values.setdefault(measure, {}).setdefault(product, []).extend(values)


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one workload for one product."""

    make: Make
    folder: Path
    number: int
    figures: Figures

    @asynccontextmanager
    async def product(self) -> AsyncIterator[tuple[Product, Receiver]]:
        """A fresh product that is ready, and the receiver of its pages; both are ended."""
        async with Receiver() as receiver:
            product = self.make(self.folder, receiver.port)
            try:
                await product.start()
                await asyncio.sleep(CALM_S)
                yield product, receiver
            finally:
                await product.stop()


async def rate(run: Run, name: str, product: Product, requests: Iterator[bytes], *, connections: int, alerts: int, visible: int) -> None:
    """Time a stream of requests that hold `alerts` reports until `visible` alerts can be seen."""
    applied = await product.applied()
    used, used_here = product.family.processor_s(), process_time()
    sent = await post_all(product.alerts_port, requests, connections=connections)
    await product.settled(applied=applied + alerts, visible=visible)
    took_s = monotonic() - sent.began_s
    used_after = product.family.processor_s()
    run.figures.add(f"{name}.generator", product.name, (process_time() - used_here) / alerts * 1e6)
    _require_accepted(name, sent.refused)
    shown = await product.visible()
    if shown != visible:
        raise ProductFailed(f"{name}: {visible} alerts were sent, {shown} are visible")
    run.figures.add(f"{name}.rate", product.name, alerts / took_s)
    run.figures.add(f"{name}.answered", product.name, alerts / (sent.ended_s - sent.began_s))
    for process, seconds in used_after.items():
        run.figures.add(f"{name}.cpu.{process}", product.name, (seconds - used.get(process, 0.0)) / alerts * 1e6)
    run.figures.add(f"{name}.cpu", product.name, (sum(used_after.values()) - sum(used.values())) / alerts * 1e6)


def _require_accepted(name: str, refused: int) -> None:
    if refused:
        raise ProductFailed(f"{name}: {refused} requests were not answered 2xx")


async def _preload(product: Product, requests: Iterator[bytes], alerts: int) -> None:
    applied = await product.applied()
    sent = await post_all(product.alerts_port, requests, connections=4)
    _require_accepted("before the measurement", sent.refused)
    await product.settled(applied=applied + alerts, visible=alerts)
    await asyncio.sleep(CALM_S)


async def repeats(run: Run) -> None:
    """Alerts that are known already are sent again and again, good for longer each time."""
    batches = Batches()
    count = ACTIVE_ALERTS // Batches.SIZE
    async with run.product() as (product, _):
        await _preload(product, batches.some(0, count), ACTIVE_ALERTS)
        again = (batches.one(number) for _ in range(REPEAT_ROUNDS) for number in range(count))
        total = ACTIVE_ALERTS * REPEAT_ROUNDS
        await rate(run, "repeats", product, again, connections=BODY_CONNECTIONS, alerts=total, visible=ACTIVE_ALERTS)


async def storm(run: Run) -> None:
    """New alerts only, a hundred for each of five hundred services."""
    batches = Batches()
    count = STORM_ALERTS // Batches.SIZE
    async with run.product() as (product, receiver):
        new = batches.some(0, count)
        await rate(run, "storm", product, new, connections=BODY_CONNECTIONS, alerts=STORM_ALERTS, visible=STORM_ALERTS)
        run.figures.add("storm.messages", product.name, receiver.messages)
        if isinstance(product, Tocsin):
            changes = sum(incident["version"] for incident in await product.incidents("state=open"))
            run.figures.add("storm.folded", product.name, STORM_ALERTS / changes)


async def singles(run: Run) -> None:
    """One alert in a request, a new one and a repeated one in turn."""
    one_by_one = Singles()
    visible = SINGLES_KNOWN + SINGLES // 2
    async with run.product() as (product, _):
        await _preload(product, (one_by_one.one(number) for number in range(SINGLES_KNOWN)), SINGLES_KNOWN)
        mixed = one_by_one.mixed(SINGLES_KNOWN, SINGLES)
        await rate(run, "singles", product, mixed, connections=SINGLE_CONNECTIONS, alerts=SINGLES, visible=visible)


async def _probe(run: Run, name: str, product: Product, receiver: Receiver, *, count: int, per_second: float) -> None:
    """POST alerts of their own at a pace and note how long until each is at the receiver."""
    named = [(f"probe-{run.number}-{index}", probe(f"probe-{run.number}-{index}")) for index in range(count)]
    async with Paced(product.alerts_port) as paced:
        await paced.run(named, per_second)
        _require_accepted(name, paced.refused.total())
        lost = await receiver.heard_of({probe_name for probe_name, _ in named}, limit_s=PAGE_S)
    heard = [(receiver.first_s[probe_name] - paced.sent_s[probe_name]) * 1000 for probe_name, _ in named if probe_name not in lost]
    run.figures.add(f"{name}.ms", product.name, *heard)
    run.figures.add(f"{name}.answer.ms", product.name, *paced.waits_ms())
    run.figures.add(f"{name}.lost", product.name, len(lost))


async def idle(run: Run) -> None:
    """Nothing else to do: memory, and from POST to page."""
    async with run.product() as (product, receiver):
        _note_memory(run, "idle", product, product.family.memory())
        await _probe(run, "idle.page", product, receiver, count=round(IDLE_S * IDLE_PER_S), per_second=IDLE_PER_S)


def _note_memory(run: Run, name: str, product: Product, memory: dict[str, Memory]) -> None:
    run.figures.add(f"{name}.rss", product.name, sum(m.rss for m in memory.values()))
    run.figures.add(f"{name}.pss", product.name, sum(m.pss for m in memory.values()))
    for process, used in memory.items():
        run.figures.add(f"{name}.pss.{process}", product.name, used.pss)


async def beside_storm(run: Run) -> None:
    """A storm for as long as it takes; beside it alerts of severity 1, and (Tocsin) people who acknowledge."""
    count = round(BESIDE_S * BESIDE_PER_S)
    batches = Batches()
    over = asyncio.Event()

    def without_end() -> Iterator[bytes]:
        number = 0
        while not over.is_set():
            yield batches.one(number)
            number += 1

    async with run.product() as (product, receiver):
        held = await _held(product, run, count) if isinstance(product, Tocsin) else []
        async with asyncio.TaskGroup() as group:
            storming = group.create_task(post_all(product.alerts_port, without_end(), connections=BODY_CONNECTIONS))
            await asyncio.sleep(0.5)
            acknowledging = group.create_task(_acknowledge(run, product, held)) if isinstance(product, Tocsin) else None
            await _probe(run, "beside.page", product, receiver, count=count, per_second=BESIDE_PER_S)
            if acknowledging is not None:
                await acknowledging
            over.set()
        sent = storming.result()
        _require_accepted("beside", sent.refused)
        run.figures.add("beside.answered", product.name, sent.statuses.total() * Batches.SIZE / (sent.ended_s - sent.began_s))


async def _held(product: Tocsin, run: Run, count: int) -> list[str]:
    """Open incidents to be acknowledged; their ids."""
    requests = [probe(f"held-{run.number}-{index}", team="held", severity="error") for index in range(count)]
    sent = await post_all(product.alerts_port, iter(requests), connections=4)
    _require_accepted("held", sent.refused)
    await product.settled(applied=count, visible=count)
    return [incident["id"] for incident in await product.incidents("state=open&service=held")]


async def _acknowledge(run: Run, product: Tocsin, ids: list[str]) -> None:
    named = [(name, request(f"/api/v1/incidents/{name}/acknowledge", b"{}", token=TOKEN)) for name in ids]
    async with Paced(product.ports["console"]) as paced:
        await paced.run(named, BESIDE_PER_S)
    _require_accepted("acknowledgements", paced.refused.total())
    run.figures.add("beside.acknowledge.ms", product.name, *paced.waits_ms())


async def crowd(run: Run) -> None:
    """A hundred thousand open incidents with a timer each: their memory, rungs beside them, and starting again with them."""
    async with run.product() as (product, receiver):
        assert isinstance(product, Tocsin)
        before = sum(m.pss for m in product.family.memory().values())
        requests = (events("sensors", first, CROWD_BODY) for first in range(0, CROWD, CROWD_BODY))
        sent = await post_all(product.alerts_port, requests, connections=2)
        _require_accepted("crowd", sent.refused)
        await _opened(product, CROWD)
        run.figures.add("crowd.opened", product.name, CROWD / (monotonic() - sent.began_s))
        await product.incidents("state=acknowledged")  # answered once the console has caught up
        await asyncio.sleep(5 * CALM_S)
        memory = product.family.memory()
        _note_memory(run, "crowd", product, memory)
        run.figures.add("crowd.each", product.name, (sum(m.pss for m in memory.values()) - before) / CROWD)
        await _rungs(run, product, receiver)
        for _ in range(RESTARTS):
            await _restart(run, product, "SIGTERM", lambda: product.family.end(signal.SIGTERM))
            await _restart(run, product, "SIGKILL", product.family.kill)
        open_now = len(await product.incidents("state=open"))
        if open_now != CROWD + LATE_PROBES:
            raise ProductFailed(f"{CROWD + LATE_PROBES} incidents were open, {open_now} are after the restarts")


async def _opened(product: Tocsin, count: int) -> None:
    """Wait as long as it goes on."""
    before, moved_s = -1, monotonic()
    while (found := await product.open_incidents()) < count:
        if found != before:
            before, moved_s = found, monotonic()
        elif monotonic() - moved_s > PAGE_S:
            raise ProductFailed(f"{found} of {count} incidents are open, and for a minute no other was")
        await asyncio.sleep(0.1)


async def _rungs(run: Run, product: Tocsin, receiver: Receiver) -> None:
    """Incidents whose second rung is due after two seconds: how late its page is, as it says, and as is seen from outside."""
    names = [f"late-{run.number}-{index}" for index in range(LATE_PROBES)]
    async with Paced(product.alerts_port) as paced:
        await paced.run([(name, probe(name, team="late")) for name in names], IDLE_PER_S)
        _require_accepted("rungs", paced.refused.total())
    lost = await receiver.heard_of(set(names), limit_s=PAGE_S, later_rung=True)
    came = [name for name in names if name not in lost]
    run.figures.add("rung.lost", product.name, len(lost))
    run.figures.add("rung.late.ms", product.name, *(receiver.late_s[name] * 1000 for name in came))
    run.figures.add("rung.seen.ms", product.name, *((receiver.rung_s[name] - paced.sent_s[name] - RUNG_AFTER_S) * 1000 for name in came))


async def _restart(run: Run, product: Tocsin, how: str, end: Callable[[], Awaitable[None]]) -> None:
    """From the signal until every role is ready again."""
    began = monotonic()
    await end()
    ended = monotonic()
    await product.start()
    run.figures.add(f"restart.{how}.s", product.name, monotonic() - began)
    run.figures.add(f"restart.{how}.stop.s", product.name, ended - began)
    await asyncio.sleep(CALM_S)


async def fan_out(run: Run) -> None:
    """Many people paged at one instant, each over a contact of their own: once undisturbed, once beside a provider that never answers."""
    for people in FAN_PEOPLE:
        await _fan_out(run, f"fanout.{people}", people)
    async with silent_port() as port:
        await _fan_out(run, f"fanout.{FAN_PEOPLE[0]}.beside", FAN_PEOPLE[0], silent_at=port)


async def _fan_out(run: Run, name: str, people: int, *, silent_at: int = 0) -> None:
    silent = FAN_SILENT if silent_at else 0
    async with Receiver() as receiver:
        rules = fan_rules(receiver.port, people, silent_port=silent_at, silent_people=silent)
        product = Tocsin(run.folder / name, receiver.port, rules=rules)
        try:
            await product.start()
            await asyncio.sleep(CALM_S)
            used = product.family.processor_s()
            sent = await post_all(product.alerts_port, iter([fires((people + silent) // FAN_TEAM)]), connections=1)
            _require_accepted(name, sent.refused)
            reached = await receiver.reached(people, limit_s=PAGE_S)
            ended = monotonic()
            used_after = product.family.processor_s()
        finally:
            await product.stop()
    run.figures.add(f"{name}.lost", product.name, people - reached)
    run.figures.add(f"{name}.rate", product.name, reached / (ended - sent.began_s))
    run.figures.add(f"{name}.late.ms", product.name, *(late * 1000 for late in receiver.person_late_s.values()))
    run.figures.add(f"{name}.first.ms", product.name, (min(receiver.person_s.values()) - sent.began_s) * 1000)
    for process, seconds in used_after.items():
        run.figures.add(f"{name}.cpu.{process}", product.name, (seconds - used.get(process, 0.0)) / people * 1e6)


@dataclass(frozen=True, slots=True)
class Workload:
    """A workload, the products it is for, and how often it runs at most."""

    name: str
    measure: Callable[[Run], Awaitable[None]]
    makes: tuple[Make, ...] = (Tocsin, Alertmanager)
    runs_max: int = 100


WORKLOADS: Final = (
    Workload("repeats", repeats),
    Workload("storm", storm),
    Workload("singles", singles),
    Workload("idle", idle),
    Workload("beside", beside_storm),
    Workload("crowd", crowd, (Tocsin,), 1),
    Workload("fanout", fan_out, (Tocsin,)),
)
