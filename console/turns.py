"""Turns at the store: a crowd of requests waits in line for a connection instead of failing for want of one.

Those who would change the same thing wait in one line, so that a thousand answers to one incident do not undo each other's commits; only
other processes make a commit stale then.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tocsin.store.store import StoreAway

TURNS_MAX = 8
"""Requests that use the store at the same time; fewer than the connections of its pool."""

TURN_WAIT_S = 10.0
"""How long a request waits for its turn before it is told to come back."""

LINES = 64


class StoreTurns:
    """At most `TURNS_MAX` at a time, in the order in which they came."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(TURNS_MAX)
        self._lines = tuple(asyncio.Lock() for _ in range(LINES))

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Hold a turn. Raises StoreAway when none comes in time."""
        await _acquire(self._turns)
        try:
            yield
        finally:
            self._turns.release()

    @asynccontextmanager
    async def turn_at(self, what: int) -> AsyncIterator[None]:
        """Hold a turn, and the only one at changing `what`. Raises StoreAway when none comes in time."""
        line = self._lines[what % LINES]
        await _acquire(line)
        try:
            async with self.turn():
                yield
        finally:
            line.release()


async def _acquire(lock: asyncio.Lock | asyncio.Semaphore) -> None:
    try:
        async with asyncio.timeout(TURN_WAIT_S):
            await lock.acquire()
    except TimeoutError as error:
        raise StoreAway("too many requests wait for the store") from error
