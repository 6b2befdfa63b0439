"""What works in a rules file and is probably not meant: the warnings of `tocsin check`, each with its line and column.

Owns what is looked for. Nothing here refuses a file, and nothing is said that is not so: what cannot be proved is left unsaid. What
matchers imply is worked out in `matcherlogic.py`; gaps of the calendar are those of `tocsin/policy/coverage.py`. With `now` the next year
is looked at (hand-overs when the clocks change) and the next weeks (who is paged by two rungs in a row, gaps).

Read `lint` first: it is the list.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final

from tocsin.policy.coverage import FindingKind, gaps
from tocsin.policy.durations import format_duration, parse_duration_ms
from tocsin.policy.dutyreasons import local_time
from tocsin.policy.hours import Window
from tocsin.policy.ladder import can_be_paged
from tocsin.policy.matchers import Matcher
from tocsin.policy.model import LOW, Ladder, Rung
from tocsin.policy.oncall import Held, held
from tocsin.policy.rules import Contact, Rules
from tocsin.policy.schedules import Role
from tocsin.policy.wallclock import DAY_MS
from tocsin.runtime.contactaddress import CHANNEL_OF, WITH_ACCOUNT
from tocsin.runtime.matcherlogic import alternatives, implies, never_holds, values_of
from tocsin.runtime.rulebuild import RuleSource
from tocsin.runtime.yamltree import Path, path_text, shown

PAIRS_MAX: Final = 50_000
"""Pairs of rules that are compared for shadows; a file with more says so."""

GAPS_AHEAD_MS: Final = 14 * DAY_MS
TWICE_AHEAD_MS: Final = 28 * DAY_MS
YEAR_MS: Final = 366 * DAY_MS

HOURLY_BELOW_H: Final = 12
"""Turns shorter than this follow the clock through its changes by design: no word of their hand-overs then."""

GAPS_SHOWN: Final = (FindingKind.NOBODY_REACHED, FindingKind.EMPTY_ROLE, FindingKind.HOLIDAYS_MISSING)

Matchers = tuple[Matcher, ...]


def lint(source: RuleSource, rules: Rules, now: int | None) -> None:
    """Warn of everything doubtful in rules that can be used; `now` (ms UTC) None leaves out what depends on the date."""
    _never(source, rules)
    _shadowed(
        source, "severities", [rule.matchers for rule in rules.severities], lambda index: f"the rule of severity {_level(rules, index)}"
    )
    _shadowed(source, "services", [each.matchers for each in rules.services], lambda index: rules.services[index].name)
    _unused(source, rules)
    _merged_rungs(source, rules)
    _twice_in_a_row(source, rules, now)
    _contacts(source, rules)
    if now is not None:
        _calendar(source, rules, now)


# --- matchers ---------------------------------------------------------------------------------------------------------------------------


def _level(rules: Rules, index: int) -> int:
    return rules.severities[index].level


def _never(source: RuleSource, rules: Rules) -> None:
    lists: list[tuple[Path, Matchers]] = [(("severities", i, "matchers"), rule.matchers) for i, rule in enumerate(rules.severities)]
    lists += [(("services", i, "matchers"), service.matchers) for i, service in enumerate(rules.services)]
    for index, rule in enumerate(rules.inhibit):
        lists += [(("inhibit", index, "source"), rule.source), (("inhibit", index, "target"), rule.target)]
    for path, matchers in lists:
        found = never_holds(matchers)
        if found is not None:
            source.warn((*path, found[0]), f"can never match: {found[1]}")


def _shadowed(source: RuleSource, section: str, lists: Sequence[Matchers], name: Callable[[int], str]) -> None:
    """Warn of entries whose alerts are all taken by the entries above them."""
    by_value: dict[tuple[str, str], list[int]] = {}
    others: list[int] = []
    compared = 0
    for index, matchers in enumerate(lists):
        if matchers and never_holds(matchers) is None:
            above = _candidates(matchers, by_value, others)
            compared += len(above)
            if compared > PAIRS_MAX:
                line = source.document.key_place((section,))
                source.warn((section,), f"is too long to be compared whole: from {name(index)} on nobody looked for shadows", at=line)
                return
            by = _taken_by(matchers, above, lists)
            if by:
                source.warn(
                    (section, index), f"is never reached: {' and '.join(name(each) for each in by)} above it takes every such alert"
                )
        counted = next(((each.name, values) for each in matchers if (values := values_of(matchers, each.name)) is not None), None)
        if counted is not None:
            for value in counted[1]:
                by_value.setdefault((counted[0], value), []).append(index)
        elif matchers:
            others.append(index)


def _candidates(matchers: Matchers, by_value: Mapping[tuple[str, str], list[int]], others: Sequence[int]) -> list[int]:
    """Return the entries above that may take an alert of these matchers: those that want a value it can have, and those without one."""
    found = list(others)
    for label in dict.fromkeys(each.name for each in matchers):
        for value in values_of(matchers, label) or ():
            found += by_value.get((label, value), ())
    return sorted(set(found))


def _taken_by(matchers: Matchers, above: Sequence[int], lists: Sequence[Matchers]) -> tuple[int, ...]:
    """Return the entry above that takes every alert of these matchers, or several that together do; none when some are left."""
    whole = next((index for index in above if implies(matchers, lists[index])), None)
    if whole is not None:
        return (whole,)
    for _, parts in alternatives(matchers):
        takers = [next((index for index in above if implies(part, lists[index])), None) for part in parts]
        if all(taker is not None for taker in takers):
            return tuple(sorted({taker for taker in takers if taker is not None}))
    return ()


# --- names that nothing uses ------------------------------------------------------------------------------------------------------------


def _unused(source: RuleSource, rules: Rules) -> None:
    used_ladders = {service.plan.ladder.name for service in rules.services}
    _unused_names(source, "ladders", used_ladders, "no service uses this ladder: its rungs are never reached")
    on_rungs = {role for ladder in rules.ladders.values() for role in _roles_of(ladder)}
    _unused_names(source, "roles", on_rungs, "no rung and no last resort names this role: it is never paged")
    used_schedules = {name for role in rules.roles.values() for name in _schedules_of(role)}
    _unused_names(source, "schedules", used_schedules, "no role uses this schedule: whoever is on shift in it is not paged")
    _unused_names(source, "hours", {window.hours.name for window in _windows(rules) if window.hours is not None} | _own_hours(rules), None)
    on_duty = {person for role in rules.roles.values() for person in _named(role)}
    on_duty |= {person for schedule in rules.schedules.values() for layer in schedule.layers for person in layer.rotation}
    _unused_names(source, "people", on_duty, "is on no role and in no schedule: no rung pages this person")
    addresses = [contact.to for person in rules.people.values() for contact in person.contacts] + list(rules.emergency.to)
    channels = {CHANNEL_OF.get(address.partition(":")[0].lower()) for address in addresses}
    for name in source.names("channels"):
        if name in WITH_ACCOUNT and name not in channels:
            source.warn(("channels", name), "no contact uses this account", at=source.document.key_place(("channels", name)))


def _unused_names(source: RuleSource, section: str, used: Iterable[str], words: str | None) -> None:
    known = frozenset(used)
    for name in source.names(section):
        if name not in known:
            path: Path = (section, name)
            source.warn(path, words or "nothing in the file names these hours", at=source.document.key_place(path))


def _roles_of(ladder: Ladder) -> Iterator[str]:
    yield from (role for rungs in ladder.rungs for rung in rungs for role in rung.roles)
    yield from ladder.last_resort


def _schedules_of(role: Role) -> Iterator[str]:
    yield from role.schedules
    yield from (name for case in role.by_time for name in case.schedules)


def _named(role: Role) -> Iterator[str]:
    yield from role.people
    yield from (person for case in role.by_time for person in case.people)


def _windows(rules: Rules) -> Iterator[Window]:
    yield from (window for schedule in rules.schedules.values() for layer in schedule.layers for window in layer.restrict)
    yield from (case.window for role in rules.roles.values() for case in role.by_time)
    yield from (quiet.window for person in rules.people.values() for quiet in person.quiet)


def _own_hours(rules: Rules) -> set[str]:
    return {schedule.hours.name for schedule in rules.schedules.values() if schedule.hours is not None}


# --- ladders ----------------------------------------------------------------------------------------------------------------------------


def _merged_rungs(source: RuleSource, rules: Rules) -> None:
    """Warn of services that wait so long that several rungs are paged at one instant."""
    for index, service in enumerate(rules.services):
        wait_ms = service.plan.wait_ms
        for severity in range(1, LOW):
            together = [rung for rung in service.plan.ladder.rungs[severity - 1] if rung.after_ms <= wait_ms]
            if wait_ms and len(together) > 1:
                times = " and ".join(format_duration(rung.after_ms) for rung in together)
                words = f"{format_duration(wait_ms)} is so long that the rungs {times} of severity {severity} are never reached one by one"
                source.warn(("services", index, "wait"), f"{words}: they are paged together")
                break


class _Holders:
    """Who holds which role in the weeks to come, each role once; without a date only what never changes."""

    def __init__(self, rules: Rules, now: int | None) -> None:
        self._rules = rules
        self._now = now
        self._found: dict[str, tuple[list[int], tuple[Held, ...]]] = {}

    def _of(self, role: str) -> tuple[list[int], tuple[Held, ...]]:
        if role not in self._found:
            found = self._rules.roles.get(role)
            if self._now is not None:
                holds = held(role, self._now, self._now + TWICE_AHEAD_MS, self._rules)
            elif found is not None and not found.schedules and not found.by_time:
                holds = (Held(role, found.people, 0, 1),)
            else:
                holds = (Held(role, (), 0, 1),)
            self._found[role] = [each.from_at for each in holds], holds
        return self._found[role]

    def edges(self, rung: Rung) -> set[int]:
        """Return the instants from which on somebody else is paged by a rung."""
        return {at for role in rung.roles for at in self._of(role)[0]}

    def people(self, rung: Rung, at: int) -> frozenset[str]:
        """Return whom a rung pages at an instant."""
        found: set[str] = set()
        for role in rung.roles:
            begins, holds = self._of(role)
            found |= {each for each in holds[max(bisect_right(begins, at) - 1, 0)].people if can_be_paged(each, self._rules)}
        return frozenset(found)


def _twice_in_a_row(source: RuleSource, rules: Rules, now: int | None) -> None:
    """Warn of a rung that wakes nobody but those whom the rung before it has paged already. Once for each two lists of roles.

    Who holds both at one instant counts, not who goes from one to the other between the rungs: that happens at every hand-over.
    """
    holders = _Holders(rules, now)
    for name, ladder in rules.ladders.items():
        said: set[tuple[tuple[str, ...], tuple[str, ...]]] = set()
        for severity in range(1, LOW):
            rungs = ladder.rungs[severity - 1]
            for before, after in pairwise(rungs):
                words = None if (before.roles, after.roles) in said else _same_people(before, after, holders, rules, now)
                if words is not None:
                    said.add((before.roles, after.roles))
                    path = _rung_path(source, name, severity, after.after_ms)
                    source.warn(path, words, at=source.document.key_place(path))


def _same_people(before: Rung, after: Rung, holders: _Holders, rules: Rules, now: int | None) -> str | None:
    if set(after.roles) <= set(before.roles):
        return f"pages the same role{'s' if len(after.roles) > 1 else ''} as the rung before it, and nobody else"
    points = {0} if now is None else holders.edges(before) | holders.edges(after)
    for at in sorted(points):
        people = holders.people(after, at)
        if people and people <= holders.people(before, at):
            who = " and ".join(sorted(people))
            when = "" if now is None or at == now else f" from {local_time(at, rules.people[min(people)].time_zone)} on"
            roles = f"as {', '.join(before.roles)} and as {', '.join(after.roles)}"
            return f"pages {who} twice in a row{when}: {roles}, and nobody else hears of it"
    return None


def _rung_path(source: RuleSource, ladder: str, severity: int, after_ms: int) -> Path:
    """Return the path of a rung, whose key in the file is its time as it was written."""
    path: Path = ("ladders", ladder, "rungs", str(severity))
    value = source.section("ladders")
    for part in path[1:]:
        value = value.get(str(part)) if isinstance(value, dict) else None
    written = next((text for text in value if parse_duration_ms(text) == after_ms), None) if isinstance(value, dict) else None
    return path if written is None else (*path, written)


# --- contacts ---------------------------------------------------------------------------------------------------------------------------


def _contacts(source: RuleSource, rules: Rules) -> None:
    """Warn of an address that a person has twice, and of one person's address that is another's as well."""
    owners: dict[str, str] = {}
    for person in rules.people.values():
        seen: dict[str, int] = {}
        for index, contact in enumerate(person.contacts):
            path: Path = ("people", person.key, "contacts", index)
            address = contact.to.strip().lower()
            if address in seen:
                source.warn(path, f"is contact {seen[address] + 1} again: to ring several times write `repeat` and `times`")
            elif _is_personal(contact) and owners.setdefault(address, person.key) != person.key:
                words = f"is a contact of {shown(owners[address])} as well: from an answer nobody can tell which of the two it was"
                source.warn(path, words)
            seen.setdefault(address, index)


def _is_personal(contact: Contact) -> bool:
    """Whether an address is somebody's own: rooms, robots, hooks and the log are shared on purpose."""
    scheme, _, rest = contact.to.partition(":")
    match CHANNEL_OF.get(scheme.lower()):
        case "mail" | "sms" | "tel":
            return True
        case "slack":
            return rest[:1] in ("U", "W")
        case "telegram":
            return rest.isdigit()
    return False


