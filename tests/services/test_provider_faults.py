"""A provider that is down, full, broken or slow: its people are reached by another contact, and nobody else notices.

The faulty provider is a server of its own (kim's first contact); the sound one carries everything else. Time is told; only attempts that
hang take real seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

import pytest

from notifier.accountqueue import SENDS_AT_ONCE_MAX
from notifier.breaker import FAILURES_MAX
from notifier.service import Notifier
from tests.fakes.receiver import Answer, Receiver
from tests.faults.figures import Figures
from tests.services.records import page_records
from tests.services.world import HOUR, MINUTE, World, until
from tocsin.policy.events import Assigned
from tocsin.policy.model import PageStatus

SECOND = 1_000
CROWD = 40


class OneByteASecond:
    """A server that answers 200, a byte every second."""

    def __init__(self) -> None:
        self.port = 0
        self.requests = 0
        self._over = asyncio.Event()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._over.set()
        self._server.close()
        await self._server.wait_closed()

    def contact(self, path: str) -> str:
        return f"webhook+http://127.0.0.1:{self.port}{path}"

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            self.requests += 1
            for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok":
                writer.write(bytes([byte]))
                await writer.drain()
                if await self._is_over(1.0):
                    return
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    async def _is_over(self, within_s: float) -> bool:
        try:
            async with asyncio.timeout(within_s):
                await self._over.wait()
        except TimeoutError:
            return False
        return True


def over_faulty(world: World, faulty: Receiver | OneByteASecond, crowd: int = 0) -> None:
    """Kim's first contact at the faulty provider; with a crowd, so many others as well, who share the duty and have a sound second one."""
    sound = world.receiver.contact

    def edit(text: str) -> str:
        text = text.replace(sound("/kim/1"), faulty.contact("/kim/1"))
        people = "".join(
            f"  c{n}: {{name: C{n}, contacts: [{{to: '{faulty.contact(f'/c{n}/1')}'}}, {{to: '{sound(f'/c{n}/2')}', after: 5m}}]}}\n"
            for n in range(crowd)
        )
        return text.replace("roles: {duty: {people: [kim]}", f"{people}roles: {{duty: {{people: [{', '.join(['kim', *_names(crowd)])}]}}")

    world.write_rules(edit=edit)


def _names(crowd: int) -> list[str]:
    return [f"c{n}" for n in range(crowd)]


async def fold(world: World, *names: str, severity: str = "critical") -> None:
    correlator = await world.correlator()
    for name in names:
        await world.report(name, severity=severity)
    await correlator.tick(world.clock.now_ms())


@asynccontextmanager
async def faulty_provider(world: World, fault: str) -> AsyncIterator[Receiver | OneByteASecond]:
    if fault == "one byte a second":
        async with OneByteASecond() as dribbler:
            yield dribbler
        return
    async with Receiver(world.clock.monotonic) as receiver:
        match fault:
            case "down":
                await receiver.stop()
            case "cut":
                receiver.otherwise = Answer(cut=True)
            case "429":
                receiver.otherwise = Answer(status=429, headers={"Retry-After": "1800"})
            case status:
                receiver.otherwise = Answer(status=int(status))
        yield receiver


FAULTS = ["down", "429", "500", "400", "cut", "one byte a second"]


@pytest.mark.parametrize("fault", FAULTS)
async def test_with_a_faulty_provider_a_person_is_reached_by_another_contact_within_two_minutes(
    world: World, fault: str, figure: Figures
) -> None:
    async with faulty_provider(world, fault) as faulty:
        over_faulty(world, faulty)
        async with world.notifier(notifier_send_timeout="1s") as notifier:
            await fold(world, "A")
            await world.settle(notifier)
            await world.advance(notifier, 2 * MINUTE, 5 * SECOND)
            [page] = world.receiver.pages
            assert page.path == "/kim/2"
            assert page.at_s < 120
            if fault != "one byte a second":
                await world.advance(notifier, HOUR, 30 * SECOND)
                assert world.receiver.copies()[page.key] == 1
        figure(36 if fault == "down" else 34, "until another contact is reached", page.at_s, "s", at_most=120.0)
        ambiguous = fault in ("500", "cut", "one byte a second")
        attempts = faulty.requests if isinstance(faulty, OneByteASecond) else faulty.copies().total()
        incident = await world.incident()
        first = next(p for p in incident.pages if p.step == 0 and p.contact == 0 and p.person == "kim")
        if ambiguous:
            figure(33, "copies over a provider that may have accepted", attempts, at_most=3)
            assert (attempts, first.status) == (3, PageStatus.FAILED), "three attempts without an answer are three copies at most"
        tried = await page_records(world, "page_retried", "page_refused", "page_given_up", "person_unreached")
        assert len(tried) >= first.attempts
        assert all(record.why for record in tried), "each attempt is in the history with its reason"


