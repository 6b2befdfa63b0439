"""Explaining over the API: what would happen to an alert, and why somebody was or was not paged about an incident.

The explanations are those of `tocsin/policy`, by the rules and the roster in force, so the command line says the same of the same rules.
They are computed in a thread: a ladder of many people is some milliseconds of work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Final

from pydantic import Field

from console import bodies
from console.auth import Role
from console.endpoint import incident_number, query_of
from console.openapi import Call, Reply, Route, api
from console.problems import Refused, Unusable
from console.readmodel import Change
from tocsin.policy.explain import FIRST_AT, LAST_AT, explain
from tocsin.policy.model import HistoryEntry
from tocsin.policy.why import explain_incident
from tocsin.runtime.explained import ExplanationView, IncidentExplanationView, explanation_view, incident_explanation_view

HISTORY_READ_MAX: Final = 10_000
"""Newest entries that an explanation rests on."""

LABELS_MAX: Final = 64
LABEL_LENGTH_MAX: Final = 4_096


class ExplainQuery(bodies.Sent):
    """Labels as `name=value`, each a parameter of its own; the instant, now without it."""

    at: bodies.Instant | None = None
    label: Annotated[list[Annotated[str, Field(max_length=LABEL_LENGTH_MAX)]], Field(min_length=1, max_length=LABELS_MAX)]


class ExplainIncidentQuery(bodies.Sent):
    """About whom, and within the minute from which instant; about everybody and at any time without them."""

    person: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    at: bodies.Instant | None = None


async def explain_labels(call: Call) -> Reply:
    """What would happen to such an alert now, or at another instant."""
    query = query_of(call, ExplainQuery)
    at = _instant(query.at)
    explanation = await asyncio.to_thread(explain, _labels(query.label), call.now if at is None else at, call.desk.rules)
    return 200, explanation_view(explanation)


def _instant(text: str | None) -> int | None:
    at = None if text is None else bodies.instant_ms(text)
    if at is not None and not FIRST_AT <= at <= LAST_AT:
        raise Unusable.field("at", "is too far away, expected a year from 1970 to 2199")
    return at


def _labels(texts: Sequence[str]) -> dict[str, str]:
    """Read `name=value`; a label without a value is one that is absent, as everywhere."""
    labels: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise Unusable.field("label", "must be name=value")
        if name in labels:
            raise Unusable.field("label", "names a label more than once")
        labels[name] = value
    return {name: value for name, value in labels.items() if value}


async def explain_incident_call(call: Call) -> Reply:
    """Why people were paged about an incident, and why others were not."""
    number = incident_number(call)
    query = query_of(call, ExplainIncidentQuery)
    at = _instant(query.at)
    async with call.desk.turns.turn():
        incident = await call.desk.store.load(number)
    if incident is None:
        raise Refused(404, "there is no such incident")
    await call.desk.reading.catch_up()
    entries = [_entry(change) for change in await call.desk.reading.history(number, HISTORY_READ_MAX)]
    explanation = await asyncio.to_thread(explain_incident, incident, entries, call.now, call.desk.rules, person=query.person, at=at)
    return 200, incident_explanation_view(explanation)


def _entry(change: Change) -> HistoryEntry:
    return HistoryEntry(change.incident, change.version, change.at, change.actor, change.event, change.reason, change.inputs)


EXPLAIN_ROUTES: Final[tuple[Route, ...]] = (
    api(
        "GET",
        "/api/v1/explain",
        explain_labels,
        "What would happen to such an alert",
        role=Role.VIEWER,
        query=ExplainQuery,
        returns={200: ExplanationView},
    ),
    api(
        "GET",
        "/api/v1/incidents/{id}/explain",
        explain_incident_call,
        "Why people were paged, or not",
        role=Role.VIEWER,
        query=ExplainIncidentQuery,
        returns={200: IncidentExplanationView},
    ),
)
