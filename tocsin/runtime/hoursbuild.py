"""Turns the section `hours` of alert_rules.yaml, and the windows of days and times in other sections, into values of `tocsin.policy`.

Owns the spelling of days (`monday:friday`), times (`09:00-18:00`), dates and day kinds. Works on a `RuleSource` as `rulebuild.py` does.
Alertmanager's spelling of a time interval (`weekdays`, `times` as `{start_time, end_time}`) is understood as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Annotated, Final

from pydantic import BeforeValidator

from tocsin.policy.hours import DayKind, Holidays, Hours, Span, Window
from tocsin.policy.wallclock import DAY_MS, HOUR_MS, MINUTE_MS, day_of
from tocsin.runtime.holidaydata import RegionUnknown, holidays_of
from tocsin.runtime.rulebuild import RuleSource
from tocsin.runtime.ruleschema import Names, Shape, read_shape
from tocsin.runtime.yamltree import Path, did_you_mean, shown

WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
DEFAULT_WORKING: Final = (Window((0, 1, 2, 3, 4), (Span(9 * HOUR_MS, 18 * HOUR_MS),)),)
"""Of a schedule that says `holidays` and no hours: Monday to Friday, 09:00 to 18:00 in its zone."""

_TIMES = re.compile(r"(?P<from>(?:[01]?[0-9]|2[0-3]):[0-5][0-9]) ?- ?(?P<to>(?:[01]?[0-9]|2[0-3]):[0-5][0-9]|24:00)")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def _list_of_one(value: object) -> object:
    return [value] if isinstance(value, str | dict) else value


def _times_as_text(value: object) -> object:
    """`{start_time: '09:00', end_time: '18:00'}` is how Alertmanager writes 09:00-18:00."""
    if isinstance(value, dict) and set(value) == {"start_time", "end_time"}:
        return f"{value['start_time']}-{value['end_time']}"
    return value


Times = Annotated[list[Annotated[str, BeforeValidator(_times_as_text)]], BeforeValidator(_list_of_one)]


class WindowShape(Shape):
    """What an entry may say about when it applies."""

    days: Names = []
    weekdays: Names = []
    times: Times = []
    on: Names = []
    hours: str | None = None


Windows = Annotated[list[WindowShape], BeforeValidator(_list_of_one)]


class WorkingShape(Shape):
    days: Names = []
    weekdays: Names = []
    times: Times = []


class HoursShape(Shape):
    time_zone: str
    working: Annotated[list[WorkingShape], BeforeValidator(_list_of_one)]
    holidays: str = ""
    company_days: Names = []
    working_days: Names = []


def build_hours(source: RuleSource) -> dict[str, Hours]:
    """Build when places work."""
    found: dict[str, Hours] = {}
    for key, value in source.entries("hours"):
        path: Path = ("hours", key)
        source.check_name(str(key), path, at=source.document.key_place(path))
        shape = read_shape(HoursShape, value, source.document, path)
        if shape is None:
            continue
        source.check_zone(shape.time_zone, (*path, "time_zone"))
        if not shape.working:
            source.document.add(
                (*path, "working"), "is empty, expected days and times, as in {days: 'monday:friday', times: '09:00-18:00'}"
            )
        working = tuple(
            Window(read_days(source, each, (*path, "working", index)), read_times(source, each.times, (*path, "working", index, "times")))
            for index, each in enumerate(shape.working)
        )
        company_days = _dates(source, shape.company_days, (*path, "company_days"))
        working_days = _dates(source, shape.working_days, (*path, "working_days"))
        for index, text in enumerate(shape.working_days):
            if text in shape.company_days:
                source.document.add((*path, "working_days", index), f"{shown(text)} is among company_days too, expected one of them")
        holidays = read_holidays(source, shape.holidays, (*path, "holidays"))
        found[str(key)] = Hours(str(key), shape.time_zone, working or DEFAULT_WORKING, holidays, company_days, working_days)
    return found


def read_holidays(source: RuleSource, region: str, path: Path) -> Holidays | None:
    """Read whose public holidays; None when none are named, or with a problem when there are none."""
    if not region:
        return None
    try:
        return holidays_of(region)
    except RegionUnknown as error:
        meant = did_you_mean(region, error.known) or ", expected a country such as KR or a part of one such as US-CA"
        source.document.add(path, f"no holidays of {shown(region)} are known{meant}")
        return None


def read_window(source: RuleSource, shape: WindowShape, path: Path, hours: Mapping[str, Hours], own: Hours | None) -> Window:
    """Read when an entry applies; `own` are the hours that it means when it names none."""
    found = chosen_hours(source, shape.hours, (*path, "hours"), hours) or own
    if shape.on and found is None and shape.hours is None:
        source.document.add((*path, "on"), "needs to know whose hours, expected `hours` beside it, the name of a part of the section hours")
    return Window(
        read_days(source, shape, path), read_times(source, shape.times, (*path, "times")), _kinds(source, shape.on, (*path, "on")), found
    )


def chosen_hours(source: RuleSource, name: str | None, path: Path, hours: Mapping[str, Hours]) -> Hours | None:
    """Return the hours of a name; without a name those of the file if there is exactly one."""
    if name is None:
        return next(iter(hours.values())) if len(hours) == 1 else None
    source.knows("hours", name, source.names("hours"), path)
    return hours.get(name)


def read_days(source: RuleSource, shape: WindowShape | WorkingShape, path: Path) -> tuple[int, ...]:
    """Read days of the week, 0 for Monday: names, three letters of them, or ranges (`saturday:monday`); all seven are no restriction."""
    if shape.days and shape.weekdays:
        source.document.add((*path, "weekdays"), "both days and weekdays are given, expected one of them")
    key, texts = ("days", shape.days) if shape.days else ("weekdays", shape.weekdays)
    found: set[int] = set()
    for index, text in enumerate(texts):
        first, _, last = text.partition(":")
        ends = [_weekday(each) for each in (first, last or first)]
        if None in ends:
            message = f"{shown(text)} is no day of the week, expected monday to sunday, or a range such as monday:friday"
            source.document.add((*path, key, index), message)
            continue
        begin, end = (each or 0 for each in ends)
        found |= {(begin + step) % 7 for step in range((end - begin) % 7 + 1)}
    return tuple(sorted(found)) if len(found) < 7 else ()


def _weekday(text: str) -> int | None:
    name = text.strip().lower()
    return next((number for number, each in enumerate(WEEKDAYS) if name in (each, each[:3])), None)


def read_times(source: RuleSource, texts: Iterable[str], path: Path) -> tuple[Span, ...]:
    """Read times of a day; one that ends before it begins goes on past midnight."""
    found: list[Span] = []
    for index, text in enumerate(texts):
        matched = _TIMES.fullmatch(text)
        if matched is None:
            source.document.add((*path, index), f"{shown(text)} is not a time of day, expected 09:00-18:00, the end 24:00 at the latest")
            continue
        from_ms, to_ms = _time_ms(matched["from"]), _time_ms(matched["to"])
        if from_ms == to_ms:
            message = f"{shown(text)} ends when it begins, so it is never: for the whole day write 00:00-24:00, or no times"
            source.document.add((*path, index), message)
            continue
        found.append(Span(from_ms, to_ms if to_ms > from_ms else to_ms + DAY_MS))
    return tuple(found)


def _time_ms(text: str) -> int:
    hour, minute = text.split(":")
    return int(hour) * HOUR_MS + int(minute) * MINUTE_MS


def _kinds(source: RuleSource, texts: Iterable[str], path: Path) -> tuple[DayKind, ...]:
    found: list[DayKind] = []
    known = [kind.value for kind in DayKind]
    for index, text in enumerate(texts):
        if text in known:
            found.append(DayKind(text))
        else:
            source.document.add((*path, index), f"expected one of {', '.join(known)}, found {shown(text)}{did_you_mean(text, known)}")
    return tuple(dict.fromkeys(found))


def _dates(source: RuleSource, texts: Iterable[str], path: Path) -> frozenset[int]:
    found: set[int] = set()
    for index, text in enumerate(texts):
        try:
            if not _DATE.fullmatch(text):
                raise ValueError(text)
            found.add(day_of(date.fromisoformat(text)))
        except ValueError:
            source.document.add((*path, index), f"{shown(text)} is no day of the calendar, expected one such as 2026-05-04")
    return frozenset(found)
