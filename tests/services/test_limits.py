"""How much goes in a time, in which order, and what waits: each part by itself, and all of it over a real store."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.accountqueue import (
    FLOOD_LIMIT,
    JOINS_MS,
    LINE_WORDS,
    RINGING_LIMIT,
    AccountQueue,
    ContactRule,
    Denied,
    Held,
    Lane,
    Waiting,
    account_of,
)
from notifier.breaker import FAILURES_MAX, PROBE_EVERY_MS, Breaker
from notifier.channels import Sent
from notifier.compose import DuePage
from notifier.fairline import FairLine, Place
from notifier.limits import Window, Windows, in_words
from tests.policy.world import Story
from tests.services.records import page_records
from tests.services.world import HOUR, MINUTE, NOW, World
from tocsin.policy.accounts import Limit
from tocsin.policy.events import Acknowledged
from tocsin.policy.model import Incident, PageKind, PageStatus

SECOND = 1_000

# --- windows ------------------------------------------------------------------------------------------------------------------------------


@given(st.integers(1, 6), st.integers(1, 50), st.lists(st.integers(0, 30), max_size=60))
def test_no_span_of_a_window_ever_holds_more_than_its_limit(count: int, per_ms: int, pauses: list[int]) -> None:
    window, now, sent = Window(Limit(count, per_ms)), 0, []
    for pause in pauses:
        now = window.free_at(now + pause)
        window.take(now)
        sent.append(now)
    for at in sent:
        assert sum(at <= other < at + per_ms for other in sent) <= count


@given(st.integers(1, 5), st.integers(1, 40), st.lists(st.integers(0, 30), max_size=12), st.integers(1, 20))
def test_the_turn_that_a_window_names_is_when_it_comes(count: int, per_ms: int, pauses: list[int], ahead: int) -> None:
    window, now = Window(Limit(count, per_ms)), 0
    for pause in pauses:
        now = window.free_at(now + pause)
        window.take(now)
    expected = [window.free_at(now, place) for place in range(ahead)]
    came = []
    for _ in range(ahead):
        now = window.free_at(now)
        window.take(now)
        came.append(now)
    assert came == expected


def test_a_send_that_did_not_take_place_is_given_back() -> None:
    window = Window(Limit(1, SECOND))
    window.take(NOW)
    assert window.free_at(NOW) == NOW + SECOND
    window.give_back(NOW)
    assert window.free_at(NOW) == NOW


def test_a_long_window_outlives_its_notifier_and_a_short_one_counts_as_used_up() -> None:
    hour, second = Limit(3, HOUR), Limit(2, SECOND)
    old = Windows(NOW, {})
    for after in (0, 10, 20):
        old.of("sms", hour).take(NOW + after * MINUTE)
    now = NOW + 30 * MINUTE
    notes = old.notes(now)
    assert not any("sms" in name for name in notes), "addresses are secrets"
    new = Windows(now, notes)
    assert new.of("sms", hour).free_at(now) == NOW + HOUR
    assert new.of("mail", second).free_at(now) == now + SECOND
    assert new.of("mail", second).free_at(now + SECOND) == now + SECOND
    assert Windows(NOW + 3 * HOUR, notes).of("sms", hour).free_at(NOW + 3 * HOUR) == NOW + 3 * HOUR


def test_what_a_window_keeps_is_small_and_never_too_early() -> None:
    limit = Limit(10_000, HOUR)
    windows = Windows(NOW, {})
    for n in range(10_000):
        windows.of("mail", limit).take(NOW + n * 300)
    now = NOW + 3_000_000
    notes = windows.notes(now)
    assert sum(map(len, notes.values())) < 2_000
    for ahead in (0, 10, 9_000):
        there, here = Windows(now, notes).of("mail", limit).free_at(now, ahead), windows.of("mail", limit).free_at(now, ahead)
        assert here <= there <= here + MINUTE


def test_a_window_that_holds_nothing_any_more_is_forgotten_in_the_store_too() -> None:
    windows = Windows(NOW, {})
    windows.of("sms", Limit(1, MINUTE)).take(NOW)
    [name] = windows.notes(NOW)
    assert windows.notes(NOW + 30 * SECOND) == {}
    assert windows.notes(NOW + MINUTE) == {name: b""}
    assert windows.notes(NOW + HOUR) == {}


def test_a_note_that_cannot_be_read_is_none() -> None:
    old = Windows(NOW, {})
    old.of("sms", Limit(1, HOUR)).take(NOW)
    [name] = old.notes(NOW)
    assert Windows(NOW, {name: b"[[1"}).of("sms", Limit(1, HOUR)).free_at(NOW) == NOW


def test_a_limit_is_said_as_people_say_it() -> None:
    limits = [Limit(10, SECOND), Limit(20, MINUTE), Limit(1, HOUR), Limit(5, 15 * MINUTE)]
    assert [in_words(limit) for limit in limits] == ["10 a second", "20 a minute", "1 an hour", "5 in 15m"]


# --- breaker ------------------------------------------------------------------------------------------------------------------------------


def test_a_breaker_opens_after_failures_in_a_row_and_lets_one_page_probe() -> None:
    breaker = Breaker()
    for _ in range(FAILURES_MAX - 1):
        breaker.failed(NOW)
    breaker.answered()
    opened = [breaker.failed(NOW) for _ in range(FAILURES_MAX + 2)]
    assert opened == [n == FAILURES_MAX for n in range(1, FAILURES_MAX + 3)]
    assert not breaker.may_probe(NOW + PROBE_EVERY_MS - 1)
    assert breaker.may_probe(NOW + PROBE_EVERY_MS)
    breaker.probe_begins()
    assert not breaker.may_probe(NOW + HOUR), "one at a time"
    breaker.failed(NOW + HOUR)
    assert not breaker.may_probe(NOW + HOUR)
    breaker.probe_begins()
    assert breaker.answered()
    assert not breaker.is_open


# --- line ---------------------------------------------------------------------------------------------------------------------------------

PLACES = st.builds(Place, st.integers(1, 3), st.sampled_from("abc"), st.integers(0, 5), st.sampled_from(["x", "y", "z", "u", "v"]))


@given(st.lists(PLACES, max_size=25), st.lists(PLACES, max_size=10))
def test_the_line_serves_the_gravest_then_services_in_turn_then_the_oldest(places: list[Place], leave: list[Place]) -> None:
    line = FairLine()
    for place in places:
        line.add(place)
    for place in leave:
        line.discard(place)
    left = set(places) - set(leave)
    assert len(line) == len(left)
    served: dict[str, int] = {}
    turn = 0
    while (first := line.first(served)) is not None:
        assert first in left
        assert first.urgency == min(place.urgency for place in left)
        rivals = {place.service for place in left if place.urgency == first.urgency}
        assert served.get(first.service, 0) == min(served.get(service, 0) for service in rivals)
        assert first == min(place for place in left if place[:2] == first[:2])
        turn += 1
        served[first.service] = turn
        line.discard(first)
        left.discard(first)
    assert not left


@given(st.sets(PLACES, min_size=1, max_size=25), st.dictionaries(st.sampled_from("abc"), st.integers(1, 9)))
def test_who_is_said_to_be_before_a_place_is_who_goes_before_it(places: set[Place], served: dict[str, int]) -> None:
    line = FairLine()
    for place in places:
        line.add(place)
    said = line.ranks(served)
    turns = max(served.values(), default=0)
    came: list[Place] = []
    while (first := line.first(served)) is not None:
        came.append(first)
        served[first.service] = turns + len(came)
        line.discard(first)
    assert said == {place: rank for rank, place in enumerate(came)}


# --- accounts and contacts ----------------------------------------------------------------------------------------------------------------


def test_an_account_is_a_provider_a_host_or_a_robot_and_its_name_holds_no_secret() -> None:
    assert account_of("mailto:kim@example.com")[1] == account_of("mailto:lee@example.org")[1] == "mail"
    assert account_of("webhook+https://hooks.example.com/a")[1] == account_of("webhook+https://HOOKS.example.com/b")[1]
    assert account_of("webhook+https://hooks.example.com/a")[1] != account_of("webhook+http://hooks.example.com/a")[1]
    one, other = (account_of(f"dingtalk+https://oapi.dingtalk.com/robot/send?access_token={token}") for token in ("one", "other"))
    assert one[1] != other[1]
    assert one[2] == other[2] == "dingtalk"
    assert account_of("webhook+https://user:secret@hooks.example.com/a")[2] == "webhook hooks.example.com"


def test_what_rings_takes_one_in_two_minutes_other_people_twenty_and_programs_everything_unless_the_rules_say_otherwise() -> None:
    def limit_of(own: Limit | None, channel: str) -> Limit | None:
        rule = ContactRule.of(own, channel)
        return None if rule is None else rule.limit

    assert [limit_of(None, channel) for channel in ("tel", "mail", "webhook")] == [RINGING_LIMIT, FLOOD_LIMIT, None]
    own = Limit(5, 15 * MINUTE)
    assert [limit_of(own, channel) for channel in ("tel", "mail", "webhook")] == [own, own, own]


def waiting(name: str, severity: int, kind: PageKind = PageKind.PAGE, attempts: int = 0, held_at: int | None = None) -> Waiting:
    """A page that has just been claimed."""
    story = Story()
    story.opens(severity)
    page = replace(story.incident.pages[0], id=name, kind=kind, attempts=attempts, held_at=held_at)
    return Waiting(DuePage(page, story.incident), NOW + HOUR)


def heard(queue: AccountQueue, lane: Lane, now: int, *pages: Waiting) -> list[Held | Denied]:
    """Let pages fall due; whatever may go goes, and has arrived at once. Return what may not."""
    lane.waiting |= {w.due.page.id: w for w in pages}
    queue.put(lane)
    verdicts = queue.review(now, None, more_due=False)
    if queue.may_send(now, more_due=False):
        assert queue.next(now) is lane
        for window in queue.windows_of(lane, lane.rule(), lane.waiting.values()):
            window.take(now)
        lane.waiting.clear()
        queue.done(lane, now, Sent(None), began_at=now, took_ms=1)
    return verdicts


def phone(scheme: str) -> tuple[AccountQueue, Lane]:
    address = f"{scheme}:+821011112222"
    queue = AccountQueue(address, Windows(NOW, {}), wait_max_ms=10 * SECOND)
    return queue, Lane(address, queue)


@pytest.mark.parametrize("first", [PageKind.PAGE, PageKind.TEST, PageKind.RESOLVED])
def test_a_number_that_was_called_is_called_again_a_minute_later(first: PageKind) -> None:
    queue, lane = phone("tel")
    assert heard(queue, lane, NOW, waiting("a", 2, first)) == []
    [held] = heard(queue, lane, NOW + 20 * SECOND, waiting("b", 1))
    assert isinstance(held, Held)
    assert ([page for _, page in held.pages], held.why, held.until) == (["b"], LINE_WORDS, NOW + MINUTE + JOINS_MS)
    [called] = heard(queue, lane, NOW + MINUTE, waiting("c", 1))
    assert isinstance(called, Held)
    assert (called.pages, [(page, until) for _, page, until in called.along]) == ((), [("b", held.until)]), "c takes b along"


def test_a_grave_call_that_waited_two_minutes_waits_no_longer() -> None:
    queue, lane = phone("tel")
    heard(queue, lane, NOW + 90 * SECOND, waiting("a", 1))
    assert heard(queue, lane, NOW + 2 * MINUTE, waiting("b", 1, held_at=NOW)) == []


def test_retries_and_tests_do_not_wait_for_a_call() -> None:
    queue, lane = phone("tel")
    heard(queue, lane, NOW, waiting("a", 1))
    assert heard(queue, lane, NOW + SECOND, waiting("b", 1, attempts=1)) == []
    assert heard(queue, lane, NOW + SECOND, waiting("c", 1, PageKind.TEST)) == []


def test_severity_1_is_texted_at_once_and_a_lesser_one_waits_two_minutes() -> None:
    queue, lane = phone("sms")
    heard(queue, lane, NOW, waiting("a", 1))
    assert heard(queue, lane, NOW + SECOND, waiting("b", 1)) == []
    [held] = heard(queue, lane, NOW + 2 * SECOND, waiting("c", 2))
    assert isinstance(held, Held)
    assert held.until == NOW + SECOND + 2 * MINUTE


# --- over a real store --------------------------------------------------------------------------------------------------------------------


async def fold(world: World, *names: str, severity: str = "warning") -> None:
    correlator = await world.correlator()
    for name in names:
        await world.report(name, severity=severity)
    await correlator.tick(world.clock.now_ms())


async def titled(world: World, name: str) -> Incident:
    return next(incident for incident in await world.incidents() if incident.title == name)


def titles(world: World, path: str = "/kim/1") -> list[list[str]]:
    """The incidents of each message to a contact."""
    return [[one["title"] for one in p.body.get("incidents", [p.body["incident"]])] for p in world.receiver.pages if p.path == path]


def limited(world: World, limit: str) -> None:
    at = world.receiver.contact("/kim/1")
    world.write_rules(edit=lambda text: text.replace(f"{{to: '{at}'}}", f"{{to: '{at}', limit: {limit}}}"))


async def test_beyond_a_persons_limit_pages_wait_for_the_window_and_come_as_one(world: World) -> None:
    limited(world, "2/15m")
    async with world.notifier() as notifier:
        for name in ("A", "B", "C", "D"):
            await fold(world, name)
            await world.settle(notifier)
            await world.advance(notifier, 1_000, 1_000)
        assert titles(world) == [["A"], ["B"]]
        await world.advance(notifier, 14 * MINUTE)
        assert titles(world) == [["A"], ["B"]]
        await world.advance(notifier, 1 * MINUTE)
    assert titles(world) == [["A"], ["B"], ["C", "D"]]
    number = (await titled(world, "C")).number
    [held] = [record for record in await page_records(world, "page_held") if record.incident == number]
    assert (held.why, held.until) == ("this contact takes 2 in 15m", NOW + 15 * MINUTE)


async def test_severity_1_takes_along_what_is_held_and_is_not_held_itself(world: World) -> None:
    limited(world, "1/1h")
    async with world.notifier() as notifier:
        await fold(world, "A")
        await world.settle(notifier)
        await fold(world, "B", "C")
        await world.settle(notifier)
        await world.advance(notifier, 3 * MINUTE)
        assert titles(world) == [["A"]]
        await fold(world, "grave", severity="critical")
        await world.settle(notifier)
    assert titles(world) == [["A"], ["grave", "B", "C"]]
    assert world.receiver.pages[-1].at_s == 180.0


async def test_severity_1_beyond_a_limit_is_bundled_and_goes_out_within_two_minutes(world: World) -> None:
    limited(world, "1/1h")
    async with world.notifier() as notifier:
        for name in ("A", "B", "C", "D"):
            await fold(world, name, severity="critical")
            await world.settle(notifier)
            await world.advance(notifier, 10_000, 10_000)
        assert titles(world) == [["A"]]
        await world.advance(notifier, 80_000, 10_000)
        assert titles(world) == [["A"], ["B", "C", "D"]]
        assert world.receiver.pages[-1].at_s == 120.0
        await world.advance(notifier, 10 * MINUTE)
    assert all(incident.pages[0].status is PageStatus.SENT for incident in await world.incidents())


async def test_held_pages_of_what_is_acknowledged_are_never_sent(world: World) -> None:
    limited(world, "1/15m")
    async with world.notifier() as notifier:
        await fold(world, "A")
        await world.settle(notifier)
        await fold(world, "B", "C")
        await world.settle(notifier)
        await world.act((await titled(world, "B")).number, Acknowledged("lee"))
        await world.advance(notifier, 20 * MINUTE)
    assert titles(world) == [["A"], ["C"]]


async def test_a_flood_of_lesser_pages_to_one_person_becomes_a_few_messages(world: World) -> None:
    limited(world, "20/2m")
    async with world.notifier() as notifier:
        for n in range(60):
            await fold(world, f"A{n}")
            await world.settle(notifier)
            await world.advance(notifier, 1_000, 1_000)
        await world.advance(notifier, 3 * MINUTE, 10_000)
    messages = titles(world)
    assert [len(message) for message in messages] == [1] * 20 + [40]
    assert [title for message in messages for title in message] == [f"A{n}" for n in range(60)]


async def test_a_program_gets_every_page_at_once(world: World) -> None:
    async with world.notifier() as notifier:
        for n in range(60):
            await fold(world, f"A{n}")
            await world.settle(notifier)
    assert titles(world) == [[f"A{n}"] for n in range(60)]


async def test_a_limit_is_kept_over_a_restart(world: World) -> None:
    limited(world, "2/15m")
    async with world.notifier() as notifier:
        for name in ("A", "B"):
            await fold(world, name)
            await world.settle(notifier)
        await world.advance(notifier, 3_000, 1_000)
    async with world.notifier() as notifier:
        await fold(world, "C")
        await world.settle(notifier)
        assert titles(world) == [["A"], ["B"]]
        await world.advance(notifier, 15 * MINUTE)
    assert titles(world) == [["A"], ["B"], ["C"]]
