"""Turns incidents and the page that is due into what one message says. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from notifier.message import IncidentView, NextRung, PageMessage, RungView
from tocsin.policy import oncall
from tocsin.policy.durations import format_duration
from tocsin.policy.events import MONITORING, TIMER
from tocsin.policy.ladder import next_rung_words
from tocsin.policy.model import Incident, Page, PageKind, PageStatus
from tocsin.policy.rules import EMERGENCY_PERSON, Person, Rules
from tocsin.runtime.links import LINK_INCIDENTS_MAX

LINK_SLACK_MS = 24 * 3_600_000
"""How long after the last rung an answer link still works."""

LINK_MIN_MS = 8 * 3_600_000

TOGETHER = frozenset({PageKind.PAGE, PageKind.REOPENED})
"""Kinds that share a message when they go to one contact; every other page is a message of its own."""

_AFTER_ALL_SEVERITIES = {PageKind.TEST: 4, PageKind.HANDOVER: 4, PageKind.NOTICE: 4, PageKind.RESOLVED: 5, PageKind.UPDATE: 5}


@dataclass(frozen=True, slots=True)
class DuePage:
    """A page that may go out now, with its incident as just read."""

    page: Page
    incident: Incident


def gravest_first(due: Sequence[DuePage]) -> list[DuePage]:
    """Sort by severity, then by age."""
    return sorted(due, key=lambda d: (d.incident.severity, d.incident.opened_at, d.incident.number))


def urgency_of(due: DuePage) -> int:
    """Return what goes first, from 1: who is called by severity, then tests and notices, then that it is over or taken."""
    if due.page.person == EMERGENCY_PERSON:
        return 1
    return _AFTER_ALL_SEVERITIES.get(due.page.kind, due.incident.severity)


def compose(due: Sequence[DuePage], attempt: int, now: int, rules: Rules, *, external_url: str, answer_token: str) -> PageMessage:
    """Return the message for pages that go to one contact of one person, gravest first.

    It is late by what its latest page is late.
    """
    first = due[0]
    page, incident = first.page, first.incident
    person = rules.people.get(page.person) or Person(page.person, page.person, "en", "UTC", ())
    views = tuple(view_of(d.incident, external_url) for d in due)
    late_ms = max(max(0, now - d.page.rung_due_at) for d in due)
    return PageMessage(
        page_id=page.id,
        pages=tuple(d.page.id for d in due),
        kind=page.kind,
        attempt=attempt,
        incident=views[0],
        others=views if len(views) > 1 else (),
        rung=rung_of(page, incident),
        person=page.person,
        person_name=person.name,
        time_zone=person.time_zone,
        locale=person.locale,
        late_by_s=late_ms / 1000,
        told=_told(incident, page.person, rules),
        next_rung=None if page.kind is PageKind.RESOLVED else _next_rung(incident, rules),
        acknowledge_url=f"{external_url}/a/{answer_token}",
        written_at=now,
        token=answer_token,
        numbers=tuple(d.incident.number for d in due[:LINK_INCIDENTS_MAX]),
        thread=_thread(page, incident),
        edits=_receipt_of(page.edits, incident) if page.edits else "",
        holder=_name_of(incident.acknowledged_by, rules),
        held_at=incident.acknowledged_at,
        held_until=incident.acknowledged_until,
        ended_at=incident.resolved_at,
        ended_by="" if incident.resolved_by in (None, MONITORING, TIMER) else _name_of(incident.resolved_by, rules),
        said=incident.text if page.kind in (PageKind.HANDOVER, PageKind.NOTICE) else "",
    )


def link_end(incident: Incident, now: int) -> int:
    """Return until when (ms UTC) a page's answer link works: the ladder's length and a day."""
    ladder_ms = max((rung.after_ms for rung in incident.rungs), default=0)
    return now + max(ladder_ms, LINK_MIN_MS) + LINK_SLACK_MS


def view_of(incident: Incident, external_url: str) -> IncidentView:
    """Return the incident as pages show it."""
    return IncidentView(
        id=incident.id,
        title=incident.title,
        severity=incident.severity,
        service=incident.service,
        state=incident.state.value,
        opened_at=incident.opened_at,
        firing=incident.firing,
        resolved=incident.resolved,
        labels=incident.labels,
        url=f"{external_url}/i/{incident.id}",
        runbook=incident.plan.runbook or None,
    )


def rung_of(page: Page, incident: Incident) -> RungView | None:
    """Return the rung that asked for a page, None for a reminder or an assignment."""
    if page.rung is None:
        return None
    after_ms = incident.rungs[page.rung].after_ms if page.rung < len(incident.rungs) else 0
    return RungView(format_duration(after_ms), page.role, page.rung)


def _thread(page: Page, incident: Incident) -> str:
    """Return the receipt of the first page about this incident that this contact took, empty when this is the first."""
    own = (p for p in incident.pages if (p.person, p.contact) == (page.person, page.contact))
    return next((p.receipt for p in own if p.receipt and p.status is PageStatus.SENT and p.kind is not PageKind.UPDATE), "")


def _receipt_of(page_id: str, incident: Incident) -> str:
    return next((p.receipt for p in incident.pages if p.id == page_id), "")


def _name_of(key: str | None, rules: Rules) -> str:
    """Return how a person is called; a key that the rules do not know stands for itself."""
    if key is None:
        return ""
    person = rules.people.get(key)
    return "emergency contact" if key == EMERGENCY_PERSON else key if person is None else person.name


def _told(incident: Incident, reader: str, rules: Rules) -> tuple[str, ...]:
    sent = dict.fromkeys(p.person for p in incident.pages if p.status is PageStatus.SENT and p.person != reader)
    return tuple(rules.people[key].name if key in rules.people else key for key in sent)


def _next_rung(incident: Incident, rules: Rules) -> NextRung | None:
    """Say who hears of it next, and when."""
    found = next_rung_words(incident)
    if found is None:
        return None
    rung, due_at = found
    people = dict.fromkeys(rules.people[key].name for role in rung.roles for key in oncall.holders(role, due_at, rules))
    return NextRung(rung.roles, tuple(people), due_at)
