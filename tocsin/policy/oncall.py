"""Who is on call: the one decision off which pages, API, calendar files, hand-over notices and gap reports are read: they cannot disagree.

Owns the resolution: layers, absences, overrides, roles. `on_shift` decides for an instant; `shifts` finds the instants at which that
decision may change and asks it at each, so an interval is never anything else than the instants in it. Intervals are half-open, [from_at,
to_at): no seam, and a gap is the absence of a shift. Nothing is stored and nothing is expanded from a schedule's start.

How an instant is resolved, once:
1. The last layer that applies and has somebody who is there names a person: whose turn it is or, when that person is away, the next in the
   rotation who is not (`STAND_IN`). A layer whose people are all away does not apply.
2. The newest override that holds, fits (`replaces`) and whose person is there for it wins over that. If overrides hold and all their people
   are away, the next in the rotation is on shift, and whoever was replaced comes last.
3. People whom the rules do not name are nobody.

Read `on_shift` first, then `shifts`, then `holders`.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from tocsin.policy.hours import is_open, window_edges
from tocsin.policy.roster import Roster
from tocsin.policy.rotation import hand_overs, turn_at
from tocsin.policy.rules import Rules
from tocsin.policy.schedules import Layer, Role, RoleCase, Schedule
from tocsin.policy.wallclock import DAY_MS, instant_of, wall_of

SHIFT_LOOKED_FOR_MS = 800 * DAY_MS
"""How far `shift_at` looks for the ends of a shift; what is longer is cut there."""


class Cause(enum.StrEnum):
    """Why somebody is on shift: the values of an override's kind, or one of these two."""

    ROTATION = "rotation"
    STAND_IN = "stand-in"
    """Next in the rotation, because whose turn it is is away."""
    OVERRIDE = "override"
    TAKE = "take"
    COVER = "cover"
    SWAP = "swap"


@dataclass(frozen=True, slots=True)
class Duty:
    """Who is on shift at an instant, and why.

    `layer` and `turn` are those of the rotation, None for an override where no layer applies. `override` is its id. `instead_of` is whom
    the rotation named, empty when that is the person on shift or nobody.
    """

    person: str
    cause: Cause
    layer: int | None = None
    turn: int | None = None
    override: str | None = None
    instead_of: str = ""


@dataclass(frozen=True, slots=True)
class Shift:
    """A person on shift from `from_at` until before `to_at`. `instead_of` names whom the rotation did, in order, each once."""

    schedule: str
    person: str
    from_at: int
    to_at: int
    cause: Cause
    layer: int | None = None
    override: str | None = None
    instead_of: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HandOver:
    """An instant at which a schedule passes from one person to another; None is nobody."""

    schedule: str
    at: int
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Held:
    """The people who hold a role in an interval; none of them in a gap."""

    role: str
    people: tuple[str, ...]
    from_at: int
    to_at: int


# --- one instant ------------------------------------------------------------------------------------------------------------------------


def holders(role: str, at: int, rules: Rules) -> tuple[str, ...]:
    """Return the people who hold a role at an instant (ms UTC), each once, in order; empty when nobody does or the role is unknown.

    Listed people who are away are left out; of a schedule, whoever is on shift.
    """
    found = rules.roles.get(role)
    if found is None:
        return ()
    people = _of_lists(found.people, found.schedules, at, rules)
    case = case_at(found, at)
    if case is not None:
        people += _of_lists(case.people, case.schedules, at, rules)
    return tuple(dict.fromkeys(people))


def case_at(role: Role, at: int) -> RoleCase | None:
    """Return the first case of a role that is open at an instant."""
    return next((case for case in role.by_time if is_open(case.window, case.time_zone, at)), None)


def _of_lists(people: tuple[str, ...], schedules: tuple[str, ...], at: int, rules: Rules) -> list[str]:
    found = [person for person in people if _is_there(person, at, rules)]
    for name in schedules:
        schedule = rules.schedules.get(name)
        duty = None if schedule is None else on_shift(schedule, at, rules)
        if duty is not None:
            found.append(duty.person)
    return found


