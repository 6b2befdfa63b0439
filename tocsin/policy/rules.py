"""The rules of alert_rules.yaml as one frozen value, and the questions that are asked of it.

Owns: which severity, service and group an alert has. Does not read files (`tocsin/runtime/rulesfile.py` does) and does not know who is on
duty at an instant (`oncall.py` does).
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from tocsin.policy.accounts import Accounts, Limit
from tocsin.policy.hours import Hours, Window
from tocsin.policy.matchers import Matcher, MatchOp, matches_all
from tocsin.policy.model import Ladder, Plan
from tocsin.policy.roster import Roster
from tocsin.policy.schedules import Role, Schedule

GROUP_BY_ALL = "..."
"""In `group_by`: every label, so that each alert is an incident of its own."""

DEFAULT_SEVERITY = 3

EMERGENCY_PERSON = "emergency"
"""Stands for the emergency contacts where a page needs a person."""


EDITED_IN_PLACE = ("slack", "telegram")
"""Channels whose messages are changed when an incident changes hands or ends."""


@dataclass(frozen=True, slots=True)
class SeverityRule:
    """Alerts that match have this level; the first rule that matches wins."""

    level: int
    matchers: tuple[Matcher, ...]


@dataclass(frozen=True, slots=True)
class Service:
    """Who owns what: the alerts that belong to it, how they fold into incidents, and the plan those incidents follow."""

    name: str
    matchers: tuple[Matcher, ...]
    group_by: tuple[str, ...]
    plan: Plan
    depends_on: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Contact:
    """A way to reach a person: address, how long after its rung it is tried, and how much the person wants over it at most.

    With `times` above 1 it goes on ringing: so often in all, `repeat_ms` apart, until somebody answers.
    """

    to: str
    after_ms: int = 0
    secret: str = field(default="", repr=False)
    limit: Limit | None = None
    repeat_ms: int = 0
    times: int = 1

    @property
    def is_edited(self) -> bool:
        """Whether a message stays one and is changed in place, rather than followed by another that says how it stands."""
        return self.to.partition(":")[0] in EDITED_IN_PLACE


@dataclass(frozen=True, slots=True)
class Quiet:
    """While the window is open, in the person's zone, pages of these severities wait. Severity 1 never does."""

    window: Window
    severities: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who can be paged, with contacts in the order in which they are tried, and when the person wants no page."""

    key: str
    name: str
    locale: str
    time_zone: str
    contacts: tuple[Contact, ...]
    quiet: tuple[Quiet, ...] = ()


@dataclass(frozen=True, slots=True)
class Integration:
    """A keyed source of alerts. Only the key's SHA-256 is kept."""

    name: str
    key_sha256: str = field(repr=False)
    stale_after_ms: int = 24 * 3_600_000


@dataclass(frozen=True, slots=True)
class InhibitRule:
    """Targets are quiet while a source with equal values for `equal` fires."""

    source: tuple[Matcher, ...]
    target: tuple[Matcher, ...]
    equal: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Emergency:
    """Contacts that are told when the store has been away for `after_ms`."""

    after_ms: int = 60_000
    to: tuple[str, ...] = ()


class ServiceTable:
    """Finds the first service whose matchers all hold, without trying every service.

    Services with an equality matcher are found by that label's value; the others are tried in order. A thousand services cost a look-up per
    indexed label name.
    """

    __slots__ = ("_by_value", "_labels", "_others", "_rest", "_services")

    def __init__(self, services: tuple[Service, ...]) -> None:
        self._services = services
        self._rest: list[tuple[Matcher, ...]] = []
        by_value: dict[tuple[str, str], list[int]] = {}
        others: list[int] = []
        for index, service in enumerate(services):
            equal = next((m for m in service.matchers if m.op is MatchOp.EQUAL and m.value), None)
            self._rest.append(tuple(m for m in service.matchers if m is not equal))
            if equal is None:
                others.append(index)
            else:
                by_value.setdefault((equal.name, equal.value), []).append(index)
        self._by_value = by_value
        self._labels = tuple(sorted({name for name, _ in by_value}))
        self._others = tuple(others)

    def find(self, labels: Mapping[str, str]) -> Service | None:
        """Return the first service in the order of the file that the labels belong to."""
        candidates: list[int] = []
        for name in self._labels:
            value = labels.get(name)
            if value is not None:
                candidates += self._by_value.get((name, value), ())
        candidates.sort()
        best = next((i for i in candidates if self._holds(i, labels)), None)
        for index in self._others:
            if best is not None and index > best:
                break
            if self._holds(index, labels):
                best = index
                break
        return None if best is None else self._services[best]

    def _holds(self, index: int, labels: Mapping[str, str]) -> bool:
        """Whether the matchers that the look-up has not answered hold."""
        rest = self._rest[index]
        return not rest or matches_all(rest, labels)


