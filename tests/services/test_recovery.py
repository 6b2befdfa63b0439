"""Whoever dies, and whenever: what was answered is there, once, and what was due comes."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.fakes.proxy import Proxy
from tests.fakes.receiver import Answer
from tests.faults.figures import Figures
from tests.services.conftest import MakeWorld
from tests.services.world import MINUTE, World
from tocsin.policy.events import Acknowledged
from tocsin.policy.model import PageStatus, State
from tocsin.store.server import EmbeddedServer
from tocsin.store.store import Fenced
from tocsin.store.wire import Script, StoreAway

TRIES_MAX = 60


async def test_a_store_killed_between_any_two_calls_loses_and_doubles_nothing(world_at: MakeWorld, data_dir: Path) -> None:
    """Every call that was answered has happened, once; every call without an answer is made again, as the roles do."""
    generator = random.Random(1)
    server = EmbeddedServer(data_dir / "store", ballast_bytes=0, maxmemory_bytes=100 * 1024 * 1024)
    await server.start()
    kills = 0

    async def killed_at_random(call: Callable[[], Awaitable[object]]) -> None:
        nonlocal kills
        doomed = generator.random() < 0.25
        for attempt in range(TRIES_MAX):
            async with asyncio.TaskGroup() as group:
                task = group.create_task(answered(call))
                if doomed and attempt == 0:
                    for _ in range(generator.randrange(40)):
                        await asyncio.sleep(0)
                    os.kill(server.pid, signal.SIGKILL)
                    await server.wait()
                    await server.start()
                    kills += 1
            if task.result():
                return
        pytest.fail("the store is back and the call does not come through")

    async with world_at(server.url) as world:
        correlator = await world.correlator()
        names = [f"A{n}" for n in range(24)]
        async with world.notifier() as notifier:
            for name in names:
                for node in "12":
                    await killed_at_random(lambda name=name, node=node: world.report(name, node=node))  # type: ignore[misc]
                await killed_at_random(lambda: correlator.tick(world.clock.now_ms()))
                await killed_at_random(lambda: notifier.tick(world.clock.now_ms()))
                if generator.random() < 0.3:
                    numbers = [i.number for i in await world.incidents() if i.state is State.OPEN]
                    if numbers:
                        await killed_at_random(lambda number=numbers[0]: world.act(number, Acknowledged("lee")))  # type: ignore[misc]
                world.clock.advance(1_000)
            for _ in range(4):
                await killed_at_random(lambda: correlator.tick(world.clock.now_ms()))
                world.clock.advance(2_000)
            await world.idle(notifier)
            await world.advance(notifier, 2 * MINUTE, 10_000)
        incidents = await world.incidents()
        assert sorted(i.title for i in incidents) == sorted(names)
        assert all(i.firing == 2 for i in incidents)
        alerts = await world.console.load_alerts([i.number for i in incidents])
        assert sum(map(len, alerts)) == 2 * len(names)
        assert kills > 10
        assert max(world.receiver.copies().values()) <= 3
        told = {one["id"] for page in world.receiver.pages for one in page.body.get("incidents", [page.body["incident"]])}
        assert all(i.id in told or i.state is State.ACKNOWLEDGED for i in incidents)
        await world.check()
        correlator = await world.correlator()
    await server.stop()


async def answered(call: Callable[[], Awaitable[object]]) -> bool:
    try:
        await call()
    except StoreAway:
        return False
    return True


async def test_answers_lost_at_random_lose_and_double_nothing(world_at: MakeWorld, shared_url: str, figure: Figures) -> None:
    generator = random.Random(16)
    scripts = [Script(name).sha for name in ("commit", "claim", "begin", "append")]
    async with world_at(shared_url) as world, Proxy(shared_url) as proxy:
        await world.warm_up()
        correlator = await world.correlator(url=proxy.url)
        async with world.notifier(url=proxy.url) as notifier:
            for n in range(60):
                await world.report(f"A{n % 20}", node=str(n), severity="critical" if n % 2 else "warning")
                if n % 3 == 0:
                    proxy.lose_answer(generator.choice(scripts))
                if n % 7 == 0:
                    proxy.lose_request(generator.choice(scripts))
                await answered(lambda: correlator.tick(world.clock.now_ms()))
                await answered(lambda: notifier.tick(world.clock.now_ms()))
                await let_pass(world, notifier)
            proxy.forgive()
            for _ in range(120):
                await answered(lambda: correlator.tick(world.clock.now_ms()))
                await answered(lambda: notifier.tick(world.clock.now_ms()))
                await let_pass(world, notifier)
        incidents = await world.incidents()
        figure(16, "answers lost after the commit", proxy.answers_lost, at_least=11)
        figure(16, "duplicates created", len(incidents) - len({i.group_key for i in incidents}), at_most=0)
        assert sorted(i.title for i in incidents) == sorted(f"A{n}" for n in range(20))
        assert all(i.firing == 3 for i in incidents)
        assert max(world.receiver.copies().values()) <= 3
        assert not [page for i in incidents for page in i.pages if page.status is PageStatus.PENDING and page.due_at < world.clock.now_ms()]
        await world.check()


async def let_pass(world: World, notifier: object) -> None:
    """A second goes by; outcomes that the store did not take are tried again meanwhile."""
    for _ in range(5):
        world.clock.advance(200)
        for _ in range(40):
            await asyncio.sleep(0)


async def test_a_notifier_that_dies_between_begin_and_record_leaves_its_page_to_the_next(world: World) -> None:
    correlator = await world.correlator()
    await world.report("A")
    await correlator.tick(world.clock.now_ms())
    page = f"{(await world.incident()).id}.0.kim.0"
    hold = asyncio.Event()
    for copies in (1, 2, 3):
        world.receiver.answers.append(Answer(hold=hold))
        async with world.notifier() as notifier:
            await notifier.tick(world.clock.now_ms())
            await world.receiver.page(copies)
    hold.set()
    async with world.notifier() as notifier:
        await world.settle(notifier)
    assert world.receiver.copies() == {page: 3, page.replace("kim.0", "kim.1"): 1}, "the contact is given up, the next one is told"


async def test_an_outcome_whose_record_was_not_answered_counts_once(world_at: MakeWorld, shared_url: str) -> None:
    async with world_at(shared_url) as world, Proxy(shared_url) as proxy:
        await world.warm_up()
        correlator = await world.correlator()
        await world.report("A")
        await correlator.tick(world.clock.now_ms())
        world.receiver.answers.append(Answer(cut=True))
        async with world.notifier(url=proxy.url) as notifier:
            proxy.lose_answer(Script("commit").sha)
            await notifier.tick(world.clock.now_ms())
            await world.receiver.page(1)
            while notifier.lanes.under_way:
                world.clock.advance(10)
                await asyncio.sleep(0)
        assert proxy.answers_lost == 1
        page = (await world.incident()).pages[0]
        assert (page.attempts, page.ambiguous, page.status) == (1, 1, PageStatus.PENDING)
        await world.check()


async def test_a_frozen_notifier_that_wakes_up_changes_nothing(world: World) -> None:
    correlator = await world.correlator()
    await world.report("A")
    await correlator.tick(world.clock.now_ms())
    hold = asyncio.Event()
    world.receiver.answers.append(Answer(status=410, hold=hold))

    async def wakes_up() -> None:
        async with world.notifier("old") as old:
            await old.tick(world.clock.now_ms())
            await world.receiver.page(1)
            async with world.notifier("new"):
                with pytest.raises(Fenced):
                    await old.tick(world.clock.now_ms())
                before = await world.incident()
                hold.set()
                try:
                    await asyncio.Event().wait()
                finally:
                    assert await world.incident() == before

    with pytest.raises(BaseExceptionGroup) as caught:
        await wakes_up()
    assert caught.group_contains(Fenced)
    async with world.notifier("newest") as notifier:
        await world.settle(notifier)
    assert (await world.incident()).pages[0].status is PageStatus.SENT


async def test_what_a_dead_notifier_had_claimed_is_taken_up_at_once(world: World) -> None:
    correlator = await world.correlator()
    for name in "ABC":
        await world.report(name)
    await correlator.tick(world.clock.now_ms())
    dead = await world.console.take_over("notifier")
    for shard in range(world.shards):
        await world.console.claim_pages(shard, dead[shard], world.clock.now_ms(), 60_000, 10)
    async with world.notifier() as notifier:
        await world.settle(notifier)
    assert len(world.receiver.pages[0].body["incidents"]) == 3


async def test_without_a_restart_a_lost_claim_comes_back_by_itself(world_at: MakeWorld, shared_url: str) -> None:
    async with world_at(shared_url) as world, Proxy(shared_url) as proxy:
        await world.warm_up()
        correlator = await world.correlator()
        await world.report("A")
        await correlator.tick(world.clock.now_ms())
        async with world.notifier(url=proxy.url) as notifier:
            proxy.lose_answer(Script("claim").sha, times=8)
            for _ in range(8):
                await answered(lambda: notifier.tick(world.clock.now_ms()))
            assert not world.receiver.pages
            await world.advance(notifier, MINUTE, 1_000)
        assert world.receiver.pages
        assert world.receiver.pages[0].at_s <= 41
        await world.check()
