"""Who is paged, when, over what and how often: ticks on a real store, pages at a real receiver."""

from __future__ import annotations

from tests.fakes.receiver import Answer
from tests.services.world import HOUR, MINUTE, World
from tocsin.policy.events import Acknowledged
from tocsin.policy.model import PageStatus, State


async def opened(world: World, *names: str) -> None:
    """Fire and fold: every name is an incident."""
    correlator = await world.correlator()
    for name in names:
        await world.report(name)
    await correlator.tick(world.clock.now_ms())


async def test_the_ladder_is_climbed_on_time_and_its_last_rung_repeated(world: World) -> None:
    await opened(world, "A")
    async with world.notifier() as notifier:
        await world.settle(notifier)
        await world.advance(notifier, 3 * HOUR)
    lines = [("/kim/1", 0), ("/kim/2", 5), ("/lee/1", 30), ("/max/1", 120), ("/max/1", 150), ("/max/1", 180)]
    assert world.arrived() == lines
    assert [page.body["late_by_s"] for page in world.receiver.pages if page.path != "/kim/2"] == [0.0] * 5
    assert set(world.receiver.copies().values()) == {1}


async def test_acknowledging_stops_the_ladder_until_its_end_with_a_reminder_before(world: World) -> None:
    await opened(world, "A")
    async with world.notifier() as notifier:
        await world.settle(notifier)
        await world.advance(notifier, 2 * MINUTE)
        await world.act((await world.incident()).number, Acknowledged("kim"))
        await world.advance(notifier, 29 * MINUTE)
        assert world.arrived() == [("/kim/1", 0), ("/kim/1", 27)]
        assert world.receiver.pages[-1].body["kind"] == "reminder"
        await world.advance(notifier, 4 * MINUTE)
    assert world.arrived()[2:] == [("/lee/1", 32)], "past its end the ladder goes on from where it stood"
    assert (await world.incident()).state is State.OPEN


async def test_a_refusal_brings_the_next_contact_at_once(world: World) -> None:
    await opened(world, "A")
    world.receiver.answers.append(Answer(status=404))
    async with world.notifier() as notifier:
        await world.settle(notifier)
    assert world.arrived() == [("/kim/1", 0), ("/kim/2", 0)]
    assert [page.status for page in (await world.incident()).pages] == [PageStatus.FAILED, PageStatus.SENT]


async def test_three_failures_bring_the_next_contact_and_the_first_is_tried_on(world: World) -> None:
    await opened(world, "A")
    world.receiver.answers += [Answer(status=429)] * 3
    async with world.notifier() as notifier:
        await world.settle(notifier)
        await world.advance(notifier, 30_000, 1_000)
    paths = [page.path for page in world.receiver.pages]
    assert paths[:3] == ["/kim/1"] * 3
    assert paths.count("/kim/2") == 1
    assert world.receiver.pages[3].at_s < 10, "after seconds, not after the contact's 5 minutes"
    assert paths.count("/kim/1") == 4, "a definite failure is tried until it is taken"
    assert [page.body["attempt"] for page in world.receiver.pages if page.path == "/kim/1"] == [1, 2, 3, 4]


async def test_retry_after_is_kept(world: World) -> None:
    await opened(world, "A")
    world.receiver.answers.append(Answer(status=429, headers={"Retry-After": "40"}))
    async with world.notifier() as notifier:
        await world.settle(notifier)
        await world.advance(notifier, 3 * MINUTE, 10_000)
    assert [(page.path, page.at_s) for page in world.receiver.pages] == [("/kim/1", 0.0), ("/kim/1", 40.0)]


async def test_three_attempts_without_an_answer_change_the_channel(world: World) -> None:
    await opened(world, "A")
    world.receiver.answers += [Answer(cut=True)] * 3
    async with world.notifier() as notifier:
        await world.settle(notifier)
        await world.advance(notifier, 4 * MINUTE, 10_000)
    name = (await world.incident()).id
    assert world.receiver.copies() == {f"{name}.0.kim.0": 3, f"{name}.0.kim.1": 1}
    assert [page.status for page in (await world.incident()).pages] == [PageStatus.FAILED, PageStatus.SENT]


