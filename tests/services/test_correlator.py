"""What fires becomes incidents, once, whatever dies meanwhile: ticks on a real store."""

from __future__ import annotations

import pytest

from tests.fakes.proxy import Proxy
from tests.invariants import ask
from tests.services.conftest import MakeWorld
from tests.services.world import HOUR, MINUTE, World
from tocsin.policy.events import Acknowledged, Noted, Resolved, SeveritySet
from tocsin.policy.model import State
from tocsin.policy.rules import shard_of_number
from tocsin.store import keys
from tocsin.store.store import Fenced
from tocsin.store.wire import Script, StoreAway


async def test_alerts_open_join_clear_and_reopen_an_incident(world: World) -> None:
    correlator = await world.correlator()
    now = world.clock.now_ms
    await world.report("A", node="1")
    await correlator.tick(now())
    opened = await world.incident()
    assert (opened.state, opened.firing, opened.severity) == (State.OPEN, 1, 1)

    await world.report("A", node="2")
    await correlator.tick(now())
    await correlator.tick(now())  # in a storm the count may wait for a tick without news
    assert (await world.incident()).firing == 2

    world.clock.advance(MINUTE)
    for node in "12":
        await world.report("A", node=node, firing=False)
    await correlator.tick(now())
    clear = await world.incident()
    assert (clear.state, clear.firing, clear.resolved, clear.clear_since) == (State.OPEN, 0, 2, now())

    async with world.notifier() as notifier:
        await world.advance(notifier, 6 * MINUTE)
    assert (await world.incident()).state is State.RESOLVED
    world.clock.advance(10 * MINUTE)
    await world.report("A", node="2")
    await correlator.tick(now())
    again = await world.incident()
    assert (again.number, again.state, again.firing) == (opened.number, State.OPEN, 1)

    correlator = await world.correlator()
    await world.report("A", node="1", firing=False)
    await world.report("A", node="2", firing=False)
    world.clock.advance(MINUTE)
    await correlator.tick(now())
    async with world.notifier() as notifier:
        await world.advance(notifier, 6 * MINUTE)
        world.clock.advance(2 * HOUR)
    await correlator.tick(now())
    await world.report("A", node="1")
    await correlator.tick(now())
    assert [i.state for i in await world.incidents()] == [State.RESOLVED, State.OPEN], "after its time a new one opens"


async def test_repeats_write_nothing_but_the_cursor(world: World) -> None:
    correlator = await world.correlator()
    for _ in range(5):
        await world.report("A")
        await correlator.tick(world.clock.now_ms())
    assert (await world.incident()).version == 1
    assert await world.console.backlog() == 0


async def test_the_older_of_two_correlators_is_refused_and_effects_happen_once(world: World) -> None:
    old = await world.correlator("old")
    await world.report("A")
    await old.tick(world.clock.now_ms())
    new = await world.correlator("new")
    await world.report("B")
    with pytest.raises(BaseExceptionGroup) as caught:
        await old.tick(world.clock.now_ms())
    assert caught.group_contains(Fenced)
    assert len(await world.incidents()) == 1
    await new.tick(world.clock.now_ms())
    assert sorted(i.title for i in await world.incidents()) == ["A", "B"]


async def test_a_person_and_the_alerts_may_change_an_incident_at_the_same_time(world: World) -> None:
    correlator = await world.correlator()
    await world.report("A", node="0")
    await correlator.tick(world.clock.now_ms())
    number = (await world.incident()).number
    for n in range(1, 6):
        await world.act(number, Noted("kim", f"{n}"))
        await world.report("A", node=str(n))
        world.clock.advance(2_000)
        await correlator.tick(world.clock.now_ms())
    await world.act(number, SeveritySet("kim", 3))
    await world.act(number, Acknowledged("kim"))
    await world.report("A", node="9")
    world.clock.advance(2_000)
    await correlator.tick(world.clock.now_ms())
    incident = await world.incident()
    assert (incident.firing, incident.state, incident.acknowledged_by) == (7, State.ACKNOWLEDGED, "kim")


