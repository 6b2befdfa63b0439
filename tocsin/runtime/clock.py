"""The only file that reads clocks: what time it is, how long something takes, and how a loop waits.

Owns the guard on the wall clock (invariant 10 of the design: time never runs backwards, a jump holds new firings for at most 60 s and is
recorded). Does not own whose time counts between processes: the store keeps the latest instant of each shard, `raise_floor` brings it here.

Read `SystemClock.now_ms`: the wall clock is believed while it moves with the monotonic clock, give or take 30 s. `ManualClock` is for tests
and simulation: its time moves only when told to.
"""

from __future__ import annotations

import asyncio
import enum
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

STEP_MAX_MS: Final = 30_000
"""A difference between wall and monotonic clock up to here is a correction, beyond it a jump."""

HOLD_MS: Final = 60_000
"""How long a jump forwards is not believed: long enough for a wrong clock to be put right, short enough for a page to be merely late."""


class Jump(enum.StrEnum):
    """Which way the wall clock jumped."""

    FORWARD = "forward"
    BACK = "back"


OnJump = Callable[[Jump, float], None]


class Clock(Protocol):
    """Time, for everything that acts in it."""

    def now_ms(self) -> int:
        """The present instant, ms since the epoch, UTC; never less than what was returned before."""

    def monotonic(self) -> float:
        """Seconds since some instant, for measuring and time limits; never compared with `now_ms`."""

    async def wait(self, timeout_s: float, wake: asyncio.Event) -> None:
        """Return when `wake` is set or the time is over, whichever comes first; `wake` stays as it is."""


def _read_wall() -> float:
    return time.time()


def _read_monotonic() -> float:
    return time.monotonic()


def _ignore_jump(_kind: Jump, _seconds: float) -> None:
    return


class SystemClock:
    """The machine's clock, guarded.

    The wall clock (`read_wall`, seconds since the epoch) is compared with where it should be after the monotonic progress since the last
    reading. Up to 30 s off it is believed, and time holds still where it would run back. Further back, time goes on by monotonic progress
    until the wall clock has come near again. Further forward, likewise, for 60 s; then the wall clock is believed: late is better than
    never. Each jump is told once to `on_jump`, with its size in seconds. A machine that slept looks like a jump forwards.
    """

    def __init__(
        self,
        floor_ms: int = 0,
        *,
        on_jump: OnJump = _ignore_jump,
        read_wall: Callable[[], float] = _read_wall,
        read_monotonic: Callable[[], float] = _read_monotonic,
    ) -> None:
        self._on_jump = on_jump
        self._read_wall = read_wall
        self._read_monotonic = read_monotonic
        self._now_ms = max(float(floor_ms), read_wall() * 1000)
        self._monotonic_s = read_monotonic()
        self._told_ms = 0.0
        self._held_since_s: float | None = None

    def now_ms(self) -> int:
        monotonic_s = self._read_monotonic()
        wall_ms = self._read_wall() * 1000
        expected_ms = self._now_ms + max(0.0, monotonic_s - self._monotonic_s) * 1000
        self._monotonic_s = monotonic_s
        off_ms = wall_ms - expected_ms
        if abs(off_ms) <= STEP_MAX_MS:
            self._believe()
            self._now_ms = max(self._now_ms, wall_ms)
        elif self._was_held_long_enough(off_ms, monotonic_s):
            self._believe()
            self._now_ms = wall_ms
        else:
            self._now_ms = expected_ms
        return int(self._now_ms)

    def _believe(self) -> None:
        self._told_ms = 0.0
        self._held_since_s = None

    def _was_held_long_enough(self, off_ms: float, monotonic_s: float) -> bool:
        """Tell of a jump that is new, and say whether a jump forwards has stood for so long that it must be right."""
        if abs(off_ms - self._told_ms) > STEP_MAX_MS:
            self._on_jump(Jump.FORWARD if off_ms > self._told_ms else Jump.BACK, abs(off_ms - self._told_ms) / 1000)
            self._told_ms = off_ms
        if off_ms < 0:
            self._held_since_s = None
            return False
        if self._held_since_s is None:
            self._held_since_s = monotonic_s
        return (monotonic_s - self._held_since_s) * 1000 >= HOLD_MS

    def raise_floor(self, floor_ms: int) -> None:
        """Let time be at least `floor_ms` from here on, because others have already acted at that instant."""
        if floor_ms > self.now_ms():
            self._now_ms = float(floor_ms)

    def monotonic(self) -> float:
        return self._read_monotonic()

    async def wait(self, timeout_s: float, wake: asyncio.Event) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, timeout_s)):
                await wake.wait()


class ManualClock:
    """A clock that stands still until `advance` moves it and wakes whoever waited for the instants passed.

    A test lets a loop come to its `wait`, sees it there with `until_waiting`, then advances.
    """

    def __init__(self, start_ms: int) -> None:
        self._now_ms = start_ms
        self._start_ms = start_ms
        self._waiting: list[tuple[int, asyncio.Event]] = []
        self._arrived = asyncio.Event()

    def now_ms(self) -> int:
        return self._now_ms

    def monotonic(self) -> float:
        return (self._now_ms - self._start_ms) / 1000

    @property
    def waiting(self) -> int:
        """How many wait now."""
        return len(self._waiting)

    @property
    def next_due_ms(self) -> int | None:
        """The earliest instant that somebody waits for."""
        return min((due_ms for due_ms, _ in self._waiting), default=None)

    def advance(self, ms: int) -> None:
        """Move time forwards. The waiters run when the caller next awaits."""
        assert ms >= 0, "time does not run backwards"
        self._now_ms += ms
        for due_ms, event in self._waiting:
            if due_ms <= self._now_ms:
                event.set()

    def raise_floor(self, floor_ms: int) -> None:
        """Let time be at least `floor_ms` from here on."""
        self.advance(max(0, floor_ms - self._now_ms))

    async def until_waiting(self, count: int = 1) -> None:
        """Return once so many wait."""
        while len(self._waiting) < count:
            self._arrived.clear()
            await self._arrived.wait()

    async def wait(self, timeout_s: float, wake: asyncio.Event) -> None:
        due_ms = self._now_ms + max(0, round(timeout_s * 1000))
        if wake.is_set() or due_ms <= self._now_ms:
            await asyncio.sleep(0)
            return
        waiter = (due_ms, asyncio.Event())
        self._waiting.append(waiter)
        self._arrived.set()
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(event.wait()) for event in (waiter[1], wake)]
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in tasks:
                    task.cancel()
        finally:
            self._waiting.remove(waiter)
