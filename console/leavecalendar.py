"""Leave out of an ICS calendar (RFC 5545): the spans in which its owner is not there.

Owns the reading of a file that anybody may have written: its limits, its zones, its repetitions. A file that cannot be understood as a
whole is refused with the line, because leave that is missed pages somebody on the beach. Zones are taken by their name only: what a file
says about its own zones is left out before it is parsed. All-day and zoneless times are those of the person's zone.

Repetitions are those of leave: FREQ of a day and longer, INTERVAL, COUNT, UNTIL, and BYDAY with WEEKLY. They are counted on the wall clock.

    BEGIN:VCALENDAR
    VERSION:2.0
    PRODID:-//Example//Leave//EN
    BEGIN:VEVENT
    UID:4711@example.com
    DTSTART;VALUE=DATE:20260302
    DTEND;VALUE=DATE:20260307
    SUMMARY:Family
    END:VEVENT
    END:VCALENDAR
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import count, islice
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from tocsin.policy.wallclock import DAY_MS, date_of, day_of, instant_of, wall_at, weekday

BYTES_MAX: Final = 1_048_576
EVENTS_MAX: Final = 1_000
SPANS_MAX: Final = 300
OCCURRENCES_MAX: Final = 20_000
"""Repetitions of all events together that are looked at."""

LENGTH_MS_MAX: Final = 366 * DAY_MS
SUMMARY_CHARACTERS_MAX: Final = 200
YEARS: Final = range(1980, 2200)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ZONES: Final = re.compile(r"^BEGIN:VTIMEZONE[ \t]*$.*?^END:VTIMEZONE[ \t]*$\n?", re.MULTILINE | re.DOTALL | re.IGNORECASE)
_EVENT_LINE: Final = re.compile(r"BEGIN:VEVENT[ \t]*", re.IGNORECASE)
_DAYS: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_RULE_PARTS: Final = frozenset({"FREQ", "INTERVAL", "COUNT", "UNTIL", "BYDAY", "WKST"})


class LeaveInvalid(ValueError):
    """The calendar cannot be used; the text names the line and what would be right."""


class Leave(NamedTuple):
    """A span of leave (ms UTC, half-open), and what it is called."""

    from_at: int
    until_at: int
    summary: str


@dataclass(frozen=True, slots=True)
class LeaveCalendar:
    """What a calendar says about an interval, and what of it does not count and why."""

    spans: tuple[Leave, ...]
    ignored: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Event:
    """One event: its first day and time on the wall of `zone`, and its length in whole days (all-day) or ms."""

    day: int
    time_ms: int
    zone: str
    days: int
    length_ms: int
    summary: str

    def span(self, day: int) -> Leave:
        """Return the event as it is on another day."""
        if self.days:
            return Leave(instant_of(day * DAY_MS, self.zone), instant_of((day + self.days) * DAY_MS, self.zone), self.summary)
        from_at = instant_of(day * DAY_MS + self.time_ms, self.zone)
        return Leave(from_at, from_at + self.length_ms, self.summary)


def read_leave(raw: bytes, zone: str, from_at: int, to_at: int) -> LeaveCalendar:
    """Return the leave in [from_at, to_at). `zone` is the person's. Slow for big files: not for the event loop. Raises LeaveInvalid."""
    text = _text(raw)
    lines = [number for number, line in enumerate(text.split("\n"), start=1) if _EVENT_LINE.fullmatch(line)]
    if len(lines) > EVENTS_MAX:
        raise LeaveInvalid(f"line {lines[EVENTS_MAX]}: more than {EVENTS_MAX} events")
    events = _components(text)
    if len(events) != len(lines):
        raise LeaveInvalid("an event begins in the middle of a line, or inside another one")
    moved = _moved(events, lines, zone)
    spans: dict[tuple[int, int], Leave] = {}
    ignored: list[str] = []
    left = OCCURRENCES_MAX
    for component, line in zip(events, lines, strict=False):
        try:
            if str(component.get("STATUS", "")).upper() == "CANCELLED":
                ignored.append(f"line {line}: the event is cancelled")
                continue
            event = _event(component, zone)
            without = _exceptions(component, event.zone) | moved.get(_uid(component), set()) if "RECURRENCE-ID" not in component else set()
            for day in _occurrences(component, event, to_at):
                left -= 1
                if left < 0:
                    raise LeaveInvalid(f"the events repeat more than {OCCURRENCES_MAX} times; end the repetition with UNTIL or COUNT")
                span = event.span(day)
                if day not in without and span.until_at > from_at and span.from_at < to_at:
                    spans.setdefault((span.from_at, span.until_at), span)
        except (ValueError, OverflowError, AttributeError, TypeError) as error:
            raise LeaveInvalid(f"line {line}: {_reason(error)}") from None
    if len(spans) > SPANS_MAX:
        raise LeaveInvalid(f"more than {SPANS_MAX} absences; import a shorter time, or join those that touch")
    return LeaveCalendar(tuple(sorted(spans.values())), tuple(ignored))