async def test_an_alert_that_fires_on_reopens_what_a_person_resolved(world: World) -> None:
    """Even when the news of it reaches the correlator while it loads, or not at all until the connection is back."""
    correlator = await world.correlator()
    await world.report("A")
    await correlator.tick(world.clock.now_ms())
    number = (await world.incident()).number
    await world.act(number, Resolved("kim"))
    correlator.on_gap()
    await correlator.tick(world.clock.now_ms())
    for _ in range(8):
        world.clock.advance(MINUTE)
        await world.report("A")
        await correlator.tick(world.clock.now_ms())
    assert (await world.incident()).state is State.OPEN


async def test_an_alert_stays_with_its_incident_when_the_rules_group_it_elsewhere(world: World) -> None:
    correlator = await world.correlator()
    names = [f"A{n}" for n in range(12)]
    for name in names:
        await world.report(name, cluster=name)
    await correlator.tick(world.clock.now_ms())
    before = {i.title: i.number for i in await world.incidents()}
    await world.change_rules("cluster, severity")
    world.clock.advance(MINUTE)
    for name in names:
        await world.report(name, cluster=name, firing=False)
    while (await correlator.tick(world.clock.now_ms())).entries:
        pass
    incidents = await world.incidents()
    assert {i.title: i.number for i in incidents} == before
    assert all(i.firing == 0 and i.clear_since for i in incidents)


async def test_entries_that_ingest_laid_out_by_older_rules_open_one_incident_each(world: World) -> None:
    """Ingest and correlator follow new rules one after the other: an entry may lie in a shard that its group no longer belongs to."""
    correlator = await world.correlator()
    for n in range(16):
        await world.report(f"A{n % 8}", shard=(n + n // 8) % world.shards, node=str(n))
    while (await correlator.tick(world.clock.now_ms())).entries:
        pass
    assert sorted(i.title for i in await world.incidents()) == [f"A{n}" for n in range(8)]


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"no times",
        b"1 2 {",
        b'1 2 ["default","firing",[1],{},""]',
        b'1 2 ["default","exploding",{},{},""]',
        b'1 2 ["default","firing",null,{},""]',
        b"9 9 [1]",
    ],
)
async def test_what_cannot_be_read_is_set_aside_and_its_shard_goes_on(world: World, record: bytes) -> None:
    correlator = await world.correlator()
    for name in ("A", "B"):
        await world.report(name, shard=1)
        await world.console.append([(1, ["t", world.clock.now_ms(), "poison", record])])
    while (await correlator.tick(world.clock.now_ms())).entries:
        pass
    assert sorted(i.title for i in await world.incidents()) == ["A", "B"]
    letters = await ask(world.console, "XRANGE", keys.DEAD_LETTERS, "-", "+")
    assert len(letters) == 2
    assert record in letters[0][1]


async def test_an_entry_of_another_shape_is_set_aside_too(world: World) -> None:
    correlator = await world.correlator()
    await world.console.append([(1, ["t", "yesterday", "key", b"1 1 []"]), (1, ["t", world.clock.now_ms(), b"\xff", b"1 1 []"])])
    await world.report("A", shard=1)
    while (await correlator.tick(world.clock.now_ms())).entries:
        pass
    assert (await world.incident()).title == "A"
    assert len(await ask(world.console, "XRANGE", keys.DEAD_LETTERS, "-", "+")) == 2


async def test_an_alert_that_is_not_renewed_expires_after_the_grace_of_a_start(world: World) -> None:
    correlator = await world.correlator()
    await world.report("A", for_ms=2 * MINUTE)
    await correlator.tick(world.clock.now_ms())
    world.clock.advance(4 * MINUTE)
    await correlator.tick(world.clock.now_ms())
    assert (await world.incident()).firing == 1, "its sender may not have been able to renew it"
    world.clock.advance(2 * MINUTE)
    await correlator.tick(world.clock.now_ms())
    assert (await world.incident()).firing == 0


