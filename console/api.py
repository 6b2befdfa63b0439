"""The HTTP API of CONTRACT.md: each call is a few lines between the request and `incidents.py`, the store or the read model.

Read `ROUTES` at the end first: it is the whole table.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from importlib.metadata import version
from typing import Final

import orjson
from aiohttp import web
from pydantic import BaseModel

from console import bodies, views
from console.answer import ANSWER_ROUTES
from console.auth import Role
from console.calendarfeed import CALENDAR_ROUTES
from console.doctor import DOCTOR_ROUTES
from console.drills import DRILL_ROUTES
from console.endpoint import body_of, incident_number, query_of
from console.explain import EXPLAIN_ROUTES
from console.incidents import act, open_by_hand
from console.leave import LEAVE_ROUTES
from console.oncall import ROSTER_ROUTES
from console.openapi import Call, Reply, Route, api, document
from console.problems import Problem, Refused, Unusable
from console.readmodel import Position
from console.schedules import SCHEDULE_ROUTES
from console.selftest import SELF_TEST_ROUTES
from console.steps import STEPS_ROUTES
from console.stream import follow
from console.views import IncidentDetail, IncidentList, IncidentView, TokenView, incident_view
from tocsin.policy import events as ev


async def _acted(call: Call, event: ev.Event) -> Reply:
    decision = await act(call.desk, incident_number(call), event)
    return 200, incident_view(decision.incident, call.desk.external_url)


# --- reading -----------------------------------------------------------------------------------------------------------------------


async def list_incidents(call: Call) -> Reply:
    """The newest opening first; what opens meanwhile does not shift the following pages."""
    wanted = query_of(call, bodies.ListQuery).wanted(call.desk.deps.settings.list_items_max)
    await call.desk.reading.catch_up()
    found = await call.desk.reading.incidents(wanted)
    shown = found[: wanted.limit - 1]
    cursor = None
    if len(found) == wanted.limit:
        cursor = bodies.make_cursor(Position(shown[-1].opened_at, shown[-1].number))
    return 200, IncidentList(items=[incident_view(incident, call.desk.external_url) for incident in shown], next=cursor)


async def show_incident(call: Call) -> Reply:
    """The incident and its alerts come from the store itself, the history from the read model."""
    number = incident_number(call)
    async with call.desk.turns.turn():
        incident = await call.desk.store.load(number)
        if incident is None:
            raise Refused(404, "there is no such incident")
        (records,) = await call.desk.store.load_alerts([number])
    alerts = await asyncio.to_thread(views.read_alerts, records)
    await call.desk.reading.catch_up()
    changes = await call.desk.reading.history(number, views.HISTORY_SHOWN_MAX)
    return 200, views.incident_detail(incident, alerts, changes, call.desk.rules, call.desk.external_url)


async def show_document(call: Call) -> Reply:
    """The OpenAPI document of this very table."""
    found = document(ROUTES, version=version("tocsin"), url=call.desk.external_url)
    return web.Response(body=orjson.dumps(found), content_type="application/json")


# --- acting ------------------------------------------------------------------------------------------------------------------------


async def open_incident(call: Call) -> Reply:
    """Open an incident by hand."""
    body = body_of(call, bodies.OpenBody)
    decision = await open_by_hand(
        call.desk,
        title=body.title,
        severity=body.severity,
        service=body.service,
        requester=body.requester,
        text=body.text,
        actor=call.caller.name,
    )
    return 201, incident_view(decision.incident, call.desk.external_url)


async def acknowledge(call: Call) -> Reply:
    """The caller has it."""
    body = body_of(call, bodies.AcknowledgeBody)
    return await _acted(call, ev.Acknowledged(call.caller.name, bodies.for_ms(body.for_), body.note))


async def resolve(call: Call) -> Reply:
    """It is over."""
    return await _acted(call, ev.Resolved(call.caller.name, body_of(call, bodies.NoteOnlyBody).note))


async def reopen(call: Call) -> Reply:
    """It is not over."""
    return await _acted(call, ev.Reopened(call.caller.name, body_of(call, bodies.NoteOnlyBody).note))


async def snooze(call: Call) -> Reply:
    """No page about it for a while."""
    duration_ms = bodies.for_ms(body_of(call, bodies.SnoozeBody).for_)
    assert duration_ms is not None
    return await _acted(call, ev.Snoozed(call.caller.name, duration_ms))


async def assign(call: Call) -> Reply:
    """Give it to a person; an agent may take it, a supervisor may give it to anybody."""
    to = body_of(call, bodies.AssignBody).to
    if to != call.caller.name:
        call.caller.must_be(Role.SUPERVISOR, "assigning to somebody else")
    if to not in call.desk.rules.people:
        raise Unusable.field("to", "there is no person of this key in the rules")
    return await _acted(call, ev.Assigned(call.caller.name, to))


async def note(call: Call) -> Reply:
    """Write something into the history."""
    body = body_of(call, bodies.NoteBody)
    return await _acted(call, ev.Noted(call.caller.name, body.text, body.public))


async def set_severity(call: Call) -> Reply:
    """Set the severity; alerts may still raise it."""
    body = body_of(call, bodies.SeverityBody)
    return await _acted(call, ev.SeveritySet(call.caller.name, body.level, body.reason))


async def make_token(call: Call) -> Reply:
    """Make a token. It is shown this once."""
    body = body_of(call, bodies.TokenBody)
    token = await call.desk.tokens.make(body.name, body.role, call.caller, call.now)
    call.desk.deps.log.info("token_made", name=body.name, rights=str(body.role), actor=call.caller.name)
    return 201, TokenView(name=body.name, role=body.role, token=token)


# --- the table ---------------------------------------------------------------------------------------------------------------------

_ONE: Final = "/api/v1/incidents/{id}"
_ACTED: Final[Mapping[int, type[BaseModel] | str]] = {200: IncidentView, 409: Problem}

ROUTES: Final[tuple[Route, ...]] = (
    api(
        "GET", "/api/v1/incidents", list_incidents, "List incidents", role=Role.VIEWER, query=bodies.ListQuery, returns={200: IncidentList}
    ),
    api(
        "POST",
        "/api/v1/incidents",
        open_incident,
        "Open an incident by hand",
        role=Role.AGENT,
        body=bodies.OpenBody,
        returns={201: IncidentView},
    ),
    api("GET", _ONE, show_incident, "Show an incident", role=Role.VIEWER, returns={200: IncidentDetail}),
    api("POST", f"{_ONE}/acknowledge", acknowledge, "Have it", role=Role.AGENT, body=bodies.AcknowledgeBody, returns=_ACTED),
    api("POST", f"{_ONE}/resolve", resolve, "It is over", role=Role.AGENT, body=bodies.NoteOnlyBody, returns=_ACTED),
    api("POST", f"{_ONE}/reopen", reopen, "It is not over", role=Role.AGENT, body=bodies.NoteOnlyBody, returns=_ACTED),
    api("POST", f"{_ONE}/snooze", snooze, "No page for a while", role=Role.AGENT, body=bodies.SnoozeBody, returns=_ACTED),
    api("POST", f"{_ONE}/assign", assign, "Give it to a person", role=Role.AGENT, body=bodies.AssignBody, returns=_ACTED),
    api("POST", f"{_ONE}/note", note, "Write a note", role=Role.AGENT, body=bodies.NoteBody, returns=_ACTED),
    api("POST", f"{_ONE}/severity", set_severity, "Set the severity", role=Role.SUPERVISOR, body=bodies.SeverityBody, returns=_ACTED),
    *SCHEDULE_ROUTES,
    *ROSTER_ROUTES,
    *LEAVE_ROUTES,
    *CALENDAR_ROUTES,
    api("GET", "/api/v1/events", follow, "Follow changes live", role=Role.VIEWER, returns={200: "text/event-stream"}),
    api("POST", "/api/v1/tokens", make_token, "Make a token", role=Role.ADMINISTRATOR, body=bodies.TokenBody, returns={201: TokenView}),
    api("GET", "/api/v1/openapi.json", show_document, "This document", role=None, returns={200: "application/json"}),
    *EXPLAIN_ROUTES,
    *STEPS_ROUTES,
    *SELF_TEST_ROUTES,
    *DRILL_ROUTES,
    *DOCTOR_ROUTES,
    *ANSWER_ROUTES,
)
