"""Keeps the read model abreast of the store, and wakes whoever follows live.

`catch_up` is awaited before every answer made of the read model, so a client reads its own writes; `run` does the same in the background,
a few times a second at most, whenever the bell rings. SQLite works in threads; the loop is never blocked.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from typing import Final

from structlog.typing import FilteringBoundLogger

from console.readmodel import Change, ReadEntry, ReadModel, Wanted
from console.turns import StoreTurns
from tocsin.policy.model import Incident, State
from tocsin.runtime.clock import Clock
from tocsin.runtime.metrics import Metrics
from tocsin.store.store import Store, StoreAway

ENTRIES_MAX: Final = 100
"""History entries of one shard that are read at once."""

CATCH_UP_S: Final = 5.0
"""How long an answer waits for the read model; during a storm it is then made of what is there."""

THROTTLE_S: Final = 0.25
"""Live followers hear of changes at most so often."""

LOOK_EVERY_S: Final = 2.0
"""A lost message of the bell costs this long."""

_START: Final = "0-0"


class Reading:
    """The asynchronous side of the read model."""

    def __init__(
        self,
        open_model: Callable[[], ReadModel],
        store: Store,
        turns: StoreTurns,
        *,
        clock: Clock,
        metrics: Metrics,
        log: FilteringBoundLogger,
    ) -> None:
        self._open_model = open_model
        self._store = store
        self._turns = turns
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._model: ReadModel | None = None
        self._lock = asyncio.Lock()
        self._begun = 0
        self._ended = 0
        self._must_check = True
        self._wake = asyncio.Event()
        self._news = asyncio.Event()
        self._never = asyncio.Event()
        self._is_counted = False
        self.away: str | None = None

    @property
    def model(self) -> ReadModel:
        """The tables; `start` must have been awaited."""
        assert self._model is not None, "the read model is asked before it was opened"
        return self._model

    async def start(self) -> None:
        """Open the tables."""
        if self._model is None:
            self._model = await asyncio.to_thread(self._open_model)

    def stop(self) -> None:
        """Close the tables."""
        if self._model is not None:
            self._model.close()

    # --- keeping abreast -----------------------------------------------------------------------------------------------------------

    def wake(self) -> None:
        """Something was committed."""
        self._wake.set()

    def check_store(self) -> None:
        """The connection was lost: it may be another store now, or one that was put back in time."""
        self._must_check = True
        self._wake.set()

    async def catch_up(self) -> bool:
        """Take up everything that was committed before the call; return False when that took too long. Raises StoreAway."""
        begun = self._begun
        try:
            async with asyncio.timeout(CATCH_UP_S), self._lock:
                if self._ended > begun:
                    return True  # a pass that began after this call has ended: it has read what this caller wrote
                self._begun += 1
                await self._mended_pass()
                self._ended = self._begun
        except TimeoutError:
            self._log.warning("read_model_behind", limit_s=CATCH_UP_S)
            return False
        return True

    async def _mended_pass(self) -> None:
        try:
            await self._pass()
        except sqlite3.OperationalError:
            raise  # a full disk or a lock: not damage, and nothing is mended by building again
        except sqlite3.DatabaseError as error:
            self._log.error("read_model_damaged", problem=str(error), consequence="it is built again")
            await asyncio.to_thread(self.model.rebuild)
            await self._pass()

    async def _pass(self) -> None:
        if self._must_check:
            await self._check()
        applied = 0
        more = True
        while more:
            after = await asyncio.to_thread(self.model.cursors)
            entries: list[ReadEntry] = []
            more = False
            async with self._turns.turn():
                for shard in range(self._store.shards):
                    found = await self._store.read_history(shard, after.get(shard, (_START, ""))[0], ENTRIES_MAX)
                    entries += (ReadEntry(shard, entry_id, payload, digest.decode()) for entry_id, payload, digest in found)
                    more = more or len(found) == ENTRIES_MAX
            if entries:
                entries.sort(key=lambda entry: int(entry.id.partition("-")[0]))
                applied += await asyncio.to_thread(self.model.apply, entries)
                self.tell()
        if applied or not self._is_counted:
            await self._count()
            self._is_counted = True

    async def _check(self) -> None:
        """Rebuild when the store does not hold the entries that the read model was built from."""
        for shard, (entry_id, digest) in (await asyncio.to_thread(self.model.cursors)).items():
            known = shard < self._store.shards
            found = await self._store.read_history(shard, _before(entry_id), 1) if known else []
            if [(entry, chain.decode()) for entry, _, chain in found] != [(entry_id, digest)]:
                self._log.warning("read_model_rebuilt", shard=shard, why="the store's history is another one")
                await asyncio.to_thread(self.model.rebuild)
                break
        self._must_check = False

    async def _count(self) -> None:
        counts = await asyncio.to_thread(self.model.counts)
        for state in State:
            if state is not State.CLOSED:
                for severity in range(1, 5):
                    self._metrics.incidents.labels(state, str(severity)).set(counts.get((state, severity), 0))

    async def run(self) -> None:
        """Keep abreast for ever."""
        while True:
            await self._clock.wait(LOOK_EVERY_S, self._wake)
            self._wake.clear()
            try:
                await self.catch_up()
                self.away = None
            except StoreAway:
                self.away = "the store does not answer"
                self._must_check = True
            except sqlite3.Error as error:
                self._log.error("read_model_unusable", problem=str(error), consequence="lists and history are not shown; paging goes on")
            await self._clock.wait(THROTTLE_S, self._never)

    # --- following live ------------------------------------------------------------------------------------------------------------

    def tell(self) -> None:
        """Wake the followers."""
        news, self._news = self._news, asyncio.Event()
        news.set()

    def news(self) -> asyncio.Event:
        """Return the event that is set when changes are taken up after this call."""
        return self._news

    # --- asking --------------------------------------------------------------------------------------------------------------------

    async def incidents(self, wanted: Wanted) -> list[Incident]:
        """Return incidents, the newest opening first."""
        return await asyncio.to_thread(self.model.incidents, wanted)

    async def history(self, number: int, most: int) -> list[Change]:
        """Return the newest changes of an incident, oldest first."""
        return await asyncio.to_thread(self.model.history, number, most)

    async def entries(self, number: int, after: int, most: int) -> list[str]:
        """Return the ids that changes of an incident behind a version have in its shard's history stream, oldest first."""
        return await asyncio.to_thread(self.model.entries, number, after, most)

    async def changes_after(self, change_id: int, most: int) -> list[Change]:
        """Return changes heard of after one, oldest first."""
        return await asyncio.to_thread(self.model.changes_after, change_id, most)

    async def reached(self) -> dict[tuple[str, int], int]:
        """Return when (ms UTC) a provider last took a page, by person and number of the contact."""
        return await asyncio.to_thread(self.model.reached)

    async def last_change(self) -> int:
        """Return the id of the newest change."""
        return await asyncio.to_thread(self.model.last_change)


def _before(entry_id: str) -> str:
    """Return the id before a stream entry's, so that reading behind it begins with the entry itself."""
    milliseconds, sequence = map(int, entry_id.split("-"))
    return f"{milliseconds}-{sequence - 1}" if sequence else f"{milliseconds - 1}-{2**64 - 1}"
