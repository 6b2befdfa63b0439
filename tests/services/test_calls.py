"""One phone is called one call at a time: what falls due meanwhile waits for the next call and is said in it. Over a real store.

kim's first contact is a phone whose calls a gateway makes; the gateway is the receiver.
"""

from __future__ import annotations

from itertools import pairwise

from notifier.accountqueue import CALLS_LIMIT, JOINS_MS
from tests.fakes.receiver import Answer
from tests.services.records import page_records
from tests.services.test_limits import SECOND, fold
from tests.services.world import MINUTE, NOW, World
from tocsin.policy.model import PageStatus

KIM = "+821011112222"
APART_S = (CALLS_LIMIT.per_ms + JOINS_MS) / SECOND


def with_phone(world: World, more: str = "", scheme: str = "tel") -> None:
    """Make a phone of kim's first contact."""
    at = world.receiver.contact("/kim/1")
    url = at.removeprefix("webhook+").replace("/kim/1", "/phone")
    gateway = f"""channels: {{{scheme}: {{provider: http, url: '{url}', body: '{{"to": "{{to}}", "said": "{{text}}"}}'}}}}\n"""
    world.write_rules(edit=lambda text: text.replace(f"{{to: '{at}'}}", f"{{to: '{scheme}:{KIM}'{more}}}") + gateway)


def calls(world: World) -> list[tuple[float, str]]:
    """When kim's phone rang (s), and what was said."""
    return [(page.at_s, page.body["said"]) for page in world.receiver.pages if page.path == "/phone"]


def rang_at(world: World) -> list[float]:
    return [at_s for at_s, _ in calls(world)]


async def test_four_grave_incidents_a_second_apart_ring_once_a_minute_and_together(world: World) -> None:
    with_phone(world, ", repeat: 1m, times: 3")
    async with world.notifier() as notifier:
        for name in ("A", "B", "C", "D"):
            await fold(world, name, severity="critical")
            await world.settle(notifier)
            await world.advance(notifier, SECOND, SECOND)
        assert rang_at(world) == [0.0]
        await world.advance(notifier, 4 * MINUTE, SECOND)
    starts = rang_at(world)
    # A rings again 60 s after its first call, and takes the others along; the third time is the last of A, the fourth that of the others.
    assert starts == [0.0, 60.0, 120.0, 180.0]
    said = [text for _, text in calls(world)]
    assert ["4 incidents" in text for text in said] == [False, True, True, False]
    assert "3 incidents" in said[3]
    assert all(page.status is PageStatus.SENT for incident in await world.incidents() for page in incident.pages if page.contact == 0)


async def test_the_history_says_why_a_page_waits_for_the_next_call(world: World) -> None:
    with_phone(world)
    async with world.notifier() as notifier:
        for name in ("A", "B"):
            await fold(world, name, severity="critical")
            await world.settle(notifier)
            await world.advance(notifier, SECOND, SECOND)
        await world.advance(notifier, 2 * MINUTE, SECOND)
    assert rang_at(world) == [0.0, APART_S]
    [held] = await page_records(world, "page_held")
    assert held.why == "calls to a number begin 1m apart at least; what waits goes out together"
    assert (held.at, held.until) == (NOW + SECOND, NOW + round(APART_S * SECOND))


async def test_calls_are_apart_whatever_the_person_s_own_limit_allows(world: World) -> None:
    with_phone(world, ", limit: 5/15m")
    async with world.notifier() as notifier:
        for name, severity in (("A", "warning"), ("B", "critical"), ("C", "warning")):
            await fold(world, name, severity=severity)
            await world.settle(notifier)
            await world.advance(notifier, SECOND, SECOND)
        await world.advance(notifier, 5 * MINUTE, SECOND)
    assert rang_at(world) == [0.0, APART_S]
    assert "2 incidents" in calls(world)[1][1]


async def test_a_grave_call_takes_along_what_the_contact_was_not_to_hear_of_yet(world: World) -> None:
    with_phone(world)
    async with world.notifier() as notifier:
        for name, severity in (("A", "warning"), ("B", "warning"), ("C", "critical")):
            await fold(world, name, severity=severity)
            await world.settle(notifier)
            await world.advance(notifier, SECOND, SECOND)
        await world.advance(notifier, 3 * MINUTE, SECOND)
    assert rang_at(world) == [0.0, APART_S]
    assert "2 incidents" in calls(world)[1][1]


async def test_no_grave_page_waits_for_calls_longer_than_two_minutes(world: World) -> None:
    with_phone(world)
    async with world.notifier() as notifier:
        for n in range(100):
            await fold(world, f"A{n}", severity="critical")
            await world.settle(notifier)
            await world.advance(notifier, 3 * SECOND, SECOND)
        await world.advance(notifier, 3 * MINUTE, SECOND)
    starts = rang_at(world)
    assert all(later - earlier >= CALLS_LIMIT.per_ms / SECOND for earlier, later in pairwise(starts))
    for incident in await world.incidents():
        first = incident.pages[0]
        assert first.settled_at is not None
        assert first.settled_at - first.rung_due_at <= 2 * MINUTE


async def test_a_call_that_did_not_take_place_makes_nobody_wait(world: World) -> None:
    with_phone(world)
    world.receiver.answers.append(Answer(status=404))
    async with world.notifier() as notifier:
        for name in ("A", "B"):
            await fold(world, name, severity="critical")
            await world.settle(notifier)
            await world.advance(notifier, SECOND, SECOND)
    assert rang_at(world) == [0.0, 1.0]


async def test_a_notifier_that_starts_knows_who_is_on_the_phone(world: World) -> None:
    with_phone(world)
    async with world.notifier() as notifier:
        await fold(world, "A", severity="critical")
        await world.settle(notifier)
        await world.advance(notifier, 3 * SECOND, SECOND)
    async with world.notifier() as notifier:
        await fold(world, "B", severity="critical")
        await world.settle(notifier)
        assert rang_at(world) == [0.0]
        await world.advance(notifier, MINUTE, SECOND)
    assert rang_at(world) == [0.0, APART_S]


async def test_text_messages_of_severity_1_go_out_at_once(world: World) -> None:
    with_phone(world, scheme="sms")
    async with world.notifier() as notifier:
        for name in ("A", "B", "C"):
            await fold(world, name, severity="critical")
            await world.settle(notifier)
            await world.advance(notifier, SECOND, SECOND)
    assert rang_at(world) == [0.0, 1.0, 2.0]
