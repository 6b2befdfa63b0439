"""Where nobody would be reached, said before it happens: what `tocsin check`, the doctor, metrics and notices ahead of time are read off.

Owns the reading of the calendar for gaps and the words of their consequence. Decides nothing: who holds a role is `oncall.held`, and how a
ladder goes on when a rung reaches nobody is as `ladder.climb` does it (the next rung is paged at once, at the end the last resort).

Read `gaps` first; `reaches` is the one on ladders.
"""

from __future__ import annotations

import enum
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from tocsin.policy.durations import format_duration
from tocsin.policy.hours import Hours
from tocsin.policy.model import LOW, Ladder
from tocsin.policy.oncall import held
from tocsin.policy.rotation import hand_over_walls
from tocsin.policy.rules import Rules
from tocsin.policy.schedules import Role, Schedule
from tocsin.policy.wallclock import DAY_MS, HOUR_MS, MINUTE_MS, date_of, instant_of, is_repeated, is_skipped, wall_at, wall_of

HOLIDAYS_AHEAD_MS = 60 * DAY_MS
"""Missing holidays are named this long before they matter: a file is not corrected in a day."""

SERVICES_NAMED_MAX = 3

_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December")


class FindingKind(enum.StrEnum):
    """What may go wrong, the gravest first."""

    NOBODY_REACHED = "nobody-reached"
    """A severity of a ladder reaches nobody, or later than its first rung says."""
    EMPTY_ROLE = "empty-role"
    NO_CONTACT = "no-contact"
    ROTATION_OF_ONE = "rotation-of-one"
    HOLIDAYS_MISSING = "holidays-missing"
    HAND_OVER_MOVED = "hand-over-moved"


@dataclass(frozen=True, slots=True)
class Finding:
    """A finding at a place of the rules file, and what follows from it.

    `from_at` and `to_at` (ms UTC) are the first time at which it holds, None for what always does; `times` counts how often it does in the
    interval that was asked for.
    """

    kind: FindingKind
    where: str
    consequence: str
    from_at: int | None = None
    to_at: int | None = None
    times: int = 1


@dataclass(frozen=True, slots=True)
class Reach:
    """An incident that opens in [from_at, to_at) first reaches somebody after this long: over a rung, or only over the last resort.

    None is never: at best the emergency contacts.
    """

    from_at: int
    to_at: int
    after_ms: int | None
    last_resort: bool = False


class NeverReached(NamedTuple):
    """A severity of a ladder that can reach nobody."""

    ladder: str
    severity: int
    consequence: str


def gaps(rules: Rules, from_at: int, to_at: int, *, unreachable: Collection[str] = ()) -> tuple[Finding, ...]:
    """Return what is wrong with who is on call in [from_at, to_at), the gravest first.

    `unreachable` are people who count as having no contact, such as those with none that was ever tested.
    """
    cut_off = frozenset(unreachable) | {key for key, person in rules.people.items() if not person.contacts}
    roles = _roles_on_ladders(rules)
    found = [
        *_late_ladders(rules, from_at, to_at, cut_off),
        *_empty_roles(rules, roles, from_at, to_at, cut_off),
        *_people_without_contact(rules, roles, cut_off),
        *_rotations_of_one(rules, roles),
        *_missing_holidays(rules, from_at, to_at + HOLIDAYS_AHEAD_MS),
        *_moved_hand_overs(rules, from_at, to_at),
    ]
    order = list(FindingKind)
    return tuple(sorted(found, key=lambda each: (order.index(each.kind), each.from_at or 0, each.where)))


# --- ladders ----------------------------------------------------------------------------------------------------------------------------


class _Roles:
    """Who holds the roles of a ladder, once for an interval: how soon a role reaches somebody is then a look-up."""

    def __init__(self, names: Iterable[str], from_at: int, to_at: int, rules: Rules, cut_off: frozenset[str]) -> None:
        self._held = {name: held(name, from_at, to_at, rules) for name in dict.fromkeys(names)}
        self._begins = {name: [each.from_at for each in found] for name, found in self._held.items()}
        self._rules = rules
        self._cut_off = cut_off

    def edges(self) -> set[int]:
        return {at for begins in self._begins.values() for at in begins}

    def soonest_ms(self, names: Iterable[str], at: int) -> int | None:
        """Return how long after their page the first of these roles' people is reached; None when nobody can be."""
        delays = [
            min(contact.after_ms for contact in self._rules.people[person].contacts)
            for name in names
            for person in self._held[name][bisect_right(self._begins[name], at) - 1].people
            if person not in self._cut_off
        ]
        return min(delays, default=None)


