"""What a provider says afterwards, and who passes it on: through `Answers`, on a real store, up to the page that arrives."""

from __future__ import annotations

from notifier.answers import Answers
from tests.services.chats import answers_of, opened
from tests.services.world import MINUTE, World
from tocsin.policy.events import Acknowledged, PageSent
from tocsin.policy.model import Page, PageStatus, State


async def paged(world: World) -> Answers:
    """kim's first contact took a page."""
    await opened(world, "Disk")
    async with world.notifier() as notifier:
        await world.settle(notifier)
    assert world.arrived() == [("/kim/1", 0)]
    return await answers_of(world)


async def page_to(world: World, contact: int) -> Page:
    incident = await world.incident()
    return next(p for p in incident.pages if (p.person, p.contact) == ("kim", contact))


async def test_a_page_that_did_not_arrive_after_all_goes_to_the_next_contact_at_once(world: World) -> None:
    answers = await paged(world)
    await answers.failed((await page_to(world, 0)).id, "handset off")
    async with world.notifier() as notifier:
        await world.settle(notifier)
    assert world.arrived() == [("/kim/1", 0), ("/kim/2", 0)]
    assert (await page_to(world, 0)).reason == "handset off"


async def test_no_receipt_in_its_time_is_noticed_by_the_incidents_own_timer(world: World) -> None:
    await opened(world, "Disk")
    page = await page_to(world, 0)
    await world.act(int(page.id.split(".")[0].removeprefix("INC-")), PageSent(page.id, "SM1", MINUTE))
    async with world.notifier() as notifier:
        await world.settle(notifier)
        assert world.arrived() == []
        await world.advance(notifier, MINUTE)
    assert world.arrived() == [("/kim/2", 1)]


async def test_a_page_that_arrived_is_recorded_once(world: World) -> None:
    answers = await paged(world)
    page = await page_to(world, 0)
    await answers.arrived(page.id, "SM1")
    version = (await world.incident()).version
    await answers.arrived(page.id, "SM1")
    await answers.failed(page.id, "handset off")
    assert (await world.incident()).version == version
    found = await page_to(world, 0)
    assert (found.status, found.delivered_at) == (PageStatus.SENT, world.clock.now_ms())


async def test_receipts_of_pages_that_never_were_change_nothing(world: World) -> None:
    answers = await paged(world)
    before = await world.incident()
    for page_id in ("", "INC-", "INC-999.0.kim.0", f"{before.id}.77.kim.0", "INC-1e9.0.kim.0", "x" * 10_000):
        await answers.arrived(page_id, "SM1")
        await answers.failed(page_id, "gone")
    assert await world.incident() == before


async def test_who_cannot_passes_it_on_and_the_next_rung_is_paged_at_once(world: World) -> None:
    answers = await paged(world)
    number = (await world.incident()).number
    [answered] = await answers.pass_on([number], "kim", "tel")
    assert (answered.outcome, answered.state) == ("done", State.OPEN)
    async with world.notifier() as notifier:
        await world.advance(notifier, 6 * MINUTE)
    assert world.arrived()[0:2] == [("/kim/1", 0), ("/lee/1", 1)]
    assert len(world.arrived()) == 2, "kim's second contact is left alone"


async def test_what_another_has_is_not_passed_on(world: World) -> None:
    answers = await paged(world)
    number = (await world.incident()).number
    await world.act(number, Acknowledged("lee"))
    [answered] = await answers.pass_on([number], "kim", "tel")
    assert (answered.outcome, answered.holder) == ("already", "Lee")
    assert (await answers.pass_on([999], "kim", "tel"))[0].outcome == "missing"
