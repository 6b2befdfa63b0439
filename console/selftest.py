"""Does paging work? Test pages that go the whole real way.

A test page is a page of an incident of severity 4 that resolves by itself: the same outbox, notifier and channel as any other.
"""

from __future__ import annotations

from typing import Final

from console.auth import Role
from console.bodies import TestPageBody
from console.endpoint import body_of
from console.incidents import open_new
from console.openapi import Call, Reply, Route, api
from console.problems import Refused, Unusable
from console.views import View, channel_of
from tocsin.policy import events as ev
from tocsin.policy.incident import TEST_SOURCE
from tocsin.policy.model import Incident, PageStatus


class TestPageView(View):
    """What came of a test page: times are from the request until the provider had it, until it arrived (for channels whose provider says
    so), and until somebody answered. `contacts` says how many contacts the person has."""

    id: str
    person: str
    contact: int
    channel: str
    status: PageStatus
    attempts: int
    reason: str
    receipt: str
    after_s: float | None
    delivered_after_s: float | None
    awaits_receipt: bool
    answered_by: str | None
    answered_after_s: float | None
    contacts: int


async def request_test_page(call: Call) -> Reply:
    """Page one contact of one person. The answer comes at once; ask again for what came of it."""
    body = body_of(call, TestPageBody)
    rules = call.desk.rules
    person = rules.people.get(body.person)
    if person is None:
        raise Unusable.field("person", "there is no person of this key in the rules")
    if body.contact >= len(person.contacts):
        raise Unusable.field("contact", f"is none of this person's: there are {len(person.contacts)}")
    service = rules.services[-1].name
    title = f"Test page for {person.name}, asked for by {call.caller.name}"

    def opening(number: int) -> ev.Opening:
        return ev.TestRequested(number, f"test:{number}", service, title, body.person, body.contact, call.caller.name)

    decision = await open_new(call.desk, title, opening)
    return 201, _view(decision.incident, call)


async def show_test_page(call: Call) -> Reply:
    """What came of a test page."""
    text = call.request.match_info["id"].upper().removeprefix("INC-")
    incident = await call.desk.store.load(int(text)) if text.isdecimal() and len(text) <= 12 else None
    if incident is None or incident.source != TEST_SOURCE:
        raise Refused(404, "there is no such test page")
    return 200, _view(incident, call)


def _view(incident: Incident, call: Call) -> TestPageView:
    page = incident.pages[0]
    person = call.desk.rules.people.get(page.person)
    return TestPageView(
        id=incident.id,
        person=page.person,
        contact=page.contact,
        channel=channel_of(page, call.desk.rules),
        status=page.status,
        attempts=page.attempts,
        reason=page.reason,
        receipt=page.receipt,
        after_s=seconds_after(incident, page.settled_at),
        delivered_after_s=seconds_after(incident, page.delivered_at),
        awaits_receipt=page.receipt_due_at is not None,
        answered_by=incident.acknowledged_by,
        answered_after_s=seconds_after(incident, incident.acknowledged_at),
        contacts=0 if person is None else len(person.contacts),
    )


def seconds_after(incident: Incident, at: int | None) -> float | None:
    """Return how long after the opening something was."""
    return None if at is None else (at - incident.opened_at) / 1000


SELF_TEST_ROUTES: Final[tuple[Route, ...]] = (
    api(
        "POST",
        "/api/v1/test-pages",
        request_test_page,
        "Send a test page",
        role=Role.AGENT,
        body=TestPageBody,
        returns={201: TestPageView},
    ),
    api("GET", "/api/v1/test-pages/{id}", show_test_page, "What came of a test page", role=Role.VIEWER, returns={200: TestPageView}),
)
