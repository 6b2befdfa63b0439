"""Wall clocks: from an instant to what the clock on the wall shows, and back.

A wall time is an integer of milliseconds since 1970-01-01T00:00 on the local calendar, whatever the zone: a day is always `DAY_MS` of it,
so that "a week later at nine" is an addition. Only `instant_of` turns it into an instant (ms UTC), and there the zone decides what a wall
time means that the clock skips or shows twice:

- one that is skipped (02:30 in spring) is the first instant after the gap;
- one that is shown twice (02:30 in autumn) is its first occurrence, and only that.

So a later wall time is never an earlier instant, and nothing that happens "at 02:30" happens twice or not at all. Calendar steps are made
on wall times and days (`day_of`, numbered from 1970-01-01), never by adding hours to instants.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_MILLISECOND = timedelta(milliseconds=1)


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def _offset_ms(moment: datetime) -> int:
    offset = moment.utcoffset()
    assert offset is not None
    return offset // _MILLISECOND


def offset_at(at: int, zone: str) -> int:
    """Return how far the wall clocks of a zone are ahead of UTC at an instant, in ms."""
    return _offset_ms((_EPOCH + timedelta(milliseconds=at)).astimezone(_zone(zone)))


def wall_at(at: int, zone: str) -> int:
    """Return the wall time at an instant (ms UTC)."""
    return at + offset_at(at, zone)


@lru_cache(maxsize=32_768)
def instant_of(wall: int, zone: str) -> int:
    """Return the instant (ms UTC) at which the clocks of a zone first show a wall time, or first show a later one when they skip it."""
    shown = (_EPOCH + timedelta(milliseconds=wall)).replace(tzinfo=_zone(zone))
    before, after = _offset_ms(shown), _offset_ms(shown.replace(fold=1))
    if before >= after:
        return wall - before
    # Skipped: the transition is after the one instant and not after the other.
    return _first_with_other_offset(wall - after, wall - before, _zone(zone))


def _first_with_other_offset(early: int, late: int, zone: tzinfo) -> int:
    offset = (_EPOCH + timedelta(milliseconds=early)).astimezone(zone).utcoffset()
    while late - early > 1:
        middle = (early + late) // 2
        if (_EPOCH + timedelta(milliseconds=middle)).astimezone(zone).utcoffset() == offset:
            early = middle
        else:
            late = middle
    return late


def is_skipped(wall: int, zone: str) -> bool:
    """Whether the clocks of a zone never show a wall time."""
    return wall_at(instant_of(wall, zone), zone) != wall


def is_repeated(wall: int, zone: str) -> bool:
    """Whether the clocks of a zone show a wall time twice."""
    shown = (_EPOCH + timedelta(milliseconds=wall)).replace(tzinfo=_zone(zone))
    return _offset_ms(shown) > _offset_ms(shown.replace(fold=1))


@lru_cache(maxsize=4_096)
def wall_of(text: str) -> int:
    """Read a local date and time as a wall time: `2026-01-05T09:00`, without a zone; raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is not None:
        raise ValueError(f"{text} has a zone")
    return (moment.replace(tzinfo=UTC) - _EPOCH) // _MILLISECOND


def day_at(at: int, zone: str) -> int:
    """Return the day at an instant. It never goes back: a clock set back over midnight stays on the day that has begun."""
    day = wall_at(at, zone) // DAY_MS
    return day + 1 if instant_of((day + 1) * DAY_MS, zone) <= at else day


def day_of(day: date) -> int:
    """Return the number of a day."""
    return day.toordinal() - _EPOCH_ORDINAL


def date_of(day: int) -> date:
    """Return the date of a numbered day."""
    return date.fromordinal(day + _EPOCH_ORDINAL)


def weekday(day: int) -> int:
    """Return the day of the week, 0 for Monday to 6 for Sunday."""
    return (day + 3) % 7  # 1970-01-01 was a Thursday