def on_shift(schedule: Schedule, at: int, rules: Rules) -> Duty | None:
    """Return who is on shift at an instant (ms UTC) and why; None when nobody is."""
    overrides = rules.roster.overrides_at(schedule.name, at)
    planned = _planned(schedule, at, rules)
    if not overrides:
        return planned
    named, layer, turn = _named(schedule, at)
    holding = [
        each
        for each in overrides
        if each.person in rules.people and (each.replaces is None or each.replaces in (named, None if planned is None else planned.person))
    ]
    for each in holding:
        if rules.roster.stands(each, at):
            return Duty(each.person, Cause(each.kind.value), layer, turn, each.id, named if named != each.person else "")
    return _planned(schedule, at, rules, given_up=True) if holding else planned


def _is_there(person: str, at: int, rules: Rules) -> bool:
    return person in rules.people and not rules.roster.is_absent(person, at)


def _applying(schedule: Schedule, at: int) -> Iterator[tuple[int, int]]:
    """Yield (layer, turn) of the layers that apply at an instant, the winning one first."""
    for index in range(len(schedule.layers) - 1, -1, -1):
        layer = schedule.layers[index]
        zone = layer.time_zone or schedule.time_zone
        if not layer.rotation or (layer.until is not None and at >= instant_of(wall_of(layer.until), zone)):
            continue
        turn = turn_at(layer.starts, layer.every, zone, at)
        if turn is not None and (not layer.restrict or any(is_open(window, zone, at) for window in layer.restrict)):
            yield index, turn


def _named(schedule: Schedule, at: int) -> tuple[str, int | None, int | None]:
    """Return whom the rotation names, whether there or not, with layer and turn."""
    for index, turn in _applying(schedule, at):
        rotation = schedule.layers[index].rotation
        return rotation[turn % len(rotation)], index, turn
    return "", None, None


def _planned(schedule: Schedule, at: int, rules: Rules, *, given_up: bool = False) -> Duty | None:
    """Return who is on shift without overrides; `given_up`: whose turn it is is asked last."""
    for index, turn in _applying(schedule, at):
        rotation = schedule.layers[index].rotation
        first = turn % len(rotation) + (1 if given_up else 0)
        named = rotation[turn % len(rotation)]
        for step in range(len(rotation)):
            person = rotation[(first + step) % len(rotation)]
            if _is_there(person, at, rules):
                if person == named:
                    return Duty(person, Cause.ROTATION, index, turn)
                return Duty(person, Cause.STAND_IN, index, turn, None, named)
    return None


# --- intervals --------------------------------------------------------------------------------------------------------------------------


def shifts(schedule: Schedule, from_at: int, to_at: int, rules: Rules) -> tuple[Shift, ...]:
    """Return the shifts of a schedule in [from_at, to_at), cut at its ends, in order, without overlap; between them nobody is on shift.

    A turn that goes on is one shift; the next turn is another, also when the same person has it. An override is one shift for as long as it
    holds without a break.
    """
    if from_at >= to_at:
        return ()
    rules = replace(rules, roster=rules.roster.during(schedule.name, from_at, to_at))
    found: list[Shift] = []
    last: Duty | None = None
    points = sorted({from_at, *_edges(schedule, from_at, to_at, rules.roster)})
    for at, end in zip(points, [*points[1:], to_at], strict=True):
        duty = on_shift(schedule, at, rules)
        if duty is not None and last is not None and _goes_on(last, duty):
            before = found[-1]
            instead_of = before.instead_of
            if duty.instead_of and duty.instead_of not in instead_of:
                instead_of = (*instead_of, duty.instead_of)
            found[-1] = replace(before, to_at=end, instead_of=instead_of)
        elif duty is not None:
            instead_of = (duty.instead_of,) if duty.instead_of else ()
            found.append(Shift(schedule.name, duty.person, at, end, duty.cause, duty.layer, duty.override, instead_of))
        last = duty
    return tuple(found)


def _goes_on(last: Duty, duty: Duty) -> bool:
    if duty.override is not None:
        return duty.override == last.override
    return duty == last


