"""Turns the sections `schedules` and `roles` of alert_rules.yaml into values of `tocsin.policy`: who takes turns, and who holds a duty.

Owns the shapes of these sections and their checks. Works on a `RuleSource` as `rulebuild.py` does; days, times and hours are read by
`hoursbuild.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from tocsin.policy.hours import DayKind, Hours, Window
from tocsin.policy.rotation import Every
from tocsin.policy.rules import Person
from tocsin.policy.schedules import Layer, Role, RoleCase, Schedule
from tocsin.policy.wallclock import DAY_MS, instant_of, wall_of
from tocsin.runtime.hoursbuild import DEFAULT_WORKING, Windows, WindowShape, chosen_hours, read_holidays, read_window
from tocsin.runtime.rulebuild import RuleSource
from tocsin.runtime.ruleschema import Names, Shape, read_shape
from tocsin.runtime.timezones import zone_fault
from tocsin.runtime.yamltree import Path, Plain, shown

ROTATION_DAYS_MAX: Final = 3_660
ROTATION_MONTHS_MAX: Final = 120
HANDOVER_NOTICE_MS_MAX: Final = 7 * DAY_MS
YEARS: Final = range(1980, 2200)
"""In which a layer may start and end: what the arithmetic of dates can carry with room to spare."""

_EVERY = re.compile(r"(?:([0-9]{1,4})w)?(?:([0-9]{1,4})d)?(?:([0-9]{1,5})h)?")
_EVERY_MONTHS = re.compile(r"([0-9]{1,3})mo")
_LOCAL = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2})?")
_ZONED = re.compile(r".*(?:Z|[+-][0-9]{2}:?[0-9]{2})", re.DOTALL)


def _people_of_list(value: Plain) -> Plain:
    return {"people": value} if isinstance(value, list) else value


class CaseShape(WindowShape):
    people: Names = []
    schedule: str | None = None
    schedules: Names = []


class RoleEntry(Shape):
    people: Names = []
    schedule: str | None = None
    schedules: Names = []
    hours: str | None = None
    by_time: list[CaseShape] = []


class LayerShape(Shape):
    rotation: Names
    every: str
    starts: str
    until: str | None = None
    time_zone: str | None = None
    restrict: Windows = []


class ScheduleShape(Shape):
    time_zone: str
    holidays: str = ""
    hours: str | None = None
    handover_notice: str | None = None
    layers: list[LayerShape]


def build_schedules(source: RuleSource, hours: Mapping[str, Hours]) -> dict[str, Schedule]:
    """Build who takes turns."""
    schedules: dict[str, Schedule] = {}
    for key, value in source.entries("schedules"):
        path: Path = ("schedules", key)
        source.check_name(str(key), path, at=source.document.key_place(path))
        shape = read_shape(ScheduleShape, value, source.document, path)
        if shape is None:
            continue
        source.check_zone(shape.time_zone, (*path, "time_zone"))
        if not shape.layers:
            source.document.add((*path, "layers"), "is empty, expected at least one layer")
        own = _own_hours(source, str(key), shape, path, hours)
        layers = tuple(
            _layer(source, layer, shape.time_zone, (*path, "layers", index), hours, own) for index, layer in enumerate(shape.layers)
        )
        if shape.holidays and not any(window.on for layer in layers for window in layer.restrict):
            source.warn((*path, "holidays"), "is not used: no layer's `restrict` says `on`, so the rotation goes on through holidays")
        notice_ms = _handover_notice_ms(source, shape, (*path, "handover_notice"))
        schedules[str(key)] = Schedule(str(key), shape.time_zone, layers, shape.holidays, own, notice_ms)
    return schedules


def _handover_notice_ms(source: RuleSource, shape: ScheduleShape, path: Path) -> int:
    """Return how long before a hand-over people are told, 0 when nobody is to be."""
    if shape.handover_notice is None:
        return 0
    notice_ms = source.duration_ms(shape.handover_notice, path)
    if notice_ms > HANDOVER_NOTICE_MS_MAX:
        source.document.add(path, f"{shown(shape.handover_notice)} is too long before a hand-over, expected at most 7d")
        return 0
    return notice_ms


def _own_hours(source: RuleSource, name: str, shape: ScheduleShape, path: Path, hours: Mapping[str, Hours]) -> Hours | None:
    """Return the hours that `on` means in a schedule: those it names, the usual ones with its holidays, or the only ones of the file."""
    if shape.hours is not None and shape.holidays:
        source.document.add((*path, "holidays"), "both hours and holidays are given, expected holidays in those hours")
    if shape.hours is None and shape.holidays:
        holidays = read_holidays(source, shape.holidays, (*path, "holidays"))
        return Hours(name, shape.time_zone, DEFAULT_WORKING, holidays)
    return chosen_hours(source, shape.hours, (*path, "hours"), hours)


def _layer(source: RuleSource, shape: LayerShape, zone: str, path: Path, hours: Mapping[str, Hours], own: Hours | None) -> Layer:
    people = source.names("people")
    for index, person in enumerate(shape.rotation):
        source.knows("person", person, people, (*path, "rotation", index))
    if not shape.rotation:
        source.document.add((*path, "rotation"), "is empty, expected the people who take turns")
    elif len(set(shape.rotation)) == 1:
        source.warn((*path, "rotation"), f"has one person only: {shown(shape.rotation[0])} is always on duty")
    if shape.time_zone is not None:
        source.check_zone(shape.time_zone, (*path, "time_zone"))
    starts = _local(source, shape.starts, (*path, "starts"), "start")
    until = None if shape.until is None else _local(source, shape.until, (*path, "until"), "end")
    _check_until(source, starts, until, shape.time_zone or zone, path)
    windows = tuple(read_window(source, each, (*path, "restrict", index), hours, own) for index, each in enumerate(shape.restrict))
    every = _every(source, shape.every, (*path, "every"))
    return Layer(tuple(shape.rotation), every, starts or "2000-01-01T00:00:00", shape.time_zone, until, windows)


def _check_until(source: RuleSource, starts: str | None, until: str | None, zone: str, path: Path) -> None:
    if starts is None or until is None or zone_fault(zone) is not None:
        return
    if instant_of(wall_of(until), zone) <= instant_of(wall_of(starts), zone):
        source.document.add((*path, "until"), f"{shown(until)} is not after the start, {starts}")


def _every(source: RuleSource, text: str, path: Path) -> Every:
    months = _EVERY_MONTHS.fullmatch(text)
    if months is not None and 1 <= int(months[1]) <= ROTATION_MONTHS_MAX:
        return Every(months=int(months[1]))
    found = _EVERY.fullmatch(text)
    if months is not None:
        source.document.add(path, f"a turn of {int(months[1])} months, expected 1mo to {ROTATION_MONTHS_MAX}mo")
    elif not text or found is None:
        source.document.add(path, f"{shown(text)} is not how long a turn is, expected hours, days, weeks or months: 12h, 1d, 1w, 2w or 1mo")
    else:
        weeks, days, hours = (int(count or 0) for count in found.groups())
        in_hours = (7 * weeks + days) * 24 + hours
        if 1 <= in_hours <= 24 * ROTATION_DAYS_MAX:
            return Every(hours=in_hours)
        length = f"{in_hours // 24} days" if in_hours % 24 == 0 else f"{in_hours} hours"
        source.document.add(path, f"a turn of {length}, expected 1h to {ROTATION_DAYS_MAX}d")
    return Every(hours=24)


def _local(source: RuleSource, text: str, path: Path, what: str) -> str | None:
    expected = "expected the schedule's local date and time, as in 2026-01-05T09:00"
    try:
        if _LOCAL.fullmatch(text):
            found = datetime.fromisoformat(text)
            if found.year in YEARS:
                return found.isoformat()
            source.document.add(path, f"{shown(text)} is out of range, expected a year from {YEARS[0]} to {YEARS[-1]}")
            return None
    except ValueError:
        source.document.add(path, f"{shown(text)} is no day or time of the calendar, {expected}")
        return None
    zone = " without a zone" if _ZONED.fullmatch(text) and "T" in text else ""
    source.document.add(path, f"{shown(text)} is not a{'n' if what == 'end' else ''} {what}, {expected}{zone}")
    return None


def build_roles(source: RuleSource, hours: Mapping[str, Hours]) -> dict[str, Role]:
    """Build the duties that ladders name."""
    roles: dict[str, Role] = {}
    for key, value in source.entries("roles"):
        path: Path = ("roles", key)
        source.check_name(str(key), path, at=source.document.key_place(path))
        shape = read_shape(RoleEntry, _people_of_list(value), source.document, path)
        if shape is None:
            continue
        people, schedules = _who(source, shape, path, path if isinstance(value, list) else (*path, "people"))
        cases = _cases(source, shape, path, hours)
        if not people and not schedules:
            if not cases:
                source.warn(path, "nobody holds this role: its rungs are passed over", at=source.document.key_place(path))
            _doubt_cases(source, cases, (*path, "by_time"))
        roles[str(key)] = Role(str(key), people, schedules, cases)
    return roles


def _who(source: RuleSource, shape: RoleEntry | CaseShape, path: Path, people_path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return people and schedules of a role or of one of its cases; a schedule may stand alone or in a list."""
    known = source.names("people"), source.names("schedules")
    for index, person in enumerate(shape.people):
        source.knows("person", person, known[0], (*people_path, index))
    if shape.schedule is not None:
        source.knows("schedule", shape.schedule, known[1], (*path, "schedule"))
    for index, name in enumerate(shape.schedules):
        source.knows("schedule", name, known[1], (*path, "schedules", index))
    first = () if shape.schedule is None else (shape.schedule,)
    return tuple(shape.people), tuple(dict.fromkeys((*first, *shape.schedules)))


