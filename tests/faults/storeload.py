"""A store under load that is killed again and again: who writes meanwhile, and what they were answered.

Alerts are appended as ingest does, the correlator folds them, a person acknowledges every third incident. Whoever gets no answer asks
again, as the roles and the senders do. What was answered is remembered; `missing` compares it with what is there.

    load = Load(world, await world.correlator())
    async with load.running():
        await load.until_answered(40)
        ...kill...
    assert not await load.missing()
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from correlator.service import Correlator
from tests.e2e.product import pause
from tests.services.world import World
from tocsin.policy.events import Acknowledged
from tocsin.policy.model import State
from tocsin.store.wire import StoreAway

SENDERS = 4
AGAIN_S = 0.005
ACKNOWLEDGE_EACH = 3
ANSWERS_LIMIT_S = 30.0
TURNS_MAX = 500


class Load:
    """Senders, a correlator and a person on a world of one shard."""

    def __init__(self, world: World, correlator: Correlator) -> None:
        assert world.shards == 1
        self.alerts: list[str] = []
        self.acknowledged: list[int] = []
        self._world = world
        self._correlator = correlator
        self._answered = asyncio.Condition()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Everybody works until the block ends; then what is in the intake is folded."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._send(sender)) for sender in range(SENDERS)]
            tasks += [group.create_task(self._fold()), group.create_task(self._acknowledge())]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
        self._correlator.on_gap()
        for _ in range(TURNS_MAX):
            if not (await self._correlator.tick(self._world.clock.now_ms())).entries:
                break
            self._world.clock.advance(1_000)

    async def until_answered(self, more: int) -> None:
        """Return once so many more alerts have been answered."""
        wanted = len(self.alerts) + more
        async with asyncio.timeout(ANSWERS_LIMIT_S), self._answered:
            await self._answered.wait_for(lambda: len(self.alerts) >= wanted)

    async def missing(self) -> list[str]:
        """What was answered and is not there, or is there twice, in words."""
        incidents = await self._world.incidents()
        titles = Counter(incident.title for incident in incidents)
        states = {incident.number: incident.state for incident in incidents}
        found = [f"alert {name} is in {titles[name]} incidents" for name in self.alerts if titles[name] != 1]
        found += [f"INC-{number} is {states[number]}" for number in self.acknowledged if states[number] is not State.ACKNOWLEDGED]
        return found

    async def _send(self, sender: int) -> None:
        number = 0
        while True:
            name = f"A{sender}.{number}"
            await _answered(lambda name=name: self._world.report(name, shard=0))  # type: ignore[misc]
            async with self._answered:
                self.alerts.append(name)
                self._answered.notify_all()
            number += 1

    async def _fold(self) -> None:
        while True:
            self._world.clock.advance(20)
            try:
                await self._correlator.tick(self._world.clock.now_ms())
            except StoreAway:
                self._correlator.on_gap()
            await pause(AGAIN_S)

    async def _acknowledge(self) -> None:
        number = 1
        while True:
            if await _answered(lambda number=number: self._world.console.load(number)) is None:  # type: ignore[misc]
                await pause(AGAIN_S)
                continue
            await _answered(lambda number=number: self._world.act(number, Acknowledged("kim")))  # type: ignore[misc]
            self.acknowledged.append(number)
            number += ACKNOWLEDGE_EACH


async def _answered(call: Callable[[], Awaitable[object]]) -> object:
    """What the store answers, asked as often as it takes."""
    while True:
        try:
            return await call()
        except StoreAway:
            await pause(AGAIN_S)
