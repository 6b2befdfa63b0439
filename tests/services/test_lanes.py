"""One lane for each address: the slow delay nobody, what waits goes out together, a stop finishes what has begun."""

from __future__ import annotations

import asyncio

from tests.fakes.receiver import Answer, Receiver
from tests.invariants import scores
from tests.services.world import MINUTE, World, until
from tocsin.policy.events import Acknowledged
from tocsin.policy.model import PageStatus


async def fold(world: World, *names: str, severity: str = "critical") -> None:
    correlator = await world.correlator()
    for name in names:
        await world.report(name, severity=severity)
    await correlator.tick(world.clock.now_ms())


async def test_a_slow_address_delays_nobody_else(world: World) -> None:
    async with Receiver(world.clock.monotonic) as elsewhere:
        at = world.receiver.contact("/lee/1")
        world.write_rules(edit=lambda text: text.replace("people: [kim]", "people: [kim, lee]").replace(at, elsewhere.contact("/lee/1")))
        hold = asyncio.Event()
        world.receiver.answers.append(Answer(hold=hold))
        async with world.notifier() as notifier:
            for n in range(1, 6):
                await fold(world, f"A{n}")
                await notifier.tick(world.clock.now_ms())
                await elsewhere.page(n)
            assert len(world.receiver.pages) == 1, "kim's first page has no answer yet"
            hold.set()
            await world.settle(notifier)
        assert len(elsewhere.pages) == 5
        first, rest = world.receiver.pages
        assert "incidents" not in first.body
        assert len(rest.body["incidents"]) == 4, "what fell due meanwhile went out together"


async def test_the_gravest_waiting_page_goes_first(world: World) -> None:
    hold = asyncio.Event()
    world.receiver.answers.append(Answer(hold=hold))
    async with world.notifier() as notifier:
        await fold(world, "first", severity="info")
        await notifier.tick(world.clock.now_ms())
        await world.receiver.page(1)
        for severity in ("info", "warning", "critical"):
            world.clock.advance(1)
            await fold(world, severity, severity=severity)
            await notifier.tick(world.clock.now_ms())
        hold.set()
        await world.settle(notifier)
    assert [one["title"] for one in world.receiver.pages[1].body["incidents"]] == ["critical", "warning", "info"]


async def test_more_incidents_than_a_message_holds_follow_in_the_next(world: World) -> None:
    await fold(world, *(f"A{n}" for n in range(150)))
    async with world.notifier() as notifier:
        await world.settle(notifier)
    assert [len(page.body["incidents"]) for page in world.receiver.pages] == [100, 50]
    assert len({one["id"] for page in world.receiver.pages for one in page.body["incidents"]}) == 150


async def test_what_is_acknowledged_while_it_waits_in_a_lane_is_not_sent(world: World) -> None:
    hold = asyncio.Event()
    world.receiver.answers.append(Answer(hold=hold))
    async with world.notifier() as notifier:
        await fold(world, "A")
        await notifier.tick(world.clock.now_ms())
        await world.receiver.page(1)
        await fold(world, "B", "C")
        await notifier.tick(world.clock.now_ms())
        waiting = next(i for i in await world.incidents() if i.title == "B")
        await world.act(waiting.number, Acknowledged("lee"))
        hold.set()
        await world.settle(notifier)
    assert [page.body["incident"]["title"] for page in world.receiver.pages] == ["A", "C"]


async def test_a_page_that_went_out_while_it_was_acknowledged_is_recorded_as_sent(world: World) -> None:
    hold = asyncio.Event()
    world.receiver.answers.append(Answer(hold=hold))
    async with world.notifier() as notifier:
        await fold(world, "A")
        await notifier.tick(world.clock.now_ms())
        await world.receiver.page(1)
        await world.act((await world.incident()).number, Acknowledged("lee"))
        hold.set()
        await world.settle(notifier)
    assert (await world.incident()).pages[0].status is PageStatus.SENT
    assert len(world.receiver.pages) == 1


async def test_a_stop_finishes_what_has_begun_and_leaves_the_rest_to_the_next_start(world: World) -> None:
    hold = asyncio.Event()
    world.receiver.answers.append(Answer(hold=hold))
    async with world.notifier() as notifier:
        await fold(world, "A")
        await notifier.tick(world.clock.now_ms())
        await world.receiver.page(1)
        await fold(world, "B")
        await notifier.tick(world.clock.now_ms())
        async with asyncio.TaskGroup() as group:
            stopping = group.create_task(notifier.drain())
            await until(lambda: notifier.lanes.under_way == 1)
            assert not stopping.done()
            hold.set()
    assert len(world.receiver.pages) == 1
    async with world.notifier() as notifier:
        await world.settle(notifier)
    assert [page.body["incident"]["title"] for page in world.receiver.pages] == ["A", "B"]


async def test_new_rules_change_the_accounts_of_the_next_page_and_nothing_is_lost(world: World) -> None:
    hold = asyncio.Event()
    world.receiver.answers.append(Answer(hold=hold))
    async with world.notifier() as notifier:
        await fold(world, "A")
        await notifier.tick(world.clock.now_ms())
        await world.receiver.page(1)
        await world.change_rules(edit=lambda text: text.replace("name: Kim,", "name: Kim B.,"))
        hold.set()
        await world.settle(notifier)
        await fold(world, "B")
        await world.settle(notifier)
    assert [page.body["incident"]["title"] for page in world.receiver.pages] == ["A", "B"]


async def test_the_outbox_is_empty_when_everything_was_sent(world: World) -> None:
    await fold(world, "A", "B")
    async with world.notifier() as notifier:
        await world.advance(notifier, 6 * MINUTE)
    assert [await scores(world.console, at.outbox) for at in world.console.at] == [{}] * world.shards