def _cases(source: RuleSource, shape: RoleEntry, path: Path, hours: Mapping[str, Hours]) -> tuple[RoleCase, ...]:
    """Build the cases of a role: one that names no hours means those of the case before it, of the role, or the only ones of the file."""
    found: list[RoleCase] = []
    own = chosen_hours(source, shape.hours, (*path, "hours"), hours)
    for index, case in enumerate(shape.by_time):
        case_path: Path = (*path, "by_time", index)
        people, schedules = _who(source, case, case_path, (*case_path, "people"))
        if not people and not schedules:
            source.document.add(case_path, "names nobody, expected people, schedule or schedules")
        window = read_window(source, case, case_path, hours, own)
        if (window.days or window.times) and window.hours is None and case.hours is None:
            source.document.add(case_path, "has days or times of no known place, expected `hours`, the name of a part of the section hours")
        if found and _is_always(found[-1].window):
            source.warn(case_path, "never applies: the case before it always does")
        zone = "UTC" if window.hours is None else window.hours.time_zone
        found.append(RoleCase(window, zone, people, schedules))
        own = window.hours or own
    return tuple(found)


def _is_always(window: Window) -> bool:
    return not window.days and not window.times and not window.on


def _doubt_cases(source: RuleSource, cases: tuple[RoleCase, ...], path: Path) -> None:
    """Warn of day kinds on which a role is held by nobody."""
    windows = [case.window for case in cases]
    if not windows or any(window.days or window.times or not window.on for window in windows):
        return
    left = [kind.value for kind in DayKind if not any(kind in window.on for window in windows)]
    if left:
        source.warn(path, f"nobody holds this role on {', '.join(left)}: its rungs are passed over then")


def unreachable_people(people: Mapping[str, Person], roles: Iterable[Role], schedules: Mapping[str, Schedule]) -> dict[str, str]:
    """Map each person without contacts who may hold one of the roles to the name of that role."""
    found: dict[str, str] = {}
    for role in roles:
        named = dict.fromkeys((*role.schedules, *(each for case in role.by_time for each in case.schedules)))
        turns = [person for name in named if name in schedules for layer in schedules[name].layers for person in layer.rotation]
        for key in (*role.people, *(person for case in role.by_time for person in case.people), *turns):
            person = people.get(key)
            if person is not None and not person.contacts:
                found.setdefault(key, role.name)
    return found
