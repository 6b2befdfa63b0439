"""Drills: a marked incident that climbs the real ladder of a service, and who answered it after how long.

A drill is an incident like any other, but for its source and the beginning of its title: the same rungs, pages and answers. It ends when
it is ended or resolved, or by itself ten minutes after the last rung.
"""

from __future__ import annotations

from typing import Final

from pydantic import Field

from console.auth import Role
from console.bodies import LongText, Sent
from console.endpoint import body_of
from console.incidents import act, open_new
from console.oncallviews import name_of
from console.openapi import Call, Reply, Route, api
from console.problems import Problem, Refused, Unusable
from console.selftest import seconds_after
from console.views import Instant, View, channel_of, rfc3339
from tocsin.policy import events as ev
from tocsin.policy.incident import DRILL_SOURCE, DRILL_TITLE
from tocsin.policy.model import Incident, Page, PageKind, PageStatus, State


class DrillBody(Sent):
    """Which service's ladder, and the severity whose rungs are climbed."""

    service: str = Field(max_length=200)
    severity: int = Field(default=1, ge=1, le=3)
    why: LongText = ""


class DrillPageView(View):
    """A page of a drill; times are from its beginning."""

    kind: PageKind
    person: str
    name: str
    contact: int
    channel: str
    rung: int | None
    role: str
    status: PageStatus
    reason: str
    due_after_s: float | None
    sent_after_s: float | None
    delivered_after_s: float | None


class DrillView(View):
    """How a drill goes: who was paged when over what, and who answered after how long."""

    id: str
    service: str
    severity: int
    title: str
    state: State
    opened_at: Instant
    ends_at: Instant | None
    url: str
    pages: list[DrillPageView]
    answered_by: str | None
    answered_name: str | None
    answered_after_s: float | None
    ended_by: str | None
    ended_after_s: float | None


async def begin_drill(call: Call) -> Reply:
    """Page the people of a service's ladder, for practice."""
    body, rules = body_of(call, DrillBody), call.desk.rules
    service = rules.service_named(body.service)
    if service is None:
        raise Unusable.field("service", "there is no service of this name in the rules")
    if not service.plan.ladder.rungs[body.severity - 1]:
        raise Unusable.field("severity", "has no rungs on this service's ladder: it pages nobody")
    title = f"{DRILL_TITLE}{body.why.strip().partition(chr(10))[0][:200] or f'asked for by {call.caller.name}'}"

    def opening(number: int) -> ev.Opening:
        return ev.DrillRequested(number, f"drill:{number}", body.service, title, body.severity, call.caller.name)

    decision = await open_new(call.desk, title, opening)
    return 201, _view(decision.incident, call)


async def show_drill(call: Call) -> Reply:
    """How a drill goes."""
    return 200, _view(await _drill(call), call)


async def end_drill(call: Call) -> Reply:
    """End a drill now: nobody else is paged. Ending it twice is not an error."""
    drill = await _drill(call)
    if drill.state is not State.CLOSED:
        drill = (await act(call.desk, drill.number, ev.Resolved(call.caller.name))).incident
    return 200, _view(drill, call)


async def _drill(call: Call) -> Incident:
    text = call.request.match_info["id"].upper().removeprefix("INC-")
    found = await call.desk.store.load(int(text)) if text.isdecimal() and len(text) <= 12 else None
    if found is None or found.source != DRILL_SOURCE:
        raise Refused(404, "there is no such drill")
    return found


def _view(drill: Incident, call: Call) -> DrillView:
    rules = call.desk.rules
    return DrillView(
        id=drill.id,
        service=drill.service,
        severity=drill.severity,
        title=drill.title,
        state=drill.state,
        opened_at=rfc3339(drill.opened_at),
        ends_at=None if drill.ends_at is None else rfc3339(drill.ends_at),
        url=f"{call.desk.external_url}/i/{drill.id}",
        pages=[_page_view(page, drill, call) for page in drill.pages],
        answered_by=drill.acknowledged_by,
        answered_name=None if drill.acknowledged_by is None else name_of(drill.acknowledged_by, rules),
        answered_after_s=seconds_after(drill, drill.acknowledged_at),
        ended_by=drill.resolved_by,
        ended_after_s=seconds_after(drill, drill.resolved_at),
    )


def _page_view(page: Page, drill: Incident, call: Call) -> DrillPageView:
    is_sent = page.status is PageStatus.SENT
    return DrillPageView(
        kind=page.kind,
        person=page.person,
        name=name_of(page.person, call.desk.rules),
        contact=page.contact,
        channel=channel_of(page, call.desk.rules),
        rung=page.rung,
        role=page.role,
        status=page.status,
        reason=page.reason,
        due_after_s=seconds_after(drill, page.due_at),
        sent_after_s=seconds_after(drill, page.settled_at) if is_sent else None,
        delivered_after_s=seconds_after(drill, page.delivered_at),
    )


DRILL_ROUTES: Final[tuple[Route, ...]] = (
    api("POST", "/api/v1/drills", begin_drill, "Begin a drill", role=Role.SUPERVISOR, body=DrillBody, returns={201: DrillView}),
    api("GET", "/api/v1/drills/{id}", show_drill, "How a drill goes", role=Role.VIEWER, returns={200: DrillView}),
    api("POST", "/api/v1/drills/{id}/end", end_drill, "End a drill", role=Role.AGENT, returns={200: DrillView, 409: Problem}),
)
