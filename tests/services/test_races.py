"""An acknowledgement races with the page: whatever was acknowledged before its send began is not sent.

The order is the store's own: its slow log, told to keep every command, shows each `begin` and each commit in the order in which they ran.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass

import pytest

from tests.faults.figures import Figures
from tests.invariants import ask
from tests.services.world import World
from tocsin.policy.events import Acknowledged
from tocsin.policy.model import State
from tocsin.store.wire import Script

ROUNDS = 25
INCIDENTS = 40
TURNS_MAX = 60
ACKNOWLEDGE_TURNS_MAX = 900

COMMIT_MESSAGE, COMMIT_EXISTING, COMMIT_NUMBER, BEGIN_PAGES = 22, 23, 24, 9
"""Where, in the command, a commit names its origin and its first incident, and a begin its pages."""


@dataclass(slots=True)
class Order:
    """Positions in the slow log: when each page was begun, when each incident was acknowledged (the last commit of the console)."""

    begun: dict[str, list[int]]
    acknowledged: dict[int, int]


async def order_of_the_store(world: World) -> Order:
    found = Order({}, {})
    commit, begin = Script("commit").sha.encode(), Script("begin").sha.encode()
    entries = await ask(world.console, "SLOWLOG", "GET", -1)
    for entry in reversed(entries):
        command = entry["command"].split(b" ") if isinstance(entry, dict) else entry[3]
        position = int(entry["id"] if isinstance(entry, dict) else entry[0])
        if len(command) < 3 or command[0] != b"EVALSHA":
            continue
        if command[1] == begin:
            for page in command[BEGIN_PAGES:]:
                found.begun.setdefault(page.decode(), []).append(position)
        elif command[1] == commit and b'"origin":"console"' in command[COMMIT_MESSAGE] and command[COMMIT_EXISTING] == b"1":
            found.acknowledged[int(command[COMMIT_NUMBER])] = position
    return found


@pytest.mark.parametrize("rounds", [ROUNDS, pytest.param(10 * ROUNDS, marks=[pytest.mark.faults_long, pytest.mark.timeout(900)])])
async def test_no_send_begins_after_its_acknowledgement_was_answered(world: World, figure: Figures, rounds: int) -> None:
    generator = random.Random(41)
    await world.warm_up()
    await ask(world.console, "CONFIG", "SET", "slowlog-max-len", 100_000)
    await ask(world.console, "CONFIG", "SET", "slowlog-log-slower-than", 0)
    correlator = await world.correlator()
    answered: dict[str, int] = {}
    sent = stopped = under_way = 0
    try:
        async with world.notifier() as notifier:
            for turn in range(rounds):
                for n in range(INCIDENTS):
                    await world.report(f"R{turn}.{n}")
                await correlator.tick(world.clock.now_ms())
                fresh = [i for i in await world.incidents() if i.state is State.OPEN]
                assert len(fresh) == INCIDENTS
                await ask(world.console, "SLOWLOG", "RESET")
                first = len(world.receiver.pages)
                answered.clear()

                async def acknowledge(number: int, turns: int, already: int) -> None:
                    for _ in range(turns):
                        await asyncio.sleep(0)
                    await world.act(number, Acknowledged("lee"))
                    answered[f"INC-{number}"] = len(world.receiver.pages) - already

                async with asyncio.TaskGroup() as group:
                    for incident in fresh:
                        group.create_task(acknowledge(incident.number, generator.randrange(ACKNOWLEDGE_TURNS_MAX), first))
                    for _ in range(generator.randrange(TURNS_MAX)):
                        await asyncio.sleep(0)
                    await notifier.tick(world.clock.now_ms())
                await world.settle(notifier)

                order = await order_of_the_store(world)
                assert len(order.acknowledged) == INCIDENTS
                named = {one["id"] for page in world.receiver.pages[first:] for one in page.body.get("incidents", [page.body["incident"]])}
                for incident in fresh:
                    page, ended = f"{incident.id}.0.kim.0", order.acknowledged[incident.number]
                    in_time = [position for position in order.begun.get(page, []) if position < ended]
                    assert (incident.id in named) == bool(in_time), "sent if and only if it was begun before the acknowledgement"
                    sent += incident.id in named
                    stopped += incident.id not in named
                    under_way += incident.id in named and answered[incident.id] == 0
    finally:
        await ask(world.console, "CONFIG", "SET", "slowlog-log-slower-than", 10_000)
        await ask(world.console, "SLOWLOG", "RESET")
    assert sent + stopped == rounds * INCIDENTS >= 1_000
    assert sent > 50, f"{stopped} of {sent + stopped} were stopped: that is no race"
    assert stopped > 50, f"{sent} of {sent + stopped} were sent: that is no race"
    print(f"races: {sent} begun before, {stopped} stopped, {under_way} arrived after the answer, begun before it")  # noqa: T201
    figure(41, "races", sent + stopped, at_least=1_000)
    assert set(world.receiver.copies().values()) == {1}
    assert all(i.state is State.ACKNOWLEDGED for i in await world.incidents())


async def test_a_thousand_acknowledgements_of_one_incident_are_one(world: World, figure: Figures) -> None:
    correlator = await world.correlator()
    await world.report("A")
    await correlator.tick(world.clock.now_ms())
    number = (await world.incident()).number
    async with asyncio.TaskGroup() as group:
        for n in range(1_000):
            group.create_task(world.act(number, Acknowledged("kim" if n % 2 else "lee")))
    incident = await world.incident()
    assert incident.state is State.ACKNOWLEDGED
    figure(40, "history entries of a thousand acknowledgements", incident.version - 1, at_most=1)
