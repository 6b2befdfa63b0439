"""The auditor finds what must not be and mends it, and cries no wolf."""

from __future__ import annotations

import asyncio

from notifier.auditor import Auditor, Finding
from tests.invariants import ask, scores
from tests.services.world import MINUTE, World
from tocsin.policy.events import Acknowledged, Noted
from tocsin.policy.model import State
from tocsin.policy.rules import shard_of_number


async def audited(world: World, auditor: Auditor) -> list[Finding]:
    """Audit, moving time on over its pauses."""
    async with asyncio.TaskGroup() as group:
        audit = group.create_task(auditor.audit())
        while not audit.done():
            if world.clock.waiting:
                world.clock.advance(50)
            await asyncio.sleep(0)
    return audit.result()


async def fold(world: World, *names: str) -> None:
    correlator = await world.correlator()
    for name in names:
        await world.report(name)
    await correlator.tick(world.clock.now_ms())


async def test_a_timer_that_is_gone_is_found_and_put_back(world: World) -> None:
    await fold(world, "A", "B")
    auditor = Auditor(await world.deps("auditor"))
    assert await audited(world, auditor) == []
    incident, _ = await world.incidents()
    timers = world.console.at[shard_of_number(incident.number, world.shards)].timers
    await ask(world.console, "ZREM", timers, incident.number)
    [found] = await audited(world, auditor)
    assert (found.invariant, found.incident) == ("timer", incident.number)
    assert (await scores(world.console, timers))[str(incident.number)] == incident.due_at
    assert await audited(world, auditor) == []
    async with world.notifier() as notifier:
        await world.settle(notifier)
        await world.advance(notifier, 31 * MINUTE)
    assert "/lee/1" in {page.path for page in world.receiver.pages}


async def test_a_page_that_is_not_in_the_outbox_is_found_and_put_back(world: World) -> None:
    await fold(world, "A")
    auditor = Auditor(await world.deps("auditor"))
    incident = await world.incident()
    await ask(world.console, "DEL", world.console.at[shard_of_number(incident.number, world.shards)].outbox)
    found = await audited(world, auditor)
    assert [(f.invariant, f.incident) for f in found] == [("outbox", incident.number)] * 2
    async with world.notifier() as notifier:
        await world.settle(notifier)
    assert world.arrived() == [("/kim/1", 0)]


async def test_an_incident_that_cannot_be_decided_is_named_and_the_others_are_audited(world: World) -> None:
    await fold(world, "A", "B")
    damaged, sound = await world.incidents()
    await world.spoil(damaged.number)
    await ask(world.console, "ZREM", world.console.at[shard_of_number(sound.number, world.shards)].timers, sound.number)
    found = await audited(world, Auditor(await world.deps("auditor")))
    assert {(f.invariant, f.incident) for f in found} == {("decidable", damaged.number), ("timer", sound.number)}
    await world.spoil(damaged.number, b'"severity":9', b'"severity":1')


async def test_a_busy_healthy_store_has_no_findings(world: World) -> None:
    correlator = await world.correlator()
    auditor = Auditor(await world.deps("auditor"))
    found: list[Finding] = []
    async with world.notifier() as notifier, asyncio.TaskGroup() as group:
        busy = group.create_task(work(world, correlator.tick, notifier.tick))
        while not busy.done():
            found += await audited(world, auditor)
        await world.idle(notifier)
    assert found == []
    assert len(await world.incidents()) == 40


async def work(world: World, *ticks) -> None:  # type: ignore[no-untyped-def]  # bound methods of two roles
    for n in range(80):
        await world.report(f"A{n % 40}", node=str(n))
        for tick in ticks:
            await tick(world.clock.now_ms())
        alive = [i for i in await world.incidents() if i.state is State.OPEN]
        for incident in alive[:2]:
            await world.act(incident.number, Noted("kim", "looking"))
            await world.act(incident.number, Acknowledged("kim"))
        world.clock.advance(1_000)
