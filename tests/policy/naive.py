"""The calendar once more, as slowly and plainly as it can be said: what the differential tests compare with.

Written from the rules in docs/schedules.md, on the dates and zones of `whenever`: turns are counted one by one from the start, windows are
laid out day by day, and every question is asked of one instant alone. Shares nothing with the calendar but the values that go in.
"""

from __future__ import annotations

from functools import cache
from zoneinfo import available_timezones

from whenever import Date, Instant, PlainDateTime, SkippedTime, ZonedDateTime

from tocsin.policy.hours import DayKind, Hours, Window
from tocsin.policy.roster import Override, Roster, Swap
from tocsin.policy.rotation import Every
from tocsin.policy.schedules import Layer, Schedule

EPOCH = Date(1970, 1, 1)
WALL_EPOCH = PlainDateTime(1970, 1, 1)
BEGIN, END = (Instant.from_utc(year, 1, 1).timestamp(unit="millisecond") for year in (2020, 2036))


def zoned(at: int, zone: str) -> ZonedDateTime:
    return Instant.from_timestamp(at, unit="millisecond").to_tz(zone)


@cache
def changes() -> tuple[tuple[str, int], ...]:
    """Every change of a zone's clocks from 2020 to 2035 as (zone, instant); zones that change at the same instants by the same are one."""
    seen: set[tuple[tuple[int, int], ...]] = set()
    found: list[tuple[str, int]] = []
    for zone in sorted(available_timezones() - {"localtime", "Factory"}):
        moment = zoned(BEGIN, zone)
        each: list[tuple[int, int]] = []
        while (change := moment.next_transition()) is not None and change.timestamp(unit="millisecond") < END:
            each.append((change.timestamp(unit="millisecond"), round(change.offset.total("seconds"))))
            moment = change
        if each and tuple(each) not in seen:
            seen.add(tuple(each))
            found += [(zone, at) for at, _ in each]
    return tuple(found)


def plain(wall: int) -> PlainDateTime:
    return WALL_EPOCH.add(milliseconds=wall, naive_arithmetic_ok=True)


@cache
def instant(wall: PlainDateTime, zone: str) -> int:
    """Skipped: the transition. Shown twice: the first time."""
    try:
        wall.assume_tz(zone, disambiguation="raise")
    except SkippedTime:
        change = wall.assume_tz(zone, disambiguation="earlier").next_transition()
        assert change is not None
        return change.timestamp(unit="millisecond")
    except ValueError:
        pass
    return wall.assume_tz(zone, disambiguation="earlier").timestamp(unit="millisecond")


def later(wall: PlainDateTime, every: Every, turns: int) -> PlainDateTime:
    if every.months:
        return wall.add(months=every.months * turns)
    return wall.add(hours=every.hours * turns, naive_arithmetic_ok=True)


@cache
def turns_begin(starts: str, every: Every, zone: str, until: int) -> tuple[int, ...]:
    """One by one from the start."""
    found: list[int] = []
    wall = PlainDateTime(starts)
    while True:
        begins = instant(later(wall, every, len(found)), zone)
        if begins > until:
            return tuple(found)
        found.append(begins)


def turn(layer: Layer, zone: str, at: int) -> int | None:
    begun = sum(1 for begins in turns_begin(layer.starts, layer.every, zone, at + 86_400_000 - at % 86_400_000) if begins <= at)
    return begun - 1 if begun else None


@cache
def span(day: Date, from_ms: int, to_ms: int, zone: str) -> tuple[int, int]:
    midnight = day.at(PlainDateTime(2000, 1, 1).time())
    begin, end = (midnight.add(milliseconds=ms, naive_arithmetic_ok=True) for ms in (from_ms, to_ms))
    return instant(begin, zone), instant(end, zone)


def days_around(at: int, zone: str) -> list[Date]:
    today = zoned(at, zone).date()
    return [today.add(days=step) for step in (-2, -1, 0, 1, 2)]


def number(day: Date) -> int:
    return round(day.since(EPOCH, total="days"))


def weekday(day: Date) -> int:
    return day.day_of_week().value - 1