def reaches(ladder: Ladder, severity: int, from_at: int, to_at: int, rules: Rules, *, cut_off: frozenset[str]) -> tuple[Reach, ...]:
    """Return how soon an incident that opens in [from_at, to_at) reaches somebody; empty for a severity without rungs."""
    rungs = ladder.rungs[severity - 1]
    if not rungs or from_at >= to_at:
        return ()
    longest_ms = max(rung.after_ms for rung in rungs)
    roles = _Roles((*(role for rung in rungs for role in rung.roles), *ladder.last_resort), from_at, to_at + longest_ms + 1, rules, cut_off)
    delays = {rung.after_ms for rung in rungs} | {0}
    points = sorted({from_at, *(edge - ms for edge in roles.edges() for ms in delays if from_at < edge - ms < to_at)})
    found: list[Reach] = []
    for at, end in zip(points, [*points[1:], to_at], strict=True):
        after_ms, last_resort = _reach_at(ladder, severity, at, roles)
        if found and (found[-1].after_ms, found[-1].last_resort) == (after_ms, last_resort):
            found[-1] = Reach(found[-1].from_at, end, after_ms, last_resort)
        else:
            found.append(Reach(at, end, after_ms, last_resort))
    return tuple(found)


def _reach_at(ladder: Ladder, severity: int, opens_at: int, roles: _Roles) -> tuple[int | None, bool]:
    """Climb the ladder from an opening: a rung that reaches nobody makes the next one due at once."""
    best: int | None = None
    now_ms, at_once = 0, False
    for rung in ladder.rungs[severity - 1]:
        now_ms = now_ms if at_once else max(now_ms, rung.after_ms)
        soonest_ms = roles.soonest_ms(rung.roles, opens_at + now_ms)
        at_once = soonest_ms is None
        if soonest_ms is not None:
            best = now_ms + soonest_ms if best is None else min(best, now_ms + soonest_ms)
    if not at_once:
        return best, False
    soonest_ms = roles.soonest_ms(ladder.last_resort, opens_at + now_ms)
    if soonest_ms is None:
        return best, False
    return (now_ms + soonest_ms, True) if best is None else (min(best, now_ms + soonest_ms), False)


def never_reached(rules: Rules) -> tuple[NeverReached, ...]:
    """Return the severities that can reach nobody at any time, whoever is on shift: what a file alone shows, without a clock."""
    found: list[NeverReached] = []
    for name, ladder in rules.ladders.items():
        services = [service.name for service in rules.services if service.plan.ladder.name == name]
        for severity in range(1, LOW) if services else ():
            rungs = ladder.rungs[severity - 1]
            names = dict.fromkeys((*(role for rung in rungs for role in rung.roles), *ladder.last_resort))
            people = {person for role in names if role in rules.roles for person in _possible_people(rules.roles[role], rules)}
            if rungs and not any(rules.people[person].contacts for person in people if person in rules.people):
                words = (
                    f"severity {severity} on {_listed(services)} would never reach anybody: no role of it is held by people with contacts"
                )
                found.append(NeverReached(name, severity, words))
    return tuple(found)


def _late_ladders(rules: Rules, from_at: int, to_at: int, cut_off: frozenset[str]) -> Iterator[Finding]:
    for name, ladder in rules.ladders.items():
        services = [service.name for service in rules.services if service.plan.ladder.name == name]
        zone = _zone_of((role for rungs in ladder.rungs for rung in rungs for role in rung.roles), rules)
        for severity in range(1, LOW) if services else ():
            late = [
                each
                for each in reaches(ladder, severity, from_at, to_at, rules, cut_off=cut_off)
                if each.last_resort or each.after_ms is None or each.after_ms > ladder.rungs[severity - 1][0].after_ms
            ]
            if late:
                when = _when(late[0].from_at, late[0].to_at, from_at, to_at, zone)
                words = f"severity {severity} on {_listed(services)} {when} would {_reached(late[0])}{_again(len(late))}"
                where = f"ladders.{name}.rungs.{severity}"
                yield Finding(FindingKind.NOBODY_REACHED, where, words, late[0].from_at, late[0].to_at, len(late))