async def test_when_nobody_can_be_reached_the_next_rung_is_paged_at_once(world: World) -> None:
    await opened(world, "A")
    world.receiver.answers += [Answer(status=410)] * 3
    async with world.notifier() as notifier:
        await world.settle(notifier)
    assert world.arrived() == [("/kim/1", 0), ("/kim/2", 0), ("/lee/1", 0), ("/max/1", 0)]


async def test_when_the_whole_ladder_is_deaf_the_emergency_contacts_are_paged(world: World) -> None:
    await opened(world, "A")
    world.receiver.answers += [Answer(status=410)] * 4
    async with world.notifier() as notifier:
        await world.settle(notifier)
    assert [page.path for page in world.receiver.pages] == ["/kim/1", "/kim/2", "/lee/1", "/max/1", "/ops/1"]


async def test_incidents_that_fall_due_together_are_one_page_gravest_first(world: World) -> None:
    correlator = await world.correlator()
    for name in ("W1", "W2", "W3"):
        await world.report(name, severity="warning")
    world.clock.advance(1_000)
    for name in ("C1", "C2"):
        await world.report(name)
    await correlator.tick(world.clock.now_ms())
    async with world.notifier() as notifier:
        await world.settle(notifier)
    [page] = world.receiver.pages
    assert page.body["incident"]["severity"] == 1
    assert [one["severity"] for one in page.body["incidents"]] == [1, 1, 2, 2, 2]
    assert len({one["id"] for one in page.body["incidents"]}) == 5
    assert all(page.status is PageStatus.SENT for i in await world.incidents() for page in i.pages if page.contact == 0)


async def test_a_page_that_may_have_arrived_goes_alone(world: World) -> None:
    """Its receiver may drop what has the same key, and with it what shared the message."""
    await opened(world, "A", "B")
    world.receiver.answers.append(Answer(cut=True))
    async with world.notifier() as notifier:
        await world.settle(notifier)
        await world.advance(notifier, 10_000, 1_000)
    first, *again = world.receiver.pages
    assert len(first.body["incidents"]) == 2
    assert len(again) == 2
    assert all("incidents" not in page.body for page in again)
    assert len({page.key for page in again}) == 2


async def test_after_a_pause_each_person_gets_one_page_that_names_everything(world: World) -> None:
    await opened(world, "A", "B", "C", "D", "E")
    async with world.notifier() as notifier:
        await world.settle(notifier)
        assert world.arrived() == [("/kim/1", 0)]
        world.clock.advance(3 * HOUR)
        await world.settle(notifier)
    later = {page.path: page for page in world.receiver.pages[1:]}
    assert sorted(page.path for page in world.receiver.pages[1:]) == ["/kim/2", "/lee/1", "/max/1"]
    assert all(len(page.body["incidents"]) == 5 for page in later.values())
    assert later["/lee/1"].body["late_by_s"] == 150 * 60
    assert later["/max/1"].body["late_by_s"] == 60 * 60


async def test_a_page_whose_contact_left_the_rules_goes_to_the_next_one(world: World) -> None:
    await opened(world, "A")
    async with world.notifier() as notifier:
        await world.settle(notifier)
        await world.advance(notifier, 4 * MINUTE)
        second = f", {{to: '{world.receiver.contact('')}/kim/2', after: 5m}}"
        await world.change_rules(edit=lambda text: text.replace(second, ""))
        await world.advance(notifier, 2 * MINUTE)
    [first, gone] = (await world.incident()).pages
    assert (first.status, gone.status) == (PageStatus.SENT, PageStatus.FAILED)
    assert "no longer in the rules" in gone.reason
    assert world.arrived() == [("/kim/1", 0)]


async def test_an_incident_that_cannot_be_decided_or_told_stops_no_other(world: World) -> None:
    await opened(world, "A", "B")
    broken, sound = await world.incidents()
    await world.spoil(broken.number)
    async with world.notifier() as notifier:
        await world.settle(notifier)
        await world.advance(notifier, 31 * MINUTE)
        lines = [(page.path, page.body["incident"]["id"]) for page in world.receiver.pages]
        assert ("/lee/1", sound.id) in lines
        await world.spoil(broken.number, b'"severity":9', b'"severity":1')
        await world.advance(notifier, 2 * MINUTE)
    assert any(page.body["incident"]["id"] == broken.id for page in world.receiver.pages)