def worked(hours: Hours, day: Date) -> DayKind:
    each = number(day)
    if each in hours.working_days:
        return DayKind.WORKING
    if each in hours.company_days:
        return DayKind.HOLIDAY
    if hours.holidays is not None and each in hours.holidays.days:
        return DayKind.HOLIDAY
    if hours.holidays is not None and each in hours.holidays.working:
        return DayKind.WORKING
    usual = [window for window in hours.working if not window.days or weekday(day) in window.days]
    return DayKind.WORKING if usual else DayKind.WEEKEND


def kind(hours: Hours, at: int) -> DayKind:
    zone = hours.time_zone
    for day in days_around(at, zone):
        if worked(hours, day) is DayKind.WORKING:
            usual = [window for window in hours.working if not window.days or weekday(day) in window.days] or [hours.working[0]]
            for window in usual:
                for from_ms, to_ms in window.times or ((0, 86_400_000),):
                    begin, end = span(day, from_ms, to_ms, zone)
                    if begin <= at < end:
                        return DayKind.WORKING
    # The day is the last whose midnight has passed.
    day = max(day for day in days_around(at, zone) if span(day, 0, 0, zone)[0] <= at)
    found = worked(hours, day)
    return DayKind.NIGHT if found is DayKind.WORKING else found


def is_open(window: Window, zone: str, at: int) -> bool:
    if window.on and window.hours is not None and kind(window.hours, at) not in window.on:
        return False
    for day in days_around(at, zone):
        if not window.days or weekday(day) in window.days:
            for from_ms, to_ms in window.times or ((0, 86_400_000),):
                begin, end = span(day, from_ms, to_ms, zone)
                if begin <= at < end:
                    return True
    return False


def applying(schedule: Schedule, at: int) -> list[tuple[Layer, int]]:
    found: list[tuple[Layer, int]] = []
    for layer in schedule.layers:
        zone = layer.time_zone or schedule.time_zone
        over = layer.until is not None and at >= instant(PlainDateTime(layer.until), zone)
        number_of_turn = turn(layer, zone, at)
        allowed = not layer.restrict or any(is_open(window, zone, at) for window in layer.restrict)
        if number_of_turn is not None and allowed and not over:
            found.insert(0, (layer, number_of_turn))
    return found


def made(roster: Roster) -> list[Override]:
    """Every override that counts, the oldest first."""
    found = list(roster.overrides)
    for swap in roster.swaps:
        found += of_swap(swap)
    return sorted(found, key=lambda each: each.made_at)


def of_swap(swap: Swap) -> list[Override]:
    if not {swap.first.person, swap.second.person} <= set(swap.agreed):
        return []
    made_at = swap.agreed_at if swap.agreed_at is not None else swap.made_at
    one = Override("", swap.schedule, swap.second.person, swap.first.from_at, swap.first.until_at, swap.first.person, made_at=made_at)
    two = Override("", swap.schedule, swap.first.person, swap.second.from_at, swap.second.until_at, swap.second.person, made_at=made_at)
    return [one, two]


def away(roster: Roster, person: str, at: int, after: int | None = None) -> bool:
    """Whether somebody is away, by an absence made later than `after`."""
    return any(
        each.person == person and each.from_at <= at < each.until_at and (after is None or each.made_at > after) for each in roster.absences
    )


def on_shift(schedule: Schedule, at: int, roster: Roster) -> str | None:
    layers = applying(schedule, at)
    named = layers[0][0].rotation[layers[0][1] % len(layers[0][0].rotation)] if layers else None
    planned = in_turn(layers, at, roster, last=False)
    someone = False
    for each in reversed(made(roster)):
        if each.schedule == schedule.name and each.from_at <= at < each.until_at and each.replaces in (None, named, planned):
            someone = True
            if not away(roster, each.person, at, after=each.made_at):
                return each.person
    return in_turn(layers, at, roster, last=True) if someone else planned


def in_turn(layers: list[tuple[Layer, int]], at: int, roster: Roster, *, last: bool) -> str | None:
    for layer, number_of_turn in layers:
        first = number_of_turn % len(layer.rotation)
        order = [*layer.rotation[first:], *layer.rotation[:first]]
        if last:
            order = [*order[1:], order[0]]
        for person in order:
            if not away(roster, person, at):
                return person
    return None