def _reached(reach: Reach) -> str:
    if reach.after_ms is None:
        return "reach nobody"
    if reach.last_resort:
        return "reach nobody but the last resort"
    return f"reach nobody before {format_duration(reach.after_ms)}"


# --- roles and people -------------------------------------------------------------------------------------------------------------------


def _roles_on_ladders(rules: Rules) -> tuple[Role, ...]:
    """Return the roles that services' ladders name."""
    ladders = [
        rules.ladders[name] for name in dict.fromkeys(service.plan.ladder.name for service in rules.services) if name in rules.ladders
    ]
    names = dict.fromkeys(
        role
        for ladder in ladders
        for role in (*(role for rungs in ladder.rungs for rung in rungs for role in rung.roles), *ladder.last_resort)
    )
    return tuple(rules.roles[name] for name in names if name in rules.roles)


def _empty_roles(rules: Rules, roles: Iterable[Role], from_at: int, to_at: int, cut_off: frozenset[str]) -> Iterator[Finding]:
    for role in roles:
        empty = [each for each in held(role.name, from_at, to_at, rules) if all(person in cut_off for person in each.people)]
        if empty:
            first = empty[0]
            nobody = f"only {' and '.join(first.people)}, who cannot be reached," if first.people else "nobody"
            when = _when(first.from_at, first.to_at, from_at, to_at, _zone_of((role.name,), rules))
            words = f"{nobody} holds {role.name} {when}: its rungs are passed over and the next is paged at once{_again(len(empty))}"
            yield Finding(FindingKind.EMPTY_ROLE, f"roles.{role.name}", words, first.from_at, first.to_at, len(empty))


def _people_without_contact(rules: Rules, roles: Iterable[Role], cut_off: frozenset[str]) -> Iterator[Finding]:
    found: dict[str, str] = {}
    for role in roles:
        for person in _possible_people(role, rules):
            if person in cut_off:
                found.setdefault(person, role.name)
    for person, name in found.items():
        words = f"{person} may hold {name} and cannot be reached: a page to {person} reaches nobody"
        yield Finding(FindingKind.NO_CONTACT, f"people.{person}", words)


def _possible_people(role: Role, rules: Rules) -> Iterator[str]:
    """Yield everybody who may hold a role at some time."""
    yield from role.people
    yield from (person for case in role.by_time for person in case.people)
    yield from (person for schedule in _schedules_of(role, rules) for layer in schedule.layers for person in layer.rotation)


def _rotations_of_one(rules: Rules, roles: Iterable[Role]) -> Iterator[Finding]:
    schedules = {schedule.name: schedule for role in roles for schedule in _schedules_of(role, rules)}
    for schedule in schedules.values():
        for index, layer in enumerate(schedule.layers):
            if len(set(layer.rotation)) == 1:
                person = layer.rotation[0]
                words = f"{person} has every turn: while {person} is away nobody of this layer is on shift"
                yield Finding(FindingKind.ROTATION_OF_ONE, f"schedules.{schedule.name}.layers[{index}]", words)


def _schedules_of(role: Role, rules: Rules) -> Iterator[Schedule]:
    for name in dict.fromkeys((*role.schedules, *(each for case in role.by_time for each in case.schedules))):
        if name in rules.schedules:
            yield rules.schedules[name]


# --- the calendar itself ----------------------------------------------------------------------------------------------------------------


