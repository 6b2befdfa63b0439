"""What can happen to an incident. Each event names its actor; `incident.decide` says what it changes.

Actors: a person's key, the name of an API token, `monitoring` (alerts), `timer`, `notifier` (what came of a page).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tocsin.policy.model import PageKind

MONITORING = "monitoring"
TIMER = "timer"
NOTIFIER = "notifier"


@dataclass(frozen=True, slots=True)
class AlertsChanged:
    """What the incident's alerts come to after a batch of news: counts, not the alerts themselves.

    `firing` counts the firing alerts by severity (four numbers, severity 1 first). `labels` are common to all of its alerts. `joined`,
    `refired` and `cleared` count this batch's changes; `how` says why alerts cleared (`reported`, `expired`, `stale`).
    """

    firing: tuple[int, int, int, int]
    resolved: int
    labels: Mapping[str, str]
    joined: int = 0
    refired: int = 0
    cleared: int = 0
    how: str = "reported"
    actor: str = MONITORING


@dataclass(frozen=True, slots=True)
class TimerDue:
    """The incident's timer has come."""

    actor: str = TIMER


@dataclass(frozen=True, slots=True)
class PageSent:
    """A provider took a page. With `receipt_within_ms` it says within that time whether the page arrived (0: it will not say)."""

    page_id: str
    receipt: str = ""
    receipt_within_ms: int = 0
    actor: str = NOTIFIER


@dataclass(frozen=True, slots=True)
class PageRefused:
    """A provider will never take this page over this contact."""

    page_id: str
    why: str
    actor: str = NOTIFIER


@dataclass(frozen=True, slots=True)
class PageUnreachable:
    """An attempt failed and may be repeated; `ambiguous` when the provider may have taken it all the same.

    `attempt` (from 1, 0: unknown) lets the same attempt be recorded twice without being counted twice.
    """

    page_id: str
    why: str
    ambiguous: bool
    retry_after_ms: int = 0
    attempt: int = 0
    actor: str = NOTIFIER


@dataclass(frozen=True, slots=True)
class PageHeld:
    """A limit lets no page pass before `until` (ms UTC). Neither an attempt nor a failure; `why` is kept."""

    page_id: str
    why: str
    until: int
    actor: str = NOTIFIER


@dataclass(frozen=True, slots=True)
class PageDelivered:
    """The provider says that a page arrived. It may say so late, twice, or before its own answer is recorded.

    `corrects` a word that it did not arrive: a key that was pressed does, the mere end of a call that a machine answered does not.
    """

    page_id: str
    receipt: str = ""
    actor: str = NOTIFIER
    corrects: bool = True


@dataclass(frozen=True, slots=True)
class PageUndelivered:
    """The provider took a page and says now that it did not arrive."""

    page_id: str
    why: str
    actor: str = NOTIFIER


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A person has it. `for_ms` None means the ladder's time for the severity."""

    actor: str
    for_ms: int | None = None
    note: str = ""
    via: str = "api"


@dataclass(frozen=True, slots=True)
class Resolved:
    """A person says that it is over."""

    actor: str
    note: str = ""
    via: str = "api"


@dataclass(frozen=True, slots=True)
class Reopened:
    """A person says that it is not over."""

    actor: str
    note: str = ""
    via: str = "api"


@dataclass(frozen=True, slots=True)
class Snoozed:
    """A person wants no page about it for a while."""

    actor: str
    for_ms: int
    via: str = "api"


@dataclass(frozen=True, slots=True)
class Assigned:
    """A person gives it to a person (a key of `people`), who is paged."""

    actor: str
    to: str
    via: str = "api"


@dataclass(frozen=True, slots=True)
class PassedOn:
    """A person wants the next rung to be paged now: "I cannot, ask the next"."""

    actor: str
    via: str = "api"


@dataclass(frozen=True, slots=True)
class Noted:
    """A person wrote a note; `public` ones may be shown to the requester."""

    actor: str
    text: str
    public: bool = False
    via: str = "api"


@dataclass(frozen=True, slots=True)
class SeveritySet:
    """A person sets the severity; alerts may still raise it, never lower it."""

    actor: str
    level: int
    why: str = ""
    via: str = "api"


Event = (
    AlertsChanged
    | TimerDue
    | PageSent
    | PageRefused
    | PageUnreachable
    | PageHeld
    | PageDelivered
    | PageUndelivered
    | Acknowledged
    | Resolved
    | Reopened
    | Snoozed
    | Assigned
    | PassedOn
    | Noted
    | SeveritySet
)


@dataclass(frozen=True, slots=True)
class OpenedByAlerts:
    """The first alerts of a group: what the incident is born with. `firing` as in AlertsChanged."""

    number: int
    group_key: str
    service: str
    title: str
    labels: Mapping[str, str]
    firing: tuple[int, int, int, int]
    actor: str = MONITORING


@dataclass(frozen=True, slots=True)
class OpenedByPerson:
    """An incident that a person opens by hand."""

    number: int
    group_key: str
    service: str
    title: str
    severity: int
    actor: str
    requester: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class TestRequested:
    """Somebody wants to see a page arrive: an incident of severity 4 that pages one contact of one person and resolves by itself."""

    number: int
    group_key: str
    service: str
    title: str
    person: str
    contact: int
    actor: str


@dataclass(frozen=True, slots=True)
class PersonTold:
    """People are told something that is not about alerts: an incident of severity 4 that goes to one contact of each and ends by itself.

    `kind` is HANDOVER or NOTICE; `said` is what they are told. A contact that fails is followed by the person's next.
    """

    number: int
    group_key: str
    service: str
    title: str
    people: tuple[str, ...]
    kind: PageKind
    said: str
    actor: str


@dataclass(frozen=True, slots=True)
class DrillRequested:
    """Somebody wants to see the ladder at work: a marked incident that pages like a real one and ends by itself after the last rung."""

    number: int
    group_key: str
    service: str
    title: str
    severity: int
    actor: str


Opening = OpenedByAlerts | OpenedByPerson | TestRequested | PersonTold | DrillRequested