def _reason(error: Exception) -> str:
    """Errors of ours say what is wrong; those of the library may repeat the file."""
    return str(error) if isinstance(error, LeaveInvalid) else "the event cannot be read"


def _text(raw: bytes) -> str:
    if len(raw) > BYTES_MAX:
        raise LeaveInvalid(f"a calendar may have {BYTES_MAX} bytes")
    try:
        return raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError:
        raise LeaveInvalid("the file is not UTF-8 text") from None


def _components(text: str) -> list[Any]:
    """Return the events of the file; the only place that speaks to the library."""
    from icalendar import Calendar  # noqa: PLC0415  two hundred modules that a console without leave calendars never needs

    unfolded = _ZONES.sub("", re.sub(r"\n[ \t]", "", text))
    try:
        calendar = Calendar.from_ical(unfolded)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        raise LeaveInvalid("the file is not an ICS calendar: it begins with BEGIN:VCALENDAR and ends with END:VCALENDAR") from None
    if calendar.name != "VCALENDAR":
        raise LeaveInvalid("the file is not an ICS calendar: it begins with BEGIN:VCALENDAR and ends with END:VCALENDAR")
    return list(calendar.walk("VEVENT"))


def _uid(component: Any) -> str:
    return str(component.get("UID", ""))


def _moved(events: list[Any], lines: list[int], zone: str) -> dict[str, set[int]]:
    """Map each event's UID to the days on which another event of the same UID stands in place of a repetition."""
    found: dict[str, set[int]] = {}
    for component, line in zip(events, lines, strict=False):
        if "RECURRENCE-ID" in component:
            try:
                day, _, _ = _wall(component, "RECURRENCE-ID", zone)
            except (ValueError, OverflowError, AttributeError, TypeError) as error:
                raise LeaveInvalid(f"line {line}: {_reason(error)}") from None
            found.setdefault(_uid(component), set()).add(day)
    return found


def _event(component: Any, zone: str) -> _Event:
    if "RDATE" in component:
        raise LeaveInvalid("RDATE is not supported; write an event for each date")
    day, time_ms, own_zone = _wall(component, "DTSTART", zone)
    if date_of(day).year not in YEARS:
        raise LeaveInvalid("DTSTART is not in this or the last century")
    is_all_day = time_ms is None
    first = instant_of(day * DAY_MS + (time_ms or 0), own_zone)
    if "DTEND" in component:
        end_day, end_time_ms, end_zone = _wall(component, "DTEND", zone)
        if (end_time_ms is None) != is_all_day:
            raise LeaveInvalid("DTSTART and DTEND must both be dates, or both be times")
        days, end_at = end_day - day, instant_of(end_day * DAY_MS + (end_time_ms or 0), end_zone)
    elif "DURATION" in component:
        length = component["DURATION"].dt
        days, end_at = length.days, first + length // timedelta(milliseconds=1)
    else:
        days, end_at = 1, first
    if end_at <= first and not (is_all_day and days > 0):
        raise LeaveInvalid("the event ends when it begins, or earlier")
    if end_at - first > LENGTH_MS_MAX:
        raise LeaveInvalid("the event is longer than 366 days")
    summary = _clean(str(component.get("SUMMARY", "")))
    if is_all_day:
        return _Event(day, 0, own_zone, max(days, 1), 0, summary)
    return _Event(day, time_ms or 0, own_zone, 0, end_at - first, summary)


def _wall(component: Any, name: str, zone: str) -> tuple[int, int | None, str]:
    """Return day and time of day (None: all day) of a property, and the zone that they are of. Raises LeaveInvalid."""
    if name not in component:
        raise LeaveInvalid(f"the event has no {name}")
    found = component[name]
    if isinstance(found, list):
        raise LeaveInvalid(f"the event has {name} more than once")
    try:
        moment = found.dt
    except (ValueError, AttributeError):
        raise LeaveInvalid(f"{name} is not a date or time of the calendar") from None
    if isinstance(moment, datetime):
        if moment.tzinfo is None and "TZID" in found.params:
            raise LeaveInvalid(f"the zone of {name} is not known; use a name like Asia/Seoul, or UTC")
        own_zone = zone if moment.tzinfo is None else _zone_name(moment, name)
        return day_of(moment.date()), (moment.hour * 3_600 + moment.minute * 60 + moment.second) * 1_000, own_zone
    if isinstance(moment, date):
        return day_of(moment), None, zone
    raise LeaveInvalid(f"{name} is not a date or time of the calendar")


