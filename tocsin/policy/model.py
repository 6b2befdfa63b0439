"""The values that travel through Tocsin: the alert, the page, the incident.

Owns their shape and nothing else: how an incident changes is in `incident.py`, when its next step is due in `ladder.py`.
Every instant (`..._at`, `..._until`, `..._since`) is an integer of milliseconds since the epoch, UTC; every duration ends in `_ms`.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import NamedTuple

LOW = 4
"""The severity that opens an incident and pages nobody."""

PAGES_KEPT_MAX = 50
"""Settled pages an incident keeps in its own record; older ones stay in the history."""


class AlertStatus(enum.StrEnum):
    """Whether the monitoring system says that the alert's condition holds."""

    FIRING = "firing"
    RESOLVED = "resolved"


class Alert(NamedTuple):
    """One label set from a monitoring system, as last reported.

    `key` identifies integration and labels. `ends_at` is, while firing, the instant at which it counts
    as resolved unless it is reported again; once resolved, when it ended.
    """

    key: str
    integration: str
    status: AlertStatus
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: int
    ends_at: int
    generator_url: str = ""


class State(enum.StrEnum):
    """Where an incident stands. `closed` is final."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"
    CLOSED = "closed"


class PageKind(enum.StrEnum):
    """Why a page is sent."""

    PAGE = "page"
    REMINDER = "reminder"
    REOPENED = "reopened"
    RESOLVED = "resolved"
    TEST = "test"
    EMERGENCY = "emergency"
    UPDATE = "update"
    """Changes a message that was sent before, and wakes nobody."""
    HANDOVER = "handover"
    NOTICE = "notice"


class PageStatus(enum.StrEnum):
    """`pending` until the provider took it (`sent`), it can never be delivered (`failed`), or nobody needs it any more (`cancelled`)."""

    PENDING = "pending"
    SENT = "sent"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Page:
    """One message to one person for one rung, over one of the person's contacts.

    `id` is `INC-<number>.<step>.<person>.<contact>` and the same on every attempt. `rung` is the index in the ladder, None for pages that
    no rung asked for (a reminder, an assignment). `rung_due_at` is when the person should have heard of it: lateness counts from there.
    `due_at` is when the next attempt may begin.

    `receipt_due_at` is set on a sent page while the provider's word is awaited that it arrived; `receipt_missed` when that did not come in
    time. `held_at` is when a limit or a person's quiet time first held it, `held_until` until when. `edits` is the id of the page whose
    message an UPDATE changes. `ring` counts the rings of a contact that goes on ringing.
    """

    id: str
    kind: PageKind
    step: int
    rung: int | None
    role: str
    person: str
    contact: int
    rung_due_at: int
    due_at: int
    status: PageStatus = PageStatus.PENDING
    attempts: int = 0
    ambiguous: int = 0
    settled_at: int | None = None
    reason: str = ""
    receipt: str = ""
    receipt_due_at: int | None = None
    receipt_missed: bool = False
    delivered_at: int | None = None
    held_at: int | None = None
    held_until: int | None = None
    edits: str = ""
    ring: int = 1


@dataclass(frozen=True, slots=True)
class Rung:
    """A step of the ladder: so long after the trigger, these roles hear of it."""

    after_ms: int
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ladder:
    """Who hears of an incident when nobody answers. The tables are indexed by severity - 1 and always four long."""

    name: str
    until: str
    rungs: tuple[tuple[Rung, ...], ...]
    acknowledged_for_ms: tuple[int, ...]
    remind_before_end_ms: int
    repeat_last_ms: int
    last_resort: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """The ladder and the timings of its service that an incident opened with: later rules do not change them."""

    ladder: Ladder
    wait_ms: int
    settle_ms: int
    resolve_after_ms: int
    reopen_within_ms: int
    close_after_ms: int
    runbook: str = ""


@dataclass(frozen=True, slots=True)
class Incident:
    """What people work on: a document with a version, changed only by `incident.decide`.

    `triggered_at` is where the ladder's clock stands now: the opening, the raise or the reopening. `clear_since` is set while no alert
    fires. `told_roles` were paged since the opening or reopening; `skip_roles` are those of them that the new table of a changed severity
    need not page again. `ends_at` is set on drills and notices, which resolve by themselves. `due_at` is its one timer: when `decide` must
    look at it again, None when it never must.
    """

    number: int
    version: int
    group_key: str
    service: str
    title: str
    state: State
    severity: int
    labels: Mapping[str, str]
    plan: Plan
    rules_version: int
    opened_at: int
    changed_at: int
    triggered_at: int
    source: str = "alerts"
    requester: str = ""
    text: str = ""
    firing: int = 0
    resolved: int = 0
    severity_pinned: bool = False
    suppressed: str | None = None
    acknowledged_at: int | None = None
    acknowledged_by: str | None = None
    acknowledged_until: int | None = None
    reminded: bool = False
    snoozed_until: int | None = None
    clear_since: int | None = None
    resolved_at: int | None = None
    resolved_by: str | None = None
    closed_at: int | None = None
    reopened_at: int | None = None
    assignee: str | None = None
    flaps: int = 0
    hold_until: int | None = None
    next_rung: int = 0
    last_rung_at: int | None = None
    told_roles: tuple[str, ...] = ()
    skip_roles: tuple[str, ...] = ()
    steps: int = 0
    pages: tuple[Page, ...] = ()
    ends_at: int | None = None
    due_at: int | None = None

    @property
    def id(self) -> str:
        """The number as people say it: `INC-42`."""
        return f"INC-{self.number}"

    @property
    def rungs(self) -> tuple[Rung, ...]:
        """The rungs of the present severity."""
        return self.plan.ladder.rungs[self.severity - 1]

    @property
    def is_live(self) -> bool:
        """Whether it still needs people: open or acknowledged."""
        return self.state in (State.OPEN, State.ACKNOWLEDGED)


_FIELDS = tuple(f.name for f in fields(Incident))
_VALUES = attrgetter(*_FIELDS)
_SLOTS = {name: getattr(Incident, name).__set__ for name in _FIELDS}


def evolve(incident: Incident, **changes: object) -> Incident:
    """Return a copy with other values, as `dataclasses.replace` does: four times as fast on forty fields, and every change makes one."""
    after: Incident = object.__new__(Incident)
    for put, value in zip(_SLOTS.values(), _VALUES(incident), strict=True):
        put(after, value)
    for name, value in changes.items():
        _SLOTS[name](after, value)
    return after


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One change of one incident: who, when, why, and what became different.

    `changes` holds the fields of the incident that changed, as the store writes them, so that the entries of an incident, laid over each
    other in order of `version`, are the incident. `inputs` are the facts that the decision rested on.
    """

    incident: int
    version: int
    at: int
    actor: str
    event: str
    reason: str
    inputs: Mapping[str, object]
    changes: Mapping[str, object] = field(default_factory=dict)
