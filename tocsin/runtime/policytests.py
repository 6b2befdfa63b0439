"""What a policy test says: events, and what is expected of them, as values.

Owns the values and nothing else. They are read from a file by `policytestfile.py`, carried out by `policytestrun.py`, and compared with
what came of it by `policytestverdict.py`. Instants are integer milliseconds, UTC; the keys are explained to users in docs/policy-tests.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timezone
from typing import TypeAlias

from tocsin.policy.events import Event
from tocsin.policy.model import PageKind, State
from tocsin.policy.roster import Absence, Override
from tocsin.policy.rules import Rules
from tocsin.runtime.yamltree import Place, Problem


@dataclass(frozen=True, slots=True)
class Target:
    """Which incident is meant: by its number, by labels of one of its alerts, by its service; without any of them the one there is."""

    number: int | None = None
    labels: Mapping[str, str] | None = None
    service: str | None = None


@dataclass(frozen=True, slots=True)
class Fired:
    """An alert fires; without `ends_at` (ms UTC) until the test says otherwise."""

    labels: Mapping[str, str]
    ends_at: int | None = None


@dataclass(frozen=True, slots=True)
class Cleared:
    """An alert is resolved by its monitoring system."""

    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Acted:
    """A person does something about an incident."""

    event: Event
    target: Target


@dataclass(frozen=True, slots=True)
class RosterChanged:
    """Somebody changes who is on call."""

    entry: Override | Absence


What: TypeAlias = Fired | Cleared | Acted | RosterChanged


@dataclass(frozen=True, slots=True)
class Step:
    """What happens at an instant (ms UTC); `key` is what the file calls it."""

    at: int
    key: str
    what: What
    place: Place


@dataclass(frozen=True, slots=True)
class PageExpected:
    """At this instant this person is paged. With `contact` (from 0) or `channel`: over this contact, which may be a later one."""

    at: int
    person: str
    place: Place
    role: str | None = None
    kind: PageKind | None = None
    contact: int | None = None
    channel: str | None = None
    number: int | None = None


@dataclass(frozen=True, slots=True)
class SilenceExpected:
    """From `from_at` until before `to_at` nobody's phone rings, or not this person's."""

    from_at: int
    to_at: int
    place: Place
    person: str | None = None


@dataclass(frozen=True, slots=True)
class CountsExpected:
    """So many incidents are in these states."""

    at: int
    counts: Mapping[State, int]
    place: Place


@dataclass(frozen=True, slots=True)
class StateExpected:
    """An incident stands like this; None is whatever it may be."""

    at: int
    state: State
    target: Target
    place: Place
    severity: int | None = None
    by: str | None = None


Expected: TypeAlias = PageExpected | SilenceExpected | CountsExpected | StateExpected


@dataclass(frozen=True, slots=True)
class PolicyTest:
    """One test. It is watched from `start_at` until `end_at`, that instant included; `zone` is the one that its start is written in."""

    name: str
    start_at: int
    end_at: int
    zone: timezone
    steps: tuple[Step, ...]
    expected: tuple[Expected, ...]
    pages_complete: bool
    place: Place


@dataclass(frozen=True, slots=True)
class Suite:
    """One file of tests. `rules` is None when they cannot be used: then `rule_problems` says why."""

    file: str
    rules: Rules | None
    tests: tuple[PolicyTest, ...]
    problems: tuple[Problem, ...]
    rule_problems: tuple[Problem, ...] = ()
