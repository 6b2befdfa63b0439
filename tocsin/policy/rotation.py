"""Turns of a rotation: which one it is at an instant, and when each begins.

Everything is counted on the wall clock from the layer's start, so that hand-overs stay at their local time: turn k begins at the wall
time `start + k * every`, and when that is as an instant is for `wallclock.py` alone. A turn of a few hours around a change of the clocks
is therefore an hour longer or shorter, and a turn whose whole wall time is skipped has no length: nobody is on shift for it and the next
one has its turn.

Months are counted from the start each time, never from the month before: a rotation that starts on the 31st hands over on 28 February and
on 31 March again.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from tocsin.policy.wallclock import DAY_MS, HOUR_MS, date_of, instant_of, wall_at, wall_of


@dataclass(frozen=True, slots=True)
class Every:
    """How long a turn is on the wall clock: whole hours (a day has 24 of them) or whole months, one of the two."""

    hours: int = 0
    months: int = 0

    def __post_init__(self) -> None:
        assert (self.hours > 0) != (self.months > 0), f"{self.hours} hours, {self.months} months"
        assert self.hours >= 0, self.hours
        assert self.months >= 0, self.months


def turn_begins(starts: str, every: Every, turn: int, zone: str) -> int:
    """Return the instant (ms UTC) at which a turn begins."""
    return instant_of(turn_wall(starts, every, turn), zone)


def turn_wall(starts: str, every: Every, turn: int) -> int:
    """Return the wall time at which a turn begins."""
    if every.hours:
        return wall_of(starts) + turn * every.hours * HOUR_MS
    return _months_later(wall_of(starts), turn * every.months)


@lru_cache(maxsize=4_096)
def _months_later(wall: int, months: int) -> int:
    day, time = divmod(wall, DAY_MS)
    start = date_of(day)
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    last = monthrange(year, month + 1)[1]
    return wall_of(f"{year:04}-{month + 1:02}-{min(start.day, last):02}T00:00") + time


def turn_at(starts: str, every: Every, zone: str, at: int) -> int | None:
    """Return the number of the turn at an instant, from 0; None before the first. Costs the same however long ago the rotation began."""
    turn = max(0, _turn_by_wall(wall_of(starts), every, wall_at(at, zone)))
    # Where the clocks change, the wall time is an hour (in one zone, once, a day) off what has begun as instants.
    while turn_begins(starts, every, turn + 1, zone) <= at:
        turn += 1
    while turn >= 0 and turn_begins(starts, every, turn, zone) > at:
        turn -= 1
    return turn if turn >= 0 else None


def _turn_by_wall(starts: int, every: Every, wall: int) -> int:
    if every.hours:
        return (wall - starts) // (every.hours * HOUR_MS)
    start, now = date_of(starts // DAY_MS), date_of(wall // DAY_MS)
    return ((now.year - start.year) * 12 + now.month - start.month) // every.months


def hand_overs(starts: str, every: Every, zone: str, from_at: int, to_at: int) -> Iterator[int]:
    """Yield the instants in [from_at, to_at) at which a turn begins, in order; those of turns without length come twice."""
    return (instant_of(wall, zone) for wall in hand_over_walls(starts, every, zone, from_at, to_at))


def hand_over_walls(starts: str, every: Every, zone: str, from_at: int, to_at: int) -> Iterator[int]:
    """Yield the wall times of the same hand-overs."""
    turn = turn_at(starts, every, zone, from_at) or 0
    while (at := instant_of(wall := turn_wall(starts, every, turn), zone)) < to_at:
        if at >= from_at:
            yield wall
        turn += 1
