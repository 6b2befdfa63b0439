"""Explanations as JSON: one shape for `tocsin explain -o json`, whether from a file or a server, and for the API.

Owns names and formats (times as RFC 3339 in UTC, durations as Prometheus writes them). What is in an explanation is said in
`tocsin/policy/explain.py` and `tocsin/policy/why.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from tocsin.policy.durations import format_duration
from tocsin.policy.explain import Explanation, PlannedPage, Step
from tocsin.policy.model import HistoryEntry
from tocsin.policy.why import IncidentExplanation

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Instant = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


class Shown(BaseModel):
    """A part of an explanation."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class StepView(Shown):
    """One sentence: what it is about, `FILE:LINE` of the rule it rests on, when it happens, and the version of the entry it quotes."""

    about: str
    said: str
    place: str | None
    at: Instant | None
    entry: int | None


class RungView(Shown):
    """A rung: after which time, when that is, its roles, and who holds them then."""

    index: int
    after: str
    at: Instant
    roles: list[str]
    people: list[str]


class PlannedPageView(Shown):
    """A page that would go out: to whom over which contact (counted from 0; never its address), when, and what holds it."""

    at: Instant
    person: str
    contact: int
    channel: str
    rung: int | None
    role: str
    held_until: Instant | None
    held_why: str | None
    limit: str | None


class ExplanationView(Shown):
    """What would happen to an alert with these labels at an instant when nobody answers, up to the first repeat of the last rung."""

    at: Instant
    labels: dict[str, str]
    severity: int
    service: str
    ladder: str
    group: dict[str, str]
    rules_version: int
    steps: list[StepView]
    rungs: list[RungView]
    pages: list[PlannedPageView]


class QuotedView(Shown):
    """An entry of the history that a step names."""

    version: int
    at: Instant
    actor: str
    event: str
    reason: str
    inputs: dict[str, Any]


class IncidentExplanationView(Shown):
    """Why people were paged about an incident, or why one person was not. `answer` says it in one sentence."""

    id: str
    person: str | None
    at: Instant | None
    answer: str
    opened_under: int
    rules_version: int
    steps: list[StepView]
    quoted: list[QuotedView]


def explanation_view(explanation: Explanation) -> ExplanationView:
    """Return what would happen to an alert."""
    return ExplanationView(
        at=_rfc3339(explanation.at),
        labels=dict(explanation.labels),
        severity=explanation.severity,
        service=explanation.service,
        ladder=explanation.ladder,
        group=dict(explanation.group),
        rules_version=explanation.rules_version,
        steps=[_step(each) for each in explanation.steps],
        rungs=[
            RungView(
                index=each.index,
                after=format_duration(each.after_ms),
                at=_rfc3339(each.at),
                roles=list(each.roles),
                people=list(each.people),
            )
            for each in explanation.rungs
        ],
        pages=[_page(each) for each in explanation.pages],
    )


def incident_explanation_view(explanation: IncidentExplanation) -> IncidentExplanationView:
    """Return why people were paged, or one was not."""
    return IncidentExplanationView(
        id=explanation.incident,
        person=explanation.person,
        at=_instant(explanation.at),
        answer=explanation.answer,
        opened_under=explanation.opened_under,
        rules_version=explanation.rules_version,
        steps=[_step(each) for each in explanation.steps],
        quoted=[_quoted(each) for each in explanation.quoted],
    )


def _step(step: Step) -> StepView:
    return StepView(about=step.about, said=step.said, place=step.place or None, at=_instant(step.at), entry=step.entry)


def _page(page: PlannedPage) -> PlannedPageView:
    return PlannedPageView(
        at=_rfc3339(page.at),
        person=page.person,
        contact=page.contact,
        channel=page.channel,
        rung=page.rung,
        role=page.role,
        held_until=_instant(page.held_until),
        held_why=page.held_why or None,
        limit=page.limit or None,
    )


def _quoted(entry: HistoryEntry) -> QuotedView:
    inputs = {name: _input(name, value) for name, value in entry.inputs.items()}
    return QuotedView(
        version=entry.version, at=_rfc3339(entry.at), actor=entry.actor, event=entry.event, reason=str(entry.reason), inputs=inputs
    )


def _input(name: str, value: object) -> object:
    """Instants are numbers inside; here they are read by people."""
    if isinstance(value, Mapping):
        return {str(key): _input(name, each) for key, each in value.items()}
    is_time = name in ("until", "at") or name.endswith(("_at", "_until", "_since"))
    return _rfc3339(value) if is_time and isinstance(value, int) and not isinstance(value, bool) else value


def _instant(at: int | None) -> str | None:
    return None if at is None else _rfc3339(at)


def _rfc3339(at: int) -> str:
    return (_EPOCH + timedelta(milliseconds=at)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