def _zone_name(moment: datetime, name: str) -> str:
    if isinstance(moment.tzinfo, ZoneInfo):
        return moment.tzinfo.key
    if moment.utcoffset() == timedelta(0):
        return "UTC"
    raise LeaveInvalid(f"the zone of {name} is not known; use a name like Asia/Seoul, or UTC")


def _clean(text: str) -> str:
    kept = "".join(" " if unicodedata.category(each)[0] in "CZ" else each for each in text)
    return " ".join(kept.split())[:SUMMARY_CHARACTERS_MAX]


# --- repetitions ------------------------------------------------------------------------------------------------------------------------


def _exceptions(component: Any, zone: str) -> set[int]:
    """Return the days that EXDATE takes out."""
    found = component.get("EXDATE", [])
    days: set[int] = set()
    for each in found if isinstance(found, list) else [found]:
        for value in each.dts:
            moment = value.dt
            if isinstance(moment, datetime) and moment.tzinfo is not None:
                days.add(wall_at((moment - _EPOCH) // timedelta(milliseconds=1), zone) // DAY_MS)
            else:
                days.add(day_of(moment.date() if isinstance(moment, datetime) else moment))
    return days


def _occurrences(component: Any, event: _Event, to_at: int) -> Iterator[int]:
    """Yield the days on which an event takes place, in order, until `to_at`."""
    if "RRULE" not in component:
        yield event.day
        return
    rule = component["RRULE"]
    if isinstance(rule, list):
        raise LeaveInvalid("RRULE is there more than once")
    try:
        parts = {str(name).upper(): list(values) for name, values in rule.items()}
    except (ValueError, AttributeError):
        raise LeaveInvalid("RRULE cannot be read") from None
    if odd := sorted(set(parts) - _RULE_PARTS):
        raise LeaveInvalid(f"RRULE with {odd[0] if odd[0].isalpha() else 'this part'} is not supported; write an event for each date")
    most = parts.get("COUNT", [None])[0]
    last_at = _until(parts, event.zone)
    for day in islice(_days(parts, event.day), most):
        at = event.span(day).from_at
        if at >= to_at or (last_at is not None and at > last_at):
            return
        yield day


def _until(parts: dict[str, list[Any]], zone: str) -> int | None:
    """Return the last instant at which a repetition may begin."""
    if "UNTIL" not in parts:
        return None
    moment = parts["UNTIL"][0]
    if not isinstance(moment, datetime):
        return instant_of((day_of(moment) + 1) * DAY_MS, zone) - 1
    if moment.tzinfo is None:
        return instant_of((moment.replace(tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1), zone)
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def _days(parts: dict[str, list[Any]], first: int) -> Iterator[int]:
    """Yield the days of a rule from its first, for ever."""
    interval = int(parts.get("INTERVAL", [1])[0])
    if not 1 <= interval <= 1_000:
        raise LeaveInvalid("INTERVAL must be from 1 to 1000")
    frequency = str(parts.get("FREQ", [""])[0]).upper()
    if "BYDAY" in parts and frequency != "WEEKLY":
        raise LeaveInvalid("BYDAY is supported with FREQ=WEEKLY only; write an event for each date")
    match frequency:
        case "DAILY":
            yield from count(first, interval)
        case "WEEKLY":
            yield from _weekly(parts, first, interval)
        case "MONTHLY":
            yield from _monthly(first, interval)
        case "YEARLY":
            yield from _monthly(first, 12 * interval)
        case _:
            raise LeaveInvalid("FREQ must be DAILY, WEEKLY, MONTHLY or YEARLY")


def _weekly(parts: dict[str, list[Any]], first: int, interval: int) -> Iterator[int]:
    names = [str(name).upper() for name in parts.get("BYDAY", [_DAYS[weekday(first)]])]
    if not set(names) <= set(_DAYS):
        raise LeaveInvalid("BYDAY must be some of MO, TU, WE, TH, FR, SA, SU")
    begins = str(parts.get("WKST", ["MO"])[0]).upper()
    if begins not in _DAYS:
        raise LeaveInvalid("WKST must be one of MO, TU, WE, TH, FR, SA, SU")
    week = first - (weekday(first) - _DAYS.index(begins)) % 7
    offsets = sorted((_DAYS.index(name) - _DAYS.index(begins)) % 7 for name in set(names))
    for monday in count(week, 7 * interval):
        yield from (monday + offset for offset in offsets if monday + offset >= first)


def _monthly(first: int, months: int) -> Iterator[int]:
    """Months that have no such day are left out, as RFC 5545 says."""
    start = date_of(first)
    for step in count(0, months):
        year, month = divmod(start.year * 12 + start.month - 1 + step, 12)
        if year not in YEARS:
            return
        try:
            yield day_of(date(year, month + 1, start.day))
        except ValueError:
            continue
