"""What the API answers: the shapes of CONTRACT.md, made from the values of the policy.

Owns names and formats of answers (times as RFC 3339 in UTC, durations as Prometheus writes them). What a person may send is in `bodies.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from console.auth import Role
from console.readmodel import Change
from tocsin.policy import ladder, oncall
from tocsin.policy.fingerprint import fingerprint
from tocsin.policy.ladder import Due
from tocsin.policy.model import Alert, AlertStatus, Incident, Page, PageKind, PageStatus, State
from tocsin.policy.rules import EMERGENCY_PERSON, Rules
from tocsin.store import codec

ALERTS_SHOWN_MAX: Final = 1_000
HISTORY_SHOWN_MAX: Final = 1_000

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Instant = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


class View(BaseModel):
    """An answer."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class AlertCounts(View):
    """How many alerts fire, and how many have resolved."""

    firing: int
    resolved: int


class LadderView(View):
    """Where the incident stands on its ladder: the last rung that was paged, and who is next and when (nobody while it is held)."""

    name: str
    rung: int | None
    next_at: Instant | None
    next_role: str | None


class IncidentFacts(View):
    """What every view of an incident says."""

    id: str
    title: str
    state: State
    severity: int
    service: str
    suppressed: str | None
    labels: dict[str, str]
    opened_at: Instant
    acknowledged_at: Instant | None
    acknowledged_by: str | None
    acknowledged_until: Instant | None
    resolved_at: Instant | None
    closed_at: Instant | None
    assignee: str | None
    ladder: LadderView
    url: str
    version: int


class IncidentView(IncidentFacts):
    """An incident, as lists and actions answer it."""

    alerts: AlertCounts


class IncidentList(View):
    """A page of a list; `next` is the cursor of the following one."""

    items: list[IncidentView]
    next: str | None


class AlertView(View):
    """An alert. `ends_at` of a firing one is when it counts as resolved unless it is reported again."""

    fingerprint: str
    status: AlertStatus
    integration: str
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: Instant
    ends_at: Instant
    generator_url: str


class PageView(View):
    """A page: to whom, over which kind of contact (never the address), and what came of it."""

    id: str
    kind: PageKind
    person: str
    contact: int
    channel: str
    rung: int | None
    role: str
    status: PageStatus
    attempts: int
    due_at: Instant
    settled_at: Instant | None
    reason: str
    receipt: str


class ChangeView(View):
    """One change of the incident: who, when, why, and the facts that it rested on."""

    version: int
    at: Instant
    actor: str
    event: str
    reason: str
    state: str
    inputs: dict[str, Any]


class IncidentDetail(IncidentFacts):
    """Everything about an incident: at most 1,000 alerts (`alert_counts` has the whole number), its newest 1,000 changes, its pages."""

    source: str
    requester: str
    text: str
    runbook: str
    snoozed_until: Instant | None
    resolved_by: str | None
    flaps: int
    alert_counts: AlertCounts
    alerts: list[AlertView]
    history: list[ChangeView]
    pages: list[PageView]


class Holder(View):
    """A person who holds a role."""

    person: str
    name: str


class RoleView(View):
    """A role and who holds it; nobody may."""

    role: str
    schedule: str | None
    people: list[Holder]


class OnCallView(View):
    """Who holds each role at an instant."""

    at: Instant
    roles: list[RoleView]


class TokenView(View):
    """A new token. It is never shown again."""

    name: str
    role: Role
    token: str


class ChangeEvent(View):
    """The data of one server-sent event."""

    incident: str
    version: int
    at: Instant
    event: str
    reason: str
    actor: str
    state: str


