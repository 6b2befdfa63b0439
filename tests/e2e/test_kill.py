"""Every process killed with SIGKILL while it works, under a steady stream of new alerts, and everything started again.

What must hold afterwards is checked from outside: what senders were answered, what the receiver got, what the console shows.
"""

import asyncio
import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.e2e.peers import Sender
from tests.e2e.product import CLOCK, PEOPLE, ROLES, STORE, SUPERVISOR, Product, named_in, pause, rules_text, until
from tests.fakes.receiver import Answer, ReceivedPage, Receiver
from tests.faults.figures import Figures

RUNGS_S = (0, 1, 2, 4)
RULES = {1: [f"{after}s" for after in RUNGS_S]}

ALERTS, PER_S = 150, 50.0
ACKNOWLEDGE_EACH = 10
"""Every tenth page of the first person is answered."""

FLAGS = ("--store.lease", "2s", "--notifier.send-timeout", "2s")
LEASE_S = 8.0
"""How long claimed work is kept: a timer for the lease, a page for four times the limit of an attempt."""

READY_LIMIT_S = 10.0
EVERYTHING, NOTIFIER = "everything", "notifier"
MAY_DOUBLE = frozenset({NOTIFIER, STORE, SUPERVISOR, EVERYTHING})
"""Whose death may leave an attempt without a record; nobody else's makes a copy."""

COPIES_MAX = 3
BEGUN_S = 1.0
"""A page that arrives so long before a kill, or after an acknowledgement, may have been under way at that instant."""


@dataclass
class Kills:
    """When the victim was killed and when everything worked again, in seconds of the wall clock; and the page that was under way then."""

    victim: str
    spans: list[tuple[float, float]] = field(default_factory=list)
    under_way: list[ReceivedPage] = field(default_factory=list)

    @property
    def away_s(self) -> float:
        return sum(back - since for since, back in self.spans)

    def might_double(self, first_at_s: float) -> bool:
        """Whether a page that arrived at this instant may have been begun and not recorded."""
        return self.victim in MAY_DOUBLE and any(since - BEGUN_S <= first_at_s <= back for since, back in self.spans)


@dataclass
class Answers:
    """Somebody who answers some pages by their link, again until it is taken; `taken` is when, by incident."""

    product: Product
    receiver: Receiver
    taken: dict[str, float] = field(default_factory=dict)

    async def run(self) -> None:
        for number in itertools.count(step=ACKNOWLEDGE_EACH):
            await self._answer(await self._page(number))

    async def _page(self, number: int) -> ReceivedPage:
        """The page of the first person with this number, counted from 0."""
        await self.receiver.wait_for(lambda _: len(self.receiver.to(PEOPLE[0])) > number, limit_s=60)
        return self.receiver.to(PEOPLE[0])[number]

    async def _answer(self, page: ReceivedPage) -> None:
        while True:
            try:
                answer = await self.product.request("POST", page.body["acknowledge_url"])
            except (aiohttp.ClientError, TimeoutError, OSError):
                answer = None
            if answer is not None and answer.status == 200:
                self.taken.setdefault(page.body["incident"]["id"], CLOCK.now_ms() / 1000)
                return
            await pause(0.1)


async def _kill(product: Product, receiver: Receiver, kills: Kills) -> None:
    """Kill the victim while a page is under way, and return once everything works again."""
    released = asyncio.Event()
    receiver.answers.append(Answer(hold=released))
    kills.under_way.append(await receiver.page(len(receiver.pages) + 1))
    since = CLOCK.now_ms() / 1000
    if kills.victim in (SUPERVISOR, EVERYTHING):
        product.kill(SUPERVISOR) if kills.victim == SUPERVISOR else product.kill_everything()
        await product.program.ended()
        released.set()
        await product.start()
    else:
        killed = product.kill(kills.victim)
        released.set()
        await product.until_again(kills.victim, killed)
    kills.spans.append((since, CLOCK.now_ms() / 1000))


