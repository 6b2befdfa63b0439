"""The group commit: whatever waits to be stored in one turn of the loop is written at once, and answered after one fsync.

Owns the queue in front of the store, and the back-pressure: how far the correlator is behind is learnt from every write, and looked up
only while somebody waits for it to catch up. What is in the entries, and what a sender is told, is not known here.

Read `append` (what a request does), `write_waiting` (what answers it), `watch_backlog` (what wakes those who were held up).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from structlog.typing import FilteringBoundLogger

from ingest.entries import IntakeEntry
from tocsin.runtime.clock import Clock
from tocsin.runtime.metrics import Metrics
from tocsin.runtime.settings import Settings
from tocsin.store.store import Store, StoreAway, StoreFull

WRITE_ENTRIES_MAX: Final = 256
"""Entries of one write, some 16 MB at most: it must be done well within the store's time limit."""

PART_ENTRIES_MAX: Final = 32
"""A body with more entries goes in parts, so that others are answered between them."""

HELD_UP_S_MAX: Final = 10.0
"""Longer than this no body is held up: it is on disk, and Prometheus waits no longer."""

LOOK_S: Final = 0.005
LOOK_AWAY_S: Final = 0.2
LOOK_IDLE_S: Final = 5.0
"""How often the backlog is looked up: while somebody is held up, while the store is away or full, otherwise."""


class BacklogFull(Exception):
    """So many entries wait for the correlator that nothing more is taken."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """Entries of a request, and whom to tell when they are on disk."""

    entries: Sequence[IntakeEntry]
    written: asyncio.Future[None]


class Intake:
    """Writes entries for any number of requests at once."""

    def __init__(self, store: Store, clock: Clock, settings: Settings, metrics: Metrics, log: FilteringBoundLogger) -> None:
        self._store = store
        self._clock = clock
        self._log = log
        self._failures = metrics.ticks_failed.labels("ingest")
        self._backlog_max = settings.backlog_entries_max
        self._backlog_slow = settings.backlog_slow_entries
        self._queue: deque[_Waiting] = deque()
        self._queued = asyncio.Event()
        self._lengths: dict[int, int] = {}
        self._caught_up = asyncio.Event()
        self._caught_up.set()
        self._held_up = 0
        self._look = asyncio.Event()
        self.is_full = False
        self.trouble: str | None = None
        """Why nothing can be written now, as far as is known."""

    def require_room(self) -> None:
        """Raise BacklogFull when the correlator is so far behind that nothing more is taken."""
        if self.is_full:
            self._look.set()
            raise BacklogFull(f"more than {self._backlog_max} entries wait for the correlator")

    async def append(self, entries: Sequence[IntakeEntry], *, hold_up: bool) -> None:
        """Return when the entries are on disk; with `hold_up` not before the correlator has nearly caught up, within 10 s.

        Raises StoreAway, StoreFull, and BacklogFull before anything is written. After the others some may have been.
        """
        self.require_room()
        for start in range(0, len(entries), PART_ENTRIES_MAX):
            await self._append_part(entries[start : start + PART_ENTRIES_MAX] if len(entries) > PART_ENTRIES_MAX else entries)
        if hold_up and not self._caught_up.is_set():
            self._held_up += 1
            self._look.set()
            try:
                await self._clock.wait(HELD_UP_S_MAX, self._caught_up)
            finally:
                self._held_up -= 1

    async def _append_part(self, entries: Sequence[IntakeEntry]) -> None:
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(_Waiting(entries, written))
        self._queued.set()
        await written

    async def write_waiting(self) -> None:
        """Write for ever what waits; while one write is under way the next one gathers."""
        while True:
            await self._queued.wait()
            await self._write(self._next_write())

    def _next_write(self) -> list[_Waiting]:
        taken: list[_Waiting] = []
        count = 0
        while self._queue and count < WRITE_ENTRIES_MAX:
            waiting = self._queue.popleft()
            if not waiting.written.done():  # nobody waits for a request that was given up
                taken.append(waiting)
                count += len(waiting.entries)
        if not self._queue:
            self._queued.clear()
        return taken

    async def _write(self, taken: list[_Waiting]) -> None:
        if not taken:
            return
        failure: Exception | None = StoreAway("stopped while it was written")
        try:
            lengths = await self._store.append([entry for waiting in taken for entry in waiting.entries])
            failure = None
            self._find_store()
            self._learn(lengths)
        except (StoreAway, StoreFull) as error:
            failure = error
            self._lose_store(error)
        except Exception as error:  # top of a tick
            failure = StoreAway(f"an unexpected {type(error).__name__}")
            self._failures.inc()
            self._log.exception("intake_write_failed", requests=len(taken))
        finally:
            for waiting in taken:
                if not waiting.written.done():
                    if failure is None:
                        waiting.written.set_result(None)
                    else:
                        waiting.written.set_exception(failure)

    def _lose_store(self, error: StoreAway | StoreFull) -> None:
        if self.trouble is None:
            self._log.error("store_lost", why=str(error), consequence="alerts are answered 503 until it takes writes again")
        self.trouble = "the store is full" if isinstance(error, StoreFull) else "the store does not answer"
        self._look.set()

    def _find_store(self) -> None:
        if self.trouble is not None:
            self.trouble = None
            self._log.info("store_found")

    def _learn(self, lengths: dict[int, int]) -> None:
        self._lengths |= lengths
        longest = max(self._lengths.values(), default=0)
        self.is_full = longest > self._backlog_max
        if longest > self._backlog_slow:
            self._caught_up.clear()
        else:
            self._caught_up.set()

    async def watch_backlog(self) -> None:
        """Look for ever how far the correlator is behind: often while somebody is held up, seldom otherwise."""
        never = asyncio.Event()
        while True:
            await self._clock.wait(LOOK_IDLE_S, self._look)
            self._look.clear()
            await self.look()
            while self._held_up or self.trouble is not None or self.is_full:
                await self._clock.wait(LOOK_S if self._held_up and self.trouble is None else LOOK_AWAY_S, never)
                await self.look()

    async def look(self) -> None:
        """Ask the store once how much waits. The sum of all shards bounds each of them."""
        try:
            if self.trouble is not None:
                await self._store.beat("ingest", self._clock.now_ms())  # a write, because a full store still answers questions
                self._find_store()
            backlog = await self._store.backlog()
        except (StoreAway, StoreFull) as error:
            self._lose_store(error)
            return
        except Exception:  # top of a tick
            self._failures.inc()
            self._log.exception("backlog_look_failed")
            return
        self._learn({shard: min(length, backlog) for shard, length in self._lengths.items()})