def rfc3339(at: int) -> str:
    """Write an instant (ms UTC) as RFC 3339 in UTC."""
    return (_EPOCH + timedelta(milliseconds=at)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _instant(at: int | None) -> str | None:
    return None if at is None else rfc3339(at)


def _facts(incident: Incident, external_url: str) -> dict[str, Any]:
    return {
        "id": incident.id,
        "title": incident.title,
        "state": incident.state,
        "severity": incident.severity,
        "service": incident.service,
        "suppressed": incident.suppressed,
        "labels": dict(incident.labels),
        "opened_at": rfc3339(incident.opened_at),
        "acknowledged_at": _instant(incident.acknowledged_at),
        "acknowledged_by": incident.acknowledged_by,
        "acknowledged_until": _instant(incident.acknowledged_until),
        "resolved_at": _instant(incident.resolved_at),
        "closed_at": _instant(incident.closed_at),
        "assignee": incident.assignee,
        "ladder": _ladder_view(incident),
        "url": f"{external_url}/i/{incident.id}",
        "version": incident.version,
    }


def incident_view(incident: Incident, external_url: str) -> IncidentView:
    """Return an incident as lists and actions answer it."""
    return IncidentView(**_facts(incident, external_url), alerts=_counts(incident))


def incident_detail(incident: Incident, alerts: list[AlertView], changes: list[Change], rules: Rules, external_url: str) -> IncidentDetail:
    """Return everything about an incident."""
    return IncidentDetail(
        **_facts(incident, external_url),
        source=incident.source,
        requester=incident.requester,
        text=incident.text,
        runbook=incident.plan.runbook,
        snoozed_until=_instant(incident.snoozed_until),
        resolved_by=incident.resolved_by,
        flaps=incident.flaps,
        alert_counts=_counts(incident),
        alerts=alerts,
        history=[change_view(change) for change in changes],
        pages=[_page_view(page, rules) for page in incident.pages],
    )


def _counts(incident: Incident) -> AlertCounts:
    return AlertCounts(firing=incident.firing, resolved=incident.resolved)


def next_step(incident: Incident) -> tuple[tuple[str, ...], int] | None:
    """Return the roles that are paged next and when (ms UTC), None while the ladder is held or over."""
    climbs_while_held = incident.state is State.ACKNOWLEDGED and incident.plan.ladder.until == "resolved"
    found = ladder.agenda(replace(incident, state=State.OPEN) if climbs_while_held else incident)
    if found is None or found[1] not in (Due.RUNG, Due.REPEAT):
        return None
    rung = incident.rungs[incident.next_rung if found[1] is Due.RUNG else -1]
    return rung.roles, found[0]


def _ladder_view(incident: Incident) -> LadderView:
    step = next_step(incident)
    return LadderView(
        name=incident.plan.ladder.name,
        rung=incident.next_rung - 1 if incident.next_rung else None,
        next_at=None if step is None else rfc3339(step[1]),
        next_role=None if step is None else ", ".join(step[0]),
    )


def alert_views(alerts: list[Alert]) -> list[AlertView]:
    """Return up to 1,000 alerts, those that fire first, each kind newest first."""
    ordered = sorted(alerts, key=lambda alert: (alert.status is not AlertStatus.FIRING, -alert.starts_at, alert.key))
    return [
        AlertView(
            fingerprint=fingerprint(alert.labels),
            status=alert.status,
            integration=alert.integration,
            labels=dict(alert.labels),
            annotations=dict(alert.annotations),
            starts_at=rfc3339(alert.starts_at),
            ends_at=rfc3339(alert.ends_at),
            generator_url=alert.generator_url,
        )
        for alert in ordered[:ALERTS_SHOWN_MAX]
    ]


def read_alerts(records: Mapping[str, bytes]) -> list[AlertView]:
    """Return the alerts of an incident's records, as `alert_views`. Slow for thousands: not for the event loop."""
    return alert_views([codec.read_alert(key, record) for key, record in records.items()])


def channel_of(page: Page, rules: Rules) -> str:
    """Return the kind of contact that a page goes to, as the rules write it: `mailto`, `webhook+https`; empty when it is gone."""
    if page.person == EMERGENCY_PERSON:
        addresses = rules.emergency.to
    else:
        person = rules.people.get(page.person)
        addresses = () if person is None else tuple(contact.to for contact in person.contacts)
    return addresses[page.contact].partition(":")[0] if page.contact < len(addresses) else ""


def _page_view(page: Page, rules: Rules) -> PageView:
    return PageView(
        id=page.id,
        kind=page.kind,
        person=page.person,
        contact=page.contact,
        channel=channel_of(page, rules),
        rung=page.rung,
        role=page.role,
        status=page.status,
        attempts=page.attempts,
        due_at=rfc3339(page.due_at),
        settled_at=_instant(page.settled_at),
        reason=page.reason,
        receipt=page.receipt,
    )


def change_view(change: Change) -> ChangeView:
    """Return one change of an incident's history."""
    return ChangeView(
        version=change.version,
        at=rfc3339(change.at),
        actor=change.actor,
        event=change.event,
        reason=change.reason,
        state=change.state,
        inputs={name: _input(name, value) for name, value in change.inputs.items()},
    )


def _input(name: str, value: Any) -> Any:
    """Instants are numbers inside, also those of several people (`quiet_until`); here they are read by people."""
    if not (name in ("until", "at") or name.endswith(("_at", "_until", "_since"))):
        return value
    if isinstance(value, dict):
        return {key: _input(name, each) for key, each in value.items()}
    return rfc3339(value) if isinstance(value, int) and not isinstance(value, bool) else value


def change_event(change: Change) -> ChangeEvent:
    """Return one change as live followers hear of it."""
    return ChangeEvent(
        incident=f"INC-{change.incident}",
        version=change.version,
        at=rfc3339(change.at),
        event=change.event,
        reason=change.reason,
        actor=change.actor,
        state=change.state,
    )


def on_call_view(at: int, rules: Rules) -> OnCallView:
    """Return who holds each role at an instant (ms UTC)."""
    return OnCallView(
        at=rfc3339(at),
        roles=[
            RoleView(
                role=name,
                schedule=role.schedules[0] if role.schedules else None,
                people=[Holder(person=person, name=rules.people[person].name) for person in oncall.holders(name, at, rules)],
            )
            for name, role in rules.roles.items()
        ],
    )