def _missing_holidays(rules: Rules, from_at: int, to_at: int) -> Iterator[Finding]:
    own = {f"schedules.{each.name}": each.hours for each in rules.schedules.values() if each.hours is not None and each.holidays}
    for where, hours in {**{f"hours.{name}": each for name, each in rules.hours.items()}, **own}.items():
        if hours.holidays is None:
            continue
        for year in range(_year_at(from_at, hours), _year_at(to_at - 1, hours) + 1):
            since = max(from_at, instant_of(wall_of(f"{year}-01-01T00:00"), hours.time_zone))
            until = instant_of(wall_of(f"{year + 1}-01-01T00:00"), hours.time_zone)
            region = hours.holidays.region
            if not hours.holidays.first_year <= year <= hours.holidays.last_year:
                words = f"no holidays of {region} are known for {year}: they count as working days"
                yield Finding(FindingKind.HOLIDAYS_MISSING, where, words, since, until)
            elif year in hours.holidays.incomplete_years:
                words = (
                    f"the days that {region} works in exchange for holidays in {year} are not known: they count as weekend "
                    "and bridge days as working, until `working_days` and `company_days` name them"
                )
                yield Finding(FindingKind.HOLIDAYS_MISSING, where, words, since, until)


def _year_at(at: int, hours: Hours) -> int:
    return date_of(wall_at(at, hours.time_zone) // DAY_MS).year


def _moved_hand_overs(rules: Rules, from_at: int, to_at: int) -> Iterator[Finding]:
    """Name hand-overs at a wall time that the clocks skip or show twice."""
    for schedule in rules.schedules.values():
        for index, layer in enumerate(schedule.layers):
            zone = layer.time_zone or schedule.time_zone
            moved = [
                wall
                for wall in hand_over_walls(layer.starts, layer.every, zone, from_at, to_at)
                if is_skipped(wall, zone) or is_repeated(wall, zone)
            ]
            if moved:
                wall, at = moved[0], instant_of(moved[0], zone)
                then = f"happens at {_clock(wall_at(at, zone))}" if is_skipped(wall, zone) else "happens at the first of the two"
                what = "is skipped by the clocks and" if is_skipped(wall, zone) else "comes twice and"
                words = f"the hand-over of {schedule.name} on {_day(wall)} at {_clock(wall)} ({zone}) {what} {then}{_again(len(moved))}"
                where = f"schedules.{schedule.name}.layers[{index}]"
                yield Finding(FindingKind.HAND_OVER_MOVED, where, words, at, at + 1, len(moved))


# --- words ------------------------------------------------------------------------------------------------------------------------------


def _zone_of(roles: Iterable[str], rules: Rules) -> str:
    """Return the zone in which to speak of roles: that of the first schedule or case among them."""
    for name in roles:
        role = rules.roles.get(name)
        if role is not None:
            for schedule in _schedules_of(role, rules):
                return schedule.time_zone
            for case in role.by_time:
                return case.time_zone
    return "UTC"


def _when(from_at: int, to_at: int, asked_from: int, asked_to: int, zone: str) -> str:
    if (from_at, to_at) == (asked_from, asked_to):
        return "at any time"
    begin, end = wall_at(from_at, zone), wall_at(to_at, zone)
    if begin % DAY_MS == 0 and end - begin == DAY_MS:
        return f"on {_day(begin)}"
    if begin // DAY_MS == (end - 1) // DAY_MS:
        return f"on {_day(begin)} from {_clock(begin)} to {_clock(end) if end % DAY_MS else '24:00'} ({zone})"
    return f"from {_day(begin)} {_clock(begin)} to {_day(end)} {_clock(end)} ({zone})"


def _day(wall: int) -> str:
    day = date_of(wall // DAY_MS)
    return f"{day.day} {_MONTHS[day.month - 1]}"


def _clock(wall: int) -> str:
    return f"{wall % DAY_MS // HOUR_MS:02}:{wall % HOUR_MS // MINUTE_MS:02}"


def _listed(names: list[str]) -> str:
    few = ", ".join(names[:SERVICES_NAMED_MAX])
    return few if len(names) <= SERVICES_NAMED_MAX else f"{few} and {len(names) - SERVICES_NAMED_MAX} more"


def _again(times: int) -> str:
    return "" if times == 1 else f" (and {times - 1} more time{'s' if times > 2 else ''})"
