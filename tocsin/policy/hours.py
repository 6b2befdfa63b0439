"""Day kinds and windows: whether an instant is working time, night, weekend or holiday, and whether a window of days and times is open.

Owns the two questions `kind_at` and `is_open`, and the instants at which their answers may change (`kind_edges`, `window_edges`), off
which intervals are computed. Where the dates of public holidays come from is the loader's matter: here they are a frozen value.

A span of time belongs to the day on which it begins, also when it goes on past midnight. Days change at local midnight, or when the clock
has passed it.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from tocsin.policy.wallclock import DAY_MS, day_at, instant_of, wall_at, weekday


class DayKind(enum.StrEnum):
    """What an instant is to a place of work; always exactly one."""

    WORKING = "working"
    NIGHT = "night"
    """A working day, outside its hours."""
    WEEKEND = "weekend"
    HOLIDAY = "holiday"


class Span(NamedTuple):
    """Wall times of a day, in ms since its midnight: [from_ms, to_ms). Beyond 24 hours it goes on into the next day."""

    from_ms: int
    to_ms: int


ALL_DAY = (Span(0, DAY_MS),)


@dataclass(frozen=True, slots=True)
class Holidays:
    """Days of a country or region (`KR`, `US-CA`) as numbers (see `wallclock.day_of`), known from `first_year` to `last_year`."""

    region: str
    days: Mapping[int, str] = field(default_factory=dict)
    """Day -> its name."""
    working: frozenset[int] = frozenset()
    """Days of a weekend on which people work in exchange for another day."""
    first_year: int = 0
    last_year: int = 0
    incomplete_years: tuple[int, ...] = ()
    """Years whose exchange days are not published yet, though every year before had some."""


@dataclass(frozen=True, slots=True)
class Hours:
    """When a place works. `company_days` are free and `working_days` are worked, whatever weekday and country say; the latter win."""

    name: str
    time_zone: str
    working: tuple[Window, ...]
    holidays: Holidays | None = None
    company_days: frozenset[int] = frozenset()
    working_days: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Window:
    """Open on these weekdays (0 Monday), at these times, while the hours say one of `on`; what is empty does not restrict."""

    days: tuple[int, ...] = ()
    times: tuple[Span, ...] = ()
    on: tuple[DayKind, ...] = ()
    hours: Hours | None = None
    """Whose day kinds `on` means."""


def kind_at(hours: Hours, at: int) -> DayKind:
    """Return what an instant (ms UTC) is. Hours that go on past midnight of a working day are working, whatever the next day is."""
    day = wall_at(at, hours.time_zone) // DAY_MS
    for each in (day - 1, day, day + 1):
        if day_kind(hours, each) is DayKind.WORKING and _in_spans(times_of(hours, each), each, hours.time_zone, at):
            return DayKind.WORKING
    kind = day_kind(hours, day_at(at, hours.time_zone))
    return DayKind.NIGHT if kind is DayKind.WORKING else kind


def day_kind(hours: Hours, day: int) -> DayKind:
    """Return what a whole day is: working, weekend or holiday."""
    if day in hours.working_days:
        return DayKind.WORKING
    if day in hours.company_days:
        return DayKind.HOLIDAY
    if hours.holidays is not None:
        if day in hours.holidays.days:
            return DayKind.HOLIDAY
        if day in hours.holidays.working:
            return DayKind.WORKING
    return DayKind.WORKING if any(_on_day(window, day) for window in hours.working) else DayKind.WEEKEND


def times_of(hours: Hours, day: int) -> tuple[Span, ...]:
    """Return the working times of a day that is worked: those of its weekday; a worked weekend has those of the first window."""
    found = tuple(span for window in hours.working if _on_day(window, day) for span in window.times or ALL_DAY)
    return found or hours.working[0].times or ALL_DAY


def is_open(window: Window, zone: str, at: int) -> bool:
    """Whether a window is open at an instant; its days and times are of `zone`, its day kinds of its hours."""
    if window.on and (window.hours is None or kind_at(window.hours, at) not in window.on):
        return False
    if not window.days and not window.times:
        return True
    day = wall_at(at, zone) // DAY_MS
    spans = window.times or ALL_DAY
    return any(_on_day(window, each) and _in_spans(spans, each, zone, at) for each in (day - 1, day, day + 1))


def window_edges(window: Window, zone: str, from_at: int, to_at: int) -> Iterator[int]:
    """Yield every instant in [from_at, to_at) at which the window may open or close, in no order."""
    if window.on and window.hours is not None:
        yield from kind_edges(window.hours, from_at, to_at)
    if window.days or window.times:
        for day in _days(zone, from_at, to_at):
            if _on_day(window, day):
                yield from _span_edges(window.times or ALL_DAY, day, zone, from_at, to_at)


def kind_edges(hours: Hours, from_at: int, to_at: int) -> Iterator[int]:
    """Yield every instant in [from_at, to_at) at which the kind may change, in no order."""
    for day in _days(hours.time_zone, from_at, to_at):
        yield from _span_edges(ALL_DAY, day, hours.time_zone, from_at, to_at)
        if day_kind(hours, day) is DayKind.WORKING:
            yield from _span_edges(times_of(hours, day), day, hours.time_zone, from_at, to_at)


def _on_day(window: Window, day: int) -> bool:
    return not window.days or weekday(day) in window.days


def _in_spans(spans: tuple[Span, ...], day: int, zone: str, at: int) -> bool:
    midnight = day * DAY_MS
    return any(instant_of(midnight + span.from_ms, zone) <= at < instant_of(midnight + span.to_ms, zone) for span in spans)


def _days(zone: str, from_at: int, to_at: int) -> range:
    """Return every day that may have a part in an interval: a span of the day before may reach into it."""
    return range(wall_at(from_at, zone) // DAY_MS - 1, wall_at(to_at, zone) // DAY_MS + 2)


def _span_edges(spans: tuple[Span, ...], day: int, zone: str, from_at: int, to_at: int) -> Iterator[int]:
    for span in spans:
        for wall in span:
            at = instant_of(day * DAY_MS + wall, zone)
            if from_at <= at < to_at:
                yield at