async def _under_load(product: Product, receiver: Receiver, kills: Kills) -> tuple[Sender, Answers]:
    """The stream with somebody who answers beside it; the victim is killed early, and again once it was back for a while."""
    sender, answers = Sender(f"{product.url('ingest')}/webhook/alertmanager"), Answers(product, receiver)
    async with asyncio.TaskGroup() as group:
        answering = group.create_task(answers.run())
        async with asyncio.TaskGroup() as stream:
            stream.create_task(sender.stream(ALERTS, per_s=PER_S))
            for accepted in (ALERTS // 5, ALERTS // 2) if kills.victim not in (SUPERVISOR, EVERYTHING) else (ALERTS // 3,):
                await sender.until_accepted(accepted)
                await _kill(product, receiver, kills)
        await _until_all_paged(product, receiver, answers)
        answering.cancel()
    await _until_all_recorded(product, receiver)
    return sender, answers


async def _until_all_paged(product: Product, receiver: Receiver, answers: Answers) -> None:
    """Looked at again and again: the last thing to come may be an answer, which brings no page."""
    incidents: list[dict[str, Any]] = []

    async def all_open() -> bool:
        incidents[:] = await product.incidents()
        return len(incidents) >= ALERTS

    await until(all_open, "every alert that was taken is an incident", limit_s=30)
    wanted = {(incident["id"], person) for incident in incidents for person in PEOPLE}
    untold: list[tuple[str, str]] = []

    async def all_told() -> bool:
        told = {(incident, page.body["person"]) for page in receiver.pages for incident in named_in(page)}
        untold[:] = sorted(pair for pair in wanted - told if pair[0] not in answers.taken)
        return not untold

    try:
        await until(all_told, "everybody is told", limit_s=30)
    except AssertionError:
        raise AssertionError(f"never told: {untold[:10]}") from None


async def _until_all_recorded(product: Product, receiver: Receiver) -> None:
    """What came of the last pages is recorded a moment after they arrive; a kill before that would be a kill while they are under way."""

    async def look() -> bool:
        last = {incident for person in PEOPLE for page in receiver.to(person)[-5:] for incident in named_in(page)}
        details = [await product.incident(incident) for incident in last]
        return not [page for detail in details for page in detail["pages"] if page["status"] == "pending"]

    await until(look, "what came of every page is recorded", limit_s=30)


def _page_times(receiver: Receiver) -> dict[tuple[str, str], list[float]]:
    """When each person was paged for each incident."""
    found: dict[tuple[str, str], list[float]] = {}
    for page in receiver.pages:
        for incident in named_in(page):
            found.setdefault((incident, page.body["person"]), []).append(page.at_s)
    return found


def _check_incidents(incidents: Sequence[dict[str, Any]], sender: Sender, answers: Answers) -> None:
    names = Counter(incident["labels"]["alertname"] for incident in incidents)
    assert names == Counter(list(sender.accepted)), "every alert answered 2xx is in exactly one incident"
    assert [incident["alerts"] for incident in incidents] == [{"firing": 1, "resolved": 0}] * ALERTS
    assert len({incident["id"] for incident in incidents}) == ALERTS, "a number is given once"
    states = {incident["id"]: incident["state"] for incident in incidents}
    assert {states[incident] for incident in answers.taken} == {"acknowledged"}, "what a person was answered stands"
    assert len(answers.taken) >= 2


def _check_pages(incidents: Sequence[dict[str, Any]], receiver: Receiver, answers: Answers, kills: Kills) -> None:
    times = _page_times(receiver)
    late: dict[tuple[str, str], float] = {}
    for incident in incidents:
        opened_s = datetime.fromisoformat(incident["opened_at"]).timestamp()
        answered_s = answers.taken.get(incident["id"])
        for person, after_s in zip(PEOPLE, RUNGS_S, strict=True):
            arrived = times.pop((incident["id"], person), [])
            if answered_s is not None:
                assert all(at_s <= answered_s + BEGUN_S for at_s in arrived), f"{incident['id']}: {person} was paged after the answer"
                continue
            assert arrived, f"{incident['id']}: {person} was never paged"
            late[incident["id"], person] = arrived[0] - opened_s - after_s
            assert len(arrived) == 1 or kills.might_double(arrived[0]), f"{incident['id']}: {person} has copies, and no kill was near"
    assert not times, "nobody else was paged"
    copies = receiver.copies()
    assert max(copies.values()) <= COPIES_MAX
    if kills.victim in (NOTIFIER, EVERYTHING):
        assert min(copies[page.key] for page in kills.under_way) >= 2, "nobody knows whether it arrived: it is sent again"
    assert min(late.values()) >= -0.01, "never before its time"
    print(f"late by at most {max(late.values()):.2f} s, away {kills.away_s:.2f} s, copies {receiver.copies().most_common(3)}")  # noqa: T201
    assert max(late.values()) <= LEASE_S + kills.away_s + 1.0


@pytest.mark.parametrize("victim", [*ROLES, STORE, SUPERVISOR, EVERYTHING])
async def test_killing_a_process_while_it_works_loses_nothing(victim: str, data_dir: Path, receiver: Receiver, figure: Figures) -> None:
    kills = Kills(victim)
    async with Product(data_dir, rules_text(receiver, RULES), *FLAGS) as product:
        sender, answers = await _under_load(product, receiver, kills)
        incidents = await product.incidents()
        _check_incidents(incidents, sender, answers)
        _check_pages(incidents, receiver, answers, kills)
        _tell(figure, victim, receiver, kills)
        assert max(back - since for since, back in kills.spans) < READY_LIMIT_S
        assert await product.metric("notifier", "tocsin_auditor_findings_total") == 0
        if victim in (STORE, EVERYTHING):
            await _start_again(product, receiver, incidents)


def _tell(figure: Figures, victim: str, receiver: Receiver, kills: Kills) -> None:
    """The figures of the fault catalogue; what they count has just been asserted."""
    away_s = max(back - since for since, back in kills.spans)
    match victim:
        case "notifier":
            figure(25, "copies of a page", max(receiver.copies().values()), at_most=1 + len(kills.spans))
            figure(25, "from the kill until all is ready", away_s, "s", at_most=READY_LIMIT_S)
        case "correlator":
            figure(27, "from SIGKILL until all is ready", away_s, "s", at_most=READY_LIMIT_S)


async def _start_again(product: Product, receiver: Receiver, before: Sequence[dict[str, Any]]) -> None:
    paged = len(receiver.pages)
    product.kill_everything()
    await product.program.ended()
    await product.start()
    assert await product.incidents() == before, "the same directory shows the same incidents"
    assert len(receiver.pages) == paged, "and pages nobody again"