def shift_at(schedule: Schedule, at: int, rules: Rules) -> Shift | None:
    """Return the whole shift that an instant belongs to, from its beginning to its end; None when nobody is on shift."""
    reach_ms = DAY_MS
    while True:
        from_at, to_at = at - reach_ms, at + reach_ms
        found = next((each for each in shifts(schedule, from_at, to_at, rules) if each.from_at <= at < each.to_at), None)
        if found is None or reach_ms >= SHIFT_LOOKED_FOR_MS or (found.from_at > from_at and found.to_at < to_at):
            return found
        reach_ms *= 4


def hand_overs_of(schedule: Schedule, from_at: int, to_at: int, rules: Rules) -> tuple[HandOver, ...]:
    """Return the instants in [from_at, to_at) from which on somebody else, or nobody, is on shift."""
    states: list[tuple[int, str | None]] = []
    free_at = from_at
    for shift in shifts(schedule, from_at, to_at, rules):
        if shift.from_at > free_at:
            states.append((free_at, None))
        states.append((shift.from_at, shift.person))
        free_at = shift.to_at
    if free_at < to_at:
        states.append((free_at, None))
    duty = on_shift(schedule, from_at - 1, rules)
    before = None if duty is None else duty.person
    found: list[HandOver] = []
    for at, person in states:
        if person != before:
            found.append(HandOver(schedule.name, at, before, person))
        before = person
    return tuple(found)


def held(role: str, from_at: int, to_at: int, rules: Rules) -> tuple[Held, ...]:
    """Return who holds a role in [from_at, to_at), without a gap: where nobody does, the people are none."""
    if from_at >= to_at:
        return ()
    found: list[Held] = []
    points = sorted({from_at, *_role_edges(role, from_at, to_at, rules)})
    for at, end in zip(points, [*points[1:], to_at], strict=True):
        people = holders(role, at, rules)
        if found and found[-1].people == people:
            found[-1] = replace(found[-1], to_at=end)
        else:
            found.append(Held(role, people, at, end))
    return tuple(found)


# --- where the decision may change ------------------------------------------------------------------------------------------------------


def _role_edges(name: str, from_at: int, to_at: int, rules: Rules) -> Iterator[int]:
    role = rules.roles.get(name)
    if role is None:
        return
    yield from _absence_edges(rules.roster, from_at, to_at)
    for case in role.by_time:
        yield from window_edges(case.window, case.time_zone, from_at, to_at)
    for schedule_name in dict.fromkeys((*role.schedules, *(each for case in role.by_time for each in case.schedules))):
        schedule = rules.schedules.get(schedule_name)
        if schedule is not None:
            yield from _edges(schedule, from_at, to_at, rules.roster)


def _edges(schedule: Schedule, from_at: int, to_at: int, roster: Roster) -> Iterator[int]:
    """Yield every instant in [from_at, to_at) at which the decision for a schedule may change."""
    for layer in schedule.layers:
        yield from _layer_edges(layer, layer.time_zone or schedule.time_zone, from_at, to_at)
    yield from _absence_edges(roster, from_at, to_at)
    for override in roster.overrides_of(schedule.name):
        yield from _inside((override.from_at, override.until_at), from_at, to_at)


def _layer_edges(layer: Layer, zone: str, from_at: int, to_at: int) -> Iterator[int]:
    if layer.until is not None:
        ends_at = instant_of(wall_of(layer.until), zone)
        yield from _inside((ends_at,), from_at, to_at)
        to_at = min(to_at, ends_at)
    from_at = max(from_at, instant_of(wall_of(layer.starts), zone))
    if from_at < to_at:
        yield from hand_overs(layer.starts, layer.every, zone, from_at, to_at)
        for window in layer.restrict:
            yield from window_edges(window, zone, from_at, to_at)


def _absence_edges(roster: Roster, from_at: int, to_at: int) -> Iterator[int]:
    for absence in roster.absences:
        yield from _inside((absence.from_at, absence.until_at), from_at, to_at)


def _inside(instants: Iterable[int], from_at: int, to_at: int) -> Iterator[int]:
    return (at for at in instants if from_at <= at < to_at)
