"""What an event makes of an incident, as a value: the incident before and after, the reason, and the facts it rested on.

Owns the reasons there are and what follows from a decision by itself: version, timer, what the outbox learns. Which decision is taken is
said in `incident.py` (people, alerts, time) and `delivery.py` (what comes of pages).
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tocsin.policy import events as ev
from tocsin.policy import ladder
from tocsin.policy.model import Incident, PageStatus
from tocsin.policy.rules import Rules


class Reason(enum.StrEnum):
    """Why an incident changed, or did not."""

    OPENED = "opened"
    OPENED_BY_PERSON = "opened_by_person"
    TEST_REQUESTED = "test_requested"
    DRILL_REQUESTED = "drill_requested"
    PERSON_TOLD = "person_told"
    ALERTS_JOINED = "alerts_joined"
    ALERTS_CLEARED = "alerts_cleared"
    ALL_CLEAR = "all_clear"
    FIRED_AGAIN = "fired_again"
    REOPENED_BY_ALERTS = "reopened_by_alerts"
    SEVERITY_RAISED = "severity_raised"
    SEVERITY_LOWERED = "severity_lowered"
    RUNG_DUE = "rung_due"
    RUNG_SKIPPED = "rung_skipped"
    NOBODY_TO_PAGE = "nobody_to_page"
    LAST_RUNG_REPEATED = "last_rung_repeated"
    REMINDED = "reminded"
    ACKNOWLEDGEMENT_ENDED = "acknowledgement_ended"
    SNOOZE_ENDED = "snooze_ended"
    RESOLVED_BY_ALERTS = "resolved_by_alerts"
    ENDED_BY_ITSELF = "ended_by_itself"
    CLOSED = "closed"
    PAGE_SENT = "page_sent"
    PAGE_REFUSED = "page_refused"
    PAGE_RETRIED = "page_retried"
    PAGE_GIVEN_UP = "page_given_up"
    PAGE_HELD = "page_held"
    PAGE_DELIVERED = "page_delivered"
    PAGE_UNDELIVERED = "page_undelivered"
    RECEIPT_MISSING = "receipt_missing"
    PERSON_UNREACHED = "person_unreached"
    ACKNOWLEDGED = "acknowledged"
    ACKNOWLEDGEMENT_EXTENDED = "acknowledgement_extended"
    RESOLVED_BY_PERSON = "resolved_by_person"
    REOPENED_BY_PERSON = "reopened_by_person"
    SNOOZED = "snoozed"
    ASSIGNED = "assigned"
    PASSED_ON = "passed_on"
    NOTED = "noted"
    ALREADY_SO = "already_so"
    IGNORED = "ignored"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Decision:
    """What an event makes of an incident. `incident` is `before` itself when nothing changes.

    The timer is `incident.due_at`; the pages to hand over or to withdraw are the difference between `before` and `incident`
    (`outbox_changes`).
    """

    before: Incident | None
    incident: Incident
    reason: Reason
    actor: str
    event: str
    inputs: Mapping[str, object]

    @property
    def changed(self) -> bool:
        """Whether there is anything to commit."""
        return self.incident is not self.before

    @property
    def refused(self) -> bool:
        """Whether the state does not allow what a person asked for."""
        return self.reason is Reason.REFUSED


@dataclass(frozen=True, slots=True)
class OutboxChanges:
    """Pages to put before the notifier (id -> when the next attempt may begin) and pages to withdraw."""

    due: Mapping[str, int]
    withdrawn: tuple[str, ...]


Result = tuple[Incident, Reason, Mapping[str, object]]
Handler = Callable[[Incident, ev.Event, int, Rules], Result]


def outbox_changes(before: Incident | None, after: Incident) -> OutboxChanges:
    """Return which pages of an incident become due, at a new time or at all, and which are withdrawn or settled."""
    if before is not None and before.pages is after.pages:
        return OutboxChanges({}, ())
    old = {p.id: p.due_at for p in before.pages if p.status is PageStatus.PENDING} if before is not None else {}
    new = {p.id: p.due_at for p in after.pages if p.status is PageStatus.PENDING}
    due = {page_id: at for page_id, at in new.items() if old.get(page_id) != at}
    return OutboxChanges(due, tuple(page_id for page_id in old if page_id not in new))


def decided(before: Incident | None, after: Incident, reason: Reason, inputs: Mapping[str, object], event: object, now: int) -> Decision:
    """Stamp what a handler made of an incident: version, instant, timer."""
    if after is not before:
        # Nobody has seen `after` yet, so it is stamped in place: a second copy of forty fields cost as much as the decision.
        found = ladder.agenda(after)
        object.__setattr__(after, "version", 1 if before is None else before.version + 1)
        object.__setattr__(after, "changed_at", now)
        object.__setattr__(after, "due_at", None if found is None else found[0])
    return Decision(before, after, reason, getattr(event, "actor", ""), type(event).__name__, inputs)