# --- the calendar -----------------------------------------------------------------------------------------------------------------------


def _calendar(source: RuleSource, rules: Rules, now: int) -> None:
    """Warn of hand-overs that the clocks move in the coming year, and of gaps in the coming weeks. What always holds is said elsewhere."""
    soon = gaps(rules, now, now + GAPS_AHEAD_MS)
    found = [each for each in soon if each.kind in GAPS_SHOWN and (each.from_at, each.to_at) != (now, now + GAPS_AHEAD_MS)]
    # Without ladders there is nothing to ask about but the calendar itself, which is quick for a whole year.
    alone = replace(rules, services=(), ladders={})
    found += [each for each in gaps(alone, now, now + YEAR_MS) if each.kind is FindingKind.HAND_OVER_MOVED]
    paths = _paths(rules)
    for each in found:
        path = paths.get(each.where)
        if path is not None and not (each.kind is FindingKind.HAND_OVER_MOVED and _is_hourly(rules, path)):
            source.warn(path, each.consequence, at=source.document.key_place(path))


def _paths(rules: Rules) -> dict[str, Path]:
    """Map the places that findings name to paths of the file."""
    paths: list[Path] = [("ladders", name, "rungs", str(level)) for name in rules.ladders for level in range(1, LOW)]
    paths += [("roles", name) for name in rules.roles]
    paths += [("hours", name) for name in rules.hours]
    paths += [("schedules", name) for name in rules.schedules]
    paths += [("schedules", name, "layers", index) for name, each in rules.schedules.items() for index in range(len(each.layers))]
    return {path_text(path): path for path in paths}


def _is_hourly(rules: Rules, path: Path) -> bool:
    layer = rules.schedules[str(path[1])].layers[int(path[3])]
    return 0 < layer.every.hours < HOURLY_BELOW_H
