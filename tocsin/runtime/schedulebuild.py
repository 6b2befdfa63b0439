"""Turns the sections `schedules` and `roles` of alert_rules.yaml into values of `tocsin.policy`: who takes turns, and who holds a duty.

Owns the shapes of these sections and their checks. Works on a `RuleSource` as `rulebuild.py` does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Final

from pydantic import BeforeValidator

from tocsin.policy.rules import Layer, Person, Role, Schedule
from tocsin.runtime.rulebuild import RuleSource
from tocsin.runtime.ruleschema import Names, Shape, read_shape
from tocsin.runtime.yamltree import Path, Plain, shown

ROTATION_DAYS_MAX: Final = 3_660

_EVERY = re.compile(r"(?:([0-9]{1,4})w)?(?:([0-9]{1,4})d)?")
_STARTS = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2})?")
_ZONED = re.compile(r".*(?:Z|[+-][0-9]{2}:?[0-9]{2})", re.DOTALL)


def _people_of_list(value: Plain) -> Plain:
    return {"people": value} if isinstance(value, list) else value


class RoleEntry(Shape):
    people: Names = []
    schedule: str | None = None


RoleShape = Annotated[RoleEntry, BeforeValidator(_people_of_list)]


class LayerShape(Shape):
    rotation: Names
    every: str
    starts: str


class ScheduleShape(Shape):
    time_zone: str
    holidays: str = ""
    layers: list[LayerShape]


def build_schedules(source: RuleSource) -> dict[str, Schedule]:
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
        if shape.holidays:
            source.warn((*path, "holidays"), "is not used: a rotation goes on through holidays")
        layers = tuple(_layer(source, layer, (*path, "layers", index)) for index, layer in enumerate(shape.layers))
        schedules[str(key)] = Schedule(str(key), shape.time_zone, layers, shape.holidays)
    return schedules


def _layer(source: RuleSource, shape: LayerShape, path: Path) -> Layer:
    people = source.names("people")
    for index, person in enumerate(shape.rotation):
        source.knows("person", person, people, (*path, "rotation", index))
    if not shape.rotation:
        source.document.add((*path, "rotation"), "is empty, expected the people who take turns")
    elif len(set(shape.rotation)) == 1:
        source.warn((*path, "rotation"), f"has one person only: {shown(shape.rotation[0])} is always on duty")
    return Layer(
        tuple(shape.rotation), _every_days(source, shape.every, (*path, "every")), _starts(source, shape.starts, (*path, "starts"))
    )


def _every_days(source: RuleSource, text: str, path: Path) -> int:
    found = _EVERY.fullmatch(text)
    if not text or found is None:
        source.document.add(path, f"{shown(text)} is not whole days or weeks, expected 1d, 1w or 2w")
        return 1
    days = 7 * int(found[1] or 0) + int(found[2] or 0)
    if not 1 <= days <= ROTATION_DAYS_MAX:
        source.document.add(path, f"a turn of {days} days, expected 1d to {ROTATION_DAYS_MAX}d")
        return 1
    return days


def _starts(source: RuleSource, text: str, path: Path) -> str:
    expected = "expected the schedule's local date and time, as in 2026-01-05T09:00"
    try:
        if _STARTS.fullmatch(text):
            return datetime.fromisoformat(text).isoformat()
    except ValueError:
        source.document.add(path, f"{shown(text)} is no day or time of the calendar, {expected}")
        return text
    zone = " without a zone" if _ZONED.fullmatch(text) and "T" in text else ""
    source.document.add(path, f"{shown(text)} is not a start, {expected}{zone}")
    return text


def build_roles(source: RuleSource) -> dict[str, Role]:
    """Build the duties that ladders name."""
    roles: dict[str, Role] = {}
    people, schedules = source.names("people"), source.names("schedules")
    for key, value in source.entries("roles"):
        path: Path = ("roles", key)
        source.check_name(str(key), path, at=source.document.key_place(path))
        shape = read_shape(RoleEntry, _people_of_list(value), source.document, path)
        if shape is None:
            continue
        people_path = path if isinstance(value, list) else (*path, "people")
        for index, person in enumerate(shape.people):
            source.knows("person", person, people, (*people_path, index))
        if shape.schedule is not None:
            source.knows("schedule", shape.schedule, schedules, (*path, "schedule"))
        elif not shape.people:
            source.warn(path, "nobody holds this role: its rungs are passed over", at=source.document.key_place(path))
        roles[str(key)] = Role(str(key), tuple(shape.people), shape.schedule)
    return roles


def unreachable_people(people: Mapping[str, Person], roles: Iterable[Role], schedules: Mapping[str, Schedule]) -> dict[str, str]:
    """Map each person without contacts who may hold one of the roles to the name of that role."""
    found: dict[str, str] = {}
    for role in roles:
        schedule = schedules.get(role.schedule or "")
        turns = () if schedule is None else tuple(person for layer in schedule.layers for person in layer.rotation)
        for key in (*role.people, *turns):
            person = people.get(key)
            if person is not None and not person.contacts:
                found.setdefault(key, role.name)
    return found
