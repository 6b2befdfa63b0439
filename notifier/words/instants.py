"""Instants and lengths of time as every language needs them, before they become words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_UNITS_S = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


@dataclass(frozen=True, slots=True)
class Local:
    """An instant on a reader's wall clock, its zone's short name (`KST`, `UTC-03`), and the whole one in `place` unless it is the same."""

    time: datetime
    zone: str
    place: str


def local(at: int, time_zone: str) -> Local:
    """The instant (ms UTC) on the reader's wall clock; UTC for an unknown zone: a page must go out."""
    zone: tzinfo
    try:
        zone = ZoneInfo(time_zone)
    except (KeyError, ValueError, OSError):
        zone = UTC
    time = (EPOCH + timedelta(milliseconds=at)).astimezone(zone)
    name = time.tzname() or "UTC"
    short = "UTC" + name if name[0] in "+-" else name  # many zones have only an offset for a name
    place = str(zone)
    return Local(time, short, "" if place == short else place)


def is_same_day(one: int, other: int, time_zone: str) -> bool:
    """Whether both instants (ms UTC) fall on one day of the reader's calendar."""
    return local(one, time_zone).time.date() == local(other, time_zone).time.date()


def largest_units(length_s: int) -> tuple[tuple[int, str], ...]:
    """A length in its largest unit (d, h, min, s); from an hour on in two, without a second that is nothing."""
    rest_s, counts = max(length_s, 0), []
    for unit, unit_s in _UNITS_S:
        count, rest_s = divmod(rest_s, unit_s)
        counts.append((count, unit))
    first = next((index for index, (count, _) in enumerate(counts) if count), len(counts) - 1)
    shown = counts[first : first + (2 if first < 2 else 1)]
    return (shown[0], *((count, unit) for count, unit in shown[1:] if count))