@dataclass(frozen=True, slots=True)
class Places:
    """Where the parts of a rules file stand, by their path in it (`("ladders", "standard", "rungs", "1")`), for those who explain."""

    file: str = ""
    lines: Mapping[tuple[str | int, ...], int] = field(default_factory=dict)

    def of(self, *path: str | int) -> str:
        """Return `FILE:LINE` of a part, or of what holds it when its own line was not kept; empty when neither is known."""
        while path:
            line = self.lines.get(path)
            if line is not None:
                return f"{self.file}:{line}"
            path = path[:-1]
        return ""


@dataclass(frozen=True, slots=True)
class Rules:
    """Everything that alert_rules.yaml says, checked. `version` is 0 until it is published to the store."""

    version: int
    severities: tuple[SeverityRule, ...]
    services: tuple[Service, ...]
    ladders: Mapping[str, Ladder]
    roles: Mapping[str, Role]
    schedules: Mapping[str, Schedule]
    people: Mapping[str, Person]
    integrations: tuple[Integration, ...]
    inhibit: tuple[InhibitRule, ...]
    emergency: Emergency
    accounts: Accounts = field(default_factory=Accounts)
    hours: Mapping[str, Hours] = field(default_factory=dict)
    roster: Roster = field(default_factory=Roster)
    table: ServiceTable = field(default_factory=lambda: ServiceTable(()), compare=False, repr=False)
    places: Places = field(default_factory=Places, compare=False, repr=False)

    def severity_of(self, labels: Mapping[str, str]) -> int:
        """Return the level 1 to 4 of an alert: the first rule that matches, else 3."""
        for rule in self.severities:
            if matches_all(rule.matchers, labels):
                return rule.level
        return DEFAULT_SEVERITY

    def service_of(self, labels: Mapping[str, str]) -> Service:
        """Return the service that an alert belongs to; the last one of a checked file matches everything."""
        found = self.table.find(labels)
        return self.services[-1] if found is None else found

    def service_named(self, name: str) -> Service | None:
        """Return the service of that name."""
        return next((service for service in self.services if service.name == name), None)


def group_key(service: Service, labels: Mapping[str, str]) -> str:
    """Return the grouping key: alerts of one service that agree on its `group_by` labels fold into one incident.

    Used by ingest (to pick the shard) and by the correlator (to pick the incident), so that they cannot disagree. Absent labels count as
    empty. Values are framed by their length, so that no text can imitate
    another key.
    """
    names = service.group_by
    if names == (GROUP_BY_ALL,):
        names = tuple(sorted(labels))
    parts = [service.name]
    for name in names:
        value = labels.get(name, "")
        parts.append(f"{name}={len(value)}:{value}")
    return "|".join(parts)


def shard_of_group(key: str, shards: int) -> int:
    """Return the shard that a grouping key's incident lives in."""
    if shards == 1:
        return 0
    return zlib.crc32(key.encode("utf-8", "replace")) % shards


def shard_of_number(number: int, shards: int) -> int:
    """Return the shard that an incident's number belongs to."""
    return (number - 1) % shards


def incident_number(seq: int, shard: int, shards: int) -> int:
    """Return the number of a shard's incident number `seq` (from 0): unique over the shards, never reused."""
    return seq * shards + shard + 1
