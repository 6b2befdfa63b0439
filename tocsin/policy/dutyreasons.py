"""Who holds a role at an instant, and why, in sentences: for those who explain a page, or the lack of one.

Owns the words and the lines of the rules they rest on. Who holds a role is asked of `oncall.py` alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from tocsin.policy import oncall
from tocsin.policy.ladder import can_be_paged
from tocsin.policy.oncall import Cause, Duty
from tocsin.policy.rules import Rules
from tocsin.policy.schedules import Role, Schedule
from tocsin.policy.wallclock import DAY_MS, MINUTE_MS, date_of, wall_at

_CAUSES: Final = {
    Cause.ROTATION: "has the turn in the schedule",
    Cause.STAND_IN: "stands in in the schedule",
    Cause.OVERRIDE: "is put on duty by an override in the schedule",
    Cause.TAKE: "has taken the shift in the schedule",
    Cause.COVER: "covers the shift in the schedule",
    Cause.SWAP: "has swapped into the schedule",
}


@dataclass(frozen=True, slots=True)
class HeldBy:
    """A sentence on one person's hold on a role, `FILE:LINE` of the rule it rests on; `person` is None when it says that nobody is there.

    `holds` is whether the person holds the role then; `is_gap` whether what it says keeps a page from somebody.
    """

    person: str | None
    holds: bool
    said: str
    place: str
    is_gap: bool = False


def local_time(at: int, zone: str) -> str:
    """Write an instant (ms UTC) as the clocks of a zone show it: `2026-02-17 03:12 Asia/Seoul`."""
    wall = wall_at(at, zone)
    minutes = wall % DAY_MS // MINUTE_MS
    return f"{date_of(wall // DAY_MS).isoformat()} {minutes // 60:02}:{minutes % 60:02} {zone}"


def who_holds(role: str, at: int, rules: Rules) -> tuple[HeldBy, ...]:
    """Return who holds a role at an instant (ms UTC), then who would and does not, each with the reason."""
    found = rules.roles.get(role)
    if found is None:
        return (HeldBy(None, False, f"the rules in force have no role {role}", ""),)
    holders = oncall.holders(role, at, rules)
    said = [each for each in _said(found, at, rules) if each.person is None or each.holds == (each.person in holders)]
    if not holders:
        said.append(HeldBy(None, False, f"nobody holds {role} then", rules.places.of("roles", role)))
    said += [
        HeldBy(person, True, f"{person} has no contact and cannot be paged", rules.places.of("people", person), is_gap=True)
        for person in holders
        if not can_be_paged(person, rules)
    ]
    marked = (replace(each, is_gap=each.is_gap or not each.holds) for each in said)
    return tuple(sorted(marked, key=lambda each: each.is_gap))


def _said(role: Role, at: int, rules: Rules) -> Iterator[HeldBy]:
    path: tuple[str | int, ...] = ("roles", role.name)
    yield from _of_lists(role, role.people, role.schedules, path, at, rules)
    case = oncall.case_at(role, at)
    if case is not None:
        yield from _of_lists(role, case.people, case.schedules, (*path, "by_time", role.by_time.index(case)), at, rules)
    elif role.by_time and not role.people and not role.schedules:
        yield HeldBy(None, False, f"no case of {role.name} is open then", rules.places.of(*path, "by_time"))


def _of_lists(
    role: Role, people: tuple[str, ...], schedules: tuple[str, ...], path: tuple[str | int, ...], at: int, rules: Rules
) -> Iterator[HeldBy]:
    place = rules.places.of(*path)
    for person in people:
        if person not in rules.people:
            yield HeldBy(person, False, f"{person} is named in {role.name} and is nobody whom the rules know", place)
        elif rules.roster.is_absent(person, at):
            yield HeldBy(person, False, f"{person} is named in {role.name} and away: {_absence(person, at, rules)}", place)
        else:
            yield HeldBy(person, True, f"{person} is named in {role.name}", place)
    for name in schedules:
        schedule = rules.schedules.get(name)
        if schedule is not None:
            yield from _of_schedule(role, schedule, at, rules)


def _of_schedule(role: Role, schedule: Schedule, at: int, rules: Rules) -> Iterator[HeldBy]:
    duty = oncall.on_shift(schedule, at, rules)
    if duty is None:
        yield HeldBy(None, False, f"nobody is on shift in the schedule {schedule.name} then", rules.places.of("schedules", schedule.name))
        return
    place = _place_of(duty, schedule, rules)
    shift = oncall.shift_at(schedule, at, rules)
    until = "" if shift is None else f", until {local_time(shift.to_at, schedule.time_zone)}"
    words = f"{duty.person} {_CAUSES[duty.cause]} {schedule.name}{until}{_override(duty, rules)}"
    yield HeldBy(duty.person, True, words, place)
    if duty.instead_of:
        away = rules.roster.is_absent(duty.instead_of, at)
        why = f"is away: {_absence(duty.instead_of, at, rules)}" if away else f"is replaced by {duty.person}"
        yield HeldBy(duty.instead_of, False, f"{duty.instead_of} would have the turn in {schedule.name} and {why}", place)


def _place_of(duty: Duty, schedule: Schedule, rules: Rules) -> str:
    layer = ("layers", duty.layer) if duty.layer is not None else ()
    return rules.places.of("schedules", schedule.name, *layer)


def _override(duty: Duty, rules: Rules) -> str:
    every = (*rules.roster.overrides, *(each for swap in rules.roster.swaps for each in swap.overrides()))
    found = next((each for each in every if each.id == duty.override), None)
    if found is None:
        return ""
    return f" ({found.id} by {found.by or 'nobody known'}{': ' + found.why if found.why else ''})"


def _absence(person: str, at: int, rules: Rules) -> str:
    found = next((each for each in rules.roster.absences if each.person == person and each.from_at <= at < each.until_at), None)
    if found is None:
        return "not there"
    known = rules.people.get(person)
    until = local_time(found.until_at, "UTC" if known is None else known.time_zone)
    return f"{found.kind.value} until {until}{' (' + found.why + ')' if found.why else ''}"


def may_hold(role: str, rules: Rules) -> frozenset[str]:
    """Return everybody who may hold a role at some time: those it names, and those who take turns or are put on duty for it."""
    found = rules.roles.get(role)
    if found is None:
        return frozenset()
    people = {*found.people, *(person for case in found.by_time for person in case.people)}
    for name in (*found.schedules, *(each for case in found.by_time for each in case.schedules)):
        schedule = rules.schedules.get(name)
        if schedule is not None:
            people |= {person for layer in schedule.layers for person in layer.rotation}
            people |= {each.person for each in rules.roster.overrides_of(name)}
    return frozenset(people)