async def test_a_lost_answer_to_an_expiry_is_not_a_second_change(world_at: MakeWorld, shared_url: str) -> None:
    async with world_at(shared_url) as world, Proxy(shared_url) as proxy:
        correlator = await world.correlator(url=proxy.url)
        await world.report("A", for_ms=2 * MINUTE)
        await world.report("A", node="2")
        await correlator.tick(world.clock.now_ms())
        world.clock.advance(6 * MINUTE)
        proxy.lose_answer(Script("commit").sha)
        with pytest.raises(StoreAway):
            await correlator.tick(world.clock.now_ms())
        after = await world.incident()
        assert (after.firing, after.resolved) == (1, 1)
        correlator.on_gap()
        for _ in range(3):
            world.clock.advance(MINUTE)
            await correlator.tick(world.clock.now_ms())
        assert await world.incident() == after
        await world.check()


async def test_a_restarted_correlator_goes_on_where_the_last_one_stood(world: World) -> None:
    """Two worlds of the same news, one with a restart after every tick, end alike."""
    first = await world.correlator()
    for n in range(30):
        name, node = f"A{n % 5}", str(n % 7)
        await world.report(name, node=node, firing=n % 3 != 2)
        world.clock.advance(2_000)
        await first.tick(world.clock.now_ms())
        first = await world.correlator()
    for n in range(30):
        name, node = f"B{n % 5}", str(n % 7)
        await world.report(name, node=node, firing=n % 3 != 2)
        world.clock.advance(2_000)
        await first.tick(world.clock.now_ms())
    told = {i.title: (i.state, i.firing, i.resolved, i.severity, i.clear_since is None, i.flaps) for i in await world.incidents()}
    assert {t.replace("A", "B"): v for t, v in told.items() if t[0] == "A"} == {t: v for t, v in told.items() if t[0] == "B"}


async def test_a_full_store_is_emptied_by_folding(world_at: MakeWorld, shared_url: str) -> None:
    """What must be passed on to another shard, or set aside, does not wait for room that only folding makes."""
    async with world_at(shared_url) as world:
        correlator = await world.correlator()
        for n in range(8):
            await world.report(f"A{n}", shard=n % world.shards)
        await world.console.append([(0, ["t", world.clock.now_ms(), "poison", b"no times"])])
        await ask(world.console, "CONFIG", "SET", "maxmemory", 1_000_000)
        try:
            while (await correlator.tick(world.clock.now_ms())).entries:
                pass
            assert len(await world.incidents()) == 8
            assert await world.console.backlog() == 0
        finally:
            await ask(world.console, "CONFIG", "SET", "maxmemory", 256 * 1024 * 1024)
        await world.check()


async def test_a_storm_is_folded_in_batches_that_do_not_hold_up_the_store(world_at: MakeWorld, shared_url: str) -> None:
    async with world_at(shared_url, shards=1) as world:
        correlator = await world.correlator()
        for entry in range(12):
            fields: list[str | bytes | int] = ["t", world.clock.now_ms()]
            for n in range(500):
                key, record, _ = world.entry(f"A{entry}.{n}")
                fields += (key, record)
            await world.console.append([(0, fields)])
        batches = []
        while entries := (await correlator.tick(world.clock.now_ms())).entries:
            batches.append(entries)
        assert sum(batches) == 12
        assert max(batches) <= 4, "some thousand alerts in one commit"
        assert len(await world.incidents()) == 6_000
        await world.check()


async def test_incidents_are_numbered_by_their_shard(world: World) -> None:
    correlator = await world.correlator()
    for n in range(20):
        await world.report(f"A{n}")
    await correlator.tick(world.clock.now_ms())
    for incident in await world.incidents():
        assert (await world.console.groups(shard_of_number(incident.number, world.shards)))[incident.group_key] == incident.number
