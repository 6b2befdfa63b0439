"""Virtual time: an event loop that never waits, and never asks the system what time it is.

Owns the order in which things run. When nothing can run, time moves to the next instant for which something is set. Two kinds of instants:
those that matter (a delay at a seam, a person who answers, a time limit) are met exactly; those of loops that only look whether there is
work (`Clock.wait`) may be leapt over while `may_leap_to` says that they would find nothing. A day of a pager is then some thousand steps.

Everything runs in one thread, and nothing here depends on sockets, hashes or the clock: the same programme of calls gives the same order.
A frozen owner's callbacks are kept until it thaws, as a stopped process's would be.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from contextvars import Context, ContextVar
from typing import Any, Protocol, TypeVarTuple

from tocsin.runtime.clock import SystemClock


class Owner(Protocol):
    """A simulated process, to which callbacks belong."""

    frozen: bool
    held: list[asyncio.Handle]


Ts = TypeVarTuple("Ts")

OWNER: ContextVar[Owner | None] = ContextVar("owner", default=None)
LOOKING: ContextVar[bool] = ContextVar("looking", default=False)
NOBODY = Context()
"""The context of the network and of the world: nobody's freezing holds it up."""

LEAP_MAX_S = 3600.0

TURNS_MAX = 300_000
"""A day takes some ten thousand; one that takes so many turns in a circle."""


class NothingToDo(Exception):
    """Nothing can run and nothing is set for later: a deadlock."""


class Circling(Exception):
    """The day does not end."""


def never(_now: float) -> float:
    """Leap over nothing."""
    return 0.0


class Timeline(asyncio.BaseEventLoop):
    """The loop. `may_leap_to(now)` returns up to which instant nobody who looks would find anything; 0: no leap."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._clock_resolution = 1e-9
        self._exact: list[asyncio.TimerHandle] = []
        self._looks: list[asyncio.TimerHandle] = []
        self.may_leap_to: Callable[[float], float] = never
        self.leaps: Callable[[float], object] = never
        self.turns = 0
        self._has_given_up = False
        self.set_exception_handler(self._fault)
        self.faults: list[str] = []

    def time(self) -> float:
        """Return seconds since the day began."""
        return self._now

    def call_at(self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._looks if LOOKING.get() else self._exact, timer)
        return timer

    def call_later(
        self, delay: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    async def pause(self, seconds: float) -> None:
        """Return so much later, to the instant."""
        over = self.create_future()
        timer = self.call_later(seconds, _finish, over, context=NOBODY)
        try:
            await over
        finally:
            timer.cancel()

    def thaw(self, owner: Owner) -> None:
        """Let an owner's callbacks run again, in their order."""
        owner.frozen = False
        self._ready.extend(owner.held)  # type: ignore[attr-defined]
        owner.held.clear()

    def run_in_executor(self, executor: object, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """Do at once what would be done in a thread."""
        done: asyncio.Future[Any] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # top of a tick: it is raised where it is awaited
            done.set_exception(error)
        return done

    # --- what asyncio asks of a loop ---------------------------------------------------------------------------------------------------

    def _run_once(self) -> None:
        ready = self._ready  # type: ignore[attr-defined]
        if self.turns >= TURNS_MAX and not self._has_given_up:
            self._has_given_up = True
            raise Circling
        if not ready and not self._stopping:  # type: ignore[attr-defined]
            self._move_on()
        for timers in (self._exact, self._looks):
            while timers and timers[0].when() <= self._now:
                ready.append(heapq.heappop(timers))
        for _ in range(len(ready)):
            handle = ready.popleft()
            if handle.cancelled():
                continue
            owner = handle._context.get(OWNER)  # noqa: SLF001  whose callback it is, nobody else knows
            if owner is not None and owner.frozen:
                owner.held.append(handle)
                continue
            self.turns += 1
            handle._run()  # noqa: SLF001  as the loops of the library do

    def _move_on(self) -> None:
        exact, looks = _first(self._exact), _first(self._looks)
        if exact is None and looks is None:
            raise NothingToDo
        target = min(at for at in (exact, looks) if at is not None)
        if looks is not None and (exact is None or looks < exact):
            ahead = min(self.may_leap_to(self._now), self._now + LEAP_MAX_S, exact if exact is not None else self._now + LEAP_MAX_S)
            if ahead > target:
                target = ahead
                if target - self._now > 1.0:
                    self.leaps(target - self._now)
        self._now = max(self._now, target)

    def _fault(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.faults.append(f"{context.get('message')}: {context.get('exception')!r}")

    def _process_events(self, _events: object) -> None:
        """There is nothing outside."""

    def _write_to_self(self) -> None:
        """There is no other thread."""

    def _timer_handle_cancelled(self, _handle: asyncio.TimerHandle) -> None:
        """Cancelled ones are passed over when their time comes."""


def _first(timers: list[asyncio.TimerHandle]) -> float | None:
    while timers and timers[0].cancelled():
        heapq.heappop(timers)
    return timers[0].when() if timers else None


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class SimulatedClock(SystemClock):
    """The shipped clock with its guard, on a wall clock and a monotonic clock of the timeline. Whoever waits by it is only looking."""

    async def wait(self, timeout_s: float, wake: asyncio.Event) -> None:
        token = LOOKING.set(True)
        try:
            await super().wait(timeout_s, wake)
        finally:
            LOOKING.reset(token)