@pytest.mark.parametrize("fault", ["down", "429", "500", "cut"])
async def test_a_crowd_over_a_faulty_provider_is_reached_and_the_provider_is_spared(world: World, fault: str) -> None:
    async with faulty_provider(world, fault) as faulty:
        assert isinstance(faulty, Receiver)
        over_faulty(world, faulty, CROWD)
        async with world.notifier(notifier_send_timeout="1s") as notifier:
            await fold(world, "A")
            await world.settle(notifier)
            await world.advance(notifier, 2 * MINUTE, 5 * SECOND)
            reached = {page.path for page in world.receiver.pages}
            assert {f"/{name}/2" for name in ["kim", *_names(CROWD)]} <= reached
            assert max(page.at_s for page in world.receiver.pages) < 120
            assert set(world.receiver.copies().values()) == {1}
        # Attempts under way when the breaker opened, and then one probe every few seconds: not three for each person.
        assert len(faulty.pages) <= SENDS_AT_ONCE_MAX + FAILURES_MAX + 2 * 60 // 5
        assert max(faulty.copies().values(), default=0) <= 3


async def test_after_an_hour_down_a_provider_is_used_again_and_nobody_was_told_twice_by_it(world: World) -> None:
    async with Receiver(world.clock.monotonic) as faulty:
        over_faulty(world, faulty, CROWD)
        await faulty.stop()
        async with world.notifier() as notifier:
            await fold(world, "A")
            await world.settle(notifier)
            await world.advance(notifier, 25 * MINUTE, 20 * SECOND)
            assert not faulty.pages
            await faulty.start()
            await world.advance(notifier, 3 * MINUTE, 5 * SECOND)
        first = {f"/{name}/1" for name in ["kim", *_names(CROWD)]}
        assert {page.path for page in faulty.pages} == first, "definite failures are tried until they are taken"
        assert set(faulty.copies().values()) == {1}
    denied = [record for record in await page_records(world, "page_retried", "person_unreached") if "does not answer" in record.why]
    assert denied, "what was not even tried says so"


async def test_a_hanging_provider_takes_no_more_than_its_share_and_delays_nobody_else(world: World) -> None:
    """All that goes over the sound provider has arrived while every send over the hanging one still hangs."""
    async with Receiver(world.clock.monotonic) as faulty:
        hold = asyncio.Event()
        faulty.otherwise = Answer(hold=hold)
        over_faulty(world, faulty, CROWD)
        lee = world.receiver.contact("/lee/1")
        async with world.notifier() as notifier:
            await fold(world, "A")
            await notifier.tick(world.clock.now_ms())
            await faulty.page(SENDS_AT_ONCE_MAX)
            await world.change_rules(edit=lambda text: text.replace("duty: {people: [kim]}", "duty: {people: [lee]}"))
            await fold(world, *(f"B{n}" for n in range(10)))
            await notifier.tick(world.clock.now_ms())
            await world.receiver.wait_for(lambda pages: sum(len(p.body.get("incidents", [0])) for p in pages) >= 10)
            assert lee.endswith(world.receiver.pages[0].path)
            assert len(faulty.pages) == SENDS_AT_ONCE_MAX
            hold.set()
            await world.settle(notifier)


async def test_pages_that_wait_longer_than_their_claim_are_put_back_and_not_sent_twice(world: World) -> None:
    async with Receiver(world.clock.monotonic) as faulty:
        hold = asyncio.Event()
        faulty.otherwise = Answer(hold=hold)
        over_faulty(world, faulty, CROWD)
        async with world.notifier() as notifier:
            await fold(world, "A")
            await notifier.tick(world.clock.now_ms())
            await faulty.page(SENDS_AT_ONCE_MAX)
            for _ in range(30):  # a minute in which nothing moves, and claims end
                world.clock.advance(2 * SECOND)
                await notifier.tick(world.clock.now_ms())
                await until(lambda: not anything_to_judge(notifier))
            assert len(faulty.pages) == SENDS_AT_ONCE_MAX
            hold.set()
            await world.settle(notifier)
            await world.advance(notifier, 2 * MINUTE, 5 * SECOND)
        assert {page.path for page in faulty.pages} == {f"/{name}/1" for name in ["kim", *_names(CROWD)]}
        assert set(faulty.copies().values()) <= {1}
    held = await page_records(world, "page_held")
    assert held
    assert all("s for a message" in record.why for record in held)


def anything_to_judge(notifier: Notifier) -> bool:
    """Whether more than the hanging sends is under way."""
    return notifier.lanes.under_way > SENDS_AT_ONCE_MAX


async def test_retry_after_pauses_the_whole_account_and_then_everything_goes(world: World) -> None:
    async with Receiver(world.clock.monotonic) as faulty:
        faulty.answers.append(Answer(status=429, headers={"Retry-After": "8"}))
        over_faulty(world, faulty)
        lee = world.receiver.contact("/lee/1")
        world.rules_file.write_text(world.rules_file.read_text().replace(lee, faulty.contact("/lee/1")))
        async with world.notifier() as notifier:
            await fold(world, "A")
            await world.settle(notifier)
            await world.act((await world.incident()).number, Assigned("max", to="lee"))
            await world.settle(notifier)
            assert len(faulty.pages) == 1, "the provider asked for a pause, whoever the page is for"
            await world.advance(notifier, 10 * SECOND, SECOND)
    assert sorted((page.path, page.at_s) for page in faulty.pages) == [("/kim/1", 0.0), ("/kim/1", 8.0), ("/lee/1", 8.0)]
